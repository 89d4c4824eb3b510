"""The conversion itself: rows of JSON text, of any dialect, as rows of a format. `dialects` says what can become what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.declare import FormatName
from curate.formats.decode import Members, decode, frame_of
from curate.formats.dialects import BECOMES, COLUMNS, DIALECTS, members
from curate.formats.messages import SEPARATOR, encode
from curate.formats.turns import blank, content_of, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["convert", "detect_dialect", "extra"]


def detect_dialect(record: pl.Series, text_column: str = "text") -> pl.Series:
    """The dialect of each row, told by its members; "none" where there is no telling, "unreadable" for no text. O(bytes)."""
    import polars as pl

    from curate.kernels.json_lines import ARRAY

    keys = tuple(dict.fromkeys(key for dialect in DIALECTS.values() for key in (*dialect.keys, *dialect.uses)))
    found = Members(record, (*keys, *(() if text_column in keys else (text_column,))), "messages")
    there = pl.DataFrame([found.there(name) for name in found.names])
    # `chosen` and `rejected` alone are transcripts, or, as lists, conversations (TRL's implicit preference).
    lists = pl.Series(found.kind("chosen") == ARRAY)
    broken = pl.Series(found.scan.error != 0)
    name = pl.coalesce(
        pl.when(broken).then(pl.lit("unreadable")),
        *(
            pl.when(pl.all_horizontal(dialect.keys) & (~lists if name == "hh" else True)).then(pl.lit(name))
            for name, dialect in DIALECTS.items()
        ),
        pl.when(pl.all_horizontal("chosen", "rejected")).then(pl.lit("dpo")),
        pl.when(pl.all_horizontal("instruction", "response")).then(pl.lit("alpaca")),
        pl.when(pl.col(text_column)).then(pl.lit("text")),
        pl.lit("none"),
    )
    return there.select(name.alias("dialect")).to_series()


def convert(record: pl.Series, to: FormatName, dialect: str = "auto", text_column: str = "text") -> pl.DataFrame:
    """Rows of JSON text as rows of a format: its columns, `dialect`, and `problem` (one of `PROBLEMS`) where a row cannot be.

    One row a row, in order; a row with a problem has nulls. O(bytes).
    """
    import polars as pl

    names = detect_dialect(record, text_column) if dialect == "auto" else pl.Series([dialect]).new_from_index(0, len(record))
    rows = pl.DataFrame({"row": pl.int_range(len(record), eager=True), "dialect": names, "record": record})
    schema = {"row": pl.Int64, "dialect": pl.String, **dict.fromkeys(COLUMNS[to], pl.String), "problem": pl.String}
    done = [pl.DataFrame(schema=schema)]
    for (name,), group in rows.group_by("dialect", maintain_order=True):
        shaped = _shape(group["record"], str(name), to, text_column).select(*COLUMNS[to], "problem")
        broken = pl.col("problem").is_not_null()
        shaped = shaped.with_columns(pl.when(~broken).then(column).alias(column) for column in COLUMNS[to])
        done.append(group.select("row", "dialect").hstack(shaped))
    return pl.concat(done).sort("row").drop("row")


def _shape(record: pl.Series, name: str, to: FormatName, text_column: str) -> pl.DataFrame:
    import polars as pl

    if name in DIALECTS:
        kind = DIALECTS[name].kind
        if to in BECOMES[kind]:
            rows = DIALECTS[name].read(record)
            return _from_turns(rows, to) if kind == "turns" else _from_pair(rows, to)
    elif name == "text" and to == "text":
        rows = frame_of(record, (text_column,)).rename({text_column: "text"})
        return rows.with_columns(first_problem(unreadable=~pl.col("read"), empty=blank(pl.col("text"))))
    problem = {"none": "unknown_dialect", "unreadable": "unreadable"}.get(name, "no_such_target")
    nothing = pl.DataFrame(schema=dict.fromkeys(COLUMNS[to], pl.String)).clear(len(record))
    return nothing.with_columns(pl.lit(problem).alias("problem"))


def _from_turns(rows: pl.DataFrame, to: FormatName) -> pl.DataFrame:
    import polars as pl

    turns = pl.col("turns")
    if to == "chat":
        if "messages" in rows.columns:
            return rows.select("messages", "problem")
        return _chats(rows)
    roles = turns.list.eval(pl.element().struct.field("role"))
    calls = (turns.is_null() | roles.list.contains("function_call")).fill_null(True)
    if to == "text":
        joined = turns.list.eval(pl.element().struct.field("content")).list.join(SEPARATOR)
        return rows.select(joined.alias("text"), pl.coalesce("problem", first_problem(more_than_text=calls)))
    pair = roles.list.join(" ") == "user assistant"
    return rows.select(
        content_of(turns, 0).alias("instruction"),
        content_of(turns, 1).alias("output"),
        pl.coalesce("problem", first_problem(more_than_text=calls, more_than_one_turn=~pair)),
    )


def _from_pair(rows: pl.DataFrame, to: FormatName) -> pl.DataFrame:
    import polars as pl

    if to == "chat":
        answer = pl.concat_list(pl.struct(pl.lit("assistant").alias("role"), pl.col("chosen").alias("content")))
        return _chats(rows.select(pl.concat_list("turns", answer).alias("turns"), "problem"))
    problem = pl.coalesce("problem", first_problem(more_than_one_turn=pl.col("instruction").is_null()))
    if to == "instruction":
        return rows.select("instruction", pl.col("chosen").alias("output"), problem)
    return rows.select("instruction", "chosen", "rejected", problem)


def _chats(rows: pl.DataFrame) -> pl.DataFrame:
    """`turns` as the JSON text of chats. A `function_call` becomes a tool call, its JSON verbatim."""
    import polars as pl

    calling = pl.col("turns").list.eval(pl.element().struct.field("role") == "function_call").list.any().fill_null(False)
    if not rows.select(calling.any()).item():
        return rows.select(encode(rows["turns"]).alias("messages"), "problem")
    flat = rows.with_row_index("row").explode("turns", empty_as_null=True).unnest("turns")
    call = pl.col("role") == "function_call"
    # Line breaks between tokens go, as a row is one line; inside JSON strings there can be none.
    bare = pl.col("content").str.replace_all(r"[\r\n]", " ")
    name = flat["content"].set(flat["role"] != "function_call", None)
    named = decode(name, pl.Struct({"name": pl.String})).struct.field("name").is_not_null()
    written = (
        pl.when(call)
        .then(
            pl.concat_str(
                pl.lit('{"role":"assistant","content":null,"tool_calls":[{"type":"function","function":'), bare, pl.lit("}]}")
            )
        )
        .otherwise(pl.struct("role", "content").struct.json_encode())
    )
    lines = flat.with_columns(written.alias("line"), (call & ~pl.lit(named)).alias("bad_call"))
    return (
        lines.group_by("row", maintain_order=True)
        .agg(
            pl.concat_str(pl.lit("["), pl.col("line").str.join(","), pl.lit("]")).first().alias("messages"),
            pl.coalesce(pl.col("problem").first(), first_problem(bad_call=pl.col("bad_call").any())),
        )
        .select("messages", "problem")
    )


def extra(record: pl.Series, dialects: pl.Series, written: Sequence[str], text_column: str = "text") -> pl.Series:
    """The members of each row that its dialect has no use for, as they are written, without braces; empty where there is none.

    Members called as one that is `written` are left out: a row cannot hold two.
    """
    import polars as pl

    rows = pl.DataFrame({"row": pl.int_range(len(record), eager=True), "dialect": dialects, "record": record})
    done = []
    for (name,), group in rows.group_by("dialect", maintain_order=True):
        used = tuple(dict.fromkeys((*sorted(members(str(name), text_column)), *written)))
        rest = Members(group["record"], used, "messages" if "messages" in used else None).rest()
        done.append(group.select("row", rest.alias("rest")))
    return pl.concat(done).sort("row")["rest"] if done else pl.Series("rest", [], dtype=pl.String)
