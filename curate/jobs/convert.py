"""convert: from the dialects that data is published in to the four formats, and from one format to another."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curate.declare import Reading, Rows, RowsJob, Stage
from curate.formats.dialects import DialectName, check
from curate.formats.how import Pairs
from curate.formats.targets import TargetName
from curate.steps.convert import Convert as ConvertStep
from curate.steps.convert import Signatures

__all__ = ["Convert"]

_OWN: dict[str, DialectName] = {"text": "text", "instruction": "alpaca", "chat": "messages", "preference": "preference"}


class Convert(RowsJob):
    """Convert rows to one of the four formats: text, instruction, chat or preference.

    Knows Alpaca, Dolly, ShareGPT, OpenAI messages, prompt/completion, DPO, HH-RLHF and ranked ShareGPT rows, and tells them
    apart row by row. `signatures` makes instruction pairs from text that documents calls. What a format cannot hold is never
    left out silently: such rows are dropped with the reason. Three conversions leave something out by their nature: chat to
    text (who spoke), preference to instruction and to chat (the rejected answer).
    """

    job: Literal["convert"] = "convert"
    to: TargetName = Field(description="The format to write.")
    dialect: Literal["auto"] | DialectName = Field(
        "auto",
        description="What the rows are; auto: told for each row by its members. `alpaca` and `messages` are our own "
        "instruction and chat formats too; `signatures` is text whose documented call signatures become pairs.",
    )
    keep_extra: bool = Field(False, description="Keep the members that the dialect has no use for.")
    min_margin: float = Field(
        0.0,
        ge=0,
        description="Of several answers with scores, two are a preference pair when their scores differ by this at least; "
        "equal scores never make one.",
    )
    pairs: Pairs = Field(
        "all", description="Which pairs several answers make: all, or the best with the worst alone (`best_worst`)."
    )

    def source(self) -> Literal["auto"] | DialectName:
        """The dialect to read: the one given, else that of the format given."""
        return _OWN[self.format] if self.dialect == "auto" and self.format != "auto" else self.dialect

    def reading(self) -> Reading:
        return "text" if self.source() == "signatures" else "record"

    def stages(self) -> tuple[Stage, ...]:
        """Raises UsageError, saying what is possible, when the dialect given cannot become the format."""
        dialect = self.source()
        check(self.to, dialect)
        if dialect == "signatures":
            return (Rows(steps=(Signatures(text_column=self.text_column, keep_extra=self.keep_extra),)),)
        step = ConvertStep(
            to=self.to,
            dialect=dialect,
            text_column=self.text_column,
            keep_extra=self.keep_extra,
            min_margin=self.min_margin,
            pairs=self.pairs,
        )
        return (Rows(steps=(step,)),)
