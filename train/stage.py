"""What every kind of stage is given, and how it is stopped."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from train.config import TrainRecipe
from train.device import Device
from train.distributed import ALONE, World
from train.references import REFERENCE
from train.report import Metrics, Reporter

__all__ = ["Context", "Interrupts", "Outcome"]


class Interrupts:
    """Ctrl-C and SIGTERM. Inside `held()` the first one only sets `asked`, so that a step is finished and saved.

    patient: later ones do nothing there, as under torchrun, which passes a Ctrl-C on to processes that have had it already.
    """

    def __init__(self, patient: bool = False) -> None:
        self._patient = patient
        self.asked = False
        self._held = False

    def install(self) -> None:
        """Take over the signals of this process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._held and (self._patient or not self.asked):
            self.asked = True
            return
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A loop that looks at `asked` after each step."""
        self._held = True
        try:
            yield
        finally:
            self._held = False


@dataclass(frozen=True)
class Context:
    """What a stage runs with."""

    recipe: TrainRecipe
    name: str
    folder: Path
    """Where the stage writes: model/, checkpoint/, metrics.jsonl."""
    previous: Path | None
    """The model folder of the stage before."""
    digest: str
    """Of the stage's options and inputs: a checkpoint with another one is not gone on from."""
    device: Device
    report: Reporter
    interrupts: Interrupts
    check: bool
    """Read all data and show examples, as `--check` does."""
    world: World = ALONE
    """The processes that run the stage together."""

    def source(self, model: str) -> Path:
        """The folder that `model` (previous, stage:NAME, or a folder) means."""
        if model.startswith(REFERENCE):
            return Path(self.recipe.out) / model.removeprefix(REFERENCE) / "model"
        return self.previous if model == "previous" and self.previous else Path(model)

    def rows(self, data: str | list[str]) -> list[str]:
        """The files and folders that `data` means; stage:NAME is what that stage wrote."""
        return [
            str(Path(self.recipe.out) / name.removeprefix(REFERENCE) / "data") if name.startswith(REFERENCE) else name
            for name in ([data] if isinstance(data, str) else data)
        ]

    def metrics(self, step: int, file: str = "metrics.jsonl") -> Metrics:
        """A file of lines by step in the stage's folder, opened at `step`; metrics.jsonl goes to the recipe's boards too."""
        if not self.world.main:
            return Metrics(None, step)
        boards = None
        if self.recipe.log and file == "metrics.jsonl" and not self.check:
            from train.boards import Boards

            options = self.recipe.model_dump(mode="json", exclude={"stages", "prompts"})
            boards = Boards(self.recipe.log, self.folder, f"{self.folder.parent.name}/{self.name}", options)
        return Metrics(self.folder / file, step, boards)

    def warn(self, message: str) -> None:
        """Say what a person should look at."""
        self.report.emit("warning", name=self.name, message=message)

    def note(self, message: str) -> None:
        """Say what was decided."""
        self.report.emit("note", name=self.name, message=message)


@dataclass(frozen=True)
class Outcome:
    """What a stage hands back, with its model, if it leaves one, in `Context.folder / "model"`."""

    summary: dict[str, Any]
    """What it measured, for summary.json; `measure` is what the stage is judged by: {name, before, after, better}."""
    format: str
    """How prompts are put to the model: text, instruction or chat."""
