"""The agreement of campaigns, and what it says of annotators."""

from __future__ import annotations

import json

import polars as pl
import pytest

from curate.rank.agreement import cohen_kappa
from curate.rank.ballots import read_ballots
from curate.rank.campaign import read_key
from curate.rank.concord import annotators, by_pair, figures, position_bias
from curate.rank.votes import Vote, append_votes, now, read_votes
from tests.rank.votes_of import campaign

GOOD = ("ada", "bob", "chi", "dee", "eli")


def of(folder, people, **habits):
    campaign(folder, tasks=60, people=people, gold_every=3, **habits)
    ballots = read_ballots(folder)
    gold = {task: key.gold for task, key in read_key(folder).items() if key.gold}
    return ballots, {row["annotator"]: row for row in annotators(ballots, gold)}


def sure(rng, true, places):
    return true


def test_orders_shown_do_no_harm(tmp_path):
    """People who agree on everything, each of whom sees another order."""
    ballots, people = of(tmp_path, GOOD[:3], **dict.fromkeys(GOOD[:3], sure))
    found = figures(ballots, 50, 0)
    assert {level: alpha["alpha"] for level, alpha in found["alpha"].items()} == {"nominal": 1, "ordinal": 1, "interval": 1}
    assert found["raw_agreement"] == found["kendall_w"]["mean"] == found["tau_b"]["mean"] == found["fleiss_kappa"]["kappa"] == 1
    assert (found["votes"], found["tasks"], found["pairs_compared"], found["judgements"]) == (180, 60, 360, 1080)
    assert [row["kappa"] for row in by_pair(ballots)] == [1, 1, 1]
    assert all(row["gold"]["accuracy"] == 1 and row["flags"] == [] for row in people.values())


def test_names_of_people_do_not_matter(tmp_path):
    ballots, _ = of(tmp_path, GOOD)
    renamed = {name: f"z{5 - i}" for i, name in enumerate(GOOD)}
    votes = read_votes(tmp_path / "votes.jsonl")[::-1]
    (tmp_path / "votes.jsonl").unlink()
    append_votes(tmp_path / "votes.jsonl", [Vote(**{**vote.__dict__, "annotator": renamed[vote.annotator]}) for vote in votes])
    assert figures(read_ballots(tmp_path), 50, 0) == figures(ballots, 50, 0)


def test_flags(tmp_path):
    _, people = of(
        tmp_path,
        (*GOOD, "fast", "first", "against"),
        first=lambda rng, true, places: [-place for place in places],
        against=lambda rng, true, places: -true,
    )
    assert people["fast"]["flags"] == ["fast"]
    assert people["first"]["best_place"]["place"] == 1
    assert people["first"]["best_place"]["share"] == 1
    assert people["first"]["flags"] == ["place_1", "against_gold"]
    assert people["against"]["gold"]["accuracy"] == 0
    assert people["against"]["gold"]["high"] < 0.1
    assert people["against"]["flags"] == ["against_gold"]
    assert [people[name]["flags"] for name in GOOD] == [[]] * 5


def test_position_bias(tmp_path):
    ballots, _ = of(tmp_path, GOOD)
    fair = position_bias(ballots)
    assert fair["p"] > 0.01
    assert sum(line["best"] for line in fair["places"]) == fair["votes"] == 300
    assert all(line["expected"] == 0.25 and line["low"] < line["share"] < line["high"] for line in fair["places"])
    ballots, _ = of(tmp_path, GOOD, **dict.fromkeys(GOOD[:2], lambda rng, true, places: [place == 3 for place in places]))
    unfair = position_bias(ballots)
    assert unfair["p"] < 1e-6
    assert unfair["places"][3]["low"] > 0.3
    assert position_bias(ballots.where(pl.col("annotator") == "nobody")) == {"votes": 0, "places": [], "chi2": None, "p": None}


def test_criteria_are_not_compared_with_one_another(tmp_path):
    campaign(tmp_path, tasks=30, people=("ada", "bob"), criteria=("helpful", "honest"), ada=sure, bob=sure)
    votes = read_votes(tmp_path / "votes.jsonl")
    turned = [
        Vote(**{**vote.__dict__, "ranks": {name: 5 - rank for name, rank in vote.ranks.items()}})
        if vote.criterion == "honest"
        else vote
        for vote in votes
    ]
    (tmp_path / "votes.jsonl").unlink()
    append_votes(tmp_path / "votes.jsonl", turned)
    found = figures(read_ballots(tmp_path), 0, 0)
    assert found["raw_agreement"] == found["kendall_w"]["mean"] == 1
    assert found["alpha"]["nominal"] == {"alpha": 1, "low": None, "high": None}


def test_pairs_of_annotators_by_hand(tmp_path):
    campaign(tmp_path, tasks=3, people=())
    tasks = sorted(read_key(tmp_path))
    ranks = {"ada": [(1, 2), (1, 1), (2, 1)], "bob": [(1, 2), (1, 2), (1, 2)], "chi": [(2, 1)]}
    append_votes(
        tmp_path / "votes.jsonl",
        [
            Vote(task, who, "overall", {"a": given[0], "c": given[1]}, now())
            for who, all_given in ranks.items()
            for task, given in zip(tasks, all_given, strict=False)
        ]
        + [Vote(tasks[1], "chi", "overall", None, now())],
    )
    ballots = read_ballots(tmp_path)
    rows = {tuple(row["annotators"]): row for row in by_pair(ballots)}
    assert {pair: (row["pairs"], row["raw_agreement"]) for pair, row in rows.items()} == {
        ("ada", "bob"): (3, 0.333333),
        ("ada", "chi"): (1, 0.0),
        ("bob", "chi"): (1, 0.0),
    }
    table = [[0, 0, 1], [0, 0, 1], [0, 0, 1]]
    assert rows["ada", "bob"]["kappa"] == pytest.approx(cohen_kappa(pl.DataFrame(table, orient="row").to_numpy().astype(float)))
    found = figures(ballots, 10, 0)
    assert found["tie_rate"] == pytest.approx(1 / 7, abs=1e-6)
    assert found["kendall_w"] == {"mean": None, "tasks": 0}
    assert found["pairs_compared"] == 3
    json.dumps(found, allow_nan=False)
