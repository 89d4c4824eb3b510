"""Layouts of other tools: rows as TRL, OpenAI's fine-tuning, ShareGPT and Alpaca have them, each row as JSON text.

| layout                | row                                                                                             |
|-----------------------|-------------------------------------------------------------------------------------------------|
| trl_sft               | `messages`                                                                                      |
| trl_prompt_completion | `prompt`: all but the last message; `completion`: the last, an assistant's                      |
| trl_grpo              | `prompt`; `reference`: what the assistant said, for reward functions                            |
| trl_kto               | `prompt`, `completion`, `label`; a pair makes two                                               |
| trl_dpo               | `prompt`, `chosen`, `rejected`, as messages                                                     |
| trl_reward            | `chosen`, `rejected`, as whole conversations; `margin` where answers had scores                 |
| openai                | `messages`, with the members that OpenAI knows                                                  |
| openai_preference     | `input`, `preferred_output`, `non_preferred_output`                                             |
| sharegpt              | `conversations` of `from`, `value`; calls are `function_call`                                   |
| alpaca                | `instruction`, `input`, `output`, `system`, `history`                                           |

https://huggingface.co/docs/trl/dataset_formats, https://platform.openai.com/docs/guides/supervised-fine-tuning,
https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md

Chats of nothing but roles and contents are written by polars, the others one by one; both ways write the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from curate.formats.how import How
from curate.formats.messages import PLAIN, encode, to_json
from curate.formats.turns import as_chats, content_of, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "alpaca", "grpo", "json_text", "kto", "openai", "openai_preference", "prompt_completion", "sft", "sharegpt",
    "trl_dpo", "trl_reward",
]  # fmt: skip

Message = dict[str, Any]
Slow = Callable[[list[Message]], dict[str, Any] | str]
"""One chat as a row of the layout, or the name of the problem that it has."""

OPENAI_MEMBERS = frozenset(
    ("role", "content", "name", "tool_calls", "tool_call_id", "function_call", "weight", "refusal", "audio")
)
"""Members of a message that OpenAI's files may have."""

FROM = {"user": "human", "assistant": "gpt", "system": "system", "developer": "system", "tool": "observation"}
"""Roles as ShareGPT calls them."""


def _object(*members: tuple[str, pl.Expr]) -> pl.Expr:
    """The JSON text of an object whose values are JSON text already; null where one of them is."""
    import polars as pl

    parts = [part for i, (name, value) in enumerate(members) for part in (pl.lit(f'{"," * (i > 0)}"{name}":'), value)]
    return pl.concat_str(pl.lit("{"), *parts, pl.lit("}"))


def json_text(text: pl.Expr) -> pl.Expr:
    """Strings as JSON text."""
    import polars as pl

    return pl.struct(text.alias("s")).struct.json_encode().str.slice(5).str.head(-1)


def _encoded(lists: pl.Expr) -> pl.Expr:
    """Lists as JSON text."""
    return lists.map_batches(encode, return_dtype=_string())


def _string() -> pl.DataType:
    import polars as pl

    return pl.String()


def _roles() -> pl.Expr:
    """Roles of a chat in order, a space after each."""
    import polars as pl

    joined = pl.col("turns").list.eval(pl.element().struct.field("role")).list.join(" ")
    return pl.concat_str(joined, pl.lit(" "))


def _ends_with_answer() -> pl.Expr:
    """Whether somebody speaks, and the assistant last."""
    return _roles().str.contains("[a-z] assistant $")


def _laid_out(rows: pl.DataFrame, fast: pl.Expr, wrong: dict[str, pl.Expr], slow: Slow) -> pl.DataFrame:
    """Rows of turns as `parent`, `record`, `problem`: those of only roles and contents by `fast`, the others by `slow`."""
    import polars as pl

    roles = pl.col("turns").list.eval(pl.element().struct.field("role"))
    simple = (pl.col("turns").list.len() > 0) & ~roles.list.contains("function_call")
    if "messages" in rows.columns:
        simple = simple & pl.col("messages").str.contains(PLAIN)
    rows = rows.with_columns(simple.fill_null(False).alias("simple"), pl.int_range(pl.len()).alias("at"))
    plain = rows.filter("simple").with_columns(pl.coalesce("problem", first_problem(**wrong)))
    plain = plain.select("at", "parent", pl.when(pl.col("problem").is_null()).then(fast).alias("record"), "problem")
    rest = rows.filter(~pl.col("simple"))
    chats = rest["messages"] if "messages" in rest.columns else as_chats(rest)["messages"]
    found = [_one(chat, problem, slow) for chat, problem in zip(chats, rest["problem"], strict=True)]
    others = pl.DataFrame(found, schema={"record": pl.String, "problem": pl.String}, orient="row")
    return pl.concat([plain, rest.select("at", "parent").hstack(others)]).sort("at").drop("at")


def _one(chat: str | None, problem: str | None, slow: Slow) -> tuple[str | None, str | None]:
    if problem is not None or chat is None:
        return None, problem or "unreadable"
    made = slow(json.loads(chat))
    if isinstance(made, str):
        return None, made
    text = to_json(made)
    return text, "unreadable" if text is None else None


def sft(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns as `messages`."""
    import polars as pl

    chats = rows if "messages" in rows.columns else as_chats(rows)
    return chats.select("parent", _object(("messages", pl.col("messages"))).alias("record"), "problem")


def _answered(chat: list[Message]) -> bool:
    return len(chat) > 1 and chat[-1]["role"] == "assistant"


def kto(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns with a `label` as prompt, completion and label."""
    import polars as pl

    label = pl.when("label").then(pl.lit("true")).otherwise(pl.lit("false"))
    laid = prompt_completion(rows, how)
    marked = laid["record"].str.head(-1) + rows.select(pl.concat_str(pl.lit(',"label":'), label, pl.lit("}"))).to_series()
    unmarked = rows.select(first_problem(no_label=pl.col("label").is_null())).to_series()
    laid = laid.with_columns(marked.alias("record"), pl.coalesce("problem", pl.lit(unmarked)).alias("problem"))
    return laid


def prompt_completion(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns as what comes before the last answer, and that answer."""
    import polars as pl

    turns = pl.col("turns")
    before = _encoded(turns.list.head(turns.list.len().cast(pl.Int64) - 1))
    fast = _object(("prompt", before), ("completion", _encoded(turns.list.tail(1))))

    def slow(chat: list[Message]) -> dict[str, Any] | str:
        return {"prompt": chat[:-1], "completion": chat[-1:]} if _answered(chat) else "not_answered"

    return _laid_out(rows, fast, {"not_answered": ~_ends_with_answer()}, slow)


def grpo(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns as a prompt to answer, and the answer that there was as a reference."""
    import polars as pl

    turns = pl.col("turns")
    before = _encoded(turns.list.head(turns.list.len().cast(pl.Int64) - 1))
    fast = _object(("prompt", before), ("reference", json_text(content_of(turns, -1))))

    def slow(chat: list[Message]) -> dict[str, Any] | str:
        if not _answered(chat):
            return "not_answered"
        said = chat[-1].get("content")
        return {"prompt": chat[:-1], "reference": said} if isinstance(said, str) else "more_than_text"

    return _laid_out(rows, fast, {"not_answered": ~_ends_with_answer()}, slow)


def openai(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns as `messages` for OpenAI's fine-tuning, which wants an answer at the end."""

    def slow(chat: list[Message]) -> dict[str, Any] | str:
        if not _answered(chat):
            return "not_answered"
        if any(set(message) - OPENAI_MEMBERS for message in chat):
            return "more_than_openai"
        return {"messages": chat}

    import polars as pl

    fast = _object(("messages", _encoded(pl.col("turns"))))
    return _laid_out(rows, fast, {"not_answered": ~_ends_with_answer()}, slow)


def sharegpt(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns as `conversations`."""
    import polars as pl

    said = pl.element().struct
    turn = pl.struct(said.field("role").replace_strict(FROM).alias("from"), said.field("content").alias("value"))
    fast = _object(("conversations", _encoded(pl.col("turns").list.eval(turn))))

    def slow(chat: list[Message]) -> dict[str, Any] | str:
        out: list[dict[str, Any]] = []
        for message in chat:
            role, content, calls = message["role"], message.get("content"), message.get("tool_calls") or []
            plain = {"role", "content", "tool_calls"} | ({"name", "tool_call_id"} if role == "tool" else set())
            if set(message) - plain or (calls and content) or not (calls or isinstance(content, str)):
                return "more_than_text"
            for call in calls:
                if not isinstance(call.get("function"), dict):
                    return "bad_call"
                out.append({"from": "function_call", "value": json.dumps(call["function"], ensure_ascii=False)})
            if not calls:
                out.append({"from": FROM[role], "value": content})
        return {"conversations": out}

    return _laid_out(rows, fast, {}, slow)


def alpaca(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Turns as an instruction and its output, with what was said before as `history` (LLaMA-Factory)."""
    import polars as pl

    turns = pl.col("turns")
    system = _roles().str.contains("^(?:system|developer) ")
    opening = pl.when(system).then(1).otherwise(0)
    contents = turns.list.eval(pl.element().struct.field("content"))
    earlier = contents.list.slice(opening, turns.list.len().cast(pl.Int64) - opening - 2)
    rounds = earlier.list.eval(pl.concat_list(pl.element().gather_every(2, 0), pl.element().gather_every(2, 1)))
    fast = _object(
        ("instruction", json_text(content_of(turns, -2))),
        ("input", pl.lit('""')),
        ("output", json_text(content_of(turns, -1))),
        ("system", pl.when(system).then(json_text(content_of(turns, 0))).otherwise(pl.lit('""'))),
        ("history", _encoded(rounds)),
    )

    def slow(chat: list[Message]) -> dict[str, Any] | str:
        return "more_than_text"

    alternate = _roles().str.contains("^(?:(?:system|developer) )?(?:user assistant )+$")
    return _laid_out(rows, fast, {"more_than_one_turn": ~alternate}, slow)


def _answer(name: str) -> pl.Expr:
    """An answer of a pair as the JSON text of a list of its one message."""
    import polars as pl

    message = pl.struct(pl.lit("assistant").alias("role"), pl.col(name).alias("content")).struct.json_encode()
    return pl.concat_str(pl.lit("["), message, pl.lit("]"))


def _prompted(rows: pl.DataFrame) -> pl.DataFrame:
    """Pairs with their prompt as the JSON text of its messages, `messages`."""
    return rows.drop("problem").hstack(as_chats(rows).select("messages", "problem"))


def trl_dpo(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Pairs as a prompt and two answers, all lists of messages."""
    import polars as pl

    record = _object(("prompt", pl.col("messages")), ("chosen", _answer("chosen")), ("rejected", _answer("rejected")))
    return _prompted(rows).select("parent", record.alias("record"), "problem")


def trl_reward(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Pairs as two whole conversations, with the margin of their scores where they have scores."""
    import polars as pl

    def whole(name: str) -> pl.Expr:
        return pl.concat_str(pl.col("messages").str.head(-1), pl.lit(","), _answer(name).str.slice(1))

    record = _object(("chosen", whole("chosen")), ("rejected", whole("rejected")))
    if "margin" in rows.columns:
        scored = pl.concat_str(record.str.head(-1), pl.lit(',"margin":'), pl.col("margin").cast(pl.String), pl.lit("}"))
        record = pl.when(pl.col("margin").is_not_null()).then(scored).otherwise(record)
    return _prompted(rows).select("parent", record.alias("record"), "problem")


def openai_preference(rows: pl.DataFrame, how: How) -> pl.DataFrame:
    """Pairs as OpenAI's preference tuning has them."""
    import polars as pl

    record = _object(
        ("input", _object(("messages", pl.col("messages")))),
        ("preferred_output", _answer("chosen")),
        ("non_preferred_output", _answer("rejected")),
    )
    return _prompted(rows).select("parent", record.alias("record"), "problem")
