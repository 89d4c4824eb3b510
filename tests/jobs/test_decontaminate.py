"""`curate decontaminate`: what counts as a match, what does not, and what is written of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from pydantic import ValidationError

from curate.engine.chain import run_command
from curate.errors import InputError, UsageError
from curate.formats.items import Item, item_of
from curate.formats.overlap import ItemIndex
from curate.jobs.decontaminate import Decontaminate
from curate.report.watch import Silent

LONG = (
    "A farmer keeps seventeen goats and forty three hens in two barns near the river, and every morning he "
    "collects one egg from each hen but loses two of them on the way. How many eggs does he bring home in a week?"
)
SHORT = "Who painted the ceiling of the old chapel in Padua?"
OTHER = "The tide came in late that evening and the boats lay waiting in the harbour until the moon stood high above them. "


def decontaminated(
    folder: Path, texts: list[str], items: list[dict[str, Any]], **options: Any
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any]]:
    """The rows that are written, the matches, and the stats."""
    (folder / "in.jsonl").write_text("".join(json.dumps({"id": f"d{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    (folder / "bench.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    job = Decontaminate(input=(str(folder / "in.jsonl"),), against=(str(folder / "bench.jsonl"),), **options)
    run_command(job, str(folder / "out.jsonl"), workers=1, watcher=Silent())
    stats = next((folder / "out.jsonl.run").glob("**/stats.json"))
    matches: list[dict[str, Any]] = []
    for path in sorted((stats.parent / "matches").glob("*.zst")):
        unpacked = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
        matches += [json.loads(line) for line in unpacked.splitlines()]
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    return rows, matches, json.loads(stats.read_bytes())


def overlap(text: str, question: str, answer: str = "", *others: str, **limits: Any) -> list[float]:
    """Overlaps of the matches of one text with one item among others."""
    import polars as pl

    from curate.analysis import text_buffers
    from curate.kernels.words import words

    items = [Item("b", i, q, answer if not i else "") for i, q in enumerate((question, *others))]
    found = words(*text_buffers(pl.Series([text])))
    return [match.overlap for match in ItemIndex(items).matches(found, **({"run": 13, "overlap": 0.7} | limits))]


def test_case_punctuation_and_space_do_not_hide_an_item() -> None:
    hidden = LONG.upper().replace(" ", "\n  ").replace(",", " --").replace("?", "")
    assert overlap(OTHER + hidden + " " + OTHER, LONG) == [pytest.approx(1)]


def test_changed_words_do_not_hide_an_item() -> None:
    edited = LONG.replace("seventeen", "12").replace("morning", "day").replace("week", "month")
    assert max(len(part.split()) for part in edited.split("day")) > 13
    (found,) = overlap(edited, LONG, run=None, overlap=0.5)
    assert 0.5 < found < 0.8


def test_a_run_of_thirteen_words_is_a_match_and_one_of_twelve_is_not() -> None:
    words = LONG.split()
    assert len(overlap(OTHER + " ".join(words[4:17]) + " . " + OTHER, LONG, overlap=None)) == 1
    assert overlap(OTHER + " ".join(words[4:16]) + " . " + OTHER, LONG, overlap=None) == []


def test_an_overlap_at_its_limit_is_a_match_and_below_it_is_not() -> None:
    words = LONG.split()
    half = " ".join(words[: len(words) // 2])
    (at,) = overlap(half, LONG, run=None, overlap=0.1)
    assert len(overlap(half, LONG, run=None, overlap=at)) == 1
    assert overlap(half, LONG, run=None, overlap=at + 1e-6) == []


def test_pieces_of_an_item_spread_over_a_long_text_are_no_match() -> None:
    words = LONG.split()
    pieces = [" ".join(words[i : i + 6]) for i in range(0, len(words), 6)]
    assert overlap(" . ".join(pieces), LONG, run=None, overlap=0.25) != []
    assert overlap((OTHER * 9).join(pieces), LONG, run=None, overlap=0.25) == []


def test_a_short_question_needs_its_answer_near() -> None:
    assert overlap(f"{OTHER} {SHORT} It was Giotto. {OTHER}", SHORT, "Giotto") == [pytest.approx(1)]
    assert overlap(f"{OTHER} {SHORT} Nobody knows. {OTHER}", SHORT, "Giotto") == []
    assert overlap(f"Giotto. {OTHER * 20} {SHORT} {OTHER * 20} Giotto.", SHORT, "Giotto") == []
    assert overlap(f"{OTHER} {SHORT} {OTHER}", SHORT) == [pytest.approx(1)], "eight words and no answer to look for"
    assert overlap("What is the capital of France? Ask again.", "What is the capital of France?") == []


def test_the_template_of_a_benchmark_is_no_match() -> None:
    template = "Read the passage below with care and choose the best of the four answers that follow it. "
    others = [f"{template} Item number {i} asks about the {i}th king and his {i * 7} horses." for i in range(200)]
    assert overlap(template + OTHER, others[0], "", *others[1:]) == []
    assert overlap(others[3], others[0], "", *others[1:]) != []


def test_rows_that_repeat_themselves_take_no_longer() -> None:
    phrase = "buffalo " * 6
    assert (
        overlap("buffalo " * 200_000, phrase + "herd", "", *[f"{phrase} {i}" for i in range(8)], run=None, overlap=0.99) == []
    )


def test_dropped_rows_name_the_item_and_every_match_is_written(tmp_path: Path) -> None:
    items = [{"question": LONG, "answer": "287"}, {"question": SHORT, "answer": "Giotto"}, {"question": "Why?"}]
    texts = [OTHER, f"{OTHER}{LONG} He brings 287. {OTHER}", f"{LONG} {SHORT} Giotto."]
    rows, matches, stats = decontaminated(tmp_path, texts, items)
    assert [row["id"] for row in rows] == ["d0"]
    assert [(m["id"], m["item_row"], m["answered"], m["reason"]) for m in matches] == [
        ("d1", 0, True, "shared_run"),
        ("d2", 0, False, "shared_run"),
        ("d2", 1, True, "holds_item"),
    ]
    assert matches[0]["text"] == LONG.rstrip("?")
    assert matches[0]["question"] == LONG
    assert stats["dropped"] == {"contamination.shared_run": 2}
    assert stats["results"]["report"]["benchmarks"] == {
        "bench.jsonl": {"items": 3, "sought": 2, "met": 2, "met with the answer": 2, "rows": 2}
    }


def test_cutting_leaves_the_rest_and_tagging_leaves_all(tmp_path: Path) -> None:
    texts = [f"Über alles: {LONG} Ende. {OTHER}", OTHER]
    for action in ("cut", "tag"):
        (tmp_path / action).mkdir()
    cut, _, _ = decontaminated(tmp_path / "cut", texts, [{"question": LONG}], action="cut")
    assert [row["text"] for row in cut] == [f"Über alles: ? Ende. {OTHER}", OTHER]
    tagged, _, _ = decontaminated(tmp_path / "tag", texts, [{"question": LONG}], action="tag")
    assert [row["text"] for row in tagged] == texts
    assert [(row.get("contaminated_by"), row.get("contamination")) for row in tagged] == [
        ("bench.jsonl#0", pytest.approx(1)),
        (None, None),
    ]


def test_cut_is_for_texts(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"instruction": LONG, "output": "287"}) + "\n")
    (tmp_path / "bench.jsonl").write_text(json.dumps({"question": LONG}) + "\n")
    job = Decontaminate(input=(str(tmp_path / "in.jsonl"),), against=(str(tmp_path / "bench.jsonl"),), action="cut")
    with pytest.raises(UsageError, match="action cut is for the text format"):
        run_command(job, str(tmp_path / "out.jsonl"), workers=1, watcher=Silent())


@pytest.mark.parametrize(
    ("row", "item"),
    [
        ({"question": "Q?", "answer": "A"}, ("Q?", "A")),
        ({"question": "Q?", "choices": ["x", "y"], "answer": 1}, ("Q?", "y")),
        ({"question": "Q?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}, "answer": "B"}, ("Q?", "y")),
        ({"question": "Q?", "context": "C", "answers": {"text": ["A", "B"], "answer_start": [1]}}, ("Q?", "A\nB")),
        ({"prompt": "def f():", "canonical_solution": "  return 1"}, ("def f():", "return 1")),
        ({"instruction": "Do", "input": "this", "output": "done", "text": "all of it"}, ("Do\nthis", "done")),
        ({"text": "T", "label": 1}, ("T", "")),
        ([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], ("Q", "A")),
        ({"nothing": 1}, ("", "")),
    ],
)
def test_questions_and_answers_are_found_by_their_usual_names(row: Any, item: tuple[str, str]) -> None:
    assert item_of(row, (), ()) == item


def test_mistakes_are_told(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "bench.jsonl").write_text('{"frage": "Warum ist der Himmel am Abend rot?"}\n')

    def run(**options: Any) -> None:
        job = Decontaminate(input=(str(tmp_path / "in.jsonl"),), **options)
        run_command(job, str(tmp_path / "out.jsonl"), workers=1, watcher=Silent())

    with pytest.raises(InputError, match=r"bench.jsonl: row 0 holds no question \(frage\); name its columns with --questions"):
        run(against=(str(tmp_path / "bench.jsonl"),))
    with pytest.raises(InputError, match="did you mean 'frage'"):
        run(against=(str(tmp_path / "bench.jsonl"),), questions=("fragen",))
    with pytest.raises(InputError, match="no-such"):
        run(against=(str(tmp_path / "no-such.jsonl"),))
    with pytest.raises(ValidationError, match="nothing would ever match"):
        Decontaminate(against=("x",), ngram=None, min_overlap=None)
