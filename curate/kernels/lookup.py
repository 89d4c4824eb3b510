"""A set of 64-bit keys to look many hashes up in, most of which are not there."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["Keys", "find", "make_keys"]

_BITS_A_KEY = 16
"""Of the bitmap before the table: with one bit set a key, 6 % of the hashes that are not there reach the table."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: spreads keys that are no good hashes themselves


class Keys(NamedTuple):
    """k different keys. 10 to 20 bytes a key."""

    keys: npt.NDArray[np.uint64]
    """uint64[k]: the keys, as given."""
    slots: npt.NDArray[np.int32]
    """int32[2^s], 2^s >= 2k: open addressing; index of the key at home in a slot or pushed there, -1: none."""
    bits: npt.NDArray[np.uint64]
    """uint64[2^b / 64], 2^b >= 16k: which values some key has in its top b bits, after spreading."""


def make_keys(keys: npt.NDArray[np.uint64]) -> Keys:
    """The set of the given keys (uint64[k], all different, k < 2^31). O(k).

    Raises ValueError when two are equal.
    """
    slots = np.full(1 << max(1, int(2 * len(keys) - 1).bit_length()), -1, np.int32)
    bits = np.zeros(max(1, (1 << max(6, int(_BITS_A_KEY * len(keys)).bit_length())) // 64), np.uint64)
    held = frozen(keys, np.uint64)
    if not _build(held, slots, bits):
        raise ValueError("two of the keys are equal")
    return Keys(held, frozen(slots, np.int32), frozen(bits, np.uint64))


def find(keys: Keys, hashes: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """`(at int64[m], key int64[m])`: `hashes[at[i]] == keys.keys[key[i]]`, in order of `at`, for all hashes that are keys.

    O(hashes): one look into the bitmap for each, and for the few that pass one or two into the table.
    """
    at, key = np.empty(len(hashes), np.int64), np.empty(len(hashes), np.int64)
    m = _find(frozen(hashes, np.uint64), keys.keys, keys.slots, keys.bits, at, key)
    return at[:m], key[:m]


@njit(cache=True, nogil=True)
def _shift(n: int) -> Any:
    """What brings the top bits of a 64-bit value down to an index below n, a power of two."""
    shift = 64
    while n > 1:
        n >>= 1
        shift -= 1
    return np.uint64(shift)


@njit(cache=True, nogil=True)
def _build(keys: Any, slots: Any, bits: Any) -> bool:
    mask = np.int64(len(slots) - 1)
    down, bit_down = _shift(len(slots)), _shift(len(bits) * 64)
    for i in range(len(keys)):
        spread = keys[i] * _GOLDEN
        bit = spread >> bit_down
        bits[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        slot = np.int64(spread >> down)
        while slots[slot] >= 0:
            if keys[slots[slot]] == keys[i]:
                return False
            slot = (slot + 1) & mask
        slots[slot] = i
    return True


@njit(cache=True, nogil=True)
def _find(hashes: Any, keys: Any, slots: Any, bits: Any, at: Any, key: Any) -> int:
    mask = np.int64(len(slots) - 1)
    down, bit_down = _shift(len(slots)), _shift(len(bits) * 64)
    m = 0
    for i in range(len(hashes)):
        spread = hashes[i] * _GOLDEN
        bit = spread >> bit_down
        if not (bits[bit >> np.uint64(6)] >> (bit & np.uint64(63))) & np.uint64(1):
            continue
        slot = np.int64(spread >> down)
        while slots[slot] >= 0:
            if keys[slots[slot]] == hashes[i]:
                at[m], key[m] = i, slots[slot]
                m += 1
                break
            slot = (slot + 1) & mask
    return m
