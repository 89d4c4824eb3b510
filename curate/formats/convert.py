"""The conversion itself: rows of JSON text, of any dialect, as rows of a target.

`dialects` says what is read, `targets` what is written, `turns` what is between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from curate.formats.decode import Members, frame_of
from curate.formats.dialects import DIALECTS, Dialect, members
from curate.formats.how import How
from curate.formats.messages import to_json
from curate.formats.targets import TARGETS, TargetName, reachable, written
from curate.formats.turns import Kind, blank, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["convert", "detect_dialect", "dialect_of", "extra"]


def detect_dialect(record: pl.Series, text_column: str = "text") -> pl.Series:
    """The dialect of each row, told by its members; "none" where there is no telling, "unreadable" for no text. O(bytes)."""
    import polars as pl

    from curate.kernels.json_lines import ARRAY, OBJECT, STRING

    named = [*(sorted(members(name)) for name in DIALECTS), *(dialect.unless for dialect in DIALECTS.values()), [text_column]]
    found = Members(record, tuple(dict.fromkeys(key for keys in named for key in keys)), "messages")
    there = pl.DataFrame([found.there(name) for name in found.names])
    kinds = {"array": ARRAY, "object": OBJECT, "string": STRING}

    def fits(dialect: Dialect) -> pl.Expr:
        typed = [pl.lit(pl.Series(found.kind(member) == kinds[kind])) for member, kind in dialect.types.items()]
        return pl.all_horizontal(
            pl.any_horizontal(pl.all_horizontal(keys) for keys in dialect.keys),
            ~pl.any_horizontal(False, *dialect.unless),
            *typed,
        )

    name = pl.coalesce(
        pl.when(pl.lit(pl.Series(found.scan.error != 0))).then(pl.lit("unreadable")),
        *(pl.when(fits(dialect)).then(pl.lit(name)) for name, dialect in DIALECTS.items()),
        pl.when(pl.col(text_column)).then(pl.lit("text")),
        pl.lit("none"),
    )
    return there.select(name.alias("dialect")).to_series()


def dialect_of(row: Any, text_column: str = "text") -> str:
    """The dialect of a decoded row."""
    import polars as pl

    text = to_json(row)
    return "unreadable" if text is None else str(detect_dialect(pl.Series([text]), text_column)[0])


def convert(record: pl.Series, to: TargetName, dialect: str = "auto", how: How | None = None) -> pl.DataFrame:
    """Rows of JSON text as rows of a target: `parent`, its columns, `about`, `dialect`, and `problem` where none could be made.

    parent: position of the row that a line was made of, ascending. about: see `curate.formats.turns`. A row gives a line
    at least; of what it holds, whatever cannot be converted is a line with a `problem` (one of `PROBLEMS`) and nulls. O(bytes).
    """
    import polars as pl

    how = how or How()
    target = TARGETS[to]
    names = (
        detect_dialect(record, how.text_column) if dialect == "auto" else pl.Series([dialect]).new_from_index(0, len(record))
    )
    rows = pl.DataFrame({"row": pl.int_range(len(record), eager=True), "dialect": names, "record": record})
    schema = {"parent": pl.Int64, **dict.fromkeys((*target.columns, "about", "dialect", "problem"), pl.String)}
    done = [pl.DataFrame(schema=schema)]
    for (name,), group in rows.group_by("dialect", maintain_order=True):
        kind, shaped = _read(group["record"], str(name), target.takes, how)
        if "parent" not in shaped.columns:
            shaped = shaped.with_columns(pl.int_range(pl.len()).alias("parent"))
        if kind is None or not reachable(kind, target.takes):
            problem = pl.col("problem") if kind is None else pl.lit("no_such_target")
            nothing = (pl.lit(None, pl.String).alias(column) for column in target.columns)
            lines = shaped.select("parent", *nothing, problem.alias("problem"))
        else:
            lines = written(shaped, kind, target, how)
            broken = pl.col("problem").is_not_null()
            lines = lines.with_columns(pl.when(~broken).then(column).alias(column) for column in target.columns)
        parent = group["row"].gather(lines["parent"])
        if "about" not in lines.columns:
            lines = lines.with_columns(pl.lit("").alias("about"))
        done.append(lines.with_columns(parent.alias("parent"), pl.lit(str(name)).alias("dialect")).select(*schema))
    return pl.concat(done).sort("parent", maintain_order=True)


def _read(record: pl.Series, name: str, takes: Kind, how: How) -> tuple[Kind | None, pl.DataFrame]:
    """Rows of one dialect as a kind that can be brought to what the target takes, if there is such a one.

    No kind, and the problem of each row, where the dialect is none.
    """
    import polars as pl

    if name in DIALECTS:
        kind, read = DIALECTS[name].read_for(takes)
        return kind, read(record)
    if name == "text":
        rows = frame_of(record, (how.text_column,)).rename({how.text_column: "text"})
        return "text", rows.with_columns(first_problem(unreadable=~pl.col("read"), empty=blank(pl.col("text"))))
    problem = {"none": "unknown_dialect", "unreadable": "unreadable"}.get(name, "no_such_target")
    return None, pl.DataFrame({"problem": [problem] * len(record)}, schema={"problem": pl.String})


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
