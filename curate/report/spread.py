"""How numbers are spread, told from a stream of them in bounded memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Spread", "Values"]

KEPT = 1 << 20
"""Numbers that are kept: quantiles of up to so many are exact, of more within about 0.1 % of the rank."""

NAMES = 10_000
"""Different words that are counted; past that the rare ones are forgotten."""


class Spread:
    """Count, least, greatest and quantiles of a stream of numbers.

    Least, greatest and count are exact. Quantiles are those of every k-th number, k the power of two that leaves at most
    KEPT of them (8 MB). NaN and null are left out.
    """

    def __init__(self) -> None:
        self.count = 0
        self.min = float("inf")
        self.max = float("-inf")
        self._every = 1
        self._kept: list[NDArray[np.float64]] = []

    def add(self, numbers: pl.Series) -> None:
        """Take more numbers in."""
        import numpy as np
        import polars as pl

        clean = numbers.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        if not len(clean):
            return
        self.min, self.max = min(self.min, float(clean.min())), max(self.max, float(clean.max()))
        self._kept.append(clean[-self.count % self._every :: self._every])
        self.count += len(clean)
        while sum(map(len, self._kept)) > KEPT:
            self._kept = [np.concatenate(self._kept)[::2]]
            self._every *= 2

    def quantile(self, share: float) -> float:
        """The number below which `share` of them lie. Raises ValueError when there are none."""
        import numpy as np

        if not self.count:
            raise ValueError("no numbers")
        return float(np.quantile(np.concatenate(self._kept), share))


class Values:
    """Values that come as strings: numbers as a `Spread`, anything else counted by name."""

    def __init__(self) -> None:
        self.numbers = Spread()
        self.names: Counter[str] = Counter()

    def add(self, values: pl.Series) -> None:
        """Take more values in; nulls are left out."""
        import polars as pl

        number = values.cast(pl.Float64, strict=False)
        self.numbers.add(number)
        words = values.filter(number.is_null() & values.is_not_null())
        for name, count in words.value_counts().iter_rows():
            self.names[name] += count
        if len(self.names) > NAMES:
            self.names = Counter(dict(self.names.most_common(NAMES // 2)))
