"""An endpoint on loopback that does what a test tells it to, misbehaviour included, and keeps a log of what it was asked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Reply", "Server", "chat", "free_port", "prompt_of", "serving"]


@dataclass(frozen=True)
class Reply:
    """A reply to send. cut: bytes of the body after which the connection closes, though more were announced."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: int | None = None


def chat(text: str | None, *, finish: str | None = "stop", usage: bool = True, **message: Any) -> Reply:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    tokens = {"usage": {"prompt_tokens": 10, "completion_tokens": 5}} if usage else {}
    return Reply(json.dumps({"choices": [choice], **tokens}).encode())


def prompt_of(body: dict[str, Any]) -> str:
    """What a request asks."""
    return str(body["messages"][-1]["content"] if "messages" in body else body["prompt"])


@dataclass
class Server:
    """A running server. log: method, path, body, headers and time of each request, in order of arrival."""

    url: str
    log: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def asked(self) -> list[str]:
        """The prompts, in order."""
        return [prompt_of(entry["body"]) for entry in self.log if entry["body"] is not None]


Behave = Callable[[int, dict[str, Any]], Reply]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def serving(behave: Behave, models: Reply | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server whose reply to the n-th request, from 0, is `behave(n, body)`. tls: serve https with it."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def do_GET(self) -> None:
            server.log.append({"path": self.path, "body": None, "headers": dict(self.headers)})
            self._send(models or Reply(b"{}", 404))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            entry = {"path": self.path, "body": body, "headers": dict(self.headers), "at": time.monotonic()}
            with lock:
                number = len([e for e in server.log if e["body"] is not None])
                server.log.append(entry)
                server.at_once += 1
                server.most_at_once = max(server.most_at_once, server.at_once)
            try:
                reply = behave(number, body)
                time.sleep(reply.delay)
            finally:
                with lock:
                    server.at_once -= 1
            self._send(reply)
            entry["sent"] = time.monotonic()

        def _send(self, reply: Reply) -> None:
            try:
                self.send_response(reply.status)
                for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.body[: reply.cut])
            except OSError:
                # The client left off.
                self.close_connection = True
            if reply.cut is not None:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

        def handle_error(self, *_: Any) -> None:
            pass

    listener = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        listener.socket = tls.wrap_socket(listener.socket, server_side=True, do_handshake_on_connect=False)
    server = Server(f"{'http' if tls is None else 'https'}://127.0.0.1:{listener.server_address[1]}/v1")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
