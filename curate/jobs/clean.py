"""`curate clean`: row-wise steps over a dataset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curate.declare import Rows, RowsJob, Stage
from curate.steps import AnyStep

__all__ = ["Clean"]


class Clean(RowsJob):
    """Clean, measure and filter rows: repair and normalise their text, drop what falls short, each row with its reason.

    Cost: O(bytes); memory a few chunks of 8 MB a worker, whatever the size of the input.
    At 10^9 documents of 5 kB: 5 TB read, about as much written; nothing is held between documents.
    """

    job: Literal["clean"] = "clean"
    steps: tuple[AnyStep, ...] = Field(
        (), description="The steps in order: names, or mappings with options, such as `{step: length, min_words: 5}`."
    )
    keep_scores: bool = Field(False, description="Write every score that the filters compute as a column `STEP.SCORE`.")
    tag: bool = Field(
        False,
        description="Drop nothing: write every row, with a column `dropped_by` that names the step and reason"
        " (`gopher_quality.too_few_words`) for which it would go; null when it would stay. Rows without a text, which no step"
        " can judge, are still dropped.",
    )

    def stages(self) -> tuple[Stage, ...]:
        return (Rows(self.steps),)
