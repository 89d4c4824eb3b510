from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import documents, pairs, write_jsonl
from tests.train.test_pretrain import Ending
from train.errors import DataError, Interrupted
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def tuning(base: str, tmp_path: Path) -> dict[str, Any]:
    """A recipe that tunes `base` on 120 instruction rows."""
    stage = {
        "stage": "sft",
        "model": base,
        "data": str(write_jsonl(tmp_path / "rows.jsonl", pairs(120, 5))),
        "heldout": 0.1,
        "max_length": 64,
        "batch": {"sequences": 8},
        "optimizer": {"lr": 5e-3},
    }
    return {"out": str(tmp_path / "out"), "threads": 1, "device": "cpu", "stages": [stage]}


def with_rows(tuning: dict[str, Any], tmp_path: Path, rows: list[Any], **options: Any) -> dict[str, Any]:
    return tuning | {"stages": [tuning["stages"][0] | {"data": str(write_jsonl(tmp_path / "other.jsonl", rows))} | options]}


def metrics(out: str, key: str = "loss") -> list[tuple[int, float]]:
    lines = (Path(out) / "sft" / "metrics.jsonl").read_text().splitlines()
    return [(entry["step"], entry[key]) for entry in map(json.loads, lines) if key in entry]


def test_the_loss_on_heldout_answers_falls_and_the_model_learns_to_stop(run: Run, tuning: dict[str, Any]) -> None:
    tuning["prompts"] = ["what does the cat say 7 times"]
    tuning["stages"][0] |= {"epochs": 2.0, "eval": {"every": 10}}
    result = run(tuning)
    stage = result["stages"][0]
    assert stage["loss_after"] < stage["loss_before"] - 2
    assert stage["rows_in"] == 120 == stage["rows_trained"] + stage["rows_heldout"]
    assert stage["rows_heldout"] >= 5
    steps = -(-stage["rows_trained"] // 8) * 2
    assert stage["steps"] == steps
    assert [step for step, _ in metrics(tuning["out"])] == list(range(1, steps + 1))
    assert [step for step, _ in metrics(tuning["out"], "heldout_loss")] == list(range(10, steps, 10))
    sample = json.loads((Path(tuning["out"]) / "sft" / "samples.jsonl").read_text())
    assert sample["ended"]
    assert sample["answer"].startswith("the ")
    assert "<|" not in sample["answer"]
    generation = json.loads((Path(tuning["out"]) / "sft" / "model" / "generation_config.json").read_text())
    assert generation["pad_token_id"] not in generation["eos_token_id"]
    assert len(generation["eos_token_id"]) == 2
    assert not (Path(tuning["out"]) / "sft" / "checkpoint").exists()


def test_the_first_step_has_the_loss_of_the_answers_alone(run: Run, tuning: dict[str, Any], tmp_path: Path) -> None:
    """What TRL reports for one step on all rows is what we measure on the same rows: same labels, same weighting."""
    rows = [row | {"split": "train"} for row in pairs(24, 9)] + [
        row | {"id": f"h{row['id']}", "split": "validation"} for row in pairs(24, 9)
    ]
    for row in rows[24:]:
        row["instruction"] += " "  # the same questions but for a space would be dropped as held out
    content = with_rows(tuning, tmp_path, rows, batch={"sequences": 24, "micro": 6}, steps=1)
    stage = run(content)["stages"][0]
    assert stage["rows_trained"] == stage["rows_heldout"] == 24
    first = metrics(content["out"])[0][1]

    from train.config import SupervisedStage
    from train.device import Device
    from train.evaluate import heldout_loss
    from train.examples import read_examples
    from train.model import load, load_tokenizer

    tokenizer = load_tokenizer(content["stages"][0]["model"])
    data = read_examples(SupervisedStage.model_validate(content["stages"][0]), tokenizer)
    ours = heldout_loss(load(content["stages"][0]["model"]), data.train.batches(24, 5, 1), Device("cpu"), "float32")
    assert first == pytest.approx(ours.per_token, rel=1e-4)


@pytest.mark.parametrize(("killed", "goes_on_at"), [(False, 9), (True, 8)])
def test_a_broken_off_run_goes_on_with_the_same_losses(
    run: Run, tuning: dict[str, Any], tmp_path: Path, killed: bool, goes_on_at: int
) -> None:
    tuning["stages"][0] |= {"save": {"every": 4}, "eval": {"every": 9}, "batch": {"sequences": 8, "micro": 4}}
    whole = copy.deepcopy(tuning) | {"out": str(tmp_path / "whole")}
    one = run(whole)["stages"][0]
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt if killed else Interrupted):
        run(tuning, Ending(interrupts, killed), interrupts=interrupts)
    events: list[dict[str, Any]] = []
    two = run(tuning, events)["stages"][0]
    assert next(e for e in events if e["event"] == "start")["resumed_at"] == goes_on_at
    assert metrics(tuning["out"]) == metrics(whole["out"])
    assert (one["loss_after"], one["tokens"]) == (two["loss_after"], two["tokens"])


def test_text_and_chat_rows_train_too(run: Run, tuning: dict[str, Any], tmp_path: Path) -> None:
    texts = [{"text": ".".join(text.split(".")[:3])} for text in documents(100, 11)]
    stage = run(with_rows(tuning, tmp_path, texts) | {"out": str(tmp_path / "a")})["stages"][0]
    assert stage["format"] == "text"
    assert stage["rows_in"] == stage["rows_trained"] + stage["rows_heldout"] + sum(stage["rows_dropped"].values())
    chats = [
        [{"role": "user", "content": r["instruction"]}, {"role": "assistant", "content": r["output"]}] for r in pairs(60, 5)
    ]
    stage = run(with_rows(tuning, tmp_path, chats, heldout=0.2) | {"out": str(tmp_path / "b")})["stages"][0]
    assert stage["format"] == "chat"
    assert stage["loss_after"] < stage["loss_before"]


def test_every_row_that_is_not_trained_on_is_counted(run: Run, tuning: dict[str, Any], tmp_path: Path) -> None:
    rows = [row | {"split": "validation" if i % 4 == 0 else "train"} for i, row in enumerate(pairs(20, 5))]
    rows += [
        {"instruction": "a", "output": "b " * 100, "split": "train"},
        {"instruction": "say <|end|>", "output": "b", "split": "train"},
        rows[0] | {"id": "again", "split": "train"},
    ]
    stage = run(with_rows(tuning, tmp_path, rows, steps=1))["stages"][0]
    assert stage["rows_dropped"] == {"also_held_out": 1, "special_token": 1, "too_long": 1}
    assert (stage["rows_in"], stage["rows_trained"], stage["rows_heldout"]) == (23, 15, 5)
    assert "| sft | too_long | 1 |" in (Path(tuning["out"]) / "report.md").read_text()


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([*pairs(3, 1), {"text": "a"}], {}, "other.jsonl:4: a row of text among rows of instruction"),
        (pairs(3, 1), {"format": "chat"}, "other.jsonl:1: a row of instruction among rows of chat"),
        ([], {}, "there is no row in it"),
        ([row | {"split": "train"} for row in pairs(3, 1)], {}, r"no row left to hold out of 3 \(dropped: none\)"),
        (pairs(9, 1), {"max_length": 8}, r"no row left to train on of 9 \(dropped: 9 too_long\)"),
        (pairs(9, 1), {"max_length": 65}, "is made for 64 positions, max_length is 65"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_one_line(
    run: Run, tuning: dict[str, Any], tmp_path: Path, rows: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        run(with_rows(tuning, tmp_path, rows, **options))
    assert "\n" not in str(caught.value)


def test_shards_of_examples_tune_as_their_rows_do(run: Run, tuning: dict[str, Any], base: str, tmp_path: Path) -> None:
    from curate.catalog import parse_job
    from curate.engine.chain import run_command
    from curate.report.watch import Silent
    from train.rows import in_heldout, read_rows

    rows = tmp_path / "rows.jsonl"
    by_split = [{**row.value, "split": "validation" if in_heldout(row, 0.1, False) else "train"} for row in read_rows(rows)]
    options = {"input": [str(write_jsonl(tmp_path / "split.jsonl", by_split))], "tokenizer": base, "render": "examples"}
    for name, more in (("shards", {}), ("packed", {"pack": "best_fit", "sequence": 64})):
        run_command(parse_job({"job": "tokenize", **options, **more}), str(tmp_path / name), workers=1, watcher=Silent())
    of_rows = run({**tuning, "out": str(tmp_path / "a")})["stages"][0]
    stage = tuning["stages"][0] | {"data": str(tmp_path / "shards/data")}
    of_shards = run({**tuning, "out": str(tmp_path / "b"), "stages": [stage]})["stages"][0]
    for key in ("loss_before", "loss_after", "rows_in", "rows_trained", "rows_heldout", "trained_share"):
        assert of_shards[key] == of_rows[key], key
    with pytest.raises(DataError, match="holds packed examples"):
        run({**tuning, "out": str(tmp_path / "c"), "stages": [stage | {"data": str(tmp_path / "packed/data")}]})
    config = tmp_path / "shards/data/tokenizer/tokenizer_config.json"
    template = next(path for path in (config.with_name("chat_template.jinja"), config) if path.is_file())
    template.write_text(template.read_text().replace("<|user|>", "<|assistant|>").replace("{{ m.role }}", "{{  m.role }}"))
    with pytest.raises(DataError, match="another tokenizer or chat template"):
        run({**tuning, "out": str(tmp_path / "d"), "stages": [stage]})


def test_adapters_learn_and_are_merged_into_the_weights(run: Run, tuning: dict[str, Any], base: str) -> None:
    import torch

    from train.config import Lora
    from train.lora import adapted, merged
    from train.model import load

    tuning["stages"][0] |= {"lora": {"rank": 4, "alpha": 8}, "optimizer": {"lr": 2e-2}, "steps": 12}
    stage = run(tuning)["stages"][0]
    assert stage["loss_after"] < stage["loss_before"] - 0.5
    before, after = load(base), load(Path(tuning["out"]) / "sft" / "model")
    changed = {name for name, weight in after.named_parameters() if not torch.equal(weight, before.get_parameter(name))}
    assert changed == {name for name, weight in after.named_parameters() if "proj" in name}
    model = merged(adapted(load(base), Lora(rank=2), 0))
    assert all(torch.equal(weight, before.get_parameter(name)) for name, weight in model.named_parameters())
