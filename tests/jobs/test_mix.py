"""`curate mix`: shares, budgets, repeats, and groups that stay together."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curate.engine.chain import run_command
from curate.errors import InputError, UsageError
from curate.jobs.mix import Mix
from curate.report.watch import Silent


def mixed(folder: Path, rows: list[dict[str, Any]], **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows of the mix, and its stats."""
    source = folder / "in.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    target = folder / "out.jsonl"
    run_command(Mix(input=(str(source),), **options), str(target), workers=1, watcher=Silent())
    stats = json.loads(next(folder.glob("out.jsonl.run/**/stats.json")).read_bytes())
    return [json.loads(line) for line in target.read_text().splitlines()], stats


def rows(**counts: int) -> list[dict[str, Any]]:
    return [
        {"id": f"{name}{i}", "text": "word " * (i % 7 + 1), "source": name, "n": i}
        for name, count in counts.items()
        for i in range(count)
    ]


def by_source(found: list[dict[str, Any]]) -> Counter[str]:
    return Counter(row["source"] for row in found)


def test_without_options_every_row_stays_once(tmp_path: Path) -> None:
    given = rows(a=50, b=30)
    found, _ = mixed(tmp_path, given)
    assert found == given


def test_weights_make_the_largest_mix_without_repeats(tmp_path: Path) -> None:
    found, stats = mixed(tmp_path, rows(a=3000, b=1000, c=500), weights={"a": 1, "b": 1})
    counts = by_source(found)
    assert counts["b"] == 1000
    assert abs(counts["a"] - 1000) <= 3
    assert counts["c"] == 0
    assert stats["rows_in"] == 4500 == len(found) + sum(stats["dropped"].values())
    table = stats["results"]["share"]["sources"]
    assert table["a"] == {"there": 3000, "wanted": 1000, "times": 0.3333, "unit": "rows"}
    assert table["c"]["wanted"] == 0


@pytest.mark.parametrize("unit", ["rows", "bytes", "words"])
def test_a_budget_is_met_in_its_unit(tmp_path: Path, unit: str) -> None:
    size = {"rows": lambda t: 1, "bytes": lambda t: len(t.encode()), "words": lambda t: len(t.split())}[unit]
    given = rows(a=4000, b=4000)
    budget = sum(size(row["text"]) for row in given) // 4
    found, _ = mixed(tmp_path, given, weights={"a": 0.75, "b": 0.25}, budget=budget, unit=unit)
    sizes = {name: sum(size(row["text"]) for row in found if row["source"] == name) for name in "ab"}
    assert sizes["a"] == pytest.approx(0.75 * budget, rel=0.01)
    assert sizes["b"] == pytest.approx(0.25 * budget, rel=0.01)


def test_a_larger_budget_takes_the_same_rows_and_more(tmp_path: Path) -> None:
    given = rows(a=900)
    taken = []
    for budget in (200, 500, 1200):
        folder = tmp_path / str(budget)
        folder.mkdir()
        found, _ = mixed(folder, given, budget=budget, max_repeats=2)
        taken.append(Counter(row.get("parent_id", row["id"]) for row in found))
    assert taken[0] <= taken[1] <= taken[2]
    assert [abs(sum(some.values()) - budget) <= 2 for some, budget in zip(taken, (200, 500, 1200), strict=True)] == [True] * 3
    assert set(taken[2].values()) == {1, 2}


def test_repeats_have_ids_of_their_own_and_name_their_parent(tmp_path: Path) -> None:
    found, _ = mixed(tmp_path, rows(a=10), budget=30, max_repeats=3)
    assert len({row["id"] for row in found}) == 30
    assert Counter(row["parent_id"] for row in found) == Counter({f"a{i}": 3 for i in range(10)})
    assert [row["id"] for row in found[:3]] == ["a0#1", "a0#2", "a0#3"]


def test_more_than_the_repeats_allow_is_an_error_that_says_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"50 rows of source 'b' are wanted and there are 10: set max_repeats to 5.00"):
        mixed(tmp_path, rows(a=100, b=10), weights={"a": 1, "b": 1}, budget=100)


def test_a_weight_of_an_unknown_source_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no row is of source 'wiki' .*did you mean 'wikis'"):
        mixed(tmp_path, rows(wikis=5, web=5), weights={"wiki": 1})


def test_rows_are_written_by_how_many_they_stand_for(tmp_path: Path) -> None:
    given = [{"id": str(i), "text": "x", "duplicates": count} for i, count in enumerate([1, 2, 9, 10, 1000, None])]
    found, _ = mixed(tmp_path, given, repeats={2: 2, 10: 3})
    written = Counter(row.get("parent_id", row["id"]) for row in found)
    assert written == Counter({"0": 1, "1": 2, "2": 2, "3": 3, "4": 3, "5": 1})
    (tmp_path / "odd").mkdir()
    with pytest.raises(InputError, match="row 7: 'duplicates' is 'many', no number"):
        mixed(tmp_path / "odd", [{"id": "7", "text": "x", "duplicates": "many"}], repeats={2: 2})


def test_groups_stay_on_one_side_and_every_source_gives_its_share(tmp_path: Path) -> None:
    given = rows(a=2000, b=400)
    for i, row in enumerate(given):
        if i % 4 == 0:
            row["cluster"] = i % 97
    found, _ = mixed(tmp_path, given, validation=0.1)
    sides: dict[Any, set[str]] = {}
    for row in found:
        if "cluster" in row:
            sides.setdefault(row["cluster"], set()).add(row["split"])
    assert all(len(side) == 1 for side in sides.values())
    assert {side for group in sides.values() for side in group} == {"train", "validation"}
    for name, count in (("a", 1500), ("b", 300)):
        held_out = sum(row["split"] == "validation" for row in found if row["source"] == name and "cluster" not in row)
        assert abs(held_out - count / 10) <= 2


def test_other_formats_and_a_missing_source_column(tmp_path: Path) -> None:
    given = [[{"role": "user", "content": f"Q{i}"}, {"role": "assistant", "content": f"A{i}"}] for i in range(20)]
    source = tmp_path / "chats.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in given))
    run_command(Mix(input=(str(source),), budget=40, max_repeats=2), str(tmp_path / "out.jsonl"), workers=1, watcher=Silent())
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(found) == 40
    texts = [json.dumps(row["messages"] if isinstance(row, dict) else row) for row in found]
    assert Counter(texts) == Counter({json.dumps(row): 2 for row in given})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": {"a": 0}}, "all weights are 0"),
        ({"weights": {"a": -1}}, "from 0 on"),
        ({"unit": "tokens"}, "needs a tokenizer"),
        ({"tokenizer": "x"}, "needs a tokenizer"),
        ({"repeats": {0: 2}}, "limits start at 1"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mix(**options)
