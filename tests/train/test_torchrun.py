"""Several processes under torchrun, on the CPU."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.test_pretrain import losses

ROOT = Path(__file__).parents[2]
Run = Callable[..., dict[str, Any]]


def torchrun(recipe: dict[str, Any], folder: Path, stop_at: int | None = None) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, events and errors of a recipe in two processes; a signal is sent at the evaluation of step `stop_at`."""
    (folder / "recipe.json").write_text(json.dumps(recipe))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "train",
        str(folder / "recipe.json"), "--events",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        events = []
        for line in process.stdout:
            events.append(json.loads(line))
            if stop_at is not None and events[-1]["event"] == "eval" and events[-1]["step"] == stop_at:
                process.send_signal(signal.SIGINT)
        error = process.stderr.read()
    return process.returncode, events, error


@pytest.mark.slow
@pytest.mark.parametrize(("parallel", "optimizer"), [("replicate", "adamw"), ("shard", "muon")])
def test_two_processes_have_the_losses_of_one(
    run: Run, recipe: dict[str, Any], tmp_path: Path, parallel: str, optimizer: str
) -> None:
    stage = recipe["stages"][0]
    stage |= {"optimizer": {"lr": 1e-2, "name": optimizer}, "batch": {"sequences": 8, "micro": 2}, "parallel": parallel}
    stage |= {"steps": 30, "eval": {"every": 4}}
    recipe["prompts"] = ["the cat"]
    alone = run({**recipe, "out": str(tmp_path / "alone")})
    code, events, error = torchrun(recipe, tmp_path)
    assert code == 0, error
    assert [e["event"] for e in events].count("stage_done") == 1
    assert losses(recipe["out"]) == [(s, pytest.approx(x, rel=2e-3)) for s, x in losses(str(tmp_path / "alone"))]
    found = json.loads((Path(recipe["out"]) / "summary.json").read_text())
    assert found["stages"][0]["loss_after"] == pytest.approx(alone["stages"][0]["loss_after"], rel=2e-3)
    stopped = {**recipe, "out": str(tmp_path / "stopped")}
    code, events, error = torchrun(stopped, tmp_path, stop_at=4)
    assert code != 0
    assert "pretrain: stopped at step " in error
    code, events, error = torchrun(stopped, tmp_path)
    assert code == 0, error
    assert next(e for e in events if e["event"] == "start")["resumed_at"] in range(4, 30)
    assert losses(stopped["out"]) == losses(recipe["out"])
