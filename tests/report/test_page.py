"""The report page of small real runs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from curate.engine.chain import RunStats, run_command, run_recipe
from curate.jobs.clean import Clean
from curate.recipe import check
from curate.report.page import write_page
from curate.report.run import finish
from curate.report.watch import Silent
from curate.steps.clean import Replace

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"id": f"r{i}", "text": f"text {i}  "}) for i in range(8)]
    lines.append(json.dumps({"id": "short", "text": "<b>"}))
    lines += [json.dumps({"id": EVIL, "text": None}), "{broken " + EVIL]
    path.write_text("".join(line + "\n" for line in lines))
    return path


def _recipe(rows: Path, out: Path) -> Any:
    jobs = [
        {
            "job": "clean",
            "input": [str(rows)],
            "max_errors": 1,
            "steps": [{"step": "replace", "pattern": " +$"}, {"step": "length", "min_chars": 4}],
        },
        {"job": "dedupe", "methods": ["exact"]},
    ]
    return check({"name": f"run {EVIL}", "about": "About it.", "out": str(out), "jobs": jobs}, "recipe")


def test_page_shows_every_count_and_escapes_the_data(rows: Path, tmp_path: Path) -> None:
    run = run_recipe(_recipe(rows, tmp_path / "run"), workers=1, watcher=Silent())
    path = write_page(run)
    assert path == tmp_path / "run" / "report.html"
    html = path.read_text()
    page = Page(html)
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not {"src", "onclick"} & attributes.keys(), tag
        assert tag != "link"
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|https?://", html)
    for expected in (
        "About it.",
        EVIL,
        "no_text",
        "9.1 %",
        "in.jsonl:11",
        "too_few_chars",
        "short: chars = 3",
        "<b>",
        "replace",
        "dedupe",
        "curate 0.1.0",
    ):
        assert expected in page.text, expected
    cells = [cell.strip() for cell in re.findall(r'<td class="n">([^<]*)</td>', html.split("</table>")[0])]
    assert cells[:5] == ["11", "8", "2", "1", cells[4]]


def test_page_of_a_command_finds_its_dropped_rows(rows: Path, tmp_path: Path) -> None:
    job = Clean(input=(str(rows),), max_errors=1, steps=(Replace(pattern="x"),))
    page = Page(write_page(run_command(job, str(tmp_path / "out.jsonl"), workers=1, watcher=Silent())).read_text())
    assert "(no text)" in page.text
    assert str(tmp_path / "out.jsonl") in page.text


def test_scores_are_drawn_with_their_limits(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [{"step": "length", "min_chars": 4, "max_words": 5}, {"step": "language", "allow": ["de", EVIL]}]
    options = {"input": [str(rows)], "max_errors": 1, "steps": steps, "tag": True}
    run = run_command(Clean.model_validate(options), str(tmp_path / "out"), workers=1, watcher=Silent())
    finish(run)
    assert "9 rows are tagged in 'dropped_by'" in capsys.readouterr().out
    page = Page((tmp_path / "out" / "report.html").read_text())
    assert page.open == []
    kinds = [attributes.get("class") for tag, attributes in page.tags if tag in ("rect", "line")]
    # A box for 3 characters, one for 8; the words of all rows; the confidence of all.
    assert kinds.count("out") >= 1
    assert kinds.count("in") >= 2
    assert kinds.count("limit") >= 1
    for expected in ("too_few_chars", "≥ 4", "11.1 %", "Tagged, by step and reason", "length.too_few_chars", "other_language"):
        assert expected in page.text, expected
    assert f"one of de, {EVIL}" in page.text
    assert "script" not in {tag for tag, _ in page.tags}


def test_what_stages_are_judged_by_is_shown(tmp_path: Path) -> None:
    measure = {"name": "accuracy of it", "before": 0.51, "after": 0.91234, "better": "higher"}
    compared = [
        {"model": f"sft {EVIL}", "reward": 1.25, "ended": 1.0, "length": 7.5},
        {"model": "dpo", "reward": 2.5, "ended": 1.0, "length": 8.5, "win_rate": 0.8125, "interval": [0.7, 0.9]},
    ]
    stages = [
        {
            "name": "rm", "stage": "reward", "measure": measure, "pairs_heldout": 12, "calibration_error": 0.03125,
            "length_correlation": -0.25, "accuracy_by_length": {"over 1.5": {"pairs": 12, "accuracy": 0.75}}, "kl": 0.0625,
        },
        {
            "name": "versus", "stage": "evaluate", "prompts": 40, "compared": compared,
            "samples": [{"prompt": "Why?", "answers": {"dpo": f"Because {EVIL}"}}],
        },
    ]  # fmt: skip
    summary = {"device": "cpu", "stages": stages, "samples": []}
    stats = {"job": "train", "name": "train", "digest": "d", "seconds": 3.0, "results": {"train": summary}}
    recipe = {"name": "t", "jobs": [{"job": "clean", "input": ["x"]}]}
    page = Page(write_page(RunStats(tmp_path, recipe, [stats])).read_text())
    for expected in ("accuracy of it (higher is better)", "0.9123", "over 1.5", "0.031", "-0.25", "0.062", "0.812"):
        assert expected in page.text, expected
    for expected in ("0.700 to 0.900", f"sft {EVIL}", f"Because {EVIL}"):
        assert expected in page.text, expected
    assert "Losses" not in page.text


def test_training_is_shown_stage_by_stage(tmp_path: Path) -> None:
    summary = {
        "device": "cpu",
        "stages": [
            {
                "name": "base",
                "stage": "pretrain",
                "loss_before": 9.01234,
                "loss_after": 4.5,
                "bits_per_byte_before": 3.1,
                "bits_per_byte_after": 1.61803,
                "tokens": 1000,
                "tokens_per_second": 512.5,
                "seconds": 2.0,
            },
            {"name": "chat", "stage": "sft", "loss_before": 4.4, "loss_after": 4.1, "tokens": 10, "seconds": 1.0},
        ],
        "samples": [{"prompt": "Why?", "answers": {"base": f"Because {EVIL}", "chat": "So."}}],
    }
    stats = {"job": "train", "name": "train", "digest": "d", "seconds": 3.0, "results": {"train": summary}}
    recipe = {"name": "t", "jobs": [{"job": "clean", "input": ["x"]}]}
    page = Page(write_page(RunStats(tmp_path, recipe, [stats])).read_text())
    for expected in ("9.0123", "4.5000", "1.618", "512.5", "Why?", f"Because {EVIL}", "So.", "chat"):
        assert expected in page.text, expected


def test_same_run_gives_the_same_page(rows: Path, tmp_path: Path) -> None:
    run = run_recipe(_recipe(rows, tmp_path / "run"), workers=1, watcher=Silent())
    first = write_page(run).read_bytes()
    again = run_recipe(_recipe(rows, tmp_path / "run"), workers=1, watcher=Silent())
    assert write_page(again).read_bytes() == first
