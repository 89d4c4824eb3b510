"""What is wrong with a row of one of the four formats: its schema, and what the schema cannot say.

A check gives a column, null where the row passes, else the evidence as a short text. What the schemas demand is decided by
`jsonschema` over `schemas/`; rows that a scan of their members proves right are not shown to it, as it takes about 30 us a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from curate.declare import FormatName
from curate.formats.decode import Members, has_half
from curate.formats.messages import PLAIN, read_turns
from curate.formats.targets import COLUMNS

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CHECKS", "MARKERS", "checks", "schema_errors"]

_ROLES = ["system", "developer", "user", "assistant", "tool"]

MARKERS = (
    r"<\|(?:im_start|im_end|start_header_id|end_header_id|eot_id|begin_of_text|endoftext|end|user|assistant|system)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|\n\n(?:Human|Assistant):|(?:^|\n)### (?:Instruction|Response):"
)
"""Marks of chat templates: inside a content they end a turn early, or teach the model to write the other side."""

CHECKS = {
    "not_text": "half of a surrogate pair in a string, which no UTF-8 can hold",
    "unknown_format": "its members are those of none of the four formats",
    "unknown_role": "a role that is not one of system, developer, user, assistant, tool",
    "empty_text": "the text says nothing",
    "empty_instruction": "nothing is asked",
    "empty_output": "an answer says nothing",
    "empty_content": "a turn says nothing",
    "schema": "not what the JSON Schema of the format demands",
    "chosen_equals_rejected": "both answers are the same",
    "system_not_first": "a system turn after another turn",
    "no_user_turn": "nobody asks",
    "no_assistant_turn": "nobody answers",
    "roles_do_not_alternate": "the user or the assistant speaks twice in a row, or the assistant first",
    "last_not_assistant": "the last turn is not an answer",
    "tool_without_call": "a tool's turn that follows no call",
    "role_marker_in_content": "marks of a chat template inside a text",
}
"""The checks in order of precedence, and what fails them."""


def schema_errors(record: pl.Series, format: FormatName, text_column: str = "text") -> pl.Series:
    """What the schema of the format finds wrong with each row of JSON text, in one line; null where nothing. O(bytes)."""
    import jsonschema
    import polars as pl

    import schemas

    schema: dict[str, Any] = schemas.load(format)
    if format == "text" and text_column != "text":
        schema = {**schema, "required": [text_column], "properties": {text_column: schema["properties"]["text"]}}
    validator = jsonschema.Draft202012Validator(schema)
    sure = _surely_valid(record, format, text_column)
    found = [None if right else _error(validator, row) for row, right in zip(record, sure, strict=True)]
    return pl.Series("schema", found, dtype=pl.String)


def _error(validator: Any, row: str) -> str | None:
    from jsonschema.exceptions import best_match

    try:
        error = best_match(validator.iter_errors(json.loads(row)))
    except (ValueError, RecursionError) as problem:
        return f"not JSON that can be read: {problem}"
    if error is None:
        return None
    message = error.message if len(error.message) <= 200 else f"{error.message[:120]} ... {error.message[-80:]}"
    return f"{error.json_path}: {message}"


def _surely_valid(record: pl.Series, format: FormatName, text_column: str) -> pl.Series:
    """Rows that certainly obey the schema. Never true of one that does not; others may."""
    import polars as pl

    if format == "chat":
        messages = Members(record, ("messages",), "messages").raw("messages")
        plain = messages.str.contains(PLAIN).fill_null(False)
        said = pl.element().struct
        good = said.field("role").is_in(_ROLES) & (said.field("content") != "")
        return plain & read_turns(messages.set(~plain, None)).list.eval(good).list.all().fill_null(False)
    names = (text_column,) if format == "text" else COLUMNS[format]
    members = Members(record, names)
    return pl.select(pl.all_horizontal((members.strings(name) != "").fill_null(False) for name in names)).to_series()


def checks(record: pl.Series, format: FormatName | None, text_column: str = "text") -> pl.DataFrame:
    """Rows of JSON text against every check of their format, which each row's own members tell when it is None.

    A column for each of `CHECKS`; all null for a row that passes. The verdict on a row depends on that row alone. O(bytes).
    """
    import polars as pl

    rows = pl.DataFrame({"row": pl.int_range(len(record), eager=True), "record": record})
    names = _formats(record, text_column) if format is None else pl.Series("format", [format]).new_from_index(0, len(record))
    done = [pl.DataFrame(schema={"row": pl.Int64, **dict.fromkeys(CHECKS, pl.String)})]
    for (name,), group in rows.with_columns(names.alias("format")).group_by("format", maintain_order=True):
        found = _CHECKED[str(name)](group["record"], text_column) if name in _CHECKED else _unknown(group["record"])
        columns = {column.name: column for column in found}
        nothing = pl.Series("", [None], dtype=pl.String).new_from_index(0, group.height)
        done.append(pl.DataFrame([group["row"], *(columns.get(check, nothing).alias(check) for check in CHECKS)]))
    half = has_half(record).alias("half")
    excerpt = pl.when(half).then(record.str.extract(r"(.{0,20}\\u[dD][89a-fA-F]..)"))
    return pl.concat(done).sort("row").drop("row").with_columns(excerpt.alias("not_text"))


def _formats(record: pl.Series, text_column: str) -> pl.Series:
    """The format of each row by its members, as `readings.detect` tells it; null where it is none."""
    import polars as pl

    from curate.kernels.json_lines import ABSENT, ARRAY

    names = tuple(dict.fromkeys(("messages", "instruction", "chosen", "rejected", "output", text_column)))
    members = Members(record, names, "messages")
    there = pl.DataFrame([pl.Series(name, members.kind(name) != ABSENT) for name in names])
    chat = pl.Series(members.kind("messages") == ARRAY)
    return there.select(
        pl.when(chat)
        .then(pl.lit("chat"))
        .when(pl.all_horizontal("instruction", "chosen", "rejected"))
        .then(pl.lit("preference"))
        .when(pl.all_horizontal("instruction", "output"))
        .then(pl.lit("instruction"))
        .when(pl.col(text_column))
        .then(pl.lit("text"))
        .alias("format")
    ).to_series()


def _unknown(record: pl.Series) -> list[pl.Series]:
    """Evidence: the names of the members that there are."""
    import polars as pl

    def names(row: str) -> str:
        value = json.loads(row)
        return f"members: {', '.join(list(value)[:8])}" if isinstance(value, dict) else f"a {type(value).__name__}"

    return [pl.Series("unknown_format", [names(row) for row in record], dtype=pl.String)]


def _blank(name: str, column: pl.Series) -> pl.Series:
    """Evidence where a text is there and says nothing: the text itself, quoted."""
    import polars as pl

    quoted = pl.lit('"') + pl.col("text").str.head(20) + pl.lit('"')
    return column.to_frame("text").select(pl.when(pl.col("text").str.strip_chars() == "").then(quoted).alias(name)).to_series()


def _texts(format: FormatName, blank: dict[str, str], extra: Callable[[pl.DataFrame], list[pl.Series]]) -> Any:
    """The checks of a format whose texts are members: which check each member's emptiness fails, and others."""

    def check(record: pl.Series, text_column: str) -> list[pl.Series]:
        import polars as pl

        names = [text_column if name == "text" else name for name in blank]
        members = Members(record, names)
        texts = pl.DataFrame([members.strings(name) for name in names])
        empty: dict[str, pl.Series] = {}
        for name, reason in zip(names, blank.values(), strict=True):
            found = _blank(reason, texts[name])
            empty[reason] = found if reason not in empty else empty[reason].zip_with(empty[reason].is_not_null(), found)
        return [*empty.values(), schema_errors(record, format, text_column), *extra(texts)]

    return check


def _marker(column: pl.Series) -> pl.Series:
    return column.str.extract(f"({MARKERS})").str.strip_chars().rename("role_marker_in_content")


def _same_answers(texts: pl.DataFrame) -> list[pl.Series]:
    import polars as pl

    same = pl.col("chosen").str.strip_chars() == pl.col("rejected").str.strip_chars()
    return [texts.select(pl.when(same).then(pl.col("chosen").str.head(40)).alias("chosen_equals_rejected")).to_series()]


def _chat(record: pl.Series, text_column: str) -> list[pl.Series]:
    import polars as pl

    messages = Members(record, ("messages",), "messages").raw("messages")
    turns = pl.DataFrame({"turns": read_turns(messages), "messages": messages})
    role = pl.element().struct.field("role")
    content = pl.element().struct.field("content")
    roles = turns.select(
        pl.col("turns").list.eval(role.fill_null("?")).list.join(" ").alias("roles"),
        pl.col("turns").list.eval(pl.when(~role.is_in(_ROLES)).then(role)).list.drop_nulls().list.first().alias("unknown_role"),
        pl.col("turns").list.eval(content.str.strip_chars() == "").list.any().alias("silent"),
        pl.col("turns").list.eval(content).list.join("\x00").alias("contents"),
        # With calls in it a chat may well have an assistant that says nothing, or a tool that speaks next.
        pl.col("messages").str.contains('"tool_calls"|"function_call"').alias("calls"),
    )
    spoken = pl.concat_str(pl.lit(" "), pl.col("roles"), pl.lit(" "))
    opening = r"^(?: system| developer)*"

    def failed(name: str, condition: pl.Expr) -> pl.Expr:
        return pl.when(condition & (pl.col("roles") != "")).then(pl.col("roles").str.head(200)).alias(name)

    # Turns next to each other, told by looking for both roles and the space between.
    twice = spoken.str.contains(r" user user | assistant assistant ")
    found = roles.select(
        "unknown_role",
        failed("empty_content", pl.col("silent") & ~pl.col("calls")),
        failed("system_not_first", spoken.str.contains(r" (?:user|assistant|tool) (?:.* )?(?:system|developer) ")),
        failed("no_user_turn", ~spoken.str.contains(" user ", literal=True)),
        failed("no_assistant_turn", ~spoken.str.contains(" assistant ", literal=True)),
        failed("roles_do_not_alternate", twice | spoken.str.contains(opening + " assistant ")),
        failed("last_not_assistant", ~spoken.str.ends_with(" assistant ")),
        failed(
            "tool_without_call",
            spoken.str.contains(r" (?:user|system|developer) tool |^ tool ")
            | (spoken.str.contains(" tool ", literal=True) & ~pl.col("calls")),
        ),
    )
    return [*found.get_columns(), schema_errors(record, "chat"), _marker(roles["contents"])]


_CHECKED: dict[str, Callable[[pl.Series, str], list[pl.Series]]] = {
    "text": _texts("text", {"text": "empty_text"}, lambda texts: []),
    "instruction": _texts(
        "instruction",
        {"instruction": "empty_instruction", "output": "empty_output"},
        lambda texts: [_marker(texts["output"])],
    ),
    "preference": _texts(
        "preference",
        {"instruction": "empty_instruction", "chosen": "empty_output", "rejected": "empty_output"},
        _same_answers,
    ),
    "chat": _chat,
}
