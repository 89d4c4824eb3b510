"""Runs the sessions of many items beside one another; results come in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from curate.models.ask import Ask
from curate.synth.sessions import Item, Question, Reply, Session

__all__ = ["Answers", "drive"]

T = TypeVar("T")

Answers = Callable[[Iterable[Ask]], Iterator[tuple[int, Reply]]]
"""Takes requests lazily, gives each answer with the request's number as it comes."""

MOST_OPEN = 4096
"""Items at work at a time: bounds memory where few of an item's requests go to the model that is being asked."""


class _Running(Generic[T]):
    """An item's session, and the answers it waits for."""

    def __init__(self, number: int, session: Session[T]) -> None:
        self.number = number
        self.session = session
        self.replies: list[Reply | None] = []
        self.missing = 0


def drive(items: Iterable[Item], start: Callable[[Item], Session[T]], askers: Sequence[Answers]) -> Iterator[tuple[Item, T]]:
    """`(item, result of its session)` for every item, in order.

    Requests that follow from answers go before those of new items, so that as few items as possible are open. What is
    asked of a model does not depend on which answers come first. Held in memory: open items, and those done before one that
    is not.
    """
    work: _Work[T] = _Work(enumerate(items), start, len(askers))
    following = 0
    while True:
        while not any(work.ready) and work.begin():
            pass
        model = max(range(len(askers)), key=lambda k: len(work.ready[k]))
        if work.ready[model]:
            sent: list[tuple[_Running[T], int] | None] = []
            for index, reply in askers[model](work.requests(model, sent)):
                place = sent[index]
                assert place is not None
                sent[index] = None
                work.answer(*place, reply)
                while following in work.done:
                    yield work.done.pop(following)
                    following += 1
        while following in work.done:
            yield work.done.pop(following)
            following += 1
        if not work.open and not any(work.ready) and not work.more:
            return


class _Work(Generic[T]):
    """What is ready to be asked, what is open, and what is done."""

    def __init__(self, items: Iterator[tuple[int, Item]], start: Callable[[Item], Session[T]], models: int) -> None:
        self.ready: list[deque[tuple[_Running[T], int, Question]]] = [deque() for _ in range(models)]
        self.open: dict[int, Item] = {}
        self.done: dict[int, tuple[Item, T]] = {}
        self.more = True
        self._items = items
        self._start = start

    def begin(self) -> bool:
        """Start the next item; whether there was one."""
        found = next(self._items, None)
        if found is None:
            self.more = False
            return False
        number, item = found
        self.open[number] = item
        self._go(_Running(number, self._start(item)), None)
        return True

    def requests(self, model: int, sent: list[tuple[_Running[T], int] | None]) -> Iterator[Ask]:
        """What is to be asked of a model, as far as that is known; noted in `sent` in order."""
        ready = self.ready[model]
        while True:
            if ready:
                running, slot, question = ready.popleft()
                sent.append((running, slot))
                yield question.ask
            elif len(self.open) >= MOST_OPEN or not self.begin():
                return

    def answer(self, running: _Running[T], slot: int, reply: Reply) -> None:
        """Put an answer in its place; with the last one that it waits for, the session goes on."""
        running.replies[slot] = reply
        running.missing -= 1
        if not running.missing:
            self._go(running, [reply for reply in running.replies if reply is not None])

    def _go(self, running: _Running[T], replies: list[Reply] | None) -> None:
        try:
            questions = next(running.session) if replies is None else running.session.send(replies)
            while not questions:
                questions = running.session.send([])
        except StopIteration as end:
            self.done[running.number] = (self.open.pop(running.number), end.value)
            return
        running.replies = [None] * len(questions)
        running.missing = len(questions)
        for slot, question in enumerate(questions):
            self.ready[question.model].append((running, slot, question))
