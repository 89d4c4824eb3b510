"""Dialects of a few published files, whose texts are deeper in the row.

| dialect       | members                                                                                                |
|---------------|--------------------------------------------------------------------------------------------------------|
| self_instruct | `instruction`, `instances` [{`input`, `output`}]: a row each (Self-Instruct's seed tasks)              |
| davinci       | `instruction`, `input`, `response` {`choices` [{`text`}]} (its predictions): the first choice          |
| mt_bench      | `turns`, what the user says, and `reference`, an answer to each (MT-bench's questions)                 |

https://github.com/yizhongw/self-instruct, https://github.com/lm-sys/FastChat/tree/main/fastchat/llm_judge
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.alpaca import asked
from curate.formats.decode import Members, decode, frame_of
from curate.formats.turns import blank, first_problem, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["davinci", "mt_bench", "self_instruct"]


def _pairs(rows: pl.DataFrame) -> pl.DataFrame:
    """Columns `parent`, `instruction`, `input`, `output`, `read` as turns."""
    import polars as pl

    return rows.with_columns(asked().alias("asked")).select(
        "parent",
        pl.concat_list(turn("user", pl.col("asked")), turn("assistant", pl.col("output"))).list.drop_nulls().alias("turns"),
        first_problem(
            unreadable=~pl.col("read"), empty_instruction=blank(pl.col("asked")), empty_output=blank(pl.col("output"))
        ),
    )


def self_instruct(record: pl.Series) -> pl.DataFrame:
    """Rows as turns, a line an instance."""
    import polars as pl

    instance = pl.Struct({"input": pl.String, "output": pl.String})
    rows = frame_of(record, ("instruction",), {"instances": pl.List(instance)})
    rows = rows.with_columns(pl.int_range(pl.len()).alias("parent")).explode("instances", empty_as_null=True)
    return _pairs(rows.unnest("instances"))


def davinci(record: pl.Series) -> pl.DataFrame:
    """Rows as turns."""
    import polars as pl

    response = pl.Struct({"choices": pl.List(pl.Struct({"text": pl.String}))})
    rows = frame_of(record, ("instruction", "input"), {"response": response})
    first = pl.col("response").struct.field("choices").list.get(0, null_on_oob=True).struct.field("text")
    return _pairs(rows.with_columns(pl.int_range(pl.len()).alias("parent"), first.alias("output")))


def mt_bench(record: pl.Series) -> pl.DataFrame:
    """Rows as turns: each question and its reference; a row that lacks one of them answers nothing."""
    import polars as pl

    members = Members(record, ("turns", "reference"))
    rows = pl.DataFrame({name: decode(members.raw(name), pl.List(pl.String)) for name in members.names})
    rows = rows.with_columns(pl.Series("raw", members.raw("reference").is_not_null() & (members.raw("reference") != "null")))
    rows = rows.with_row_index("row")
    count = pl.col("turns").list.len()
    numbers = pl.int_ranges(0, count.fill_null(0))
    flat = rows.select("row", "turns", "reference", numbers.alias("n")).explode("n", empty_as_null=False)
    said = [
        pl.struct(pl.lit(role).alias("role"), pl.col(name).list.get(pl.col("n"), null_on_oob=True).alias("content"))
        for role, name in (("user", "turns"), ("assistant", "reference"))
    ]
    made = (
        flat.select("row", pl.concat_list(said).alias("made")).explode("made").group_by("row", maintain_order=True).agg("made")
    )
    rows = rows.join(made, on="row", how="left", maintain_order="left")
    content = pl.element().struct.field("content")
    return rows.select(
        pl.col("made").alias("turns"),
        first_problem(
            unreadable=pl.col("turns").is_null() | (pl.col("raw") & pl.col("reference").is_null()),
            empty=count == 0,
            empty_output=pl.col("reference").list.len().fill_null(0) != count,
            empty_content=pl.col("made").list.eval(blank(content)).list.any(),
        ),
    )
