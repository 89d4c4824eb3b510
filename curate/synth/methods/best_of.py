"""Best of K: several answers to a prompt, from several models or at several temperatures; what ranking starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.models.ask import Message
from curate.synth.methods.turns import prompt_of
from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, together

__all__ = ["BLOCKS", "BestOf"]

BLOCKS = {"system": (), "answer": ("instruction",)}


@dataclass(frozen=True)
class BestOf:
    """`count` answers of each speaker at each temperature. The row has all that differ, and who said each, in that order: the
    model, and where there are several temperatures which of them.

    Of a chat the prompt is all up to its last user message. A row with fewer than two answers is given up.
    """

    speakers: Sequence[Speaker]
    prompts: Prompts
    count: int = 2
    temperatures: tuple[float, ...] = (1.0,)

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        messages = prompt_of(item)
        if messages is None:
            return [Gone("unsuitable", "no user message", item.text)]
        instruction = "\n\n".join(message["content"] for message in messages)
        if len(messages) == 1:
            messages = self.prompts.messages("answer", instruction=instruction)
        desks = [
            Desk(speaker.at(temperature), self.prompts) for speaker in self.speakers for temperature in self.temperatures
        ]  # fmt: skip
        asked = [(desk, sample) for desk in desks for sample in range(self.count)]
        replies = yield from together([_tell(desk, messages, sample) for desk, sample in asked])
        lost: list[Made | Gone] = [reply for reply in replies if isinstance(reply, Gone)]
        found: dict[str, str] = {}
        for (desk, _), reply in zip(asked, replies, strict=True):
            if isinstance(reply, str):
                found.setdefault(reply, self._who(desk.speaker))
        if len(found) < 2:
            return [*lost, *(Gone("one_answer", instruction[:80], text) for text in found)]
        columns: dict[str, Any] = {"instruction": instruction, "output": next(iter(found))}
        columns |= {"responses": list(found), "models": list(found.values())}
        requests = tuple(key for desk in desks for key in desk.requests)
        names = ", ".join(dict.fromkeys(speaker.name for speaker in self.speakers))
        return [Made(columns, requests, (item.id,), 1, names), *lost]

    def _who(self, speaker: Speaker) -> str:
        """Who said an answer: of several temperatures with the one it was drawn at."""
        return speaker.name if len(self.temperatures) == 1 else f"{speaker.name}, temperature {speaker.temperature:g}"


def _tell(desk: Desk, messages: Sequence[Message], sample: int) -> Session[str | Gone]:
    return (yield from desk.tell(messages, sample))
