"""Counted values as bars."""

from __future__ import annotations

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from curate.report.bins import MOST_BARS, Histogram, histogram

floats = st.floats(-1e12, 1e12, allow_subnormal=False) | st.sampled_from([0.0, 1.0, 0.5, float("inf"), 1e-9, 1e9])


def of(values: list[float], low: float | None = None, high: float | None = None) -> Histogram | None:
    counts = Counter(f"{value + 0.0:.2g}" for value in values)
    return histogram(counts, low, high)


@example([2.0, 2.2250738585072014e-308], None, None)
@given(st.lists(floats, min_size=1, max_size=50), st.none() | floats, st.none() | floats)
def test_every_value_has_its_bar(values: list[float], low: float | None, high: float | None) -> None:
    found = of(values, low, high)
    rounded = [float(f"{value:.2g}") for value in values]
    finite = [value for value in rounded if abs(value) != float("inf")]
    if not finite:
        assert found is None
        return
    assert found is not None
    assert 1 <= len(found.bars) <= MOST_BARS
    assert sum(inside + outside for inside, outside in found.bars) == len(values)
    out = sum((low is not None and value < low) or (high is not None and value > high) for value in rounded)
    assert sum(outside for _, outside in found.bars) == out
    assert found.bars[-1] != (0, 0) or found.log
    for value in finite:
        place = found.place(value)
        assert place is not None
        assert 0 <= place <= 1
    assert max(found.heights()) == 1
    assert len(found.line().replace("│", "")) == len(found.bars)


def test_shares_counts_and_long_tails_have_scales_that_fit() -> None:
    shares = of([i / 100 for i in range(101)])
    assert shares is not None
    assert (shares.low, shares.high, shares.log, len(shares.bars)) == (0, 1, False, 20)
    assert [inside for inside, _ in shares.bars] == [5] * 19 + [6]
    small = of([float(i) for i in range(9)])
    assert small is not None
    assert [inside for inside, _ in small.bars] == [1] * 9
    tail = of([0.0] * 3 + [1.0, 10.0, 100.0, 9_900.0, float("inf")])
    assert tail is not None
    assert (tail.low, tail.high, tail.log, tail.zero) == (1, 10_000, True, True)
    assert tail.bars[0] == (3, 0)
    assert tail.bars[-1] == (2, 0)
    assert tail.place(0) == 0
    assert tail.place(-1) is None
    assert tail.place(1e5) is None
    assert histogram({}) is None


def test_limits_stand_where_they_cut() -> None:
    found = of([float(i) for i in range(10)], low=3)
    assert found is not None
    assert [outside for _, outside in found.bars] == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert found.line(3) == "███│███████"
    assert found.line(3, 99) == found.line(3)
    assert found.line(3, 5) == "███│███│████"  # 5 itself is inside
    assert found.place(3) == 0.3
