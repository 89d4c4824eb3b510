"""A proxy on loopback that takes every host for one server: plain requests are passed on, tunnels opened."""

from __future__ import annotations

import http.client
import select
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Proxy", "proxying"]


@dataclass
class Proxy:
    """A running proxy. log: method, target and headers of each request to it."""

    host: str
    log: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)


@contextmanager
def proxying(server: str, refuses: int | None = None) -> Iterator[Proxy]:
    """A proxy to the server at an address; `refuses`: the status that it answers all with instead."""
    port = urllib.parse.urlsplit(server).port
    assert port is not None

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            proxy.log.append((self.command, self.path, dict(self.headers)))
            if refuses is not None:
                self._send(refuses, b"")
                return
            onward = http.client.HTTPConnection("127.0.0.1", port)
            onward.request("POST", urllib.parse.urlsplit(self.path).path, content, dict(self.headers))
            reply = onward.getresponse()
            self._send(reply.status, reply.read())
            onward.close()

        def do_CONNECT(self) -> None:
            proxy.log.append((self.command, self.path, dict(self.headers)))
            if refuses is not None:
                self._send(refuses, b"")
                return
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            with socket.create_connection(("127.0.0.1", port)) as onward:
                ends = {self.connection: onward, onward: self.connection}
                while True:
                    for end in select.select(list(ends), [], [])[0]:
                        if not (data := end.recv(1 << 16)):
                            return
                        ends[end].sendall(data)

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    listener = Quiet(("127.0.0.1", 0), Handler)
    proxy = Proxy(f"127.0.0.1:{listener.server_address[1]}")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
