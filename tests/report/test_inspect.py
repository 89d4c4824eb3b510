"""`curate inspect` on rows, runs and token shards."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from curate.engine.chain import run_command, run_recipe
from curate.errors import InputError
from curate.recipe import check
from curate.report.books import excerpt
from curate.report.inspect import inspect_path
from curate.report.spread import KEPT, Spread, Values
from curate.report.watch import Silent


def _shown(path: Path, capsys: pytest.CaptureFixture[str], rows: int = 2) -> str:
    capsys.readouterr()
    assert inspect_path(str(path), rows) == 0
    return re.sub(r"[ \t]+", " ", capsys.readouterr().out)


def test_rows_are_counted_with_columns_lengths_and_what_is_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"text": "x" * n, **({"lang": "en"} if n % 4 == 0 else {})}) for n in range(1, 9)]
    path.write_text("\n".join([*lines[:3], "{broken", *lines[3:], '{"text": null}']) + "\n")
    shown = _shown(path, capsys)
    assert "1 file (jsonl)" in shown
    assert "9 rows" in shown
    assert "format: text" in shown
    assert "1 rows cannot be read, first: in.jsonl:4:" in shown
    assert "1 rows have no text" in shown
    assert "text 11.1 %" in shown
    assert "lang 77.8 %" in shown
    assert re.search(r" 1 1 3 4 6 8 8 \n", shown)
    assert shown.count("\nrow ") == 2


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_other_kinds_of_files(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pl.DataFrame({"text": ["one", "three"], "lang": ["en", None]})
    path = tmp_path / f"in.{kind}"
    frame.write_parquet(path) if kind == "parquet" else frame.write_csv(path)
    shown = _shown(path, capsys)
    assert "2 rows" in shown
    assert "text 0.0 %" in shown
    assert "lang" in shown
    assert "three" in shown


def test_chats_and_rows_of_no_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "chat.jsonl").write_text('[{"role": "user", "content": "hi there"}]\n')
    assert "format: chat" in _shown(tmp_path / "chat.jsonl", capsys)
    (tmp_path / "odd.jsonl").write_text('{"id": "1", "prompt": "a"}\n{"id": "2"}\n')
    shown = _shown(tmp_path / "odd.jsonl", capsys)
    assert "none of the four formats" in shown
    assert "prompt 50.0 %" in shown


def test_pages_are_measured_in_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.html").write_text("<p>hello</p>")
    shown = _shown(tmp_path / "a.html", capsys)
    assert "format: html" in shown
    assert "bytes a page" in shown


def test_nothing_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        inspect_path(str(tmp_path / "none"), 1)


def test_control_characters_of_the_data_never_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "a\x1b[31mred\u202e [bold]b[/bold]\nc"}) + "\n")
    shown = _shown(tmp_path / "in.jsonl", capsys)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]b[/bold]⏎ c" in shown
    assert excerpt("abc", 2) == "ab…"


def test_a_run_shows_its_tables_and_what_was_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": f"r{i}", "text": f"text {i % 3}"} for i in range(9)] + [{"id": "empty"}]
    rows += [{"id": f"long{n}", "text": "x" * n} for n in (11, 12, 13, 16, 21)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "broken\n")
    jobs = [
        {
            "job": "clean",
            "input": [str(tmp_path / "in.jsonl")],
            "max_errors": 1,
            "steps": [{"step": "length", "max_chars": 10}],
        },
        {"job": "dedupe", "methods": ["exact"]},
    ]
    run_recipe(check({"name": "r", "out": str(tmp_path / "run"), "jobs": jobs}, "r"), workers=1, watcher=Silent())
    shown = _shown(tmp_path / "run", capsys)
    assert "clean 16 9 6 1" in shown
    assert "dedupe 9 3 6 0" in shown
    assert "length too_many_chars chars 11 12 13 16 21" in shown
    assert f"length.too_many_chars (5): chars ≤ 10\n out 12 long12: {'x' * 12}\n out 11 long11: {'x' * 11}\n" in shown
    assert " chars 6 █····│▃▃▃··▃····▃ 21\n ≥ 1 0.0 % fail, 0 first: too_few_chars\n ≤ 10 35.7 % fail, 5 first" in shown
    assert "long13 chars" not in shown
    assert "read.no_text (1)\n empty: (no text)" in shown
    assert "in.jsonl:16:" in shown
    assert shown.count("text 0") == 1
    assert "clean 16 9 6 1" in _shown(tmp_path / "run" / "01-clean", capsys)


def test_token_shards_are_decoded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from curate.jobs.tokenize import Tokenize
    from curate.jobs.tokenizer import TrainTokenizer

    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": f"the cat {i} sat"}) + "\n" for i in range(50)))
    source = (str(tmp_path / "in.jsonl"),)
    run_command(TrainTokenizer(input=source, vocab_size=512), str(tmp_path / "tok"), workers=1, watcher=Silent())
    job = Tokenize(input=source, tokenizer=str(tmp_path / "tok" / "data"), validation=0.2)
    stats = run_command(job, str(tmp_path / "shards"), workers=1, watcher=Silent()).jobs[0]
    shown = _shown(tmp_path / "shards" / "data", capsys, rows=1)
    tokens = stats["results"]["index"]["tokens"]
    assert set(tokens) == {"train", "validation"}
    for split, count in tokens.items():
        assert re.search(rf"{split} 1 \d+ {count:,} ", shown)
    assert re.search(r"train 1 \(\d+ tokens\): the cat \d+ sat<\|endoftext\|>", shown)
    assert "tokenize 50 50" in _shown(tmp_path / "shards", capsys)


def test_spread_is_exact_until_it_must_choose() -> None:
    spread = Spread()
    for start in range(0, 1000, 100):
        spread.add(pl.Series([*range(start, start + 100), None, float("nan")], strict=False))
    assert (spread.count, spread.min, spread.max) == (1000, 0, 999)
    assert spread.quantile(0.5) == 499.5
    for i in range(6):
        spread.add(pl.int_range(i * KEPT // 2, (i + 1) * KEPT // 2, eager=True))
    assert spread.count == 1000 + 3 * KEPT
    assert spread.max == 3 * KEPT - 1
    assert spread.quantile(0.25) == pytest.approx(0.75 * KEPT, rel=0.003)
    with pytest.raises(ValueError, match="no numbers"):
        Spread().quantile(0.5)


def test_values_are_numbers_or_names() -> None:
    values = Values()
    values.add(pl.Series(["1", "2.5", "de", None, "de", "fr"]))
    assert (values.numbers.count, values.numbers.max) == (2, 2.5)
    assert values.names.most_common(1) == [("de", 2)]
