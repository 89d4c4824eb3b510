"""The kernels of `curate.kernels.lines`, which says what they count."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["filled", "marks", "newlines", "places", "repeated", "table"]

_LF, _DOT = 0x0A, 0x2E
_OTHER = 1  # of Lines.marks: the line holds a break of `str.splitlines` that is not \n
_PRIME = np.uint64(0xD6E8FEB86659FD93)
_SEED = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_HIGH = np.uint64(0x8080808080808080)  # the bits that no byte of ASCII has

# `_nrt=False`: as in `curate.kernels.token_machine`.


@njit(cache=True, nogil=True, _nrt=False)
def newlines(offsets: Any, data: Any, bounds: Any) -> None:
    total = 0
    for d in range(len(offsets) - 1):
        count = 1
        for i in range(offsets[d], offsets[d + 1]):
            count += data[i] == _LF
        total += count
        bounds[d + 1] = total


@njit(cache=True, nogil=True, _nrt=False)
def places(offsets: Any, data: Any, starts: Any, ends: Any) -> None:
    k = 0
    for d in range(len(offsets) - 1):
        starts[k] = offsets[d]
        for i in range(offsets[d], offsets[d + 1]):
            if data[i] == _LF:
                ends[k] = i
                k += 1
                starts[k] = i + 1
        ends[k] = offsets[d + 1]
        k += 1


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
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


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _before(data: Any, stop: int) -> int:
    """First byte of the character that ends at byte `stop`."""
    i = stop - 1
    while data[i] & 0xC0 == 0x80:
        i -= 1
    return i


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _is_space(code: int) -> bool:
    """As `str.isspace`."""
    if code < 0x80:
        return code == 0x20 or 0x09 <= code <= 0x0D or 0x1C <= code <= 0x1F
    if code < 0x1680:
        return code == 0x85 or code == 0xA0
    return (
        0x2000 <= code <= 0x200A
        or code == 0x1680
        or code == 0x2028
        or code == 0x2029
        or code == 0x202F
        or code == 0x205F
        or code == 0x3000
    )


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _lstrip(data: Any, start: int, stop: int) -> int:
    while start < stop:
        code, step = _decode(data, start)
        if not _is_space(code):
            break
        start += step
    return start


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _rstrip(data: Any, start: int, stop: int) -> int:
    while stop > start:
        i = _before(data, stop)
        if not _is_space(_decode(data, i)[0]):
            break
        stop = i
    return stop


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _among(code: int, codes: Any) -> bool:
    low, high = 0, len(codes)
    while low < high:
        middle = (low + high) // 2
        if codes[middle] < code:
            low = middle + 1
        else:
            high = middle
    return bool(low < len(codes) and codes[low] == code)


@njit(cache=True, nogil=True, _nrt=False)
def _break_at(data: Any, i: int, stop: int) -> int:
    """Bytes of the line break of `str.splitlines` that starts at byte i, 0 for none."""
    b = data[i]
    if b == 0x0D:
        return 2 if i + 1 < stop and data[i + 1] == _LF else 1
    if 0x0A <= b <= 0x0C or 0x1C <= b <= 0x1E:
        return 1
    if b == 0xC2:
        return 2 if data[i + 1] == 0x85 else 0
    if b == 0xE2:
        return 3 if data[i + 1] == 0x80 and (data[i + 2] == 0xA8 or data[i + 2] == 0xA9) else 0
    return 0


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _digest(data: Any, start: int, stop: int) -> Any:
    """Hash of a stretch of bytes, eight at a time; and whether any of them is beyond ASCII."""
    h, every = _SEED ^ np.uint64(stop - start), np.uint64(0)
    i = start
    while i + 8 <= stop:
        word = (
            np.uint64(data[i])
            | np.uint64(data[i + 1]) << np.uint64(8)
            | np.uint64(data[i + 2]) << np.uint64(16)
            | np.uint64(data[i + 3]) << np.uint64(24)
            | np.uint64(data[i + 4]) << np.uint64(32)
            | np.uint64(data[i + 5]) << np.uint64(40)
            | np.uint64(data[i + 6]) << np.uint64(48)
            | np.uint64(data[i + 7]) << np.uint64(56)
        )
        every |= word
        h = (h ^ word) * _PRIME
        h ^= h >> _HALF
        i += 8
    word = np.uint64(0)
    while i < stop:
        word = word << np.uint64(8) | np.uint64(data[i])
        i += 1
    every |= word
    h = (h ^ word) * _PRIME
    h = (h ^ h >> _HALF) * _PRIME
    return h ^ h >> _HALF, every & _HIGH != 0


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _chars(data: Any, start: int, stop: int) -> int:
    count = 0
    for i in range(start, stop):
        count += data[i] & 0xC0 != 0x80
    return count


@njit(cache=True, nogil=True, _nrt=False)
def table(
    offsets: Any, data: Any, kinds: Any,
    starts: Any, ends: Any, lefts: Any, rights: Any, chars: Any, hashes: Any, marks: Any, symbols: Any,
) -> None:  # fmt: skip
    k = 0
    for d in range(len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        dots, dotted, spaced, spaced_at = 0, -1, 0, -1
        while True:
            start, mark = i, np.uint8(0)
            while i < stop:
                b = data[i]
                kind = kinds[b]
                if kind == 0:
                    i += 1
                    continue
                if b == _LF:
                    break
                if kind == 2:
                    # Three dots in a row are one ellipsis, so are three that stand apart by one blank; no dot is in two.
                    dots = dots + 1 if i == dotted + 1 else 1
                    dotted = i
                    if dots == 3:
                        symbols[d, 1] += 1
                        dots = 0
                    spaced = spaced + 1 if i == spaced_at + 2 and data[i - 1] == 0x20 else 1
                    spaced_at = i
                    if spaced == 3:
                        symbols[d, 2] += 1
                        spaced = 0
                elif kind == 1:
                    symbols[d, 0] += 1
                elif kind == 3:
                    if b == 0xE2 and data[i + 1] == 0x80 and data[i + 2] == 0xA6:
                        symbols[d, 1] += 1
                    elif _break_at(data, i, stop):
                        mark = np.uint8(_OTHER)
                i += 1
            left = _lstrip(data, start, i)
            starts[k], ends[k], lefts[k], rights[k] = start, i, left, _rstrip(data, left, i)
            hashes[k], wide = _digest(data, start, i)
            chars[k], marks[k] = _chars(data, start, i) if wide else i - start, mark
            k += 1
            if i >= stop:
                break
            i += 1


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _ellipsis(data: Any, left: int, right: int, spaced: bool) -> bool:
    """Whether a stripped line ends with an ellipsis."""
    if right - left >= 3 and data[right - 1] == _DOT:
        if data[right - 2] == _DOT:
            return bool(data[right - 3] == _DOT)
        if spaced and right - left >= 5:
            return bool(
                data[right - 2] == 0x20 and data[right - 3] == _DOT and data[right - 4] == 0x20 and data[right - 5] == _DOT
            )
    return bool(right - left >= 3 and data[right - 3] == 0xE2 and data[right - 2] == 0x80 and data[right - 1] == 0xA6)


@njit(cache=True, nogil=True, _nrt=False)
def marks(
    data: Any, starts: Any, ends: Any, lefts: Any, rights: Any, marks: Any, bounds: Any, bullets: Any, filled: bool, out: Any
) -> None:
    for d in range(len(bounds) - 1):
        for k in range(bounds[d], bounds[d + 1]):
            left, right = lefts[k], rights[k]
            final = k == bounds[d + 1] - 1
            if filled or not marks[k]:
                if right > left:
                    out[1, d] += _among(_decode(data, left)[0], bullets)
                    out[2, d] += _ellipsis(data, left, right, filled)
                out[0, d] += right > left if filled else not final or ends[k] > starts[k]
                continue
            i, stop = starts[k], ends[k]
            if not final and data[stop - 1] == 0x0D:
                stop -= 1  # \r\n is one break
            while True:
                start, size = i, 0
                while i < stop:
                    size = _break_at(data, i, stop)
                    if size:
                        break
                    i += 1
                if final and i == stop and start == stop:
                    break
                left = _lstrip(data, start, i)
                right = _rstrip(data, left, i)
                out[0, d] += 1
                if right > left:
                    out[1, d] += _among(_decode(data, left)[0], bullets)
                    out[2, d] += _ellipsis(data, left, right, False)
                if size == 0:
                    break
                i += size


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _times(keys: Any, values: Any, epoch: int, key: Any) -> Any:
    """How often this epoch met the key before. A slot of an earlier epoch is free: nothing is ever cleared."""
    mask, base = np.uint64(len(keys) - 1), np.int64(epoch) << 32
    slot = key & mask
    while values[slot] >= base and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    if values[slot] < base:
        keys[slot], values[slot] = key, base
    times = values[slot] - base
    values[slot] += 1
    return times


@njit(cache=True, nogil=True, _nrt=False)
def filled(
    data: Any, starts: Any, ends: Any, lefts: Any, rights: Any, chars: Any, hashes: Any, bounds: Any, terminal: Any,
    short: int, keys: Any, values: Any, out: Any,
) -> None:  # fmt: skip
    for d in range(len(bounds) - 1):
        out[0, d] = bounds[d + 1] - bounds[d] - 1
        for k in range(bounds[d], bounds[d + 1]):
            out[6, d] += chars[k]
            if lefts[k] == rights[k]:
                out[4, d] += chars[k] <= short
                continue
            out[1, d] += 1
            out[2, d] += _among(_decode(data, _before(data, ends[k]))[0], terminal)
            out[3, d] += chars[k] <= short
            if _times(keys, values, d + 1, hashes[k]):
                out[5, d] += chars[k]


@njit(cache=True, nogil=True, _nrt=False)
def repeated(
    data: Any, starts: Any, ends: Any, lefts: Any, rights: Any, chars: Any, hashes: Any, bounds: Any, lengths: Any,
    stripped: bool, keys: Any, values: Any, out: Any,
) -> None:  # fmt: skip
    for d in range(len(bounds) - 1):
        low, high = bounds[d], bounds[d + 1]
        first, last = low, high - 1  # the lines with the first and the last character that is not white space
        while first < high and lefts[first] == rights[first]:
            first += 1
        while last > first and lefts[last] == rights[last]:
            last -= 1
        # Paragraphs: lines up to an empty one. Their hash is made of those of their lines.
        parts, again, again_chars, total, k = 0, 0, 0, 0, first
        while k <= last and first < high:
            begin, end = k, k
            while end <= last and ends[end] > starts[end]:
                end += 1
            k = end + 1
            end -= 1
            if end < begin:
                continue
            if stripped:
                while begin < end and lefts[begin] == rights[begin]:
                    begin += 1
                while end > begin and lefts[end] == rights[end]:
                    end -= 1
                if lefts[begin] == rights[begin]:
                    continue
            h, size = _SEED, end - begin
            for q in range(begin, end + 1):
                start = lefts[q] if q == first or (stripped and q == begin) else starts[q]
                stop = rights[q] if q == last or (stripped and q == end) else ends[q]
                whole = start == starts[q] and stop == ends[q]
                h = (h ^ (hashes[q] if whole else _digest(data, start, stop)[0])) * _PRIME
                h ^= h >> _HALF
                size += chars[q] if whole else _chars(data, start, stop)
            parts += 1
            total += size
            times = _times(keys, values, 2 * d + 1, h)
            if times:
                repeats = 2 if stripped and times == 1 else 1
                again += repeats
                again_chars += repeats * size
        _shares(out, d, 0, max(parts, 0 if stripped else 1), again, again_chars, total if stripped else lengths[d])
        parts, again, again_chars, total = 0, 0, 0, 0
        for k in range(low, high):
            empty = ends[k] == starts[k]
            if (lefts[k] == rights[k]) if stripped else (empty and (high - low == 1 or low < k < high - 1)):
                continue
            whole = not stripped or (lefts[k] == starts[k] and rights[k] == ends[k])
            h = hashes[k] if whole else _digest(data, lefts[k], rights[k])[0]
            size = chars[k] if whole else _chars(data, lefts[k], rights[k])
            parts += 1
            total += size
            times = _times(keys, values, 2 * d + 2, h)
            if times:
                repeats = 2 if stripped and times == 1 else 1
                again += repeats
                again_chars += repeats * size
        _shares(out, d, 2, max(parts, 0 if stripped else 1), again, again_chars, total if stripped else lengths[d])


@njit(cache=True, nogil=True, _nrt=False)
def _shares(out: Any, d: int, column: int, parts: int, again: int, again_chars: int, whole: int) -> None:
    out[d, column] = again / parts if parts else np.nan
    if whole:
        out[d, column + 1] = again_chars / whole
    elif not parts:
        out[d, column + 1] = np.nan
