"""Validity: rows of the four formats that can be trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from curate.declare import Batch, Filter, FormatName, Rule
from curate.formats.validity import CHECKS

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Valid"]


class Valid(Filter):
    """Keeps rows that are valid in their format and sensible to train on. Reads rows as records.

    The reasons are the names of `curate.formats.validity.CHECKS`: the JSON Schema of the format, and what no schema can say:
    empty texts, answers that are the same, roles out of order, marks of chat templates inside a text. The value that decided
    is the evidence: what the schema found and where, or the roles as they come. O(bytes).
    """

    step: Literal["valid"] = "valid"
    format: Literal["auto"] | FormatName = Field("auto", description="The format; auto: told for each row by its members.")
    text_column: str = Field("text", description="Where the text stands in rows of the text format.")

    def rules(self) -> tuple[Rule, ...]:
        # A score is the evidence against a row, so that none at all is accepted.
        return tuple(Rule(name, name, among=()) for name in CHECKS)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        from curate.formats.validity import checks

        name = None if self.format == "auto" else self.format
        return lambda batch: checks(batch.frame["record"], name, self.text_column)
