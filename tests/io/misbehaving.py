"""Work for a sandbox that does what a document tells it to."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable

from curate.io.sandbox import Fields


def make(prefix: str = "") -> Callable[[Fields], Fields]:
    served = 0

    def work(document: Fields) -> Fields:
        nonlocal served
        served += 1
        what = document[0]
        match what:
            case b"loop":
                while True:
                    pass
            case b"sleep":
                time.sleep(1000)
            case b"abort":
                os.abort()
            case b"segfault":
                ctypes.string_at(0)
            case b"exit":
                os._exit(7)
            case b"recursion":
                return work(document)
            case b"memory":
                return [bytes(1 << 40)]
            case b"touch":  # memory that is used, by a library that crashes when it gets no more
                held = []
                try:
                    while True:
                        held.append(b"x" * (8 << 20))
                except MemoryError:
                    os.abort()
            case b"denied":  # the same by a library that only says that it failed
                held = []
                try:
                    while True:
                        held.append(b"x" * (8 << 20))
                except MemoryError:
                    held.clear()
                raise ValueError("failed to parse")
            case b"again":  # only a process that has worked before fails on it
                if served > 1:
                    os.abort()
            case b"print":
                os.write(1, b"noise of a library")
            case b"count":
                return [str(served).encode()]
        return [prefix.encode() + (what or b"nothing"), None, *document[1:]]

    return work


def broken() -> Callable[[Fields], Fields]:
    raise ImportError("no such library")
