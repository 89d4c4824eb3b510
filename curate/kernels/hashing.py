"""Hashes of whole strings, for exact duplicates: stable over machines, versions and runs."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["hash128", "hash_strings"]

# XXH64 (Yann Collet, https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md): its five primes.
_P1 = np.uint64(0x9E3779B185EBCA87)
_P2 = np.uint64(0xC2B2AE3D27D4EB4F)
_P3 = np.uint64(0x165667B19E3779F9)
_P4 = np.uint64(0x85EBCA77C2B2AE63)
_P5 = np.uint64(0x27D4EB2F165667C5)
_WORD = np.uint64(64)


def hash_strings(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], seed: int = 0) -> npt.NDArray[np.uint64]:
    """uint64[n]: XXH64 of each string's bytes, equal to `xxhash.xxh64(bytes, seed).intdigest()`.

    `offsets` int64[n+1], `data` uint8[...]; 0 <= seed < 2^64. O(bytes). Among k different strings some two share a
    hash with probability about k^2 / 2^65: 2.7 % at 10^9. `hash128` is for those who delete by hash alone.
    """
    out = np.empty(len(offsets) - 1, np.uint64)
    _hash(frozen(offsets, np.int64), frozen(data, np.uint8), np.uint64(seed), out)
    return out


def hash128(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], seed: int = 0
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Two uint64[n]: XXH64 under `seed` and under its complement, 128 bits for each string.

    At 10^9 different strings a pair agrees in both with probability about 10^-21. Not for adversaries: XXH64 is no
    cryptographic hash. O(bytes), two passes.
    """
    return hash_strings(offsets, data, seed), hash_strings(offsets, data, seed ^ (2**64 - 1))


@njit(cache=True, nogil=True)
def _rotate(x: Any, bits: int) -> Any:
    return (x << np.uint64(bits)) | (x >> (_WORD - np.uint64(bits)))


@njit(cache=True, nogil=True)
def _read(data: Any, i: Any, size: int) -> Any:
    """`size` bytes at i, little endian. Unsigned i: a signed index would be checked for wrapping at every byte."""
    x = np.uint64(0)
    for k in range(size):
        x |= np.uint64(data[i + np.uint64(k)]) << np.uint64(8 * k)
    return x


@njit(cache=True, nogil=True)
def _round(lane: Any, x: Any) -> Any:
    return _rotate(lane + x * _P2, 31) * _P1


@njit(cache=True, nogil=True)
def _xxh64(data: Any, start: Any, stop: Any, seed: Any) -> Any:
    i = start
    if stop - start >= np.uint64(32):
        v1, v2, v3, v4 = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
        while i + np.uint64(32) <= stop:
            v1 = _round(v1, _read(data, i, 8))
            v2 = _round(v2, _read(data, i + np.uint64(8), 8))
            v3 = _round(v3, _read(data, i + np.uint64(16), 8))
            v4 = _round(v4, _read(data, i + np.uint64(24), 8))
            i += np.uint64(32)
        h = _rotate(v1, 1) + _rotate(v2, 7) + _rotate(v3, 12) + _rotate(v4, 18)
        for lane in (v1, v2, v3, v4):
            h = (h ^ _round(np.uint64(0), lane)) * _P1 + _P4
    else:
        h = seed + _P5
    h += stop - start
    while i + np.uint64(8) <= stop:
        h = _rotate(h ^ _round(np.uint64(0), _read(data, i, 8)), 27) * _P1 + _P4
        i += np.uint64(8)
    if i + np.uint64(4) <= stop:
        h = _rotate(h ^ _read(data, i, 4) * _P1, 23) * _P2 + _P3
        i += np.uint64(4)
    while i < stop:
        h = _rotate(h ^ np.uint64(data[i]) * _P5, 11) * _P1
        i += np.uint64(1)
    h = (h ^ (h >> np.uint64(33))) * _P2
    h = (h ^ (h >> np.uint64(29))) * _P3
    return h ^ (h >> np.uint64(32))


@njit(cache=True, nogil=True)
def _hash(offsets: Any, data: Any, seed: Any, out: Any) -> None:
    for d in range(len(out)):
        out[d] = _xxh64(data, np.uint64(offsets[d]), np.uint64(offsets[d + 1]), seed)
