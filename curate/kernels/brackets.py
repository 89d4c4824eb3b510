"""Runs of short brackets in prose, `[1]` or `[a][b]`: where citation marks may stand."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.lines import Lines

__all__ = ["Brackets", "brackets"]

_TAB, _CR, _SPACE, _BACKTICK, _TILDE, _BACKSLASH = 0x09, 0x0D, 0x20, 0x60, 0x7E, 0x5C
_OPEN, _CLOSE, _ROUND, _COLON = 0x5B, 0x5D, 0x28, 0x3A
_UNDERSCORE, _DOT, _EQUALS, _SEMICOLON, _APOSTROPHE, _HYPHEN = 0x5F, 0x2E, 0x3D, 0x3B, 0x27, 0x2D
_CONTENT = 40  # bytes within a pair of brackets


class Brackets(NamedTuple):
    """n runs, in order: bytes `starts[k]:ends[k]` are the brackets, `cut_starts[k]:cut_ends[k]` them and the blanks that are
    one too many without them."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    cut_starts: npt.NDArray[np.int64]
    cut_ends: npt.NDArray[np.int64]
    no_number: npt.NDArray[np.bool_]
    """A number in them would be no citation: see `brackets`."""


def brackets(lines: Lines, data: npt.NDArray[np.uint8], code: npt.NDArray[np.bool_]) -> Brackets:
    """Runs of adjacent pairs of brackets, each with 1 to 40 bytes and no bracket within, that may be marks of a text.

    Left out: those on lines that bool[n lines] `code` marks, between backticks, within other brackets, after a backslash;
    those that `(` follows (a link) or a combining accent (it would go to another letter), or, at the start of a line, `:` (what
    a link means), a backtick or a tilde (without the brackets a fence would begin there).
    A number is no citation but an entry of a list at the start of a line, behind the `..` of reStructuredText too; part of its
    `[1]_`; an index or a value behind `]`, behind `:` or `=` and a blank, behind a word with ASCII signs in it
    (`sys.version_info[1]`), and behind a word of letters and digits with `:`, `;` or `=` following (`sshd[430]:`).
    O(bytes), two passes.
    """
    fixed = frozen(lines.starts, np.int64), frozen(lines.ends, np.int64), frozen(data, np.uint8), frozen(code, np.bool_)
    nothing = np.empty((5, 0), np.int64)
    out = np.empty((5, _find(*fixed, nothing)), np.int64)
    _find(*fixed, out)
    return Brackets(out[0], out[1], out[2], out[3], out[4] != 0)


@njit(cache=True, nogil=True)
def _pair(data: Any, i: int, stop: int) -> int:
    """End of the pair of brackets that opens at byte i; i when it is none."""
    k = i + 1
    while k < stop and k - i <= _CONTENT + 1:
        if data[k] == _OPEN:
            return i
        if data[k] == _CLOSE:
            return k + 1 if k > i + 1 else i
        k += 1
    return i


@njit(cache=True, nogil=True)
def _blank(b: Any) -> bool:
    return b in (_SPACE, _TAB)


@njit(cache=True, nogil=True)
def _ends_word(b: Any) -> bool:
    """Blanks and ASCII marks that stand close behind a word."""
    return _blank(b) or b in (_CR, _COLON) or b == 44 or b == 46 or b == 59 or b == 33 or b == 63 or b == 41


@njit(cache=True, nogil=True)
def _index(data: Any, begin: int, start: int, end: int, stop: int) -> bool:
    """Whether a number in brackets from `start` to `end`, on the line from `begin` to `stop`, is an index or a value."""
    after = data[end] if end < stop else _SPACE
    if after == _UNDERSCORE:
        return True
    i = start
    while i > begin and _blank(data[i - 1]):
        i -= 1
    before = data[i - 1]
    if i < start:
        labels = before == _DOT and i == begin + 2 and data[begin] == _DOT
        return labels or before in (_COLON, _EQUALS)
    if before in (_CLOSE, _UNDERSCORE):
        return True
    if not _word(before):
        return False
    if after in (_COLON, _SEMICOLON, _EQUALS):
        return True
    while i > begin and not _blank(data[i - 1]) and data[i - 1] != _CLOSE:
        b = data[i - 1]
        if b < 0x80 and not _word(b) and b != _APOSTROPHE and b != _HYPHEN:
            return True
        i -= 1
    return False


@njit(cache=True, nogil=True)
def _word(b: Any) -> bool:
    return bool(0x30 <= b <= 0x39 or 0x41 <= b & 0xDF <= 0x5A)


@njit(cache=True, nogil=True)
def _find(starts: Any, ends: Any, data: Any, code: Any, out: Any) -> int:
    """Writes the runs where there is room; how many there are."""
    n, fill = 0, out.shape[1] > 0
    for line in range(len(starts)):
        if code[line]:
            continue
        begin, stop = starts[line], ends[line]
        i, depth, ticks = begin, 0, 0
        while i < stop:
            b = data[i]
            if b == _BACKTICK:
                run = i
                while run < stop and data[run] == _BACKTICK:
                    run += 1
                if ticks == 0:
                    ticks = run - i
                elif ticks == run - i:
                    ticks = 0
                i = run
                continue
            if b == _CLOSE and depth:
                depth -= 1
            if b != _OPEN:
                i += 1
                continue
            end = _pair(data, i, stop)
            if end == i:
                depth += 1
                i += 1
                continue
            last = end
            while last < stop and data[last] == _OPEN and _pair(data, last, stop) > last:
                last = _pair(data, last, stop)
            first = i
            while first > begin and _blank(data[first - 1]):
                first -= 1
            after = last
            while after < stop and _blank(data[after]):
                after += 1
            leads = first == begin
            following = data[last] if last < stop else np.uint8(0)
            accent = following == 0xCC or following == 0xCD  # U+0300 to U+037F
            no_mark = ticks or depth or following in (_ROUND, _OPEN) or accent
            no_mark = no_mark or (i > begin and data[i - 1] == _BACKSLASH)
            if leads:
                fence = after < stop and (data[after] == _BACKTICK or data[after] == _TILDE)
                no_mark = no_mark or following == _COLON or fence
            if not no_mark:
                if fill:
                    out[0, n], out[1, n] = i, last
                    out[2, n] = first if not leads and (last == stop or _ends_word(following)) else i
                    out[3, n] = after if leads else last
                    out[4, n] = leads or _index(data, begin, i, last, stop)
                n += 1
            i = last
    return n
