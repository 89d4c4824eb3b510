"""Turns of conversations inside JSON text: found, and written as chats, by moving the bytes of their strings.

A turn is a code of who speaks and the span of the string literal that is said, quotes included. A row's turns are
those from `rows[i]` to `rows[i + 1]`. Strings leave as `json.dumps(s, ensure_ascii=False)` writes them, however they came.

All kernels are O(bytes) and take JSON that `json_lines.scan` found right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["MORE", "ROLES", "Turns", "find", "said", "write"]

ROLES = ("system", "developer", "user", "assistant", "tool")
"""The roles by code."""

MORE = len(ROLES)
"""Code of a text that belongs to the turn before it, a blank line between."""

_SAYS, _LONE = 1, 2

_BYTES = numba.types.Array(numba.uint8, 1, "C", readonly=True)
_LONGS = numba.int64[::1]
_FLAGS = numba.boolean[::1]
_CHUNK = np.uint64(32)
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_HEX = np.zeros(256, np.uint8)
for _digit in b"0123456789abcdefABCDEF":
    _HEX[_digit] = int(chr(_digit), 16)
# The letter behind the backslash for the characters that have one of their own, else 0.
_LETTER = np.zeros(128, np.uint8)
_LETTER[list(b'"\\\b\f\n\r\t')] = list(b'"\\bfnrt')

_HEADS = [f'{{"role":"{role}","content":"'.encode() for role in ROLES]
_HEAD_BYTES = np.frombuffer(b"".join(_HEADS), np.uint8)
_HEAD_OFFSETS = np.cumsum([0, *map(len, _HEADS)], dtype=np.int64)
_ROOM = max(map(len, _HEADS)) + 4
"""Bytes that a turn takes up beside what is said, at most."""


class Turns(NamedTuple):
    """Turns of n rows, m in all. A row that is not plain has none."""

    plain: npt.NDArray[np.bool_]  # [n]
    rows: npt.NDArray[np.int64]  # [n + 1]
    code: npt.NDArray[np.uint8]  # [m]
    start: npt.NDArray[np.int64]  # [m]
    end: npt.NDArray[np.int64]  # [m]


def find(
    block: npt.NDArray[np.uint8],
    start: npt.NDArray[np.int64],
    end: npt.NDArray[np.int64],
    arrays: npt.NDArray[np.bool_],
    keys: tuple[Sequence[str], Sequence[str]],
    roles: dict[str, int],
) -> Turns:
    """The turns of the arrays at the spans `start`, `end` of the rows where `arrays` says that one is.

    A row is plain when its array has one message at least, and every message has two members and no more: a string called
    as one of `keys[0]`, which is one of `roles` and gives the code, and a string called as one of `keys[1]` that surely says
    something (`said`).
    """
    cap = int(np.sum((end - start)[arrays])) // 16 + 1
    code = np.empty(cap, np.uint8)
    turn_start, turn_end = np.empty(cap, np.int64), np.empty(cap, np.int64)
    plain, rows = arrays.copy(), np.zeros(len(start) + 1, np.int64)
    found = _find_turns(
        block,
        np.ascontiguousarray(start),
        np.ascontiguousarray(end),
        *_table([*keys[0], *keys[1]]),
        len(keys[0]),
        *_table(list(roles)),
        np.array(list(roles.values()), np.uint8),
        plain,
        rows,
        code,
        turn_start,
        turn_end,
    )
    return Turns(plain, rows, code[:found], turn_start[:found], turn_end[:found])


def said(
    block: npt.NDArray[np.uint8], start: npt.NDArray[np.int64], end: npt.NDArray[np.int64], strings: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Rows whose string literal surely says something: it holds a character that is no white space, and no half of a
    surrogate pair. Never true of one that does not; a text of rare characters alone may be left undecided.
    """
    out = np.zeros(len(strings), np.bool_)
    _check_all(block, np.ascontiguousarray(start), np.ascontiguousarray(end), strings, out)
    return out


def write(block: npt.NDArray[np.uint8], turns: Turns) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """Each plain row as the JSON text of its chat: offsets [n + 1] and bytes; empty where a row is not plain."""
    size = int(np.sum(turns.end - turns.start)) + len(turns.code) * _ROOM + 2 * len(turns.plain)
    out = np.empty(size, np.uint8)
    offsets = np.zeros(len(turns.plain) + 1, np.int64)
    _write_chats(block, turns.plain, turns.rows, turns.code, turns.start, turns.end, _HEAD_BYTES, _HEAD_OFFSETS, offsets, out)
    return offsets, out[: offsets[-1]]


def _table(names: list[str]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    words = [name.encode() for name in names]
    return np.frombuffer(b"".join(words), np.uint8), np.cumsum([0, *map(len, words)], dtype=np.int64)


@numba.njit(cache=True, nogil=True)
def _skip_space(buf: Any, p: Any) -> Any:
    while buf[p] == 0x20 or buf[p] == 0x09 or buf[p] == 0x0D:
        p += np.uint64(1)
    return p


@numba.njit(cache=True, nogil=True)
def _surrogate(buf: Any, p: Any) -> Any:
    """Whether the escape whose backslash is at `p` is \\ud800 to \\udfff."""
    return (
        buf[p] == 0x5C
        and buf[p + np.uint64(1)] == 0x75
        and (_HEX[buf[p + np.uint64(2)]] == 13 and _HEX[buf[p + np.uint64(3)]] >= 8)
    )


@numba.njit(cache=True, nogil=True)
def _unit(buf: Any, p: Any) -> int:
    """The number that the four hexadecimal digits at `p` write."""
    unit = 0
    for i in range(4):
        unit = unit << 4 | _HEX[buf[p + np.uint64(i)]]
    return unit


@numba.njit(cache=True, nogil=True)
def _skip_body(buf: Any, p: Any) -> tuple[Any, int]:
    """From behind the opening quote to the closing one, and what was met: _SAYS, _LONE."""
    one, met = np.uint64(1), 0
    while True:
        c = buf[p]
        if 0x20 < c < 0x80 and c != 0x22 and c != 0x5C:
            met |= _SAYS
            p += one
            # Behind the first sure character only these two matter.
            while buf[p] != 0x22 and buf[p] != 0x5C:
                p += one
        elif c == 0x22:
            return p, met
        elif c != 0x5C:
            # Unicode's white space begins with C2, E1, E2, or is E3 80 80.
            says = c >= 0xC3 and c != 0xE1 and c != 0xE2 and (c != 0xE3 or buf[p + one] != 0x80)
            met |= _SAYS if says else 0
            p += one
        elif buf[p + one] != 0x75:
            met |= _SAYS if buf[p + one] in (0x22, 0x5C, 0x2F) else 0
            p += np.uint64(2)
        elif _surrogate(buf, p):
            low = p + np.uint64(6)
            paired = _HEX[buf[p + np.uint64(3)]] < 12 and _surrogate(buf, low) and _HEX[buf[low + np.uint64(3)]] >= 12
            met |= _SAYS if paired else _LONE
            p = low + np.uint64(6) if paired else low
        else:
            unit = _unit(buf, p + np.uint64(2))
            # Clear of all white space: U+0085, U+00A0, U+1680, U+2000 to U+205F, U+3000.
            met |= _SAYS if 0x20 < unit < 0x7F or 0xA0 < unit < 0x1680 or unit > 0x3000 else 0
            p += np.uint64(6)


@numba.njit(cache=True, nogil=True)
def _which(buf: Any, p: Any, end: Any, names: Any, offsets: Any) -> int:
    """The name that `buf[p:end]` spells, or -1."""
    size = np.int64(end - p)
    for name in range(len(offsets) - 1):
        at = offsets[name]
        if offsets[name + 1] - at == size:
            same = True
            for i in range(size):
                if buf[p + np.uint64(i)] != names[at + i]:
                    same = False
                    break
            if same:
                return name
    return -1


@numba.njit(
    numba.int64(
        _BYTES, numba.types.Array(numba.int64, 1, "C", readonly=True), numba.types.Array(numba.int64, 1, "C", readonly=True),
        _BYTES, _LONGS, numba.int64, _BYTES, _LONGS, numba.uint8[::1],
        _FLAGS, _LONGS, numba.uint8[::1], _LONGS, _LONGS,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _find_turns(
    buf: Any, start: Any, end: Any, keys: Any, key_offsets: Any, role_keys: int, names: Any, name_offsets: Any, codes: Any,
    plain: Any, rows: Any, code: Any, turn_start: Any, turn_end: Any,
) -> int:  # fmt: skip
    n, one = 0, np.uint64(1)
    for row in range(len(plain)):
        rows[row] = n
        if not plain[row]:
            continue
        first, plain[row] = n, False
        p = _skip_space(buf, np.uint64(start[row]) + one)
        while buf[p] == 0x7B:
            has_role = has_content = False
            p = _skip_space(buf, p + one)
            good = buf[p] == 0x22
            while good:
                key = p + one
                p, _ = _skip_body(buf, key)
                which = _which(buf, key, p, keys, key_offsets)
                p = _skip_space(buf, _skip_space(buf, p + one) + one)
                good = which >= 0 and buf[p] == 0x22
                if not good:
                    break
                value = p
                p, met = _skip_body(buf, p + one)
                if which < role_keys:
                    name = _which(buf, value + one, p, names, name_offsets)
                    good = name >= 0 and not has_role
                    has_role = True
                    code[n] = codes[name] if good else 0
                else:
                    good = met == _SAYS and not has_content
                    has_content = True
                    turn_start[n], turn_end[n] = np.int64(value), np.int64(p) + 1
                p = _skip_space(buf, p + one)
                if buf[p] != 0x2C:
                    break
                p = _skip_space(buf, p + one)
            if not (good and has_role and has_content):
                break
            n += 1
            p = _skip_space(buf, p + one)
            if buf[p] == 0x5D:
                plain[row] = True
                break
            p = _skip_space(buf, p + one)
        if not plain[row]:
            n = first
    rows[len(plain)] = n
    return n


@numba.njit(
    numba.void(
        _BYTES, numba.types.Array(numba.int64, 1, "C", readonly=True), numba.types.Array(numba.int64, 1, "C", readonly=True),
        numba.types.Array(numba.boolean, 1, "C", readonly=True), _FLAGS,
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _check_all(buf: Any, start: Any, end: Any, strings: Any, out: Any) -> None:
    for row in range(len(strings)):
        if strings[row]:
            _, met = _skip_body(buf, np.uint64(start[row]) + np.uint64(1))
            out[row] = met == _SAYS


@numba.njit(cache=True, nogil=True)
def _put(out: Any, q: Any, c: int) -> Any:
    """Writes a character as JSON and UTF-8."""
    one, two, three = np.uint64(1), np.uint64(2), np.uint64(3)
    if c < 0x80 and _LETTER[c] != 0:
        out[q] = 0x5C
        out[q + one] = _LETTER[c]
        return q + two
    if c < 0x20:
        out[q] = 0x5C
        out[q + one] = 0x75
        out[q + two] = out[q + three] = 0x30
        out[q + np.uint64(4)] = _DIGITS[c >> 4]
        out[q + np.uint64(5)] = _DIGITS[c & 15]
        return q + np.uint64(6)
    if c < 0x80:
        out[q] = c
        return q + one
    if c < 0x800:
        out[q] = 0xC0 | c >> 6
        out[q + one] = 0x80 | c & 0x3F
        return q + two
    if c < 0x10000:
        out[q] = 0xE0 | c >> 12
        out[q + one] = 0x80 | c >> 6 & 0x3F
        out[q + two] = 0x80 | c & 0x3F
        return q + three
    out[q] = 0xF0 | c >> 18
    out[q + one] = 0x80 | c >> 12 & 0x3F
    out[q + two] = 0x80 | c >> 6 & 0x3F
    out[q + three] = 0x80 | c & 0x3F
    return q + np.uint64(4)


@numba.njit(cache=True, nogil=True)
def _copy(source: Any, start: int, end: int, out: Any, q: Any) -> Any:
    p = np.uint64(start)
    for i in range(np.uint64(end - start)):
        out[q + i] = source[p + i]
    return q + np.uint64(end - start)


@numba.njit(cache=True, nogil=True)
def _move(buf: Any, p: Any, stop: Any, out: Any, q: Any) -> Any:
    """Writes the inside of a string literal at `q`; never more bytes than it has."""
    one = np.uint64(1)
    while True:
        # CHUNK bytes at a time with no branch between them, as vector instructions. What is copied behind a backslash is
        # written over, and there is room for it, because what is left of the literal takes up no more than it does here.
        found = False
        while p + _CHUNK <= stop:
            for k in range(_CHUNK):
                c = buf[p + k]
                out[q + k] = c
                found |= c == 0x5C
            if found:
                break
            p += _CHUNK
            q += _CHUNK
        while p < stop and buf[p] != 0x5C:
            out[q] = buf[p]
            p += one
            q += one
        if p >= stop:
            return q
        c = buf[p + one]
        if c == 0x75:
            unit = _unit(buf, p + np.uint64(2))
            p += np.uint64(6)
            if 0xD800 <= unit < 0xDC00:
                unit = 0x10000 + ((unit - 0xD800) << 10) + (_unit(buf, p + np.uint64(2)) - 0xDC00)
                p += np.uint64(6)
            q = _put(out, q, unit)
        else:
            if c != 0x2F:
                out[q] = 0x5C
                q += one
            out[q] = c
            q += one
            p += np.uint64(2)


@numba.njit(
    numba.void(
        _BYTES, _FLAGS, _LONGS, numba.uint8[::1], _LONGS, _LONGS, _BYTES, _LONGS, _LONGS, numba.uint8[::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def _write_chats(
    buf: Any, plain: Any, rows: Any, code: Any, start: Any, end: Any, heads: Any, head_offsets: Any, offsets: Any, out: Any
) -> None:
    q, one = np.uint64(0), np.uint64(1)
    for row in range(len(plain)):
        offsets[row] = np.int64(q)
        if not plain[row]:
            continue
        out[q] = 0x5B
        q += one
        for turn in range(rows[row], rows[row + 1]):
            if code[turn] == MORE:
                for _ in range(2):
                    out[q] = 0x5C
                    out[q + one] = 0x6E
                    q += np.uint64(2)
            else:
                if turn > rows[row]:
                    out[q] = 0x22
                    out[q + one] = 0x7D
                    out[q + np.uint64(2)] = 0x2C
                    q += np.uint64(3)
                q = _copy(heads, head_offsets[code[turn]], head_offsets[code[turn] + 1], out, q)
            q = _move(buf, np.uint64(start[turn] + 1), np.uint64(end[turn] - 1), out, q)
        out[q] = 0x22
        out[q + one] = 0x7D
        out[q + np.uint64(2)] = 0x5D
        q += np.uint64(3)
    offsets[len(plain)] = np.int64(q)
