"""Chats as columns of a row each: who speaks, what is asked last, what is answered, and all that is said.

The turns of all chats are one flat column, and a row's parts are picked from it by position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.messages import PLAIN, read_turns

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["OPENING", "PART", "talk"]

OPENING = 160
"""Characters of an answer that are its opening."""

PART = "\x00"
"""Between the texts of a row that are looked at as one. No text of a readable file holds it."""

_WHO = "\x01"


def talk(messages: pl.Series) -> pl.DataFrame:
    """Columns of the chats whose JSON text is given, null where there is nothing of the kind. O(bytes).

    plain     whether it is made of roles and contents alone, all of them strings
    roles     of its turns, a space between; `?` for one that is no string
    said      every content; openings: how each answer begins; with `PART` between
    asked     what a user says last; answer: what the assistant says in the last turn, null in a chat with more than texts
    prompt    roles and contents before that answer (all of them where there is none); of a chat with more than texts, all of it
    calls     whether there are calls of tools
    silent    whether a turn says nothing; empty: whether a content is the empty string
    """
    import numpy as np
    import polars as pl

    plain = messages.str.contains(PLAIN).fill_null(False)
    turns = read_turns(messages, plain)
    lengths = turns.list.len().fill_null(0).to_numpy().astype(np.int64)
    flat = turns.explode(empty_as_null=False, keep_nulls=False).struct.unnest()
    role, content = flat["role"].fill_null("?"), flat["content"]
    n, row = len(messages), np.repeat(np.arange(len(messages)), lengths)
    ends = np.cumsum(lengths)
    last = np.where(lengths > 0, ends - 1, -1)

    def any_of(turn: pl.Series) -> pl.Series:
        found = np.zeros(n, np.bool_)
        found[row[turn.fill_null(False).to_numpy()]] = True
        return pl.Series(found)

    def picked(where: NDArray[np.int64]) -> pl.Series:
        there = where >= 0
        if there.all():
            return content.gather(where)
        return (
            pl.Series([None], dtype=pl.String).new_from_index(0, n).scatter(np.flatnonzero(there), content.gather(where[there]))
        )

    by_user, by_assistant = (role == "user").to_numpy(), (role == "assistant").to_numpy()
    asked = np.full(n, -1, np.int64)
    asked[row[by_user]] = np.flatnonzero(by_user)  # the last of those of a row stands
    answered = np.zeros(n, np.bool_)
    answered[lengths > 0] = by_assistant[last[lengths > 0]]
    answers = pl.Series(by_assistant)
    # With calls in it a chat may well have an assistant that says nothing, or a tool that speaks next.
    calls = messages.str.contains('"tool_calls"', literal=True) | messages.str.contains('"function_call"', literal=True)
    more = (calls.fill_null(False) | any_of(content.is_null())).to_numpy()
    before = np.ones(len(row), np.bool_)
    before[last[answered]] = False
    words = pl.select(pl.concat_str(role, content.fill_null(""), separator=_WHO)).to_series() if len(row) else content
    prompt = _joined(words.filter(pl.Series(before)), row[before], n)
    return pl.DataFrame(
        {
            "plain": plain,
            "roles": _joined(role, row, n, " ").fill_null("").set(turns.is_null(), None),
            "said": _joined(content, row, n),
            "openings": _joined(content.filter(answers).str.head(OPENING), row[by_assistant], n),
            "asked": picked(asked),
            "answer": picked(np.where(answered & ~more, last, -1)),
            "prompt": messages.zip_with(pl.Series(more), prompt),
            "calls": calls.fill_null(False),
            "silent": any_of(~content.str.contains(r"\S")),
            "empty": any_of(content.str.len_bytes() == 0),
        }
    )


def _joined(texts: pl.Series, row: NDArray[np.int64], n: int, separator: str = PART) -> pl.Series:
    """The texts of each row, of which those of one stand together, as one; null where there is none."""
    import numpy as np
    import polars as pl

    found = pl.Series([None], dtype=pl.String).new_from_index(0, n)
    if not len(row):
        return found
    begins = np.flatnonzero(np.diff(row, prepend=-1))
    if len(begins) == len(row):
        return texts if len(row) == n else found.scatter(row, texts)
    sizes = np.diff(begins, append=len(row))
    groups = pl.DataFrame({"row": np.repeat(np.arange(len(begins)), sizes), "text": texts})
    together = groups.group_by("row", maintain_order=True).agg(pl.col("text"))["text"].list.join(separator, ignore_nulls=True)
    return together if len(together) == n else found.scatter(row[begins], together)
