"""One way to run the trainers of TRL and transformers: options, checkpoints, resuming, interruption, errors."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from train.errors import Interrupted, TrainError
from train.follow import Tuned, Watch, last_checkpoint
from train.optimizer import build_optimizer, rate
from train.stage import Context

if TYPE_CHECKING:
    import torch

__all__ = ["Tuning"]


class Tuning:
    """A stage that a trainer runs: make it with `arguments`, `optimizers` and `watch`, then `run` it.

    `evaluate` gives the held-out loss of a model; None: nothing is measured on the way.
    """

    def __init__(
        self,
        stage: Tuned,
        context: Context,
        model: torch.nn.Module,
        steps: int,
        evaluate: Callable[[torch.nn.Module], float] | None,
    ) -> None:
        import torch

        self.stage, self.context, self.steps = stage, context, steps
        self.folder = context.folder / "checkpoint"
        self.resume = last_checkpoint(self.folder, context.digest)
        if self.resume is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        start = int(self.resume.name.rpartition("-")[2]) if self.resume else 0
        context.report.emit("start", stage=stage.stage, name=context.name, steps=steps, resumed_at=start or None)
        optimizer = build_optimizer(model, stage.optimizer)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate(stage.optimizer, min(1.0, (step + 1) / steps))
        )
        self.optimizers = (optimizer, schedule)
        self.metrics = context.metrics(start)
        self.watch = Watch(stage, context, self.metrics, evaluate, steps)

    def arguments(self, micro: int, accumulate: int) -> dict[str, Any]:
        """Options of transformers.TrainingArguments that do not depend on the kind of trainer."""
        stage, device = self.stage, self.context.device
        return {
            "output_dir": str(self.folder),
            "max_steps": self.steps,
            "per_device_train_batch_size": micro,
            "gradient_accumulation_steps": accumulate,
            "max_grad_norm": stage.optimizer.clip,
            "use_cpu": device.type == "cpu",
            "bf16": device.bfloat16(stage.precision),
            "gradient_checkpointing": False,
            "save_strategy": "steps" if stage.save.every else "no",
            "save_steps": stage.save.every or self.steps,
            "save_total_limit": stage.save.keep,
            "logging_strategy": "steps",
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "eval_strategy": "no",
            "report_to": "none",
            "disable_tqdm": True,
            "seed": self.context.recipe.seed,
            "dataloader_pin_memory": device.type == "cuda",
        }

    def run(self, trainer: Any) -> Watch:
        """Train to the end, from the last whole checkpoint if there is one.

        Raises TrainError when the loss is no number or a checkpoint cannot be written, Interrupted when stopped.
        """
        from safetensors import SafetensorError
        from transformers import PrinterCallback

        trainer.pop_callback(PrinterCallback)
        try:
            with self.context.interrupts.held():
                trainer.train(resume_from_checkpoint=str(self.resume) if self.resume else None)
        except (OSError, SafetensorError, RuntimeError) as error:
            # torch's archive writer says RuntimeError when the disk is full; any other RuntimeError is not about writing.
            if isinstance(error, RuntimeError) and "inline_container" not in str(error):
                raise
            room = shutil.disk_usage(self.folder).free
            said = str(error).splitlines()[0]
            raise TrainError(
                f"{self.folder}: a checkpoint cannot be written, {room:,} bytes are free; make room ({said})"
            ) from error
        self.metrics.close()
        watch = self.watch
        if watch.broken:
            raise TrainError(watch.broken)
        if self.context.interrupts.asked:
            raise Interrupted(f"{self.context.name}: stopped at step {watch.step}, saved; the same command goes on from there")
        return watch
