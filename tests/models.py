"""Small models for the steps that need one, made once a test process in a folder that goes with it."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import polars as pl

from curate.jobs.perplexity import TrainPerplexity
from curate.jobs.quality import TrainQuality
from tests.contract.texts import PROSE
from tests.steps.fasttext_file import small_fasttext
from tests.work import rows, run_job

__all__ = ["fasttext_model", "perplexity_model", "quality_model", "trained", "two_classes"]

_FOLDER = tempfile.TemporaryDirectory(prefix="curate-models-")

GOOD = tuple(PROSE.split(". "))
BAD = (
    "click here to win",
    "buy cheap pills online now",
    "free casino bonus!!!",
    "cookie policy terms login",
    "act now to win a bonus",
)


def two_classes(count: int) -> tuple[list[str], list[str]]:
    """Good and bad texts that share no template: sentences of a report, and spam."""
    good = [" ".join(GOOD[(i * k + k) % len(GOOD)] for k in (1, 3, 4)) + f" item {i}" for i in range(count)]
    bad = [" ".join(BAD[(i * k + k) % len(BAD)] for k in (1, 2, 3)) + f" item {i}" for i in range(count)]
    return good, bad


def trained(folder: Path, good: list[pl.DataFrame], bad: list[pl.DataFrame], **options: object) -> Path:
    """The model in `data/`: shards of one frame each."""
    job = TrainQuality.model_validate({"input": ["memory"], "bad": ["beside"], "bits": 18, **options})
    run_job(job, folder, [[frame] for frame in [*good, *bad]], beside=len(bad))
    return folder / "data"


@functools.cache
def quality_model() -> str:
    good, bad = two_classes(60)
    return str(trained(Path(_FOLDER.name) / "quality", [rows(good)], [rows(bad, 1000)]))


@functools.cache
def perplexity_model() -> str:
    good, _ = two_classes(60)
    run_job(TrainPerplexity(input=("memory",), validation=0), Path(_FOLDER.name) / "perplexity", [[rows(good)]])
    return str(Path(_FOLDER.name) / "perplexity")


@functools.cache
def fasttext_model() -> str:
    return small_fasttext(Path(_FOLDER.name) / "small.bin")
