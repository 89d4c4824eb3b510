"""The messages of chats, held as the JSON text of their array: reading their contents, and putting others in their place.

Nearly all messages in the wild are `{"role": "...", "content": "..."}` and nothing else. Rows made of only such messages are
read and written by polars, whole columns at a time; a regular expression that runs at about 0.5 GB/s tells them exactly. Rows
with more in them (tool calls, names, content in parts) go through `json`, one by one, because what they hold has no one shape.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PLAIN", "SEPARATOR", "decode_plain", "encode", "read_texts", "read_turns", "rewrite_texts", "to_json", "untyped"]

SEPARATOR = "\n\n"
"""What stands between two texts of a row when they are read as one."""

_SPACE = r"[ \t\r\n]*"
# A JSON string whose \u escapes are whole characters: half of a surrogate pair alone is no character, and polars would
# read it as U+0000 without a word.
_STRING = (
    r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u(?:[0-9a-cA-CefEF][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2}'
    r'|[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})))*"'
)
_ROLE, _CONTENT = (rf'"{key}"{_SPACE}:{_SPACE}{_STRING}{_SPACE}' for key in ("role", "content"))
_MESSAGE = rf"\{{{_SPACE}(?:{_ROLE},{_SPACE}{_CONTENT}|{_CONTENT},{_SPACE}{_ROLE})\}}{_SPACE}"

PLAIN = rf"^{_SPACE}\[{_SPACE}{_MESSAGE}(?:,{_SPACE}{_MESSAGE})*\]{_SPACE}$"
"""Matches the JSON text of a non-empty array of messages with a role and a content, both strings, and nothing else."""


def decode_plain(messages: pl.Series) -> pl.Series:
    """The rows that `PLAIN` matches, as List(Struct{role, content})."""
    import polars as pl

    return messages.str.json_decode(pl.List(pl.Struct({"role": pl.String, "content": pl.String})))


def encode(messages: pl.Series) -> pl.Series:
    """A column of any type as the JSON text of its values; null where the value is."""
    import polars as pl

    wrapped = messages.alias("m").to_frame().select(pl.struct("m").struct.json_encode()).to_series()
    # '{"m":' and '}' around the value.
    text = wrapped.str.strip_prefix('{"m":').str.strip_suffix("}")
    return text.set(messages.is_null(), None).rename(messages.name)


def to_json(value: Any) -> str | None:
    """Compact JSON; None when it holds half a surrogate pair, which is no text and cannot be written as UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return None
    return text


def _places(messages: Any) -> list[tuple[dict[str, Any], str]] | None:
    """Where the texts of a chat stand, in order, as (object, key); None when it is not an array of objects."""
    if not isinstance(messages, list):
        return None
    found: list[tuple[dict[str, Any], str]] = []
    for message in messages:
        if not isinstance(message, dict):
            return None
        content = message.get("content")
        if isinstance(content, str):
            found.append((message, "content"))
        elif isinstance(content, list):
            for part in content:
                if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
                    found.append((part, "text"))
    return found


def _load(row: str | None) -> tuple[Any, list[tuple[dict[str, Any], str]]] | None:
    """A chat and the places of its texts; None when it has none or cannot be read."""
    if row is None:
        return None
    try:
        value = json.loads(row)
    except (ValueError, RecursionError):
        return None
    places = _places(value)
    if not places or ("\\u" in row and to_json(value) is None):
        return None
    return value, places


def read_texts(messages: pl.Series) -> pl.Series:
    """Contents of each chat in order, joined by a blank line; null where there is none. O(bytes)."""
    import polars as pl

    def slow(row: str) -> str | None:
        loaded = _load(row)
        return None if loaded is None else SEPARATOR.join(holder[key] for holder, key in loaded[1])

    plain = messages.str.contains(PLAIN).fill_null(False)
    if plain.all():
        return decode_plain(messages).list.eval(pl.element().struct.field("content")).list.join(SEPARATOR)
    place = pl.Series("row", range(len(messages)), dtype=pl.UInt32)
    fast = read_texts(messages.filter(plain))
    rest = messages.filter(~plain)
    texts = pl.Series([slow(row) if row is not None else None for row in rest], dtype=pl.String)
    order = pl.concat([place.filter(plain), place.filter(~plain)]).arg_sort()
    return pl.concat([fast, texts.rename(fast.name)]).gather(order)


def read_turns(messages: pl.Series, plain: pl.Series | None = None) -> pl.Series:
    """Each chat as List(Struct{role, content}): roles and contents as they stand, null where they are no strings.

    The text parts of a content are read as one. Null where a row is not an array of objects. `plain`: which rows `PLAIN`
    matches, where that is known. O(bytes).
    """
    import polars as pl

    def slow(row: str | None) -> list[dict[str, str | None]] | None:
        try:
            value = json.loads(row or "null")
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
            return None
        turns = []
        for message in value:
            role, places = message.get("role"), _places([message]) or []
            said = SEPARATOR.join(holder[key] for holder, key in places) if places else None
            turns.append({"role": role if isinstance(role, str) else None, "content": said})
        return turns if to_json(turns) is not None else None

    if plain is None:
        plain = messages.str.contains(PLAIN).fill_null(False)
    fast = decode_plain(messages if plain.all() else messages.set(~plain, None))
    if plain.all():
        return fast
    rest = [None if done else slow(row) for row, done in zip(messages, plain, strict=True)]
    return fast.zip_with(plain, pl.Series(messages.name, rest, dtype=fast.dtype))


def rewrite_texts(messages: pl.Series, f: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """`f` applied to every content of every chat, and the results put back. Everything else stays as it is.

    A chat that `f` does not change keeps its very bytes. One that cannot be read stays as it is. O(bytes), plus `f`.
    """
    import polars as pl

    rows = pl.DataFrame({"row": pl.Series(range(len(messages)), dtype=pl.UInt32), "messages": messages})
    plain = messages.str.contains(PLAIN).fill_null(False)
    changed = [_rewrite_plain(rows.filter(plain), f), _rewrite_rest(rows.filter(~plain), f)]
    new = rows.join(pl.concat(changed), on="row", how="left", maintain_order="left")
    return new.select(pl.coalesce("new", "messages").alias(messages.name)).to_series()


def _rewrite_plain(rows: pl.DataFrame, f: Callable[[pl.Series], pl.Series]) -> pl.DataFrame:
    """Rows that changed, as (row, new)."""
    import polars as pl

    flat = rows.select("row", decode_plain(rows["messages"]).alias("message")).explode("message").unnest("message")
    flat = flat.with_columns(f(flat["content"]).alias("text"))
    flat = flat.filter((pl.col("text") != pl.col("content")).any().over("row"))
    new = flat.group_by("row", maintain_order=True).agg(pl.struct("role", pl.col("text").alias("content")).alias("new"))
    return new.select("row", encode(new["new"]).alias("new"))


def _rewrite_rest(rows: pl.DataFrame, f: Callable[[pl.Series], pl.Series]) -> pl.DataFrame:
    """Rows that changed, as (row, new)."""
    import polars as pl

    loaded = [(row, found) for row, text in rows.iter_rows() if (found := _load(text)) is not None]
    old = [holder[key] for _, (_, places) in loaded for holder, key in places]
    texts = iter(f(pl.Series("content", old, dtype=pl.String)).to_list())
    changed: dict[int, str | None] = {}
    for row, (value, places) in loaded:
        same = True
        for holder, key in places:
            text = next(texts)
            same = same and holder[key] == text
            holder[key] = text
        if not same:
            changed[row] = to_json(value)
    return pl.DataFrame({"row": list(changed), "new": list(changed.values())}, schema={"row": pl.UInt32, "new": pl.String})


def untyped(messages: pl.Series) -> pl.Series:
    """Typed messages, as Parquet holds them, as JSON text. Fields that are null are left out: a struct cannot lack a field."""
    import polars as pl

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: clean(member) for key, member in value.items() if member is not None}
        return [clean(member) for member in value] if isinstance(value, list) else value

    fields = (
        messages.dtype.inner.fields
        if isinstance(messages.dtype, pl.List) and isinstance(messages.dtype.inner, pl.Struct)
        else []
    )
    if {field.name: field.dtype for field in fields} == {"role": pl.String, "content": pl.String}:
        flat = messages.explode(empty_as_null=False, keep_nulls=False)
        if flat.struct.field("role").null_count() + flat.struct.field("content").null_count() == 0:
            return encode(messages)
    return pl.Series(
        messages.name, [None if row is None else to_json(clean(row)) for row in messages.to_list()], dtype=pl.String
    )
