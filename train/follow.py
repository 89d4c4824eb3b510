"""What TRL's trainers share here: progress, held-out loss, interruption and checkpoints that are known to be whole."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from train.config import DpoStage, GrpoStage, KtoStage, RewardStage, RlooStage, SupervisedStage
from train.optimizer import rate
from train.report import Metrics, write_atomic
from train.stage import Context

if TYPE_CHECKING:
    import torch

__all__ = ["Tuned", "Watch", "last_checkpoint"]

Tuned = SupervisedStage | RewardStage | DpoStage | KtoStage | GrpoStage | RlooStage
"""The stages that a trainer of TRL or transformers runs."""

TOLD = (
    "accuracy", "score_mean", "score_std", "reward", "reward_std", "kl", "completions/mean_length", "completions/clipped_ratio",
    "frac_reward_zero_std", "entropy",
)  # fmt: skip
"""What of a trainer's own measures is written to metrics.jsonl, beside all that begins with rewards/."""

MARK = "complete"
"""File in a checkpoint folder, written last: the digest that the checkpoint belongs to. Trainer saves into the final
name, so that a kill leaves half a checkpoint behind."""


def last_checkpoint(folder: Path, digest: str) -> Path | None:
    """The newest whole checkpoint in `folder` that belongs to `digest`."""
    found = [mark.parent for mark in folder.glob(f"checkpoint-*/{MARK}") if mark.read_text(encoding="utf-8") == digest]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class Watch(TrainerCallback):  # type: ignore[misc]
    """Follows a trainer: metrics.jsonl, progress, held-out loss, and a stop that saves."""

    def __init__(
        self,
        stage: Tuned,
        context: Context,
        metrics: Metrics,
        evaluate: Callable[[torch.nn.Module], float] | None,
        steps: int,
    ) -> None:
        self.stage, self.context, self.metrics, self.evaluate, self.steps = stage, context, metrics, evaluate, steps
        # TRL counts the tokens of this process only; those before a resume are in metrics.jsonl.
        self._tokens_before = int(metrics.last.get("tokens", 0))
        self._seconds_before = float(metrics.last.get("seconds", 0.0))
        self._begun = time.monotonic()
        self.step = int(metrics.last.get("step", 0))
        self.tokens = self._tokens_before
        self.seconds = self._seconds_before
        self.broken = ""

    def forget_tokens(self) -> None:
        """For trainers whose count of tokens goes on when they are resumed."""
        self._tokens_before = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._begun = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
        """One line of metrics a step; stop when the loss is no number."""
        if "loss" not in logs:
            return
        self.tokens = self._tokens_before + int(logs["num_tokens"])
        self.seconds = self._seconds_before + time.monotonic() - self._begun
        # What Trainer logs as its rate is that of the next step.
        lr = self.stage.optimizer.lr * rate(self.stage.optimizer, state.global_step / self.steps)
        line = {"step": state.global_step, "lr": lr, "tokens": self.tokens, "seconds": self.seconds}
        if not math.isfinite(logs["loss"]) or not math.isfinite(logs["grad_norm"]):
            self.broken = (
                f"{self.context.name}: at step {state.global_step} the loss is {logs['loss']}; "
                "lower optimizer.lr, or look at the data"
            )
            control.should_training_stop, control.should_save = True, False
            return
        told = {name.replace("/", "_"): value for name, value in logs.items() if name in TOLD or name.startswith("rewards/")}
        self.metrics.write(**line, loss=logs["loss"], gradient_norm=logs["grad_norm"], **told)
        self.context.report.emit(
            "step",
            stage=self.stage.stage,
            name=self.context.name,
            step=state.global_step,
            steps=self.steps,
            progress=round(state.global_step / self.steps, 4),
            loss=logs["loss"],
            tokens_per_second=round(self.tokens / self.seconds, 1),
            seconds=round(self.seconds, 1),
        )

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Held-out loss when it is due; save and stop when asked to."""
        self.step = state.global_step
        every = self.stage.eval.every
        if self.evaluate and every and self.step % every == 0 and self.step < self.steps:
            loss = self.evaluate(model)
            self.metrics.write(step=self.step, heldout_loss=loss)
            self.context.report.emit(
                "eval", stage=self.stage.stage, name=self.context.name, step=self.step, steps=self.steps, loss=loss
            )
        if self.context.interrupts.asked:
            control.should_training_stop = control.should_save = True
        elif self.step >= self.steps:
            control.should_save = False  # the model itself is about to be written

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Mark the checkpoint that was just written as whole."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        write_atomic(folder / MARK, self.context.digest)
