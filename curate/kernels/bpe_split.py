"""Where byte-level BPE cuts text before it merges: the split patterns of well-known tokenizers as state machines.

Each pattern is a regular expression that tries its alternatives in order at every place; `pieces` gives the same cuts
without backtracking. What is a letter, number, space or mark is not this module's to say: it comes as a table of all code
points, so that it can be that of the engine that the cuts must agree with.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["Classes", "Pattern", "make_classes", "pieces"]

Pattern = Literal["gpt2", "llama3", "qwen2", "o200k"]

_LETTER, _NUMBER, _SPACE, _OTHER, _BREAK, _UPPER, _LOWER = 1, 2, 4, 8, 16, 32, 64
"""`_BREAK`: \\r or \\n, spaces too. `_OTHER`: no letter, number or space. `_UPPER` and `_LOWER`: what may stand in the first
and the second part of a word of o200k; letters without case and marks are both."""

_LETTERS_DIGITS = {"gpt2": (0, 0), "llama3": (1, 3), "qwen2": (1, 1), "o200k": (2, 3)}
"""How a pattern cuts words, and how many digits at most stand together (0: any number)."""


class Classes(NamedTuple):
    """Two-stage table of all code points: the block of each 256, then the flags of each code point in the block."""

    index: npt.NDArray[np.uint8]
    """uint8[0x1100]"""
    flags: npt.NDArray[np.uint8]
    """uint8[256 * blocks]; the first block is that of the code points below 256."""


def make_classes(
    letters: npt.NDArray[np.bool_],
    numbers: npt.NDArray[np.bool_],
    spaces: npt.NDArray[np.bool_],
    upper: npt.NDArray[np.bool_],
    lower: npt.NDArray[np.bool_],
) -> Classes:
    r"""The table from five bool[0x110000]: \p{L}, \p{N}, \s, [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], [\p{Ll}\p{Lm}\p{Lo}\p{M}].

    Raises ValueError when a code point is two of letter, number and space, or there are more than 256 different blocks.
    """
    if (letters & numbers | letters & spaces | numbers & spaces).any():
        raise ValueError("a code point is in two of the classes letter, number and space")
    flags = letters * _LETTER + numbers * _NUMBER + spaces * _SPACE + upper * _UPPER + lower * _LOWER
    flags += ~(letters | numbers | spaces) * _OTHER
    flags[[10, 13]] |= _BREAK
    blocks: dict[bytes, int] = {}
    rows = flags.astype(np.uint8).reshape(-1, 256)
    index = [blocks.setdefault(row.tobytes(), len(blocks)) for row in rows]
    if len(blocks) > 256:
        raise ValueError(f"{len(blocks)} different blocks of code points; there is room for 256")
    return Classes(frozen(np.array(index), np.uint8), frozen(np.frombuffer(b"".join(blocks), np.uint8), np.uint8))


def pieces(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], pattern: Pattern, classes: Classes
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`(ends int64[m], bounds int64[n+1])`: document i is cut after bytes `ends[bounds[i]:bounds[i + 1]]`.

    `offsets` int64[n+1] and `data` uint8[...] are the buffers of a LargeString array (valid UTF-8). The last cut of a
    document is its end; an empty one has none. O(bytes) for every input. Room is reserved for one piece a byte, of which
    the system only backs what is written.
    """
    ends, bounds = np.empty(int(offsets[-1] - offsets[0]), np.int64), np.zeros(len(offsets), np.int64)
    words, digits = _LETTERS_DIGITS[pattern]
    m = _pieces(frozen(offsets, np.int64), frozen(data, np.uint8), classes.index, classes.flags, words, digits, ends, bounds)
    return ends[:m], bounds


@njit(cache=True, nogil=True)
def _look(data: Any, i: Any, index: Any, flags: Any) -> Any:
    """The flags of the character at byte i of valid UTF-8, and its length in bytes."""
    b = np.int64(data[i])
    if b < 0x80:
        return flags[b], 1
    if b < 0xE0:
        code, step = (b & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), 2
    elif b < 0xF0:
        code, step = (b & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F), 3
    else:
        high = (b & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
        code, step = high | (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F), 4
    return flags[np.int64(index[code >> 8]) << 8 | (code & 255)], step


@njit(cache=True, nogil=True)
def _run(data: Any, i: Any, stop: Any, index: Any, flags: Any, mask: Any) -> Any:
    """Past the characters from i on that have a flag of `mask`."""
    while i < stop:
        flag, step = _look(data, i, index, flags)
        if not flag & mask:
            break
        i += step
    return i


@njit(cache=True, nogil=True)
def _contraction(data: Any, i: Any, stop: Any, fold: Any) -> Any:
    """Past 's 't 're 've 'm 'll 'd at byte i, or i. `fold`: in any case, and then U+017F, the long s, is an s too."""
    if i + 1 >= stop or data[i] != 39:
        return i
    case = np.uint8(32) if fold else np.uint8(0)
    a = data[i + 1] | case
    if a == 115 or a == 116 or a == 109 or a == 100:
        return i + 2
    if i + 2 >= stop:
        return i
    if fold and data[i + 1] == 0xC5 and data[i + 2] == 0xBF:
        return i + 3
    b = data[i + 2] | case
    if ((a == 114 or a == 118) and b == 101) or (a == 108 and b == 108):
        return i + 3
    return i


@njit(cache=True, nogil=True)
def _blank(data: Any, i: Any, stop: Any, index: Any, flags: Any, breaks: Any) -> Any:
    r"""Past what `\s+(?!\S)|\s+` matches at i, where a space stands; with `breaks` `\s*[\r\n]+` comes first."""
    first = i
    last = i
    cut = i
    while i < stop:
        flag, step = _look(data, i, index, flags)
        if not flag & _SPACE:
            break
        last = i
        i += step
        if flag & _BREAK:
            cut = i
    if breaks and cut > first:
        return cut
    # The last space before a word is left to the word, unless it is the only one.
    return i if i == stop or last == first else last


@njit(cache=True, nogil=True)
def _cased(data: Any, i: Any, stop: Any, index: Any, flags: Any) -> Any:
    """Past a word of o200k from i on: upper-case characters, then lower-case ones; i: there is none.

    Characters that are both go to the first part, but for one that is given back where the second would have none.
    """
    both = i
    k = i
    while k < stop:
        flag, step = _look(data, k, index, flags)
        if not flag & _UPPER:
            if flag & _LOWER:
                return _run(data, k, stop, index, flags, _LOWER)
            break
        k += step
        if flag & _LOWER:
            both = k
    # Where every character is upper case only, the alternative without lower case takes them all.
    return both if both > i else k


@njit(cache=True, nogil=True)
def _word_o200k(data: Any, i: Any, stop: Any, index: Any, flags: Any) -> Any:
    """Past a word of o200k with the character before it and the contraction after it; i: there is none."""
    flag, step = _look(data, i, index, flags)
    lead = not flag & (_LETTER | _NUMBER | _BREAK)
    end = i
    if lead:
        after = i + step
        end = _cased(data, after, stop, index, flags)
        if end == after:
            end = i
        if flag & _UPPER and (end == i or not _has_lower(data, after, end, index, flags)):
            # A mark that leads upper case only is a word alone: the first alternative takes it as its lower case.
            end = after
    else:
        end = _cased(data, i, stop, index, flags)
    return _contraction(data, end, stop, True) if end > i else i


@njit(cache=True, nogil=True)
def _has_lower(data: Any, i: Any, stop: Any, index: Any, flags: Any) -> Any:
    """Whether a word cut by `_cased` has a character that may be lower case."""
    while i < stop:
        flag, step = _look(data, i, index, flags)
        if flag & _LOWER:
            return True
        i += step
    return False


@njit(cache=True, nogil=True)
def _pieces(offsets: Any, data: Any, index: Any, flags: Any, words: Any, digits: Any, ends: Any, bounds: Any) -> int:
    m = 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        while i < stop:
            flag, step = _look(data, i, index, flags)
            end = i
            if words == 2:
                end = _word_o200k(data, i, stop, index, flags)
            elif flag & _OTHER:
                end = _contraction(data, i, stop, words > 0)
            if end > i:
                i = end
            elif flag & _LETTER:
                i = _run(data, i + step, stop, index, flags, _LETTER)
            elif flag & _NUMBER:
                i += step
                if digits == 0:
                    i = _run(data, i, stop, index, flags, _NUMBER)
                for _ in range(1, digits):
                    if i < stop:
                        flag, step = _look(data, i, index, flags)
                        if flag & _NUMBER:
                            i += step
                        else:
                            break
            else:
                after = i + step
                following, next_step = np.uint8(0), 1
                if after < stop:
                    following, next_step = _look(data, after, index, flags)
                blank = data[i] == 32
                if following & _LETTER and ((words == 1 and not flag & _BREAK) or (words == 0 and blank)):
                    i = _run(data, after + next_step, stop, index, flags, _LETTER)
                elif flag & _OTHER or (blank and following & _OTHER):
                    i = _run(data, after, stop, index, flags, _OTHER)
                    if words:
                        while i < stop and (data[i] == 10 or data[i] == 13 or (words == 2 and data[i] == 47)):
                            i += 1
                elif words == 0 and blank and following & _NUMBER:
                    i = _run(data, after + next_step, stop, index, flags, _NUMBER)
                else:
                    i = _blank(data, i, stop, index, flags, words > 0)
            ends[m] = i
            m += 1
        bounds[d + 1] = m
    return m
