import random
import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.rank.campaign import Answer, Campaign, Key, Task, read_campaign, read_key, read_tasks
from curate.rank.page.assign import SKIPPED, VOTED, next_task, progress, touch, was_given
from curate.rank.page.store import TABLES, connect, fill
from curate.rank.votes import Vote
from tests.rank.page.serving import campaign


@pytest.fixture
def filled(tmp_path):
    opened = []

    def make(before=(), **settings):
        folder = campaign(tmp_path, **settings)
        db = connect(folder)
        opened.append(db)
        fill(db, read_tasks(folder), read_key(folder), before)
        return db, read_campaign(folder)

    yield make
    for db in opened:
        db.close()


def test_the_least_taken_first_and_no_task_twice_to_one(filled):
    db, plan = filled(tasks=4, overlap=2)
    given = {"ada": [], "bob": [], "cy": []}
    for _ in range(4):
        for name in given:
            task = next_task(db, name, plan, 0, 60)
            if task:
                assert next_task(db, name, plan, 1, 60) == task, "an open task comes again"
                touch(db, name, task, 2, VOTED)
                given[name].append(task)
    everything = [task for tasks in given.values() for task in tasks]
    assert all(len(set(tasks)) == len(tasks) for tasks in given.values())
    assert sorted(everything) == sorted(["t0", "t1", "t2", "t3"] * 2)
    assert next_task(db, "dan", plan, 3, 60) is None
    assert (given["ada"][0], given["bob"][0]) == ("t0", "t1")


def test_what_is_left_open_or_skipped_goes_to_somebody_else(filled):
    db, plan = filled(tasks=1, overlap=1)
    assert next_task(db, "ada", plan, 0, 60) == "t0"
    assert next_task(db, "bob", plan, 59, 60) is None
    assert next_task(db, "bob", plan, 61, 60) == "t0"
    touch(db, "bob", "t0", 62, SKIPPED)
    assert next_task(db, "bob", plan, 63, 60) is None
    assert progress(db, "bob", 1) == (1, 0)
    assert next_task(db, "ada", plan, 64, 60) == "t0"
    assert was_given(db, "ada", "t0") == 0
    assert was_given(db, "cy", "t0") is None
    # Late votes count all the same.
    assert next_task(db, "cy", plan, 1000, 60) == "t0"
    touch(db, "ada", "t0", 1001, VOTED)
    touch(db, "cy", "t0", 1002, VOTED)
    assert db.execute("SELECT taken FROM tasks").fetchone() == (2,)


def test_everybody_gets_gold_mixed_in(filled):
    db, plan = filled(tasks=50, gold=5, overlap=3)
    gold = {f"t{i}" for i in range(45, 50)}
    places = []
    for name in ("ada", "bob", "cy"):
        tasks = []
        while task := next_task(db, name, plan, 0, 60):
            touch(db, name, task, 0, VOTED)
            tasks.append(task)
        assert set(tasks) >= gold
        assert len(set(tasks)) == len(tasks) == 50
        places.append([i for i, task in enumerate(tasks) if task in gold])
        assert [place // 10 for place in places[-1]] == [0, 1, 2, 3, 4]
    assert len({tuple(one) for one in places}) == 3


def test_a_campaign_of_gold_alone(filled):
    db, plan = filled(tasks=3, gold=3)
    for name in ("ada", "bob"):
        for _ in range(3):
            touch(db, name, next_task(db, name, plan, 0, 60), 0, VOTED)
        assert next_task(db, name, plan, 0, 60) is None


def test_work_on_sheets_is_known(filled):
    at = "2026-01-01T00:00:00.000000Z"
    before = [
        Vote("t0", "ada", "overall", {"a": 1, "b": 2}, at),
        Vote("t1", "ada", "overall", None, at),
        Vote("gone", "x", "overall", None, at),
    ]
    db, plan = filled(before, tasks=2, overlap=1)
    assert next_task(db, "ada", plan, 0, 60) is None
    assert next_task(db, "bob", plan, 0, 60) == "t1"


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(0, 3), st.integers(1, 3), st.randoms(use_true_random=False))
def test_whatever_people_do_the_counts_are_right(tasks, gold, overlap, chance: random.Random):
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript(TABLES)
    rows = [
        Task(f"t{i}", ({"role": "user", "content": "q"},), (Answer("a", "x"), Answer("b", "y"))) for i in range(tasks + gold)
    ]
    key = {row.task: Key(row.task, gold={"a": 1, "b": 2}) for row in rows[tasks:]}
    fill(db, rows, key, [])
    plan = Campaign(overlap=overlap)
    did = {}
    for at in range(50):
        name = chance.choice("abcd")
        task = next_task(db, name, plan, at, 10)
        _, left = progress(db, name, overlap)
        if task is None:
            assert left == 0
            continue
        assert (name, task) not in did, "a task came again"
        assert left > 0
        if (what := chance.choice((None, VOTED, VOTED, SKIPPED))) is not None:
            touch(db, name, task, at, what)
            did[name, task] = what
        assert progress(db, name, overlap)[0] == len([1 for who, _ in did if who == name])
    taken = "SELECT task, count(*) FROM opened WHERE state IN (0, 1) GROUP BY task"
    assert {t: n for t, n in db.execute("SELECT task, taken FROM tasks WHERE taken > 0")} == dict(db.execute(taken))
    counted = dict(db.execute("SELECT gold * 1000 + taken, tasks FROM counts WHERE tasks > 0"))
    assert counted == dict(db.execute("SELECT gold * 1000 + taken, count(*) FROM tasks GROUP BY 1"))
    assert all(taken <= overlap for (taken,) in db.execute("SELECT taken FROM tasks WHERE gold = 0"))
    db.close()
