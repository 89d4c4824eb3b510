"""A backend that answers by rule, in this process: for tests of methods one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from curate.models.ask import Answer, Ask, Failed
from curate.models.asker import Asker
from curate.synth.drive import drive
from curate.synth.prompts import Prompts, load_prompts
from curate.synth.sessions import Gone, Item, Made, Session, Speaker

T = TypeVar("T")

SPEAKER = Speaker(0, "tiny", "rule:1")


@dataclass
class Rule:
    """Answers with what `says` makes of a request; answers to requests of an even hash come late."""

    says: Callable[[Ask], str | Failed]
    endpoint: str = "rule:1"
    raw: bool = True
    asked: list[Ask] = field(default_factory=list)

    async def answer(self, ask: Ask) -> Answer | Failed:
        self.asked.append(ask)
        await asyncio.sleep(0.002 * (len(said(ask)) % 3))
        text = self.says(ask)
        return text if isinstance(text, Failed) else Answer(text)

    async def close(self) -> None:
        """Nothing is open."""


def said(ask: Ask) -> str:
    """The last thing that the model is told."""
    return ask.prompt if ask.prompt is not None else ask.messages[-1]["content"]


def item(text: str, number: int = 0, **columns: str) -> Item:
    return Item(0, number, f"d{number}", text, dict(columns))


def prompts(method: str, blocks: dict[str, tuple[str, ...]]) -> Prompts:
    return load_prompts(method, None, blocks)


def run(start: Callable[[Item], Session[T]], items: Iterable[Item], *rules: Rule, concurrency: int = 8) -> Iterator[T]:
    """The results of the sessions, in order."""
    askers = [Asker(rule, concurrency=concurrency) for rule in rules]
    try:
        for _, result in drive(items, start, [asker.answers for asker in askers]):
            yield result
    finally:
        for asker in askers:
            asker.close()


def lines(start: Callable[[Item], Session[list[Made | Gone]]], one: Item, *rules: Rule) -> list[Made | Gone]:
    """What the method makes of one item."""
    (found,) = run(start, [one], *rules)
    return found
