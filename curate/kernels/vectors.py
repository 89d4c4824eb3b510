"""Embedding vectors as whole numbers, so that sums of their products are exact in any order; and means of token vectors."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from math import isfinite, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["FINE", "MOST_DIMENSIONS", "NOT_FINITE", "RADIUS", "ZERO", "add_vectors", "quantised"]

RADIUS = 4000
"""Length that every vector gets before it is rounded."""

MOST_DIMENSIONS = 32768
"""Rounding adds at most sqrt(dimensions) / 2 to a length; up to here it stays below 4096, as `quantised` asks."""

FINE, NOT_FINITE, ZERO = range(3)


def quantised(vectors: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]:
    """`(int16[n, d], uint8[n])`: vectors of length RADIUS, rounded to whole numbers, half to even; FINE, NOT_FINITE or ZERO.

    vectors: float64[n, d], d <= MOST_DIMENSIONS. A vector that is not FINE comes back as zeros.

    The lengths are at most 4096, so by Cauchy and Schwarz any part of the sum of an inner product is at most 2^24 in size: a
    product of matrices in float32 is exact, whatever order, block or fused operation a BLAS takes. A component is off by
    at most 0.5 / RADIUS, a cosine of two rounded vectors from that of the given ones by about 0.0001 (one standard
    deviation: RADIUS^-1 / sqrt(6)), for any d. O(n d).
    """
    out = np.zeros(vectors.shape, np.int16)
    state = np.empty(len(vectors), np.uint8)
    _quantised(frozen(vectors, np.float64), out, state)
    return out, state


def add_vectors(
    table: npt.NDArray[np.float32],
    ids: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
    owner: npt.NDArray[np.int64],
    sums: npt.NDArray[np.float64],
) -> None:
    """Add `weights[t] * table[ids[t]]` to `sums[owner[t]]` for each token t, one after another.

    table: float32[v, d]; ids, weights, owner: [t]; sums: float64[n, d], written to. The order is that of the tokens, so the
    result is the same however they are cut into calls. O(t d).
    """
    _add_vectors(frozen(table, np.float32), frozen(ids, np.int64), frozen(weights, np.float64), frozen(owner, np.int64), sums)


@njit(cache=True, nogil=True)
def _quantised(vectors: Any, out: Any, state: Any) -> None:
    for i in range(vectors.shape[0]):
        most = 0.0
        state[i] = FINE
        for k in range(vectors.shape[1]):
            if not isfinite(vectors[i, k]):
                state[i] = NOT_FINITE
                break
            most = max(most, abs(vectors[i, k]))
        if state[i] == NOT_FINITE:
            continue
        if most == 0.0:
            state[i] = ZERO
            continue
        # By the largest first: squares of very large or small numbers are none in floating point.
        total = 0.0
        for k in range(vectors.shape[1]):
            x = vectors[i, k] / most
            total += x * x
        length = sqrt(total)
        for k in range(vectors.shape[1]):
            out[i, k] = np.int16(np.rint(vectors[i, k] / most / length * RADIUS))


@njit(cache=True, nogil=True)
def _add_vectors(table: Any, ids: Any, weights: Any, owner: Any, sums: Any) -> None:
    for t in range(len(ids)):
        row, to, weight = ids[t], owner[t], weights[t]
        for k in range(table.shape[1]):
            sums[to, k] += weight * table[row, k]
