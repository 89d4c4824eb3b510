"""The jobs from end to end on a real server: order, gates, limits, previews, and what a person is told."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from curate.catalog import parse_job
from curate.engine.chain import run_command
from curate.errors import UsageError
from curate.models.limits import Stopped
from curate.report.watch import Silent
from tests.command import curate, start, stats
from tests.contract.cases import written_rows
from tests.synth.server import address, sentence


def documents(folder: Path, count: int = 30) -> str:
    folder.mkdir(exist_ok=True)
    lines = [{"id": f"d{i}", "text": " ".join(sentence(i, k) for k in range(4)), "url": f"u{i}"} for i in range(count)]
    (folder / "docs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(folder / "docs.jsonl")


def go(method: str, out: Path, input: str, **options: Any) -> list[dict[str, Any]]:
    model = {"endpoint": address(), "model": "rule"}
    job = parse_job({"job": f"synth {method}", "input": [input], **model, **options})
    run_command(job, str(out), workers=1, watcher=Silent())
    return written_rows(out / "data")


def dropped(out: Path) -> list[dict[str, Any]]:
    return written_rows(out / "dropped")


@pytest.mark.parametrize("method", ["self-instruct", "evol", "qa", "persona", "chat", "best-of", "critique"])
def test_the_same_rows_for_any_concurrency(method: str, tmp_path: Path) -> None:
    source = documents(tmp_path)
    more = {"count": 20} if method == "self-instruct" else {}
    one, many = (go(method, tmp_path / f"out-{n}", source, concurrency=n, **more) for n in (1, 32))
    assert one == many
    assert one
    assert dropped(tmp_path / "out-1") == dropped(tmp_path / "out-32")


def test_rows_say_where_they_come_from(tmp_path: Path) -> None:
    for row in go("qa", tmp_path / "out", documents(tmp_path), keep_extra=True):
        assert row["parents"] == [row["id"].partition("#")[0]]
        assert row["url"] == row["parents"][0].replace("d", "u")
        assert "text" not in row
        assert re.fullmatch(r"qa@[0-9a-f]{16}", row["template"])
        assert (row["method"], row["model"], row["generation"]) == ("qa", "rule", 1)
        assert all(re.fullmatch("[0-9a-f]{32}", key) for key in row["requests"])


def test_what_goes_keeps_the_answer_as_it_came(tmp_path: Path) -> None:
    go("qa", tmp_path / "out", documents(tmp_path), corrections=0)
    gone = dropped(tmp_path / "out")
    assert {row["step"] for row in gone} == {"synth"}
    not_read = [row for row in gone if row["reason"] == "not_parsed"]
    assert {row["text"] for row in not_read} == {"I'm sorry, but I can't help with that."}
    assert all("it begins with" in row["value"] for row in not_read)
    assert any(row["reason"] == "not_grounded" and row["text"].startswith("Q: ") for row in gone)


def test_answers_are_judged_from_best_of(tmp_path: Path) -> None:
    go("best-of", tmp_path / "many", documents(tmp_path), count=3)
    made = str(tmp_path / "many" / "data")
    for row in go("judge", tmp_path / "scores", made):
        assert len(row["responses"]) == len(row["scores"])
        assert row["score"] == max(row["scores"])
        assert row["output"] == row["responses"][row["scores"].index(row["score"])]
    pairs = go("judge", tmp_path / "pairs", made, to="pairs", by="pairwise", min_margin=0.5)
    assert pairs
    assert all(row["margin"] >= 0.5 and row["chosen"] != row["rejected"] for row in pairs)
    assert {"tie", "small_margin"} <= {row["reason"] for row in dropped(tmp_path / "pairs")}


def test_a_preference_is_written_as_one(tmp_path: Path) -> None:
    go("critique", tmp_path / "out", documents(tmp_path))
    done = curate("validate", str(tmp_path / "out" / "data"), "--format", "preference", "-o", tmp_path / "valid")
    assert done.returncode == 0, done.stderr
    assert stats(tmp_path / "valid")["dropped"] == {}


def test_a_preview_is_part_of_the_run(tmp_path: Path) -> None:
    source, cache = documents(tmp_path), str(tmp_path / "cache")
    few = go("persona", tmp_path / "few", source, cache=cache, first=5)
    assert {row["parents"][0] for row in few} <= {f"d{i}" for i in range(5)}
    assert sum(row["reason"] == "not_asked" for row in dropped(tmp_path / "few")) == 25
    alone = go("persona", tmp_path / "alone", source)
    assert go("persona", tmp_path / "all", source, cache=cache) == alone
    asked = [stats(tmp_path / name)["results"]["ask"]["requests"] for name in ("few", "all", "alone")]
    assert asked[0] + asked[1] == asked[2]


def test_a_limit_stops_and_the_next_run_goes_on(tmp_path: Path) -> None:
    source = documents(tmp_path)
    with pytest.raises(Stopped, match="max_requests"):
        go("persona", tmp_path / "out", source, max_requests=20)
    assert go("persona", tmp_path / "out", source) == go("persona", tmp_path / "whole", source)
    asked = [stats(tmp_path / name)["results"]["ask"]["requests"] for name in ("out", "whole")]
    assert asked[0] + 20 == asked[1]


def test_a_run_that_is_finished_is_kept(tmp_path: Path) -> None:
    source = documents(tmp_path)
    go("persona", tmp_path / "out", source, cache=str(tmp_path / "cache"))
    before = (tmp_path / "out" / "stats.json").stat().st_mtime_ns
    go("persona", tmp_path / "out", source, cache=str(tmp_path / "cache"))
    assert (tmp_path / "out" / "stats.json").stat().st_mtime_ns == before


def test_steps_follow(tmp_path: Path) -> None:
    rows = go("qa", tmp_path / "out", documents(tmp_path), steps=[{"step": "length", "min_words": 20}])
    assert all(len(f"{row['instruction']} {row['output']}".split()) >= 20 for row in rows)
    assert any(row["step"] == "length" for row in dropped(tmp_path / "out"))


def test_own_prompts(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{% block instruction %}What is {{ text[:20] }}?{% endblock %}")
    rows = go("back-translation", tmp_path / "out", documents(tmp_path), prompts=str(tmp_path / "mine.jinja"))
    assert all(row["template"].startswith("mine.jinja@") for row in rows)


def test_magpie_needs_raw_completions(tmp_path: Path) -> None:
    source = documents(tmp_path)
    assert go("magpie", tmp_path / "raw", source)
    job = parse_job({"job": "synth magpie", "input": [source], "endpoint": address(raw=False), "model": "rule"})
    with pytest.raises(UsageError, match="no raw completions, and magpie needs them"):
        run_command(job, str(tmp_path / "out"), workers=1, watcher=Silent())


def test_the_plan_tells_what_it_comes_to(tmp_path: Path) -> None:
    source = documents(tmp_path)
    model = ("--endpoint", "http://127.0.0.1:9/v1", "--model", "none", "--completion-price", "2")
    done = curate("synth", "persona", source, *model, "--plan", "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert re.search(r"asks +9\d requests \(0 more are in the cache\); about [\d,]+ tokens of prompts", done.stdout)
    assert "cost" in done.stdout
    assert not (tmp_path / "out").exists()


def test_the_report_shows_what_each_gate_took(tmp_path: Path) -> None:
    model = ("--endpoint", address(), "--model", "rule")
    done = curate("synth", "qa", documents(tmp_path), *model, "-o", tmp_path / "out")
    assert "not_grounded" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    for reason in {row["reason"] for row in dropped(tmp_path / "out")}:
        assert reason in page
    assert "words that stand nowhere" in page


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    source = documents(tmp_path)
    model = ("--endpoint", address(), "--model", "rule")
    done = curate("synth", "qa", source, *model, "--prompts", tmp_path / "no.jinja")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"curate: {tmp_path / 'no.jinja'}: No such file")
    done = curate("synth", "judge", source, *model, "--judge-floor", "3")
    assert done.returncode == 2
    assert "judge_floor" in done.stderr
    done = curate("synth", "qa", source, "--model", "rule")
    assert done.returncode == 2
    assert "endpoint" in done.stderr


def test_a_run_that_is_killed_goes_on(tmp_path: Path) -> None:
    source = documents(tmp_path, 400)
    given = ("synth", "evol", source, "--endpoint", address(), "--model", "rule", "--concurrency", "8")
    child = start(*given, "-o", tmp_path / "out", small=False)
    cache = tmp_path / "out" / "answers.sqlite"
    answers = 0
    while answers < 100:
        assert child.poll() is None
        time.sleep(0.05)
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(f"file:{cache}?mode=ro", uri=True)) as db:
            (answers,) = db.execute("SELECT count(*) FROM answers").fetchone()
    child.kill()
    child.wait()
    done = curate(*given, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "going on where the last run stopped" in done.stderr
    rows = go("evol", tmp_path / "whole", source)
    assert written_rows(tmp_path / "out" / "data") == rows
    assert dropped(tmp_path / "out") == dropped(tmp_path / "whole")
    asked = [stats(tmp_path / name)["results"]["ask"]["requests"] for name in ("out", "whole")]
    assert asked[0] <= asked[1] - 100


def test_answers_of_several_models(tmp_path: Path) -> None:
    others = [{"endpoint": address(raw=False), "model": "other"}]
    rows = go("best-of", tmp_path / "out", documents(tmp_path), others=others, temperatures=[0.2, 0.9], count=1)
    # Both models are one server's, and say the same: an answer counts once, for the first who gave it.
    assert {tuple(row["models"]) for row in rows} == {("rule, temperature 0.2", "rule, temperature 0.9")}
    assert all(len(set(row["responses"])) == 2 for row in rows)
    assert all(row["model"] == "rule, other" and len(row["requests"]) == 4 for row in rows)
