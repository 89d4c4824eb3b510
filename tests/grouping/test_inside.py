"""Lines, paragraphs and spans that were there before, against plain Python over the whole of small corpora."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.engine.chain import run_command
from curate.errors import UsageError
from curate.io import files
from curate.jobs.dedupe import Dedupe
from curate.report.watch import Silent

Method = Literal["line", "paragraph", "span"]


def deduped(folder: Path, texts: list[str], *methods: Method, **options: Any) -> tuple[list[str | None], dict[str, Any]]:
    """What is left of each text, None where the row was dropped; and the stats."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "in.jsonl"
    source.write_text("".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts)))
    target = folder / "out.jsonl"
    run_command(Dedupe(input=(str(source),), methods=methods, **options), str(target), workers=1, watcher=Silent())
    left = {row["id"]: row["text"] for row in map(json.loads, target.read_text().splitlines())}
    (stats,) = (folder / "out.jsonl.run").glob("**/stats.json")
    return [left.get(str(i)) for i in range(len(texts))], json.loads(stats.read_bytes())


def words_of(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def without_lines(texts: list[str], least: int) -> list[str]:
    seen: set[tuple[str, ...]] = set()
    out = []
    for text in texts:
        kept = ""
        for line in re.findall(r"[^\n]*\n|[^\n]+\Z", text):
            words = tuple(words_of(line))
            if len(words) < least or words not in seen:
                kept += line
            if len(words) >= least:
                seen.add(words)
        out.append(kept.rstrip("\n") if kept != text else text)
    return out


def words_without_spans(texts: list[str], size: int) -> list[list[str]]:
    seen: set[tuple[str, ...]] = set()
    out = []
    for text in texts:
        words = words_of(text)
        gone: set[int] = set()
        for i in range(len(words) - size + 1):
            window = tuple(words[i : i + size])
            if window in seen:
                gone.update(range(i, i + size))
            seen.add(window)
        out.append([word for i, word in enumerate(words) if i not in gone])
    return out


LINES = st.lists(st.sampled_from(["a b c", "A, b: c!", "b", "", "c a d\n", "x y z w", "  "]), max_size=6).map("\n".join)
SMALL = st.lists(st.sampled_from("abc"), max_size=25).map(" ".join)
FEW = settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FEW
@given(texts=st.lists(LINES.filter(str.strip), min_size=1, max_size=5))
def test_lines(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    found, _ = deduped(tmp_path_factory.mktemp("lines"), texts, "line", min_unit_words=3, min_words_left=0)
    assert found == without_lines(texts, 3)


@FEW
@given(texts=st.lists(SMALL.filter(bool), min_size=1, max_size=5), size=st.sampled_from([2, 3, 5]))
def test_spans(tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int) -> None:
    found, _ = deduped(tmp_path_factory.mktemp("spans"), texts, "span", span_words=size, min_words_left=0)
    assert [words_of(text or "") for text in found] == words_without_spans(texts, size)


def test_paragraphs_lose_their_blank_lines_too(tmp_path: Path) -> None:
    texts = ["One two three.\n\nFour\nfive six.\n\nLast words here.", "New start now.\n\nfour FIVE\nsix\n\n\nOne, two, three!"]
    found, stats = deduped(tmp_path, texts, "paragraph", min_unit_words=3)
    assert found == [texts[0], "New start now."]
    assert sum(stats["results"]["match_paragraphs"]["repeated"] for _ in [0]) == 2


def test_short_lines_stay_and_rows_with_nothing_left_go_with_a_reason(tmp_path: Path) -> None:
    texts = ["A line of five words.\nYes.", "Yes.\nA line of five words.", "A line of five words.", "Yes."]
    found, stats = deduped(tmp_path, texts, "line")
    assert found == [texts[0], "Yes.", None, "Yes."]
    assert stats["dropped"] == {"repeats.little_left": 1}


def test_methods_combine_and_whole_duplicates_count_for_nothing(tmp_path: Path) -> None:
    first = "The first line is said here once.\nAnother line that only one row has at first."
    texts = [
        "Unlike the others, this row stands alone.",
        first,
        first,
        "New words before it all.\nThe first line is said here once.",
    ]
    found, stats = deduped(tmp_path, texts, *("exact", "line"))  # type: ignore[arg-type]
    assert found == [texts[0], first, None, "New words before it all."]
    assert stats["dropped"] == {"duplicates.exact_duplicate": 1}


def test_many_shards_see_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SHARD_BYTES", 400)
    lines = [f"This is line number {i % 40} of the whole book." for i in range(200)]
    texts = ["\n".join(lines[i : i + 5]) for i in range(0, 200, 5)]
    found, stats = deduped(tmp_path, texts, "line")
    assert stats["shards"] > 5
    assert found == [text if i < 8 else None for i, text in enumerate(texts)]


def test_formats_without_one_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    job = Dedupe(input=(str(tmp_path / "in.jsonl"),), methods=("line",))
    with pytest.raises(UsageError, match="only the text format"):
        run_command(job, str(tmp_path / "out.jsonl"), workers=1, watcher=Silent())
