"""validate: which rows of the four formats are right, and what is wrong with the others."""

from __future__ import annotations

from typing import Literal

from curate.declare import Reading, Rows, RowsJob, Stage
from curate.steps.valid import Valid

__all__ = ["Validate"]


class Validate(RowsJob):
    """Check every row against its format: the JSON Schema, empty texts, roles, equal answers, marks of chat templates.

    Rows that pass are written as they are; the others are dropped, each with the check that it failed and the evidence.
    With `format` auto each row is checked as what its own members say it is.
    """

    job: Literal["validate"] = "validate"

    def reading(self) -> Reading:
        return "record"

    def stages(self) -> tuple[Stage, ...]:
        return (Rows(steps=(Valid(format=self.format, text_column=self.text_column),)),)
