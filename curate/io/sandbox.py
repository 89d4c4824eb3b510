"""Work on what strangers wrote, in a process that dies of what takes too long, takes too much memory, or crashes.

A parser in C cannot be interrupted from within its process, and its crash is the process's. So documents go to a child, some
at a time over a pipe, and answers come back one by one. The child makes the function that does the work, with all that it
imports, and forks; the copy works. When it dies, the child tells of what and forks again, and the work goes on with the next
document. That takes milliseconds, so that many such documents are no matter.

The copy limits itself: processor time by a timer whose signal ends it (so that a busy machine does not make a document too
slow), memory by RLIMIT_AS (macOS has no such limit). The parent keeps a clock besides, for what waits without working. A copy
that is not new when it dies gets no verdict: the document is tried again in a new one, so that what becomes of it does not
depend on the documents before it. All end when the parent does, however that dies: their input ends, and a document that is
being worked on has at most its own time left.

Measured on 963 pages of 146 kB: 0.1 to 0.2 ms a page for the way there and back; starting a child takes 0.3 s.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
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
from typing import Any, BinaryIO, Literal, NamedTuple, NoReturn, cast

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

_FINE, _FAILED, _DIED = range(3)
_NO_MEMORY = 86
"""Exit code of a copy that was denied memory and noticed."""

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
                    if child.served == 0 and answer.trouble != "timed_out" and not (fresh and done == 0):
                        break
                    done += 1
                    yield answer
                first += done
                if child.stuck:
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
        """Documents that the copy at work has answered: 0 after one died."""
        self.stuck = False
        """It must not be asked again."""
        self._seconds = seconds
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
        """The answers to one message. That on which the copy died is the last."""
        with contextlib.suppress(BrokenPipeError):  # it is dead, which the first answer will show
            self._stdin.write(_packed(documents))
            self._stdin.flush()
        for _ in documents:
            try:
                status, fields = self._answer(CLOCK * self._seconds)
            except (TimeoutError, EOFError) as error:
                self.served, self.stuck = 0, True
                slow = isinstance(error, TimeoutError)
                yield Answer((), "timed_out", f"more than {CLOCK * self._seconds:g} s") if slow else Answer((), "crashed")
                return
            if status == _DIED:
                self.served = 0
                yield Answer((), cast(Trouble, _text(fields)), _text(fields[1:]))
                return
            self.served += 1
            yield Answer((), "crashed", _text(fields)) if status == _FAILED else Answer(fields)

    def end(self) -> None:
        """Kill it and its copy, if they live."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()

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


def _supervise(work: str, options: str, seconds: float, memory: int) -> None:
    """The child: have copies answer until the input ends."""
    stdout = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not stand between the answers
    try:
        module, _, name = work.partition(":")
        function = getattr(importlib.import_module(module), name)(**json.loads(options))
    except Exception as error:  # noqa: BLE001 - the parent tells it
        _say(stdout, _FAILED, _error(error))
        return
    gc.freeze()
    _say(stdout, _FINE, ())
    _, base = _in_use()
    while True:
        copy = os.fork()
        if copy == 0:
            _serve(function, stdout, seconds, memory, base)
        _, status, used = os.wait4(copy, 0)
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return
        trouble, detail = _verdict(code, _peak(used) - base, seconds, memory)
        _say(stdout, _DIED, (trouble.encode(), detail.encode()))


def _verdict(code: int, peak: int, seconds: float, memory: int) -> tuple[Trouble, str]:
    """What a copy died of, by its exit code and the most bytes that it had in memory besides what it began with."""
    if code == -signal.SIGPROF:
        return "timed_out", f"more than {seconds:g} s of processor time"
    # Libraries that are denied memory often crash of it, some while they ask for twice what they have.
    if code == _NO_MEMORY or peak > memory // 2:
        return "out_of_memory", f"more than {memory:,} bytes"
    return "crashed", signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _peak(used: Any) -> int:
    """The most bytes in memory, of what getrusage and wait4 tell."""
    return int(used.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def _serve(function: Callable[[Fields], Fields], stdout: BinaryIO, seconds: float, memory: int, base: int) -> NoReturn:
    """The copy: answer messages until the input ends."""
    import resource

    try:
        _limit_memory(memory)
        stdin = sys.stdin.buffer
        while head := stdin.read(_SIZE.size):
            documents = [_document(stdin) for _ in range(_SIZE.unpack(head)[0])]
            documents.reverse()
            while documents:
                status, fields = _done(function, documents.pop(), seconds)
                # Of some libraries this is all that shows when they are denied memory.
                if status == _FAILED and _peak(resource.getrusage(resource.RUSAGE_SELF)) - base > memory // 2:
                    os._exit(_NO_MEMORY)
                _say(stdout, status, fields)
    except MemoryError:
        os._exit(_NO_MEMORY)
    except (BrokenPipeError, struct.error):  # the parent is gone
        pass
    os._exit(0)


def _done(function: Callable[[Fields], Fields], document: Fields, seconds: float) -> tuple[int, Fields]:
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return _FINE, function(document)
    except MemoryError:
        raise
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
        limit = _in_use()[0] + memory
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def _in_use() -> tuple[int, int]:
    """Bytes of address space and of memory that this process has; 0 where the system does not tell."""
    try:
        pages = Path("/proc/self/statm").read_text().split()
    except OSError:
        return 0, 0
    size = os.sysconf("SC_PAGE_SIZE")
    return int(pages[0]) * size, int(pages[1]) * size


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):  # the parent is gone
        _supervise(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
