from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import pairs, write_jsonl
from tests.train.test_score import JUDGE
from train.errors import DataError, RecipeError

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def comparing(base: str, speaker: str, shards: Path, tmp_path: Path) -> dict[str, Any]:
    """A recipe that compares a model that was tuned with what it was before."""
    (tmp_path / "judge.py").write_text(JUDGE + "\ndef right(prompt, answer, row):\n    return answer == row['output']\n")
    stage = {
        "stage": "evaluate",
        "models": [base, speaker],
        "data": str(write_jsonl(tmp_path / "rows.jsonl", pairs(20, 9))),
        "rewards": [{"function": f"{tmp_path}/judge.py:right"}],
        "text": str(shards),
        "max_length": 48,
        "max_new_tokens": 14,
        "prompts": 12,
        "temperature": 0.0,
    }
    return {"out": str(tmp_path / "out"), "threads": 1, "device": "cpu", "stages": [stage]}


def test_models_side_by_side(run: Run, comparing: dict[str, Any]) -> None:
    stage = run(comparing)["stages"][0]
    before, after = stage["compared"]
    assert stage["prompts"] == 12
    assert after["reward"] > before["reward"]
    assert after["interval"][0] <= after["win_rate"] <= after["interval"][1]
    assert after["win_rate"] > 0.5 == stage["measure"]["before"]
    assert 0 < before["bits_per_byte"] < after["bits_per_byte"]
    rows = [json.loads(line) for line in (Path(comparing["out"]) / "evaluate/data/rows.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    for place, model in enumerate((before, after)):
        assert sum(row["answers"][place]["reward"] for row in rows) / 12 == pytest.approx(model["reward"])
    report = (Path(comparing["out"]) / "report.md").read_text()
    assert "win rate against `pretrain`" in report
    assert "| evaluate | win rate of sft against pretrain (higher is better) | 0.5000 |" in report


def test_a_model_against_itself_is_a_tie(run: Run, comparing: dict[str, Any], speaker: str) -> None:
    comparing["stages"][0] |= {"models": [speaker, speaker], "temperature": 1.0, "text": None}
    first, second = run(comparing)["stages"][0]["compared"]
    assert first["reward"] == second["reward"]
    assert (second["win_rate"], second["interval"]) == (0.5, [0.5, 0.5])
    assert (first["model"], second["model"]) == ("sft (1)", "sft (2)")


def test_what_cannot_be_compared_is_one_line(run: Run, comparing: dict[str, Any], shards: Path) -> None:
    with pytest.raises(RecipeError, match="no earlier stage is called 'dpo'"):
        run(comparing | {"stages": [comparing["stages"][0] | {"models": ["stage:dpo"]}]})
    with pytest.raises(DataError, match="is no folder of a model"):
        run(comparing | {"stages": [comparing["stages"][0] | {"models": [str(shards)]}]})
    with pytest.raises(DataError, match="no prompt left to answer of 20 rows"):
        run(comparing | {"stages": [comparing["stages"][0] | {"max_new_tokens": 46}]})


def test_lm_eval_that_is_not_there_is_a_line(run: Run, comparing: dict[str, Any]) -> None:
    import importlib.util

    if importlib.util.find_spec("lm_eval"):
        pytest.skip("lm_eval is installed")
    comparing["stages"][0] |= {"lm_eval": ["arc_easy"], "text": None, "prompts": 2}
    events: list[dict[str, Any]] = []
    run(comparing, events)
    assert sum("lm_eval is not installed" in e.get("message", "") for e in events) >= 1


def test_the_interval_of_a_mean() -> None:
    from train.intervals import bootstrap

    low, high = bootstrap([0.0, 1.0] * 50)
    assert (low, high) == bootstrap([0.0, 1.0] * 50)
    # Half a width of 1.96 standard errors: 0.098.
    assert low == pytest.approx(0.402, abs=0.015)
    assert high == pytest.approx(0.598, abs=0.015)
