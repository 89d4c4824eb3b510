"""Who sees which task, and in which order: even shares, drawn by the campaign's seed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Sequence

from curate.rank.campaign import Campaign

__all__ = ["assigned", "spread"]


def assigned(campaign: Campaign, tasks: Sequence[str], gold: Collection[str] = ()) -> dict[str, list[str]]:
    """The tasks of each annotator of the campaign, in the order to work in; without annotators one list of all, under "".

    Each task goes to `overlap` people, or to all where there are fewer; to nobody twice. Shares differ by one task at most.
    Those who have fewest so far are next, equals by lot, so that who shares tasks with whom varies. Tasks in `gold` go
    to everybody, evenly spread over the work. O(tasks x annotators log annotators).
    """
    ordinary = [task for task in tasks if task not in gold]
    checks = [task for task in tasks if task in gold]
    if not campaign.annotators:
        return {"": spread(ordinary, checks)}
    order = _drawn(campaign.seed, "tasks")
    share: dict[str, list[str]] = {name: [] for name in campaign.annotators}
    shuffled = order.sample(ordinary, len(ordinary))
    for task in shuffled:
        lot = {name: (len(share[name]), order.random()) for name in campaign.annotators}
        for name in sorted(lot, key=lot.__getitem__)[: campaign.overlap]:
            share[name].append(task)
    for name, own in share.items():
        lots = _drawn(campaign.seed, name)
        lots.shuffle(own)
        share[name] = spread(own, lots.sample(checks, len(checks)))
    return share


def _drawn(seed: int, what: str) -> random.Random:
    return random.Random(hashlib.blake2b(json.dumps([seed, what]).encode(), digest_size=16).digest())


def spread(tasks: Sequence[str], among: Sequence[str]) -> list[str]:
    """Both in one list, each in its order, those of `among` at even distances."""
    step = len(tasks) / (len(among) + 1)
    places = [((i + 1) * step - 0.5, 1, name) for i, name in enumerate(among)]
    return [name for _, _, name in sorted([*places, *((float(i), 0, name) for i, name in enumerate(tasks))], key=_place)]


def _place(entry: tuple[float, int, str]) -> tuple[float, int]:
    return entry[:2]
