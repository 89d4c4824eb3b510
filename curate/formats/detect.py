"""Which dialect a row is of, told by its members.

Rows of a file have few shapes: which members, in which order, and what kind of value each. A row of each shape is looked at.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from curate.formats.chats import load
from curate.formats.decode import Members, has_half
from curate.formats.dialects import DIALECTS, Dialect, members
from curate.formats.messages import to_json

if TYPE_CHECKING:
    import polars as pl

__all__ = ["detect_dialect", "dialect_of", "members_text", "nearest_dialect", "told"]


def detect_dialect(record: pl.Series, text_column: str = "text") -> pl.Series:
    """The dialect of each row, told by its members; "none" where there is no telling, "unreadable" for no text. O(bytes)."""
    return told(record, Members(record, ("messages",), "messages"), text_column)


def dialect_of(row: Any, text_column: str = "text") -> str:
    """The dialect of a decoded row."""
    import polars as pl

    text = to_json(row)
    return "unreadable" if text is None else str(detect_dialect(pl.Series([text]), text_column)[0])


def told(record: pl.Series, found: Members, text_column: str) -> pl.Series:
    """`detect_dialect` of rows that were scanned, with bare arrays as one of the names."""
    import numpy as np
    import polars as pl

    shapes, broken = np.asarray(found.scan.shape), np.asarray(found.scan.error) != 0
    if broken.any() and len(found.names) > 1:
        # Half a character in a string that was asked for; which dialect a row is of does not hang on what was asked for.
        again = Members(record.filter(pl.Series(broken)), ("messages",), "messages").scan
        shapes, broken = shapes.copy(), broken.copy()
        shapes[broken], broken[broken] = again.shape, again.error != 0
    _, first, shape = np.unique(shapes, return_index=True, return_inverse=True)
    names = _by_members(_without_halves(record.gather(first)), text_column).gather(shape)
    return (
        names.to_frame("dialect")
        .select(pl.when(~pl.lit(pl.Series(broken))).then("dialect").otherwise(pl.lit("unreadable")))
        .to_series()
    )


def _without_halves(record: pl.Series) -> pl.Series:
    """Rows with other texts in place of their own: half of a character in a text does not change what the row is."""
    import polars as pl

    def other(row: str) -> str:
        value = load(row)
        return (
            json.dumps({key: "x" if isinstance(one, str) else one for key, one in value.items()})
            if isinstance(value, dict)
            else row
        )

    half = has_half(record)
    return pl.Series([other(row) if mends else row for row, mends in zip(record, half, strict=True)], dtype=pl.String)


def _by_members(record: pl.Series, text_column: str) -> pl.Series:
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
        *(pl.when(fits(dialect)).then(pl.lit(name)) for name, dialect in DIALECTS.items()),
        pl.when(pl.col(text_column)).then(pl.lit("text")),
        pl.lit("none"),
    )
    return there.select(name.alias("dialect")).to_series()


def members_text(row: Any) -> str:
    """What a decoded row is made of, for people: its members, or what it is if it has none."""
    if not isinstance(row, dict):
        return "a bare array" if isinstance(row, list) else f"a {type(row).__name__}"
    names = [f"{name}: null" if row[name] is None else name for name in row]
    return f"members: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}" if names else "no members"


def nearest_dialect(row: Any) -> str:
    """The dialect that a row comes nearest to and what it lacks for it, for people; empty where none is near."""
    if not isinstance(row, dict):
        return ""
    has = {name for name, value in row.items() if value is not None}
    near = [
        (len(has & set(keys)) / len(keys), name, [key for key in keys if key not in has])
        for name, dialect in DIALECTS.items()
        for keys in dialect.keys
    ]
    share, name, lacks = max(near, key=lambda one: one[0])
    if share == 0:
        lower = {key.lower() for key in has}
        alike = next((n for n, d in DIALECTS.items() for keys in d.keys if {k.lower() for k in keys} <= lower), None)
        return f"names are told by case: {alike} has other cases" if alike else ""
    return f"nearest: {name}, which has {', '.join(lacks)} too" if lacks else f"nearest: {name}, with other values"
