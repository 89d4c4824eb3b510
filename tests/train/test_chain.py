"""All stages in one chain, each on what the one before left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import pairs, write_jsonl
from train.errors import RecipeError

Run = Callable[..., dict[str, Any]]

JUDGE = """
def short(prompt, answer, row):
    return -float(len(answer.split()))
"""


@pytest.fixture
def chain(recipe: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Pretraining, tuning, drawing, judging, a reward model, preference tuning, RL and comparing."""
    (tmp_path / "judge.py").write_text(JUDGE)
    rows = str(write_jsonl(tmp_path / "rows.jsonl", pairs(60, 5)))
    rule = [{"function": f"{tmp_path}/judge.py:short"}]
    tuning = {"model": "stage:sft", "max_length": 64, "heldout": 0.2, "batch": {"sequences": 8}, "steps": 4}
    recipe["prompts"] = ["what does the cat say 3 times"]
    recipe["stages"] += [
        {"stage": "sft", "data": rows, "max_length": 64, "batch": {"sequences": 8}, "steps": 12},
        {"stage": "sample", "data": rows, "answers": 3, "max_length": 64, "max_new_tokens": 10},
        {"stage": "score", "name": "judged", "data": "stage:sample", "rewards": rule},
        {"stage": "reward", "data": "stage:judged", **tuning},
        {"stage": "dpo", "data": "stage:judged", **tuning},
        {"stage": "grpo", "data": rows, "rewards": [{"model": "stage:reward"}], "max_new_tokens": 10, **tuning},
        {
            "stage": "evaluate", "models": ["stage:sft", "stage:dpo", "stage:grpo"], "data": rows,
            "rewards": rule, "prompts": 8, "max_new_tokens": 10, "max_length": 64,
        },
    ]  # fmt: skip
    return recipe


@pytest.mark.slow
def test_stages_chain_and_finished_ones_do_not_run_again(run: Run, chain: dict[str, Any]) -> None:
    result = run(chain)
    assert [stage["name"] for stage in result["stages"]] == [
        "pretrain", "sft", "sample", "judged", "reward", "dpo", "grpo", "evaluate",
    ]  # fmt: skip
    assert set(result["samples"][0]["answers"]) == {"pretrain", "sft", "dpo", "grpo"}
    assert [one["model"] for one in result["stages"][-1]["compared"]] == ["sft", "dpo", "grpo"]
    assert set(result["stages"][-1]["samples"][0]["answers"]) == {"sft", "dpo", "grpo"}
    report = (Path(chain["out"]) / "report.md").read_text()
    for name in ("pretrain", "sft", "reward", "dpo", "grpo"):
        assert f"| {name} | " in report.split("## What each stage is judged by")[1].split("\n## ")[0]
    assert run(chain) == result
    # Another judge: what came before it stands, what came after it does not.
    judge = Path(chain["stages"][3]["rewards"][0]["function"].rpartition(":")[0])
    judge.write_text(JUDGE.replace("-float", "float"))
    events: list[dict[str, Any]] = []
    run(chain, events)
    kept = {e["name"] for e in events if "done already" in e.get("message", "")}
    assert kept == {"pretrain", "sft", "sample"}


@pytest.mark.slow
def test_check_tries_every_stage(run: Run, chain: dict[str, Any], tmp_path: Path) -> None:
    from train.chain import checked
    from train.recipe import check_recipe

    small = checked(check_recipe(chain, where="recipe"), tmp_path / "check").model_dump(mode="json")
    events: list[dict[str, Any]] = []
    result = run(small, events, check=True)
    assert [stage["steps"] for stage in result["stages"] if "steps" in stage] == [2] * 5
    assert sum(e["event"] == "example" for e in events) >= 9
    json.dumps(result)


def test_stages_are_named_before_they_are_meant(chain: dict[str, Any], run: Run) -> None:
    for place, key, value, message in (
        (5, "data", "stage:juged", "stages.5: no earlier stage is called 'juged'; did you mean 'judged'?"),
        (4, "model", "stage:dpo", "stages.4: no earlier stage is called 'dpo'"),
    ):
        content = chain | {"stages": [dict(stage) for stage in chain["stages"]]}
        content["stages"][place][key] = value
        with pytest.raises(RecipeError) as caught:
            run(content)
        assert message in str(caught.value)
    with pytest.raises(RecipeError, match=r"stages\.0: the first stage has no previous model"):
        run(chain | {"stages": [chain["stages"][4] | {"model": "previous", "data": "x"}]})
