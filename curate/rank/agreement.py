"""How far annotators agree: figures for nominal and ordered values, and for rankings.

Sources: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011); Cohen (1960, 1968); Fleiss (1971); Kendall and
Gibbons, Rank Correlation Methods (1990), for W and tau-b with ties. Figures are NaN where they are not defined, as
when nobody's value ever differs and chance alone would agree as well.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Alpha", "Level", "Weights", "alpha", "average_ranks", "cohen_kappa", "counts_of", "fleiss_kappa", "kendall_w",
    "raw_agreement", "tau_b", "wilson",
]  # fmt: skip

Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["none", "linear", "quadratic"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CHUNK = 1 << 22
"""Most numbers of a block of bootstrap draws."""


class Alpha(NamedTuple):
    """Krippendorff's alpha, the ends of its 95 % interval, and on how much it rests: units and values that were compared."""

    alpha: float
    low: float
    high: float
    units: int
    values: int


def counts_of(unit: Ints, value: Ints, units: int, values: int) -> Floats:
    """How often each unit got each value: float64 [units, values]. O(lines)."""
    flat = np.bincount(unit * values + value, minlength=units * values)
    return flat.reshape(units, values).astype(np.float64)


def alpha(
    counts: Floats, values: Floats, level: Level, *, group: Ints | None = None, samples: int = 1000, seed: int = 0
) -> Alpha:
    """Krippendorff's alpha, with a percentile bootstrap interval.

    counts: [units, values], how many annotators gave the unit each value; units with fewer than two are left out, as the
    figure has it. values: what the values are, ascending. group: for each unit what is drawn together by the bootstrap, such
    as the task that pairs of answers are of; None: each unit by itself. samples 0: no interval (NaN). Both observed and
    expected disagreement are computed anew in every sample. O(units C^2 + samples groups), C values.
    """
    given = counts.sum(1)
    used = given >= 2
    counts, given = counts[used], given[used]
    units, n = len(counts), int(given.sum())
    if units == 0:
        return Alpha(np.nan, np.nan, np.nan, 0, 0)
    # What each unit adds to the matrix of coincidences.
    pairs = counts[:, :, None] * counts[:, None, :]
    spot = np.arange(counts.shape[1])
    pairs[:, spot, spot] -= counts
    pairs = (pairs / (given - 1)[:, None, None]).reshape(units, -1)
    if group is not None:
        _, of = np.unique(group[used], return_inverse=True)
        pairs = np.stack([np.bincount(of, weights=column) for column in pairs.T], axis=1)
    estimate = _alpha_of(pairs.sum(0)[None], values, level)[0]
    low, high = _interval(pairs, values, level, samples, seed)
    return Alpha(float(estimate), low, high, units, n)


def _alpha_of(coincidences: Floats, values: Floats, level: Level) -> Floats:
    """Alpha of matrices of coincidences [samples, C * C]."""
    c = len(values)
    matrix = coincidences.reshape(-1, c, c)
    marginal = matrix.sum(2)
    n = marginal.sum(1)
    if level == "nominal":
        distance = np.broadcast_to(1.0 - np.eye(c), matrix.shape)
    elif level == "interval":
        distance = np.broadcast_to((values[:, None] - values[None, :]) ** 2, matrix.shape)
    else:
        # Half of the ends and all between: the distance of the middles of the values' ranks.
        middle = np.cumsum(marginal, 1) - marginal / 2
        distance = (middle[:, :, None] - middle[:, None, :]) ** 2
    observed = (matrix * distance).sum((1, 2))
    expected = (marginal[:, :, None] * marginal[:, None, :] * distance).sum((1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(expected > 0, 1.0 - (n - 1) * observed / expected, np.nan)
    return found


def _interval(pairs: Floats, values: Floats, level: Level, samples: int, seed: int) -> tuple[float, float]:
    if samples < 1:
        return np.nan, np.nan
    # Groups of the same coincidences need one draw together.
    kinds, times = np.unique(pairs.round(9), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    total = int(times.sum())
    block = max(1, CHUNK // len(kinds))
    found = []
    for begin in range(0, samples, block):
        drawn = rng.multinomial(total, times / total, size=min(block, samples - begin))
        found.append(_alpha_of(drawn @ kinds, values, level))
    spread = np.concatenate(found)
    spread = spread[~np.isnan(spread)]
    if not len(spread):
        return np.nan, np.nan
    low, high = np.quantile(spread, (0.025, 0.975))
    return float(low), float(high)


def raw_agreement(counts: Floats) -> float:
    """Share of pairs of annotators on a unit that gave the same value; every such pair counts once. counts: as `alpha`."""
    given = counts.sum(1)
    possible = (given * (given - 1)).sum()
    return float((counts * (counts - 1)).sum() / possible) if possible else np.nan


def cohen_kappa(table: Floats, weights: Weights = "none") -> float:
    """Cohen's kappa of two annotators. table: [C, C], how often the first said i and the second j, values ascending."""
    n = table.sum()
    if n == 0:
        return np.nan
    place = np.arange(len(table), dtype=np.float64)
    apart = np.abs(place[:, None] - place[None, :])
    apart = {"none": (apart > 0).astype(np.float64), "linear": apart, "quadratic": apart**2}[weights]
    expected = (np.outer(table.sum(1), table.sum(0)) / n * apart).sum()
    return float(1.0 - (table * apart).sum() / expected) if expected > 0 else np.nan


def fleiss_kappa(counts: Floats) -> tuple[float, int, int]:
    """Fleiss' kappa, how many annotators a unit has, and how many units there are.

    It wants the same number of annotators, two at least, on every unit: units of the number that is met most often are used
    (of equals the larger number), and the others left out. counts: as `alpha`.
    """
    given = counts.sum(1).astype(np.int64)
    met = np.bincount(given[given >= 2], minlength=2)
    if met.sum() == 0:
        return np.nan, 0, 0
    m = int(len(met) - 1 - met[::-1].argmax())
    counts = counts[given == m]
    agreed = ((counts * (counts - 1)).sum(1) / (m * (m - 1))).mean()
    chance = ((counts.sum(0) / counts.sum()) ** 2).sum()
    kappa = float((agreed - chance) / (1 - chance)) if chance < 1 else np.nan
    return kappa, m, len(counts)


def average_ranks(ranks: NDArray[np.int8]) -> Floats:
    """Ranks [votes, K] with tied ones at the mean of the places that they take: 1, 1, 3 and 1, 1, 2 both give 1.5, 1.5, 3."""
    out = np.empty(ranks.shape)
    for i in range(ranks.shape[1]):
        mine = ranks[:, i, None]
        out[:, i] = (ranks < mine).sum(1) + ((ranks == mine).sum(1) + 1) / 2
    return out


def kendall_w(ranks: NDArray[np.int8], task: Ints) -> Floats:
    """Kendall's coefficient of concordance W with ties, for each task: 1 all rank alike, about 1/m for chance, m annotators.

    ranks: [votes, K], complete rankings of K answers. task: [votes], 0 to the number of tasks - 1. NaN for tasks of one vote,
    and where nobody tells any answers apart. O(votes K^2).
    """
    k = ranks.shape[1]
    tasks = int(task.max()) + 1 if len(task) else 0
    placed = average_ranks(ranks)
    m = np.bincount(task, minlength=tasks)
    sums = np.stack([np.bincount(task, weights=column, minlength=tasks) for column in placed.T], axis=1)
    same = (ranks[:, :, None] == ranks[:, None, :]).sum(2)
    # The sum of t^3 - t over groups of t ties is that of t^2 - 1 over their members.
    ties = np.bincount(task, weights=(same.astype(np.float64) ** 2 - 1).sum(1), minlength=tasks)
    most = m * m * k * (k * k - 1) - m * ties
    spread = 12 * ((sums - (m * (k + 1) / 2)[:, None]) ** 2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        w: Floats = np.where((m >= 2) & (most > 1e-9), spread / most, np.nan)
    return w


def tau_b(ranks: NDArray[np.int8], task: Ints) -> Floats:
    """Mean of Kendall's tau-b over the pairs of annotators of each task.

    Arguments as `kendall_w`. An annotator who ties all answers has no tau-b, and is left out; NaN where fewer than two are
    left. O(votes K^2).
    """
    tasks = int(task.max()) + 1 if len(task) else 0
    first, second = np.triu_indices(ranks.shape[1], 1)
    signs = np.sign(ranks[:, second] - ranks[:, first]).astype(np.float64)
    length = np.sqrt((signs**2).sum(1))
    told = length > 0
    signs, of = signs[told] / length[told, None], task[told]
    m = np.bincount(of, minlength=tasks)
    sums = np.stack([np.bincount(of, weights=column, minlength=tasks) for column in signs.T], axis=1)
    # |sum of unit vectors|^2 = m + twice the sum over pairs of their products, each of which is a tau-b.
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(m >= 2, ((sums**2).sum(1) - m) / (m * (m - 1)), np.nan)
    return found


def wilson(right: float, of: float) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if of <= 0:
        return np.nan, np.nan
    z = 1.959963984540054
    p = right / of
    middle, half = p + z * z / (2 * of), z * np.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
    return float(max(0.0, (middle - half) / (1 + z * z / of))), float(min(1.0, (middle + half) / (1 + z * z / of)))
