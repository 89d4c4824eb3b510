"""Optimizers, checkpoints, metrics, sizes, and how processes share the work."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.train.test_pretrain import Ending, losses
from train import model as models
from train.boards import Boards, need_boards
from train.config import Architecture, PretrainOptimizer
from train.data import Rows, open_shards
from train.distributed import own_device
from train.errors import TrainError
from train.meter import flops_per_token, free_memory, peak_flops, used_memory
from train.muon import Muon, orthogonalised
from train.optimizer import build_optimizer
from train.sizes import SIZES, Size, table
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("shape", [(32, 32), (12, 48), (48, 12)])
def test_a_step_of_muon_has_singular_values_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    found = orthogonalised(matrix).float()
    values = torch.linalg.svdvals(found)
    assert 0.6 < float(values[-1]) <= float(values[0]) < 1.25
    # The directions are those of the matrix: the polar factor, but for the size of its values.
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ found @ right.T
    assert float((inside - torch.diag(torch.diag(inside))).abs().max()) < 0.05


def test_muon_moves_weights_as_that_of_torch_does() -> None:
    draw = torch.Generator().manual_seed(0)
    start = torch.randn(16, 48, generator=draw)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    table = torch.nn.Parameter(torch.randn(5, 4, generator=draw))
    alone = torch.nn.Parameter(table.detach().clone())
    adamw = torch.optim.AdamW([table], lr=1e-2)
    muon = Muon([ours], adamw, lr=1e-2, weight_decay=0.1)
    oracle = torch.optim.Muon([theirs], lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    other = torch.optim.AdamW([alone], lr=1e-2)
    for _ in range(4):
        gradient = torch.randn(16, 48, generator=draw)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        table.grad = torch.randn(5, 4, generator=draw)
        alone.grad = table.grad.clone()
        for optimizer in (muon, oracle, other):
            optimizer.step()
    moved = float((ours - start).norm().detach())
    # Both iterate in bfloat16, and round at other places.
    assert float((ours - theirs).norm().detach()) < 0.02 * moved
    assert torch.equal(table, alone)


def test_muon_takes_the_matrices_of_the_blocks_and_goes_on_from_its_state(tokenizer: Any) -> None:
    def made() -> tuple[Any, Any]:
        model = models.build(Architecture(layers=2, width=32, heads=2, context=64), len(tokenizer), tokenizer, seed=0)
        return model, build_optimizer(model, PretrainOptimizer(name="muon"))

    def step(model: Any, optimizer: Any, seed: int) -> None:
        ids = torch.randint(0, 300, (2, 9), generator=torch.Generator().manual_seed(seed))
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    model, muon = made()
    assert isinstance(muon, Muon)
    of_muon = {id(p) for g in muon.param_groups if g["muon"] for p in g["params"]}
    names = {name.split(".")[-2] for name, p in model.named_parameters() if id(p) in of_muon}
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert sum(len(g["params"]) for g in muon.param_groups) == len(list(model.parameters()))
    step(model, muon, 0)
    other, resumed = made()
    other.load_state_dict(model.state_dict())
    resumed.load_state_dict(copy.deepcopy(muon.state_dict()))
    for pair in ((model, muon), (other, resumed)):
        step(*pair, 1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_muon_trains_in_the_loop_and_a_broken_off_run_ends_the_same(run: Run, recipe: dict[str, Any], tmp_path: Path) -> None:
    recipe["stages"][0] |= {"optimizer": {"lr": 1e-2, "name": "muon"}, "eval": {"every": 13}, "save": {"every": 5}}
    stage = run({**recipe, "out": str(tmp_path / "whole")})["stages"][0]
    assert stage["loss_after"] < stage["loss_before"] - 2
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        run(recipe, Ending(interrupts, killed=True), interrupts=interrupts)
    run(recipe)
    assert losses(recipe["out"]) == losses(str(tmp_path / "whole"))


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "flipped"])
def test_a_broken_checkpoint_is_passed_over_for_the_one_before(
    run: Run, recipe: dict[str, Any], tmp_path: Path, damage: str
) -> None:
    recipe["stages"][0] |= {"eval": {"every": 13}, "save": {"every": 3, "keep": 3}, "steps": 16}
    run({**recipe, "out": str(tmp_path / "whole")})
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        run(recipe, Ending(interrupts, killed=True), interrupts=interrupts)
    files = sorted((Path(recipe["out"]) / "pretrain" / "checkpoint").iterdir())
    assert [int(file.stem.split("-")[1]) for file in files] == [6, 9, 12]
    content = files[-1].read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    damages = {"cut": content[:middle], "empty": b"", "noise": b"\x80" * 999, "flipped": flipped}
    files[-1].write_bytes(damages[damage])
    events: list[dict[str, Any]] = []
    run(recipe, events)
    assert next(e for e in events if e["event"] == "start")["resumed_at"] == 9
    warning = next(e["message"] for e in events if e["event"] == "warning")
    assert warning.startswith(f"{files[-1]}: {'is damaged' if damage == 'flipped' else 'cannot be read'} (")
    assert "\n" not in warning
    assert losses(recipe["out"]) == losses(str(tmp_path / "whole"))


def test_the_metrics_tell_speed_memory_and_time_left(run: Run, recipe: dict[str, Any]) -> None:
    events: list[dict[str, Any]] = []
    run(recipe, events)
    lines = [json.loads(line) for line in (Path(recipe["out"]) / "pretrain" / "metrics.jsonl").read_text().splitlines()]
    told = [line for line in lines if "tokens_per_second" in line]
    assert [line["step"] for line in told] == [10, 20, 24]
    assert told[0]["seconds_left"] > 0
    assert told[-1]["seconds_left"] == 0
    assert all(line["memory"] > 1 << 20 and line["gradient_norm"] > 0 for line in told)
    assert not any("mfu" in line for line in lines), "the peak of a CPU is not known"
    step = next(e for e in events if e["event"] == "step")
    assert {"tokens_per_second", "seconds_left", "memory_mib", "gradient_norm", "loss"} <= set(step)


def test_the_operations_of_a_token_are_counted() -> None:
    class Tokenizer:
        bos_token_id, eos_token_id, pad_token_id = None, 0, 1

        def __len__(self) -> int:
            return 0

    for size in (SIZES["1M"], SIZES["350M"], SIZES["8B"]):
        sketch = models.sketch(lambda size=size: models.build(size.shape, size.vocabulary, Tokenizer(), 0))
        assert sum(p.numel() for p in sketch.parameters()) == size.parameters
        assert flops_per_token(sketch, size.sequence) == size.flops_per_token
    assert peak_flops("cpu") is None
    assert used_memory("cpu") > 1 << 20
    assert (free_memory("cpu") or 1 << 21) > 1 << 20


def test_the_sizes_are_what_they_are_called() -> None:
    units = {"M": 1e6, "B": 1e9}
    for name, size in SIZES.items():
        assert size.parameters == pytest.approx(float(name[:-1]) * units[name[-1]], rel=0.25)
        assert name in table()
    # Llama 3.1 8B as its authors count it, and GPT-2's 124M with 6 N + 12 L d T operations a token.
    assert SIZES["8B"].parameters == 8_030_261_248
    small = Size(Architecture(layers=12, width=768, heads=12, context=1024), 50304, 1024)
    assert small.flops_per_token == 6 * small.parameters + 12 * 12 * 768 * 1024
    assert small.hours == pytest.approx(20 * small.parameters * small.flops_per_token / (0.4 * 989.4e12) / 3600)


def test_a_board_that_is_not_installed_is_one_line(run: Run, recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TrainError, match=r"^log: wandb is not installed; run `pip install wandb`, or take it out of log$"):
        need_boards(["wandb"])
    with pytest.raises(TrainError, match="log: tensorboard is not installed"):
        run({**recipe, "log": ["tensorboard"]})


def test_tensorboard_gets_the_numbers_of_the_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    boards = Boards(["tensorboard"], tmp_path, "run", {"seed": 1})
    boards.write({"step": 3, "loss": 2.5, "prompt": "text"})
    boards.close()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert read.Tags()["scalars"] == ["loss"]
    assert [(e.step, e.value) for e in read.Scalars("loss")] == [(3, 2.5)]


def test_the_processes_share_out_the_rows_of_a_step(shards: Path) -> None:
    opened = open_shards(shards)

    def rows(*part: int) -> Rows:
        return Rows(opened.split("train", 2), 32, opened.vocab_size, 3, part=(part[0], part[1]))

    alone, parts = rows(0, 1), [rows(rank, 3) for rank in range(3)]
    for _ in range(40):  # into the second pass
        batches = [part.next(12).inputs for part in parts]
        assert (np.concatenate(batches) == alone.next(12).inputs).all()
    assert all(part.cursor == alone.cursor for part in parts)


def test_each_process_sees_its_own_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    for seen, own in ((None, "1"), ("4,6", "6"), ("", ""), ("-1", "-1")):
        if seen is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
        assert own_device() == own


def test_rows_that_cannot_be_shared_out_are_one_line(monkeypatch: pytest.MonkeyPatch, recipe: dict[str, Any]) -> None:
    from dataclasses import replace

    from train.device import Device
    from train.distributed import World
    from train.loop import local_micro
    from train.recipe import check_recipe
    from train.report import Reporter
    from train.stage import Context

    checked = check_recipe(recipe, where="r")
    stage: Any = checked.stages[0]
    context = Context(checked, "pretrain", Path(), None, "", Device("cpu"), Reporter(True), Interrupts(), False, World(0, 4))
    assert local_micro(stage, context) == 2
    with pytest.raises(TrainError, match=r"batch\.sequences 8 are not shared out evenly to 3 processes$"):
        local_micro(stage, replace(context, world=World(0, 3)))
    stage = stage.model_copy(update={"batch": stage.batch.model_copy(update={"micro": 4})})
    with pytest.raises(TrainError, match=r"evenly to 4 processes computing 4 \(batch.micro\) at once"):
        local_micro(stage, context)
