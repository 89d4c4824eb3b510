"""Groups of answers as token ids, split into training and held out: what reward, dpo and kto learn from."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from train.errors import DataError
from train.groups import Group, Said, group_in_heldout, read_groups
from train.render import Renderer

__all__ = ["Choices", "Ranking", "all_pairs", "read_choices", "renderer_of"]

SHOWN = 3


@dataclass(frozen=True)
class Ranking:
    """A prompt and answers to it as ids. `order`: how bad each answer is (equal: a tie); `scores`: None where not given."""

    prompt: array[int]
    answers: list[array[int]]
    order: list[float]
    scores: list[float] | None = None
    labels: list[bool | None] = field(default_factory=list)

    def pairs(self) -> list[tuple[int, int]]:
        """Better and worse answer of every pair that the order tells apart. At most K(K-1)/2."""
        both = combinations(range(len(self.order)), 2)
        return [(i, j) if self.order[i] < self.order[j] else (j, i) for i, j in both if self.order[i] != self.order[j]]


@dataclass
class Choices:
    """What `read_choices` found, every group of it in train, heldout or dropped."""

    renderer: Renderer
    train: list[Ranking] = field(default_factory=list)
    heldout: list[Ranking] = field(default_factory=list)
    groups_in: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    answers_dropped: Counter[str] = field(default_factory=Counter)
    """Answers that were left out of groups that are kept, or for which groups were dropped."""
    shown: list[str] = field(default_factory=list)

    def told(self) -> str:
        """The counts in a line."""
        drops = "".join(f", {n:,} dropped ({reason})" for reason, n in sorted(self.dropped.items()))
        answers = "".join(f", {n:,} answers left out ({reason})" for reason, n in sorted(self.answers_dropped.items()))
        return (
            f"{self.groups_in:,} prompts with answers: {len(self.train):,} to train on, "
            f"{len(self.heldout):,} held out{drops}{answers}"
        )

    def counts(self) -> dict[str, Any]:
        """The counts for a summary."""
        return {
            "rows_in": self.groups_in,
            "rows_trained": len(self.train),
            "rows_heldout": len(self.heldout),
            "rows_dropped": dict(sorted(self.dropped.items())),
            "answers_dropped": dict(sorted(self.answers_dropped.items())),
        }


def renderer_of(tokenizer: Any, max_length: int) -> Renderer:
    """The renderer of prompts and answers: through the chat template where there is one."""
    format = "chat" if tokenizer.chat_template else "instruction"
    return Renderer(tokenizer, format, max_length=max_length, too_long="drop")


def read_choices(data: str | list[str], heldout: float, renderer: Renderer, *, labels: bool = False) -> Choices:
    """Read, render and split all groups; a prompt's answers are all on one side.

    With `labels`, answers that are good or bad are wanted, one is enough; else an order that tells two answers apart.
    Reasons to drop a group: those of `Rendered.dropped` for its prompt or for answers of which too few are left (also
    same_answers), prompt_differs, one_answer, all_tied, not_labelled. Raises DataError for a group that is
    not judged at all, or when a side is empty.
    """
    found = Choices(renderer)
    by_column: bool | None = None
    for group in read_groups(data):
        if by_column is None:
            by_column = "split" in group.row
        held = group_in_heldout(group, heldout, by_column)
        found.groups_in += 1
        ranking = _ranking(group, found, labels)
        if isinstance(ranking, str):
            found.dropped[ranking] += 1
            continue
        (found.heldout if held else found.train).append(ranking)
        if len(found.shown) < SHOWN:
            found.shown.append(_shown(ranking, renderer))
    if not found.train or not found.heldout:
        side = "train on" if not found.train else "hold out"
        drops = ", ".join(f"{n} {reason}" for reason, n in found.dropped.items()) or "none"
        raise DataError(
            f"{data}: no prompt left to {side} of {found.groups_in} (dropped: {drops}); look at heldout and max_length"
        )
    return found


def _ranking(group: Group, found: Choices, labels: bool) -> Ranking | str:
    order = _labelled(group.answers) if labels else group.order()
    if order is None:
        wanted = "label, rank or score" if labels else "rank or score"
        raise DataError(f"{group.where}: its answers have no {wanted}; this stage learns from judged answers")
    if not labels and len(group.answers) < 2:
        return "one_answer"
    choice = found.renderer.render_answers(group.where, group.turns, [said.text for said in group.answers])
    if choice.dropped:
        return choice.dropped
    kept: list[int] = []
    reason = "one_answer"
    seen: dict[tuple[int, ...], int] = {}
    for i, answer in enumerate(choice.answers):
        dropped = answer.dropped
        if not dropped and not labels and seen.setdefault(tuple(answer.ids), i) != i:
            # What the model cannot tell apart, it cannot learn to order.
            dropped = "same_answers"
        if dropped:
            reason = dropped
            found.answers_dropped[dropped] += 1
        else:
            kept.append(i)
    if len(kept) < (1 if labels else 2):
        return reason
    if labels:
        kept = [i for i in kept if order[i] != 0]
        if not kept:
            return "not_labelled"
    scores = [group.answers[i].score for i in kept]
    ranking = Ranking(
        array("i", choice.prompt),
        [array("i", choice.answers[i].ids) for i in kept],
        [order[i] for i in kept],
        [score for score in scores if score is not None] if None not in scores else None,
        [order[i] < 0 for i in kept] if labels else [],
    )
    return ranking if labels or ranking.pairs() else "all_tied"


def _labelled(answers: list[Said]) -> list[float] | None:
    """-1 for good answers, 1 for bad ones, 0 for those in the middle; of ranks, good ones beat more than beat them."""
    if all(said.label is not None for said in answers):
        return [-1.0 if said.label else 1.0 for said in answers]
    order = Group("", [], answers, {}).order()
    if order is None or len(order) < 2:
        return None
    above = [sum(other > one for other in order) - sum(other < one for other in order) for one in order]
    return [float((n < 0) - (n > 0)) for n in above]


def _shown(ranking: Ranking, renderer: Renderer) -> str:
    decode = renderer.tokenizer.decode
    sides = [f"{place:g}: ⟦{decode(ids)}⟧" for place, ids in zip(ranking.order, ranking.answers, strict=True)]
    return f"{decode(ranking.prompt)} {' '.join(sides)}"


def all_pairs(rankings: list[Ranking]) -> Iterator[tuple[array[int], array[int], array[int]]]:
    """Prompt, better and worse answer of every pair."""
    for one in rankings:
        for better, worse in one.pairs():
            yield one.prompt, one.answers[better], one.answers[worse]
