"""Columns of text as raw buffers: the arrays that every kernel takes, from Arrow and back.

A column of n strings is `(offsets, data)`: string i is the UTF-8 bytes `data[offsets[i]:offsets[i + 1]]`. These are
the buffers of an Arrow LargeString array, taken without a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

__all__ = ["buffers", "frozen", "strings"]


def buffers(column: pa.Array | pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The `(offsets int64[n+1], data uint8[...])` of an Arrow string column; a null reads as an empty string.

    No copy for one chunk of LargeString without nulls, whatever slice it is; `offsets[0]` is then not 0.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # combine_chunks keeps the wrapper in some pyarrow versions
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], pa.large_string())
    if array.type != pa.large_string():
        array = array.cast(pa.large_string())
    if array.null_count:
        array = array.fill_null("")
    _, offsets, data = array.buffers()
    if not len(array) or offsets is None:
        return np.zeros(len(array) + 1, np.int64), np.empty(0, np.uint8)
    rows = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return rows, np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)


def strings(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> pa.Array:
    """The Arrow LargeString array of `(offsets, data)`; no copy. Bytes must be valid UTF-8."""
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def frozen(array: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """A contiguous, read-only view of `array` as `dtype`.

    numba compiles a kernel again for every mix of read-only (Arrow) and writable (numpy) arguments; kernels are
    only ever called with frozen inputs, so each is compiled once.
    """
    view = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view
