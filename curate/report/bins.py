"""Counted values as the bars of a histogram, for the page and for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Histogram", "histogram"]

MOST_BARS = 40

LOG_SPAN = 1000
"""Values that span more than this factor are shown on a logarithmic scale."""

LEVELS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Histogram:
    """Bars of equal width. `low` and `high` are the ends of the scale; on a logarithmic one those of the positive values.

    bars: rows within the limits and rows outside, bar by bar. zero: the first bar holds the zeros of a logarithmic scale.
    unit: each bar is a whole number.
    """

    bars: list[tuple[int, int]]
    low: float
    high: float
    log: bool
    zero: bool
    unit: bool = False

    def place(self, value: float) -> float | None:
        """Where a value stands: 0 the left end, 1 the right end, None outside."""
        if not self.log:
            share = (value - self.low) / (self.high - self.low)
        elif value > 0:
            own = len(self.bars) - self.zero
            # Differences of logarithms: the quotient of the ends of a wide scale is more than a float holds.
            low, high = math.log(self.low), math.log(self.high)
            share = (self.zero + own * (math.log(value) - low) / (high - low)) / len(self.bars)
        else:
            share = 0.0 if self.zero and value == 0 else -1.0
        return min(max(share, 0.0), 1.0) if -1e-6 <= share <= 1 + 1e-6 else None

    def heights(self) -> list[float]:
        """The height of each bar, the tallest 1: square roots, so that thin tails are seen beside a thick middle."""
        most = max(inside + outside for inside, outside in self.bars)
        return [math.sqrt((inside + outside) / most) for inside, outside in self.bars]

    def cuts(self, low: float | None, high: float | None) -> list[float]:
        """Where the lines of the limits stand; limits outside the scale have none. A limit itself is inside."""
        places = [self.place(low)] if low is not None else []
        places += [self.place(high + self.unit)] if high is not None else []
        return [place for place in places if place is not None]

    def line(self, low: float | None = None, high: float | None = None) -> str:
        """The bars as a line of text, with `│` at the limits; a dot is a bar without rows."""
        signs = ["·" if h == 0 else LEVELS[min(7, int(h * 8))] for h in self.heights()]
        found = {round(place * len(signs)) for place in self.cuts(low, high)}
        return "".join(("│" if i in found else "") + sign for i, sign in enumerate([*signs, ""]))


def histogram(numbers: Mapping[str, int], low: float | None = None, high: float | None = None) -> Histogram | None:
    """Bars of counted values (`curate.engine.scores`), at most MOST_BARS; None when there are none.

    low, high: the limits that tell the rows of a bar apart. Infinite values go to the bar at their end.
    """
    counts = {float(value): n for value, n in numbers.items()}
    finite = sorted(value for value in counts if math.isfinite(value))
    if not finite:
        return None
    positive = [value for value in finite if value > 0]
    log = finite[0] >= 0 and bool(positive) and positive[-1] / positive[0] > LOG_SPAN
    found = _log_scale(positive, finite[0] == 0) if log else _scale(finite)
    bars = [[0, 0] for _ in found.bars]
    for value, n in counts.items():
        place = found.place(min(max(value, finite[0]), finite[-1])) or 0.0
        at = 0 if found.zero and value == 0 else min(len(bars) - 1, int(place * len(bars) + 1e-9))
        bars[at][(low is not None and value < low) or (high is not None and value > high)] += n
    return Histogram([(inside, outside) for inside, outside in bars], found.low, found.high, log, found.zero, found.unit)


def _scale(values: list[float]) -> Histogram:
    """A linear scale, cut at multiples of 1, 2 or 5 times a power of ten."""
    least, greatest = values[0], values[-1]
    size = max(abs(least), abs(greatest))
    # Values have two digits, so that narrower bars would be empty in turns. At 1 itself all others have a digit more.
    step = 10.0 ** (math.ceil(math.log10(size) - 1e-9) - 2) if size else 1.0
    whole = 1.0 if all(value.is_integer() for value in values) else 0.0
    wanted = max((greatest - least) / (MOST_BARS - 1), step, whole)
    power = 10.0 ** math.floor(math.log10(wanted) + 1e-9)
    width = next(power * k for k in (1, 2, 5, 10) if power * k >= wanted * (1 - 1e-9))
    first = math.floor(least / width + 1e-9)
    count = math.floor(greatest / width + 1e-9) - first + 1
    if not whole and count > 1 and math.isclose((first + count - 1) * width, greatest):
        count -= 1  # a greatest value on an edge, such as a share of 1, belongs to the bar below it
    return Histogram([(0, 0)] * count, first * width, (first + count) * width, False, False, unit=bool(whole) and width == 1)


def _log_scale(positive: list[float], zero: bool) -> Histogram:
    """A logarithmic scale over whole decades, each cut alike."""
    first = max(math.floor(math.log10(positive[0]) + 1e-9), -308)  # of smaller powers floats hold none or a wrong one
    decades = math.floor(math.log10(positive[-1]) + 1e-9) + 1 - first
    each = max(1, (MOST_BARS - zero) // decades)
    bars = min(decades * each, MOST_BARS - zero)
    return Histogram([(0, 0)] * (bars + zero), 10.0**first, 10.0 ** (first + decades), True, zero)
