"""Which values of a column of bytes are UTF-8."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["plain_utf8"]


def plain_utf8(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """bool[n]: whether each value is valid UTF-8 (Unicode 16, table 3-7) and holds no NUL, as UTF-16 does, and no ESC, as
    ISO 2022 does. O(bytes)."""
    out = np.zeros(len(offsets) - 1, np.bool_)
    _plain(frozen(offsets, np.int64), frozen(data, np.uint8), out)
    return out


@njit(cache=True, nogil=True)
def _plain(offsets: Any, data: Any, out: Any) -> None:
    for d in range(len(out)):
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            b = data[i]
            if b < 0x80:
                if b == 0 or b == 0x1B:
                    break
                i += 1
                continue
            if b < 0xC2 or b > 0xF4:
                break
            size = 2 if b < 0xE0 else 3 if b < 0xF0 else 4
            if i + size > stop:
                break
            # The second byte has its own bounds where a longer form, a surrogate or too high a number would begin.
            low = 0xA0 if b == 0xE0 else 0x90 if b == 0xF0 else 0x80
            high = 0x9F if b == 0xED else 0x8F if b == 0xF4 else 0xBF
            good = low <= data[i + 1] <= high
            for k in range(2, size):
                good = good and (data[i + k] & 0xC0) == 0x80
            if not good:
                break
            i += size
        out[d] = i == stop
