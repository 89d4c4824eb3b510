from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from train import model as models
from train.config import Architecture, Batch, Optimizer
from train.device import Device
from train.errors import DataError, Interrupted, TrainError
from train.evaluate import loss_sum
from train.optimizer import build_optimizer, rate
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]


def losses(out: str, key: str = "loss") -> list[tuple[int, float]]:
    lines = (Path(out) / "pretrain" / "metrics.jsonl").read_text().splitlines()
    return [(entry["step"], entry[key]) for entry in map(json.loads, lines) if key in entry]


def test_the_loss_falls_on_heldout_text(run: Run, recipe: dict[str, Any]) -> None:
    recipe["prompts"] = ["the cat"]
    recipe["stages"][0]["eval"] = {"every": 8}
    events: list[dict[str, Any]] = []
    result = run(recipe, events)
    stage = result["stages"][0]
    assert abs(stage["loss_before"] - math.log(stage_vocab(recipe))) < 1
    assert stage["loss_after"] < stage["loss_before"] - 2
    shard = json.loads((Path(recipe["stages"][0]["data"]) / "tokens.json").read_text())["splits"]["validation"][0]
    bits = stage["loss_after"] / math.log(2) * shard["tokens"] / shard["bytes"]
    assert stage["bits_per_byte_after"] == pytest.approx(bits)
    assert stage["tokens"] == 24 * 8 * 32
    assert [step for step, _ in losses(recipe["out"])] == list(range(1, 25))
    assert [step for step, _ in losses(recipe["out"], "heldout_loss")] == [0, 8, 16]
    assert result["samples"][0]["answers"]["pretrain"]
    assert [e["event"] for e in events if e["event"] not in ("step", "note")] == [
        "start",
        "eval",
        "eval",
        "stage_done",
        "done",
    ]
    assert "| pretrain |" in (Path(recipe["out"]) / "report.md").read_text()
    assert not (Path(recipe["out"]) / "pretrain" / "checkpoint").exists()


def stage_vocab(recipe: dict[str, Any]) -> int:
    return int(json.loads((Path(recipe["stages"][0]["data"]) / "tokens.json").read_text())["vocab_size"])


class Ending(list[dict[str, Any]]):
    """Ends the run at its first evaluation: by a signal that is asked for, or by being killed."""

    def __init__(self, interrupts: Interrupts, killed: bool) -> None:
        super().__init__()
        self.interrupts, self.killed = interrupts, killed

    def append(self, event: dict[str, Any]) -> None:
        if event["event"] == "eval":
            self.interrupts.asked = True
            if self.killed:
                raise KeyboardInterrupt
        super().append(event)


@pytest.mark.parametrize(("killed", "goes_on_at"), [(False, 13), (True, 10)])
def test_a_broken_off_run_ends_bit_for_bit_like_an_unbroken_one(
    run: Run, recipe: dict[str, Any], tmp_path: Path, killed: bool, goes_on_at: int
) -> None:
    # 30 rows a step: passes over the data end in the middle of steps.
    recipe["stages"][0] |= {"batch": {"sequences": 30, "micro": 10}, "eval": {"every": 13}, "save": {"every": 5}}
    whole = copy.deepcopy(recipe) | {"out": str(tmp_path / "whole")}
    run(whole)
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt if killed else Interrupted):
        run(recipe, Ending(interrupts, killed), interrupts=interrupts)
    events: list[dict[str, Any]] = []
    run(recipe, events)
    assert next(e for e in events if e["event"] == "start")["resumed_at"] == goes_on_at
    assert losses(recipe["out"]) == losses(whole["out"])
    weights = [Path(out) / "pretrain" / "model" / "model.safetensors" for out in (recipe["out"], whole["out"])]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_checkpoint_of_other_options_is_not_gone_on_from(run: Run, recipe: dict[str, Any]) -> None:
    recipe["stages"][0]["eval"] = {"every": 13}
    interrupts = Interrupts()
    with pytest.raises(Interrupted, match="pretrain: stopped at step 13, saved"):
        run(recipe, Ending(interrupts, False), interrupts=interrupts)
    recipe["stages"][0]["optimizer"] = {"lr": 2e-2}
    events: list[dict[str, Any]] = []
    run(recipe, events)
    assert next(e for e in events if e["event"] == "start")["resumed_at"] is None
    assert [step for step, _ in losses(recipe["out"])] == list(range(1, 25))


def test_a_finished_stage_is_not_run_again_unless_something_changed(run: Run, recipe: dict[str, Any]) -> None:
    recipe["stages"][0]["steps"] = 2
    recipe["prompts"] = ["the cat"]
    first = run(recipe)
    events: list[dict[str, Any]] = []
    assert run(recipe, events) == first
    assert not [e for e in events if e["event"] == "start"]
    recipe["prompts"] = ["the dog"]
    assert run(recipe, events)["samples"][0]["prompt"] == "the dog"
    assert not [e for e in events if e["event"] == "start"]
    recipe["seed"] = 1
    assert run(recipe, events)["stages"][0]["loss_before"] != first["stages"][0]["loss_before"]
    assert [e for e in events if e["event"] == "start"]


def test_the_micro_batch_does_not_change_the_loss(run: Run, recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe["stages"][0]["steps"] = 5
    curves = []
    for micro in (8, 4, 1):
        recipe["stages"][0]["batch"] = {"sequences": 8, "micro": micro}
        run(recipe | {"out": str(tmp_path / str(micro))})
        curves.append([loss for _, loss in losses(str(tmp_path / str(micro)))])
    assert curves[1] == pytest.approx(curves[0], rel=2e-5)
    assert curves[2] == pytest.approx(curves[0], rel=2e-5)
    assert curves[0][4] < curves[0][0]


def test_bfloat16_trains_and_keeps_float32_weights(run: Run, recipe: dict[str, Any]) -> None:
    full = run(recipe)["stages"][0]
    recipe["stages"][0]["precision"] = "bfloat16"
    half = run(recipe)["stages"][0]
    assert half["loss_after"] != full["loss_after"]
    assert half["loss_after"] == pytest.approx(full["loss_after"], abs=0.2)
    assert models.load(Path(recipe["out"]) / "pretrain" / "model").dtype == torch.float32


def test_the_micro_batch_divides_the_step_and_suits_the_device() -> None:
    assert Device("cpu").micro(Batch(sequences=16), 256) == 8
    assert Device("cpu").micro(Batch(sequences=9), 512) == 3
    assert Device("cpu").micro(Batch(sequences=4), 100_000) == 1
    assert Device("cpu").micro(Batch(sequences=16, micro=16), 256) == 16
    assert Device("cuda").micro(Batch(sequences=16), 256) == 16


def test_training_goes_on_from_a_model_folder(run: Run, recipe: dict[str, Any]) -> None:
    recipe["stages"].append(recipe["stages"][0] | {"name": "more", "model": "previous", "steps": 8})
    first, second = run(recipe)["stages"]
    assert second["loss_before"] == first["loss_after"]
    assert second["loss_after"] < second["loss_before"]
    apart = recipe | {"out": recipe["out"] + "-apart"}
    apart["stages"] = [recipe["stages"][1] | {"model": recipe["out"] + "/pretrain/model"}]
    assert run(apart)["stages"][0]["loss_after"] == second["loss_after"]


def test_the_first_limit_reached_ends_the_stage(run: Run, recipe: dict[str, Any]) -> None:
    stage = recipe["stages"][0]
    assert run(recipe | {"stages": [stage | {"steps": 9, "tokens": 3 * 256 - 1}]})["stages"][0]["steps"] == 3
    one_pass = run(recipe | {"stages": [stage | {"steps": None}]})["stages"][0]
    assert one_pass["steps"] == math.ceil((one_pass["train_tokens"] - 1) // 32 / 8)
    timed = run(recipe | {"stages": [stage | {"steps": None, "minutes": 0.01}]})["stages"][0]
    assert 0.6 <= timed["seconds"] < 30
    assert timed["loss_after"] < timed["loss_before"]


def test_a_loss_that_is_no_number_stops_and_says_where(run: Run, recipe: dict[str, Any]) -> None:
    recipe["stages"][0]["optimizer"] = {"lr": 1e30, "clip": 0}
    with pytest.raises(TrainError, match=r"pretrain: at step 2 the loss is .* and the gradient nan; lower optimizer.lr"):
        run(recipe)
    assert not (Path(recipe["out"]) / "pretrain" / "model").exists()


def test_the_saved_model_is_what_transformers_reads(run: Run, recipe: dict[str, Any]) -> None:
    recipe["stages"][0]["steps"] = 2
    result = run(recipe)
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = Path(recipe["out"]) / "pretrain" / "model"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size % 64 == 0
    assert model.config.vocab_size >= len(tokenizer)
    assert sum(p.numel() for p in model.parameters()) == result["stages"][0]["parameters"]
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id]
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id


def test_models_and_shards_that_do_not_fit_are_refused(run: Run, recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe["stages"][0]["steps"] = 1
    run(recipe)
    made = recipe["out"] + "/pretrain/model"
    longer = recipe | {"out": str(tmp_path / "b"), "stages": [recipe["stages"][0] | {"model": made, "sequence": 65}]}
    with pytest.raises(DataError, match="is made for 64 positions, sequence is 65"):
        run(longer)
    whole = (Path(made) / "tokenizer.json").read_text()
    tokenizer = json.loads(whole)
    vocab = tokenizer["model"]["vocab"]
    vocab["!"], vocab["#"] = vocab["#"], vocab["!"]
    (Path(made) / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(DataError, match="its tokenizer is not the one that wrote"):
        run(recipe | {"out": str(tmp_path / "c"), "stages": [recipe["stages"][0] | {"model": made}]})
    (Path(made) / "tokenizer.json").write_text(whole)
    (Path(made) / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(DataError, match="the model cannot be loaded"):
        run(recipe | {"out": str(tmp_path / "d"), "stages": [recipe["stages"][0] | {"model": made}]})
    with pytest.raises(DataError, match="is no folder of a model"):
        run(recipe | {"out": str(tmp_path / "e"), "stages": [recipe["stages"][0] | {"model": str(tmp_path)}]})


def test_later_tokens_do_not_change_the_loss_of_earlier_ones(tokenizer: Any) -> None:
    model = models.build(Architecture(layers=2, width=32, heads=2, context=64), len(tokenizer), tokenizer, seed=0).eval()
    rows = torch.randint(0, len(tokenizer), (2, 33), generator=torch.Generator().manual_seed(0))
    other = rows.clone()
    other[:, 20:] = 7
    with torch.no_grad():
        first, second = (loss_sum(model, r[:, :19], r[:, 1:20]) for r in (rows, other))
        cut = torch.full((2, 32), -100)
        cut[:, :19] = rows[:, 1:20]
        padded = loss_sum(model, other[:, :-1], cut)
    assert first == second
    assert float(padded) == pytest.approx(float(first), rel=1e-5)


def test_the_learning_rate_rises_then_falls() -> None:
    cosine = Optimizer(warmup=0.1, schedule="cosine", final=0.2)
    assert rate(cosine, 0.05) == pytest.approx(0.5)
    assert rate(cosine, 0.1) == 1
    assert rate(cosine, 0.55) == pytest.approx(0.6)
    assert rate(cosine, 1) == rate(cosine, 2) == pytest.approx(0.2)
    assert rate(Optimizer(warmup=0, schedule="linear", final=0), 0.25) == 0.75
    assert rate(Optimizer(warmup=0, schedule="constant"), 0.9) == 1


def test_norms_are_not_decayed(tokenizer: Any) -> None:
    model = models.build(Architecture(layers=2, width=32, heads=2, context=64), len(tokenizer), tokenizer, seed=0)
    decayed, rest = build_optimizer(model, Optimizer(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], rest["weight_decay"]) == (0.3, 0)
    assert sum(p.numel() for p in rest["params"]) == 5 * 32
    assert sum(p.numel() for g in (decayed, rest) for p in g["params"]) == sum(p.numel() for p in model.parameters())
