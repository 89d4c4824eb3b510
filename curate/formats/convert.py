"""The conversion itself: rows of JSON text, of any dialect, as rows of a target.

`dialects` says what is read, `targets` what is written, `turns` what is between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.formats.chats import HOLD_TOOLS, tools_of
from curate.formats.decode import Members, frame_of
from curate.formats.detect import detect_dialect, dialect_of, told
from curate.formats.dialects import DIALECTS, members
from curate.formats.how import How
from curate.formats.plain import lines as plain_lines
from curate.formats.plain import nothing
from curate.formats.targets import TARGETS, TargetName, reachable, written
from curate.formats.turns import Kind, blank, first_problem

if TYPE_CHECKING:
    import polars as pl

__all__ = ["convert", "detect_dialect", "dialect_of", "extra"]


def convert(record: pl.Series, to: TargetName, dialect: str = "auto", how: How | None = None) -> pl.DataFrame:
    """Rows of JSON text as rows of a target: `parent`, its columns, `about`, `tools`, `dialect`, and `problem` where none is.

    parent: position of the row that a line was made of, ascending. about: see `curate.formats.turns`. tools: a JSON array,
    where the target is a chat that has some. A row gives a line at least; of what it holds, whatever cannot be converted is
    a line with a `problem` (one of `PROBLEMS`) and nulls. O(bytes).
    """
    import polars as pl

    how = how or How()
    names, scanned = _scanned(record, dialect, how)
    rows = pl.DataFrame({"row": pl.int_range(len(record), eager=True), "dialect": names, "record": record})
    groups = list(rows.group_by("dialect", maintain_order=True)) if len(record) else []
    if len(groups) == 1:
        return _lines(record, str(names[0]), to, how, scanned.get(str(names[0])))
    done = [_lines(record[:0], "none", to, how, None)]
    for (name,), group in groups:
        lines = _lines(group["record"], str(name), to, how, None)
        done.append(lines.with_columns(group["row"].gather(lines["parent"]).alias("parent")))
    return pl.concat(done).sort("parent", maintain_order=True)


def _scanned(record: pl.Series, dialect: str, how: How) -> tuple[pl.Series, dict[str, Members]]:
    """The dialect of each row; and, for the dialect of the first row, the scan of all that it reads.

    Most files are of one dialect, so that the scan that tells it is the one that reads it.
    """
    import polars as pl

    if dialect != "auto" or not len(record):
        return pl.Series([dialect]).new_from_index(0, len(record)), {}
    guess = str(detect_dialect(record.head(1), how.text_column)[0])
    found = Members(record, _names(guess), "messages")
    return told(record, found, how.text_column), {guess: found}


def _names(dialect: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*sorted(members(dialect)), "messages")))


def _lines(record: pl.Series, name: str, to: TargetName, how: How, found: Members | None) -> pl.DataFrame:
    """`convert` of rows of one dialect; `found`: their scan, if there is one."""
    import polars as pl

    target = TARGETS[to]
    told_by = DIALECTS.get(name)
    plain = None
    done = []
    if told_by is not None and told_by.plain is not None and to in ("chat", "instruction") and not how.lose and len(record):
        found = found or Members(record, _names(name), "messages")
        turns = told_by.plain(found)
        alone = nothing(found, *(tool for tool in ("tools", "functions") if tool in found.names))
        turns = turns._replace(plain=turns.plain & alone)
        plain = pl.Series(turns.plain)
        made = plain_lines(found, turns, to, "messages" if name == "messages" else None).with_columns(
            pl.int_range(len(record), eager=True).alias("parent")
        )
        done.append(_named(made if plain.all() else made.filter(plain), name, to))
        if plain.all():
            return done[0]
    rows = pl.int_range(len(record), eager=True)
    if plain is not None:
        record, rows = record.filter(~plain), rows.filter(~plain)
    kind, shaped = _read(record, name, target.takes, how)
    if "parent" not in shaped.columns:
        shaped = shaped.with_columns(pl.int_range(pl.len()).alias("parent"))
    if kind is None or not reachable(kind, target.takes):
        problem = pl.col("problem") if kind is None else pl.lit("no_such_target")
        empty = (pl.lit(None, pl.String).alias(column) for column in target.columns)
        lines = shaped.select("parent", *empty, problem.alias("problem"))
    else:
        lines = written(shaped, kind, target, how)
        if "tools" in members(name):
            lines = _with_tools(lines, record, to)
        broken = pl.col("problem").is_not_null()
        lines = lines.with_columns(pl.when(~broken).then(column).alias(column) for column in target.columns)
    lines = lines.with_columns(rows.gather(lines["parent"]).alias("parent"))
    done.append(_named(lines, name, to))
    return pl.concat(done).sort("parent", maintain_order=True) if len(done) > 1 else done[0]


def _named(lines: pl.DataFrame, name: str, to: TargetName) -> pl.DataFrame:
    """Lines with the columns that `convert` gives, in order."""
    import polars as pl

    others = {"about": pl.lit(""), "tools": pl.lit(None, pl.String)}
    absent = [value.alias(column) for column, value in others.items() if column not in lines.columns]
    lines = lines.with_columns(pl.lit(name).alias("dialect"), *absent)
    return lines.select("parent", *TARGETS[to].columns, *others, "dialect", "problem")


def _with_tools(lines: pl.DataFrame, record: pl.Series, to: TargetName) -> pl.DataFrame:
    """Lines with the tools that stand beside their chats. A target that cannot hold them gives the row up."""
    import polars as pl

    found = tools_of(record)[lines["parent"]]
    lines = lines.with_columns(found["tools"], found["problem"].alias("bad"))
    held = pl.lit(to in HOLD_TOOLS) | pl.col("tools").is_null()
    return lines.with_columns(
        pl.coalesce("problem", "bad", pl.when(~held).then(pl.lit("more_than_text"))).alias("problem")
    ).drop("bad")


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
