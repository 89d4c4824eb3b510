"""Where byte-level BPE cuts text before it merges: the split patterns of well-known tokenizers as state machines.

Each pattern is a regular expression that tries its alternatives in order at every place; `pieces` gives the same cuts
without backtracking. What is a letter, number, space or mark is not this module's to say: it comes as a table of all code
points, so that it can be that of the engine that the cuts must agree with.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["Classes", "Pattern", "make_classes", "pieces"]

Pattern = Literal["gpt2", "llama3", "qwen2", "o200k"]

_LETTER, _NUMBER, _SPACE, _OTHER, _BREAK, _UPPER, _LOWER = 1, 2, 4, 8, 16, 32, 64
"""`_BREAK`: \\r or \\n, spaces too. `_OTHER`: no letter, number or space. `_UPPER` and `_LOWER`: what may stand in the first
and the second part of a word of o200k; letters without case and marks are both."""

_ANY = 1 << 62
"""Any number of digits stand together."""

_DIGITS: dict[Pattern, int] = {"gpt2": _ANY, "llama3": 3, "qwen2": 1, "o200k": 3}

Classes = npt.NDArray[np.int32]
"""int32[...]: a table to walk with the bytes of a character. What stands at the first byte is its flags, below 256, or else
where to look on, from there at the low six bits of the next byte."""


def make_classes(
    letters: npt.NDArray[np.bool_],
    numbers: npt.NDArray[np.bool_],
    spaces: npt.NDArray[np.bool_],
    upper: npt.NDArray[np.bool_],
    lower: npt.NDArray[np.bool_],
) -> Classes:
    r"""The table from five bool[0x110000]: \p{L}, \p{N}, \s, [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], [\p{Ll}\p{Lm}\p{Lo}\p{M}].

    Raises ValueError when a code point is two of letter, number and space.
    """
    if (letters & numbers | letters & spaces | numbers & spaces).any():
        raise ValueError("a code point is in two of the classes letter, number and space")
    flags = letters * _LETTER + numbers * _NUMBER + spaces * _SPACE + upper * _UPPER + lower * _LOWER
    flags += ~(letters | numbers | spaces) * _OTHER
    flags[[10, 13]] |= _BREAK
    parts: dict[bytes, int] = {}

    def part(entries: npt.NDArray[np.int32]) -> int:
        return 256 + 64 * parts.setdefault(entries.tobytes(), len(parts))

    # Up a level at a time: what six bits, then twelve, then eighteen lead to.
    last = np.array([part(row) for row in flags.astype(np.int32).reshape(-1, 64)], np.int32)
    middle = np.array([part(row) for row in last.reshape(-1, 64)], np.int32)
    high = [part(np.resize(middle[i : i + 64], 64)) for i in range(0, len(middle), 64)]
    first = np.zeros(256, np.int32)
    first[:0x80] = flags[:0x80]
    first[0xC0:0xE0], first[0xE0:0xF0], first[0xF0 : 0xF0 + len(high)] = last[:32], middle[:16], high
    return frozen(np.concatenate([first, np.frombuffer(b"".join(parts), np.int32)]), np.int32)


def pieces(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    pattern: Pattern,
    classes: Classes,
    digits: int | None = None,
    room: npt.NDArray[np.int64] | None = None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`(ends int64[m], bounds int64[n+1])`: document i is cut after bytes `ends[bounds[i]:bounds[i + 1]]`.

    `digits`: how many digits stand together at most, 0 for any number; None: what the pattern has. `offsets` int64[n+1] and
    `data` uint8[...] are the buffers of a LargeString array (valid UTF-8). The last cut of a
    document is its end; an empty one has none. O(bytes) for every input. `ends` stands in `room` where that has a place for
    every byte.
    """
    most = int(offsets[-1] - offsets[0])
    ends = room if room is not None and len(room) >= most else np.empty(most, np.int64)
    bounds = np.zeros(len(offsets), np.int64)
    fixed = frozen(offsets, np.int64), frozen(data, np.uint8), classes
    together = _DIGITS[pattern] if digits is None else digits or _ANY
    if pattern == "o200k":
        m = _pieces_o200k(*fixed, together, ends, bounds)
    else:
        m = _pieces(*fixed, pattern != "gpt2", together, ends, bounds)
    return ends[:m], bounds


@njit(cache=True, nogil=True)
def _contraction(a: Any, b: Any, fold: Any) -> Any:
    """How many bytes of s, t, re, ve, m, ll, d the bytes after an apostrophe begin with. `fold`: in any case, and then
    U+017F, the long s, is an s too."""
    if fold:
        if a == 0xC5 and b == 0xBF:
            return 2
        a |= 32
        b |= 32
    if a == 115 or a == 116 or a == 109 or a == 100:
        return 1
    return 2 if ((a == 114 or a == 118) and b == 101) or (a == 108 and b == 108) else 0


# The kernels below look characters up where they need them, in three lines, and not in a function: one that takes arrays
# counts references to them at every call, which is six times slower.


@njit(cache=True, nogil=True)
def _pieces(offsets: Any, data: Any, table: Any, modern: Any, digits: Any, ends: Any, bounds: Any) -> int:
    """gpt2, or with `modern` llama3 and qwen2: any character may lead a word, and line breaks are kept together."""
    m = 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            flag, after = table[np.uint64(data[np.uint64(i)])], i + 1
            while flag >= 256:
                flag = table[np.uint64(flag + (data[np.uint64(after)] & 63))]
                after += 1
            if flag & _LETTER:
                mask, left, i = _LETTER, _ANY, after
            elif flag & _NUMBER:
                mask, left, i = _NUMBER, digits - 1, after
            else:
                byte = data[np.uint64(i)]
                if byte == 39 and after < stop:
                    size = _contraction(data[i + 1], data[i + 2] if i + 2 < stop else np.uint8(0), modern)
                    if size:
                        i = after + size
                        ends[m] = i
                        m += 1
                        continue
                following, then = np.int32(0), after
                if after < stop:
                    following, then = table[np.uint64(data[np.uint64(after)])], after + 1
                    while following >= 256:
                        following = table[np.uint64(following + (data[np.uint64(then)] & 63))]
                        then += 1
                left = _ANY
                if following & _LETTER and (byte == 32 or (modern and not flag & _BREAK)):
                    mask, i = _LETTER, then
                elif flag & _OTHER:
                    mask, i = _OTHER, after
                elif byte == 32 and following & _OTHER:
                    mask, i = _OTHER, then
                elif byte == 32 and following & _NUMBER and not modern:
                    mask, left, i = _NUMBER, digits - 1, then
                else:
                    mask = _SPACE
            first = last = cut = i
            while i < stop and left > 0:
                flag, after = table[np.uint64(data[np.uint64(i)])], i + 1
                while flag >= 256:
                    flag = table[np.uint64(flag + (data[np.uint64(after)] & 63))]
                    after += 1
                if not flag & mask:
                    break
                last = i
                i = after
                left -= 1
                if flag & _BREAK:
                    cut = i
            if mask == _OTHER and modern:
                while i < stop and (data[i] == 10 or data[i] == 13):
                    i += 1
            elif mask == _SPACE:
                if modern and cut > first:
                    i = cut
                elif i < stop and last > first:
                    # The last space before a word is left to the word.
                    i = last
            ends[m] = i
            m += 1
        bounds[d + 1] = m
    return m


@njit(cache=True, nogil=True)
def _pieces_o200k(offsets: Any, data: Any, table: Any, digits: Any, ends: Any, bounds: Any) -> int:
    m = 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            flag, after = table[np.uint64(data[np.uint64(i)])], i + 1
            while flag >= 256:
                flag = table[np.uint64(flag + (data[np.uint64(after)] & 63))]
                after += 1
            # A word: upper case, then lower case; what is both goes to the first, but for one that is given back where the
            # second would have none. Any character but a letter, number or line break may lead.
            lead = not flag & (_LETTER | _NUMBER | _BREAK)
            begin = after if lead else i
            k = both = begin
            cased = np.int32(_UPPER)
            while k < stop:
                found, then = table[np.uint64(data[np.uint64(k)])], k + 1
                while found >= 256:
                    found = table[np.uint64(found + (data[np.uint64(then)] & 63))]
                    then += 1
                if not found & cased:
                    if not found & _LOWER:
                        break
                    cased = np.int32(_LOWER)
                k = then
                if found & _LOWER:
                    both = k
            if both > begin:
                end = both
            elif lead and flag & _UPPER:
                # A mark before upper case alone, or nothing: the first alternative takes it as its lower case.
                end = after
            else:
                end = k if k > begin else i
            if end > i:
                if end + 1 < stop and data[end] == 39:
                    size = _contraction(data[end + 1], data[end + 2] if end + 2 < stop else np.uint8(0), True)
                    end += size + 1 if size else 0
                i = end
                ends[m] = i
                m += 1
                continue
            mask, left = _SPACE, _ANY
            if flag & _NUMBER:
                mask, left = _NUMBER, digits
            elif flag & _OTHER:
                mask = _OTHER
            elif data[i] == 32 and after < stop:
                found, then = table[np.uint64(data[np.uint64(after)])], after + 1
                while found >= 256:
                    found = table[np.uint64(found + (data[np.uint64(then)] & 63))]
                    then += 1
                if found & _OTHER:
                    mask, i = _OTHER, after
            first = last = cut = i
            while i < stop and left > 0:
                flag, after = table[np.uint64(data[np.uint64(i)])], i + 1
                while flag >= 256:
                    flag = table[np.uint64(flag + (data[np.uint64(after)] & 63))]
                    after += 1
                if not flag & mask:
                    break
                last = i
                i = after
                left -= 1
                if flag & _BREAK:
                    cut = i
            if mask == _OTHER:
                while i < stop and (data[i] == 10 or data[i] == 13 or data[i] == 47):
                    i += 1
            elif mask == _SPACE:
                if cut > first:
                    i = cut
                elif i < stop and last > first:
                    i = last
            ends[m] = i
            m += 1
        bounds[d + 1] = m
    return m
