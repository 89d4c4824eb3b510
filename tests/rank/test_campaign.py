import json

import pytest

from curate.errors import InputError
from curate.rank.campaign import (
    Answer,
    Campaign,
    Key,
    Task,
    read_campaign,
    read_key,
    read_tasks,
    shown_order,
    task_name,
    write_campaign,
)
from curate.rank.votes import Vote, append_votes, last_votes, now, rank_lines, read_votes

PROMPT = ({"role": "user", "content": "q"},)
TASK = Task(task_name(PROMPT, ["x", "y", "z"]), PROMPT, (Answer("a", "x"), Answer("b", "y"), Answer("c", "z")))


def test_a_campaign_comes_back(tmp_path):
    campaign = Campaign(criteria=("helpful", "honest"), overlap=3, seed=7, instructions="Rank.", annotators=("ada",))
    key = Key(TASK.task, {"a": "m1", "b": "m2", "c": "m1"}, {"a": "r1"}, {"a": 1, "b": 2, "c": 2})
    write_campaign(tmp_path, campaign, [TASK], [key])
    assert read_campaign(tmp_path) == campaign
    assert list(read_tasks(tmp_path)) == [TASK]
    assert read_key(tmp_path) == {TASK.task: key}


def test_names_are_of_the_content():
    assert task_name(PROMPT, ["x", "y"]) == task_name(PROMPT, ["y", "x"]) != task_name(PROMPT, ["x", "z"])


def test_every_order_is_seen():
    campaign = Campaign(seed=1)
    orders = [shown_order(campaign, TASK, f"annotator {i}") for i in range(200)]
    assert len(set(orders)) == 6
    assert orders == [shown_order(campaign, TASK, f"annotator {i}") for i in range(200)]
    assert shown_order(Campaign(seed=2), TASK, "x") != shown_order(Campaign(seed=5), TASK, "x")


def test_the_last_vote_counts_and_all_are_kept(tmp_path):
    votes = [
        Vote(
            "t", "ada", "overall", {"a": 1, "b": 2}, "2026-01-01T00:00:00.000000Z", shown=("b", "a"), seconds=1.5, source="page"
        ),
        Vote("t", "bob", "overall", None, now(), comment="unclear"),
        Vote("t", "ada", "overall", {"a": 2, "b": 1}, "2026-01-02T00:00:00.000000Z", all_bad=True),
        Vote("t", "ada", "overall", {"a": 1, "b": 1}, "2026-01-01T12:00:00.000000Z"),
    ]
    append_votes(tmp_path / "votes.jsonl", votes[:2])
    append_votes(tmp_path / "votes.jsonl", votes[2:])
    assert read_votes(tmp_path / "votes.jsonl") == votes
    assert last_votes(votes) == [votes[2], votes[1]]
    assert rank_lines(last_votes(votes)).rows() == [("t", "overall", "ada", "a", 2), ("t", "overall", "ada", "b", 1)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("campaign.json", "{}", "not a campaign"),
        ("campaign.json", "[", "not a campaign"),
        ("campaign.json", '{"format": "curate-rank-1", "mood": 1}', "unexpected keyword argument 'mood'"),
        ("tasks.jsonl", json.dumps({"task": "t", "prompt": [], "answers": []}) + "\n", r"tasks.jsonl:1: \$"),
        ("tasks.jsonl", "{\n", "not JSON lines"),
        ("key.jsonl", '{"x": 1}\n', "key.jsonl:1: not a line of a key"),
    ],
)
def test_broken_folders_are_told(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    read = {"campaign.json": read_campaign, "tasks.jsonl": lambda folder: list(read_tasks(folder)), "key.jsonl": read_key}
    with pytest.raises(InputError, match=message):
        read[name](tmp_path)
    with pytest.raises(InputError, match="`curate rank export` makes"):
        read[name](tmp_path / "nowhere")


@pytest.mark.parametrize(
    "vote", [{}, {"ranks": {}}, {"ranks": {"a": 0}}, {"ranks": {"z": 1}}, {"ranks": {"a": 1}, "skipped": True}]
)
def test_votes_that_are_none(tmp_path, vote):
    row = {"task": "t", "annotator": "a", "criterion": "c", "at": now(), **vote}
    (tmp_path / "votes.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=r"votes\.jsonl:1"):
        read_votes(tmp_path / "votes.jsonl")
