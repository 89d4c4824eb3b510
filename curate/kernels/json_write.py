"""Writing JSON Lines: strings to JSON literals, and columns of JSON text to lines.

A column is what Arrow calls a large string array: offsets int64 [n + 1], bytes, and valid bool [n]. Offsets need
not start at 0, so slices of an array can be handed over as they are.

All kernels are O(bytes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["Column", "escape", "join_lines", "join_values", "literal"]

Column = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]
"""Offsets [n + 1], bytes, valid [n]."""

_CHUNK = np.uint64(32)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)

# The letter behind the backslash for bytes that must be escaped ("u": \u00XX), 0 for all others (RFC 8259, section 7).
_LETTER = np.zeros(256, np.uint8)
_LETTER[:0x20] = ord("u")
_LETTER[list(b'"\\\b\f\n\r\t')] = list(b'"\\bfnrt')

# Bytes that each byte takes up when written.
_SIZE = np.ones(256, np.uint8)
_SIZE[_LETTER != 0] = 2
_SIZE[:0x20] = 6
_SIZE[list(b"\b\f\n\r\t")] = 2

_BYTES = numba.types.Array(numba.uint8, 1, "C", readonly=True)
_OFFSETS = numba.types.Array(numba.int64, 1, "C", readonly=True)
_FLAGS = numba.types.Array(numba.boolean, 1, "C", readonly=True)
_LONGS = numba.int64[::1]


def literal(text: str) -> bytes:
    """One string as a JSON literal with its quotes, the way `escape` writes it.

    Raises UnicodeEncodeError for unpaired surrogates.
    """
    data = np.frombuffer(text.encode(), np.uint8)
    return escape(np.array([0, len(data)], np.int64), data, np.ones(1, np.bool_))[1].tobytes()


def escape(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Writes UTF-8 strings as JSON literals with their quotes, as `json.dumps(s, ensure_ascii=False)` does.

    Only what must be escaped is. Rows that are not valid become empty. Returns offsets [n + 1] and bytes.
    """
    written = np.zeros(len(valid) + 1, np.int64)
    _measure_literals(offsets, data, valid, written)
    out = np.empty(int(written[-1]), np.uint8)
    _write_literals(offsets, data, valid, written, out)
    return written, out


def join_lines(parts: Sequence[Column], keys: Sequence[str | None]) -> npt.NDArray[np.uint8]:
    """Assembles one JSON object a row from columns of JSON text, each line ended by a newline.

    A part with a key is a member's value: `"key":<bytes>`. A part whose key is None is a list of members without
    braces (the `rest` of a scan), skipped where it is empty. Where a part is not valid its row goes without it. Members
    stand in the order of the parts; that the text is JSON, and that keys do not repeat, is the caller's word.

    Raises ValueError for no parts, parts and keys that differ in number, and parts that differ in length.
    """
    if not parts or len(parts) != len(keys) or len({len(valid) for _, _, valid in parts}) != 1:
        sizes = ", ".join(str(len(valid)) for _, _, valid in parts)
        raise ValueError(f"parts must match the {len(keys)} keys and one another; rows in each part: {sizes or 'none'}")
    heads = [np.frombuffer(b"" if key is None else literal(key) + b":", np.uint8) for key in keys]
    starts = np.zeros(len(parts[0][2]) + 1, np.int64)
    for (offsets, _, valid), head in zip(parts, heads, strict=True):
        _measure_members(offsets, valid, len(head), starts)
    # Two braces and a newline to each line.
    starts[1:] += 3
    np.cumsum(starts, out=starts)
    out = np.empty(int(starts[-1]), np.uint8)
    out[starts[:-1]] = ord("{")
    ends = starts[:-1] + 1
    for (offsets, data, valid), head in zip(parts, heads, strict=True):
        _write_members(offsets, data, valid, head, starts, ends, out)
    out[ends] = ord("}")
    out[ends + 1] = ord("\n")
    return out


def join_values(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Writes each row's JSON text as a line of its own, ended by a newline: the bare arrays of the chat format."""
    out = np.empty(int(offsets[-1] - offsets[0]) + len(offsets) - 1, np.uint8)
    _write_values(offsets, data, out)
    return out


@numba.njit(cache=True, nogil=True)
def _copy(source: Any, start: int, end: int, out: Any, q: int) -> int:
    # Unsigned: numba checks whether a signed index counts from the end, which made copying 500 bytes 25 times as
    # slow (0.76 against 19.7 GB/s).
    p, to = np.uint64(start), np.uint64(q)
    for i in range(np.uint64(end - start)):
        out[to + i] = source[p + i]
    return q + end - start


@numba.njit(numba.void(_OFFSETS, _BYTES, _FLAGS, _LONGS), cache=True, nogil=True)
def _measure_literals(offsets: Any, data: Any, valid: Any, written: Any) -> None:
    q = 0
    for row in range(len(valid)):
        if valid[row]:
            q += 2
            for p in range(np.uint64(offsets[row]), np.uint64(offsets[row + 1])):
                q += _SIZE[data[p]]
        written[row + 1] = q


@numba.njit(numba.void(_OFFSETS, _BYTES, _FLAGS, _LONGS, numba.uint8[::1]), cache=True, nogil=True)
def _write_literals(offsets: Any, data: Any, valid: Any, written: Any, out: Any) -> None:
    one = np.uint64(1)
    for row in range(len(valid)):
        if not valid[row]:
            continue
        q = np.uint64(written[row])
        out[q] = 0x22
        q += one
        p, stop = np.uint64(offsets[row]), np.uint64(offsets[row + 1])
        while True:
            # CHUNK bytes at a time with no branch between them, as vector instructions. What is copied behind the byte
            # that is found is written over; there is room, because no byte takes up less than one.
            found = False
            while p + _CHUNK <= stop:
                for k in range(_CHUNK):
                    c = data[p + k]
                    out[q + k] = c
                    found |= (c < 0x20) | (c == 0x22) | (c == 0x5C)
                if found:
                    break
                p += _CHUNK
                q += _CHUNK
            start = p
            while p < stop and _LETTER[data[p]] == 0:
                p += one
            if not found:
                for i in range(p - start):
                    out[q + i] = data[start + i]
            q += p - start
            if p == stop:
                break
            c = data[p]
            letter = _LETTER[c]
            out[q] = 0x5C
            out[q + one] = letter
            p += one
            q += np.uint64(2)
            if letter == 0x75:
                out[q] = out[q + one] = 0x30
                out[q + np.uint64(2)] = _HEX[c >> 4]
                out[q + np.uint64(3)] = _HEX[c & 15]
                q += np.uint64(4)
        out[q] = 0x22


@numba.njit(numba.void(_OFFSETS, _FLAGS, numba.int64, _LONGS), cache=True, nogil=True)
def _measure_members(offsets: Any, valid: Any, head: int, sizes: Any) -> None:
    """Adds what a part takes up in each row to `sizes[row + 1]`, a comma included where something stands before it."""
    for row in range(len(valid)):
        size = offsets[row + 1] - offsets[row] + head
        if valid[row] and size > 0:
            sizes[row + 1] += size + (sizes[row + 1] > 0)


@numba.njit(numba.void(_OFFSETS, _BYTES, _FLAGS, _BYTES, _LONGS, _LONGS, numba.uint8[::1]), cache=True, nogil=True)
def _write_members(offsets: Any, data: Any, valid: Any, head: Any, starts: Any, ends: Any, out: Any) -> None:
    """Writes a part behind `ends`, the end of what each row holds so far, and moves `ends`."""
    for row in range(len(valid)):
        if not valid[row] or offsets[row + 1] - offsets[row] + len(head) == 0:
            continue
        q = ends[row]
        if q > starts[row] + 1:
            out[q] = 0x2C
            q += 1
        q = _copy(head, 0, len(head), out, q)
        ends[row] = _copy(data, offsets[row], offsets[row + 1], out, q)


@numba.njit(numba.void(_OFFSETS, _BYTES, numba.uint8[::1]), cache=True, nogil=True)
def _write_values(offsets: Any, data: Any, out: Any) -> None:
    q = 0
    for row in range(len(offsets) - 1):
        q = _copy(data, offsets[row], offsets[row + 1], out, q)
        out[q] = 0x0A
        q += 1
