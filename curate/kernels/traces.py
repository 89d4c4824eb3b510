"""Where personal data and secrets may stand: short windows of text that are worth a closer look."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["TRACES", "Traces", "traces"]

TRACES = ("address", "login", "number", "colons", "token", "assignment", "key_block", "account")
"""The kinds of windows, in the order of the bits of `wanted` and of the numbers in `Traces.kinds`."""

_ADDRESS, _LOGIN, _NUMBER, _COLONS, _TOKEN, _ASSIGNMENT, _KEY_BLOCK, _ACCOUNT = range(8)

_SPACE, _PLUS, _ROUND, _ROUND_END, _DASH, _DOT, _SLASH, _COLON, _EQUALS, _AT = (
    0x20,
    0x2B,
    0x28,
    0x29,
    0x2D,
    0x2E,
    0x2F,
    0x3A,
    0x3D,
    0x40,
)
_GREATER, _QUOTE, _APOSTROPHE, _NO_BREAK, _NO_BREAK_LEAD = 0x3E, 0x22, 0x27, 0xA0, 0xC2


def _bits(*classes: tuple[int, str]) -> npt.NDArray[np.uint8]:
    table = np.zeros(256, np.uint8)
    for bit, chars in classes:
        table[list(chars.encode())] |= bit
    return table


_LOWER, _UPPER, _DECIMAL = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
_ALNUM = _LOWER + _UPPER + _DECIMAL
_WORD, _DIGIT, _CAPITAL, _HEX, _LOCAL, _DOMAIN, _SECRET, _END = 1, 2, 4, 8, 16, 32, 64, 128
_CLASS = _bits(
    (_WORD, _ALNUM + "_"),
    (_DIGIT, _DECIMAL),
    (_CAPITAL, _UPPER),
    (_HEX, _DECIMAL + "abcdefABCDEF"),
    (_LOCAL, _ALNUM + "._%+'-"),
    (_DOMAIN, _ALNUM + ".-"),
    (_SECRET, _ALNUM + "_-+/=.~!@#$%^&*"),
    (_END, "\t\n\r /<>\"'`()[]{}|\\,"),
)
# What keys and tokens of well-known services begin with.
_PREFIXES = (
    b"AKIA ASIA ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- xoxa- xoxb- xoxe- xoxp- xoxr- xoxs- AIza sk- sk_live_ sk_test_ "
    b"rk_live_ rk_test_ hf_ npm_ pypi- SG. eyJ dop_v1_ ya29."
).split()
_PREFIX = np.zeros((len(_PREFIXES), max(map(len, _PREFIXES)) + 1), np.uint8)
for _k, _prefix in enumerate(_PREFIXES):
    _PREFIX[_k, : len(_prefix)] = list(_prefix)
_PAIRS = np.zeros(1 << 16, np.bool_)
_PAIRS[[prefix[0] << 8 | prefix[1] for prefix in _PREFIXES]] = True
_BEGIN = np.frombuffer(b"-----BEGIN ", np.uint8)
_FINISH = np.frombuffer(b"-----END ", np.uint8)

_LONGEST_BLOCK = 20_000
_LONGEST = 300


class Traces(NamedTuple):
    """n windows, in order of their ends or nearly so; they may overlap."""

    documents: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int64]
    """Index in `TRACES`."""
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


def traces(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], wanted: int) -> Traces:
    """Windows of the kinds that the bits of `wanted` name, cut so that what they may hold lies within whole:

    address: `@` with what may be a name before and a name with a dot behind. login: what stands between `://` and `@`, with a
    colon in it. number: digits and what may part them (blanks, `().-/`), with 7 digits or 3 dots. colons: hexadecimal digits
    and colons, either 7 of these or 2 in a row. token: a word that begins as a key of a well-known service does, 16 bytes or
    more. assignment: a name, `=` or `:`, and 12 bytes or more without a blank, with letters and digits. key_block: from
    `-----BEGIN ` past `-----END `. account: two capitals, two digits, and capitals, digits and blanks to 15 or more.

    Windows never cross texts. O(bytes), mostly one pass: a second where there are very many.
    """
    fixed = frozen(offsets, np.int64), frozen(data, np.uint8)
    room = 1024 + int(offsets[-1] - offsets[0]) // 64
    while True:
        out = np.empty((4, room), np.int64)
        n = _scan(*fixed, wanted, out)
        if n <= room:
            return Traces(*out[:, :n])
        room = n


@njit(cache=True, nogil=True)
def _put(out: Any, n: int, document: int, kind: int, start: Any, end: Any) -> int:
    if n < out.shape[1]:
        out[0, n], out[1, n], out[2, n], out[3, n] = document, kind, start, end
    return n + 1


@njit(cache=True, nogil=True)
def _is(byte: Any, kind: int) -> bool:
    return bool(_CLASS[byte] & kind)


@njit(cache=True, nogil=True)
def _past(data: Any, i: int, stop: int, kind: int) -> Any:
    """The first byte from i on that is not of a kind. Unsigned: numba checks whether a signed index counts from the end."""
    k, end, one = np.uint64(i), np.uint64(stop), np.uint64(1)
    while k < end and _CLASS[data[k]] & kind:
        k += one
    return np.int64(k)


@njit(cache=True, nogil=True)
def _here(data: Any, i: int, stop: int, wanted: Any) -> bool:
    if stop - i < len(wanted):
        return False
    k = 0
    while k < len(wanted) and data[i + k] == wanted[k]:
        k += 1
    return k == len(wanted)


@njit(cache=True, nogil=True)
def _prefixed(data: Any, i: int, stop: int) -> bool:
    if stop - i < 2 or not _PAIRS[np.int64(data[i]) << 8 | np.int64(data[i + 1])]:
        return False
    for row in range(len(_PREFIX)):
        k = 0
        while _PREFIX[row, k] and i + k < stop and data[i + k] == _PREFIX[row, k]:
            k += 1
        if not _PREFIX[row, k]:
            return True
    return False


@njit(cache=True, nogil=True)
def _number(data: Any, i: int, stop: int) -> Any:
    """The window of the number whose first digit is byte i: its end, the digits and dots in it."""
    digits, dots, passed, gap, end = 0, 0, 0, 0, i
    while i < stop:
        b = data[i]
        if _is(b, _DIGIT):
            digits += 1
            dots = passed
            gap = 0
            end = i + 1
        elif b == _NO_BREAK_LEAD and i + 1 < stop and data[i + 1] == _NO_BREAK and gap < 3:
            gap += 1
            i += 1
        elif b in (_SPACE, _DASH, _DOT, _SLASH, _ROUND, _ROUND_END) and gap < 3:
            gap += 1
            passed += b == _DOT
        else:
            break
        i += 1
    return end, digits, dots


@njit(cache=True, nogil=True)
def _colons(data: Any, i: int, start: int, stop: int) -> Any:
    """The run of hexadecimal digits, colons and dots around the colon at byte i, and whether it may be an address."""
    first = i
    while first > start and i - first < 5 and _is(data[first - 1], _HEX):
        first -= 1
    if first > start and (_is(data[first - 1], _WORD) or data[first - 1] == _COLON):
        return i, i, False
    colons, twice, digits, end = 0, False, False, first
    while end < stop and end - first < 64 and (_is(data[end], _HEX) or data[end] == _COLON or data[end] == _DOT):
        if data[end] == _COLON:
            colons += 1
            twice = twice or (end + 1 < stop and data[end + 1] == _COLON)
        digits = digits or _is(data[end], _DIGIT)
        end += 1
    return first, end, digits and colons >= 2 and (twice or colons >= 7)


@njit(cache=True, nogil=True)
def _assignment(data: Any, i: int, start: int, stop: int) -> Any:
    """The window of the assignment whose `=` or `:` is byte i, or `(i, i)`."""
    k = i + 1
    while k < stop and k - i < 6 and (data[k] == _SPACE or data[k] in (_EQUALS, _GREATER, _QUOTE, _APOSTROPHE)):
        k += 1
    value, digits, letters = k, 0, 0
    while k < stop and k - value < _LONGEST and _is(data[k], _SECRET):
        digit = _is(data[k], _DIGIT)
        digits += digit
        letters += _is(data[k], _WORD) and not digit
        k += 1
    if k - value < 12 or not digits or not letters:
        return i, i
    first = i
    while (
        first > start
        and i - first < 3
        and (
            data[first - 1] == _SPACE
            or data[first - 1] == _QUOTE
            or data[first - 1] == _APOSTROPHE
            or data[first - 1] == _COLON
        )
    ):
        first -= 1
    name = first
    while (
        name > start and first - name < 48 and (_is(data[name - 1], _WORD) or data[name - 1] == _DASH or data[name - 1] == _DOT)
    ):
        name -= 1
    return (name, k) if first - name >= 3 else (i, i)


@njit(cache=True, nogil=True)
def _account(data: Any, i: int) -> bool:
    capitals = _is(data[i], _CAPITAL) and _is(data[i + 1], _CAPITAL)
    return bool(capitals and _is(data[i + 2], _DIGIT) and _is(data[i + 3], _DIGIT))


@njit(cache=True, nogil=True)
def _scan(offsets: Any, data: Any, wanted: int, out: Any) -> int:
    n = 0
    for d in range(len(offsets) - 1):
        start, stop = offsets[d], offsets[d + 1]
        i = start
        while i < stop:
            b = data[i]
            if _is(b, _WORD):
                if _is(b, _DIGIT):
                    if not wanted & 1 << _NUMBER:
                        i = _past(data, i, stop, _WORD)
                        continue
                    end, digits, dots = _number(data, i, stop)
                    if digits >= 7 or dots >= 3:
                        first = i
                        while first > start and i - first < 2 and (data[first - 1] == _PLUS or data[first - 1] == _ROUND):
                            first -= 1
                        n = _put(out, n, d, _NUMBER, first, end)
                    # Letters right behind belong to the word.
                    i = _past(data, end, stop, _WORD)
                    continue
                end = _past(data, i, stop, _WORD)
                if wanted & 1 << _TOKEN and _prefixed(data, i, stop):
                    k = end
                    while k < stop and k - i < 4000 and (_is(data[k], _WORD) or data[k] == _DASH or data[k] == _DOT):
                        k += 1
                    if k - i >= 16:
                        n = _put(out, n, d, _TOKEN, i, k)
                        i = k
                        continue
                if wanted & 1 << _ACCOUNT and end - i >= 4 and _account(data, i):
                    k, size = i, 0
                    while k < stop and k - i < 50 and (_is(data[k], _CAPITAL | _DIGIT) or data[k] == _SPACE):
                        size += data[k] != _SPACE
                        k += 1
                    if size >= 15:
                        n = _put(out, n, d, _ACCOUNT, i, k)
                i = end
                continue
            if b == _AT and wanted & 1 << _ADDRESS:
                first, end, dot = i, i + 1, False
                while first > start and i - first < 64 and _is(data[first - 1], _LOCAL):
                    first -= 1
                while end < stop and end - i < 255 and _is(data[end], _DOMAIN):
                    dot = dot or data[end] == _DOT
                    end += 1
                if first < i and dot:
                    n = _put(out, n, d, _ADDRESS, first, end)
            elif b in (_COLON, _EQUALS):
                if b == _COLON and i + 2 < stop and data[i + 1] == _SLASH and data[i + 2] == _SLASH:
                    if wanted & 1 << _LOGIN:
                        end, colon = i + 3, False
                        while end < stop and end - i < _LONGEST and data[end] != _AT and not _is(data[end], _END):
                            colon = colon or data[end] == _COLON
                            end += 1
                        if colon and end < stop and data[end] == _AT:
                            n = _put(out, n, d, _LOGIN, i + 3, end + 1)
                    i += 3
                    continue
                if b == _COLON and wanted & 1 << _COLONS and i + 1 < stop and (data[i + 1] == _COLON or _is(data[i + 1], _HEX)):
                    first, end, found = _colons(data, i, start, stop)
                    if found:
                        n = _put(out, n, d, _COLONS, first, end)
                        i += 1
                        continue
                if wanted & 1 << _ASSIGNMENT:
                    first, end = _assignment(data, i, start, stop)
                    if end > first:
                        n = _put(out, n, d, _ASSIGNMENT, first, end)
            elif b == _DASH and wanted & 1 << _KEY_BLOCK and _here(data, i, stop, _BEGIN):
                k = i + len(_BEGIN)
                most = min(stop, i + _LONGEST_BLOCK)
                while k < most and not (data[k] == _DASH and (_here(data, k, stop, _FINISH) or _here(data, k, stop, _BEGIN))):
                    k += 1
                if k < most and _here(data, k, stop, _FINISH):
                    k += len(_FINISH)
                    while k < stop and (_is(data[k], _WORD) or data[k] == _SPACE or data[k] == _DASH):
                        k += 1
                    n = _put(out, n, d, _KEY_BLOCK, i, k)
            i += 1
    return n
