"""What is read: every dialect that fine-tuning data is published in, and the members that tell it.

| kind  | dialects                                              | becomes                                             |
|-------|-------------------------------------------------------|-----------------------------------------------------|
| turns | sharegpt messages gemini prompt_completion segments   | chat; instruction, where one user asks and one      |
|       | kto; those of `texts` and `seeds`                     | answer follows; text (who spoke is lost)            |
| pair  | ranking dpo hh; those of `flat_pairs`,                | preference; instruction and chat (the rejected      |
|       | `message_pairs`                                       | answer is lost)                                     |
| group | several answers to one prompt, with scores: those of  | preference; instruction and chat (the best answer)  |
|       | `scored_lists`, `verdicts`                            |                                                     |
| turns | oasst                                                 | as turns: every path; preference: as groups, the    |
| group |                                                       | ranked answers to one message                       |
| text  | text                                                  | text; `signatures` and `sections`: instruction      |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from curate.errors import UsageError
from curate.formats import (
    dpo,
    flat_pairs,
    gemini,
    hh,
    kto,
    message_pairs,
    oasst,
    openai,
    prompt_completion,
    ranking,
    scored_lists,
    seeds,
    segments,
    sharegpt,
    verdicts,
)
from curate.formats.judged import ABOUT, SCORES
from curate.formats.targets import TARGETS, TargetName, reachable
from curate.formats.texts import TEXTS
from curate.formats.turns import Kind

if TYPE_CHECKING:
    import polars as pl

    from curate.formats.decode import Members
    from curate.kernels.json_turns import Turns

__all__ = ["DIALECTS", "Dialect", "DialectChoice", "DialectName", "becomes", "check", "kind_of", "members"]

DialectName = Literal[
    "alpaca", "dolly", "sharegpt", "messages", "prompt_completion", "ranking", "dpo", "hh", "preference",
    "stack_exchange", "orca_pairs", "argilla", "swift", "comparison",
    "v1_pairs", "openai_preference", "swift_messages",
    "nectar", "ultrafeedback", "responses_and_scores", "scored_list",
    "alpaca_eval", "human_eval", "lmarena", "arena", "shp",
    "kto", "oasst",
    "openorca", "explain_choice", "reflection", "qa", "query_response", "metharme", "prompt_response", "input_output",
    "oasst_instruct", "camel", "summary", "gemini", "self_instruct", "davinci", "mt_bench", "segments",
    "text", "signatures", "sections",
]  # fmt: skip

Reader = Callable[["pl.Series"], "pl.DataFrame"]
"""Rows of JSON text to what `curate.formats.turns` says of a kind."""

DialectChoice = Literal["auto", DialectName]
"""A dialect by its name, or told from the rows."""


@dataclass(frozen=True)
class Dialect:
    """How rows of one dialect are told from others, and read."""

    kind: Kind

    read: Reader

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

    also: Mapping[Kind, Reader] = field(default_factory=dict)
    """Further kinds that its rows can be read as, for targets that cannot be reached from the first."""

    def read_for(self, takes: Kind) -> tuple[Kind, Reader]:
        """The kind that is brought to what a target takes, and its reader; the first kind where none can be."""
        kinds = {self.kind: self.read, **self.also}
        return next(((kind, read) for kind, read in kinds.items() if reachable(kind, takes)), (self.kind, self.read))

    def becomes(self, takes: Kind) -> bool:
        """Whether rows can be brought to what a target takes."""
        return reachable(self.read_for(takes)[0], takes)


_SCORES = tuple(name for names in SCORES.values() for name in names)
_PAIR = flat_pairs.reader

_TOOLS = ("tools", "functions")
"""Members that name the tools of a chat (see `chats.tools_of`)."""


_WHOLE = ("dolly", "explain_choice")
"""Dialects that only all their texts together tell."""


def _of_texts(name: str) -> Dialect:
    texts = TEXTS[name]
    keys = (texts.names(),) if name in _WHOLE else tuple((texts.instruction, output) for output in texts.output)
    return Dialect("turns", texts.read, keys, texts.names(), plain=texts.plain)


DIALECTS: dict[str, Dialect] = {
    "oasst": Dialect(
        "turns",
        oasst.read_paths,
        (("message_tree_id", "prompt"),),
        ABOUT,
        {"prompt": "object"},
        also={"group": oasst.read_groups},
    ),
    "ranking": Dialect("pair", ranking.read, (("conversations", "chosen", "rejected"),), ("system",)),
    "v1_pairs": Dialect("pair", message_pairs.read_v1, (("chosen_messages", "rejected_messages"),)),
    "openai_preference": Dialect("pair", message_pairs.read_openai, (("input", "preferred_output", "non_preferred_output"),)),
    "swift_messages": Dialect("pair", message_pairs.read_swift, (("messages", "rejected_response"),)),
    "swift": Dialect(
        "pair",
        _PAIR("response", "rejected_response", "query"),
        (("query", "response", "rejected_response"),),
        flat_pairs.USES,
    ),
    "argilla": Dialect(
        "pair",
        _PAIR("chosen_response", "rejected_response", "instruction"),
        (("instruction", "chosen_response", "rejected_response"),),
        ("input", *flat_pairs.USES),
    ),
    "preference": Dialect(
        "pair",
        _PAIR("chosen", "rejected", "instruction"),
        (("instruction", "chosen", "rejected"),),
        ("input", *flat_pairs.USES),
        {"chosen": "string"},
    ),
    "orca_pairs": Dialect(
        "pair",
        _PAIR("chosen", "rejected", "question", "input"),
        (("question", "chosen", "rejected"), ("input", "chosen", "rejected")),
        flat_pairs.USES,
        {"chosen": "string"},
    ),
    "stack_exchange": Dialect(
        "pair", _PAIR("response_j", "response_k", "question"), (("question", "response_j", "response_k"),), flat_pairs.USES
    ),
    "comparison": Dialect(
        "pair",
        _PAIR("completion_a", "completion_b", "user_input"),
        (("user_input", "completion_a", "completion_b"),),
        flat_pairs.USES,
    ),
    "responses_and_scores": Dialect("group", scored_lists.read_responses, (("user_input", "responses_and_scores"),), ABOUT),
    "nectar": Dialect("group", scored_lists.read_nectar, (("prompt", "answers"),), ABOUT, {"answers": "array"}),
    "ultrafeedback": Dialect(
        "group", scored_lists.read_ultrafeedback, (("instruction", "completions"),), ABOUT, {"completions": "array"}
    ),
    "scored_list": Dialect(
        "group",
        scored_lists.read_scored,
        tuple(
            (asked, "responses", scores)
            for asked in ("prompt", "instruction")
            for scores in ("scores", "rewards", "rewards_armorm")
        ),
        ABOUT,
        {"responses": "array"},
    ),
    "alpaca_eval": Dialect(
        "group",
        verdicts.read_alpaca_eval,
        (("instruction", "output_1", "output_2"),),
        ("input", "generator_1", "generator_2", "preference", *ABOUT),
    ),
    "human_eval": Dialect(
        "group",
        verdicts.read_human_eval,
        (("prompt", "completion_a", "completion_b"),),
        ("model_a", "model_b", "preference", *ABOUT),
    ),
    "lmarena": Dialect(
        "group",
        verdicts.read_lmarena,
        (("prompt", "response_a", "response_b"),),
        ("model_a", "model_b", "winner", "winner_model_a", "winner_model_b", "winner_tie", *ABOUT),
    ),
    "arena": Dialect(
        "group",
        verdicts.read_arena,
        (("conversation_a", "conversation_b"),),
        ("model_a", "model_b", "winner", "winner_model_a", "winner_model_b", "winner_tie", *ABOUT),
    ),
    "shp": Dialect(
        "group",
        verdicts.read_shp,
        (("history", "human_ref_A", "human_ref_B"),),
        ("labels", "score_A", "score_B", *ABOUT),
    ),
    "kto": Dialect(
        "turns",
        kto.reader(sharegpt.read, openai.read, TEXTS["alpaca"].read),
        (("conversations", "kto_tag"), ("messages", "kto_tag"), ("instruction", "output", "kto_tag")),
        ("input", "system", "history"),
    ),
    # `chosen` and `rejected` alone are transcripts, or, as lists, conversations (TRL's implicit preference).
    "hh": Dialect("pair", hh.read, (("chosen", "rejected"),), types={"chosen": "string"}, unless=("prompt",)),
    # Before `messages`, which rows of UltraFeedback binarized have too.
    "dpo": Dialect("pair", dpo.read, (("prompt", "chosen", "rejected"), ("chosen", "rejected")), _SCORES),
    "sharegpt": Dialect("turns", sharegpt.read, (("conversations",),), ("system", *_TOOLS), plain=sharegpt.plain),
    "messages": Dialect("turns", openai.read, (("messages",),), ("label", *_TOOLS), plain=openai.plain),
    "prompt_completion": Dialect("turns", prompt_completion.read, (("prompt", "completion"),), ("label",)),
    "gemini": Dialect(
        "turns", gemini.read, (("contents",),), ("systemInstruction", "system_instruction", *_TOOLS), {"contents": "array"}
    ),
    "self_instruct": Dialect("turns", seeds.self_instruct, (("instruction", "instances"),), types={"instances": "array"}),
    "davinci": Dialect("turns", seeds.davinci, (("instruction", "response"),), ("input",), {"response": "object"}),
    "mt_bench": Dialect("turns", seeds.mt_bench, (("question_id", "turns"),), ("reference",), {"turns": "array"}),
    "segments": Dialect("turns", segments.read, (("segments",),), types={"segments": "array"}),
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
    if dialect not in DIALECTS:
        return tuple(name for name, target in TARGETS.items() if reachable("text", target.takes))
    return tuple(name for name, target in TARGETS.items() if DIALECTS[dialect].becomes(target.takes))


def kind_of(dialect: str, takes: Kind) -> Kind | None:
    """What rows of a dialect are read as, for a target that takes a kind; None for what is read as text's own structure."""
    if dialect in DIALECTS:
        return DIALECTS[dialect].read_for(takes)[0]
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
