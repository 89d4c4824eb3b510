"""TensorBoard, Weights & Biases and MLflow, for those who ask for them: the numbers of metrics.jsonl, there too."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from train.config import Board
from train.errors import TrainError

__all__ = ["Boards", "need_boards"]

PROJECT = "curate"


def need_boards(names: Sequence[Board]) -> None:
    """Raises TrainError, naming the command to install it, for a board that is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise TrainError(f"log: {name} is not installed; run `pip install {name}`, or take it out of log")


class Boards:
    """The boards called `names`, open for one stage."""

    def __init__(self, names: Sequence[Board], folder: Path, run: str, options: dict[str, Any]) -> None:
        self._writers: list[Callable[[dict[str, float], int], None]] = []
        self._closers: list[Callable[[], None]] = []
        for name in names:
            {"tensorboard": self._tensorboard, "wandb": self._wandb, "mlflow": self._mlflow}[name](folder, run, options)

    def write(self, fields: dict[str, Any]) -> None:
        """The numbers of one line of metrics, under its step."""
        values = {key: float(value) for key, value in fields.items() if key != "step" and isinstance(value, int | float)}
        for writer in self._writers:
            writer(values, int(fields["step"]))

    def close(self) -> None:
        """Finish."""
        for closer in self._closers:
            closer()

    def _tensorboard(self, folder: Path, run: str, options: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        board = SummaryWriter(str(folder / "tensorboard"))

        def write(values: dict[str, float], step: int) -> None:
            for key, value in values.items():
                board.add_scalar(key, value, step)

        self._writers.append(write)
        self._closers.append(board.close)

    def _wandb(self, folder: Path, run: str, options: dict[str, Any]) -> None:
        import wandb

        board = wandb.init(project=PROJECT, name=run, dir=str(folder), config=options)
        self._writers.append(lambda values, step: board.log(values, step=step))
        self._closers.append(board.finish)

    def _mlflow(self, folder: Path, run: str, options: dict[str, Any]) -> None:
        import mlflow

        mlflow.set_experiment(PROJECT)
        mlflow.start_run(run_name=run)
        # MLflow takes parameters of 500 characters.
        mlflow.log_params({key: str(value)[:500] for key, value in options.items()})
        self._writers.append(lambda values, step: mlflow.log_metrics(values, step=step))
        self._closers.append(mlflow.end_run)
