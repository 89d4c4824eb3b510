"""Rows of the plain layouts, converted by moving the bytes of their strings: no JSON is decoded on the way.

Rows are plain when they hold texts by a system, a user and an assistant and nothing else; `Turns` of `kernels.json_turns` say
where. Whatever is not surely plain is left to the dialect's `read`, and what comes out of both ways is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import Members
from curate.formats.turns import first_problem

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.json_turns import Turns

__all__ = ["chat_turns", "lines", "listed", "nothing"]


def nothing(members: Members, *names: str) -> NDArray[np.bool_]:
    """Rows that lack all these members, or have them as null."""
    import numpy as np

    from curate.kernels.json_lines import ABSENT, NULL

    found: NDArray[np.bool_] = np.asarray(members.scan.error) == 0
    for name in names:
        found &= (members.kind(name) == ABSENT) | (members.kind(name) == NULL)
    return found


def chat_turns(members: Members, array: str, keys: tuple[tuple[str, ...], tuple[str, ...]], roles: dict[str, int]) -> Turns:
    """Turns of the rows whose array of messages is plain. keys, roles: see `json_turns.find`."""
    from curate.kernels import json_turns
    from curate.kernels.json_lines import ARRAY

    column = members.names.index(array)
    scan = members.scan
    return json_turns.find(
        members.data, scan.value_start[:, column], scan.value_end[:, column], scan.kind[:, column] == ARRAY, keys, roles
    )


def listed(members: Members, turns: Turns) -> pl.Series:
    """Turns as List(Struct{role, content}), null where a row is not plain; no text may belong to a turn before. O(bytes)."""
    import numpy as np
    import polars as pl
    import pyarrow as pa

    from curate.kernels import json_turns

    content = members.literals(turns.start, turns.end, np.ones(len(turns.code), np.bool_)).to_arrow()
    role = pl.Series(json_turns.ROLES).gather(pl.Series(turns.code)).to_arrow()
    struct = pa.StructArray.from_arrays([role, content], names=["role", "content"])
    lists = pl.Series("turns", pa.LargeListArray.from_arrays(pa.array(turns.rows), struct))
    return lists.set(pl.Series(~turns.plain), None)


def lines(members: Members, turns: Turns, to: str, as_it_is: str | None) -> pl.DataFrame:
    """The plain rows as rows of the chat or instruction format: the target's columns and `problem`; others are null. O(bytes).

    as_it_is: the member that holds the chat already.
    """
    import numpy as np
    import polars as pl

    from curate.io.jsonl import series
    from curate.kernels import json_turns

    if to == "chat":
        if as_it_is is not None:
            chats = members.raw(as_it_is).set(pl.Series(~turns.plain), None)
        else:
            chats = series(*json_turns.write(members.data, turns), turns.plain)
        return pl.DataFrame({"messages": chats, "problem": pl.Series([None], dtype=pl.String).new_from_index(0, len(chats))})
    user, assistant = json_turns.ROLES.index("user"), json_turns.ROLES.index("assistant")
    first, count = turns.rows[:-1], np.diff(turns.rows)
    code = np.concatenate([turns.code, np.full(3, 255, np.uint8)])
    more = (count == 3) & (code[first + 1] == json_turns.MORE)
    last = first + np.where(more, 2, 1)
    pair = turns.plain & ((count == 2) | more) & (code[first] == user) & (code[last] == assistant)
    places = np.where(pair, first, 0), np.where(pair, first + 1, 0), np.where(pair, last, 0)
    start, end = (np.concatenate([spans, np.zeros(1, np.int64)]) for spans in (turns.start, turns.end))
    asked, beside, answer = (
        members.literals(start[place], end[place], chosen)
        for place, chosen in zip(places, (pair, pair & more, pair), strict=True)
    )
    systems = np.concatenate([[0], np.cumsum(turns.code < user)])
    system = systems[turns.rows[1:]] > systems[first]
    frame = pl.DataFrame(
        {"system": system, "asked": asked, "beside": beside, "output": answer, "pair": pair, "plain": turns.plain}
    )
    both = pl.concat_str("asked", pl.lit("\n\n"), "beside")
    return frame.select(
        (pl.when(pl.col("beside").is_not_null()).then(both).otherwise("asked") if more.any() else pl.col("asked")).alias(
            "instruction"
        ),
        "output",
        first_problem(
            more_than_system=pl.col("plain") & pl.col("system"), more_than_one_turn=pl.col("plain") & ~pl.col("pair")
        ),
    )
