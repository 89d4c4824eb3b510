"""MinHash signatures as FineWeb was deduplicated with: bit for bit those of datatrove with SHA-1.

Penedo et al. 2024, "The FineWeb datasets"; datatrove 0.10, `pipeline/dedup/minhash.py` and `utils/hashes/sha1.py`.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["fineweb_signatures"]

_MERSENNE = np.uint64((1 << 61) - 1)
_SPACE = 0x20
_M32 = np.uint64(0xFFFFFFFF)


def fineweb_signatures(
    data: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.int64],
    ngram: int = 5,
    permutations: int = 112,
    seed: int = 1,
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """`(signatures uint64[n, permutations], present bool[n])` of n documents, from where their words stand.

    Word i is `data[starts[i]:ends[i]]`, document d has words `bounds[d]:bounds[d + 1]`. A shingle is `ngram` words joined by
    one space; its hash the first 8 bytes of its SHA-1, little endian. Permutation p of a hash h is `(a[p] * h + b[p])` modulo
    2^64, then modulo 2^61 - 1, with a and b of numpy's `RandomState(seed)`. A document of fewer than `ngram` words has no
    signature. O(words x (ngram + permutations)) time.
    """
    a, b = _parameters(permutations, seed)
    signatures = np.full((len(bounds) - 1, permutations), 0xFFFFFFFFFFFFFFFF, np.uint64)
    longest = int((ends - starts).max()) if len(starts) else 0
    _signatures(
        frozen(data, np.uint8), frozen(starts, np.int64), frozen(ends, np.int64), frozen(bounds, np.int64), ngram,
        frozen(a, np.uint64), frozen(b, np.uint64), ngram * (longest + 1) + 72, signatures,
    )  # fmt: skip
    return signatures, np.diff(bounds) >= ngram


@functools.cache
def _parameters(permutations: int, seed: int) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """The streams of RandomState are frozen for good, unlike those of numpy's newer generators."""
    draw = np.random.RandomState(seed)
    a = draw.randint(1, int(_MERSENNE), dtype=np.uint64, size=permutations)
    return a, draw.randint(0, int(_MERSENNE), dtype=np.uint64, size=permutations)


@njit(cache=True, nogil=True)
def _left(x: Any, bits: int) -> Any:
    return ((x << np.uint64(bits)) | (x >> np.uint64(32 - bits))) & _M32


@njit(cache=True, nogil=True)
def _sha1(message: Any, size: int, w: Any) -> Any:
    """First 8 bytes of SHA-1 (FIPS 180-4), little endian. `message` has room for 72 bytes of padding, w for 80 words."""
    message[size] = 0x80
    end = size + 1
    while end % 64 != 56:
        message[end] = 0
        end += 1
    for k in range(8):
        message[end + k] = np.uint8((size * 8) >> (56 - 8 * k) & 0xFF)
    end += 8
    h0, h1, h2 = np.uint64(0x67452301), np.uint64(0xEFCDAB89), np.uint64(0x98BADCFE)
    h3, h4 = np.uint64(0x10325476), np.uint64(0xC3D2E1F0)
    for block in range(0, end, 64):
        for t in range(16):
            x = np.uint64(0)
            for k in range(4):
                x = x << np.uint64(8) | np.uint64(message[block + 4 * t + k])
            w[t] = x
        for t in range(16, 80):
            w[t] = _left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1)
        a, b, c, d, e = h0, h1, h2, h3, h4
        for t in range(80):
            if t < 20:
                f, k0 = (b & c) | ((b ^ _M32) & d), np.uint64(0x5A827999)
            elif t < 40:
                f, k0 = b ^ c ^ d, np.uint64(0x6ED9EBA1)
            elif t < 60:
                f, k0 = (b & c) | (b & d) | (c & d), np.uint64(0x8F1BBCDC)
            else:
                f, k0 = b ^ c ^ d, np.uint64(0xCA62C1D6)
            new = (_left(a, 5) + f + e + k0 + w[t]) & _M32
            a, b, c, d, e = new, a, _left(b, 30), c, d
        h0, h1, h2 = (h0 + a) & _M32, (h1 + b) & _M32, (h2 + c) & _M32
        h3, h4 = (h3 + d) & _M32, (h4 + e) & _M32
    found = np.uint64(0)
    for k in range(4):
        found |= ((h0 >> np.uint64(24 - 8 * k)) & np.uint64(0xFF)) << np.uint64(8 * k)
        found |= ((h1 >> np.uint64(24 - 8 * k)) & np.uint64(0xFF)) << np.uint64(32 + 8 * k)
    return found


@njit(cache=True, nogil=True)
def _signatures(data: Any, starts: Any, ends: Any, bounds: Any, ngram: int, a: Any, b: Any, room: int, signatures: Any) -> None:
    message, w = np.zeros(room, np.uint8), np.zeros(80, np.uint64)
    for d in range(len(bounds) - 1):
        row = signatures[d]
        for first in range(bounds[d], bounds[d + 1] - ngram + 1):
            size = 0
            for i in range(first, first + ngram):
                if i > first:
                    message[size] = _SPACE
                    size += 1
                for k in range(starts[i], ends[i]):
                    message[size] = data[k]
                    size += 1
            h = _sha1(message, size, w)
            for p in range(len(a)):
                row[p] = min(row[p], (a[p] * h + b[p]) % _MERSENNE)
