"""Rows on their way to the device: read in a thread of their own while the step before is computed."""

from __future__ import annotations

import queue
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from train.data import Cursor, Rows
from train.masked import MaskedRows

if TYPE_CHECKING:
    import torch

__all__ = ["Loader"]

AHEAD = 2
"""Steps that are read ahead: one being waited for, one in reserve."""


class Loader:
    """Batches of `rows.next(each)` as tensors, AHEAD of them read before they are asked for, in pinned memory with `pinned`.

    `cursor` is the place after the last batch that was handed out, whatever has been read ahead of it: saved and given to
    another loader, that one goes on with the very next row. Use it in a `with` block, or the thread goes on.
    """

    def __init__(self, rows: Rows | MaskedRows, each: int, pinned: bool = False) -> None:
        self.rows = rows
        self.each = each
        self.pinned = pinned
        self.cursor = replace(rows.cursor)
        self._ready: queue.Queue[tuple[tuple[torch.Tensor, ...], Cursor] | BaseException] = queue.Queue(AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="loader", daemon=True)

    def __enter__(self) -> Loader:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        # The thread may wait for room to put a batch that nobody will take.
        while self._thread.is_alive():
            try:
                self._ready.get(timeout=0.05)
            except queue.Empty:
                continue
        self._thread.join()

    def next(self) -> tuple[torch.Tensor, ...]:
        """Inputs, targets and, where documents are isolated, positions of the next rows. Raises what reading them raised."""
        found = self._ready.get()
        if isinstance(found, BaseException):
            raise found
        tensors, self.cursor = found
        return tensors

    def _read(self) -> None:
        import torch

        try:
            while not self._stop.is_set():
                tensors = tuple(torch.from_numpy(array) for array in self.rows.next(self.each).arrays)
                if self.pinned:
                    tensors = tuple(tensor.pin_memory() for tensor in tensors)
                self._ready.put((tensors, replace(self.rows.cursor)))
        except BaseException as error:  # noqa: BLE001 - the thread that asks for rows gets it
            self._ready.put(error)
