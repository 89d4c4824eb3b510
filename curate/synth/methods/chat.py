"""Chats of two roles: one model speaks as the user, one as the assistant, in turn (Ding et al. 2023, UltraChat)."""

from __future__ import annotations

from dataclasses import dataclass

from curate.models.ask import Message
from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker

__all__ = ["BLOCKS", "Chat"]

BLOCKS = {"system": (), "user": ("about",), "open": ("about",), "assistant": ("about",)}


@dataclass(frozen=True)
class Chat:
    """A chat of `turns` questions and answers about each item.

    The model that plays the user is told who it is (block `user`), asked to begin (`open`), and sees the answers as what is
    said to it. The assistant sees the chat alone, or with what `assistant` says before it; that is not written.
    """

    speaker: Speaker
    prompts: Prompts
    turns: int = 2

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        desk = Desk(self.speaker, self.prompts)
        told = self.prompts.text("assistant", about=item.text)
        before: list[Message] = [{"role": "system", "content": told}] if told else []
        asking: list[Message] = [
            {"role": "system", "content": self.prompts.text("user", about=item.text)},
            {"role": "user", "content": self.prompts.text("open", about=item.text)},
        ]
        said: list[Message] = []
        for _ in range(self.turns):
            question = yield from desk.tell(asking)
            if isinstance(question, Gone):
                return [question]
            said.append({"role": "user", "content": question})
            answer = yield from desk.tell([*before, *said])
            if isinstance(answer, Gone):
                return [answer]
            said.append({"role": "assistant", "content": answer})
            asking += [{"role": "assistant", "content": question}, {"role": "user", "content": answer}]
        return [desk.made({"messages": said}, item)]
