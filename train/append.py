"""Work on many rows that is slow and may be stopped: a file that grows window by window, and goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from train.errors import Interrupted, TrainError
from train.report import write_json
from train.stage import Context

__all__ = ["in_windows"]

Item = TypeVar("Item")


def in_windows(
    file: Path, items: Iterable[Item], size: int, work: Callable[[int, list[Item]], list[Any]], context: Context
) -> int:
    """Write what `work` makes of each item to `file`, a JSON line each, `size` items at a time. Returns how many there are.

    `work` gets the number of the window and its items. A run that is broken off leaves whole windows behind, from which the
    same call goes on when the digest is the same: the bytes are those of an unbroken run. Raises Interrupted when stopped.
    """
    mark = file.with_suffix(".json")
    file.parent.mkdir(parents=True, exist_ok=True)
    if not mark.is_file() or json.loads(mark.read_text(encoding="utf-8")) != {"digest": context.digest}:
        file.unlink(missing_ok=True)
        write_json(mark, {"digest": context.digest})
    window = _whole_windows(file, size)
    iterator = iter(items)
    done = sum(1 for _ in islice(iterator, window * size))
    if done:
        context.note(f"goes on after {done:,} rows that were done before")
    with file.open("ab") as stream, context.interrupts.held():
        while batch := list(islice(iterator, size)):
            lines = "".join(json.dumps(made, ensure_ascii=False) + "\n" for made in work(window, batch))
            try:
                stream.write(lines.encode("utf-8", "surrogatepass"))
                stream.flush()
                os.fsync(stream.fileno())
            except OSError as error:
                raise TrainError(f"{file}: cannot be written ({error.strerror}); make room and run again") from error
            window, done = window + 1, done + len(batch)
            context.report.emit("step", stage=context.name, name=context.name, step=done)
            if context.interrupts.asked:
                raise Interrupted(f"{context.name}: stopped after {done:,} rows, kept; the same command goes on from there")
    return done


def _whole_windows(file: Path, size: int) -> int:
    """How many whole windows `file` holds; what stands after them is cut off."""
    if not file.is_file():
        return 0
    ends = [0]
    with file.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                ends.append(ends[-1] + len(line))
    windows = (len(ends) - 1) // size
    os.truncate(file, ends[windows * size])
    return windows
