"""The text of HTML tokens as characters: references resolved, and what shows nothing left out."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.html_names import names
from curate.kernels.html_tokens import Tokens

__all__ = ["resolve"]

_OPENS, _CLOSES, _LINKS, _VERBATIM = 1, 2, 4, 8  # of html_tokens
_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
NO_BREAK = 0x01
"""Stands for a no-break space: at the start of a line it is indentation, as code on pages without `pre` has it."""

_LONGEST = 32  # characters of the longest name of a reference, with its semicolon
# What the numbers 0x80 to 0x9F mean in references: windows-1252.
_WINDOWS = np.frombuffer(bytes(range(0x80, 0xA0)).decode("cp1252", "replace").encode("utf-32-le"), np.uint32).astype(np.int64)


def resolve(data: npt.NDArray[np.uint8], tokens: Tokens) -> tuple[npt.NDArray[np.uint8], Tokens]:
    """`(data uint8[...], tokens)` where the bytes that text tokens and addresses of links name are characters.

    Character references (WHATWG HTML 13.2.5.72 to 13.2.5.80) are resolved; no-break spaces become the byte NO_BREAK, which text
    holds nowhere else; ideographic spaces become spaces;
    soft hyphens, zero-width spaces, byte order marks and control characters are left out. O(bytes).
    """
    n = names()
    data = frozen(data, np.uint8)
    made = tokens.tokens.copy()
    # A reference grows by a fifth at most (`&nGt;`).
    out = np.empty(len(data) + len(data) // 4 + 64, np.uint8)
    size = _resolve(data, n.entity_hash, n.entity_value, n.char_class, made, out)
    return out[:size], tokens._replace(tokens=made)


@njit(cache=True, nogil=True)
def _utf8(code: Any) -> Any:
    """A code point as packed bytes: the first lowest, their number in the top byte."""
    if code < 0x80:
        return np.uint64(code | 1 << 56)
    if code < 0x800:
        return np.uint64((0xC0 | code >> 6) | (0x80 | code & 0x3F) << 8 | 2 << 56)
    if code < 0x10000:
        return np.uint64((0xE0 | code >> 12) | (0x80 | code >> 6 & 0x3F) << 8 | (0x80 | code & 0x3F) << 16 | 3 << 56)
    tail = (0x80 | code >> 12 & 0x3F) << 8 | (0x80 | code >> 6 & 0x3F) << 16 | (0x80 | code & 0x3F) << 24
    return np.uint64((0xF0 | code >> 18) | tail | 4 << 56)


@njit(cache=True, nogil=True)
def _reference(data: Any, i: Any, stop: Any, keys: Any, values: Any) -> tuple[Any, Any]:
    """The character reference at the `&` at byte i: (byte behind it, packed characters); (i, 0) when it is none."""
    k = i + 1
    if k < stop and data[k] == 0x23:  # number sign
        k += 1
        hexadecimal = k < stop and (data[k] | 0x20) == 0x78
        k += 1 if hexadecimal else 0
        code: Any = np.int64(0)
        first = k
        while k < stop:
            b = np.int64(data[k])
            if b > 0x40:
                b |= 0x20
            if 0x30 <= b <= 0x39:
                digit = b - 0x30
            elif hexadecimal and 0x61 <= b <= 0x66:
                digit = b - 0x57
            else:
                break
            code = min(code * (16 if hexadecimal else 10) + digit, 0x110000)
            k += 1
        if k == first:
            return i, np.uint64(0)
        if k < stop and data[k] == 0x3B:
            k += 1
        if 0x80 <= code < 0xA0:
            code = _WINDOWS[code - 0x80]
        if code == 0 or code > 0x10FFFF or 0xD800 <= code < 0xE000:
            code = 0xFFFD
        return k, _utf8(code)
    value, found, packed = _OFFSET, i, np.uint64(0)
    last = np.uint64(len(keys) - 1)
    while k < stop and k - i <= _LONGEST:
        b = data[k]
        letter = 0x30 <= b <= 0x39 or 0x41 <= (b & 0xDF) <= 0x5A
        if not letter and b != 0x3B:
            break
        value = (value ^ np.uint64(b)) * _PRIME
        k += 1
        slot = value & last
        while keys[slot] != 0 and keys[slot] != value:
            slot = (slot + np.uint64(1)) & last
        if keys[slot] != 0:
            found, packed = k, values[slot]
        if not letter:
            break
    return found, packed


@njit(cache=True, nogil=True)
def _nothing(data: Any, i: Any, stop: Any) -> tuple[Any, Any]:
    """Bytes of the character at byte i if it shows nothing or a space, else 0; the byte that stands for it, 0 for nothing."""
    b = data[i]
    c = data[i + 1] if i + 1 < stop else np.uint8(0)
    d = data[i + 2] if i + 2 < stop else np.uint8(0)
    if b == 0xC2:
        return (2, NO_BREAK if c == 0xA0 else 0) if c == 0xA0 or c == 0xAD or c < 0xA0 else (0, 0)
    if b == 0xE2:
        return (3, 0) if c == 0x80 and d == 0x8B else (0, 0)
    if b == 0xE3:
        return (3, 0x20) if c == 0x80 and d == 0x80 else (0, 0)
    return (3, 0) if b == 0xEF and c == 0xBB and d == 0xBF else (0, 0)


@njit(cache=True, nogil=True)
def _resolve(data: Any, keys: Any, values: Any, classes: Any, tokens: Any, out: Any) -> Any:
    w, few = 0, np.empty(8, np.uint8)
    for t in range(len(tokens)):
        what = tokens[t, 0]
        link = what & _LINKS != 0
        if what & (_OPENS | _CLOSES) and not link:
            continue
        i, stop = tokens[t, 1], tokens[t, 2]
        tokens[t, 1] = w
        while i < stop:
            b = data[i]
            kind = classes[b]
            if kind < 10:
                out[w] = b
                w += 1
                i += 1
            elif kind == 10:
                i += 1
            elif kind == 11 and not what & _VERBATIM:
                step, packed = _reference(data, i, stop, keys, values)
                if step == i:
                    out[w] = b
                    w += 1
                    i += 1
                    continue
                i = step
                size: Any = np.int64(packed >> np.uint64(56))
                for k in range(size):
                    few[k] = packed & np.uint64(0xFF)
                    packed >>= np.uint64(8)
                gone, space = _nothing(few, 0, size)
                if gone:
                    few[0], size = space, 1 if space else 0
                elif classes[few[0]] == 10:
                    size = 0
                for k in range(size):
                    out[w] = few[k]
                    w += 1
            else:
                gone, space = _nothing(data, i, stop)
                if space:
                    out[w] = space
                    w += 1
                if not gone:
                    out[w] = b
                    w += 1
                i += max(gone, 1)
        tokens[t, 2] = w
    return w
