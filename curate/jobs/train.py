"""`train` in a recipe, and `curate train RECIPE`: the trainer in a process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from curate.declare import Job, Result, Single, Stage, Work
from curate.errors import CurateError, InputError, MissingExtra, UsageError
from train.config import Chain

__all__ = ["Train", "start_trainer"]


class Train(Job):
    """Train a model: stages in a chain, each starting from the model of the one before.

    Runs `python -P -m train` (-P: a `train.py` in the working folder must not be taken for it). In a recipe, `job:NAME`
    names token shards or rows that earlier jobs wrote. A killed run goes on from its last checkpoint.

    Output: a folder for each stage with the model in Hugging Face format, `summary.json` and `report.md`.
    Memory and disk: the model's weights four times over while it trains (weights, gradients, two moments), twice on disk.
    """

    job: Literal["train"] = "train"
    chain: Chain = Field(description="What is trained: what a recipe file of `curate train` holds, but for `out`.")

    def stages(self) -> tuple[Stage, ...]:
        return (Single("train", self._train),)

    def _train(self, work: Work) -> Result:
        need_trainer()
        out = work.folder / "data"
        recipe = {**self.chain.model_dump(mode="json"), "out": str(out)}
        with tempfile.NamedTemporaryFile("w", suffix=".json", prefix="train-", dir=work.folder / "work") as file:
            json.dump(recipe, file)
            file.flush()
            child = start_trainer([file.name, "--events"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            error = _follow(child, work)
        if child.returncode:
            raise _failed(child.returncode, error)
        summary: dict[str, Any] = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        return summary


def need_trainer() -> None:
    """Raises MissingExtra when what the trainer needs is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers", "trl")):
        raise MissingExtra("training", "train")


def start_trainer(arguments: Sequence[str], **given: Any) -> subprocess.Popen[str]:
    """Start `python -P -m train` so that it ends with this process."""
    return subprocess.Popen([sys.executable, "-P", "-m", "train", *arguments], preexec_fn=_die_with_parent(), **given)


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux: a call that has the kernel end a child whose parent is killed. A trainer left alone would write on."""
    if sys.platform != "linux":
        return None
    import ctypes

    libc = ctypes.CDLL(None)
    pr_set_pdeathsig = 1
    return lambda: libc.prctl(pr_set_pdeathsig, signal.SIGKILL)


def _follow(child: subprocess.Popen[str], work: Work) -> str:
    """Pass the trainer's events on until it ends; what it said on standard error."""
    assert child.stdout is not None
    assert child.stderr is not None
    # A file would do for stderr, but the trainer says at most a few lines there, far less than a pipe holds.
    os.set_inheritable(child.stderr.fileno(), False)
    try:
        for line in child.stdout:
            with contextlib.suppress(ValueError):
                _tell(json.loads(line), work)
        error = child.stderr.read()
        child.wait()
        return error
    except KeyboardInterrupt:
        # It saves a checkpoint on an interrupt; a terminal's Ctrl-C has reached it already, and a second does no harm.
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(60)
        raise


def _tell(event: dict[str, Any], work: Work) -> None:
    name = event.get("name", "")
    match event.get("event"):
        case "step":
            parts = [f"{name} step {event.get('step')}"]
            parts[0] += f" of {event['steps']}" if event.get("steps") else ""
            if event.get("loss") is not None:
                parts.append(f"loss {event['loss']:.3f}")
            if event.get("tokens_per_second"):
                parts.append(f"{event['tokens_per_second']:,.0f} tokens/s")
            work.say(", ".join(parts), passing=True)
        case "eval":
            if event.get("loss") is not None:
                work.say(f"{name}: held-out loss {event['loss']:.4f} at step {event.get('step', 0)}")
        case "warning" | "note":
            work.say(f"{name}: {event.get('message', '')}" if name else str(event.get("message", "")))
        case _:
            return


def _failed(code: int, error: str) -> CurateError:
    lines = [line for line in error.strip().splitlines() if line.strip()]
    message = lines[-1].removeprefix("error: ") if lines else f"the trainer ended with code {code}"
    if code == 130:
        raise KeyboardInterrupt
    if code < 0:
        return CurateError(
            f"train: the trainer was killed by signal {-code} (most often: out of memory); "
            "checkpoints are kept: run the same command again to go on"
        )
    return UsageError(f"train: {message}") if code == 2 else InputError(f"train: {message}")
