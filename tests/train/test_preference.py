from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import ranked, write_jsonl
from tests.train.test_pretrain import Ending
from tests.train.test_reward import pairs_of
from train.errors import DataError, Interrupted, TrainError
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def preferring(base: str, tmp_path: Path) -> dict[str, Any]:
    """A recipe that prefers the better of 60 pairs."""
    stage = {
        "stage": "dpo",
        "model": base,
        "data": str(write_jsonl(tmp_path / "pairs.jsonl", pairs_of(ranked(60, 5)))),
        "heldout": 0.2,
        "max_length": 64,
        "batch": {"sequences": 8, "micro": 4},
        "optimizer": {"lr": 1e-3},
        "steps": 10,
    }
    return {"out": str(tmp_path / "out"), "threads": 1, "device": "cpu", "stages": [stage]}


def with_rows(recipe: dict[str, Any], tmp_path: Path, rows: list[Any], **options: Any) -> dict[str, Any]:
    stage = recipe["stages"][0] | {"data": str(write_jsonl(tmp_path / "other.jsonl", rows))} | options
    return recipe | {"stages": [stage], "out": str(tmp_path / "other")}


def test_dpo_prefers_what_was_chosen_and_tells_how_far_it_went(run: Run, preferring: dict[str, Any]) -> None:
    stage = run(preferring)["stages"][0]
    assert stage["loss_before"] == pytest.approx(math.log(2), abs=1e-6)
    assert stage["loss_after"] < 0.6
    assert stage["implicit_reward_accuracy"] > 0.9
    assert stage["implicit_reward_good"] > stage["implicit_reward_bad"]
    assert stage["kl"] > 0.01
    lines = [json.loads(line) for line in (Path(preferring["out"]) / "dpo" / "metrics.jsonl").read_text().splitlines()]
    # Of TRL's trainer: at its first step policy and reference are one model.
    assert lines[0]["loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert lines[0]["rewards_margins"] == pytest.approx(0, abs=1e-5)
    assert lines[-1]["loss"] < lines[0]["loss"]


@pytest.mark.parametrize("options", [{"loss": "ipo", "beta": 0.5}, {"loss": "hinge"}, {"lora": {"rank": 4, "alpha": 16}}])
def test_other_losses_and_adapters_learn_too(run: Run, preferring: dict[str, Any], options: dict[str, Any]) -> None:
    preferring["stages"][0] |= {"optimizer": {"lr": 3e-3}, **options}
    stage = run(preferring)["stages"][0]
    assert stage["loss_after"] < stage["loss_before"]
    assert stage["implicit_reward_accuracy"] > 0.8
    if "lora" in options:
        names = [path.name for path in (Path(preferring["out"]) / "dpo" / "model").iterdir()]
        assert "model.safetensors" in names
        assert not any("adapter" in name for name in names)


def test_rankings_make_all_their_pairs(run: Run, preferring: dict[str, Any], tmp_path: Path) -> None:
    stage = run(with_rows(preferring, tmp_path, ranked(30, 5), epochs=1.0, steps=None))["stages"][0]
    assert stage["steps"] == math.ceil(3 * stage["rows_trained"] / 8)


def test_kto_learns_from_labels_pairs_and_ranks(run: Run, preferring: dict[str, Any], tmp_path: Path) -> None:
    labelled = [
        {"prompt": row["instruction"], "completion": row[side], "label": side == "chosen"}
        for row in pairs_of(ranked(60, 5))
        for side in ("chosen", "rejected")
    ]
    for rows in (labelled, pairs_of(ranked(60, 5)), ranked(60, 5)):
        options = {"stage": "kto", "optimizer": {"lr": 3e-3}, "name": f"kto{len(rows[0])}"}
        stage = run(with_rows(preferring, tmp_path, rows, **options))["stages"][0]
        assert stage["loss_before"] == pytest.approx(0.5)
        assert stage["loss_after"] < 0.49
        assert stage["implicit_reward_accuracy"] > 0.8


@pytest.mark.parametrize(
    "kind",
    [
        {"stage": "dpo"},
        pytest.param({"stage": "kto"}, marks=pytest.mark.slow),
        pytest.param({"stage": "dpo", "lora": {"rank": 4}}, marks=pytest.mark.slow),
    ],
)
def test_a_broken_off_run_goes_on_with_the_same_losses(
    run: Run, preferring: dict[str, Any], tmp_path: Path, kind: dict[str, Any]
) -> None:
    preferring["stages"][0] |= {"save": {"every": 4}, "eval": {"every": 9}, **kind}
    whole = copy.deepcopy(preferring) | {"out": str(tmp_path / "whole")}
    one = run(whole)["stages"][0]
    interrupts = Interrupts()
    with pytest.raises(Interrupted):
        run(preferring, Ending(interrupts, False), interrupts=interrupts)
    events: list[dict[str, Any]] = []
    two = run(preferring, events)["stages"][0]
    assert next(e for e in events if e["event"] == "start")["resumed_at"] == 9
    for key in ("loss_after", "kl", "tokens", "implicit_reward_accuracy"):
        assert one[key] == two[key], key


def test_a_reference_that_is_another_model_stops_the_run(base: str) -> None:
    import torch

    from train.device import Device
    from train.model import load
    from train.policy import check_reference

    one, other = load(base), load(base)
    rows = [([5, 6, 7], [8, 9])]
    check_reference(one, other, rows, Device("cpu"), "float32")
    with torch.no_grad():
        other.model.layers[0].mlp.down_proj.weight.mul_(2)
    with pytest.raises(TrainError, match="the reference is not the model that is trained"):
        check_reference(one, other, rows, Device("cpu"), "float32")


def test_broken_weights_are_one_line(run: Run, preferring: dict[str, Any], base: str, tmp_path: Path) -> None:
    import torch

    from train.model import load, load_tokenizer, save

    model = load(base)
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.fill_(math.nan)
    save(model, load_tokenizer(base), tmp_path / "broken", [2])
    for stage, message in (("dpo", "the reference is not the model"), ("reward", "gives a score that is no finite number")):
        options = preferring["stages"][0] | {"stage": stage, "model": str(tmp_path / "broken")}
        with pytest.raises(TrainError, match=message):
            run(preferring | {"stages": [options]})
    # Or they break on the way.
    wild = preferring["stages"][0] | {"stage": "reward", "optimizer": {"lr": 1e30, "clip": 0, "warmup": 0}}
    with pytest.raises(TrainError, match=r"reward: at step . the loss is"):
        run(preferring | {"stages": [wild]})


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"instruction": "a", "chosen": "b", "rejected": "b"}] * 9, {}, "dropped: 9 same_answers"),
        (pairs_of(ranked(9, 1)), {"max_length": 12}, "dropped: 9 too_long"),
        (pairs_of(ranked(9, 1)), {"max_length": 65}, "is made for 64 positions, max_length is 65"),
        ([{"instruction": "a", "output": "b"}], {"stage": "kto"}, "its answers have no label, rank or score"),
        ([{"instruction": str(i), "output": "b", "label": True} for i in range(20)], {"stage": "kto"}, "is no bad answer"),
        ([{"instruction": "a", "output": "b", "label": "yes"}], {"stage": "kto"}, "label is 'yes', not true or false"),
    ],
)
def test_rows_that_cannot_be_preferred_are_one_line(
    run: Run, preferring: dict[str, Any], tmp_path: Path, rows: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        run(with_rows(preferring, tmp_path, rows, **options))
    assert "\n" not in str(caught.value)
