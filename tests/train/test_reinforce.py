from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import pairs, ranked, write_jsonl
from train.errors import DataError, Interrupted, RecipeError, TrainError
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]

JUDGE = """
def thanks(prompt, answer, row):
    assert prompt[0]["role"] == "user" and row["instruction"] == prompt[0]["content"]
    return answer.count("the") / (1 + len(answer.split()))

def nothing(prompt, answer, row):
    return None

def broken(prompt, answer, row):
    raise KeyError("colour")
"""


@pytest.fixture
def reinforcing(speaker: str, tmp_path: Path) -> dict[str, Any]:
    """A recipe that rewards a word, in steps of two prompts with four answers each."""
    (tmp_path / "judge.py").write_text(JUDGE)
    stage = {
        "stage": "grpo",
        "model": speaker,
        "data": str(write_jsonl(tmp_path / "prompts.jsonl", pairs(30, 7))),
        "rewards": [{"function": f"{tmp_path}/judge.py:thanks"}],
        "heldout": 0.3,
        "max_length": 64,
        "max_new_tokens": 12,
        "group": 4,
        "batch": {"sequences": 8},
        "optimizer": {"lr": 3e-3},
        "steps": 6,
    }
    return {"out": str(tmp_path / "out"), "threads": 1, "device": "cpu", "stages": [stage]}


class AfterStep(list[dict[str, Any]]):
    """Asks the run to stop once this step is done."""

    def __init__(self, step: int, interrupts: Interrupts) -> None:
        super().__init__()
        self.step, self.interrupts = step, interrupts

    def append(self, event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["step"] >= self.step:
            self.interrupts.asked = True
        super().append(event)


def metrics(out: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(out) / name / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
def test_answers_earn_more_and_the_distance_gone_is_told(run: Run, reinforcing: dict[str, Any], kind: str) -> None:
    reinforcing["stages"][0] |= {"stage": kind, "steps": 10}
    stage = run(reinforcing)["stages"][0]
    assert stage["measure"]["after"] > stage["measure"]["before"]
    assert stage["kl"] > 0
    low, high = stage["reward_gain_interval"]
    assert low <= stage["measure"]["after"] - stage["measure"]["before"] <= high
    lines = metrics(reinforcing["out"], kind)
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert {"reward", "reward_std", "kl", "completions_mean_length", "tokens"} <= set(lines[0])


def test_a_reward_model_and_a_function_add_up(run: Run, reinforcing: dict[str, Any], base: str, tmp_path: Path) -> None:
    rank = {
        "stage": "reward", "model": base, "data": str(write_jsonl(tmp_path / "ranked.jsonl", ranked(40, 5))),
        "heldout": 0.2, "max_length": 64, "batch": {"sequences": 8}, "steps": 4,
    }  # fmt: skip
    function = reinforcing["stages"][0]["rewards"][0]["function"]
    reinforcing["stages"][0] |= {
        "rewards": [{"model": "stage:reward", "weight": 0.5}, {"function": function, "weight": 2.0}],
        "steps": 2,
    }
    reinforcing["stages"].insert(0, rank)
    stage = run(reinforcing)["stages"][1]
    assert stage["steps"] == 2
    from train.config import RewardSource
    from train.device import open_device
    from train.recipe import check_recipe
    from train.report import Reporter
    from train.rewards import open_judges, total
    from train.stage import Context

    recipe = check_recipe(reinforcing, where="recipe")
    out = Path(reinforcing["out"])
    context = Context(recipe, "x", out, None, "", open_device("cpu", 1), Reporter(True), Interrupts(), False)
    asked = [
        ([{"role": "user", "content": "what"}], text, {"instruction": "what"}) for text in ("the cat", "the the", "x" * 500)
    ]
    parts = [open_judges([RewardSource(**source)], context, 64, "float32") for source in reinforcing["stages"][1]["rewards"]]
    both = total([*parts[0], *parts[1]], asked)
    assert both[2] is None
    for i in (0, 1):
        alone = [total(part, asked)[i] or 0.0 for part in parts]
        assert both[i] == pytest.approx(sum(alone))


@pytest.mark.parametrize("kind", ["grpo", "rloo"])
def test_a_broken_off_run_goes_on_with_the_same_losses(
    run: Run, reinforcing: dict[str, Any], tmp_path: Path, kind: str
) -> None:
    reinforcing["stages"][0] |= {"stage": kind, "save": {"every": 2}, "batch": {"sequences": 8, "micro": 4}}
    whole = copy.deepcopy(reinforcing) | {"out": str(tmp_path / "whole")}
    one = run(whole)["stages"][0]
    with pytest.raises(Interrupted):
        run(reinforcing, AfterStep(3, interrupts := Interrupts()), interrupts=interrupts)
    two = run(reinforcing)["stages"][0]
    for key in ("measure", "kl", "tokens", "length_after"):
        assert one[key] == two[key], key

    def losses(out: str) -> list[tuple[float, float]]:
        return [(line["loss"], line["reward"]) for line in metrics(out, kind)]

    assert losses(reinforcing["out"]) == losses(whole["out"])


def test_what_cannot_be_rewarded_is_one_line(run: Run, reinforcing: dict[str, Any], tmp_path: Path, speaker: str) -> None:
    cases: list[tuple[dict[str, Any], type[TrainError], str]] = [
        ({"rewards": [{"function": f"{tmp_path}/judge.py:nothing"}]}, TrainError, "gave None for the answer"),
        ({"rewards": [{"function": f"{tmp_path}/judge.py:broken"}]}, TrainError, "KeyError: 'colour'"),
        ({"rewards": [{"function": f"{tmp_path}/judge.py:absent"}]}, DataError, "has no function absent"),
        ({"rewards": [{"function": f"{tmp_path}/none.py:f"}]}, DataError, "none.py: no such file"),
        ({"rewards": [{"model": speaker}]}, DataError, "is no reward model"),
        ({"rewards": [{"model": str(tmp_path)}]}, DataError, "is no folder of a model"),
        ({"rewards": [{}]}, RecipeError, "name a model or a function"),
        ({"rewards": [{"model": "stage:rewrd"}]}, RecipeError, "no earlier stage is called 'rewrd'"),
        ({"group": 3}, RecipeError, "must be a multiple of group 3"),
        ({"batch": {"sequences": 400}}, DataError, "a step takes 100 prompts"),
        ({"max_new_tokens": 60}, DataError, "no prompt left to train on"),
    ]
    for options, kind, message in cases:
        with pytest.raises(kind, match=message) as caught:
            run(reinforcing | {"stages": [reinforcing["stages"][0] | options]})
        assert "\n" not in str(caught.value)
