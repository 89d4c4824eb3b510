"""Questions and answers from documents: single or in turns, resting on words of the passage, and some it does not answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import Any

from curate.models.ask import Message
from curate.synth.methods.chunks import chunks
from curate.synth.parse import Pair, pairs, yes_or_no
from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, draw, together

__all__ = ["BLOCKS", "QA"]

BLOCKS = {
    "system": (),
    "pairs": ("passage", "count", "grounded"),
    "turns": ("passage", "count", "grounded"),
    "unanswerable": ("passage",),
    "answerable": ("passage", "question"),
    "unknown": ("passage", "question"),
    "correction": ("problem",),
}

_MARKS = re.compile(r"\W+")


@dataclass(frozen=True)
class QA:
    """`count` pairs of each passage of a document; with `turns` one chat of so many pairs that follow from one another.

    grounded: each pair names words of the passage, which must stand there (white space, case and punctuation aside).
    unanswerable: share of the passages, drawn by the seed, that also make a question which they do not answer: the model is
    asked whether they do, and only where it says no the row is made, with what the block `unknown` says as the answer.
    context: put the passage before the question, for models that are given what they answer from.
    """

    speaker: Speaker
    prompts: Prompts
    count: int = 3
    turns: int = 1
    grounded: bool = True
    unanswerable: float = 0.0
    context: bool = False
    chunk_words: int = 600
    seed: int = 0

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        sessions: list[Session[list[Made | Gone]]] = []
        for number, passage in enumerate(chunks(item.text, self.chunk_words)):
            sessions.append(self._turns(item, passage) if self.turns > 1 else self._pairs(item, passage))
            if draw(self.seed, "unanswerable", item.id, number).random() < self.unanswerable:
                sessions.append(self._unanswerable(item, passage))
        return [line for lines in (yield from together(sessions)) for line in lines]

    def _pairs(self, item: Item, passage: str) -> Session[list[Made | Gone]]:
        desk = Desk(self.speaker, self.prompts)
        parse = partial(pairs, count=self.count, quoted=self.grounded)
        found = yield from desk.parsed("pairs", parse, passage=passage, count=self.count, grounded=self.grounded)
        if isinstance(found, Gone):
            return [found]
        return [self._checked(pair, passage) or self._row(desk, item, [pair], passage) for pair in found]

    def _turns(self, item: Item, passage: str) -> Session[list[Made | Gone]]:
        desk = Desk(self.speaker, self.prompts)
        parse = partial(pairs, count=self.turns, quoted=self.grounded)
        found = yield from desk.parsed("turns", parse, passage=passage, count=self.turns, grounded=self.grounded)
        if isinstance(found, Gone):
            return [found]
        wrong = next((gone for pair in found if (gone := self._checked(pair, passage))), None)
        return [wrong or self._row(desk, item, found, passage)]

    def _unanswerable(self, item: Item, passage: str) -> Session[list[Made | Gone]]:
        desk = Desk(self.speaker, self.prompts)
        question = yield from desk.say("unanswerable", passage=passage)
        if isinstance(question, Gone):
            return [question]
        answerable = yield from desk.parsed("answerable", yes_or_no, passage=passage, question=question)
        if isinstance(answerable, Gone):
            return [answerable]
        if answerable:
            return [Gone("answerable", passage[:80], question)]
        answer = self.prompts.text("unknown", passage=passage, question=question)
        return [self._row(desk, item, [Pair(question, answer, "")], passage)]

    def _checked(self, pair: Pair, passage: str) -> Gone | None:
        """Why a pair does not rest on the passage; None: it does."""
        if not self.grounded:
            return None
        quote = _plain(pair.quote)
        if quote.strip() and quote in _plain(passage):
            return None
        return Gone("not_grounded", pair.quote[:200], f"Q: {pair.question}\nA: {pair.answer}")

    def _row(self, desk: Desk, item: Item, found: list[Pair], passage: str) -> Made:
        first = f"{passage}\n\n{found[0].question}" if self.context else found[0].question
        columns: dict[str, Any] = {"quotes": [pair.quote for pair in found if pair.quote]}
        if self.turns == 1:
            return desk.made({"instruction": first, "output": found[0].answer, **columns}, item)
        messages: list[Message] = []
        for number, pair in enumerate(found):
            messages.append({"role": "user", "content": first if number == 0 else pair.question})
            messages.append({"role": "assistant", "content": pair.answer})
        return desk.made({"messages": messages, **columns}, item)


def _plain(text: str) -> str:
    """Words and single blanks alone, with a blank at both ends, so that a word is not found within another."""
    return f" {_MARKS.sub(' ', text).strip().casefold()} "
