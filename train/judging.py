"""How good a reward model is on rankings that it has not seen: accuracy, by length too, and calibration."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from train.choices import Ranking
from train.device import Device
from train.rewards import score_ids

__all__ = ["Judged", "calibration_error", "judge_rankings"]

RATIOS = ((0.0, "under 2/3"), (2 / 3, "2/3 to 0.9"), (0.9, "0.9 to 1.1"), (1.1, "1.1 to 1.5"), (1.5, "over 1.5"))
"""Length of the better answer over that of the worse one, in tokens: where each class begins, and its name."""

BINS = 10


@dataclass(frozen=True)
class Judged:
    """What `judge_rankings` found. Scores of all answers in order, and over all pairs that the ranks tell apart: loss (mean
    over prompts), accuracy (equal scores are half right), calibration error, mean difference."""

    scores: list[float]
    loss: float
    accuracy: float
    calibration_error: float
    margin: float
    pairs: int
    by_length: dict[str, tuple[int, float]]
    """Pairs and accuracy by the length of the better answer over that of the worse."""
    length_correlation: float
    """Pearson's, between scores and lengths within a prompt: near 1 or -1 the model counts tokens."""

    @property
    def mean(self) -> float:
        """Mean score."""
        return math.fsum(self.scores) / len(self.scores)

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores."""
        mean = self.mean
        return math.sqrt(math.fsum((score - mean) ** 2 for score in self.scores) / len(self.scores))

    def summary(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            "accuracy": self.accuracy,
            "calibration_error": self.calibration_error,
            "margin": self.margin,
            "pairs_heldout": self.pairs,
            "accuracy_by_length": {
                name: {"pairs": pairs, "accuracy": accuracy} for name, (pairs, accuracy) in self.by_length.items()
            },
            "length_correlation": self.length_correlation,
            "score_mean": self.mean,
            "score_std": self.deviation,
        }


def judge_rankings(model: Any, rankings: Sequence[Ranking], device: Device, precision: str, margins: bool) -> Judged:
    """Score all answers and compare with the ranks. The model is left in training mode or not as it was. O(pairs)."""
    training = model.training
    model.eval()
    rows = [[*one.prompt, *answer] for one in rankings for answer in one.answers]
    scores = score_ids(model, rows, device, precision)
    model.train(training)
    differences: list[float] = []
    ratios: list[float] = []
    losses: list[float] = []
    within: list[tuple[float, float]] = []
    first = 0
    for one in rankings:
        here = scores[first : first + len(one.answers)]
        first += len(one.answers)
        lengths = [len(answer) for answer in one.answers]
        middle, usual = math.fsum(here) / len(here), sum(lengths) / len(lengths)
        within += [(score - middle, length - usual) for score, length in zip(here, lengths, strict=True)]
        pairs = one.pairs()
        for i, j in pairs:
            differences.append(here[i] - here[j])
            ratios.append(lengths[i] / lengths[j])
        wanted = [max(0.0, one.scores[i] - one.scores[j]) if margins and one.scores else 0.0 for i, j in pairs]
        recent = differences[-len(pairs) :]
        losses.append(math.fsum(_softplus(m - d) for d, m in zip(recent, wanted, strict=True)) / len(pairs))
    right = [_right(d) for d in differences]
    by_length = {}
    for place, (least, name) in enumerate(RATIOS):
        most = RATIOS[place + 1][0] if place + 1 < len(RATIOS) else math.inf
        here = [r for r, ratio in zip(right, ratios, strict=True) if least <= ratio < most]
        if here:
            by_length[name] = (len(here), sum(here) / len(here))
    return Judged(
        scores,
        math.fsum(losses) / len(losses),
        math.fsum(right) / len(right),
        calibration_error(differences),
        math.fsum(differences) / len(differences),
        len(differences),
        by_length,
        _correlation(within),
    )


def calibration_error(differences: Sequence[float]) -> float:
    """Expected calibration error of the model's own preferences (Guo et al. 2017, arXiv 1706.04599), 10 equal bins.

    differences: score of the better answer less that of the worse. The model prefers one of the two with a confidence of
    sigmoid(|difference|), from 0.5 to 1, and is right where the difference is above 0 (at 0: half). O(pairs).
    """
    bins = [[0.0, 0.0, 0.0] for _ in range(BINS)]
    for difference in differences:
        confidence = 1 / (1 + math.exp(-min(700.0, abs(difference))))
        place = bins[min(BINS - 1, int((confidence - 0.5) * 2 * BINS))]
        place[0] += 1
        place[1] += confidence
        place[2] += _right(difference)
    return math.fsum(abs(confidence - right) for _, confidence, right in bins) / len(differences)


def _right(difference: float) -> float:
    return 0.5 if difference == 0 else float(difference > 0)


def _softplus(x: float) -> float:
    """log(1 + e^x), which is -log sigmoid(-x)."""
    return max(0.0, x) + math.log1p(math.exp(-abs(x)))


def _correlation(points: list[tuple[float, float]]) -> float:
    xx, yy = (math.fsum(point[i] ** 2 for point in points) for i in (0, 1))
    xy = math.fsum(x * y for x, y in points)
    return xy / math.sqrt(xx * yy) if xx > 0 and yy > 0 else 0.0
