"""Hashes of the words of every document, and nothing else of them: eight bytes at a time.

What a word is `curate.kernels.words` says. ASCII is folded through a table into a buffer in which whatever parts words is one
byte that UTF-8 never holds. Where words begin and end is then told of 64 bytes at a time, and most words are one or two numbers
of eight bytes. Words with other characters are decoded.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic

from curate.kernels.columns import frozen
from curate.kernels.words import case_table

__all__ = ["folded_hashes"]

_SEED = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd
_PRIME = np.uint64(0xD6E8FEB86659FD93)  # an odd 64-bit multiplier, as in `curate.kernels.words`
_HALF = np.uint64(32)
_ZERO, _ONE, _THREE, _SEVEN, _EIGHT, _SIXTEEN = (np.uint64(k) for k in (0, 1, 3, 7, 8, 16))
_TOP = np.uint64(56)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_GATHER = np.uint64(0x0102040810204080)
_HIGHS = np.uint64(0x8080808080808080)
_START, _RUN, _ALONE = 1, 2, 8  # flags of `curate.kernels.words`
_BETWEEN = 0xFF


def folded_hashes(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], splitter: Literal["unicode", "whitespace"] = "unicode"
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """`(hashes uint64[m], bounds int64[n+1])` of the words of n documents; those of document i are `bounds[i]:bounds[i + 1]`.

    `offsets` int64[n+1] and `data` uint8[...] are the buffers of a LargeString array (valid UTF-8). A hash is of the UTF-8 of
    the word's characters in lower case, one code point to one code point as `words` has it, taken as little-endian numbers of
    eight bytes, and of its length. It is not the one of `words`.

    O(bytes) time, 8 bytes a word, and 5 times the longest document, which may have 4 GB.
    """
    index, flags, delta = case_table(splitter, True)
    n = len(offsets) - 1
    # Two words side by side take at least one separator or are CJK (3 bytes): at most (bytes + 1) / 2 words a document.
    hashes = np.empty((int(offsets[-1] - offsets[0]) + n) // 2, np.uint64)
    bounds = np.zeros(n + 1, np.int64)
    codes = np.arange(128)
    slots = index[0].astype(np.int64) << 8 | codes
    folded = np.arange(256)
    folded[:128] = np.where(flags[slots] & _START, codes + delta[slots], _BETWEEN)
    longest = int(np.max(np.diff(offsets), initial=0))
    m = _hashes(
        frozen(offsets, np.int64), frozen(data, np.uint8), index, flags, delta, frozen(folded, np.uint8),
        np.empty(longest + 80, np.uint8), np.empty(longest + 2, np.uint32), hashes, bounds,
    )  # fmt: skip
    return hashes[:m], bounds


@njit(cache=True, nogil=True)
def _mixed(h: Any) -> Any:
    h *= _PRIME
    return h ^ (h >> _HALF)


@njit(cache=True, nogil=True)
def _finished(h: Any, length: Any) -> Any:
    return _mixed(_mixed(h ^ length))


@njit(cache=True, nogil=True)
def _eight(text: Any, i: Any) -> Any:
    """Eight bytes at i, little endian. Unsigned i: a signed index would be checked for wrapping at every byte."""
    x = _ZERO
    for k in range(8):
        x |= np.uint64(text[i + np.uint64(k)]) << np.uint64(8 * k)
    return x


@njit(cache=True, nogil=True)
def _decode(data: Any, i: int) -> Any:
    """The code point at byte i of valid UTF-8, and its length in bytes."""
    b = np.int64(data[i])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        return (b & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), 2
    if b < 0xF0:
        return (b & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F), 3
    high = (b & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
    return high | (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F), 4


@njit(cache=True, nogil=True)
def _encoded(code: int) -> Any:
    """The UTF-8 of a code point as a little-endian number, and its length in bytes."""
    if code < 0x80:
        return np.uint64(code), 1
    if code < 0x800:
        return np.uint64(0x80C0 | code >> 6 | (code & 0x3F) << 8), 2
    if code < 0x10000:
        return np.uint64(0x8080E0 | code >> 12 | (code >> 6 & 0x3F) << 8 | (code & 0x3F) << 16), 3
    return np.uint64(0x808080F0 | code >> 18 | (code >> 12 & 0x3F) << 8 | (code >> 6 & 0x3F) << 16 | (code & 0x3F) << 24), 4


@intrinsic
def _lowest(typing: Any, x: Any) -> Any:
    """The number of the lowest bit of x that is set; x is not 0."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), code


@njit(cache=True, nogil=True)
def _fold(data: Any, first: Any, n: Any, folded: Any, text: Any) -> None:
    for k in range(n):
        text[k] = folded[data[first + k]]
    for k in range(n, n + np.uint64(64 + 16)):
        text[k] = _BETWEEN


@njit(cache=True, nogil=True)
def _edges(text: Any, n: Any, edges: Any) -> Any:
    """Where bytes of words begin and end, by turns: how many such places there are."""
    found, before, base = _ZERO, _ZERO, _ZERO
    while base <= n:
        inside = _ZERO
        for k in range(8):
            x = ~_eight(text, base + np.uint64(8 * k))
            # The top bit of each byte that is not all ones in `text`; a product brings the eight together.
            some = (((x & ~_HIGHS) + ~_HIGHS) | x) & _HIGHS
            inside |= (((some >> _SEVEN) * _GATHER) >> _TOP) << np.uint64(8 * k)
        turns = inside ^ (inside << _ONE | before)
        before = inside >> np.uint64(63)
        while turns:
            edges[found] = base + _lowest(turns)
            found += _ONE
            turns &= turns - _ONE
        base += np.uint64(64)
    return found


@njit(cache=True, nogil=True)
def _hashes(
    offsets: Any, data: Any, index: Any, flags: Any, delta: Any, folded: Any, text: Any, edges: Any, hashes: Any, bounds: Any
) -> int:
    m = _ZERO
    for d in range(len(offsets) - 1):
        n = np.uint64(offsets[d + 1] - offsets[d])
        _fold(data, np.uint64(offsets[d]), n, folded, text)
        found = _edges(text, n, edges)
        for k in range(_ZERO, found, np.uint64(2)):
            i, end = np.uint64(edges[k]), np.uint64(edges[k + _ONE])
            length = end - i
            # Up to sixteen bytes without a branch: how long the next word is cannot be foreseen.
            eight = _eight(text, i) & (_ALL >> (_SEVEN - min(length - _ONE, _SEVEN) << _THREE))
            more = max(length, _EIGHT) - _EIGHT
            rest = _eight(text, i + _EIGHT) & ((_ONE << (min(more, _SEVEN) << _THREE)) - _ONE)
            rest = _eight(text, i + _EIGHT) if more >= _EIGHT else rest
            h = _mixed(_SEED ^ eight)
            h = _mixed(h ^ rest) if more else h
            other = (eight | rest) & _HIGHS
            if length > _SIXTEEN:
                for j in range(i + _SIXTEEN, end, _EIGHT):
                    part = _eight(text, j)
                    part &= _ALL >> (_SEVEN - min(end - j - _ONE, _SEVEN) << _THREE)
                    other |= part & _HIGHS
                    h = _mixed(h ^ part)
            if not other:
                hashes[m] = _finished(h, length)
                m += _ONE
                continue
            while i < end:
                i, h, count = _other(text, i, end, index, flags, delta)
                if count:
                    hashes[m] = _finished(h, np.uint64(count))
                    m += _ONE
        bounds[d + 1] = m
    return int(m)


@njit(cache=True, nogil=True)
def _other(text: Any, i: Any, n: Any, index: Any, flags: Any, delta: Any) -> Any:
    """Where the word that begins at i ends, its hash before it is finished, and its bytes: 0 where none begins."""
    h, eight, count, alone = _SEED, _ZERO, 0, False
    while i < n:
        code, step = np.int64(text[i]), 1
        if code < 0x80:
            if alone:
                break
        else:
            code, step = _decode(text, np.int64(i))
            slot = np.int64(index[code >> 8]) << 8 | (code & 255)
            flag = flags[slot]
            if count == 0:
                if not flag & _START:
                    return i + np.uint64(step), h, 0
                alone = flag & _ALONE != 0
            elif not flag & _RUN or flag & _ALONE or (alone and flag & _START):
                break
            code += delta[slot]
        i += np.uint64(step)
        encoded, size = _encoded(code)
        for _ in range(size):
            eight |= (encoded & np.uint64(0xFF)) << np.uint64(8 * (count & 7))
            encoded >>= _EIGHT
            count += 1
            if count & 7 == 0:
                h, eight = _mixed(h ^ eight), _ZERO
    return i, _mixed(h ^ eight) if count & 7 else h, count
