"""`python -m benchmarks.asking [--delay S ...] [--requests N] [--cached N]`: what asking a model costs beside the model.

Throughput at 64 requests at once against a server on loopback, a process of its own, that answers after a fixed delay, as a
share of the ideal (64 / delay), and seconds of CPU for a request; then answers replayed from a cache.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.__main__ import FOLDER
from curate.models.ask import Answer, Ask, key_of
from curate.models.asker import Asker
from curate.models.cache import Cache
from curate.models.http import HttpBackend

AT_ONCE = 64
WORDS = "some words of a prompt that is about as long as prompts are " * 20


class Fixed(asyncio.Protocol):
    """HTTP/1.1 with one reply to everything, after a delay; O(1) work a request, so that the server is not what is measured."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._received = b""
        message = {"role": "assistant", "content": "some words of an answer " * 40}
        body = json.dumps(
            {
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 240, "completion_tokens": 200},
            }
        ).encode()
        self._reply = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return
        _, _, after = self._received[:head].lower().partition(b"content-length:")
        if len(self._received) >= head + 4 + int(after.split(b"\r\n")[0]):
            self._received = b""
            asyncio.get_running_loop().call_later(self._delay, self._transport.write, self._reply)


async def serve(delay: float) -> None:
    """Serve on a free port, which is printed."""
    server = await asyncio.get_running_loop().create_server(lambda: Fixed(delay), "127.0.0.1", 0, backlog=256)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def asks(count: int, start: int = 0) -> Iterator[Ask]:
    """Requests that differ."""
    for i in range(start, start + count):
        yield Ask("small", messages=({"role": "system", "content": "You help."}, {"role": "user", "content": f"{i} {WORDS}"}))


def throughput(delay: float, count: int, folder: Path) -> None:
    """Ask `count` requests, after as many as make the connections, and print what came of it."""
    command = [sys.executable, "-m", "benchmarks.asking", "--serve", str(delay)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            cache = Cache(folder / f"{time.time_ns()}.sqlite")
            with Asker(HttpBackend(url), cache, concurrency=AT_ONCE) as asker:
                assert len(list(asker.answers(asks(2 * AT_ONCE)))) == 2 * AT_ONCE
                began, used = time.perf_counter(), time.process_time()
                done = sum(isinstance(result, Answer) for _, result in asker.answers(asks(count, start=2 * AT_ONCE)))
                seconds, cpu = time.perf_counter() - began, time.process_time() - used
            assert done == count
            # The last requests end with the delay in which no others are under way.
            rounds = -(-count // AT_ONCE)
            sys.stdout.write(
                f"delay {delay:g} s: {count:,} requests in {seconds:.2f} s, {count / seconds:,.0f}/s, "
                f"{rounds * delay / seconds:.1%} of ideal; {1000 * cpu / count:.2f} ms of CPU a request\n"
            )
        finally:
            server.kill()


def replay(count: int, folder: Path) -> None:
    """Fill a cache with `count` answers, and ask for them all."""
    file = folder / "replay.sqlite"
    cache = Cache(file)
    backend = HttpBackend("http://127.0.0.1:9")
    answer = Answer("some words of an answer " * 40, None, "stop", 240, 200)
    began = time.perf_counter()
    for ask in asks(count):
        cache.put(key_of(backend.endpoint, ask), answer)
    seconds = time.perf_counter() - began
    sys.stdout.write(
        f"{count:,} answers written, each committed: {count / seconds:,.0f}/s; {file.stat().st_size / 1e6:,.0f} MB\n"
    )
    cache.close()
    for _ in range(2):
        cache = Cache(file)
        with Asker(backend, cache) as asker:
            began, used = time.perf_counter(), time.process_time()
            done = sum(isinstance(result, Answer) for _, result in asker.answers(asks(count)))
            seconds, cpu = time.perf_counter() - began, time.process_time() - used
        assert done == count
        cache.close()
        sys.stdout.write(f"{count:,} cached answers replayed: {count / seconds:,.0f}/s, {count / cpu:,.0f} a second of CPU\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.asking", description=__doc__)
    parser.add_argument("--delay", type=float, nargs="+", default=[1.0, 0.25], help="seconds that the server takes")
    parser.add_argument("--requests", type=int, default=2560)
    parser.add_argument("--cached", type=int, default=1_000_000)
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(serve(options.serve))
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        for delay in options.delay:
            throughput(delay, options.requests, Path(name))
        replay(options.cached, Path(name))


if __name__ == "__main__":
    main()
