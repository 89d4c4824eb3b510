"""Where texts share runs of words with benchmark items: the index of the items, and what a batch has of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.formats.items import Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.kernels.lookup import Keys
    from curate.kernels.words import Words

__all__ = ["SEED_WORDS", "ItemIndex", "Match"]

SEED_WORDS = 5
"""Words that must stand together to be noticed at all. Of an item with a changed word, the n-grams that hold it are lost: at
13 words an item of 20 loses them all, at 5 it keeps 11 of 16."""

COMMON_ITEMS = 10
COMMON_SHARE = 0.05
"""An n-gram that is in more items of a benchmark than both allow belongs to its template, not to an item."""

OFTEN = 64
"""Places in one row at which the same n-gram counts: bounds the work on a row that repeats itself."""

AROUND = 50
"""Words before and after a question among which its answer is looked for, besides its own length."""


class Match(NamedTuple):
    """A row that holds something of an item."""

    row: int
    """Position in the batch."""
    item: int
    """Position among the items."""
    run: int
    """Words of the longest run that both have."""
    overlap: float
    """Share of the item's n-grams that stand close together in the row, weighted by how rare they are among the items."""
    first: int
    last: int
    """Words of the row that the match spans: from `first` to before `last`, counted from the row's first word."""
    answered: bool
    """Whether the item's answer stands near."""


class ItemIndex:
    """The n-grams of benchmark items, ready to be looked up.

    words:   int64[items], how many words each question has.
    weights: float64[items], sum of the weights of its n-grams; 0 where it has none of its own and can never be found.

    Memory: about 40 bytes a word of the items.
    """

    def __init__(self, items: Sequence[Item]) -> None:
        import numpy as np

        from curate.kernels.lookup import make_keys
        from curate.kernels.minhash import shingle_hashes

        found = _words([item.question for item in items])
        self.words: NDArray[np.int64] = np.diff(found.bounds)
        grams, bounds = shingle_hashes(found, SEED_WORDS)
        long_enough = np.repeat(self.words >= SEED_WORDS, np.diff(bounds))
        item = np.repeat(np.arange(len(items)), np.diff(bounds))
        position = np.arange(len(grams)) - bounds[item]
        keys, key = np.unique(grams, return_inverse=True)
        names, benchmark = np.unique([one.benchmark for one in items], return_inverse=True)
        own = long_enough & ~_common(key, item, benchmark, len(names))
        in_items = np.bincount(np.unique(np.stack([key[own], item[own]]), axis=1)[0], minlength=len(keys))
        weight = np.log1p(len(items) / np.maximum(in_items, 1))
        order = np.flatnonzero(own)[np.argsort(key[own], kind="stable")]
        self._items, self._positions = item[order], position[order]
        self._starts = np.searchsorted(key[order], np.arange(len(keys) + 1))
        self._weight = weight
        self._of: Keys = make_keys(keys)
        # An n-gram that an item holds twice counts once.
        once = np.unique(np.stack([item[own], key[own]]), axis=1)
        self.weights: NDArray[np.float64] = np.bincount(once[0], weight[once[1]], len(items)).astype(np.float64)
        answers = _words([one.answer for one in items])
        self._answers = [answers.hashes[a:b] for a, b in zip(answers.bounds[:-1], answers.bounds[1:], strict=True)]

    def matches(self, found: Words, *, run: int | None, overlap: float | None) -> list[Match]:
        """What rows with these words have of the items: runs of `run` words or more, or an `overlap` or more.

        Of an item with fewer than `run` words all must stand together, or `overlap` of them; and its answer near, where it
        has one, or the item have 8 words: short questions are common phrases.

        O(words), and for each match O(words of the item).
        """
        import numpy as np

        from curate.kernels.lookup import find
        from curate.kernels.minhash import shingle_hashes

        grams, bounds = shingle_hashes(found, SEED_WORDS)
        at, key = find(self._of, grams)
        row = np.searchsorted(bounds, at, "right") - 1
        at = at - bounds[row]
        kept = _first_places(row, key)
        row, at, key = row[kept], at[kept], key[kept]
        each = self._starts[key + 1] - self._starts[key]
        posting = np.repeat(self._starts[key] - np.cumsum(each) + each, each) + np.arange(each.sum())
        hits = {"row": np.repeat(row, each), "at": np.repeat(at, each), "key": np.repeat(key, each)}
        hits |= {"item": self._items[posting], "position": self._positions[posting]}
        hits["diagonal"] = hits["at"] - hits["position"]
        order = np.lexsort((hits["position"], hits["diagonal"], hits["item"], hits["row"]))
        hits = {name: values[order] for name, values in hits.items()}
        pair = np.cumsum(_changes(hits["row"], hits["item"])) - 1
        worth = self._may_count(pair, hits, run, overlap)[pair]
        hits = {name: values[worth] for name, values in hits.items()}
        starts = np.flatnonzero(_changes(pair[worth]))
        # A call for each row and item that share much, which are few.
        out = []
        for a, b in zip(starts.tolist(), [*starts[1:].tolist(), int(worth.sum())][: len(starts)], strict=True):
            one = self._match({name: values[a:b] for name, values in hits.items()}, found)
            if self._counts(one, run, overlap):
                out.append(one)
        return out

    def _may_count(
        self, pair: NDArray[np.int64], hits: dict[str, NDArray[np.int64]], run: int | None, overlap: float | None
    ) -> NDArray[np.bool_]:
        """Which pairs of a row and an item can reach a limit, wherever in the row their hits stand."""
        import numpy as np

        pairs = int(pair[-1]) + 1 if len(pair) else 0
        item = np.zeros(pairs, np.int64)
        item[pair] = hits["item"]
        most = np.bincount(pair, minlength=pairs) + SEED_WORDS - 1
        order = np.lexsort((hits["key"], pair))
        once = order[_changes(pair[order], hits["key"][order])]
        weight = np.bincount(pair[once], self._weight[hits["key"][once]], pairs) / self.weights[item]
        may = np.zeros(pairs, bool)
        if run is not None:
            may |= most >= np.minimum(run, self.words[item])
        if overlap is not None:
            may |= weight >= overlap * (1 - 1e-9)
        return may

    def _match(self, hits: dict[str, NDArray[np.int64]], found: Words) -> Match:
        """One row and one item: the hits are sorted by diagonal and position."""
        import numpy as np

        row, item = int(hits["row"][0]), int(hits["item"][0])
        new = np.ones(len(hits["at"]), bool)
        new[1:] = (np.diff(hits["diagonal"]) != 0) | (np.diff(hits["position"]) != 1)
        starts = np.flatnonzero(new)
        lengths = np.diff(np.append(starts, len(new)))
        longest = int(np.argmax(lengths))
        # Only what stands where the longest run says the item stands, give or take its own length.
        near = np.abs(hits["diagonal"] - hits["diagonal"][starts[longest]]) <= self.words[item]
        weight = float(self._weight[np.unique(hits["key"][near])].sum())
        first, last = int(hits["at"][near].min()), int(hits["at"][near].max()) + SEED_WORDS
        reach = int(self.words[item]) + len(self._answers[item]) + AROUND
        begin, end = int(found.bounds[row]), int(found.bounds[row + 1])
        around = found.hashes[max(begin, begin + first - reach) : min(end, begin + last + reach)]
        answered = _stands_in(self._answers[item], around)
        overlap = weight / float(self.weights[item])
        return Match(row, item, int(lengths[longest]) + SEED_WORDS - 1, overlap, first, last, answered)

    def _counts(self, match: Match, run: int | None, overlap: float | None) -> bool:
        words = int(self.words[match.item])
        enough = (run is not None and match.run >= min(run, words)) or (overlap is not None and match.overlap >= overlap)
        if run is None or words >= run:
            return enough
        return enough and (match.answered if len(self._answers[match.item]) else words >= 8)


def _common(
    key: NDArray[np.int64], item: NDArray[np.int64], benchmark: NDArray[np.int64], benchmarks: int
) -> NDArray[np.bool_]:
    """Which n-grams belong to the template of their benchmark."""
    import numpy as np

    common = np.zeros(len(key), bool)
    items = np.bincount(benchmark, minlength=benchmarks)
    for number in range(benchmarks):
        mine = benchmark[item] == number
        in_items = np.bincount(np.unique(np.stack([key[mine], item[mine]]), axis=1)[0], minlength=1)
        many = in_items > max(COMMON_ITEMS, COMMON_SHARE * items[number])
        common[mine] = many[key[mine]]
    return common


def _first_places(row: NDArray[np.int64], key: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first places at which each row has each key, in order."""
    import numpy as np

    order = np.lexsort((key, row))
    new = np.flatnonzero(_changes(row[order], key[order]))
    number = np.arange(len(order)) - np.repeat(new, np.diff(np.append(new, len(order))))
    return np.sort(order[number < OFTEN])


def _changes(*columns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where a run of equal values begins."""
    import numpy as np

    new = np.ones(len(columns[0]), bool)
    if len(new):
        new[1:] = np.any([np.diff(column) != 0 for column in columns], axis=0)
    return new


def _stands_in(wanted: NDArray[np.uint64], words: NDArray[np.uint64]) -> bool:
    """Whether words stand together among others; of long ones the first 13."""
    import numpy as np

    wanted = wanted[:13]
    if not len(wanted) or len(words) < len(wanted):
        return False
    windows: Any = np.lib.stride_tricks.sliding_window_view(words, len(wanted))
    return bool((windows == wanted).all(axis=1).any())


def _words(texts: Sequence[str]) -> Words:
    import polars as pl

    from curate.analysis import text_buffers
    from curate.kernels.words import words

    return words(*text_buffers(pl.Series(texts, dtype=pl.String)))
