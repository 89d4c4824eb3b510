"""rank vote: a judge or a reward model ranks what people rank, so that they can be compared."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field

from curate.declare import Job, Result, Single, Stage, Work
from curate.errors import InputError, UsageError, nearest
from curate.models.options import Model
from curate.rank.campaign import Campaign, Task
from curate.synth.methods.judge import BLOCKS, shares_won, shown
from curate.synth.sessions import Desk, Gone, Item, Session, Speaker

if TYPE_CHECKING:
    from curate.models.asker import Asker
    from curate.models.progress import Progress
    from curate.rank.votes import Vote

__all__ = ["RankVote"]

CACHE = "answers.sqlite"

WORDS = {"overall": "overall quality"}
"""Criteria whose name alone would not tell a judge what to go by."""


class Ranked(NamedTuple):
    """What a model made of a task. ranks: by the answer's name, 1 is best. lost: what it said that is of no use."""

    ranks: dict[str, int]
    lost: Sequence[Gone]


Ranker = Callable[[Task, Mapping[str, str], str, Speaker], Session[Ranked]]
"""Ranks a task's answers, by name in the order shown, by a criterion."""


class RankVote(Job, Model):
    """Have a model rank a campaign's tasks: its votes stand beside those of people, as annotator and source `model:NAME`.

    A judge (any model that chats) compares each two answers in both orders, by the campaign's criteria and instructions; one
    that changes its mind with the order has a tie. Answers are ranked by the share of comparisons that they won. K answers
    come to K(K-1) requests for each criterion. A reward model (a folder of a transformers sequence classifier with one
    output) scores each answer under its chat template; they are ranked by score, those within `tie_margin` of the best of
    their rank tied.

    It sees the prompt and the answers, and neither who wrote them nor how people ranked them, in an order drawn for it as for
    any annotator. Its votes take no task from people. `rank agreement` tells by pair and source how far it goes with them,
    `rank leaderboard` what each would have won; `sources` picks or leaves it out in `rank preferences`.

    What the model said is kept as it comes: a run that was stopped goes on, and one that is repeated asks nothing. A vote that
    says what the model's last one on the task said is not added again. Tasks of which fewer than two answers can be ranked get
    none, and stand in `rejected/votes.jsonl` with what was said.

    Output: the campaign's `votes.jsonl` grows; `data/votes.jsonl` holds the model's votes. Memory: all tasks.
    """

    grows: ClassVar[tuple[str, ...]] = ("cache",)

    job: Literal["rank vote"] = "rank vote"
    input: tuple[str, ...] = Field((), max_length=1, description="The campaign's folder, as `curate rank export` made it.")
    criteria: tuple[str, ...] = Field(
        (), description="Criteria to vote by; default: all of the campaign. A reward model has one."
    )
    tie_margin: float = Field(
        0.0,
        ge=0,
        description="Of a reward model: scores that differ by no more than this are tied with the best of their rank.",
    )
    prompts: str | None = Field(
        None, description="Jinja file with a judge's prompts, from a copy of ours (`curate synth prompts cp judge`)."
    )
    temperature: float = Field(0.0, ge=0, description="Temperature that judgements are drawn at.")
    answer_tokens: int = Field(1024, ge=1, description="Most tokens of a judgement.")
    corrections: int = Field(
        1, ge=0, description="How often a judgement that cannot be read goes back to the judge with what is wrong with it."
    )
    cache: str | None = Field(None, description="Folder that answers are kept in and read from; default: the job's.")
    max_requests: int | None = Field(None, ge=1, description="Stop cleanly before more requests than this; run again to go on.")
    max_tokens: int | None = Field(None, ge=1, description="Stop cleanly before more tokens than this; run again to go on.")
    max_cost: float | None = Field(None, gt=0, description="Stop cleanly before this much money is spent; run again to go on.")

    def stages(self) -> tuple[Stage, ...]:
        """Raises UsageError or InputError where the prompts cannot be used."""
        from curate.synth.prompts import load_prompts

        if not self.input:
            raise UsageError("rank vote: name a campaign's folder as input")
        load_prompts("judge", self.prompts, BLOCKS)
        return (Single("votes", self._vote),)

    def _vote(self, work: Work) -> Result:
        from curate.io.files import atomic
        from curate.models.cache import Cache
        from curate.rank.campaign import VOTES, campaign_folder, read_campaign, read_tasks
        from curate.rank.importing import said
        from curate.rank.votes import append_votes, last_votes, read_votes

        folder = campaign_folder(self.input[0])
        campaign, tasks = read_campaign(folder), list(read_tasks(folder))
        criteria = self._criteria(campaign, folder)
        there = read_votes(folder / VOTES) if (folder / VOTES).is_file() else []
        if not self.is_reward_model():
            asks = sum(len(task.answers) * (len(task.answers) - 1) for task in tasks) * len(criteria)
            work.say(f"{len(tasks):,} tasks by {', '.join(criteria)}: {asks:,} comparisons are asked for, less what is kept")
        cache = Cache((Path(self.cache) if self.cache is not None else work.folder) / CACHE)

        def watch(progress: Progress) -> None:
            work.say(progress.line(), passing=True)

        limits = self.limits(self.max_requests, self.max_tokens, self.max_cost)
        with contextlib.closing(cache), self.asker(cache, limits, watch) as asker:
            votes, lost = self._votes(campaign, tasks, criteria, asker)
            work.say(f"{asker.backend.endpoint}: {asker.progress.line()}")
        with atomic(work.folder / "rejected" / "votes.jsonl") as out:
            out.writelines((json.dumps(line, ensure_ascii=False) + "\n").encode("utf-8", "replace") for line in lost)
        with atomic(work.folder / "data" / "votes.jsonl") as out:
            out.writelines((json.dumps(vote.row(), ensure_ascii=False) + "\n").encode() for vote in votes)
        if not votes:
            why = lost[0]["reason"] + (f": {lost[0]['value']}" if lost[0]["value"] else "") if lost else "there are no tasks"
            raise InputError(f"rank vote: {self.annotator()} ranked none of {len(tasks):,} tasks ({why})")
        before = {(vote.task, vote.criterion): said(vote) for vote in last_votes(there) if vote.annotator == self.annotator()}
        fresh = [vote for vote in votes if before.get((vote.task, vote.criterion)) != said(vote)]
        if fresh:
            append_votes(folder / VOTES, fresh)
        work.say(f"{self.annotator()}: {len(fresh):,} new votes in {folder / VOTES}, {len(votes) - len(fresh):,} as they were")
        if len(votes) < len(tasks) * len(criteria):
            work.say(f"no vote on {len(tasks) * len(criteria) - len(votes):,} tasks: see rejected/votes.jsonl")
        return {"votes": len(votes), "new": len(fresh), "lost": len(lost)}

    def annotator(self) -> str:
        """Who votes, and from where."""
        return f"model:{self.model or Path(self.endpoint).resolve().name}"[:200]

    def _criteria(self, campaign: Campaign, folder: Path) -> tuple[str, ...]:
        for name in self.criteria:
            if name not in campaign.criteria:
                there = ", ".join(campaign.criteria)
                raise UsageError(f"criteria: {folder} has no '{name}'{nearest(name, campaign.criteria)}; it has {there}")
        found = tuple(dict.fromkeys(self.criteria or campaign.criteria))
        if len(found) > 1 and self.is_reward_model():
            raise UsageError(f"criteria: a reward model has one score; name which of {', '.join(found)} it was trained on")
        return found

    def _votes(
        self, campaign: Campaign, tasks: Sequence[Task], criteria: Sequence[str], asker: Asker
    ) -> tuple[list[Vote], list[dict[str, str]]]:
        """The votes, and what was lost, in order of the tasks."""
        from curate.rank.campaign import shown_order
        from curate.rank.votes import Vote, now
        from curate.synth.drive import drive

        rank = self._by_reward if self.is_reward_model() else self._by_judge(campaign)
        wanted = [(task, criterion) for task in tasks for criterion in criteria]
        speaker = Speaker(
            0, self.model or Path(self.endpoint).name, asker.backend.endpoint, self.temperature, 1.0, self.answer_tokens, 0,
            self.corrections,
        )  # fmt: skip
        name, at = self.annotator(), now()
        orders = {task.task: shown_order(campaign, task, name) for task in tasks}

        def session(item: Item) -> Session[Ranked]:
            task, criterion = wanted[item.row]
            texts = {answer.answer: answer.text for answer in task.answers}
            return rank(task, {answer: texts[answer] for answer in orders[task.task]}, criterion, speaker)

        items: Iterator[Item] = (Item(0, row, task.task, "", {}) for row, (task, _) in enumerate(wanted))
        votes: list[Vote] = []
        lost: list[dict[str, str]] = []
        for item, (ranks, gone) in drive(items, session, [asker.answers]):
            task, criterion = wanted[item.row]
            place = {"task": task.task, "criterion": criterion}
            lost += [{**place, "reason": one.reason, "value": one.value, "said": one.left} for one in gone]
            if len(ranks) > 1:
                votes.append(Vote(task.task, name, criterion, ranks, at, shown=orders[task.task], source=name))
        return votes, lost

    def _by_judge(self, campaign: Campaign) -> Ranker:
        from curate.synth.prompts import load_prompts

        prompts = load_prompts("judge", self.prompts, BLOCKS)

        def judged(task: Task, answers: Mapping[str, str], criterion: str, speaker: Speaker) -> Session[Ranked]:
            texts = list(dict.fromkeys(answers.values()))
            by = (WORDS.get(criterion, criterion),)
            won, lost = yield from shares_won(Desk(speaker, prompts), shown(task.prompt), texts, by, campaign.instructions)
            scores = {name: won[text] for name, text in answers.items() if text in won}
            return Ranked(ranks_of(scores), [one for one in lost if isinstance(one, Gone)])

        return judged

    def _by_reward(self, task: Task, answers: Mapping[str, str], criterion: str, speaker: Speaker) -> Session[Ranked]:
        from curate.models.ask import Ask, Failed
        from curate.synth.sessions import Question

        asks = [
            Ask(speaker.name, (*task.prompt, {"role": "assistant", "content": text}), temperature=0.0, max_tokens=1)
            for text in answers.values()
        ]
        replies = yield [Question(0, ask) for ask in asks]
        said = dict(zip(answers, replies, strict=True))
        scores = {name: float(one.text) for name, one in said.items() if not isinstance(one, Failed)}
        lost = [Gone(one.kind, one.message, answers[name]) for name, one in said.items() if isinstance(one, Failed)]
        return Ranked(ranks_of(scores, self.tie_margin), lost)


def ranks_of(scores: Mapping[str, float], margin: float = 0.0) -> dict[str, int]:
    """Ranks by descending score, 1 the best; a score no more than `margin` below the best of a rank has that rank."""
    ranks: dict[str, int] = {}
    rank, best = 0, float("inf")
    for name, score in sorted(scores.items(), key=lambda one: -one[1]):
        if not rank or best - score > margin:
            rank, best = rank + 1, score
        ranks[name] = rank
    return dict(sorted(ranks.items()))
