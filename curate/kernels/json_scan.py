"""The kernels under `json_lines`: one pass over the bytes of a block. See there for what they mean.

A position of a skipping helper is always the next byte to look at, or, with an error, the byte that is wrong. None
of them moves past a newline, so a broken line never reaches into the next one.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

MAX_DEPTH = 1000

ABSENT, STRING, NUMBER, BOOLEAN, NULL, OBJECT, ARRAY = range(7)

# What can be wrong with a line; `json_lines` says it in words, in this order. The first four FOUND follow the kinds.
(
    OK, BAD_UTF8, NUL, BOM, CONTROL, ESCAPE, HEX, SURROGATE, STRING_ENDS, LINE_ENDS, VALUE, KEY, COLON, OBJECT_NEXT,
    ARRAY_NEXT, BAD_NUMBER, NAN, EXTRA, DEPTH, FOUND_STRING, FOUND_NUMBER, FOUND_BOOLEAN, FOUND_NULL, FOUND_ARRAY,
    FOUND_TEXT,
) = range(25)  # fmt: skip

# What skipping a string learns on its way.
_HAS_ESCAPE, _HAS_SURROGATE = 1, 2

# 1 for the bytes that end a run of plain characters in a string: controls, '"', '\\' and everything past ASCII.
_STOPS = np.ones(256, np.uint8)
_STOPS[0x20:0x80] = 0
_STOPS[[0x22, 0x5C]] = 1

_HEX_DIGIT = np.full(256, 255, np.uint8)
for _digit in b"0123456789abcdefABCDEF":
    _HEX_DIGIT[_digit] = int(chr(_digit), 16)

# The character that a one-letter escape stands for; 0 for letters that are no escape.
_SHORT = np.zeros(256, np.uint8)
_SHORT[list(b'"\\/bfnrt')] = list(b'"\\/\b\f\n\r\t')

# The kind of a valid value, by its first byte.
_KINDS = np.full(256, NUMBER, np.uint8)
_KINDS[list(b'"tfn{[')] = STRING, BOOLEAN, BOOLEAN, NULL, OBJECT, ARRAY

_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a
_TRUE, _FALSE, _NULL_WORD = (np.frombuffer(word, np.uint8) for word in (b"true", b"false", b"null"))
_BYTES = numba.types.Array(numba.uint8, 1, "C", readonly=True)


@numba.njit(cache=True, nogil=True)
def _skip_space(buf: Any, p: int, end: int) -> int:
    """Past blanks, tabs and carriage returns; a newline ends the line and is never skipped."""
    while p < end and (buf[p] == 0x20 or buf[p] == 0x09 or buf[p] == 0x0D):
        p += 1
    return p


@numba.njit(cache=True, nogil=True)
def _skip_run(buf: Any, p: Any, end: Any) -> Any:
    """To the first byte that `_STOPS` marks, or to `end`."""
    # Unsigned, here and in `_copy`: numba checks whether a signed index counts from the end, which made copying
    # 500 bytes 25 times as slow (0.76 against 19.7 GB/s).
    i = np.uint64(p)
    while i < np.uint64(end) and _STOPS[buf[i]] == 0:
        i += np.uint64(1)
    return np.int64(i)


@numba.njit(cache=True, nogil=True)
def _utf8_size(buf: Any, p: int, end: int) -> int:
    """Bytes of the well-formed sequence that starts at a byte past ASCII, or 0 (Unicode 15, table 3-7)."""
    lead = buf[p]
    if lead < 0xC2 or lead > 0xF4:
        return 0
    size = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
    low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
    high = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
    if p + size > end or buf[p + 1] < low or buf[p + 1] > high:
        return 0
    for i in range(p + 2, p + size):
        if buf[i] & 0xC0 != 0x80:
            return 0
    return size


@numba.njit(cache=True, nogil=True)
def _skip_string(buf: Any, p: int, end: int) -> tuple[int, int, int]:
    """From behind the opening quote to behind the closing one: (position, error, what was met)."""
    met = 0
    while True:
        p = _skip_run(buf, p, end)
        if p >= end:
            return p, CONTROL, met
        c = buf[p]
        if c == 0x22:
            return p + 1, OK, met
        if c >= 0x80:
            size = _utf8_size(buf, p, end)
            if size == 0:
                return p, BAD_UTF8, met
            p += size
        elif c == 0x5C:
            met |= _HAS_ESCAPE
            p += 1
            if p >= end:
                return p, ESCAPE, met
            if buf[p] == 0x75:
                for i in range(p + 1, p + 5):
                    if i >= end or _HEX_DIGIT[buf[i]] == 255:
                        return i, HEX, met
                if _HEX_DIGIT[buf[p + 1]] == 13 and _HEX_DIGIT[buf[p + 2]] >= 8:
                    met |= _HAS_SURROGATE
                p += 5
            elif _SHORT[buf[p]] != 0:
                p += 1
            else:
                return p, ESCAPE, met
        else:
            return p, CONTROL, met


@numba.njit(cache=True, nogil=True)
def _is_word(buf: Any, p: int, end: int, word: Any) -> bool:
    if p + len(word) > end:
        return False
    for i in range(len(word)):  # noqa: SIM110  numba has no all() over a generator
        if buf[p + i] != word[i]:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _skip_digits(buf: Any, p: int, end: int) -> int:
    while p < end and 0x30 <= buf[p] <= 0x39:
        p += 1
    return p


@numba.njit(cache=True, nogil=True)
def _skip_scalar(buf: Any, p: int, end: int) -> tuple[int, int]:
    """Past a number or a word: (position, error)."""
    c = buf[p]
    if c == 0x2D or 0x30 <= c <= 0x39:
        if c == 0x2D:
            p += 1
            if p < end and buf[p] == 0x49:
                return p, NAN
        first = p
        p = _skip_digits(buf, p, end)
        if p == first or (buf[first] == 0x30 and p > first + 1):
            return p, BAD_NUMBER
        if p < end and buf[p] == 0x2E:
            first = p + 1
            p = _skip_digits(buf, first, end)
            if p == first:
                return p, BAD_NUMBER
        if p < end and buf[p] | 0x20 == 0x65:
            first = p + 1
            if first < end and (buf[first] == 0x2B or buf[first] == 0x2D):
                first += 1
            p = _skip_digits(buf, first, end)
            if p == first:
                return p, BAD_NUMBER
        return p, OK
    if _is_word(buf, p, end, _TRUE) or _is_word(buf, p, end, _NULL_WORD):
        return p + 4, OK
    if _is_word(buf, p, end, _FALSE):
        return p + 5, OK
    return p, NAN if c == 0x4E or c == 0x49 else VALUE


@numba.njit(cache=True, nogil=True)
def _skip_key(buf: Any, p: int, end: int) -> tuple[int, int, int, int]:
    """Past a key, its colon and the white space around: (position, error, what was met, end of the key)."""
    if p >= end or buf[p] != 0x22:
        return p, KEY, 0, p
    p, error, met = _skip_string(buf, p + 1, end)
    if error != OK:
        return p, error, met, p
    key_end = p
    p = _skip_space(buf, p, end)
    if p >= end or buf[p] != 0x3A:
        return p, COLON, met, key_end
    return _skip_space(buf, p + 1, end), OK, met, key_end


@numba.njit(cache=True, nogil=True)
def _skip_value(buf: Any, p: int, end: int, stack: Any, depth: int) -> tuple[int, int, int]:
    """Past one value that stands inside `depth` containers: (position, error, what was met)."""
    outside, met, key_first = depth, 0, False
    while True:
        if key_first:
            p, error, more, _ = _skip_key(buf, p, end)
            met |= more
            if error != OK:
                return p, error, met
        if p >= end:
            return p, VALUE, met
        c = buf[p]
        if c == 0x22:
            p, error, more = _skip_string(buf, p + 1, end)
            met |= more
            if error != OK:
                return p, error, met
        elif c == 0x7B or c == 0x5B:
            if depth >= MAX_DEPTH:
                return p, DEPTH, met
            p = _skip_space(buf, p + 1, end)
            # In ASCII both closing brackets stand two places behind the ones that open.
            if p >= end or buf[p] != c + 2:
                stack[depth] = c
                depth += 1
                key_first = c == 0x7B
                continue
            p += 1
        else:
            p, error = _skip_scalar(buf, p, end)
            if error != OK:
                return p, error, met
        while True:
            if depth == outside:
                return p, OK, met
            p = _skip_space(buf, p, end)
            bracket = stack[depth - 1]
            if p < end and buf[p] == 0x2C:
                p = _skip_space(buf, p + 1, end)
                key_first = bracket == 0x7B
                break
            if p >= end or buf[p] != bracket + 2:
                return p, OBJECT_NEXT if bracket == 0x7B else ARRAY_NEXT, met
            depth -= 1
            p += 1


@numba.njit(cache=True, nogil=True)
def _copy(buf: Any, start: int, end: int, out: Any, q: int) -> int:
    source, target = np.uint64(start), np.uint64(q)
    for i in range(np.uint64(end - start)):
        out[target + i] = buf[source + i]
    return q + end - start


@numba.njit(cache=True, nogil=True)
def _code_unit(buf: Any, p: int) -> int:
    """The number that the four hexadecimal digits at `p` write."""
    unit = 0
    for i in range(p, p + 4):
        unit = unit << 4 | _HEX_DIGIT[buf[i]]
    return unit


@numba.njit(cache=True, nogil=True)
def _unescape(buf: Any, p: Any, end: int, out: Any, q: int) -> tuple[int, int]:
    """Writes the inside of a valid string literal to `out` at `q`.

    Returns (-1, end of what was written), or the position of the first unpaired surrogate escape and `q` there.
    """
    while True:
        run = np.uint64(p)
        while run < np.uint64(end) and buf[run] != 0x5C:
            run += np.uint64(1)
        q = _copy(buf, p, np.int64(run), out, q)
        p = np.int64(run)
        if p >= end:
            return -1, q
        if buf[p + 1] != 0x75:
            out[q] = _SHORT[buf[p + 1]]
            q += 1
            p += 2
            continue
        unit = _code_unit(buf, p + 2)
        size = 6
        if 0xD800 <= unit <= 0xDFFF:
            if unit >= 0xDC00 or p + 12 > end or buf[p + 6] != 0x5C or buf[p + 7] != 0x75:
                return p, q
            low = _code_unit(buf, p + 8)
            if low < 0xDC00 or low > 0xDFFF:
                return p, q
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
            size = 12
        p += size
        if unit < 0x80:
            out[q] = unit
            q += 1
        elif unit < 0x800:
            out[q] = 0xC0 | unit >> 6
            out[q + 1] = 0x80 | unit & 0x3F
            q += 2
        elif unit < 0x10000:
            out[q] = 0xE0 | unit >> 12
            out[q + 1] = 0x80 | unit >> 6 & 0x3F
            out[q + 2] = 0x80 | unit & 0x3F
            q += 3
        else:
            out[q] = 0xF0 | unit >> 18
            out[q + 1] = 0x80 | unit >> 12 & 0x3F
            out[q + 2] = 0x80 | unit >> 6 & 0x3F
            out[q + 3] = 0x80 | unit & 0x3F
            q += 4


@numba.njit(cache=True, nogil=True)
def _find_key(buf: Any, p: int, end: int, keys: Any, key_offsets: Any) -> int:
    """The column of the wanted key that `buf[p:end]` spells, or -1."""
    for column in range(len(key_offsets) - 1):
        at, after = key_offsets[column], key_offsets[column + 1]
        if after - at == end - p and _is_word(buf, p, end, keys[at:after]):
            return column
    return -1


@numba.njit(cache=True, nogil=True)
def _find_escaped_key(buf: Any, p: int, end: int, keys: Any, key_offsets: Any, scratch: Any) -> int:
    if end - p > len(scratch):  # an escape spells one byte of UTF-8 with six at most, so this is no wanted key
        return -1
    broken, size = _unescape(buf, p, end, scratch, 0)
    return -1 if broken >= 0 else _find_key(scratch, 0, size, keys, key_offsets)


@numba.njit(cache=True, nogil=True)
def _mix(buf: Any, start: int, end: int, shape: Any, kind: Any) -> Any:
    for i in range(np.uint64(start), np.uint64(end)):
        shape = (shape ^ np.uint64(buf[i])) * _PRIME
    return (shape ^ np.uint64(kind)) * _PRIME


@numba.njit(cache=True, nogil=True)
def _scan_object(
    buf: Any, p: int, end: int, keys: Any, key_offsets: Any, stack: Any, scratch: Any,
    kind: Any, value_start: Any, value_end: Any, rest: Any, r: int,
) -> tuple[int, int, int, int, Any]:  # fmt: skip
    """One object that is a line, into the row's `kind`, spans and `rest`: (position, error, met, end of rest, shape)."""
    rest_start, met, shape = r, 0, _SEED
    p = _skip_space(buf, p + 1, end)
    if p < end and buf[p] == 0x7D:
        return p + 1, OK, met, r, shape
    while True:
        key_start = p
        p, error, key_met, key_end = _skip_key(buf, p, end)
        if error != OK:
            return p, error, met, r, shape
        start = p
        p, error, value_met = _skip_value(buf, p, end, stack, 1)
        if error != OK:
            return p, error, met, r, shape
        met |= value_met
        shape = _mix(buf, key_start, key_end, shape, _KINDS[buf[start]])
        if key_met & _HAS_ESCAPE:
            column = _find_escaped_key(buf, key_start + 1, key_end - 1, keys, key_offsets, scratch)
        else:
            column = _find_key(buf, key_start + 1, key_end - 1, keys, key_offsets)
        if column >= 0:
            kind[column] = _KINDS[buf[start]]
            value_start[column] = start
            value_end[column] = p
        else:
            if r > rest_start:
                rest[r] = 0x2C
                r += 1
            r = _copy(buf, key_start, key_end, rest, r)
            rest[r] = 0x3A
            r = _copy(buf, start, p, rest, r + 1)
        p = _skip_space(buf, p, end)
        if p < end and buf[p] == 0x7D:
            return p + 1, OK, met, r, shape
        if p >= end or buf[p] != 0x2C:
            return p, OBJECT_NEXT, met, r, shape
        p = _skip_space(buf, p + 1, end)


@numba.njit(cache=True, nogil=True)
def _not_an_object(buf: Any, p: int, end: int, stack: Any) -> tuple[int, int]:
    """What to say of a line that does not start as it should: (position, error)."""
    start = p
    p, error, _ = _skip_value(buf, p, end, stack, 0)
    if error != OK:
        return p, FOUND_TEXT if error == VALUE and p == start else error
    kind = _KINDS[buf[start]]
    return start, FOUND_ARRAY if kind == ARRAY else FOUND_STRING + kind - STRING


@numba.njit(cache=True, nogil=True)
def _name_error(buf: Any, p: int, line_end: int, error: int) -> int:
    """The error that helps most: what stands at `p` may say more than what was expected there."""
    if p >= line_end:
        return STRING_ENDS if error in (CONTROL, ESCAPE, HEX) else LINE_ENDS
    c = buf[p]
    if c == 0:
        return NUL
    if c >= 0x80 and error != BAD_UTF8:
        if _utf8_size(buf, p, line_end) == 0:
            return BAD_UTF8
        if p + 3 <= line_end and c == 0xEF and buf[p + 1] == 0xBB and buf[p + 2] == 0xBF:
            return BOM
    return error


_LONGS = numba.int64[::1]
_TABLE = numba.int64[:, ::1]


@numba.njit(
    numba.int64(
        _BYTES, _BYTES, _LONGS, numba.int64, numba.uint8[::1], numba.uint8[::1],
        _LONGS, _LONGS, _LONGS, numba.int16[::1], _LONGS,
        numba.uint8[:, ::1], _TABLE, _TABLE, _LONGS, numba.uint8[::1], numba.uint64[::1],
    ),
    cache=True, nogil=True,
)  # fmt: skip
def scan_lines(
    buf: Any, keys: Any, key_offsets: Any, array_as: int, stack: Any, scratch: Any,
    line: Any, start: Any, end: Any, error: Any, error_at: Any,
    kind: Any, value_start: Any, value_end: Any, rest_offsets: Any, rest: Any, shape: Any,
) -> int:  # fmt: skip
    """Fills the arrays of a `Scan`, which hold a row for each newline and one more; returns the rows used.

    `array_as` is a column or -1, `stack` has MAX_DEPTH bytes, `scratch` six for each byte of the longest key, `rest`
    as many as `buf`. `kind` must be zero.
    """
    p, row, number, size, r = 0, 0, -1, len(buf), 0
    while p < size:
        number += 1
        line_start = p
        p = _skip_space(buf, p, size)
        if p >= size:
            break
        if buf[p] == 0x0A:
            p += 1
            continue
        met = 0
        rest_end = r
        if buf[p] == 0x7B:
            p, code, met, rest_end, shape[row] = _scan_object(
                buf, p, size, keys, key_offsets, stack, scratch,
                kind[row], value_start[row], value_end[row], rest, r,
            )  # fmt: skip
        elif buf[p] == 0x5B and array_as >= 0:
            shape[row] = _PRIME
            value_start[row, array_as] = p
            p, code, _ = _skip_value(buf, p, size, stack, 0)
            value_end[row, array_as] = p
            kind[row, array_as] = ARRAY
        else:
            p, code = _not_an_object(buf, p, size, stack)
        at = p
        if code == OK:
            p = at = _skip_space(buf, p, size)
            if p < size and buf[p] != 0x0A:
                code = EXTRA
        while p < size and buf[p] != 0x0A:
            p += 1
        line_end = p
        if p > line_start and buf[p - 1] == 0x0D:
            line_end -= 1
        if code != OK:
            code = _name_error(buf, at, line_end, code)
        elif met & _HAS_SURROGATE:
            for column in range(kind.shape[1]):
                if kind[row, column] == STRING:
                    # Written over by what comes next: the members of this line stay in front of `rest_end`.
                    broken, _ = _unescape(buf, value_start[row, column] + 1, value_end[row, column] - 1, rest[rest_end:], 0)
                    if broken >= 0:
                        code, at = SURROGATE, broken
                        break
        if code == OK:
            r = rest_end
        else:
            error_at[row] = min(at, line_end) - line_start
            kind[row, :] = ABSENT
            value_start[row, :] = 0
            value_end[row, :] = 0
            shape[row] = 0
        line[row] = number
        start[row] = line_start
        end[row] = line_end
        error[row] = code
        row += 1
        rest_offsets[row] = r
        p += 1
    return row


@numba.njit(
    numba.void(_BYTES, numba.int64[:], numba.int64[:], numba.boolean[:], _LONGS, numba.uint8[::1]),
    cache=True, nogil=True,
)  # fmt: skip
def take_strings(buf: Any, start: Any, end: Any, ok: Any, offsets: Any, out: Any) -> None:
    """Unescapes the string literals `buf[start[i]:end[i]]` where `ok` into `out`, and fills `offsets`."""
    q = 0
    for row in range(len(ok)):
        if ok[row]:
            _, q = _unescape(buf, start[row] + 1, end[row] - 1, out, q)
        offsets[row + 1] = q


@numba.njit(numba.void(_BYTES, numba.int64[:], _LONGS, numba.uint8[::1]), cache=True, nogil=True)
def take_spans(buf: Any, start: Any, offsets: Any, out: Any) -> None:
    """Copies the spans that begin at `start`, whose sizes are in `offsets`, to their places in `out`."""
    for row in range(len(start)):
        _copy(buf, start[row], start[row] + offsets[row + 1] - offsets[row], out, offsets[row])
