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
    steps: tuple[AnyStep, ...] = Field((), description="The steps in order: names, or mappings with options.")
    keep_scores: bool = Field(False, description="Write every score that the filters compute as a column `STEP.SCORE`.")

    def stages(self) -> tuple[Stage, ...]:
        return (Rows(self.steps),)
