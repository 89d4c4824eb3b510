"""What each line is: how many words it has, of what characters, and whether it stands in a block of code."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.lines import Lines

__all__ = ["LineMeasures", "code_lines", "line_measures"]

_TAB, _LF, _CR, _SPACE, _BACKTICK, _TILDE = 0x09, 0x0A, 0x0D, 0x20, 0x60, 0x7E
_CODE_INDENT = 4
_SPACES, _UPPER, _DIGITS, _LETTERS = 1, 2, 4, 8
_TABLE = 0x30000


class LineMeasures(NamedTuple):
    """Counts of each of n lines, int64[n]."""

    words: npt.NDArray[np.int64]
    """As `len(str.split())`."""
    chars: npt.NDArray[np.int64]
    """Code points."""
    upper: npt.NDArray[np.int64]
    """Characters of `str.isupper`."""
    digits: npt.NDArray[np.int64]
    """Characters of `str.isdigit`."""
    letters: npt.NDArray[np.int64]
    """Characters of `str.isalnum`."""


def line_measures(lines: Lines, data: npt.NDArray[np.uint8]) -> LineMeasures:
    """Words and characters of every line. O(bytes); 40 bytes a line and a table of 192 KB."""
    out = np.zeros((len(LineMeasures._fields), len(lines.starts)), np.int64)
    _measure(frozen(lines.starts, np.int64), frozen(lines.ends, np.int64), frozen(data, np.uint8), _kinds(), out)
    return LineMeasures(*out)


def code_lines(lines: Lines, data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """bool[n lines]: the line belongs to a block of code, as CommonMark 0.31 has them (sections 4.4 and 4.5).

    A fence of three or more backticks or tildes, the lines up to the one that closes it, and that one; a block that is never
    closed goes to the end of the text. Indented lines (four columns or more, a tab counts as four) that follow a blank line,
    the beginning, or such a line; blank lines between them are not marked. Unlike CommonMark, a fence may be indented as far
    as it likes, and the second paragraph of a list item is taken for code: this says what to leave alone, and leaving too
    much alone does no harm. Taking out whole lines that are not code never makes code of the rest anything else.

    O(bytes of the lines' beginnings and of those within fences).
    """
    out = np.zeros(len(lines.starts), np.bool_)
    fixed = frozen(lines.starts, np.int64), frozen(lines.ends, np.int64), frozen(lines.bounds, np.int64)
    _code(*fixed, frozen(data, np.uint8), out)
    return out


@functools.cache
def _kinds() -> npt.NDArray[Any]:
    """uint8[3 * 2^16]: bits of what a code point is; planes 3 and up are not told apart and have none."""
    tests = {_SPACES: str.isspace, _UPPER: str.isupper, _DIGITS: str.isdigit, _LETTERS: str.isalnum}
    table = np.zeros(_TABLE, np.uint8)
    for bit, test in tests.items():
        table |= np.fromiter((bit * test(chr(code)) for code in range(_TABLE)), np.uint8, _TABLE)
    return frozen(table, np.uint8)


@njit(cache=True, nogil=True)
def _measure(starts: Any, ends: Any, data: Any, kinds: Any, out: Any) -> None:
    one, two, three, six, low = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(6), np.uint64(0x3F)
    for k in range(len(starts)):
        i, stop = np.uint64(starts[k]), np.uint64(ends[k])
        words, chars, upper, digits, letters, inside = 0, 0, 0, 0, 0, False
        while i < stop:
            b = np.uint64(data[i])
            if b < 0x80:
                kind = kinds[b]
                i += one
            elif b < 0xE0:
                kind = kinds[(b & np.uint64(0x1F)) << six | (data[i + one] & low)]
                i += two
            elif b < 0xF0:
                kind = kinds[((b & np.uint64(0x0F)) << six | (data[i + one] & low)) << six | (data[i + two] & low)]
                i += three
            else:
                code = ((b & np.uint64(0x07)) << six | (data[i + one] & low)) << six | (data[i + two] & low)
                code = code << six | (data[i + three] & low)
                kind = kinds[code] if code < _TABLE else np.uint8(0)
                i += np.uint64(4)
            chars += 1
            if kind & _SPACES:
                inside = False
            else:
                words += not inside
                inside = True
                upper += (kind & _UPPER) != 0
                digits += (kind & _DIGITS) != 0
                letters += (kind & _LETTERS) != 0
        out[0, k], out[1, k], out[2, k], out[3, k], out[4, k] = words, chars, upper, digits, letters


@njit(cache=True, nogil=True)
def _code(starts: Any, ends: Any, bounds: Any, data: Any, out: Any) -> None:
    for d in range(len(bounds) - 1):
        fence, size, indented, before_blank = 0, 0, False, True
        for k in range(bounds[d], bounds[d + 1]):
            i, stop, indent = starts[k], ends[k], 0
            while i < stop and (data[i] == _SPACE or data[i] == _TAB or data[i] == _CR):
                indent += _CODE_INDENT if data[i] == _TAB else 1
                i += 1
            mark, run = 0, i
            if i < stop and (data[i] == _BACKTICK or data[i] == _TILDE):
                mark = data[i]
                while run < stop and data[run] == mark:
                    run += 1
            if size:
                out[k] = True
                if mark == fence and run - i >= size:
                    while run < stop and (data[run] == _SPACE or data[run] == _TAB or data[run] == _CR):
                        run += 1
                    if run == stop:
                        size, indented, before_blank = 0, False, False
                continue
            if i == stop:
                before_blank = True
                continue
            if run - i >= 3:
                length = run - i
                if mark == _BACKTICK:  # what a backtick ends is code within a line
                    while run < stop and data[run] != _BACKTICK:
                        run += 1
                if mark == _TILDE or run == stop:
                    fence, size = mark, length
                    out[k] = True
                    continue
            indented = indent >= _CODE_INDENT and (indented or before_blank)
            out[k] = indented
            before_blank = False
