"""Work on what strangers wrote, in a child process that is killed when it takes too long, too much memory, or crashes.

A parser in C cannot be interrupted from within its process, and its crash is the process's. So documents go to a child, some
at a time over a pipe, and answers come back one by one: when a child dies, it is known which document it died on. That
document is reported with what happened, a new child is started, and the work goes on with the next one.

The child limits itself: processor time by a timer whose signal ends it (so that a busy machine does not make a document too
slow), memory by RLIMIT_AS (not on macOS, which has no such limit). The parent keeps a clock besides, for what waits without
working. A child that is not new when it fails gets no verdict: the document is tried again in a new one, so that what became
of it does not depend on the documents before it. A child ends when its parent does, however that dies: its input ends, and a
document that it is at then has at most its own time left.

Measured with resiliparse on 3,000 pages of 50 kB: 0.05 ms a page beside 0.8 ms of extraction; a new child takes 0.1 s.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from curate.errors import WorkerError

__all__ = ["Answer", "Fields", "Sandbox", "Trouble", "sandbox"]

Fields = Sequence[bytes | None]
"""A document as it goes to the child, or its result as it comes back."""

Trouble = Literal["timed_out", "out_of_memory", "crashed"]

MESSAGE_BYTES = 1 << 20
"""Documents are sent to the child in messages of about this size: enough that starting it on one costs nothing."""

CLOCK = 10
"""A document may take this many times its processor time by the clock: a machine with more to do is no reason to give up."""

START_SECONDS = 300.0
"""What a child may take for its imports."""

_FINE, _FAILED, _NO_MEMORY = range(3)
_HEAD = struct.Struct("<BB")
_SIZE = struct.Struct("<q")


class Answer(NamedTuple):
    """What became of a document: its result, or what happened and how that showed."""

    fields: tuple[bytes | None, ...] = ()
    trouble: Trouble | None = None
    detail: str = ""


class Sandbox:
    """Runs a function on documents in child processes. Threads may share it: each gets a child of its own.

    make:    function of a module, by which the child makes the function that does the work: called with `options` (JSON).
    seconds: processor time that a document may take. memory: bytes that the child may take besides what it starts with.
    """

    def __init__(self, make: Callable[..., Callable[[Fields], Fields]], options: str, seconds: float, memory: int) -> None:
        self._work = f"{make.__module__}:{make.__qualname__}"
        self._options = options
        self._seconds = seconds
        self._memory = memory
        self._idle: list[_Child] = []
        self._lock = threading.Lock()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._idle.clear)  # a pipe is not for two

    def run(self, documents: Sequence[Fields]) -> Iterator[Answer]:
        """An answer for each document, in order. O(bytes) over pipes; holds about MESSAGE_BYTES, or one document.

        Raises WorkerError when a child cannot be started.
        """
        with self._lock:
            child = self._idle.pop() if self._idle else None
        try:
            first = 0
            while first < len(documents):
                child = child or self._start()
                fresh = child.served == 0
                done = 0
                for answer in child.answers(_some(documents, first)):
                    if answer.trouble in ("out_of_memory", "crashed") and child.died and not (fresh and done == 0):
                        break
                    done += 1
                    yield answer
                first += done
                if child.died:
                    child.end()
                    child = None
            if child is not None:
                with self._lock:
                    self._idle.append(child)
                child = None
        finally:
            if child is not None:  # the caller stopped within a message: the rest of its answers is still to come
                child.end()

    def close(self) -> None:
        """End the children that are at nothing."""
        with self._lock:
            while self._idle:
                self._idle.pop().end()

    def _start(self) -> _Child:
        return _Child(self._work, self._options, self._seconds, self._memory)


@functools.lru_cache(maxsize=16)
def sandbox(make: Callable[..., Callable[[Fields], Fields]], options: str, seconds: float, memory: int) -> Sandbox:
    """The sandbox of this process for this work: a child that was started goes from shard to shard."""
    return Sandbox(make, options, seconds, memory)


def _some(documents: Sequence[Fields], first: int) -> list[Fields]:
    """The documents from `first` on that make a message; one at least."""
    some: list[Fields] = []
    size = 0
    for document in documents[first:]:
        size += sum(len(field) for field in document if field is not None)
        if some and size > MESSAGE_BYTES:
            break
        some.append(document)
    return some


class _Child:
    """One child process and the pipes to it."""

    def __init__(self, work: str, options: str, seconds: float, memory: int) -> None:
        self.served = 0
        """Documents that it has answered."""
        self.died = False
        """It must not be asked again: it is dead, or has run out of memory."""
        self._seconds = seconds
        self._memory = memory
        root = str(Path(__file__).parent.parent.parent)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "curate.io.sandbox", work, options, str(seconds), str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # last words of crashing libraries
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))},
            start_new_session=True,  # Ctrl-C is for this process
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._stdout = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._stdout, select.POLLIN)
        self._buffer = bytearray()
        try:
            status, fields = self._answer(START_SECONDS)
        except (EOFError, TimeoutError) as error:
            self.end()
            raise WorkerError(f"the process for {work} did not start (exit code {self._process.returncode})") from error
        if status != _FINE:
            self.end()
            raise WorkerError(f"the process for {work} did not start: {_text(fields)}")

    def answers(self, documents: Sequence[Fields]) -> Iterator[Answer]:
        """The answers to one message. The one with which the child dies is the last."""
        with contextlib.suppress(BrokenPipeError):  # it is dead, which the first answer will show
            self._stdin.write(_packed(documents))
            self._stdin.flush()
        for _ in documents:
            try:
                status, fields = self._answer(CLOCK * self._seconds)
            except TimeoutError:
                self.died = True
                yield Answer((), "timed_out", f"more than {CLOCK * self._seconds:g} s")
                return
            except EOFError:
                self.died = True
                yield self._verdict()
                return
            if status == _NO_MEMORY:
                self.died = True
                yield Answer((), "out_of_memory", f"more than {self._memory:,} bytes")
                return
            yield Answer((), "crashed", _text(fields)) if status == _FAILED else Answer(fields)
            self.served += 1

    def end(self) -> None:
        """Kill it, if it lives."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

    def _verdict(self) -> Answer:
        """What it died of."""
        _, status, used = os.wait4(self._process.pid, 0)
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGPROF:
            return Answer((), "timed_out", f"more than {self._seconds:g} s of processor time")
        # Libraries that are denied memory often crash on it.
        peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        if peak > self._memory // 2:
            return Answer((), "out_of_memory", f"more than {self._memory:,} bytes")
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Answer((), "crashed", name)

    def _answer(self, seconds: float) -> tuple[int, tuple[bytes | None, ...]]:
        deadline = time.monotonic() + seconds
        status, count = _HEAD.unpack(self._take(_HEAD.size, deadline))
        sizes = [_SIZE.unpack(self._take(_SIZE.size, deadline))[0] for _ in range(count)]
        return status, tuple(None if size < 0 else bytes(self._take(size, deadline)) for size in sizes)

    def _take(self, size: int, deadline: float) -> bytearray:
        """The next `size` bytes that the child says. Raises EOFError when it ends, TimeoutError at the deadline."""
        while len(self._buffer) < size:
            if not self._poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimeoutError
            data = os.read(self._stdout, 1 << 20)
            if not data:
                raise EOFError
            self._buffer += data
        taken = self._buffer[:size]
        del self._buffer[:size]
        return taken


def _packed(documents: Sequence[Fields]) -> bytes:
    """A message: how many documents; each as its number of fields, their sizes (-1: none), their bytes."""
    return _SIZE.pack(len(documents)) + b"".join(_frame(_FINE, document) for document in documents)


def _frame(status: int, fields: Fields) -> bytes:
    sizes = b"".join(_SIZE.pack(-1 if field is None else len(field)) for field in fields)
    return b"".join([_HEAD.pack(status, len(fields)), sizes, *(field for field in fields if field is not None)])


def _text(fields: Fields) -> str:
    return (fields[0] or b"").decode("utf-8", "replace")


def _serve(work: str, options: str, seconds: float, memory: int) -> None:
    """The child: answer messages until the input ends."""
    stdin, stdout = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    try:
        module, _, name = work.partition(":")
        function = getattr(importlib.import_module(module), name)(**json.loads(options))
    except Exception as error:  # noqa: BLE001 - the parent tells it
        _say(stdout, _FAILED, _error(error))
        return
    _limit_memory(memory)
    _say(stdout, _FINE, ())
    while head := stdin.read(_SIZE.size):
        documents = [_document(stdin) for _ in range(_SIZE.unpack(head)[0])]
        documents.reverse()
        while documents:
            status, fields = _done(function, documents.pop(), seconds)
            _say(stdout, status, fields)


def _done(function: Callable[[Fields], Fields], document: Fields, seconds: float) -> tuple[int, Fields]:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return _FINE, function(document)
    except MemoryError:
        return _NO_MEMORY, ()
    except Exception as error:  # noqa: BLE001 - any error is the document's, and is told
        return _FAILED, _error(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _document(stdin: BinaryIO) -> Fields:
    _, count = _HEAD.unpack(stdin.read(_HEAD.size))
    sizes = [_SIZE.unpack(stdin.read(_SIZE.size))[0] for _ in range(count)]
    return [None if size < 0 else stdin.read(size) for size in sizes]


def _say(stdout: BinaryIO, status: int, fields: Fields) -> None:
    stdout.write(_frame(status, fields))
    stdout.flush()


def _error(error: Exception) -> Fields:
    return (f"{type(error).__name__}: {' '.join(str(error).split())[:500]}".encode("utf-8", "replace"),)


def _limit_memory(memory: int) -> None:
    """Allow so many bytes of address space besides what is in use."""
    import resource

    with contextlib.suppress(OSError, ValueError):
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        limit = used + memory if most == resource.RLIM_INFINITY else min(used + memory, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _main(arguments: list[str]) -> Any:
    work, options, seconds, memory = arguments
    # The parent is gone when it does not take the answer, or breaks off a message.
    with contextlib.suppress(BrokenPipeError, struct.error):
        _serve(work, options, float(seconds), int(memory))


if __name__ == "__main__":
    _main(sys.argv[1:])
