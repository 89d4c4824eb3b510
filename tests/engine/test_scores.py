"""How scores are spread: counts that add up, whatever the parts."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.declare import Batch, Filter, Rule
from curate.engine import rows
from curate.engine.chain import run_command
from curate.engine.rows import total
from curate.engine.scores import ScoreCounts, judge, summary
from curate.io import files, jsonl
from curate.jobs.clean import Clean
from curate.report.watch import Silent
from tests.command import stats, write_lines


class Count(Filter):
    """A score called as polars calls its own columns."""

    step: Literal["count"] = "count"

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("low", "count", min=1),)


class Three(Filter):
    """A number, a name and a piece of evidence."""

    step: Literal["three"] = "three"

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("low", "number", min=1),
            Rule("high", "number", max=10),
            Rule("other", "name", among=("a", "b")),
            Rule("twin", "evidence", among=()),
            Rule("off", "unseen"),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        return lambda batch: pl.DataFrame()


SCHEMA = {"__in": pl.Boolean, "number": pl.Float64, "name": pl.String, "evidence": pl.String}
Row = tuple[bool, float | None, str | None, str | None]


def counted(parts: list[list[Row]]) -> list[dict[str, Any]]:
    """The parts counted each on its own, and added up."""
    step = Three()
    taken = []
    for part in parts:
        counts = ScoreCounts()
        counts.add(0, step, judge(step, pl.DataFrame(part, schema=SCHEMA, orient="row")))
        taken.append(json.loads(json.dumps(counts.as_json())))
    return summary([step], total(taken))


def rounded(value: float) -> str:
    return f"{value + 0.0:.2g}"


names = st.sampled_from([None, "a", "b", "c", "d"])
table = st.lists(st.tuples(st.just(True), st.none() | st.floats(-1e9, 1e9, allow_subnormal=False), names, names), max_size=30)


@given(st.lists(table, min_size=1, max_size=4))
def test_counts_add_up_to_what_one_pass_over_all_rows_finds(parts: list[list[Row]]) -> None:
    (found,) = counted(parts)
    assert [found] == counted([[row for part in parts for row in part]])
    data = [row for part in parts for row in part]
    assert found["rows"] == len(data)
    if not data:
        return
    numbers = Counter({float(value): n for value, n in found["scores"]["number"]["numbers"].items()})
    expected = Counter(float(rounded(row[1])) for row in data if row[1] is not None)
    assert numbers.total() == expected.total()
    assert found["scores"]["number"]["null"] == sum(row[1] is None for row in data)
    # A tie may go either way: 0.145 is not exactly between 0.14 and 0.15.
    for value, other in zip(sorted(numbers.elements()), sorted(expected.elements()), strict=True):
        assert math.isclose(value, other, rel_tol=0.11)
    held = Counter(row[2] for row in data if row[2] is not None)
    assert found["scores"]["name"] == {"null": sum(row[2] is None for row in data), "names": dict(held), "rest": 0}
    assert found["scores"]["evidence"]["present"] == sum(row[3] is not None for row in data)
    rules = {rule["reason"]: rule for rule in found["rules"]}
    assert set(rules) == {"low", "high", "other", "twin"}
    assert rules["low"]["fails"] == rules["low"]["decided"] == sum(row[1] is not None and row[1] < 1 for row in data)
    assert rules["other"]["fails"] == sum(row[2] in ("c", "d") for row in data)
    assert sum(rule["decided"] for rule in rules.values()) == sum(
        (row[1] is not None and not 1 <= row[1] <= 10) or row[2] in ("c", "d") or row[3] is not None for row in data
    )


def test_values_that_are_no_numbers_are_counted_apart() -> None:
    values = [0.0, -0.0, 0.123, 0.1234, -45.6, 12345.0, math.inf, math.nan, math.nan, None, 1e300]
    (found,) = counted([[(True, value, None, None) for value in values], [(True, math.nan, None, None)]])
    assert found["scores"]["number"] == {
        "null": 1,
        "nan": 3,
        "numbers": {"-46": 1, "0": 2, "0.12": 2, "1.2e+04": 1, "1e+300": 1, "inf": 1},
    }
    assert list(found["scores"]["number"]["numbers"]) == ["-46", "0", "0.12", "1.2e+04", "1e+300", "inf"]
    assert {rule["reason"]: rule["fails"] for rule in found["rules"]} == {"low": 8, "high": 6, "other": 0, "twin": 0}


def test_a_score_may_be_called_count() -> None:
    counts = ScoreCounts()
    counts.add(0, Count(), judge(Count(), pl.DataFrame({"__in": [True, True], "count": [0, 7]})))
    (found,) = summary([Count()], counts.as_json())
    assert found["scores"]["count"]["numbers"] == {"0": 1, "7": 1}


def test_many_names_become_fifty_and_the_rest() -> None:
    data: list[Row] = [(True, None, f"n{i:03d}", None) for i in range(120) for _ in range(1 + i % 3)]
    (found,) = counted([data[:100], data[100:]])
    names = found["scores"]["name"]
    assert (len(names["names"]), sum(names["names"].values()) + names["rest"]) == (50, len(data))
    assert list(names["names"])[:2] == ["n002", "n005"]


def test_stats_hold_the_counts_whatever_the_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_lines(tmp_path / "in.jsonl", 300)
    steps = [{"step": "length", "min_words": 5}, {"step": "gopher_quality", "min_words": 30, "min_stop_words": 1}]
    steps.append({"step": "language"})
    job = Clean.model_validate({"input": [str(source)], "steps": steps, "max_errors": 99})
    run_command(job, str(tmp_path / "whole"), workers=1, watcher=Silent())
    monkeypatch.setattr(files, "SHARD_BYTES", 9000)
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 700)
    monkeypatch.setattr(rows, "PART_BYTES", 3000)
    run_command(job, str(tmp_path / "pieces"), workers=1, watcher=Silent())
    whole, pieces = stats(tmp_path / "whole"), stats(tmp_path / "pieces")
    assert json.dumps(pieces["filters"]) == json.dumps(whole["filters"])
    assert [entry["step"] for entry in whole["filters"]] == ["length", "gopher_quality", "language"]
    assert whole["filters"][0]["rows"] == whole["rows_in"] - whole["rejected"] - whole["dropped"]["read.no_text"]
    decided = {f"{f['step']}.{rule['reason']}": rule["decided"] for f in whole["filters"] for rule in f["rules"]}
    assert {k: n for k, n in decided.items() if n} == {k: n for k, n in whole["dropped"].items() if k != "read.no_text"}
    assert whole["filters"][0]["rules"][0] == {
        "reason": "too_few_chars", "score": "chars", "min": 1, "max": None, "among": None, "fails": 0, "decided": 0
    }  # fmt: skip
    assert "en" in whole["filters"][2]["scores"]["language"]["names"]
