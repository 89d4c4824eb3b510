"""Campaigns made up for tests: models of known strengths, and people who rank their answers with noise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curate.rank.campaign import Answer, Campaign, Key, Task, task_name, write_campaign
from curate.rank.votes import Vote, append_votes

MODELS = ("m0", "m1", "m2", "m3", "m4")
STRENGTHS = (1.0, 0.5, 0.0, -0.5, -1.0)


def campaign(
    folder: Path,
    tasks: int = 40,
    people: Sequence[str] = ("ada", "bob", "chi"),
    criteria: tuple[str, ...] = ("overall",),
    gold_every: int = 0,
    answers: int = 4,
    seed: int = 0,
    **habits: Any,
) -> str:
    """A campaign with votes; the folder. habits: by name a function of rng, utilities and the order shown, giving utilities."""
    rng = np.random.default_rng(seed)
    made, keys, votes = [], [], []
    for i in range(tasks):
        who = rng.permutation(len(MODELS))[:answers]
        prompt = ({"role": "user", "content": f"Question {i}?"},)
        task = Task(
            task_name(prompt, [f"{m} {i}" for m in who]),
            prompt,
            tuple(Answer("abcdefghi"[j], f"{m} says {i}") for j, m in enumerate(who)),
        )
        names = [answer.answer for answer in task.answers]
        true = np.array([STRENGTHS[m] for m in who])
        right = dict(zip(names, ((-true).argsort().argsort() + 1).tolist(), strict=True))
        gold = right if gold_every and i % gold_every == 0 else None
        made.append(task)
        keys.append(Key(task.task, {name: MODELS[m] for name, m in zip(names, who, strict=True)}, {}, gold))
        for criterion in criteria:
            for n, person in enumerate(people):
                shown = [names[j] for j in rng.permutation(answers)]
                utility = true + rng.gumbel(size=answers)
                if person in habits:
                    utility = np.array(habits[person](rng, true, [shown.index(name) for name in names]), float)
                ranks = dict(zip(names, ((-utility).argsort().argsort() + 1).tolist(), strict=True))
                seconds = 1.0 if person == "fast" else 20.0 + n
                at = f"2026-01-01T00:{i % 60:02d}:{n:02d}.{i:06d}Z"
                votes.append(Vote(task.task, person, criterion, ranks, at, shown=tuple(shown), seconds=seconds, source="page"))
    write_campaign(folder, Campaign(criteria=criteria, overlap=len(people), seed=seed), made, keys)
    (folder / "votes.jsonl").unlink(missing_ok=True)
    append_votes(folder / "votes.jsonl", votes)
    return str(folder)
