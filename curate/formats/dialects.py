"""From any dialect to any of the four formats that it can honestly become.

| read from                                        | becomes                                          |
|--------------------------------------------------|--------------------------------------------------|
| alpaca dolly sharegpt messages prompt_completion | chat; instruction, where one user asks and one   |
|                                                  | answer follows; text (who spoke is lost)         |
| ranking dpo hh preference                        | preference; instruction and chat (the rejected   |
|                                                  | answer is lost)                                  |
| text                                             | text                                             |
| signatures (text that documents calls)           | instruction: see `formats/signatures.py`         |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from curate.declare import FormatName
from curate.errors import UsageError
from curate.formats import alpaca, dolly, dpo, hh, openai, preference, prompt_completion, ranking, sharegpt
from curate.formats.turns import Kind

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BECOMES", "COLUMNS", "DIALECTS", "PROBLEMS", "Dialect", "DialectName", "becomes", "check", "members"]

DialectName = Literal[
    "alpaca", "dolly", "sharegpt", "messages", "prompt_completion", "ranking", "dpo", "hh", "preference", "text", "signatures"
]

COLUMNS: dict[FormatName, tuple[str, ...]] = {
    "text": ("text",),
    "instruction": ("instruction", "output"),
    "chat": ("messages",),
    "preference": ("instruction", "chosen", "rejected"),
}
"""Columns of the rows written, by format."""

BECOMES: dict[Kind, tuple[FormatName, ...]] = {
    "turns": ("chat", "instruction", "text"),
    "pair": ("preference", "instruction", "chat"),
    "text": ("text",),
}
"""What rows of each kind can become without a word made up."""

PROBLEMS = {
    "unknown_dialect": "its members are those of no dialect",
    "unreadable": "a member is not of the type that the dialect has there",
    "empty": "no message at all",
    "empty_instruction": "nothing is asked",
    "empty_output": "an answer says nothing",
    "empty_content": "a turn says nothing",
    "unknown_role": "a role that no format names",
    "not_an_answer": "what was chosen or rejected is no turn of the assistant",
    "bad_answer": "the row's own label says that the answer is a bad one",
    "bad_call": "a function call that is not JSON with a name",
    "prompts_differ": "the two answers are not to the same prompt",
    "more_than_text": "a tool call, or content in parts, which the target cannot hold",
    "more_than_one_turn": "a system prompt or further turns, which the target cannot hold",
    "no_such_target": "this kind of row cannot become the target without making words up",
}
"""Why a row cannot be converted."""


class Dialect(NamedTuple):
    kind: Kind
    read: Callable[[pl.Series], pl.DataFrame]
    keys: tuple[str, ...]
    """Members that tell the dialect; the first in order whose members are all there and not null is the row's."""

    uses: tuple[str, ...] = ()
    """Further members that it takes in; the rest are extra."""


DIALECTS: dict[str, Dialect] = {
    "ranking": Dialect("pair", ranking.read, ("conversations", "chosen", "rejected"), ("system",)),
    "sharegpt": Dialect("turns", sharegpt.read, ("conversations",), ("system",)),
    "messages": Dialect("turns", openai.read, ("messages",), ("label",)),
    "preference": Dialect("pair", preference.read, ("instruction", "chosen", "rejected"), ("input",)),
    "dpo": Dialect("pair", dpo.read, ("prompt", "chosen", "rejected")),
    "hh": Dialect("pair", hh.read, ("chosen", "rejected")),
    "prompt_completion": Dialect("turns", prompt_completion.read, ("prompt", "completion"), ("label",)),
    "dolly": Dialect("turns", dolly.read, ("instruction", "context", "response")),
    "alpaca": Dialect("turns", alpaca.read, ("instruction", "output"), ("input", "response", "system", "history")),
}


def members(dialect: str, text_column: str = "text") -> frozenset[str]:
    """The members of a row that a dialect takes in."""
    if dialect not in DIALECTS:
        return frozenset((text_column,))
    return frozenset((*DIALECTS[dialect].keys, *DIALECTS[dialect].uses))


def becomes(dialect: str) -> tuple[FormatName, ...]:
    """What rows of a dialect can become."""
    if dialect == "signatures":
        return ("instruction",)
    return BECOMES[DIALECTS[dialect].kind if dialect in DIALECTS else "text"]


def check(to: FormatName, dialect: str) -> None:
    """Raises UsageError, saying what is possible, when rows of `dialect` ("auto": of any) cannot become `to`."""
    if dialect == "auto" or to in becomes(dialect):
        return
    ways = ", ".join(name for name in get_args(DialectName) if to in becomes(name))
    raise UsageError(
        f"{dialect} cannot become {to} without making words up: {dialect} becomes {', '.join(becomes(dialect))}; "
        f"{to} comes from {ways}"
    )
