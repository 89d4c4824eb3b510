"""Semantic duplicates against brute force over all pairs, and how the rows come by their vectors."""

from __future__ import annotations

import json
import re
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from curate.engine.chain import run_command
from curate.grouping import semantic, vectors
from curate.io import files
from curate.jobs.dedupe import Dedupe
from curate.models.embedder import embedder
from curate.report.watch import Silent
from tests.command import results
from tests.grouping.corpora import dedupe, read_lines
from tests.grouping.embeddings import static_model, trained_model

Row = dict[str, Any]


def clouds(seed: int, middles: int, size: int, spread: float, dimensions: int = 24) -> NDArray[Any]:
    """Vectors around some middles, in random order; the cosines of those around one are 1 down to where `spread` takes them."""
    draw = np.random.default_rng(seed)
    middle = np.repeat(draw.normal(size=(middles, dimensions)), size, axis=0)
    found = middle + spread * draw.random((len(middle), 1)) * draw.normal(size=middle.shape)
    return found[draw.permutation(len(found))]


def rows_of(table: NDArray[Any]) -> list[Row]:
    return [{"id": str(i), "text": f"text {i}", "vector": row} for i, row in enumerate(np.round(table, 6).tolist())]


def cosines(table: NDArray[Any]) -> NDArray[Any]:
    """The cosine of each row with each before it; -2 with the others."""
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    found: NDArray[Any] = np.where(np.tri(len(unit), k=-1, dtype=bool), unit @ unit.T, -2)
    return found


def expected(table: NDArray[Any], threshold: float) -> set[int]:
    """Rows that no row before them resembles."""
    return set(np.flatnonzero(cosines(table).max(axis=1) < threshold).tolist())


def stays(kept: list[Row]) -> set[int]:
    return {int(row["id"]) for row in kept}


COLUMN: dict[str, Any] = {"methods": ["semantic"], "embedding_column": "vector"}


@pytest.mark.parametrize("threshold", [0.8, 0.95])
def test_one_group_meets_all_pairs(tmp_path: Path, threshold: float) -> None:
    table = clouds(1, middles=60, size=9, spread=0.7)
    kept, folder = dedupe(tmp_path, rows_of(table), semantic_threshold=threshold, **COLUMN)
    # Rounding moves a cosine by 0.0001 or so: what is that near to the limit may fall on either side.
    assert expected(table, threshold - 0.0005) <= stays(kept) <= expected(table, threshold + 0.0005)
    assert len(kept) < len(table)
    exact = cosines(table)
    dropped = read_lines(folder / "dropped")
    assert len(dropped) == len(table) - len(kept)
    for row in dropped:
        assert row["reason"] == "semantic_duplicate"
        twin, _, rest = row["value"].partition(" (cosine ")
        assert abs(float(rest.removesuffix(")")) - exact[int(row["id"])].max()) < 0.001
        assert abs(exact[int(row["id"]), int(twin)] - exact[int(row["id"])].max()) < 0.0005
    book = read_lines(folder / "clusters")
    assert sum(line["size"] - 1 for line in book) == len(dropped)
    assert {member["method"] for line in book for member in line["members"]} == {None, "semantic"}


def real_texts() -> list[list[str]]:
    """Words of pieces of 40 lines of the standard library's source."""
    found = []
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:70]:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        found += [re.findall(r"[a-z]{3,}", " ".join(lines[i : i + 40]).lower()) for i in range(0, len(lines), 20)]
    return [words for words in found if len(words) > 30][:1000]


def test_recall_floor_on_real_text(tmp_path: Path) -> None:
    texts = real_texts()
    assert len(texts) == 1000
    counts: dict[str, int] = {}
    for text in texts:
        for word in set(text):
            counts[word] = counts.get(word, 0) + 1
    common = {word for word, count in counts.items() if count > 4}
    texts = [[word for word in text if word in common] for text in texts]
    model = trained_model(tmp_path / "model", texts, size=48)
    given = [" ".join(text) for text in texts]
    table = embedder(str(model))(given)
    for threshold, groups, floor in ((0.98, 16, 0.99), (0.95, 40, 0.99)):
        right = expected(table, threshold)
        options = {"semantic_threshold": threshold, "semantic_groups": groups}
        rows = [{"id": str(i), "text": text} for i, text in enumerate(given)]
        kept, folder = dedupe(tmp_path / str(groups), rows, methods=["semantic"], embedding_model=str(model), **options)
        assert json.loads((folder / "stats.json").read_bytes())["results"]["group"]["groups"] == groups
        gone = set(range(len(table))) - stays(kept)
        assert not gone & expected(table, threshold - 0.0005)
        must_go = set(range(len(table))) - right
        assert len(must_go) > 100
        assert len(must_go & gone) >= floor * len(must_go)


def test_workers_and_cuts_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "in.jsonl"
    rows = rows_of(clouds(5, middles=40, size=8, spread=0.6))
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {**COLUMN, "semantic_groups": 9, "keep": "longest", "count": True}
    found = []
    for name, workers in (("one", 1), ("two", 2), ("cut", 2)):
        if name == "cut":
            monkeypatch.setattr(files, "SHARD_BYTES", 15_000)
            monkeypatch.setattr(semantic, "SLICE", 7)
            monkeypatch.setattr(semantic, "BLOCK", 5)
            monkeypatch.setattr(semantic, "HELD", 1)
            monkeypatch.setattr(vectors, "PRODUCTS", 50)
        run_command(Dedupe(input=(str(source),), **options), str(tmp_path / name), workers=workers, watcher=Silent())
        (path,) = (tmp_path / name).glob("**/stats.json")
        counts = json.loads(path.read_bytes())
        assert (counts["shards"] > 5) is (name == "cut")
        book = (path.parent / "clusters" / "clusters.jsonl.zst").read_bytes()
        whole = [row for part in ("data", "dropped") for row in read_lines(path.parent / part)]
        found.append((whole, book))
        if name == "two":
            assert results(path.parent).keys()
    assert found[0] == found[1] == found[2]


def test_equal_vectors_go_for_the_first_of_them(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": str(i), "vector": [1.0, 2.0 + (i % 3 == 0) * 9]} for i in range(3000)]
    kept, folder = dedupe(tmp_path, rows, count=True, semantic_threshold=0.9999, **COLUMN)
    assert [(row["id"], row["duplicates"]) for row in kept] == [("0", 1000), ("1", 2000)]
    assert json.loads((folder / "stats.json").read_bytes())["results"]["meet"]["largest_group"] == 2


def test_whom_to_keep(tmp_path: Path) -> None:
    rows = [{"id": str(i), "text": "x" * i, "vector": [1, 0.1 * i], "score": i % 3} for i in range(4)]
    assert stays(dedupe(tmp_path / "a", rows, semantic_threshold=0.9, keep="longest", **COLUMN)[0]) == {3}
    assert stays(dedupe(tmp_path / "b", rows, semantic_threshold=0.9, keep="best", **COLUMN)[0]) == {2}


def test_together_with_the_other_methods(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "text": "one two three", "vector": [1, 0]},
        {"id": "b", "text": "one two three", "vector": [0, 1]},
        {"id": "c", "text": "One, two, three!", "vector": [-1, 0]},
        {"id": "d", "text": "other words", "vector": [1, 0.01]},
        {"id": "e", "text": "more of them\n\nother words still stand in here", "vector": [1, -1]},
    ]
    kept, folder = dedupe(tmp_path, rows, methods=["exact", "near", "semantic", "line"], embedding_column="vector", count=True)
    assert [row["id"] for row in kept] == ["a", "e"]
    reasons = {row["id"]: (row["reason"], row["value"]) for row in read_lines(folder / "dropped")}
    assert reasons["b"] == ("exact_duplicate", "a")
    assert reasons["c"] == ("near_duplicate", "a (similarity 1.0)")
    assert reasons["d"] == ("semantic_duplicate", "a (cosine 1.0)")


def test_vectors_of_parquet(tmp_path: Path) -> None:
    table = clouds(7, middles=10, size=4, spread=0.3, dimensions=6).astype(np.float32)
    expected_rows = expected(table.astype(float), 0.95)
    for kind in (pl.List(pl.Float32), pl.Array(pl.Float64, 6)):
        frame = pl.DataFrame({"id": [str(i) for i in range(40)], "text": "x", "vector": pl.Series(table.tolist(), dtype=kind)})
        frame.write_parquet(tmp_path / "in.parquet")
        out = tmp_path / f"{kind.base_type()}.jsonl"
        run_command(Dedupe(input=(str(tmp_path / "in.parquet"),), **COLUMN), str(out), workers=1, watcher=Silent())
        assert stays([json.loads(line) for line in out.read_text().splitlines()]) == expected_rows


def test_short_and_empty_texts_with_a_model(tmp_path: Path) -> None:
    model = static_model(tmp_path / "model", {"cat": [1.0, 0.1], "dog": [1.0, 0.2], "sun": [0.0, 1.0]})
    texts = ["", "  ", "?", "unknown", "cat", "a dog", "sun", "CAT cat", "sun unknown", "cat sun"]
    rows = [{"id": str(i), "text": text} for i, text in enumerate(texts)]
    kept, folder = dedupe(tmp_path, rows, methods=["semantic"], embedding_model=str(model))
    assert stays(kept) == {0, 1, 2, 3, 4, 6, 9}
    assert json.loads((folder / "stats.json").read_bytes())["results"]["group"]["without_vector"] == 4


def test_nothing_has_no_duplicates(tmp_path: Path) -> None:
    model = static_model(tmp_path / "model", {"cat": [1.0, 0.1]})
    given: list[tuple[list[Row], dict[str, Any]]] = [
        ([{"text": None, "vector": [1]}], COLUMN),
        ([{"text": ""}, {"text": "?"}], {"methods": ["semantic"], "embedding_model": str(model), "semantic_groups": 3}),
        ([{"text": "cat"}], {"methods": ["semantic"], "embedding_model": str(model), "semantic_groups": 3}),
    ]
    for i, (rows, options) in enumerate(given):
        kept, _ = dedupe(tmp_path / str(i), rows, **options)
        assert len(kept) == sum(row["text"] is not None for row in rows)


def test_groups_are_one_for_few_rows_and_not_too_many_for_many() -> None:
    assert [semantic.default_groups(n) for n in (0, 1, 8192, 8193, 10**6, 10**9)] == [1, 1, 1, 3, 245, 44722]


def test_options_fit_together() -> None:
    for options in (
        {"methods": ["semantic"]},
        {"embedding_column": "vector"},
        {"methods": ["semantic"], "embedding_column": "v", "embedding_model": "m"},
        {**COLUMN, "index": "somewhere"},
    ):
        with pytest.raises(ValidationError, match="semantic"):
            Dedupe(**options)
