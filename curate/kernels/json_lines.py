"""Reading JSON Lines exactly: where each line and each wanted value lies, which lines are broken and why.

The grammar is RFC 8259, as Python's `json.loads` reads it in strict mode, but for four differences: `NaN` and
`Infinity` are refused, nesting stops at `MAX_DEPTH`, integers may have any number of digits, and an unpaired
surrogate escape (`\\ud800`) is refused in a wanted string, because no UTF-8 can hold it (elsewhere it passes
through as it is written).

Values are found, never converted: `1e5`, `2.50` and the order of keys leave as they came. The verdict on a line
depends on that line alone, so results do not depend on how a file is cut into blocks.

All kernels are O(bytes). Positions are byte offsets into the block, int64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels.json_scan import (
    ABSENT,
    ARRAY,
    BOOLEAN,
    MAX_DEPTH,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    scan_lines,
    take_spans,
    take_strings,
)

__all__ = [
    "ABSENT",
    "ARRAY",
    "BOOLEAN",
    "MAX_DEPTH",
    "NULL",
    "NUMBER",
    "OBJECT",
    "STRING",
    "Block",
    "Scan",
    "count_lines",
    "message",
    "raw",
    "scan",
    "strings",
]

Block = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
"""Bytes of whole lines; the last one may lack its newline."""

# In the order of the codes of `json_scan`.
_MESSAGES = (
    "",
    "invalid UTF-8",
    "NUL byte",
    "byte order mark inside the file",
    "unescaped control character in a string",
    "invalid escape in a string",
    "expecting four hexadecimal digits after \\u",
    "unpaired surrogate escape",
    "the line ends inside a string",
    "the line ends before its value is complete",
    "expecting a value",
    "expecting a key in double quotes",
    "expecting ':'",
    "expecting ',' or '}'",
    "expecting ',' or ']'",
    "number out of JSON grammar",
    "NaN and Infinity are not JSON",
    "more text after the value",
    f"nested deeper than {MAX_DEPTH}",
    "expected an object, found a string",
    "expected an object, found a number",
    "expected an object, found true or false",
    "expected an object, found null",
    "expected an object, found an array",
    "expected an object, found text that is not JSON",
)


class Scan(NamedTuple):
    """What `scan` found in the n lines that are not blank, k wanted keys each.

    `rest` holds, for each good line, the members that were not wanted, as they were written, joined by "," and
    without braces: row i is `rest[rest_offsets[i]:rest_offsets[i + 1]]`.
    """

    line: npt.NDArray[np.int64]  # [n] number of the line inside the block, from 0; blank lines count
    start: npt.NDArray[np.int64]  # [n]
    end: npt.NDArray[np.int64]  # [n] without "\n" or "\r\n"
    error: npt.NDArray[np.int16]  # [n] 0, or a code for `message`
    error_at: npt.NDArray[np.int64]  # [n] byte offset inside the line; 0 where there is no error
    kind: npt.NDArray[np.uint8]  # [n, k] ABSENT, STRING, ...; ABSENT on a line with an error
    value_start: npt.NDArray[np.int64]  # [n, k] quotes, brackets included, white space around it not
    value_end: npt.NDArray[np.int64]  # [n, k]
    rest_offsets: npt.NDArray[np.int64]  # [n + 1]
    rest: npt.NDArray[np.uint8]
    shape: npt.NDArray[np.uint64]  # [n] a hash of the top level keys and the kinds of their values, in order


def message(code: int) -> str:
    """Says what an `error` code means, for people. The empty string for 0."""
    return _MESSAGES[code]


def count_lines(block: Block) -> int:
    """Counts the newlines in a block."""
    return block.count(b"\n") if isinstance(block, bytes) else int(np.count_nonzero(_as_array(block) == 0x0A))


def scan(block: Block, wanted: Sequence[str], array_as: str | None = None) -> Scan:
    """Finds the lines of a block and the values of the wanted top level keys.

    Every line must be an object. With `array_as`, one of the wanted keys, a line may also be an array, which is
    then the value of that key. Where a key is given twice the last one counts, as in `json.loads`. Lines of nothing
    but white space are skipped. Nothing is raised for a broken line: see `Scan.error`.

    Time O(bytes * (1 + k / mean length of a member)), space O(n * k) and at most one block for `rest`.

    Raises ValueError for wanted keys that repeat or cannot be UTF-8, and for an `array_as` that is not wanted.
    """
    if len(set(wanted)) != len(wanted):
        raise ValueError(f"a wanted key is given twice: {', '.join(wanted)}")
    if array_as is not None and array_as not in wanted:
        raise ValueError(f"array_as={array_as!r} is not one of the wanted keys: {', '.join(wanted)}")
    data = _as_array(block)
    keys = [key.encode() for key in wanted]
    key_offsets = np.cumsum([0, *map(len, keys)], dtype=np.int64)
    rows, k = count_lines(block) + 1, len(keys)
    line, start, end, error_at = (np.zeros(rows, np.int64) for _ in range(4))
    error = np.zeros(rows, np.int16)
    kind = np.zeros((rows, k), np.uint8)
    value_start, value_end = np.zeros((rows, k), np.int64), np.zeros((rows, k), np.int64)
    rest_offsets = np.zeros(rows + 1, np.int64)
    rest = np.empty(len(data), np.uint8)
    shape = np.zeros(rows, np.uint64)
    n = scan_lines(
        data,
        np.frombuffer(b"".join(keys), np.uint8),
        key_offsets,
        -1 if array_as is None else wanted.index(array_as),
        np.empty(MAX_DEPTH, np.uint8),
        np.empty(6 * max(map(len, keys), default=0), np.uint8),
        line,
        start,
        end,
        error,
        error_at,
        kind,
        value_start,
        value_end,
        rest_offsets,
        rest,
        shape,
    )
    return Scan(
        line[:n],
        start[:n],
        end[:n],
        error[:n],
        error_at[:n],
        kind[:n],
        value_start[:n],
        value_end[:n],
        rest_offsets[: n + 1],
        rest[: rest_offsets[n]],
        shape[:n],
    )


def strings(
    block: Block, found: Scan, column: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Takes the string values of one wanted key out of a block, unescaped, as UTF-8.

    Returns offsets [n + 1], bytes, and ok [n]; rows that hold no string are empty and not ok. The three are the
    buffers of an Arrow large string array.
    """
    ok = found.kind[:, column] == STRING
    start, end = found.value_start[:, column], found.value_end[:, column]
    offsets = np.zeros(len(ok) + 1, np.int64)
    data = np.empty(int(np.sum((end - start)[ok])), np.uint8)
    take_strings(_as_array(block), start, end, ok, offsets, data)
    return offsets, data[: offsets[-1]], ok


def raw(block: Block, found: Scan, column: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Takes the values of one wanted key out of a block as the JSON text they were written as.

    Returns offsets [n + 1], bytes, and ok [n]; rows where the key is absent are empty and not ok.
    """
    ok = found.kind[:, column] != ABSENT
    start, end = found.value_start[:, column], found.value_end[:, column]
    offsets = np.zeros(len(ok) + 1, np.int64)
    np.cumsum(end - start, out=offsets[1:])
    data = np.empty(int(offsets[-1]), np.uint8)
    take_spans(_as_array(block), start, offsets, data)
    return offsets, data, ok


def _as_array(block: Block) -> npt.NDArray[np.uint8]:
    return np.frombuffer(block, np.uint8)
