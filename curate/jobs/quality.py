"""Training the classifier of the step `quality`: `curate quality train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curate.declare import InputJob, Result, Shards, Single, Stage, Work
from curate.errors import InputError
from curate.steps.quality import QUALITY_MODEL, QUALITY_VERSION

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.words import Words

__all__ = ["TrainQuality"]

_SAMPLE_STREAM = 0x7175_616C_6974_79
"""Mixed into the seed, so that the rows of the sample are not the rows that other jobs draw with the same seed."""
_HELD_OUT_STREAM = 0x6865_6C64

TOLD_BYTES = 4_000_000
"""How much text of each class the most telling words are looked for in."""
TOLD_WORDS = 25
TOLD_DOCUMENTS = 5
"""In fewer documents a word tells of these documents rather than of a class."""

_OF_THE_MODEL = {"bits", "epochs", "learning_rate", "weight_decay", "validation", "sample_bytes", "seed"}

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


class TrainQuality(InputJob):
    """Trains a classifier of good and bad text from examples of both, for the step `quality`.

    `input` is the good examples, `bad` the others: rows of any of the four formats, each side in its own unless `format`
    names one. Typical: text that you trust against random pages of the web, as fastText filters are trained (DCLM, Li et al.
    2024, arXiv 2406.11794).

    The model is logistic regression over hashed words and pairs of words, trained by Adagrad, both classes weighing the same.
    A share of the rows, by a hash of their ids, is held out: on it precision, recall, accuracy, AUC, and how much of each
    class would be kept at each threshold are measured. `model.json` holds these numbers and the most telling words.

    The sample is drawn by a hash of the row's id, so it does not depend on order or workers; the same rows and options give
    the same model. Duplicates on both sides of the held-out line make the numbers look better than they are: run `dedupe`
    first.

    Cost: O(words) for each epoch, one core. Memory and disk: about 1.3 bytes for each byte of the sample, and 8 bytes a
    bucket.
    """

    job: Literal["quality train"] = "quality train"
    bad: tuple[str, ...] = Field(
        min_length=1, description="Bad examples: files, folders, globs or addresses, as for the input; may be repeated."
    )
    bits: int = Field(20, ge=18, le=22, description="The model has 2^bits weights of 4 bytes, which words and pairs share.")
    epochs: int = Field(5, ge=1, le=100, description="How often each example is seen.")
    learning_rate: float = Field(0.1, gt=0, le=10, description="Learning rate of Adagrad.")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="How strongly weights are pulled towards 0 (L2).")
    validation: float = Field(0.1, ge=0, lt=1, description="Share of the rows to measure on and not to train on.")
    sample_bytes: int = Field(
        100_000_000,
        ge=1,
        description="About how many bytes of text of each class to use; all when there are no more than that.",
    )
    seed: int = Field(0, ge=0, lt=1 << 63, description="Another seed draws another sample, and another order.")

    def beside(self) -> tuple[str, ...]:
        """The bad examples."""
        return self.bad

    def stages(self) -> tuple[Stage, ...]:
        return Shards("count", self._count), Shards("features", self._features), Single("train", self._train)

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        """A worker's chunks, the features of the sample, and the weights with their state."""
        return 500_000_000 + round(1.5 * min(bytes, 2 * self.sample_bytes)) + (8 << self.bits)

    def disk(self, bytes: int) -> int | None:
        """The features while the job runs, and the weights."""
        return round(1.4 * min(bytes, 2 * self.sample_bytes)) + (4 << self.bits)

    def _count(self, work: Work) -> Result:
        """How many bytes there are of each class."""
        rows = size = 0
        for batch in work.batches():
            bytes = int(batch.text.str.len_bytes().sum())
            rows, size = rows + len(batch), size + bytes
            work.progress(len(batch), bytes)
        return {"rows_in": rows, "bytes": [0, size] if work.index < work.own_shards else [size, 0]}

    def _features(self, work: Work) -> Result:
        """Hashed words of the shard's part of the sample, into work/; and some of its texts."""
        import numpy as np
        import polars as pl

        from curate.analysis import draw, words
        from curate.declare import Batch
        from curate.io.files import atomic
        from curate.kernels.linear import bag_of_pairs

        good = work.index < work.own_shards
        total = max(sum(result["bytes"][good] for result in work.results["count"]), 1)
        counts, buckets, held_out, told = [np.zeros(0, np.int64)], [np.zeros(0, np.uint32)], [np.zeros(0, np.bool_)], []
        for batch in work.batches():
            u = draw(batch.frame["id"], self.seed ^ _SAMPLE_STREAM)
            sampled = pl.Series(u < self.sample_bytes / total)
            part = Batch(batch.frame.filter(sampled), batch.text.filter(sampled), batch.row.filter(sampled), batch.shard)
            offsets, features = bag_of_pairs(words(part), self.bits)
            counts.append(np.diff(offsets))
            buckets.append(features)
            held_out.append(draw(part.frame["id"], self.seed ^ _HELD_OUT_STREAM) < self.validation)
            told.append(batch.text.filter(pl.Series(u < TOLD_BYTES / total)))
            work.progress(len(batch), int(batch.text.str.len_bytes().sum()))
        arrays: dict[str, NDArray[Any]] = {"counts": np.concatenate(counts), "buckets": np.concatenate(buckets)}
        arrays["held_out"] = np.concatenate(held_out)
        for name, array in arrays.items():
            with atomic(_part(work.folder, work.index, f"{name}.npy")) as handle:
                np.save(handle, array)
        with atomic(_part(work.folder, work.index, "told.parquet")) as handle:
            pl.DataFrame({"text": pl.concat(told) if told else pl.Series([], dtype=pl.String)}).write_parquet(handle)
        return {"examples": len(arrays["counts"])}

    def _train(self, work: Work) -> Result:
        """Train on the sample, measure on what is held out, write the model."""
        import numpy as np

        from curate.io.model_files import save_model
        from curate.kernels.linear import fit

        counts, buckets, held_out = (_joined(work, name) for name in ("counts", "buckets", "held_out"))
        parts = [result["examples"] for result in work.results["features"]]
        labels = np.repeat(np.arange(len(parts)) < work.own_shards, parts)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        learn = np.flatnonzero(~held_out & (counts > 0))
        size = {good: int((labels[learn] == good).sum()) for good in (True, False)}
        for good, name in ((True, "good"), (False, "bad")):
            if not size[good]:
                where = ", ".join((self.input if good else self.bad)[:3])
                raise InputError(f"quality train: {where}: no {name} example with a word in it to train on")
        work.say(f"training on {size[True]:,} good and {size[False]:,} bad examples, {len(buckets):,} features")
        random = np.random.default_rng(self.seed)
        order = np.concatenate([random.permutation(learn) for _ in range(self.epochs)])
        weights = np.zeros(1 << self.bits, np.float32)
        rates = (len(learn) / 2 / size[False], len(learn) / 2 / size[True])
        bias, loss = fit(offsets, buckets, labels, order, weights, rates=rates, rate=self.learning_rate, l2=self.weight_decay)
        test = np.flatnonzero(held_out)
        scores = _probabilities(offsets, buckets, test, weights, bias)
        metrics = _metrics(labels[test], scores)
        telling = self._telling(work, weights)
        header = {
            "options": self.model_dump(mode="json", include=_OF_THE_MODEL),
            "examples": {"good": size[True], "bad": size[False]},
            "bias": bias,
            "loss": loss,
            "held_out": metrics,
            "telling_words": telling,
        }
        save_model(work.folder / "data", QUALITY_MODEL, QUALITY_VERSION, header, {"weights": weights})
        for line in _summary(metrics, telling):
            work.say(line)
        return {"examples_good": size[True], "examples_bad": size[False], "loss": loss, "held_out": metrics}

    def _telling(self, work: Work, weights: NDArray[np.float32]) -> dict[str, list[str]]:
        """The words that move the texts of a class most: weight times number of its documents that hold the word."""
        import numpy as np
        import polars as pl

        from curate.analysis import text_buffers
        from curate.kernels.words import words

        telling = {}
        for good in (True, False):
            shards = [i for i in range(work.shards) if (i < work.own_shards) == good]
            texts = pl.concat([pl.read_parquet(_part(work.folder, i, "told.parquet"))["text"] for i in shards])
            offsets, data = text_buffers(texts)
            table = _document_counts(words(offsets, data), data)
            bucket = (table["hash"].to_numpy() >> np.uint64(64 - self.bits)).astype(np.int64)
            pull = pl.Series("pull", weights[bucket].astype(np.float64)) * table["documents"] * (1 if good else -1)
            ranked = table.with_columns(pull).filter(pull > 0).sort("pull", "word", descending=[True, False])
            telling["good" if good else "bad"] = ranked["word"].head(TOLD_WORDS).to_list()
        return telling


def _part(folder: Path, index: int, name: str) -> Path:
    return folder / "work" / f"{index:05d}-{name}"


def _joined(work: Work, name: str) -> Any:
    """An array of all shards, one after another."""
    import numpy as np

    return np.concatenate([np.load(_part(work.folder, i, f"{name}.npy")) for i in range(work.shards)])


def _document_counts(found: Words, data: NDArray[np.uint8]) -> pl.DataFrame:
    """hash, documents, word: words that enough texts hold, how many do, and how the first writes it, in lower case."""
    import numpy as np
    import polars as pl

    document = np.repeat(np.arange(len(found.bounds) - 1), np.diff(found.bounds))
    frame = pl.DataFrame({"hash": found.hashes, "document": document, "start": found.starts, "end": found.ends})
    table = frame.group_by("hash").agg(pl.col("document").n_unique().alias("documents"), pl.col("start", "end").first())
    raw = data.tobytes()
    some = table.filter(pl.col("documents") >= TOLD_DOCUMENTS).sort("start")
    spelled = [raw[a:b].decode().lower() for a, b in zip(some["start"], some["end"], strict=True)]
    return some.with_columns(pl.Series("word", spelled, dtype=pl.String))


def _probabilities(
    offsets: NDArray[np.int64], buckets: NDArray[np.uint32], rows: NDArray[np.int64], weights: Any, bias: float
) -> NDArray[np.float64]:
    """What the step `quality` gives these documents, but for the order of the sum."""
    import numpy as np

    scores = np.zeros(len(rows))
    for i, row in enumerate(rows):
        bag = buckets[offsets[row] : offsets[row + 1]]
        if len(bag):
            scores[i] = 1 / (1 + np.exp(-(bias + weights[bag].sum(dtype=np.float64) / np.sqrt(len(bag)))))
    return scores


def _metrics(labels: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, Any] | None:
    """Numbers on held-out rows, mixed as they are there; None where one of the classes has none."""
    import numpy as np

    good, bad = int(labels.sum()), int((~labels).sum())
    if not good or not bad:
        return None
    # AUC is the chance that a good row scores above a bad one, ties counting half (Mann-Whitney): from mean ranks.
    _, place, times = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]
    auc = (ranks[labels].sum() - good * (good + 1) / 2) / (good * bad)
    counts = [(int((scores[labels] >= t).sum()), int((scores[~labels] >= t).sum())) for t in THRESHOLDS]
    table = [
        {"threshold": threshold, "good_kept": a / good, "bad_kept": b / bad, "precision": a / (a + b) if a + b else None}
        for threshold, (a, b) in zip(THRESHOLDS, counts, strict=True)
    ]
    a, b = counts[THRESHOLDS.index(0.5)]
    return {
        "good": good,
        "bad": bad,
        "auc": float(auc),
        "accuracy": (a + bad - b) / (good + bad),
        "precision": a / (a + b) if a + b else None,
        "recall": a / good,
        "thresholds": table,
    }


def _summary(metrics: dict[str, Any] | None, telling: dict[str, list[str]]) -> list[str]:
    lines = ["nothing of both classes was held out to measure on"]
    if metrics:
        precision = "none kept" if metrics["precision"] is None else f"{metrics['precision']:.3f}"
        lines = [
            f"held out, {metrics['good']:,} good and {metrics['bad']:,} bad: AUC {metrics['auc']:.4f}; at 0.5 accuracy "
            f"{metrics['accuracy']:.3f}, precision {precision}, recall {metrics['recall']:.3f}"
        ]
        for row in metrics["thresholds"]:
            kept = f"keeps {row['good_kept']:.1%} of good, {row['bad_kept']:.1%} of bad"
            lines.append(f"min_quality {row['threshold']:.2f} {kept}")
    return [*lines, *(f"telling of {name}: {', '.join(words[:12])}" for name, words in telling.items() if words)]
