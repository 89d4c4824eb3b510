"""Setting rows aside to measure on: a column `split`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Map

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Split"]


class Split(Map):
    """Gives every row a column `split`: `validation` for a share of them, drawn by a hash of the id, else `train`.

    The draw depends on the id and the seed alone: not on order, on the other rows, or on the number of workers, so a row
    stays on its side when rows are added. A column `split` that the rows bring is replaced. `tokenize` keeps the column;
    `tokenizer train` leaves validation rows out. Deduplicate before: copies that fall on both sides make the loss on
    validation look too good.
    """

    step: Literal["split"] = "split"
    releases_gil: ClassVar[bool] = True
    validation: float = Field(0.01, ge=0, le=1, description="Share of the rows that goes to validation.")
    seed: int = Field(0, ge=0, lt=1 << 64, description="Another seed draws other rows.")

    def adds(self) -> tuple[str, ...]:
        return ("split",)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        from curate.analysis import split_of

        def split(batch: Batch) -> pl.DataFrame:
            return split_of(batch.frame["id"], self.validation, self.seed).to_frame()

        return split
