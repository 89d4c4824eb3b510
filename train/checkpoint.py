"""Checkpoints of the pretraining loop: one file, replaced whole, from which a run goes on as if never stopped."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.data import Cursor
from train.errors import TrainError

if TYPE_CHECKING:
    import torch

__all__ = ["Progress", "load_checkpoint", "save_checkpoint"]


@dataclass
class Progress:
    """How far a stage is."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss_before: float = float("nan")


def save_checkpoint(
    file: Path,
    digest: str,
    progress: Progress,
    cursor: Cursor,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Write everything that the next step depends on. The file is replaced at once: there is always a whole one."""
    import torch

    state = {
        "digest": digest,
        "progress": vars(progress),
        "cursor": vars(cursor),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.tmp")
    try:
        with fresh.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError) as error:  # torch says RuntimeError when its archive cannot be written
        fresh.unlink(missing_ok=True)
        room = shutil.disk_usage(file.parent).free
        raise TrainError(
            f"{file}: the checkpoint cannot be written, {room:,} bytes are free there; make room and run again "
            f"({str(error).splitlines()[0]})"
        ) from error
    fresh.replace(file)


def load_checkpoint(
    file: Path, digest: str, model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[Progress, Cursor] | None:
    """Set model, optimizer and random state to the checkpoint in `file`.

    None, with nothing touched, when there is no checkpoint or it belongs to other options or inputs than `digest`.
    """
    import torch

    if not file.exists():
        return None
    state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    if state["digest"] != digest:
        return None
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["rng"])
    if state["cuda_rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda_rng"])
    return Progress(**state["progress"]), Cursor(**state["cursor"])
