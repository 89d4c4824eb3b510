"""Whether longer answers win, and how sure that is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curate.rank.ballots import read_ballots
from curate.rank.campaign import Answer, Campaign, Key, Task, write_campaign
from curate.rank.lengths import answer_lengths, length_bias
from curate.rank.votes import Vote, append_votes
from tests.command import curate


def made(folder: Path, lengths: list[list[int]], ranks: dict[str, list[list[int]]], criterion: str = "overall") -> Path:
    """A campaign of answers of these lengths, ranked by each annotator."""
    tasks, votes = [], []
    for i, sizes in enumerate(lengths):
        answers = tuple(Answer("abcdefghi"[j], chr(0x4E00 + j) * size) for j, size in enumerate(sizes))
        tasks.append(Task(f"t{i}", ({"role": "user", "content": f"{i}?"},), answers))
        for name, given in ranks.items():
            at = f"2026-01-01T00:00:00.{i:06d}Z"
            said = {"abcdefghi"[j]: rank for j, rank in enumerate(given[i]) if rank}
            votes.append(Vote(f"t{i}", name, criterion, said or None, at, source="page"))
    write_campaign(folder, Campaign(criteria=(criterion,)), tasks, [Key(task.task) for task in tasks])
    append_votes(folder / "votes.jsonl", votes)
    return folder


def bias(folder: Path) -> dict:
    return length_bias(read_ballots(folder), answer_lengths(folder))


def test_ties_equal_lengths_and_what_is_not_ranked_do_not_count(tmp_path):
    """Of a: the longest wins. Of b: a tie. Of c: equal lengths. Of d: one is not ranked. Of e: skipped."""
    lengths = [[10, 20, 40], [10, 20], [10, 10], [10, 30, 20], [10, 20]]
    ranks = [[3, 2, 1], [1, 1], [1, 2], [1, 2, 0], [0, 0]]
    found = bias(made(tmp_path, lengths, {"ada": ranks}))
    assert found["over_all"]["pairs"] == 4
    assert found["over_all"]["longer_won"] == 0.75
    assert (found["over_all"]["better_characters"], found["over_all"]["worse_characters"]) == (30.0, 15.0)
    assert [(one["from"], one["to"], one["pairs"], one["longer_won"]) for one in found["by_ratio"]] == [
        (2.0, 3.0, 2, 1.0),
        (3.0, None, 2, 0.5),
    ]


def test_by_annotator_and_criterion(tmp_path):
    lengths = [[10, 20]] * 30
    found = bias(made(tmp_path, lengths, {"long": [[2, 1]] * 30, "short": [[1, 2]] * 30, "both": [[1, 2], [2, 1]] * 15}))
    told = {one["annotator"]: (one["longer_won"], one["criterion"]) for one in found["annotators"]}
    assert told == {"both": (0.5, "overall"), "long": (1.0, "overall"), "short": (0.0, "overall")}
    (whole,) = found["criteria"]
    assert (whole["criterion"], whole["pairs"], whole["longer_won"]) == ("overall", 90, 0.5)
    both = next(one for one in found["annotators"] if one["annotator"] == "both")
    assert both["low"] < 0.5 < both["high"]


def test_pairs_of_one_task_are_not_so_many_proofs(tmp_path):
    """Nine answers in order of length make 36 pairs, and say no more than that one task went so."""
    one = bias(made(tmp_path / "one", [list(range(10, 100, 10))], {"ada": [list(range(9, 0, -1))]}))["over_all"]
    assert (one["pairs"], one["longer_won"]) == (36, 1.0)
    assert one["low"] < 0.25
    many = bias(made(tmp_path / "many", [[10, 20]] * 36, {"ada": [[2, 1]] * 36}))["over_all"]
    assert (many["pairs"], many["longer_won"]) == (36, 1.0)
    assert many["low"] > 0.9


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_intervals_hold_what_they_say(tmp_path, share):
    """Tasks whose pairs go together: of 60 campaigns the true share is within the 95 % interval of most."""
    inside = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        longer = rng.random(40) < share
        ranks = [[3, 2, 1] if won else [1, 2, 3] for won in longer]
        found = bias(made(tmp_path / str(seed), [[10, 20, 40]] * 40, {"ada": ranks}))["over_all"]
        inside += found["low"] <= share <= found["high"]
    assert inside >= 51, "with independent pairs it would be about 44"


def test_nothing_to_tell(tmp_path):
    found = bias(made(tmp_path, [[5, 5]], {"ada": [[1, 2]]}))
    assert found["over_all"] == {"pairs": 0, "longer_won": None, "low": None, "high": None}
    assert found["annotators"] == found["criteria"] == found["by_ratio"] == []


def test_the_command_shows_it(tmp_path):
    folder = made(tmp_path / "tasks", [[10, 20], [10, 40]] * 10, {"ada": [[2, 1]] * 20, "bob": [[1, 2], [2, 1]] * 10})
    done = curate("rank", "agreement", folder, "-o", tmp_path / "out", "--samples", "0")
    assert done.returncode == 0, done.stderr
    assert "longer one won" in done.stdout
    found = json.loads((tmp_path / "out" / "data" / "agreement.json").read_bytes())["length_bias"]
    assert [one["longer_won"] for one in found["annotators"]] == [1.0, 0.5]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Whether the longer answer won" in page
    assert "75 % (" in page
