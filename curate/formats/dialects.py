"""What is read: every dialect that fine-tuning data is published in, and the members that tell it.

| kind  | dialects                                              | becomes                                             |
|-------|-------------------------------------------------------|-----------------------------------------------------|
| turns | sharegpt messages gemini prompt_completion; those of  | chat; instruction, where one user asks and one      |
|       | `texts` and `seeds`                                   | answer follows; text (who spoke is lost)            |
| pair  | ranking dpo hh preference                             | preference; instruction and chat (the rejected      |
|       |                                                       | answer is lost)                                     |
| group | several answers to one prompt, with scores            | preference; instruction and chat (the best answer)  |
| text  | text                                                  | text; `signatures` and `sections`: instruction      |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from curate.errors import UsageError
from curate.formats import dpo, gemini, hh, openai, preference, prompt_completion, ranking, seeds, sharegpt
from curate.formats.targets import TARGETS, TargetName, reachable
from curate.formats.texts import TEXTS
from curate.formats.turns import Kind

if TYPE_CHECKING:
    import polars as pl

    from curate.formats.decode import Members
    from curate.kernels.json_turns import Turns

__all__ = ["DIALECTS", "Dialect", "DialectName", "becomes", "check", "kind_of", "members"]

DialectName = Literal[
    "alpaca", "dolly", "sharegpt", "messages", "prompt_completion", "ranking", "dpo", "hh", "preference", "text", "signatures",
    "sections",
    "openorca", "explain_choice", "reflection", "qa", "query_response", "metharme", "prompt_response", "input_output",
    "oasst_instruct", "camel", "summary",
    "gemini", "self_instruct", "davinci", "mt_bench",
]  # fmt: skip


@dataclass(frozen=True)
class Dialect:
    """How rows of one dialect are told from others, and read."""

    kind: Kind

    read: Callable[[pl.Series], pl.DataFrame]
    """Rows of JSON text to what `curate.formats.turns` says of the kind."""

    keys: tuple[tuple[str, ...], ...]
    """Sets of members that tell the dialect: a row has all of one set, not null. The first dialect in order is the row's."""

    uses: tuple[str, ...] = ()
    """Further members that it takes in; the rest are extra."""

    types: Mapping[str, Literal["string", "array", "object"]] = field(default_factory=dict)
    """What a member must be for the row to be of this dialect, where members alone do not tell."""

    unless: tuple[str, ...] = ()
    """Members that a row of the dialect does not have."""

    plain: Callable[[Members], Turns] | None = None
    """Finds the rows that can be converted without being decoded (see `curate.formats.plain`)."""


_TOOLS = ("tools", "functions")
"""Members that name the tools of a chat (see `chats.tools_of`)."""


_WHOLE = ("dolly", "explain_choice")
"""Dialects that only all their texts together tell."""


def _of_texts(name: str) -> Dialect:
    texts = TEXTS[name]
    keys = (texts.names(),) if name in _WHOLE else tuple((texts.instruction, output) for output in texts.output)
    return Dialect("turns", texts.read, keys, texts.names(), plain=texts.plain)


DIALECTS: dict[str, Dialect] = {
    "ranking": Dialect("pair", ranking.read, (("conversations", "chosen", "rejected"),), ("system",)),
    "sharegpt": Dialect("turns", sharegpt.read, (("conversations",),), ("system", *_TOOLS), plain=sharegpt.plain),
    "messages": Dialect("turns", openai.read, (("messages",),), ("label", *_TOOLS), plain=openai.plain),
    "preference": Dialect("pair", preference.read, (("instruction", "chosen", "rejected"),), ("input",)),
    # `chosen` and `rejected` alone are transcripts, or, as lists, conversations (TRL's implicit preference).
    "hh": Dialect("pair", hh.read, (("chosen", "rejected"),), types={"chosen": "string"}, unless=("prompt",)),
    "dpo": Dialect("pair", dpo.read, (("prompt", "chosen", "rejected"), ("chosen", "rejected"))),
    "prompt_completion": Dialect("turns", prompt_completion.read, (("prompt", "completion"),), ("label",)),
    "gemini": Dialect(
        "turns", gemini.read, (("contents",),), ("systemInstruction", "system_instruction", *_TOOLS), {"contents": "array"}
    ),
    "self_instruct": Dialect("turns", seeds.self_instruct, (("instruction", "instances"),), types={"instances": "array"}),
    "davinci": Dialect("turns", seeds.davinci, (("instruction", "response"),), ("input",), {"response": "object"}),
    "mt_bench": Dialect("turns", seeds.mt_bench, (("question_id", "turns"),), ("reference",), {"turns": "array"}),
    **{name: _of_texts(name) for name in TEXTS},
}


def members(dialect: str, text_column: str = "text") -> frozenset[str]:
    """The members of a row that a dialect takes in."""
    if dialect not in DIALECTS:
        return frozenset((text_column,))
    told = DIALECTS[dialect]
    return frozenset((*(key for keys in told.keys for key in keys), *told.uses))


def becomes(dialect: str) -> tuple[TargetName, ...]:
    """What rows of a dialect can become."""
    if dialect in ("signatures", "sections"):
        return ("instruction",)
    kind = DIALECTS[dialect].kind if dialect in DIALECTS else "text"
    return tuple(name for name, target in TARGETS.items() if reachable(kind, target.takes))


def kind_of(dialect: str) -> Kind | None:
    """What rows of a dialect are read as; None for what is read as text's own structure."""
    if dialect in DIALECTS:
        return DIALECTS[dialect].kind
    return "text" if dialect == "text" else None


def check(to: TargetName, dialect: str) -> None:
    """Raises UsageError, saying what is possible, when rows of `dialect` ("auto": of any) cannot become `to`."""
    if dialect == "auto" or to in becomes(dialect):
        return
    ways = ", ".join(name for name in get_args(DialectName) if to in becomes(name))
    raise UsageError(
        f"{dialect} cannot become {to} without making words up: {dialect} becomes {', '.join(becomes(dialect))}; "
        f"{to} comes from {ways}"
    )
