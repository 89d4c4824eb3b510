"""Which dialect a row is of, told by its members.

Rows of a file have few shapes: which members, in which order, and what kind of value each. A row of each shape is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from curate.formats.chats import load
from curate.formats.decode import Members, has_half
from curate.formats.dialects import DIALECTS, Dialect, members
from curate.formats.messages import to_json
from curate.formats.named import renamed

if TYPE_CHECKING:
    import polars as pl

__all__ = ["detect_dialect", "dialect_of", "said_of", "told"]


def detect_dialect(record: pl.Series, text_column: str = "text") -> pl.Series:
    """The dialect of each row, told by its members; "none" where there is no telling, "unreadable" for no text. O(bytes)."""
    return told(record, Members(record, ("messages",), "messages"), text_column)


def dialect_of(row: Any, text_column: str = "text", columns: Mapping[str, str] | None = None) -> str:
    """The dialect of a decoded row; columns: see `named`."""
    import polars as pl

    text = to_json(row)
    if text is None:
        return "unreadable"
    record = pl.Series([text])
    return str(detect_dialect(renamed(record, columns) if columns else record, text_column)[0])


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


def said_of(record: str) -> str:
    """What a row of JSON text that is of no dialect is made of, and the dialect that it comes nearest to, for people."""
    row = load(record)
    if not isinstance(row, dict):
        return f"a {type(row).__name__}"
    names = [f"{name} (null)" if row[name] is None else name for name in row]
    text = f"members: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}" if names else "no members"
    near = nearest_dialect(row)
    return f"{text}; {near}" if near else text


def nearest_dialect(row: dict[str, Any]) -> str:
    """The dialect that a decoded row comes nearest to, and what it lacks for it, for people; empty where none is near."""
    has = {name for name, value in row.items() if value is not None}
    told = [(name, keys) for name, dialect in DIALECTS.items() for keys in dialect.keys]
    lower = {name.lower() for name in has}
    for name, keys in told:
        if {key.lower() for key in keys} <= lower and not set(keys) <= has:
            return f"nearest: {name}, whose members are called {', '.join(keys)}"
    name, keys = max(told, key=lambda one: len(has & set(one[1])) / len(one[1]))
    lacks = [key for key in keys if key not in has]
    if len(lacks) == len(keys):
        return ""
    return f"nearest: {name}, which has {', '.join(lacks)} too" if lacks else f"nearest: {name}, with values of other kinds"
