"""convert: from the dialects that data is published in to the four formats, and from one format to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from pydantic import Field

from curate.declare import Reading, Rows, RowsJob, Stage
from curate.errors import UsageError
from curate.formats.dialects import DialectChoice, DialectName, becomes, check, kind_of
from curate.formats.how import Loss, Pairs
from curate.formats.named import named_columns
from curate.formats.targets import TARGETS, TargetName
from curate.formats.templates import check_template
from curate.steps.convert import Convert as ConvertStep
from curate.steps.convert import Sections, Signatures

__all__ = ["Convert"]

_OWN: dict[str, DialectName] = {"text": "text", "instruction": "alpaca", "chat": "messages", "preference": "preference"}
_STRUCTURE = {"signatures": Signatures, "sections": Sections}

_LOST = {
    ("turns", "text"): "of a chat only the contents are kept, a blank line between: who spoke is lost (--template keeps it)",
    ("pair", "turns"): "of a pair only the chosen answer is kept: the rejected one is lost",
    ("group", "turns"): "of several answers only the best is kept: the others are lost",
}
"""What a conversion leaves out by its nature, by what is read and what is taken."""


class Convert(RowsJob):
    """Convert rows to one of the four formats (text, instruction, chat, preference) or to the layout of another tool.

    Knows the dialects that fine-tuning data is published in (Alpaca, ShareGPT, OpenAI messages, DPO, ...: see `--dialect`),
    tells them apart row by row, and says which it met. `signatures` and `sections` make instruction pairs from the structure of
    a text. What a format cannot hold is never left out silently: such rows are dropped with the reason. Three conversions leave
    something out by their nature: chat to text (who spoke), preference to instruction and to chat (the rejected answer).
    """

    job: Literal["convert"] = "convert"
    to: TargetName = Field(
        description="The format to write, or the layout of another tool: what TRL's trainers take, OpenAI's fine-tuning, "
        "ShareGPT, Alpaca with history."
    )
    dialect: DialectChoice = Field(
        "auto",
        description="What the rows are; auto: told for each row by its members. `alpaca` and `messages` are our own "
        "instruction and chat formats too; `signatures` is text whose documented call signatures become pairs, `sections` "
        "text whose headings and what stands under them do.",
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

    lose: tuple[Loss, ...] = Field(
        (),
        description="What may be left out of a chat that becomes one question and one answer. system: its system prompt; "
        "earlier_turns: all but its last question, and the answer to that. Without it such chats are dropped, with the reason.",
    )
    template: str | None = Field(
        None,
        description="For chats that become text: the chat template to write them by. `chatml`, a Jinja file, or the folder of "
        "a tokenizer that has one; default: the contents with blank lines between, and who spoke is lost.",
    )

    columns: tuple[str, ...] = Field(
        (),
        description="Members or columns that go by another name in the rows, as `instruction=Question,output=Answer`: the name "
        "that a dialect knows, and the one in the rows.",
    )

    def source(self) -> DialectChoice:
        """The dialect to read: the one given, else that of the format given."""
        return _OWN[self.format] if self.dialect == "auto" and self.format != "auto" else self.dialect

    def reading(self) -> Reading:
        return "text" if self.source() in _STRUCTURE else "record"

    def says(self, first: Callable[[], Any]) -> tuple[str, ...]:
        """What the conversion loses, before it does."""
        source: str = self.source()
        if source in _STRUCTURE:
            return ()
        from curate.formats.convert import dialect_of

        if source == "auto" and (row := first()) is not None:
            source = dialect_of(row, self.text_column, named_columns(self.columns))
        if source in get_args(DialectName) and self.to not in becomes(source):
            return (f"the first row is read as {source}, which becomes {', '.join(becomes(source))}, but not {self.to}",)
        takes = TARGETS[self.to].takes
        way = (kind_of(source, takes), takes)
        lost = [_LOST[way]] if way in _LOST and not (way == ("turns", "text") and self.template) else []
        if "system" in self.lose:
            lost.append("system prompts are lost")
        if "earlier_turns" in self.lose:
            lost.append("of a chat only the last question and its answer are kept: earlier turns are lost")
        return tuple(lost)

    def stages(self) -> tuple[Stage, ...]:
        """Raises UsageError, saying what is possible, when the dialect given cannot become the format."""
        dialect = self.source()
        named_columns(self.columns)
        check(self.to, dialect)
        if self.template is not None:
            if self.to != "text":
                raise UsageError(f"convert: a template is for --to text; {self.to} keeps who said what")
            check_template(self.template)
        if self.lose and self.to not in ("instruction", "preference"):
            raise UsageError(f"convert: lose is for --to instruction and preference; {self.to} keeps what there is")
        if dialect in _STRUCTURE:
            return (Rows(steps=(_STRUCTURE[dialect](text_column=self.text_column, keep_extra=self.keep_extra),)),)
        step = ConvertStep(
            to=self.to,
            dialect=dialect,
            text_column=self.text_column,
            keep_extra=self.keep_extra,
            min_margin=self.min_margin,
            pairs=self.pairs,
            lose=self.lose,
            template=self.template,
            columns=self.columns,
        )
        return (Rows(steps=(step,)),)
