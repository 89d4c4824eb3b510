"""`curate inspect --steps`: a look before the run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curate import cli
from curate.engine.chain import run_command
from curate.io import files, jsonl
from curate.jobs.clean import Clean
from curate.report import look
from curate.report.inspect import inspect_path
from curate.report.watch import Silent
from tests.command import tree
from tests.report.test_page import EVIL, Page

Look = Callable[..., str]
WORDS = ("--steps", "{step: length, min_chars: null, min_words: 10, max_words: 20}")


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Look:
    """`curate inspect` in this process: what it printed, or said on standard error with its exit code."""
    monkeypatch.chdir(tmp_path)

    def go(*given: str | Path) -> str:
        code = cli.run(["inspect", *map(str, given)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return f"{code} {said.err}" if code else re.sub(r"[ \t]+", " ", said.out)

    return go


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"id": f"r{n}", "text": f"<b> {'word ' * (n - 1)}".strip()}) for n in range(1, 31)]
    path.write_text("\n".join([*lines[:5], "{broken", *lines[5:], '{"id": "none", "text": null}']) + "\n")
    return path


def test_scores_limits_and_examples_either_side(show: Look, rows: Path, tmp_path: Path) -> None:
    before = tree(tmp_path)
    shown = show(rows, *WORDS)
    assert tree(tmp_path) == before
    assert "in.jsonl: 31 rows drawn of 31 by the hash of their ids, as text (" in shown
    assert "steps: length\n" in shown
    assert "1 rows cannot be read, first: in.jsonl:6: " in shown
    assert "11 of 31 would stay (35.5 %); 1 dropped before any filter" in shown
    assert "length: 30 rows\n words 1 █████████│███████████│██████████ 30\n" in shown
    assert " ≥ 10 30.0 % fail, 9 first: too_few_words\n ≤ 20 33.3 % fail, 10 first: too_many_words" in shown
    few = shown[shown.index("length.too_few_words: words ≥ 10") :]
    assert re.findall(r" (out|in) (\d+) (r\d+): <b>", few)[:4] == [
        ("out", "8", "r8"), ("out", "9", "r9"), ("in", "10", "r10"), ("in", "11", "r11")
    ]  # fmt: skip
    assert len(re.findall(r" (?:out|in) \d+ r", show(rows, *WORDS, "--rows", "1"))) == 4
    assert "no example beyond the limit of length.too_many_words" in show(rows, *WORDS, "--set", "steps.0.max_words=99")


def test_a_sample_is_the_same_however_the_file_is_cut(show: Look, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = show(rows, *WORDS, "--sample", "10")
    assert "10 rows drawn of 31" in whole
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 200)
    monkeypatch.setattr(files, "SHARD_BYTES", 500)
    assert show(rows, *WORDS, "--sample", "10") == whole
    monkeypatch.setattr(look, "LOOK_BYTES", 900)
    monkeypatch.setattr(look, "PLACES", 3)
    some = show(rows, *WORDS)
    assert re.search(r"\b(1\d|2\d|\d) rows drawn of \d+ .* read at 3 places, spread over the input\)", some)
    assert show(rows, *WORDS) == some


def test_names_and_evidence(show: Look, tmp_path: Path) -> None:
    texts = [
        "Der Zug nach Bern fährt heute um acht Uhr ab.",
        "The train to Bern leaves at eight today.",
        "Where is the station?",
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    shown = show("in.jsonl", "--steps", "{step: language, allow: [en], min_confidence: null}")
    assert "language en 2, de 1\n one of en 33.3 % fail, 1 first: other_language" in shown
    assert " out de in.jsonl:1: Der Zug" in shown
    assert " in en in.jsonl:2: The train" in shown


def test_a_page_shows_the_same_and_escapes_the_data(show: Look, rows: Path, tmp_path: Path) -> None:
    rows.write_text(rows.read_text() + json.dumps({"id": EVIL, "text": f"{EVIL} of nine words in all"}) + "\n")
    assert "Page: look.html" in show(rows, *WORDS, "--html", "look.html")
    html = (tmp_path / "look.html").read_text()
    page = Page(html)
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.tags}
    assert EVIL in page.text
    drawn = [attributes["class"] for tag, attributes in page.tags if tag == "rect"]
    assert (drawn.count("in"), drawn.count("out")) == (11, 19)
    assert [tag for tag, a in page.tags if tag == "line" and a["class"] == "limit"] == ["line"] * 2
    assert "min_words: 10" in page.text
    assert not re.search(r"url\(|@import|https?://", html)


def test_the_job_of_a_recipe(show: Look, rows: Path, tmp_path: Path) -> None:
    steps = "[{step: length, min_words: 10}]"
    (tmp_path / "r.yaml").write_text(
        f"name: r\njobs:\n- {{job: clean, input: [in.jsonl], steps: {steps}}}\n- {{job: dedupe}}\n"
    )
    shown = show("r.yaml", "--job", "clean", "--set", "jobs.clean.steps.0.min_words=5")
    assert "length.too_few_words: words ≥ 5\n out 3 r3" in shown
    assert show("r.yaml", "--job", "cleen") == "2 curate: r.yaml: no job is called 'cleen'; did you mean 'clean'?\n"
    assert "dedupe: has no filters to look at" in show("r.yaml", "--job", "dedupe")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (("in.jsonl", "--steps", "lenght"), "2 curate: clean: steps.0.step: unknown step 'lenght'; did you mean 'length'?"),
        (("in.jsonl", "--steps", "whitespace"), "2 curate: clean: has no filters to look at"),
        (("in.jsonl", *WORDS, "--sample", "0"), "2 curate: --sample 0: must be 1 or more"),
        (("in.jsonl", "--rows", "0"), "2 curate: --rows 0: must be 1 or more"),
        (("in.jsonl", "--html", "x.html"), "2 curate: --html: goes with --steps or --job"),
        (("empty.jsonl", *WORDS), "1 curate: empty.jsonl: empty, there is nothing to read"),
        (("broken.jsonl", *WORDS), "1 curate: broken.jsonl: no row in it can be read"),
        (("broken.jsonl", *WORDS, "--format", "text"), "1 curate: broken.jsonl: no row in it can be read"),
        (("none.jsonl", *WORDS), "1 curate: none.jsonl: no such file"),
        (("in.jsonl", "--steps", "{step: length, from_scores: true}"), "1 curate: in.jsonl: has no column 'length.chars'"),
    ],
)
def test_mistakes_are_one_line(show: Look, rows: Path, given: tuple[str, ...], error: str) -> None:
    (rows.parent / "empty.jsonl").write_text("")
    (rows.parent / "broken.jsonl").write_text("{\n" * 5)
    said = show(*given)
    assert said.startswith(error), said
    assert said.count("\n") == 1
    assert not (rows.parent / "x.html").exists()


def test_kept_scores_show_both_sides_of_a_run(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, options in (("plain", {"keep_scores": True}), ("tagged", {"keep_scores": True, "tag": True}), ("bare", {})):
        steps: list[dict[str, Any]] = [{"step": "length", "min_words": 10}]
        job = Clean.model_validate({"input": [str(rows)], "steps": steps, "max_errors": 1, **options})
        run_command(job, str(tmp_path / f"{name}.jsonl"), workers=1, watcher=Silent())
        capsys.readouterr()
        inspect_path(str(tmp_path / f"{name}.jsonl.run"), 2)
        shown = re.sub(r"[ \t]+", " ", capsys.readouterr().out)
        assert "length.too_few_words (9): words ≥ 10\n out 8 r8: <b> word" in shown
        assert (" in 10 r10: <b> word" in shown) == (name != "bare")
        assert ("clean: 9 tagged length.too_few_words" in shown) == (name == "tagged")
    # Kept scores are looked at like a run: nothing is computed.
    assert (
        cli.run(["inspect", str(tmp_path / "tagged.jsonl"), "--steps", "{step: length, min_words: 5, from_scores: true}"]) == 0
    )
    assert " out        4  r4: <b> word" in capsys.readouterr().out


def test_stopping_a_look_says_no_more_than_that(show: Look, rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(look, "print_scores", stop)
    assert show(rows, *WORDS) == "130 curate: stopped\n"
