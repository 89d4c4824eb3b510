"""What a method is made of: requests to a speaker, answers that are usable or not, rows made and what is given up."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, NamedTuple, TypeVar, get_args

from curate.models.ask import Answer, Ask, Failed, FailureKind, Message, key_of
from curate.synth.prompts import Prompts

__all__ = [
    "FAILURES", "Desk", "Gone", "Item", "Made", "NotParsed", "Question", "Reply", "Session", "Speaker", "draw", "together",
]  # fmt: skip

T = TypeVar("T")

FAILURES: tuple[str, ...] = get_args(FailureKind)
"""Reasons for which a row is given up because its request has no usable answer."""


class Item(NamedTuple):
    """A row of the input."""

    shard: int
    row: int
    id: str
    text: str
    """What it reads as."""
    columns: dict[str, Any]
    """Its columns that the method reads."""


@dataclass(frozen=True)
class Made:
    """A new row: its columns, and where it comes from."""

    columns: dict[str, Any]
    requests: tuple[str, ...] = ()
    """Keys of the requests behind it, hexadecimal, in order."""
    parents: tuple[str, ...] = ()
    """Ids of the input rows behind it."""
    generation: int = 0
    """How many rows that were made stand between it and the input."""
    model: str = ""


@dataclass(frozen=True)
class Gone:
    """What made no row, and why. value: what showed it; left: the answer as it came, or the row that it would have been."""

    reason: str
    value: str = ""
    left: str = ""


class Question(NamedTuple):
    """A request and the number of the model that it goes to."""

    model: int
    ask: Ask


Reply = Answer | Failed

Session = Generator[list[Question], list[Reply], T]
"""Yields requests to be answered beside one another, is sent the answers in their order, returns a result."""


class NotParsed(ValueError):
    """An answer has not the shape that was asked for; the message says what is wrong with it, for a person and the model."""


@dataclass(frozen=True)
class Speaker:
    """A model with the settings that it is asked with."""

    model: int
    """Its number among the models of the job."""
    name: str
    endpoint: str
    """Its identity, without secrets."""
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int = 0
    corrections: int = 1
    """How often an answer that cannot be read goes back to the model with what is wrong with it."""
    keep_cut: bool = False
    """Take answers that ended by their length."""

    def at(self, temperature: float) -> Speaker:
        """The same model at another temperature."""
        return replace(self, temperature=temperature)


@dataclass
class Desk:
    """Where one piece of work is done: it asks, and remembers the requests. `prompts` are those of the method."""

    speaker: Speaker
    prompts: Prompts
    requests: list[str] = field(default_factory=list)

    def question(self, messages: Sequence[Message] = (), prompt: str | None = None, sample: int = 0, **more: Any) -> Question:
        """A request; `sample` tells several of the same apart."""
        speaker = self.speaker
        ask = Ask(
            model=speaker.name,
            messages=tuple(messages),
            prompt=prompt,
            temperature=speaker.temperature,
            top_p=speaker.top_p,
            max_tokens=speaker.max_tokens,
            seed=speaker.seed,
            sample=sample,
            may_be_cut=speaker.keep_cut,
            **more,
        )
        self.requests.append(key_of(speaker.endpoint, ask).hex())
        return Question(speaker.model, ask)

    def usable(self, reply: Reply) -> str | Gone:
        """The text of an answer without white space around it; or why there is none."""
        if isinstance(reply, Failed):
            return Gone(reply.kind, reply.message, reply.raw)
        return reply.text.strip() or Gone("empty", "", reply.text)

    def say(self, block: str, sample: int = 0, **values: Any) -> Session[str | Gone]:
        """Ask one block of the prompts, and take the answer as it is."""
        return self.tell(self.prompts.messages(block, **values), sample)

    def tell(self, messages: Sequence[Message], sample: int = 0) -> Session[str | Gone]:
        """Send messages, and take the answer as it is."""
        (reply,) = yield [self.question(messages, sample=sample)]
        return self.usable(reply)

    def parsed(
        self, block: str, parse: Callable[[str], T], sample: int = 0, schema: dict[str, Any] | None = None, **values: Any
    ) -> Session[T | Gone]:
        """Ask one block, and read the answer. One that cannot be read goes back with what is wrong, `corrections` times."""
        messages = list(self.prompts.messages(block, **values))
        problem = text = ""
        for turn in range(self.speaker.corrections + 1):
            (reply,) = yield [self.question(messages, sample=sample, schema=schema)]
            usable = self.usable(reply)
            if isinstance(usable, Gone):
                return usable
            text = usable
            try:
                return parse(text)
            except NotParsed as error:
                problem = str(error)
                if turn < self.speaker.corrections:
                    again = self.prompts.text("correction", problem=problem)
                    messages += [{"role": "assistant", "content": text}, {"role": "user", "content": again}]
        return Gone("not_parsed", problem, text)

    def made(self, columns: dict[str, Any], item: Item, generation: int = 1) -> Made:
        """A row of this desk."""
        return Made(columns, tuple(self.requests), (item.id,), generation, self.speaker.name)


def together(sessions: Sequence[Session[T]]) -> Session[list[T]]:
    """Sessions beside one another, in lockstep; their results in order."""
    results: dict[int, T] = {}
    waiting: dict[int, list[Question]] = {}

    def go(number: int, replies: list[Reply] | None) -> None:
        try:
            waiting[number] = next(sessions[number]) if replies is None else sessions[number].send(replies)
        except StopIteration as end:
            results[number] = end.value

    for number in range(len(sessions)):
        go(number, None)
    while waiting:
        asked, waiting_now = list(waiting.items()), [q for questions in waiting.values() for q in questions]
        waiting.clear()
        replies = iter((yield waiting_now))
        for number, questions in asked:
            go(number, [next(replies) for _ in questions])
    return [results[number] for number in range(len(sessions))]


def draw(seed: int, *facts: Any) -> random.Random:
    """A source of chance for these facts alone: the same in every run, whatever else is drawn."""
    return random.Random(blake2b(json.dumps([seed, *facts]).encode("utf-8", "surrogatepass"), digest_size=16).digest())
