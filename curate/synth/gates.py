"""Gates: what a row that was made must pass. A row that does not is dropped with the gate's name, and what showed it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.synth.methods.judge import rated
from curate.synth.novelty import Novelty
from curate.synth.prompts import Prompts, runs
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, together

if TYPE_CHECKING:
    from curate.formats.overlap import ItemIndex

__all__ = ["GATES", "Gates", "Guard", "answered", "asked", "only_new", "shown"]

GATES = ("short_question", "long_question", "echo", "refusal", "leaked_prompt", "contaminated", "not_new", "judge_floor")
"""Reasons for which gates give rows up, in the order in which they judge."""

_REFUSALS = re.compile(
    r"(?:(?:i'?m|i am|we'?re) (?:very |really |so |truly )?(?:sorry|afraid)\b.{0,80}\b(?:can'?t|cannot|can not|unable|"
    r"not able|won'?t|do(?:es)? not|don'?t)\b"
    r"|(?:sorry|apologies|unfortunately)\b.{0,40}\b(?:i|we) (?:can'?t|cannot|can not|am unable|am not able|won'?t)\b"
    r"|i (?:can'?t|cannot|can not|won'?t|will not|am unable to|am not able to) (?:help|assist|answer|provide|comply|do that|"
    r"fulfil|discuss|generate|create|write|engage)"
    r"|as an? (?:ai|artificial intelligence|large language model|language model)\b"
    r"|i(?:'m| am) (?:just |only )?an? (?:ai|artificial intelligence|large language model|language model)\b"
    r"|es tut mir leid\b.{0,80}\bnicht\b|je suis désolée?\b.{0,80}\bne\b|lo siento\b.{0,80}\bno\b"
    r"|申し訳(?:ありません|ございません).{0,80}(?:できません|できない)|抱歉.{0,40}(?:无法|不能))",
    re.IGNORECASE | re.DOTALL,
)
"""How refusals begin. Looked for at the start of an answer alone: a text may quote one."""

_SPACE = re.compile(r"\s+")


def asked(columns: dict[str, Any]) -> str:
    """What a row asks: its instruction, or what the user of its chat says; empty for a text."""
    if "instruction" in columns:
        return str(columns["instruction"])
    if "messages" in columns:
        return "\n\n".join(m["content"] for m in columns["messages"] if m["role"] == "user")
    return ""


def answered(columns: dict[str, Any]) -> tuple[str, ...]:
    """What a row answers, each answer on its own."""
    if "messages" in columns:
        return tuple(m["content"] for m in columns["messages"] if m["role"] == "assistant")
    return tuple(str(columns[name]) for name in ("output", "chosen", "text") if name in columns)


def shown(columns: dict[str, Any]) -> str:
    """A row as it is written down when it is dropped."""
    return json.dumps(columns, ensure_ascii=False)


class Gates:
    """The gates that look at one row alone; novelty and the judge come after them."""

    def __init__(
        self,
        prompts: Prompts,
        min_words: int = 0,
        max_words: int | None = None,
        refusals: bool = True,
        benchmarks: Sequence[str] = (),
        benchmark_words: int = 13,
    ) -> None:
        """min_words, max_words: of what is asked. Raises InputError where a benchmark cannot be read."""
        self._runs = prompts.runs
        self._min, self._max = min_words, max_words
        self._refusals = refusals
        self._words = benchmark_words
        self._index: ItemIndex | None = None
        if benchmarks:
            from curate.formats.items import read_items
            from curate.formats.overlap import ItemIndex

            self._items, self.notes = read_items(benchmarks, (), ())
            self._index = ItemIndex(self._items)

    def check(self, made: Made, source: str) -> Made | Gone:
        """The row, or the first gate that it does not pass. source: the text that it was made from."""
        found = self._gate(made.columns, source)
        return made if found is None else Gone(*found, left=shown(made.columns))

    def _gate(self, columns: dict[str, Any], source: str) -> tuple[str, str] | None:
        question, answers = asked(columns), answered(columns)
        if question:
            count = len(question.split())
            if count < self._min:
                return "short_question", str(count)
            if self._max is not None and count > self._max:
                return "long_question", str(count)
        plain = _plain(question)
        for answer in answers:
            if _plain(answer) == plain:
                return "echo", answer[:80]
        if self._refusals and "rejected" not in columns:
            for answer in answers:
                if match := _REFUSALS.match(answer.lstrip().replace("’", "'")):
                    return "refusal", match.group()[:80]
        leaked = (runs("\n".join((question, *answers))) & self._runs) - runs(source) if self._runs else set()
        if leaked:
            return "leaked_prompt", " ".join(min(leaked))
        return self._contaminated("\n\n".join((question, *answers)))

    def _contaminated(self, text: str) -> tuple[str, str] | None:
        if self._index is None:
            return None
        import numpy as np

        from curate.kernels.words import words

        data = text.encode("utf-8", "replace")
        found = words(np.array([0, len(data)]), np.frombuffer(data, np.uint8))
        matches = self._index.matches(found, run=self._words, overlap=None)
        if not matches:
            return None
        item = self._items[max(matches, key=lambda match: match.run).item]
        return "contaminated", f"{item.benchmark} row {item.row}"


@dataclass(frozen=True)
class Guard:
    """A method with the gates behind it: those that look at a row alone, then a judge where there is one.

    floor: mean score by the judge's rubric below which a row goes; a judgement that cannot be read takes the row too.
    """

    gates: Gates
    judge: Speaker | None = None
    prompts: Prompts | None = None
    """Those of the judge."""
    floor: float = 0.0
    criteria: tuple[str, ...] = ()

    def after(self, method: Callable[[Item], Session[list[Made | Gone]]]) -> Callable[[Item], Session[list[Made | Gone]]]:
        """The method; what does not pass is given up in its place."""

        def guarded(item: Item) -> Session[list[Made | Gone]]:
            lines = yield from method(item)
            return (yield from together([self.line(line, item.text) for line in lines]))

        return guarded

    def line(self, line: Made | Gone, source: str) -> Session[Made | Gone]:
        """One row, or why it does not pass."""
        checked = line if isinstance(line, Gone) else self.gates.check(line, source)
        if isinstance(checked, Gone) or self.judge is None or self.prompts is None:
            return checked
        desk = Desk(self.judge, self.prompts)
        answer = "\n\n".join(answered(checked.columns))
        score = yield from rated(desk, asked(checked.columns), answer, self.criteria)
        if isinstance(score, Gone):
            return Gone(score.reason, f"of the judge: {score.value}", score.left)
        return checked if score >= self.floor else Gone("judge_floor", f"{score:g}", shown(checked.columns))


def only_new(
    results: Iterable[tuple[Item, list[Made | Gone]]], novelty: Novelty | None
) -> Iterator[tuple[Item, list[Made | Gone]]]:
    """The results in order, without rows that ask for what one before them, or a text held already, asks for."""
    for item, lines in results:
        yield item, [line if novelty is None or isinstance(line, Gone) else _if_new(line, novelty) for line in lines]


def _if_new(made: Made, novelty: Novelty) -> Made | Gone:
    similar = novelty.add_if_new(asked(made.columns))
    return made if similar is None else Gone("not_new", f"{similar.f:.3f}: {similar.text}", shown(made.columns))


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text).strip().casefold()
