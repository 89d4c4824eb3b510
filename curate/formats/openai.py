"""Messages: `messages`, or a bare array, of {`role`, `content`, ...}: what OpenAI, TRL and our own chat format use.

Messages of only a role and a content stay as they are, byte for byte. Others are brought to our format one by
one (see `chats`).
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from curate.formats.chats import STANDARD, chats, load_member, merged
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
    others = [load_member(text) for text in raw.filter(turns.is_null())]
    rows = merged(turns, chats(others))
    same = turns.is_not_null().scatter(turns.is_null().arg_true(), [_stands(messages) for messages in others])
    same &= raw.str.starts_with("[").fill_null(False)
    rows = rows.with_columns(
        pl.when(pl.lit(same) & pl.col("problem").is_null()).then(pl.lit(raw)).otherwise("messages").alias("messages")
    )
    return rows.with_columns(label_of(record))


def _stands(messages: Any) -> bool:
    """Whether messages are in our format as they are."""
    return isinstance(messages, list) and all(
        isinstance(message, dict) and len(message) == 2 and message.get("role") in STANDARD for message in messages
    )
