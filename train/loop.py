"""The loop of pretraining: one for both objectives, on one process or many."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from train.checkpoint import Checkpoint, Progress, find_checkpoint, save_checkpoint
from train.config import Batch, PretrainStage
from train.data import IGNORE, Rows
from train.distributed import replicate, shard, whole_states
from train.errors import Interrupted, TrainError
from train.evaluate import heldout_loss
from train.loader import Loader
from train.masked import MaskedRows
from train.meter import flops_per_token, peak_flops, used_memory
from train.optimizer import blocks_of, build_optimizer, rate
from train.report import Metrics
from train.stage import Context

if TYPE_CHECKING:
    import torch

__all__ = ["CHECKED_STEPS", "Task", "Trainer", "local_micro"]

FLUSH = 10
"""Steps between looks at the loss: each look waits for the device."""
CHECKED_STEPS = 2
"""Steps that `--check` takes: the second is the first that finds everything warm."""


@dataclass(frozen=True)
class Task:
    """What is trained, and on what: where the objectives differ."""

    rows: Rows | MaskedRows
    heldout: Rows | MaskedRows
    loss_sum: Callable[..., torch.Tensor]
    """Of a model, inputs, targets and positions: cross entropy in nats, summed."""
    say: Callable[[Any, str], dict[str, Any]]
    """What a model makes of a prompt, as `train.evaluate.answer` has it."""


def local_micro(stage: PretrainStage, context: Context) -> int:
    """Rows that this process computes at once. Raises TrainError when the rows of a step cannot be shared out."""
    size = context.world.size
    rows, left = divmod(stage.batch.sequences, size)
    if left or (stage.batch.micro and rows % stage.batch.micro):
        raise TrainError(
            f"{context.name}: batch.sequences {stage.batch.sequences} are not shared out evenly to {size} processes"
            + (f" computing {stage.batch.micro} (batch.micro) at once" if stage.batch.micro else "")
        )
    return context.device.micro(Batch(sequences=rows, micro=stage.batch.micro), stage.sequence)


class Trainer:
    """The loop and what it holds."""

    def __init__(self, stage: PretrainStage, context: Context, task: Task, model: torch.nn.Module, micro: int) -> None:
        import torch

        self.stage, self.context, self.task, self.model, self.micro = stage, context, task, model, micro
        self.world = context.world
        self.heldout_rows = tuple(torch.from_numpy(array) for array in task.heldout.spread(stage.eval.sequences).arrays)
        self.step_tokens = stage.batch.sequences * stage.sequence
        self.last_step = self._last_step()
        self.flops = flops_per_token(model, stage.sequence)
        peak = peak_flops(context.device.type)
        self.peak = peak * self.world.size if peak else None
        bfloat16 = context.device.bfloat16(stage.precision)
        self.sharded = stage.parallel == "shard" and self.world.size > 1
        if self.sharded:
            shard(model, blocks_of(model), self.world, context.device.type, bfloat16)
        self.optimizer = build_optimizer(model, stage.optimizer)
        self._replicas = replicate(model) if self.world.size > 1 and not self.sharded else None
        forward = self._replicas or model
        self.forward: Any = torch.compile(forward, dynamic=False) if stage.compile else forward
        self._seen = (0, 0.0)
        """Tokens and seconds at the last look."""
        self.step_seconds = 0.0

    def _last_step(self) -> int | None:
        """The step at which a limit other than time ends the stage; None when only time does."""
        limits = [self.stage.steps] if self.stage.steps else []
        if self.stage.tokens:
            limits.append(math.ceil(self.stage.tokens / self.step_tokens))
        if not limits and not self.stage.minutes:
            limits.append(math.ceil(self.task.rows.count / self.stage.batch.sequences))
        return min(limits, default=None)

    def share(self, step: int, seconds: float) -> float:
        """Share of the stage that is done after `step` steps and `seconds`, by the limit that is nearest."""
        shares = [step / self.last_step] if self.last_step else []
        if self.stage.minutes:
            shares.append(seconds / (60 * self.stage.minutes))
        return min(1.0, max(shares))

    def finished(self, progress: Progress) -> bool:
        """Whether a limit is reached."""
        if self.context.check:
            return progress.step >= min(CHECKED_STEPS, self.last_step or CHECKED_STEPS)
        out_of_time = self.stage.minutes is not None and progress.seconds >= 60 * self.stage.minutes
        return out_of_time or (self.last_step is not None and progress.step >= self.last_step)

    def evaluate(self, model: torch.nn.Module) -> float:
        """Held-out loss of `model` in nats per token. Every process goes over all rows: all get the same number."""
        batches = self._parts(self.heldout_rows)
        loss = heldout_loss(model, batches, self.context.device, self.stage.precision, self.task.loss_sum)
        return loss.per_token

    def states(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Of the model and the optimizer. A sharded one is gathered: all processes must ask."""
        if self.stage.parallel == "shard":
            return whole_states(self.model, self.optimizer)
        return self.model.state_dict(), self.optimizer.state_dict()

    def _parts(self, rows: tuple[torch.Tensor, ...]) -> Iterator[tuple[torch.Tensor, ...]]:
        """Inputs, targets and positions of the rows that are computed at once."""
        import torch

        return zip(*(torch.split(one, self.micro) for one in rows), strict=True)

    def _resume(self) -> Progress | None:
        """Set everything to the newest checkpoint, if there is one."""
        context = self.context
        folder = context.folder / "checkpoint"
        found = find_checkpoint(folder, context.digest, context.warn)
        if found is None:
            return None
        self._restore(found)
        found.set_rng()
        self.task.rows.cursor = found.cursor
        self._seen = (found.progress.tokens, found.progress.seconds)
        return found.progress

    def _restore(self, found: Checkpoint) -> None:
        if self.stage.parallel == "shard":
            from torch.distributed.checkpoint.state_dict import StateDictOptions, set_state_dict

            whole = StateDictOptions(full_state_dict=True)
            set_state_dict(
                self.model, self.optimizer, model_state_dict=found.model, optim_state_dict=found.optimizer, options=whole
            )
        else:
            self.model.load_state_dict(found.model)
            self.optimizer.load_state_dict(found.optimizer)

    def train(self, first: Callable[[float], None]) -> tuple[float, Progress]:
        """Run to the end. Returns the held-out loss before the first step, and how far it came.

        first: is told that loss before there is a step, and may raise.
        """
        context, stage = self.context, self.stage
        resumed = self._resume()
        progress = resumed or Progress()
        steps = {"steps": self.last_step} if self.last_step else {}
        context.report.emit(
            "start", stage="pretrain", name=context.name, resumed_at=progress.step if resumed else None, **steps
        )
        metrics = context.metrics(progress.step)
        samples = context.metrics(progress.step, "samples_by_step.jsonl")
        if not resumed:
            progress.loss_before = self.evaluate(self.model)
            metrics.write(step=0, heldout_loss=progress.loss_before)
            first(progress.loss_before)
        pending: list[tuple[dict[str, Any], torch.Tensor, torch.Tensor]] = []
        begun = time.monotonic() - progress.seconds
        loader = Loader(self.task.rows, stage.batch.sequences, pinned=context.device.type == "cuda")
        with context.interrupts.held(), contextlib.closing(metrics), contextlib.closing(samples), loader:
            while not self.finished(progress):
                share = rate(stage.optimizer, self.share(progress.step + 1, progress.seconds))
                loss, norm = self._step(share * stage.optimizer.lr, loader.next())
                progress.step += 1
                progress.tokens += self.step_tokens
                asked, seconds = self._agree(context.interrupts.asked, time.monotonic() - begun)
                self.step_seconds, progress.seconds = seconds - progress.seconds, seconds
                line = {
                    "step": progress.step,
                    "lr": share * stage.optimizer.lr,
                    "tokens": progress.tokens,
                    "seconds": progress.seconds,
                }
                pending.append((line, loss, norm))
                ended = self.finished(progress)
                if stage.eval.every and progress.step % stage.eval.every == 0 and not ended:
                    self._flush(pending, metrics, progress)
                    held = self.evaluate(self.model)
                    metrics.write(step=progress.step, heldout_loss=held)
                    context.report.emit("eval", stage="pretrain", name=context.name, step=progress.step, loss=held, **steps)
                    self._sample(samples, progress.step)
                    asked, _ = self._agree(context.interrupts.asked, 0.0)
                save = stage.save.every and progress.step % stage.save.every == 0 and not ended
                if asked or save or ended or len(pending) >= FLUSH:
                    self._flush(pending, metrics, progress)
                if save or asked:
                    self._save(progress, loader)
                if asked:
                    raise Interrupted(
                        f"{context.name}: stopped at step {progress.step}, saved; the same command goes on from there"
                    )
        return progress.loss_before, progress

    def _agree(self, asked: bool, seconds: float) -> tuple[bool, float]:
        """Whether any process was asked to stop, and the main one's clock."""
        stop, clock = self.world.sum(asked, seconds if self.world.main else 0.0)
        return stop > 0, clock

    def _save(self, progress: Progress, loader: Loader) -> None:
        states = self.states()
        if self.world.main:
            folder = self.context.folder / "checkpoint"
            save_checkpoint(folder, self.context.digest, progress, loader.cursor, states, self.stage.save.keep)
        self.world.wait()

    def _sample(self, samples: Metrics, step: int) -> None:
        """The recipe's prompts, answered on the way."""
        import torch

        training = self.model.training
        with torch.random.fork_rng():
            for prompt in self.context.recipe.prompts:
                said = self.task.say(self.model.eval(), prompt)
                samples.write(step=step, prompt=prompt, answer=said["answer"])
        self.model.train(training)

    def _step(self, lr: float, rows: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the optimizer. Returns its loss in nats per token and the norm of its gradient, on the device."""
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = lr
        # Rows with nothing to train on give no gradient.
        tokens = max(1.0, self.world.sum(int((rows[1] != IGNORE).sum()))[0])
        total = torch.zeros((), device=self.context.device.type)
        parts = list(self._parts(rows))
        for i, part in enumerate(parts):
            with self._alone_until(last=i == len(parts) - 1):
                with self.context.device.autocast(self.stage.precision):
                    nats = self.task.loss_sum(self.forward, *map(self.context.device.move, part))
                # Divided by the trained tokens of the whole step, so that neither micro-batches nor processes change the
                # gradient; times the processes, over which it is averaged.
                (nats * (self.world.size / tokens)).backward()  # type: ignore[no-untyped-call]
            total += nats.detach()
        norm: Any = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.optimizer.clip or math.inf)
        if self.sharded:
            norm = norm.full_tensor()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return self.world.sum_tensor(total) / tokens, norm

    def _alone_until(self, last: bool) -> contextlib.AbstractContextManager[Any]:
        """Gradients of the processes meet once a step, with the last micro-batch."""
        if self.sharded:
            sharded: Any = self.model
            sharded.set_requires_gradient_sync(last)
        if self._replicas is not None and not last:
            replicas: Any = self._replicas
            return replicas.no_sync()  # type: ignore[no-any-return]
        return contextlib.nullcontext()

    def _flush(
        self, pending: list[tuple[dict[str, Any], torch.Tensor, torch.Tensor]], metrics: Metrics, progress: Progress
    ) -> None:
        """Write the steps since the last flush. TrainError, before anything is saved, when their loss is no number."""
        if not pending:
            return
        speed = self._speed(progress)
        for line, loss_tensor, norm_tensor in pending:
            loss, norm = float(loss_tensor), float(norm_tensor)
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise TrainError(
                    f"{self.context.name}: at step {line['step']} the loss is {loss} and the gradient {norm}; "
                    "lower optimizer.lr, or look at the data"
                )
            metrics.write(**line, loss=loss, gradient_norm=norm, **(speed if line["step"] == progress.step else {}))
        pending.clear()
        self.context.report.emit(
            "step",
            stage="pretrain",
            name=self.context.name,
            step=progress.step,
            steps=self.last_step,
            progress=round(self.share(progress.step, progress.seconds), 4),
            loss=loss,
            gradient_norm=norm,
            seconds=round(progress.seconds, 1),
            **{key: value for key, value in speed.items() if key != "memory"},
            memory_mib=speed["memory"] >> 20,
        )

    def _speed(self, progress: Progress) -> dict[str, Any]:
        """Tokens a second since the last look, share of the peak where that is known, seconds left, bytes at most."""
        tokens, seconds = self._seen
        self._seen = (progress.tokens, progress.seconds)
        speed = (progress.tokens - tokens) / max(1e-9, progress.seconds - seconds)
        done = self.share(progress.step, progress.seconds)
        found: dict[str, Any] = {
            "tokens_per_second": round(speed, 1),
            "seconds_left": round(progress.seconds * (1 - done) / done, 1),
            "memory": used_memory(self.context.device.type),
        }
        return found | ({"mfu": round(speed * self.flops / self.peak, 4)} if self.peak else {})
