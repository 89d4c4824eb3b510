"""Training the language model of the step `perplexity`: `curate perplexity train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curate.declare import Exchange, InputJob, Result, Shards, Single, Stage, Work
from curate.errors import InputError
from curate.steps.perplexity import PERPLEXITY_MODEL, PERPLEXITY_VERSION

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.kernels.ngram_model import Grams

__all__ = ["TrainPerplexity"]

PARTITIONS = 32
"""Files that n-grams are counted through, by their last word: a 32nd of them is in memory at a time, a common word's more."""

MIN_WORD_COUNT = 2
"""Words seen once are unknown words: what they make up of the text is about what words never seen will (Good and Turing)."""

_SAMPLE_STREAM = 0x7065_7270_6C65_78
_HELD_OUT_STREAM = 0x6865_6C64
"""Mixed into the seed, so that different draws of one seed are different rows."""

UNKNOWN_ID, BOS_ID, EOS_ID = 0, 1, 2
"""Numbers of the marks; words follow, in the order of their hashes."""

FALLBACK = (0.0, 0.5, 1.0, 1.5)
"""Discounts of an order whose counts of counts give none, as in tiny texts; lmplz's."""

_HISTOGRAM = 256
PERCENTILES = (5, 10, 25, 33, 50, 67, 75, 90, 95, 99)


class TrainPerplexity(InputJob):
    """Trains an n-gram language model on texts that you like, for the step `perplexity`.

    Modified Kneser-Ney smoothing, interpolated (Chen and Goodman 1998), over lower-case words; lines are sentences. Words
    beyond the `vocab_size` most frequent, and words seen once, are one unknown word whose probability is shared out evenly
    over as many words as were left out, so that a text full of them is not a likely one. Where there are more than
    `max_ngrams` n-grams, those that come least often are left out, of the highest order first; their probability goes to
    the back-off, so that probabilities always add up to 1.

    `model.json` holds discounts, counts, the perplexity of the rows held out by a hash of their ids, and the percentiles of
    theirs, which tell where to put `max_perplexity`. The same rows and options give the same model.

    Cost: O(words x order). Disk while it runs: at most 8 + 16 x order bytes for each word of the sample. Memory: a few
    percent of that, and 60 to 120 bytes for each n-gram kept (the table has a power of two of slots). The model takes 24 to
    48 bytes for each.
    """

    job: Literal["perplexity train"] = "perplexity train"
    order: int = Field(3, ge=2, le=5, description="Words in the longest n-grams.")
    splitter: Literal["unicode", "whitespace"] = Field("unicode", description="What a word is, as in the filters.")
    vocab_size: int = Field(200_000, ge=1, description="Most words that the model knows.")
    max_ngrams: int = Field(5_000_000, ge=1000, description="About how many n-grams to keep beyond single words.")
    validation: float = Field(0.02, ge=0, lt=1, description="Share of the rows to measure on and not to train on.")
    sample_bytes: int = Field(
        200_000_000, ge=1, description="About how many bytes of text to train on; all when there are no more than that."
    )
    seed: int = Field(0, ge=0, lt=1 << 63, description="Another seed draws another sample.")

    def stages(self) -> tuple[Stage, ...]:
        return (
            Shards("count", self._count),
            Shards("sample", self._sample),
            Single("vocabulary", self._vocabulary),
            Shards("windows", self._windows),
            Exchange("merge", PARTITIONS, self._merge),
            Single("model", self._model),
        )

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        """A worker's chunks and shard of words; the n-grams kept."""
        return 600_000_000 + 120 * min(self.max_ngrams + self.vocab_size, self.order * min(bytes, self.sample_bytes) // 8)

    def disk(self, bytes: int) -> int | None:
        """Words and windows while the job runs, at 6 bytes a word; n-grams; the table."""
        words = min(bytes, self.sample_bytes) // 6
        return words * (8 + 16 * self.order) + 48 * min(self.max_ngrams + self.vocab_size, self.order * words)

    def _count(self, work: Work) -> Result:
        """How many bytes there are."""
        rows = size = 0
        for batch in work.batches():
            bytes = int(batch.text.str.len_bytes().sum())
            rows, size = rows + len(batch), size + bytes
            work.progress(len(batch), bytes)
        return {"rows_in": rows, "bytes": size}

    def _sample(self, work: Work) -> Result:
        """The words of the shard's part of the sample, and of what is held out, into work/; how often each comes."""
        import numpy as np
        import polars as pl

        from curate.analysis import draw, text_buffers
        from curate.kernels.ngram_model import BOS, EOS, UNK, sentences
        from curate.kernels.words import words

        total = max(sum(result["bytes"] for result in work.results["count"]), 1)
        found: dict[bool, list[Any]] = {False: [], True: []}
        sizes: dict[bool, list[Any]] = {False: [], True: []}
        for batch in work.batches():
            sampled = draw(batch.frame["id"], self.seed ^ _SAMPLE_STREAM) < self.sample_bytes / total
            held_out = draw(batch.frame["id"], self.seed ^ _HELD_OUT_STREAM) < self.validation
            for side in (False, True):
                offsets, data = text_buffers(batch.text.filter(pl.Series(sampled & (held_out == side))))
                tokens, bounds = sentences(words(offsets, data, self.splitter), data)
                found[side].append(tokens)
                sizes[side].append(np.diff(bounds))
            work.progress(len(batch), int(batch.text.str.len_bytes().sum()))
        for side, name in ((False, "train"), (True, "held_out")):
            _save(work.folder, f"{name}-{work.index:05d}", _joined(found[side], np.uint64))
            _save(work.folder, f"{name}-sizes-{work.index:05d}", _joined(sizes[side], np.int64))
        hashes, counts = np.unique(_joined(found[False], np.uint64), return_counts=True)
        words_only = ~np.isin(hashes, np.array([BOS, EOS, UNK], np.uint64))
        _save(work.folder, f"words-{work.index:05d}", hashes[words_only])
        _save(work.folder, f"word-counts-{work.index:05d}", counts[words_only])
        return {"tokens": int(counts.sum())}

    def _vocabulary(self, work: Work) -> Result:
        """The words that the model knows: their hashes, sorted, into work/."""
        import numpy as np

        hashes, counts = np.zeros(0, np.uint64), np.zeros(0, np.int64)
        for index in range(work.shards):
            more = _load(work.folder, f"words-{index:05d}"), _load(work.folder, f"word-counts-{index:05d}")
            hashes, place = np.unique(np.concatenate([hashes, more[0]]), return_inverse=True)
            counts = np.bincount(place, np.concatenate([counts, more[1]]), len(hashes)).astype(np.int64)
        if not len(hashes):
            raise InputError("perplexity train: there is no word to train on")
        order = np.lexsort((hashes, -counts))[: self.vocab_size]
        known = np.sort(hashes[order[counts[order] >= MIN_WORD_COUNT]])
        _save(work.folder, "vocabulary", known)
        return {"words": len(known), "unknown_words": len(hashes) - len(known)}

    def _windows(self, work: Work) -> Result:
        """The last `order` words up to each token, by number, into a file for each partition of the last word."""
        import numpy as np

        tokens = _load(work.folder, f"train-{work.index:05d}")
        ids = _numbers(tokens, _load(work.folder, "vocabulary"))
        windows = np.empty((len(ids), self.order), np.uint32)
        for n in range(self.order):
            windows[n:, n] = ids[: len(ids) - n]
            windows[:n, n] = BOS_ID
            if n > 1:  # beyond the beginning of the sentence
                windows[windows[:, n - 1] == BOS_ID, n] = BOS_ID
        windows = windows[ids != BOS_ID]
        partition = windows[:, 0] % PARTITIONS
        order = np.argsort(partition, kind="stable")
        edges = np.searchsorted(partition[order], np.arange(PARTITIONS + 1))
        for i in range(PARTITIONS):
            if edges[i] < edges[i + 1]:
                _save(work.folder, f"windows-{i:02d}/{work.index:05d}", windows[order[edges[i] : edges[i + 1]]])
        return {"windows": len(windows)}

    def _merge(self, work: Work) -> Result:
        """Counts of the partition's n-grams, into work/; how many have each count."""
        import numpy as np

        from curate.kernels.ngram_model import collapse

        files = sorted((work.folder / "work" / f"windows-{work.index:02d}").glob("*.npy"))
        windows = [np.load(path) for path in files] or [np.zeros((0, self.order), np.uint32)]
        counts = np.zeros((2, self.order, _HISTOGRAM), np.int64)
        for n, grams in enumerate(collapse(np.concatenate(windows), BOS_ID)):
            _save(work.folder, f"grams-{work.index:02d}-{n + 1}", np.column_stack(grams).astype(np.uint32))
            for i, array in enumerate((grams.raw, grams.adjusted)):
                counts[i, n] = np.bincount(np.minimum(array, _HISTOGRAM - 1), minlength=_HISTOGRAM)
        _save(work.folder, f"counts-{work.index:02d}", counts)
        return {}

    def _model(self, work: Work) -> Result:
        """Probabilities of the n-grams that are kept; the model and what it makes of the texts held out."""
        import numpy as np

        from curate.io.model_files import save_model

        raw, adjusted = np.sum([_load(work.folder, f"counts-{i:02d}") for i in range(PARTITIONS)], axis=0)
        unknown = work.results["vocabulary"][0]["unknown_words"]
        least = _least_counts(raw, self.max_ngrams)
        kept = [int(raw[n, least[n] :].sum()) for n in range(self.order)]
        discounts = [_discounts(counts) for counts in adjusted]
        work.say(f"estimating {' + '.join(f'{count:,}' for count in kept)} n-grams of 1 to {self.order} words")
        table = _estimate(work.folder, sum(kept[1:]), least, discounts, max(unknown, 1))
        held_out = _held_out(work, table, self.order)
        header = {
            "order": self.order,
            "splitter": self.splitter,
            "options": self.model_dump(mode="json", include={"vocab_size", "max_ngrams", "validation", "sample_bytes", "seed"}),
            "tokens": sum(result["windows"] for result in work.results["windows"]),
            "ngrams": kept,
            "ngrams_seen": raw.sum(axis=1).tolist(),
            "least_counts": least,
            "discounts": [found[1:].tolist() for found in discounts],
            "unknown_words": unknown,
            "held_out": held_out,
        }
        save_model(work.folder / "data", PERPLEXITY_MODEL, PERPLEXITY_VERSION, header, {"table": table})
        if held_out is None:
            work.say("nothing was held out to measure on")
        else:
            spread = ", ".join(f"{p} %: {held_out['percentiles'][str(p)]:,.0f}" for p in (10, 50, 90, 99))
            work.say(
                f"held out: perplexity {held_out['perplexity']:,.1f} over {held_out['tokens']:,} tokens; of texts {spread}"
            )
        return {"ngrams": sum(kept), "held_out": held_out}


def _estimate(
    folder: Path, longer: int, least: list[int], discounts: list[NDArray[np.float64]], unknown: int
) -> NDArray[np.uint64]:
    """The table, with `longer` n-grams beyond words: order by order, as each takes its probabilities from the one before."""
    import numpy as np

    from curate.kernels.ngram_model import BOS, EOS, UNK, add_contexts, gram_keys, new_table, set_probabilities, slots_of

    hashes = np.concatenate([np.array([UNK, BOS, EOS], np.uint64), _load(folder, "vocabulary")])
    table = new_table(longer + len(hashes))
    every = np.delete(slots_of(table, hashes, insert=True), BOS_ID)
    total, spared, probability = (np.zeros(len(table) // 2, np.float64) for _ in range(3))
    for n, least_count in enumerate(least, 1):
        empty_total, empty_spared = np.zeros(1), np.zeros(1)
        for partition in range(PARTITIONS):
            grams = _grams(folder, partition, n)
            read = hashes[grams.ids[:, ::-1]]
            kept = grams.raw >= least_count
            if n == 1:
                nowhere = np.zeros(len(kept), np.int64)
                add_contexts(nowhere, grams.adjusted, kept, discounts[0], empty_total, empty_spared)
            else:
                contexts = slots_of(table, gram_keys(read[:, :-1]))
                add_contexts(contexts, grams.adjusted, kept, discounts[n - 1], total, spared)
            slots_of(table, gram_keys(read[kept]), insert=True)
        for partition in range(PARTITIONS):
            grams = _grams(folder, partition, n)
            kept = grams.raw >= least_count
            read, count = hashes[grams.ids[kept][:, ::-1]], grams.adjusted[kept]
            slots = slots_of(table, gram_keys(read))
            if n == 1:
                probability[slots] = (count - discounts[0][np.minimum(count, 3)]) / empty_total
            else:
                contexts, shorter = slots_of(table, gram_keys(read[:, :-1])), slots_of(table, gram_keys(read[:, 1:]))
                set_probabilities(slots, contexts, shorter, count, discounts[n - 1], total, spared, probability)
        if n == 1:
            # What discounts leave is shared out evenly over all that may come: words, the end, the unknown word.
            probability[every] += empty_spared / empty_total / len(every)
    return _logarithms(folder, table, hashes, least, probability, total, spared, unknown)


def _logarithms(
    folder: Path,
    table: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
    least: list[int],
    probability: NDArray[np.float64],
    total: NDArray[np.float64],
    spared: NDArray[np.float64],
    unknown: int,
) -> NDArray[np.uint64]:
    """Write log10 of probabilities and back-off weights into the table. `unknown` words share what the unknown word has."""
    import numpy as np

    from curate.kernels.ngram_model import gram_keys, slots_of

    # In place: there is one number for every slot of the table.
    probability[table[::2] == 0] = 1
    probability[slots_of(table, hashes[[BOS_ID]])] = 1e-99  # it is never to come
    logs = np.log10(probability, out=probability)
    for n, least_count in enumerate(least, 1):
        grams = _grams(folder, UNKNOWN_ID % PARTITIONS, n)
        last = (grams.ids[:, 0] == UNKNOWN_ID) & (grams.raw >= least_count)
        slots = slots_of(table, gram_keys(hashes[grams.ids[last][:, ::-1]]))
        slots = np.union1d(slots, slots_of(table, hashes[[UNKNOWN_ID]])) if n == 1 else slots
        logs[slots] -= np.log10(unknown)
    values = table.view(np.float32)
    values[2::4] = logs
    spared[total == 0] = total[total == 0] = 1
    np.divide(spared, total, out=spared)
    values[3::4] = np.log10(spared, out=spared)
    return table


def _numbers(tokens: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The number of each token: of the marks, or of the word's place in the vocabulary."""
    import numpy as np

    from curate.kernels.ngram_model import BOS, EOS

    place = np.minimum(np.searchsorted(known, tokens), max(len(known) - 1, 0))
    there = known[place] == tokens if len(known) else np.zeros(len(tokens), np.bool_)
    ids = np.where(there, place + EOS_ID + 1, UNKNOWN_ID).astype(np.uint32)
    ids[tokens == np.uint64(BOS)] = BOS_ID
    ids[tokens == np.uint64(EOS)] = EOS_ID
    return ids


def _least_counts(raw: NDArray[np.int64], most: int) -> list[int]:
    """The least count that n-grams of each order must have: the lowest, growing with the order, with which `most` are left."""
    least = [1] * len(raw)
    for count in range(2, _HISTOGRAM):
        for n in reversed(range(1, len(raw))):
            if sum(int(raw[i, least[i] :].sum()) for i in range(1, len(raw))) <= most:
                return least
            least[n] = count
    return least


def _discounts(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """float64[4]: what is taken from counts of 0, 1, 2, and 3 or more, from how many n-grams have the counts 1 to 4."""
    import numpy as np

    one, two, three, four = (int(count) for count in counts[1:5])
    if min(one, two, three, four) > 0:
        y = one / (one + 2 * two)
        found = (0.0, 1 - 2 * y * two / one, 2 - 3 * y * three / two, 3 - 4 * y * four / three)
        if all(0 < discount <= count for count, discount in enumerate(found[1:], 1)):
            return np.array(found)
    return np.array(FALLBACK)


def _held_out(work: Work, table: NDArray[np.uint64], order: int) -> dict[str, Any] | None:
    """Perplexity over all texts held out, and percentiles of that of each; None when there are none."""
    import numpy as np

    from curate.kernels.ngram_model import log_probabilities

    logs, counts = [np.zeros(0)], [np.zeros(0, np.int64)]
    for index in range(work.shards):
        sizes = _load(work.folder, f"held_out-sizes-{index:05d}")
        bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        some = log_probabilities(_load(work.folder, f"held_out-{index:05d}"), bounds, table, order, closed=True)
        logs.append(some[0])
        counts.append(some[1])
    log, count = np.concatenate(logs), np.concatenate(counts)
    log, count = log[count > 0], count[count > 0]
    if not len(count):
        return None
    spread = np.percentile(10.0 ** (-log / count), PERCENTILES)
    return {
        "texts": len(count),
        "tokens": int(count.sum()),
        "perplexity": float(10.0 ** (-log.sum() / count.sum())),
        "percentiles": {str(p): float(value) for p, value in zip(PERCENTILES, spread, strict=True)},
    }


def _grams(folder: Path, partition: int, n: int) -> Grams:
    import numpy as np

    from curate.kernels.ngram_model import Grams

    found = _load(folder, f"grams-{partition:02d}-{n}")
    return Grams(found[:, :n], *found[:, n:].T.astype(np.int64))


def _joined(arrays: list[Any], dtype: Any) -> Any:
    import numpy as np

    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)


def _save(folder: Path, name: str, array: Any) -> None:
    import numpy as np

    from curate.io.files import atomic

    with atomic(folder / "work" / f"{name}.npy") as handle:
        np.save(handle, array)


def _load(folder: Path, name: str) -> Any:
    import numpy as np

    return np.load(folder / "work" / f"{name}.npy")
