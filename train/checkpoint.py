"""Checkpoints of the pretraining loop: files written whole, from which a run goes on as if never stopped."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.data import Cursor
from train.errors import TrainError

if TYPE_CHECKING:
    import torch

__all__ = ["Checkpoint", "Progress", "find_checkpoint", "save_checkpoint"]


@dataclass
class Progress:
    """How far a stage is."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss_before: float = float("nan")


@dataclass(frozen=True)
class Checkpoint:
    """What a run goes on from."""

    progress: Progress
    cursor: Cursor
    model: dict[str, Any]
    optimizer: dict[str, Any]
    rng: torch.Tensor
    cuda_rng: list[torch.Tensor]

    def set_rng(self) -> None:
        """Random numbers go on where they were."""
        import torch

        torch.set_rng_state(self.rng)
        if self.cuda_rng and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(self.cuda_rng)


def save_checkpoint(
    folder: Path,
    digest: str,
    progress: Progress,
    cursor: Cursor,
    states: tuple[dict[str, Any], dict[str, Any]],
    keep: int,
) -> None:
    """Write everything that the next step depends on, then remove all but the `keep` newest checkpoints of `digest`.

    states: of the model and of the optimizer. A file has its name only when all of it is on disk.
    Raises TrainError when there is no room.
    """
    import torch

    state = {
        "digest": digest,
        "progress": vars(progress),
        "cursor": vars(cursor),
        "model": states[0],
        "optimizer": states[1],
        "rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{digest[:8]}-{progress.step:09}.pt"
    fresh = folder / f"{file.name}.tmp"
    try:
        with fresh.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except (OSError, RuntimeError) as error:  # torch says RuntimeError when its archive cannot be written
        fresh.unlink(missing_ok=True)
        room = shutil.disk_usage(folder).free
        raise TrainError(
            f"{file}: the checkpoint cannot be written, {room:,} bytes are free there; make room and run again "
            f"({str(error).splitlines()[0]})"
        ) from error
    fresh.replace(file)
    kept = set(_newest_first(folder, digest)[:keep])
    for old in folder.iterdir():
        if old not in kept:
            old.unlink()


def find_checkpoint(folder: Path, digest: str, warn: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint in `folder` of the options and inputs that `digest` stands for; None: there is none.

    One that cannot be read, as after a power cut, is passed over with a warning for the one before it.
    """
    import torch

    for file in _newest_first(folder, digest):
        if problem := _damage(file):
            warn(f"{file}: {problem}; it is passed over for the checkpoint before it")
            continue
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        if state["digest"] == digest:
            return Checkpoint(
                Progress(**state["progress"]),
                Cursor(**state["cursor"]),
                state["model"],
                state["optimizer"],
                state["rng"],
                state["cuda_rng"],
            )
    return None


def _damage(file: Path) -> str:
    """What is wrong with the archive that torch wrote: its end, or a checksum inside. Nothing: "". O(bytes)."""
    try:
        with zipfile.ZipFile(file) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, OSError) as error:
        return f"cannot be read ({error})"
    return f"is damaged ({bad})" if bad else ""


def _newest_first(folder: Path, digest: str) -> list[Path]:
    return sorted(folder.glob(f"{digest[:8]}-*.pt"), reverse=True)
