from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import pairs, write_jsonl
from train.__main__ import main

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-P", "-m", "train"]


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`main` takes over the signals of its process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def chain(recipe: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """Pretraining and tuning of a tiny model."""
    rows = write_jsonl(tmp_path / "rows.jsonl", pairs(100, 5))
    tune = {
        "stage": "sft",
        "data": str(rows),
        "heldout": 0.1,
        "max_length": 64,
        "batch": {"sequences": 8},
        "steps": 12,
    }
    recipe["stages"].append(tune)
    recipe["prompts"] = ["what does the cat say 3 times"]
    return recipe


def write(folder: Path, recipe: dict[str, Any]) -> str:
    (folder / "recipe.json").write_text(json.dumps(recipe))
    return str(folder / "recipe.json")


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def test_the_command_trains_beside_a_hostile_file_and_tells_a_program(chain: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("train.py", "torch.py", "schemas.py"):
        (folder / name).write_text("raise SystemExit('the wrong file was imported')")
    done = subprocess.run(
        [*COMMAND, write(tmp_path, chain), "--events", "--set", "stages.0.steps=20"],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [e["name"] for e in events if e["event"] == "start"] == ["pretrain", "sft"]
    assert {"stage", "name", "step", "steps", "progress", "loss", "tokens_per_second", "seconds"} <= set(
        next(e for e in events if e["event"] == "step")
    )
    assert events[-1] == {"event": "done", "out": chain["out"], "report": chain["out"] + "/report.md"}
    summary = json.loads((Path(chain["out"]) / "summary.json").read_text())
    assert [s["stage"] for s in summary["stages"]] == ["pretrain", "sft"]
    assert all(s["loss_after"] < s["loss_before"] for s in summary["stages"])
    assert set(summary["samples"][0]["answers"]) == {"pretrain", "sft"}
    assert "the same prompts after each stage" in (Path(chain["out"]) / "report.md").read_text().lower()


def test_ctrl_c_finishes_the_step_saves_and_leaves_with_130(chain: dict[str, Any], tmp_path: Path) -> None:
    chain["stages"][0]["steps"] = 100_000
    file = write(tmp_path, chain)
    with subprocess.Popen(
        [*COMMAND, file, "--events"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stderr
        step = next(e["step"] for e in map(json.loads, process.stdout) if e["event"] == "step")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        error = process.stderr.read()
    assert process.returncode == 130
    assert error.startswith("pretrain: stopped at step ")
    assert error.count("\n") == 1
    stopped = int(error.split()[4].rstrip(","))
    assert step <= stopped < 100_000
    metrics = Path(chain["out"]) / "pretrain" / "metrics.jsonl"
    assert json.loads(metrics.read_text().splitlines()[-1])["step"] == stopped


def test_check_tries_everything_and_keeps_nothing(
    chain: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(tmp_path, chain), "--check"]) == 0
    said = capsys.readouterr().out
    assert "43,168 parameters" in said
    for name in ("memory", "end", "pad", "overlap", "accumulation", "fresh_loss", "reload"):
        assert f"pretrain: check {name}: " in said
    assert re.search(r"\d s a step, 24 steps: about \d+ s", said)
    assert said.count("⟦the ") >= 3
    assert "<|assistant|>⟦the " in said
    assert "steps 2" in said
    assert not Path(chain["out"]).exists()


def test_check_reads_the_shards(chain: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(chain["stages"][0]["data"], copy)
    content = bytearray((copy / "train-0.bin").read_bytes())
    content[0] ^= 1
    (copy / "train-0.bin").write_bytes(content)
    chain["stages"][0]["data"] = str(copy)
    assert main([write(tmp_path, chain), "--check"]) == 1
    assert (
        capsys.readouterr().err
        == f"error: {copy}/train-0.bin: its content is not what tokens.json recorded; write the shards again\n"
    )


def test_mistakes_are_one_line_with_the_right_exit_code(
    chain: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, chain)
    assert main([file, "--set", "stages.0.stepz=3"]) == 2
    assert capsys.readouterr().err == f"error: {file}: stages.0.stepz: unknown key; did you mean 'steps'?\n"
    assert main([str(tmp_path / "none.yaml")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main([file, "--set", f"stages.0.data={tmp_path / 'none'}"]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/none/tokens.json: cannot be read")
    assert main([file, "--set", f"stages.1.data={tmp_path / 'none.jsonl'}"]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}/none.jsonl: no such file or folder\n"
    assert not (Path(chain["out"]) / "pretrain").exists()
    (tmp_path / "file").write_text("")
    assert main([file, "--set", f"out={tmp_path / 'file' / 'out'}"]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Training recipe"
