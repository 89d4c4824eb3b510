"""`curate rank agreement`, `leaderboard` and `preferences` as a person runs them."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path

import pytest

from curate.catalog import parse_job
from curate.engine.chain import run_command
from curate.errors import InputError, UsageError
from curate.rank.campaign import Answer, Campaign, Key, Task, task_name, write_campaign
from curate.rank.votes import Vote, append_votes, now
from curate.report.watch import Silent
from tests.command import curate
from tests.rank.votes_of import MODELS, STRENGTHS, campaign


def go(folder: Path, job: str, **options):
    run = run_command(
        parse_job({"job": f"rank {job}", "input": [str(folder)], **options}), str(folder / job), workers=1, watcher=Silent()
    )
    return run.jobs[0]


def preferences(folder: Path, to: str = "preference", **options):
    job = parse_job({"job": "rank preferences", "input": [str(folder)], "to": to, **options})
    stats = run_command(job, str(folder / f"{to}.jsonl"), workers=1, watcher=Silent()).jobs[0]
    out = folder / f"{to}.jsonl"
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else [], stats["dropped"]


def one_task(folder: Path, *ranks: dict[str, int] | None, prompt=None, gold=None, **more) -> None:
    """A campaign of one task with three answers, and a vote by each of several people."""
    prompt = prompt or ({"role": "user", "content": "Why?"},)
    task = Task(task_name(prompt, ["A", "B", "C"]), prompt, (Answer("a", "A"), Answer("b", "B"), Answer("c", "C")))
    write_campaign(folder, Campaign(), [task], [Key(task.task, {"a": "x", "b": "y"}, {}, gold)])
    (folder / "votes.jsonl").unlink(missing_ok=True)
    votes = [Vote(task.task, f"p{i}", "overall", given, now(), **more) for i, given in enumerate(ranks)]
    append_votes(folder / "votes.jsonl", votes)


def test_agreement(tmp_path):
    stats = go(Path(campaign(tmp_path, criteria=("helpful", "honest"), gold_every=5)), "agreement")
    found = json.loads((tmp_path / "agreement" / "data" / "agreement.json").read_text())
    assert found == stats["results"]["agreement"]
    assert list(found["criteria"]) == ["helpful", "honest"]
    assert found["over_all"]["votes"] == 240
    assert found["gold_tasks"] == 8
    assert [row["annotator"] for row in found["annotators"]] == ["ada", "bob", "chi"]
    assert all(row["gold"]["pairs"] == 8 * 6 * 2 for row in found["annotators"])


def test_strengths_are_within_their_intervals(tmp_path):
    campaign(tmp_path, tasks=600)
    board = go(tmp_path, "leaderboard")["results"]["leaderboard"]["criteria"]["overall"]
    assert [row["model"] for row in board["models"]] == list(MODELS)
    true = dict(zip(MODELS, STRENGTHS, strict=True))
    for kind in ("plackett_luce", "bradley_terry"):
        inside = [row[kind]["low"] <= true[row["model"]] <= row[kind]["high"] for row in board["models"]]
        assert sum(inside) >= 4
    assert board["components"] == [list(MODELS)]
    assert board["games"] == 600 * 3 * 6
    assert sum(row["games"] for row in board["models"]) == 2 * board["games"]
    assert [sum(row["ranks"]) for row in board["models"]] == [row["games"] // 3 for row in board["models"]]
    assert board["models"][0]["borda"] == pytest.approx(board["models"][0]["win_rate"])


def test_models_that_never_meet_are_told(tmp_path):
    campaign(tmp_path, tasks=0)
    tasks, keys, votes = [], [], []
    for i in range(20):
        prompt = ({"role": "user", "content": str(i)},)
        task = Task(task_name(prompt, ["A", "B"]), prompt, (Answer("a", "A"), Answer("b", "B")))
        models = ("m", "n") if i % 2 else ("p", "q")
        tasks.append(task)
        keys.append(Key(task.task, dict(zip("ab", models, strict=True))))
        votes.append(Vote(task.task, "ada", "overall", {"a": 1, "b": 2}, now()))
    write_campaign(tmp_path, Campaign(), tasks, keys)
    append_votes(tmp_path / "votes.jsonl", votes)
    done = curate("rank", "leaderboard", tmp_path, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "no comparison connects these groups, so their scores cannot be compared: m, n; p, q" in done.stderr.replace(
        "\n", " "
    )
    board = json.loads((tmp_path / "out" / "data" / "leaderboard.json").read_text())["overall"]
    assert board["components"] == [["m", "n"], ["p", "q"]]
    assert board["one_way"]
    assert all(math.isfinite(row["bradley_terry"]["high"]) for row in board["models"])
    assert "No comparison connects these groups" in (tmp_path / "out" / "report.html").read_text()


def test_pairs_by_majority(tmp_path):
    one_task(tmp_path, {"a": 1, "b": 2, "c": 2}, {"a": 1, "b": 2, "c": 3}, {"b": 1, "a": 2}, None)
    rows, dropped = preferences(tmp_path)
    assert [(row["chosen"], row["rejected"], row["n_votes"], row["agreement"], row["margin"]) for row in rows] == [
        ("A", "B", 3, 0.666667, 0.333333333),
        ("A", "C", 2, 1.0, 1.0),
        ("B", "C", 2, 0.5, 0.5),
    ]
    assert (rows[0]["model_chosen"], rows[0]["model_rejected"]) == ("x", "y")
    assert len({row["group_id"] for row in rows}) == 1
    assert "split" not in rows[0]
    assert dropped == {}


@pytest.mark.parametrize(
    ("options", "left", "reason"),
    [
        ({"min_votes": 3}, 1, "few_votes"),
        ({"min_votes": 2}, 3, None),
        ({"min_agreement": 0.66}, 2, "low_agreement"),
        ({"min_agreement": 0.5}, 3, None),
        ({"min_margin": 0.51}, 1, "small_margin"),
        ({"min_margin": 0.5}, 2, "small_margin"),
        ({"min_margin": 0.3}, 3, None),
    ],
)
def test_limits(tmp_path, options, left, reason):
    one_task(tmp_path, {"a": 1, "b": 2, "c": 2}, {"a": 1, "b": 2, "c": 3}, {"b": 1, "a": 2})
    rows, dropped = preferences(tmp_path, **options)
    assert len(rows) == left
    assert dropped == ({f"preferences.{reason}": 3 - left} if reason else {})


def test_ties_go(tmp_path):
    one_task(tmp_path, {"a": 1, "b": 2, "c": 2}, {"a": 2, "b": 1, "c": 1})
    rows, dropped = preferences(tmp_path)
    assert rows == []
    assert dropped == {"preferences.tie": 3}


def test_gold_and_tasks_without_votes_go(tmp_path):
    one_task(tmp_path, {"a": 1, "b": 2}, gold={"a": 1, "b": 2, "c": 3})
    assert preferences(tmp_path) == ([], {"preferences.gold": 1})
    one_task(tmp_path, {"a": 1}, None)
    assert preferences(tmp_path) == ([], {"preferences.not_voted": 1})


def test_the_last_vote_counts(tmp_path):
    one_task(tmp_path, {"a": 1, "b": 2, "c": 3})
    task = json.loads((tmp_path / "tasks.jsonl").read_text())["task"]
    append_votes(tmp_path / "votes.jsonl", [Vote(task, "p0", "overall", {"a": 3, "b": 2, "c": 1}, now())])
    rows, _ = preferences(tmp_path)
    assert [(row["chosen"], row["rejected"], row["n_votes"]) for row in rows] == [("B", "A", 1), ("C", "A", 1), ("C", "B", 1)]


def test_votes_by_models_are_told_and_can_be_left_out(tmp_path):
    one_task(tmp_path, {"a": 1, "b": 2}, source="page")
    task = json.loads((tmp_path / "tasks.jsonl").read_text())["task"]
    append_votes(tmp_path / "votes.jsonl", [Vote(task, "judge", "overall", {"a": 2, "b": 1}, now(), source="model:judge")])
    assert preferences(tmp_path) == ([], {"preferences.tie": 1})
    done = curate("rank", "preferences", tmp_path, "-o", tmp_path / "out.jsonl", "--sources", "page")
    assert done.returncode == 0, done.stderr
    assert "votes are by models" not in done.stderr
    assert json.loads((tmp_path / "out.jsonl").read_text())["chosen"] == "A"
    done = curate("rank", "preferences", tmp_path, "-o", tmp_path / "all.jsonl")
    assert "1 of 2 votes are by models" in done.stderr
    with pytest.raises(InputError, match="no votes of source 'csv'; there are votes of model:judge, page"):
        preferences(tmp_path, sources=["csv"])


def test_by_borda_and_bradley_terry(tmp_path):
    one_task(tmp_path, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}, {"b": 1, "a": 2, "c": 3})
    rows, _ = preferences(tmp_path, "scores", by="borda")
    assert [(row["answer"], row["rank"], row["score"], row["n_votes"]) for row in rows] == [
        ("A", 1, 0.833333333, 3),
        ("B", 2, 0.666666667, 3),
        ("C", 3, 0.0, 3),
    ]
    pairs, _ = preferences(tmp_path, by="borda")
    assert [pair["margin"] for pair in pairs] == pytest.approx([1 / 6, 5 / 6, 2 / 3])
    strong, _ = preferences(tmp_path, "scores", by="bradley_terry")
    assert [row["answer"] for row in strong] == ["A", "B", "C"]
    assert sum(row["score"] for row in strong) == pytest.approx(0, abs=1e-6)


def test_groups_and_labels(tmp_path):
    one_task(tmp_path, {"a": 1, "b": 2, "c": 3})
    (group,), _ = preferences(tmp_path, "kwise")
    assert group["prompt"] == [{"role": "user", "content": "Why?"}]
    assert [(a["answer"], a["rank"], a["score"], a["model"]) for a in group["answers"]] == [
        ("A", 1, 1.0, "x"),
        ("B", 2, 0.5, "y"),
        ("C", 3, 0.0, None),
    ]
    labels, dropped = preferences(tmp_path, "kto")
    assert [(row["completion"][0]["content"], row["label"]) for row in labels] == [("A", True), ("C", False)]
    assert dropped == {"preferences.tie": 1}
    one_task(tmp_path, {"a": 1, "b": 2, "c": 3}, all_bad=True)
    labels, _ = preferences(tmp_path, "kto")
    assert [row["label"] for row in labels] == [False, False, False]
    one_task(tmp_path, {"a": 1, "b": 1, "c": 1})
    assert preferences(tmp_path, "kwise") == ([], {"preferences.tie": 1})


def test_layouts_of_trainers(tmp_path):
    chat = ({"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"})
    one_task(tmp_path, {"a": 2, "b": 1}, prompt=chat)
    (row,), _ = preferences(tmp_path, "trl_reward")
    assert row["chosen"] == [*chat, {"role": "assistant", "content": "B"}]
    assert (row["margin"], row["n_votes"]) == (1.0, 1)
    (row,), _ = preferences(tmp_path, "trl_dpo")
    assert row["prompt"] == list(chat)
    assert row["margin"] == 1.0
    (row,), _ = preferences(tmp_path, "openai_preference")
    assert row["non_preferred_output"] == [{"role": "assistant", "content": "A"}]
    assert preferences(tmp_path) == ([], {"preferences.more_than_system": 1})


def test_a_prompt_is_on_one_side(tmp_path):
    campaign(tmp_path, tasks=200)
    rows, _ = preferences(tmp_path, validation=0.25, seed=4)
    sides = {}
    for row in rows:
        assert sides.setdefault(row["instruction"], row["split"]) == row["split"]
    counts = Counter(sides.values())
    assert 30 < counts["validation"] < 70
    scores, _ = preferences(tmp_path, "scores", validation=0.25, seed=4)
    assert all(row["split"] == sides[row["prompt"][0]["content"]] for row in scores if row["prompt"][0]["content"] in sides)


def test_errors_say_what_to_do(tmp_path):
    campaign(tmp_path, tasks=5, criteria=("helpful", "honest"))
    with pytest.raises(InputError, match="votes on helpful, honest; name one as criterion"):
        preferences(tmp_path)
    with pytest.raises(InputError, match="no votes on 'overall'; there are votes on helpful, honest"):
        preferences(tmp_path, criterion="overall")
    with pytest.raises(UsageError, match="name one campaign"):
        parse_job({"job": "rank preferences", "input": [str(tmp_path), str(tmp_path)]}).stages()
    for job in ("agreement", "leaderboard"):
        with pytest.raises(UsageError, match="name a campaign's folder"):
            parse_job({"job": f"rank {job}"}).stages()
    done = curate("rank", "agreement", tmp_path / "nowhere", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "curate rank export" in done.stderr
    done = curate("rank", "preferences", tmp_path, "--to", "prefernce")
    assert done.returncode == 2
    (tmp_path / "key.jsonl").write_text("")
    with pytest.raises(InputError, match="names no model"):
        go(tmp_path, "leaderboard")
