"""`curate rank export` and `curate rank import`, from rows to votes."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from curate.catalog import parse_job
from curate.engine.chain import run_command, run_recipe
from curate.errors import CurateError, InputError, OutputError
from curate.rank.campaign import campaign_folder, read_campaign, read_key, read_tasks
from curate.rank.page.store import connect
from curate.rank.votes import last_votes, read_votes
from curate.recipe import check
from curate.report.watch import Silent
from tests.command import curate, stats
from tests.rank.sheets import fill_csv


class Heard(Silent):
    """A watcher that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str, passing: bool = False) -> None:
        self.lines.append(message)


def go(job: str, out: Path, **options: Any) -> list[str]:
    heard = Heard()
    run_command(parse_job({"job": job, **options}), str(out), workers=1, watcher=heard)
    return heard.lines


def write(path: Path, *rows: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def lists(folder: Path, count: int) -> str:
    return write(
        folder / "in.jsonl", *({"prompt": f"q{i}", "responses": [f"x{i}", f"y{i}"], "model": "m"} for i in range(count))
    )


def test_answers_of_several_files_meet_by_their_prompt(tmp_path):
    large = write(tmp_path / "large.jsonl", *({"instruction": f"q{i}", "output": f"large {i}"} for i in range(4)))
    small = write(tmp_path / "small.jsonl.json", *({"instruction": f"q{i}", "output": f"small {i}"} for i in range(3)))
    third = write(tmp_path / "third.jsonl", {"instruction": "q0", "output": "third 0", "model": "named"}, {"text": "q0"})
    said = go("rank export", tmp_path / "out", input=[large, small, third])
    data = campaign_folder(tmp_path / "out")
    keys = read_key(data)
    for task in read_tasks(data):
        texts = {answer.answer: answer.text for answer in task.answers}
        wrote = {texts[name].split()[0]: model for name, model in keys[task.task].models.items()}
        expected = {"large": "large", "small": "small"}
        assert wrote == (expected | {"third": "named"} if task.prompt[0]["content"] == "q0" else expected)
    dropped = [json.loads(line) for line in (tmp_path / "out" / "dropped" / "tasks.jsonl").read_text().splitlines()]
    assert sorted((one["id"], one["reason"]) for one in dropped) == [
        ("large.jsonl:4", "one_answer"),
        ("third.jsonl:2", "unknown_dialect"),
    ]
    assert any("one_answer 1" in line for line in said)
    assert "large" not in (data / "tasks.jsonl").read_text().replace("large ", "")


def test_shares_gold_and_instructions_come_into_the_campaign(tmp_path):
    gold = write(tmp_path / "gold.jsonl", {"prompt": "g", "answers": ["right", "wrong"], "ranks": [1, 2]})
    (tmp_path / "how.md").write_text("Be *kind*.")
    options = {"annotators": ["ada", "bob", "eve"], "overlap": 2, "gold": gold, "instructions": str(tmp_path / "how.md")}
    go("rank export", tmp_path / "out", input=[lists(tmp_path, 9)], sheets=["csv"], criteria=["helpful", "honest"], **options)
    data = campaign_folder(tmp_path / "out")
    campaign = read_campaign(data)
    assert (campaign.overlap, campaign.instructions, campaign.criteria) == (2, "Be *kind*.", ("helpful", "honest"))
    done = stats(tmp_path / "out")
    made = done["results"]["tasks"]
    assert (made["tasks"], made["gold"], done["rows_in"]) == (10, 1, 9)
    for name in options["annotators"]:
        text = (data / "sheets" / "csv" / f"{name}.csv").read_text("utf-8-sig")
        assert text.count('"t_') == 7, "two thirds of nine tasks, and the gold one"
        assert "right" in text


def test_votes_come_in_and_a_changed_sheet_changes_them(tmp_path):
    out = tmp_path / "tasks"
    go("rank export", out, input=[lists(tmp_path, 3)], annotators=["ada"], sheets=["csv"])
    data = campaign_folder(out)
    names = [task.task for task in read_tasks(data)]
    sheet = data / "sheets" / "csv" / "ada.csv"
    fill_csv(sheet, {names[0]: {"a": 1, "b": 2}, names[1]: {"a": 1, "b": 1}}, read_campaign(data))
    options = {"input": [str(sheet)], "campaign": str(out)}
    said = go("rank import", tmp_path / "import", **options)
    assert f"{sheet}: csv, 2 votes, 1 not done, 0 refused" in said
    votes = (data / "votes.jsonl").read_bytes()
    go("rank import", tmp_path / "import", **options)
    go("rank import", tmp_path / "again", **options)
    assert (data / "votes.jsonl").read_bytes() == votes, "what is there is not taken in again"
    fill_csv(sheet, {names[0]: {"a": 2, "b": 1}, names[1]: {"a": 1, "b": 1}}, read_campaign(data))
    os.utime(sheet, ns=(1 << 62, 1 << 62))
    go("rank import", tmp_path / "import", **options)
    found = read_votes(data / "votes.jsonl")
    assert (data / "votes.jsonl").read_bytes().startswith(votes), "added to, never changed"
    assert {vote.task: vote.ranks for vote in last_votes(found)} == {names[0]: {"a": 2, "b": 1}, names[1]: {"a": 1, "b": 1}}
    go("rank import", tmp_path / "elsewhere", input=[str(data / "votes.jsonl")], campaign=str(out))
    assert read_votes(data / "votes.jsonl") == found


def test_a_campaign_with_votes_is_not_replaced(tmp_path):
    out = tmp_path / "tasks"
    source = lists(tmp_path, 2)
    go("rank export", out, input=[source])
    go("rank export", out, input=[source], seed=1)
    (out / "data" / "votes.jsonl").write_text('{"some": "work"}\n')
    with pytest.raises(OutputError, match="has votes: name another folder"):
        go("rank export", out, input=[source], seed=2)
    assert (out / "data" / "votes.jsonl").read_text() == '{"some": "work"}\n'


def test_votes_that_are_on_the_page_alone_count_as_votes(tmp_path):
    out = tmp_path / "tasks"
    source = lists(tmp_path, 2)
    go("rank export", out, input=[source])
    db = connect(out / "data")
    go("rank export", out, input=[source], seed=1)
    db.close()
    db = connect(out / "data")
    db.execute("INSERT INTO votes (annotator, task, criterion, at, submission, row) VALUES ('a', 't', 'c', '', '', '{}')")
    db.close()
    with pytest.raises(OutputError, match="has votes: name another folder"):
        go("rank export", out, input=[source], seed=2)


def test_a_recipe_that_is_run_again_replaces_no_votes(tmp_path):
    write(tmp_path / "in.jsonl", *({"instruction": f"q{i}", "chosen": f"x{i}", "rejected": "y"} for i in range(3)))
    jobs = [{"job": "clean", "input": [str(tmp_path / "in.jsonl")], "steps": ["whitespace"]}, {"job": "rank export"}]

    def run(step: str) -> None:
        given = [{**jobs[0], "steps": [step]}, jobs[1]]
        run_recipe(check({"name": "r", "out": str(tmp_path / "run"), "jobs": given}, ""), workers=1, watcher=Silent())

    run("whitespace")
    votes = tmp_path / "run" / "02-rank-export" / "data" / "votes.jsonl"
    votes.write_text('{"some": "work"}\n')
    run("whitespace")
    with pytest.raises(OutputError, match="has votes"):
        run("unicode")
    assert votes.read_text() == '{"some": "work"}\n'


def test_nothing_is_half_imported_unless_asked_for(tmp_path):
    out = tmp_path / "tasks"
    go("rank export", out, input=[lists(tmp_path, 3)], annotators=["ada", "bob"], overlap=2, sheets=["csv"])
    data = campaign_folder(out)
    names = [task.task for task in read_tasks(data)]
    for who, marks in (("ada", {"a": 1}), ("bob", {"a": 1, "b": "1,2"})):
        fill_csv(data / "sheets" / "csv" / f"{who}.csv", dict.fromkeys(names, marks), read_campaign(data))
    options = {"input": [str(data / "sheets" / "csv")], "campaign": str(out)}
    with pytest.raises(
        InputError, match=r"3 refused, nothing was taken in; first: .*bob\.csv:2 rank_[ab]: '1,2': more than one"
    ):
        go("rank import", tmp_path / "import", **options)
    assert not (data / "votes.jsonl").exists()
    refused = [json.loads(line) for line in (tmp_path / "import" / "rejected" / "votes.jsonl").read_text().splitlines()]
    assert [one["row"] for one in refused] == [2, 3, 4]
    go("rank import", tmp_path / "import", **options, partial=True)
    assert {vote.annotator for vote in read_votes(data / "votes.jsonl")} == {"ada"}


def test_a_file_that_cannot_be_read_does_not_hide_what_is_wrong_in_others(tmp_path):
    go("rank export", tmp_path / "tasks", input=[lists(tmp_path, 1)], sheets=["csv", "argilla", "html"])
    sheets = campaign_folder(tmp_path / "tasks") / "sheets"
    (sheets / "csv" / "broken.xlsx").write_bytes(b"PK\x03\x04")
    write(
        sheets / "votes.jsonl",
        {"task": "none", "annotator": "ada", "criterion": "overall", "at": "2026-01-01", "skipped": True},
    )
    options = {"input": [str(sheets)], "campaign": str(tmp_path / "tasks")}
    with pytest.raises(InputError, match=r"rank import: 2 refused"):
        go("rank import", tmp_path / "import", **options)
    refused = [json.loads(line) for line in (tmp_path / "import" / "rejected" / "votes.jsonl").read_text().splitlines()]
    assert [(Path(one["file"]).name, one["row"]) for one in refused] == [("broken.xlsx", 0), ("votes.jsonl", 1)]


def test_files_that_disagree_at_one_time_are_refused(tmp_path):
    out = tmp_path / "tasks"
    go("rank export", out, input=[lists(tmp_path, 1)])
    (task,) = read_tasks(campaign_folder(out))
    vote = {"task": task.task, "annotator": "ada", "criterion": "overall", "at": "2026-01-01T00:00:00Z"}
    paths = [write(tmp_path / f"{rank}.jsonl", {**vote, "ranks": {"a": rank}}) for rank in (1, 2)]
    with pytest.raises(InputError, match="says another thing at the same time"):
        go("rank import", tmp_path / "import", input=paths, campaign=str(out))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"overlap": 3, "annotators": ["ada"]}, "there are 1 annotators"),
        ({"annotators": ["ada", "Ada"]}, "there twice"),
        ({"criteria": ["help\nful"]}, "none of them a control"),
        ({"gold": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"instructions": "nowhere.md"}, "nowhere.md"),
        ({"answers": 10}, "less than or equal to 9"),
    ],
)
def test_options_that_cannot_be_meant_are_told(tmp_path, options, told):
    with pytest.raises((CurateError, ValueError), match=told):
        go("rank export", tmp_path / "out", input=[lists(tmp_path, 2)], **options)


def test_the_commands(tmp_path):
    write(tmp_path / "in.jsonl", {"prompt": "q", "responses": ["x", "y"]})
    done = curate("rank", "export", "in.jsonl", "-o", "tasks", "--sheets", "html", "--annotators", "ada", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = curate("rank", "import", "tasks/data/sheets/html/ada.html", "--campaign", "tasks", cwd=tmp_path)
    assert (done.returncode, "press 'Download votes'" in done.stderr) == (1, True), done.stderr
    done = curate("rank", "import", "nothing.csv", "--campaign", "tasks", cwd=tmp_path)
    assert (done.returncode, "nothing.csv: no such file" in done.stderr) == (1, True)
    done = curate("rank", "import", "in.jsonl", "--campaign", "task", cwd=tmp_path)
    assert (done.returncode, "`curate rank export` makes such folders" in done.stderr) == (1, True)
    done = curate("rank", "export", "in.jsonl", "-o", "tasks2", "--sheets", "xls", cwd=tmp_path)
    assert done.returncode == 2
