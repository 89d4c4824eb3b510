"""The state machine of `curate.kernels.tokens`: the kernels alone, so that numba's cache sees a change in any of them.

Inside a chunk, `codes` int64 are its characters, `bits` uint32 what `english.characters` says of each; codes[i:j] is what is
left of it when prefixes and suffixes are off. `known`, `pieces`, `patterns` are the tables of `tokens`.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["split"]

# `_nrt=False`: numba's counting of references to arrays, which early returns keep it from leaving out, took four fifths of
# the time. These kernels make no arrays, and their callers hold the ones that they are given. `forceinline`: so did passing
# two dozen arrays for every chunk.

# Bits of a character, as `english.characters` gives them.
_SPACE, _ALPHABETIC, _NOT_SYMBOL, _NOT_PUNCT, _DIGIT, _LOWER, _UPPER, _ALPHA = 1, 2, 4, 8, 16, 32, 64, 128
_PREFIX, _SUFFIX, _INFIX, _QUOTE, _BEFORE_DOT, _SLOW, _HOST = 256, 512, 1024, 2048, 4096, 8192, 16384
_END, _WORD, _BREAK, _NOT_DIGIT = 1 << 15, 1 << 16, 1 << 17, 1 << 18
# Bits of a token, as `words.Words.kinds` has them.
_IS_ALPHABETIC, _IS_SYMBOL, _IS_PUNCT, _IS_END, _AFTER_GAP, _AFTER_BREAK, _IS_ALNUM = 1, 2, 4, 8, 16, 32, 64
_LONGEST = 12  # characters of the longest exception; a test holds it
_MOST_PIECES = 12
_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_SLOTS = np.uint64(8191)
_FEW = np.uint64(1023)


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
def _finish(h: Any) -> Any:
    h = h * _PRIME
    h = (h ^ h >> _HALF) * _PRIME
    return h ^ h >> _HALF


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _kind(seen: Any, count: int, first: Any, after: Any) -> Any:
    """The bits of a token from those of all its characters, those of the first, and what stands before."""
    return np.uint8(
        (_IS_ALPHABETIC if seen & _ALPHABETIC else 0)
        | (0 if seen & _NOT_SYMBOL else _IS_SYMBOL)
        | (0 if seen & _NOT_PUNCT else _IS_PUNCT)
        | (_IS_END if count == 1 and seen & _END else 0)
        | (_IS_ALNUM if first & _WORD else 0)
        | after
    )


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _look(known: Any, pieces: Any, h: Any) -> Any:
    """Slot of the hash, -1 without."""
    slot = h & _SLOTS
    while pieces[slot]:
        if known[slot] == h:
            return np.int64(slot)
        slot = (slot + np.uint64(1)) & _SLOTS
    return -1


@njit(cache=True, nogil=True, _nrt=False)
def _hash(codes: Any, i: int, j: int) -> Any:
    h = _SEED
    for k in range(i, j):
        h = (h ^ np.uint64(codes[k])) * _PRIME
        h ^= h >> _HALF
    return _finish(h)


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _exception(known: Any, pieces: Any, sieve: Any, codes: Any, i: int, j: int) -> Any:
    """Slot of the exception codes[i:j], -1 if it is none: most are told from all by their length, first and last character."""
    size = j - i
    if not 0 < size <= _LONGEST:
        return -1
    low, one = np.uint64(63), np.uint64(1)
    if not sieve[0, size] >> (np.uint64(codes[i]) & low) & sieve[1, size] >> (np.uint64(codes[j - 1]) & low) & one:
        return -1
    return _look(known, pieces, _hash(codes, i, j))


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _prefix(codes: Any, bits: Any, i: int, j: int) -> int:
    """Characters of the prefix of codes[i:j]."""
    c = codes[i]
    if bits[i] & _PREFIX:
        return 1
    if c == 0x2B:  # +
        return 0 if i + 1 < j and bits[i + 1] & _DIGIT else 1
    if c == 0x2E:  # two dots or more
        k = i + 1
        while k < j and codes[k] == 0x2E:
            k += 1
        return k - i if k - i > 1 else 0
    if (c == 0x43 or c == 0x41) and i + 1 < j and codes[i + 1] == 0x24:  # C$ A$
        return 2
    if c == 0x55 and i + 2 < j and codes[i + 1] == 0x53 and codes[i + 2] == 0x24:  # US$
        return 3
    return 0


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _suffix(codes: Any, bits: Any, units: Any, i: int, j: int) -> int:
    """Characters of the longest suffix of codes[i:j]."""
    if j <= i:
        return 0
    last = codes[j - 1]
    found = 1 if bits[j - 1] & _SUFFIX else 0
    before = codes[j - 2] if j - 2 >= i else 0
    if last == 0x2026 and before == 0x2026:
        return 2
    if last == 0x2E:
        k = j - 1
        while k > i and codes[k - 1] == 0x2E:
            k -= 1
        if j - k > 1:
            return j - k
        if j - 2 >= i and bits[j - 2] & _BEFORE_DOT:
            return 1
        if j - 3 >= i:
            if bits[j - 2] & _UPPER and bits[j - 3] & _UPPER:
                return 1
            if codes[j - 3] == 0xB0 and (before | 0x20 == 0x66 or before | 0x20 == 0x63 or before | 0x20 == 0x6B):
                return 1
        return 0
    if (last == 0x73 or last == 0x53) and (before == 0x27 or before == 0x2019):  # 's
        return 2
    if last == 0x2B:
        return 1 if j - 2 >= i and bits[j - 2] & _DIGIT else 0
    for k in range(j - 2, max(i, j - 6) - 1, -1):  # behind a digit
        if bits[k] & _DIGIT:
            if k == j - 2 or not bits[j - 1] & _DIGIT:
                h = _hash(codes, k + 1, j)
                slot = h & _FEW
                while units[slot]:
                    if units[slot] == h:
                        return max(found, j - 1 - k)
                    slot = (slot + np.uint64(1)) & _FEW
            break
    return found


@njit(cache=True, nogil=True, _nrt=False)
def _rest(codes: Any, bits: Any, k: int, j: int) -> Any:
    """Whether codes[k:j] is a port and a path, or nothing."""
    if k < j and codes[k] == 0x3A:
        first = k + 1
        k = first
        while k < j and bits[k] & _DIGIT:
            k += 1
        if not 2 <= k - first <= 5:
            return False
    return k == j or codes[k] == 0x2F or codes[k] == 0x3F or codes[k] == 0x23


@njit(cache=True, nogil=True, _nrt=False)
def _octets(codes: Any, bits: Any, i: int, j: int) -> Any:
    """Whether codes[i:j] starts with an IPv4 address that is not of a private or local net, and goes on as a URL may."""
    first, second, value, k = 0, 0, 0, i
    for part in range(4):
        value, start = 0, k
        while k < j and bits[k] & _DIGIT and k - start < 4:
            value = value * 10 + codes[k] - 0x30
            k += 1
        size = k - start
        if not 1 <= size <= 3 or value > 255:
            return False
        if (part == 0 or part == 3 or size == 3) and codes[start] == 0x30:
            return False
        first = value if part == 0 else first
        second = value if part == 1 else second
        if part < 3:
            if k >= j or codes[k] != 0x2E:
                return False
            k += 1
    if first > 223 or value > 254:
        return False
    private = first == 10 or first == 127 or (first == 169 and second == 254) or (first == 192 and second == 168)
    private = private or (first == 172 and 16 <= second <= 31)
    return not private and _rest(codes, bits, k, j)


@njit(cache=True, nogil=True, _nrt=False)
def _host(codes: Any, bits: Any, i: int, j: int) -> Any:
    """Whether codes[i:j] is a host name or address, with or without port and path."""
    if i < j and bits[i] & _DIGIT and _octets(codes, bits, i, j):
        return True
    k, start, labels = i, i, 0
    while k < j:
        c = codes[k]
        if c == 0x2E:
            if not 1 <= k - start <= 64 or not bits[start] & _HOST or not bits[k - 1] & _HOST:
                return False
            labels += 1
            start = k + 1
        elif not (bits[k] & (_HOST | _LOWER) or c == 0x2D or c == 0x5F):
            break
        k += 1
    if labels == 0 or not 2 <= k - start <= 63:
        return False
    for p in range(start, k):
        if not bits[p] & _LOWER:
            return False
    for p in range(i, start):
        c = codes[p]
        if not (bits[p] & _HOST or c == 0x2E or c == 0x2D or c == 0x5F):
            return False
    return _rest(codes, bits, k, j)


@njit(cache=True, nogil=True, _nrt=False)
def _url(codes: Any, bits: Any, i: int, j: int) -> Any:
    if _host(codes, bits, i, j):
        return True
    k = i
    while k < j and (bits[k] & _WORD or codes[k] == 0x5F or codes[k] == 0x2B or codes[k] == 0x2D or codes[k] == 0x2E):
        k += 1
    scheme = k - i >= 2 and k + 2 < j and codes[k] == 0x3A and codes[k + 1] == 0x2F and codes[k + 2] == 0x2F
    found = scheme and _host(codes, bits, k + 3, j)
    for k in range(i + 1, j):
        found = found or (codes[k] == 0x40 and _host(codes, bits, k + 1, j))
    return found


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _infix(codes: Any, bits: Any, i: int, p: int, j: int) -> int:
    """Characters of the infix of codes[i:j] that starts at p."""
    bit, c = bits[p], codes[p]
    if bit & _INFIX:
        return 1
    before = bits[p - 1] if p > i else bits[p] & 0
    after = bits[p + 1] if p + 1 < j else bits[p] & 0
    following = codes[p + 1] if p + 1 < j else 0
    if c == 0x2E:
        k = p + 1
        while k < j and codes[k] == 0x2E:
            k += 1
        if k - p > 1:
            return k - p
        return 1 if before & (_LOWER | _QUOTE) and after & (_UPPER | _QUOTE) else 0
    if (c == 0x2B or c == 0x2D or c == 0x2A or c == 0x5E) and before & _DIGIT and (after & _DIGIT or following == 0x2D):
        return 1
    if c == 0x2C:
        return 1 if before & _ALPHA and after & _ALPHA else 0
    if not before & (_ALPHA | _DIGIT):
        return 0
    if c == 0x2D or c == 0x2014 or c == 0x2013 or c == 0x7E:
        if after & _ALPHA:
            return 1
        if following == c and (c == 0x2D or c == 0x2014):
            if p + 2 < j and bits[p + 2] & _ALPHA:
                return 2
            if c == 0x2D and p + 3 < j and codes[p + 2] == c and bits[p + 3] & _ALPHA:
                return 3
        return 0
    if c == 0x3A or c == 0x3C or c == 0x3E or c == 0x3D or c == 0x2F:
        return 1 if after & _ALPHA else 0
    return 0


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _chunk(codes: Any, bits: Any, n: int, known: Any, pieces: Any, sieve: Any, units: Any, cuts: Any, tail: Any) -> int:
    """Cut codes[:n]; the ends of the tokens go to `cuts`, their number is returned."""
    i, j, m, ended, last = 0, n, 0, 0, -1
    while i < j and j - i != last:
        if _exception(known, pieces, sieve, codes, i, j) >= 0:
            break
        last = j - i
        front = _prefix(codes, bits, i, j)
        known_rest = front > 0 and _exception(known, pieces, sieve, codes, i + front, j) >= 0
        back = 0 if known_rest else _suffix(codes, bits, units, i + front, j)
        if back and _exception(known, pieces, sieve, codes, i, j - back) >= 0:
            front, known_rest = 0, True
        if front:
            i += front
            cuts[m] = i
            m += 1
        if back:
            tail[ended] = j
            ended += 1
            j -= back
        if known_rest:
            break
    if i < j:
        slot = _exception(known, pieces, sieve, codes, i, j)
        if slot >= 0:
            lengths = pieces[slot]
            while lengths:
                i += lengths & 15
                lengths >>= 4
                cuts[m] = i
                m += 1
        else:
            if not _url(codes, bits, i, j):
                p = i
                while p < j:
                    size = _infix(codes, bits, i, p, j)
                    if size and p != i:
                        if p != (cuts[m - 1] if m else 0):
                            cuts[m] = p
                            m += 1
                        cuts[m] = p + size
                        m += 1
                    p += max(size, 1)
            if (cuts[m - 1] if m else 0) != j:
                cuts[m] = j
                m += 1
    for k in range(ended - 1, -1, -1):
        cuts[m] = tail[k]
        m += 1
    return m


@njit(cache=True, nogil=True, _nrt=False)
def _mend(codes: Any, known: Any, pieces: Any, sieve: Any, patterns: Any, cuts: Any, m: int, taken: Any, other: Any) -> int:
    """Put exceptions together again that were taken apart: the longest first, then the first, none over another."""
    hits = 0
    for k in range(m):
        taken[k] = 0
    for size in range(min(m, _MOST_PIECES), 1, -1):
        for k in range(m - size + 1):
            start = cuts[k - 1] if k else 0
            end = cuts[k + size - 1]
            slot = _exception(known, pieces, sieve, codes, start, end)
            if slot < 0 or not patterns[slot]:
                continue
            lengths, at = patterns[slot], start
            for q in range(k, k + size):
                if cuts[q] - at != lengths & 15:
                    lengths = -1
                    break
                lengths >>= 4
                at = cuts[q]
            if lengths != 0:
                continue
            if not taken[k] and not taken[k + size - 1]:
                taken[k] = slot + 2
                hits += 1
            else:
                taken[k] = max(taken[k], 1)
            for q in range(k + 1, k + size):
                taken[q] = max(taken[q], 1)
    if not hits:
        return m
    k, out = 0, 0
    while k < m:
        if taken[k] < 2:
            other[out] = cuts[k]
            out += 1
            k += 1
            continue
        at, slot = cuts[k - 1] if k else 0, taken[k] - 2
        lengths = patterns[slot]
        while lengths:
            lengths >>= 4
            k += 1
        lengths = pieces[slot]
        while lengths:
            at += lengths & 15
            lengths >>= 4
            other[out] = at
            out += 1
    for k in range(out):
        cuts[k] = other[k]
    return out


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _pieces(
    data: Any, at: int, count: int, mark: Any, index: Any, flags: Any, known: Any, pieces: Any, sieve: Any, patterns: Any,
    units: Any, codes: Any, bits: Any, places: Any, cuts: Any, tail: Any, taken: Any,
    starts: Any, ends: Any, hashes: Any, chars: Any, kinds: Any, m: int,
) -> int:  # fmt: skip
    """Write down the tokens of a chunk of so many characters that starts at byte `at`."""
    for k in range(count):
        code, step = _decode(data, at)
        codes[k], bits[k], places[k] = code, flags[np.int64(index[code >> 8]) << 8 | (code & 255)], at
        at += step
    places[count] = at
    size = _chunk(codes, bits, count, known, pieces, sieve, units, cuts, tail)
    if size > 2:
        size = _mend(codes, known, pieces, sieve, patterns, cuts, size, taken, tail)
    start = 0
    for k in range(size):
        end, seen = cuts[k], np.uint32(0)
        for q in range(start, end):
            seen |= bits[q]
        starts[m], ends[m], hashes[m], chars[m] = places[start], places[end], _hash(codes, start, end), end - start
        kinds[m] = _kind(seen, end - start, bits[start], mark if k == 0 else np.uint8(0))
        m += 1
        start = end
    return m


@njit(cache=True, nogil=True, _nrt=False)
def split(
    offsets: Any, data: Any, index: Any, flags: Any, known: Any, pieces: Any, sieve: Any, patterns: Any,
    units: Any, codes: Any, bits: Any, places: Any, cuts: Any, tail: Any, taken: Any, place: Any,
    starts: Any, ends: Any, bounds: Any, hashes: Any, chars: Any, kinds: Any,
) -> int:  # fmt: skip
    """Go on from `place` (document, byte, tokens so far). 0 when all is done, else the room that the next chunk takes."""
    m = place[2]
    for d in range(place[0], len(offsets) - 1):
        i, stop = offsets[d], offsets[d + 1]
        if d == place[0]:
            i = place[1]
        while i < stop:
            # White space before the chunk; a single blank between two chunks leaves no mark.
            gap, after = i, np.uint32(0)
            code, step = _decode(data, i)
            bit = flags[np.int64(index[code >> 8]) << 8 | (code & 255)]
            while bit & _SPACE:
                after |= bit
                i += step
                if i >= stop:
                    break
                code, step = _decode(data, i)
                bit = flags[np.int64(index[code >> 8]) << 8 | (code & 255)]
            if i >= stop:
                break
            mark = np.uint8(_AFTER_BREAK if after & _BREAK else 0)
            if i != gap and not (i == gap + 1 and data[gap] == 0x20 and gap != offsets[d]):
                mark |= np.uint8(_AFTER_GAP)
            first, at, h, count, seen, start = i, i, _SEED, 0, np.uint32(0), bit
            # The last character that is more than a letter, and what came before it.
            core, inner, back, sign, last, before, previous = h, seen, i, code, bit, seen, seen
            while True:
                if bit & _SLOW:
                    core, inner, back, sign, last, before = h, seen, i, code, bit, previous
                h = (h ^ np.uint64(code)) * _PRIME
                h ^= h >> _HALF
                seen |= bit
                count += 1
                at, previous = i, bit
                i += step
                if i >= stop:
                    break
                code, step = _decode(data, i)
                bit = flags[np.int64(index[code >> 8]) << 8 | (code & 255)]
                if bit & _SPACE:
                    break
            h = _finish(h)
            if not seen & _SLOW and not (seen & _DIGIT and seen & _NOT_DIGIT):
                slot = _look(known, pieces, h) if count <= _LONGEST else -1
                if slot < 0 or pieces[slot] < 16:
                    starts[m], ends[m], hashes[m], chars[m], kinds[m] = first, i, h, count, _kind(seen, count, start, mark)
                    m += 1
                    continue
            elif (
                back == at
                and count > 1
                and not inner & _SLOW
                and not (inner & _DIGIT and inner & _NOT_DIGIT)
                and (last & _SUFFIX or (sign == 0x2E and before & _BEFORE_DOT))
                and (count > _LONGEST or _look(known, pieces, h) < 0)
            ):
                # A word and one mark behind it: what prose is made of.
                core = _finish(core)
                slot = _look(known, pieces, core) if count <= _LONGEST + 1 else -1
                if slot < 0 or pieces[slot] < 16:
                    starts[m], ends[m], hashes[m], chars[m] = first, at, core, count - 1
                    kinds[m] = _kind(inner, count - 1, start, mark)
                    alone = (_SEED ^ np.uint64(sign)) * _PRIME
                    starts[m + 1], ends[m + 1], hashes[m + 1], chars[m + 1] = at, i, _finish(alone ^ alone >> _HALF), 1
                    kinds[m + 1] = _kind(last, 1, last, np.uint8(0))
                    m += 2
                    continue
            if count > len(codes):
                place[0], place[1], place[2] = d, gap, m
                return count
            m = _pieces(
                data, first, count, mark, index, flags, known, pieces, sieve, patterns, units,
                codes, bits, places, cuts, tail, taken, starts, ends, hashes, chars, kinds, m,
            )  # fmt: skip
        bounds[d + 1] = m
    place[2] = m
    return 0
