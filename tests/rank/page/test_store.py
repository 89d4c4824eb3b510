import asyncio
import json
import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from curate.errors import InputError, OutputError
from curate.jobs.rank_agreement import RankAgreement
from curate.rank.campaign import read_campaign, read_key, read_tasks
from curate.rank.page.figures import figures
from curate.rank.page.store import DATABASE, Store, add_annotator, connect, export_votes, fill
from curate.rank.page.store import votes_of as votes_in
from curate.rank.votes import Vote, append_votes, read_votes
from tests.rank import votes_of
from tests.rank.page.serving import campaign
from tests.work import run_job

SAY = "INSERT INTO votes (annotator, task, criterion, at, submission, row) VALUES (?, ?, 'overall', ?, ?, ?)"


def put(db, number, annotator="ada"):
    vote = Vote(
        f"t{number}",
        annotator,
        "overall",
        {"a": 1, "b": 2},
        f"2026-01-01T00:00:00.{number:06}Z",
        comment="ä\u2028",
        source="page",
    )
    db.execute(SAY, (annotator, vote.task, vote.at, f"s{number}", json.dumps(vote.row(), ensure_ascii=False)))
    return vote


def test_writes_stand_alone_though_they_are_committed_together(tmp_path):
    store = Store(campaign(tmp_path))

    def bad(db):
        put(db, 99)
        raise InputError("no")

    async def go():
        writes = [store.write(bad if i == 3 else lambda db, i=i: put(db, i)) for i in range(8)]
        return await asyncio.gather(*writes, return_exceptions=True)

    done = asyncio.run(go())
    store.close()
    assert isinstance(done[3], InputError)
    db = connect(tmp_path)
    assert [vote.task for vote in votes_in(db)] == [f"t{i}" for i in range(8) if i != 3]
    assert votes_in(db) == [vote for i, vote in enumerate(done) if i != 3]
    db.close()


def test_a_full_disk_is_told_and_nobody_is_told_saved(tmp_path):
    store = Store(campaign(tmp_path))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count = {pages + 2}")

    async def go():
        return await asyncio.gather(*(store.write(lambda db, i=i: put(db, i)) for i in range(400)), return_exceptions=True)

    done = asyncio.run(go())
    store.close()
    db = connect(tmp_path)
    kept = {vote.task for vote in votes_in(db)}
    db.close()
    assert any(isinstance(one, sqlite3.Error) for one in done)
    assert kept == {one.task for one in done if isinstance(one, Vote)}


def test_export_adds_each_vote_once(tmp_path):
    folder = campaign(tmp_path)
    other = Vote("t5", "zoe", "overall", None, "2025-01-01T00:00:00.000000Z", source="csv")
    append_votes(folder / "votes.jsonl", [other])
    db = connect(folder)
    first = [put(db, i) for i in range(3)]
    assert export_votes(db, folder) == 3
    assert export_votes(db, folder) == 0
    assert read_votes(folder / "votes.jsonl") == [other, *first]
    # Killed while it wrote: half a line stays, and is written again whole.
    for cut in (3, 1):  # of the line, and of its end alone
        content = (folder / "votes.jsonl").read_bytes()
        (folder / "votes.jsonl").write_bytes(content[:-cut])
        fourth = put(db, 10 + cut)
        assert export_votes(db, folder) == (2 if cut == 3 else 1)
        assert {vote.task for vote in read_votes(folder / "votes.jsonl")} >= {"t5", "t0", "t1", "t2", fourth.task}
    (folder / "votes.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match=r"votes\.jsonl:1: not a vote; the page's votes stay in page\.sqlite"):
        export_votes(db, folder)
    db.close()


def test_secrets(tmp_path):
    db = connect(tmp_path)
    assert stat.S_IMODE((tmp_path / DATABASE).stat().st_mode) == 0o600
    ada, bob = add_annotator(db, "ada"), add_annotator(db, "bob")
    assert add_annotator(db, "ada") == ada != bob
    assert len(ada) == 22  # 128 bits in base64
    for name in ("", " a", "a\nb", "a" * 201, "a\u202eb"):
        with pytest.raises(InputError, match="a name has 1 to 200 printable characters"):
            add_annotator(db, name)
    db.close()


def test_what_is_no_database(tmp_path):
    (tmp_path / DATABASE).write_text("something else, and long enough to be looked at" * 100)
    with pytest.raises(OutputError, match=r"page\.sqlite: file is not a database"):
        connect(tmp_path)


def test_the_admin_pages_figures_are_those_of_rank_agreement(tmp_path):
    folder = Path(votes_of.campaign(tmp_path / "tasks", tasks=30, gold_every=5, criteria=("helpful", "honest")))
    votes = read_votes(folder / "votes.jsonl")
    key = read_key(folder)
    db = connect(folder)
    fill(db, read_tasks(folder), key, [])
    say = "INSERT INTO votes (annotator, task, criterion, at, submission, row) VALUES (?, ?, ?, ?, ?, ?)"
    half = len(votes) // 2
    for number, one in enumerate(votes[:half]):
        db.execute(say, (one.annotator, one.task, one.criterion, one.at, f"s{number}", json.dumps(one.row())))
    found = figures(db, folder, read_campaign(folder), key, votes[half:])
    by_model = [replace(one, annotator="model:m", source="model:m") for one in votes[: half // 2]]
    beside = figures(db, folder, read_campaign(folder), key, [*votes[half:], *by_model])
    db.close()
    assert [one["name"] for one in beside["people"]] == ["ada", "bob", "chi", "model:m"]
    headline = ("criteria", "longer", "gold_accuracy")
    assert [beside[name] for name in headline] == [found[name] for name in headline], "models are in the table alone"
    said = run_job(RankAgreement(input=(str(folder),), samples=0), tmp_path / "out", []).results["agreement"][0]
    assert found["criteria"] == [
        (name, one["raw_agreement"], one["alpha"]["ordinal"]["alpha"], one["pairs_compared"])
        for name, one in said["criteria"].items()
    ]
    assert found["longer"] == said["length_bias"]["over_all"]
    people = {one["annotator"]: one for one in said["annotators"]}
    assert {one["name"]: one["gold"] for one in found["people"]} == {name: one["gold"] for name, one in people.items()}
    longer = [row for one in found["people"] for row in one["longer"]]
    assert longer == said["length_bias"]["annotators"]


def test_figures_of_no_votes_and_of_votes_on_tasks_that_are_gone(tmp_path):
    folder = campaign(tmp_path, tasks=2)
    db = connect(folder)
    fill(db, read_tasks(folder), {}, [])
    gone = Vote("gone", "ada", "overall", {"a": 1, "b": 2}, "2026-01-01T00:00:00.000000Z")
    for others in ([], [gone]):
        found = figures(db, folder, read_campaign(folder), {}, others)
        assert found["criteria"] == [("overall", None, None, 0)]
        assert (found["gold_accuracy"], found["longer"]["pairs"]) == ((None, 0), 0)
    db.close()
