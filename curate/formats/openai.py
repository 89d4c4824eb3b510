"""Messages: `messages`, or a bare array, of {`role`, `content`, ...}; what OpenAI, TRL and our own chat format use.

Messages of only a role and a content stay as they are, byte for byte. Others are brought to our format one by one (see `chats`).
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.chats import STANDARD, chats, load, merged
from curate.formats.decode import Members
from curate.formats.plain import chat_turns, listed, nothing
from curate.formats.prompt_completion import label_of

if TYPE_CHECKING:
    import polars as pl

    from curate.kernels.json_turns import Turns

__all__ = ["plain", "read"]


def plain(members: Members) -> Turns:
    """Turns of the rows whose messages are plain, and that no label judges."""
    found = _turns(members)
    return found._replace(plain=found.plain & nothing(members, "label"))


def _turns(members: Members) -> Turns:
    return chat_turns(members, "messages", (("role",), ("content",)), {role: code for code, role in enumerate(STANDARD)})


def read(record: pl.Series) -> pl.DataFrame:
    """Rows as turns, and as the chats they are. `turns` is null where a message is more than a text by somebody."""
    import polars as pl

    members = Members(record, ("messages", "label"), "messages")
    turns, raw = listed(members, _turns(members)), members.raw("messages")
    rows = merged(turns, chats([load(text) for text in raw.filter(turns.is_null())]))
    return rows.with_columns(pl.lit(raw.zip_with(turns.is_not_null(), rows["messages"])).alias("messages"), label_of(record))
