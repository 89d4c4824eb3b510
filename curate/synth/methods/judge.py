"""Judging answers: scores by a rubric, or each two compared in both orders (Zheng et al. 2023, MT-bench)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal

from curate.models.ask import Message
from curate.synth.methods.turns import answers_of, prompt_of
from curate.synth.parse import score_schema, scores, verdict
from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, together

__all__ = ["BLOCKS", "By", "Judge", "To", "shares_won", "shown"]

By = Literal["rubric", "pairwise"]
To = Literal["scores", "pairs"]

BLOCKS = {
    "system": (),
    "rubric": ("prompt", "answer", "criteria", "low", "high"),
    "pairwise": ("prompt", "first", "second", "criteria", "instructions"),
    "correction": ("problem",),
}

LOW, HIGH = 1, 10

_VERDICT: dict[str, Any] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "better": {"enum": ["first", "second", "tie"]}},
    "required": ["reason", "better"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class Judge:
    """Scores the answers of a row (`responses`, a preference's two, or its output), then writes them as scores or as pairs.

    rubric: each answer alone, a whole number from 1 to 10 for each criterion; its score is their mean.
    pairwise: each two answers in both orders. A judge that prefers the same answer both times has decided; anything else
    is a tie. An answer's score is the share of its comparisons that it won, a tie being half of one.

    to scores: the row with `responses` and `scores`, the best answer (of equal ones the first) as its output. to pairs:
    preference rows of any two whose scores differ by `min_margin` at least; equal scores are never a pair.
    A judgement that cannot be read is no score: the answer, or the comparison, is given up with what was said.
    """

    speaker: Speaker
    prompts: Prompts
    by: By = "rubric"
    to: To = "scores"
    criteria: tuple[str, ...] = ("helpfulness", "correctness", "clarity")
    min_margin: float = 0.0

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        messages, answers = prompt_of(item), list(dict.fromkeys(answers_of(item)))
        if messages is None or len(answers) < (1 if self.by == "rubric" and self.to == "scores" else 2):
            return [Gone("unsuitable", f"{len(answers)} answers that differ", item.text)]
        desk = Desk(self.speaker, self.prompts)
        asked = shown(messages)
        judge = self._by_rubric if self.by == "rubric" else self._by_pairs
        found, lost = yield from judge(desk, asked, answers)
        if not found:
            return lost
        return [*self._rows(desk, item, asked, found), *lost]

    def _by_rubric(self, desk: Desk, asked: str, answers: list[str]) -> Session[tuple[dict[str, float], list[Made | Gone]]]:
        sessions = [rated(desk, asked, answer, self.criteria) for answer in answers]
        results = yield from together(sessions)
        found = {answer: score for answer, score in zip(answers, results, strict=True) if not isinstance(score, Gone)}
        return found, [score for score in results if isinstance(score, Gone)]

    def _by_pairs(self, desk: Desk, asked: str, answers: list[str]) -> Session[tuple[dict[str, float], list[Made | Gone]]]:
        return (yield from shares_won(desk, asked, answers, self.criteria))

    def _rows(self, desk: Desk, item: Item, asked: str, found: dict[str, float]) -> list[Made | Gone]:
        if self.to == "scores":
            best = max(found, key=lambda answer: found[answer])
            columns: dict[str, Any] = {"instruction": asked, "output": best, "score": found[best]}
            return [desk.made({**columns, "responses": list(found), "scores": list(found.values())}, item)]
        lines: list[Made | Gone] = []
        for one, other in combinations(found, 2):
            chosen, rejected = (one, other) if found[one] >= found[other] else (other, one)
            margin = found[chosen] - found[rejected]
            if margin == 0 or margin < self.min_margin:
                lines.append(Gone("small_margin" if margin else "tie", f"{margin:g}", f"{chosen}\n\n{rejected}"))
                continue
            columns = {"instruction": asked, "chosen": chosen, "rejected": rejected, "margin": margin}
            lines.append(desk.made({**columns, "scores": [found[chosen], found[rejected]]}, item))
        return lines


def rated(desk: Desk, asked: str, answer: str, criteria: tuple[str, ...]) -> Session[float | Gone]:
    """The mean of an answer's scores by the rubric."""
    parse = partial(scores, criteria=criteria, low=LOW, high=HIGH)
    told: dict[str, Any] = {"prompt": asked, "answer": answer, "criteria": list(criteria), "low": LOW, "high": HIGH}
    found = yield from desk.parsed("rubric", parse, schema=score_schema(criteria, LOW, HIGH), **told)
    return found if isinstance(found, Gone) else sum(found.values()) / len(found)


def shares_won(
    desk: Desk, asked: str, answers: Sequence[str], criteria: Sequence[str], instructions: str = ""
) -> Session[tuple[dict[str, float], list[Made | Gone]]]:
    """Each two answers compared in both orders: the share of its comparisons that each won, and those that were lost.

    answers: no two alike. An answer of which no comparison can be read has no share. instructions: what people are told who
    judge the same. K(K-1) requests.
    """
    met = list(combinations(answers, 2))
    results = yield from together([_compared(desk, asked, one, other, criteria, instructions) for one, other in met])
    won, compared = dict.fromkeys(answers, 0.0), dict.fromkeys(answers, 0)
    lost: list[Made | Gone] = []
    for (one, other), result in zip(met, results, strict=True):
        if isinstance(result, Gone):
            lost.append(result)
            continue
        won[one] += result
        won[other] += 1 - result
        compared[one] += 1
        compared[other] += 1
    return {answer: won[answer] / n for answer, n in compared.items() if n}, lost


def _compared(
    desk: Desk, asked: str, one: str, other: str, criteria: Sequence[str], instructions: str
) -> Session[float | Gone]:
    """What the first of two answers wins: 1, a half or nothing."""
    told: dict[str, Any] = {"prompt": asked, "criteria": list(criteria), "instructions": instructions}
    orders: list[dict[str, Any]] = [{"first": one, "second": other}, {"first": other, "second": one}]
    there, back = yield from together(
        [desk.parsed("pairwise", verdict, schema=_VERDICT, **told, **order) for order in orders]
    )  # fmt: skip
    if isinstance(there, Gone):
        return there
    if isinstance(back, Gone):
        return back
    same = {("first", "second"): 1.0, ("second", "first"): 0.0}
    return same.get((there, back), 0.5)


def shown(messages: tuple[Message, ...]) -> str:
    """A prompt as a judge reads it: one message as it is, several with who says them."""
    if len(messages) == 1:
        return messages[0]["content"]
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)
