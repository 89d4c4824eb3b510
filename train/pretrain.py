"""Causal pretraining on token shards: a plain loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from train import model as models
from train.checkpoint import Progress, load_checkpoint, save_checkpoint
from train.config import Architecture, PretrainStage
from train.data import IGNORE, Rows, open_shards
from train.errors import DataError, Interrupted, TrainError
from train.evaluate import Loss, heldout_loss, loss_sum
from train.loader import Loader
from train.optimizer import build_optimizer, rate
from train.report import Metrics
from train.rows import fingerprint
from train.stage import Context, Outcome
from train.tokenizer import same_ids

if TYPE_CHECKING:
    import torch

__all__ = ["inputs", "run"]

FLUSH = 10
"""Steps between looks at the loss: each look waits for the device."""


def inputs(stage: PretrainStage) -> str:
    """Digest of the data of `stage` and its tokenizer."""
    shards = open_shards(stage.data)
    return shards.fingerprint + fingerprint(sorted(p for p in shards.tokenizer.iterdir() if p.is_file()))


def run(stage: PretrainStage, context: Context) -> Outcome:
    """Train, and leave the model in `context.folder / "model"`.

    Goes on from the checkpoint of an interrupted run with the same options and inputs; on a CPU with the same number
    of threads, the result is bit for bit that of an unbroken run (unless `minutes` decides where it ends).
    Raises DataError for unusable shards or models, TrainError when the loss is no number, Interrupted when stopped.
    """
    shards = open_shards(stage.data)
    if context.check:
        shards.verify()
    tokenizer = models.load_tokenizer(shards.tokenizer)
    if tokenizer.eos_token_id != shards.eos_id:
        raise DataError(
            f"{shards.folder}: documents end with id {shards.eos_id}, the tokenizer's end token is {tokenizer.eos_token_id}"
        )
    if shards.content == "preferences":
        raise DataError(f"{shards.folder}: holds pairs of answers; pretrain trains on text or examples")
    rows, heldout = (
        Rows(shards.split(name, least), stage.sequence, shards.vocab_size, seed, stage.isolate_documents)
        # A packed row may be short.
        for least in [2 if shards.sequence else stage.sequence + 1]
        for name, seed in (("train", context.recipe.seed), ("validation", 0))
    )
    model = _open_model(stage, context, shards.vocab_size, tokenizer)
    micro = context.device.micro(stage.batch, stage.sequence)
    if context.check:
        _show(stage, context, rows, tokenizer, model, micro)
    trainer = _Trainer(stage, context, rows, heldout, model, micro)
    before, progress = trainer.train()

    models.save(model, tokenizer, context.folder / "model", [tokenizer.eos_token_id])
    # Measured on what was written, not on what is in memory.
    saved = models.load(context.folder / "model").to(context.device.type)
    after = trainer.evaluate(saved)
    split = heldout.split
    bits = {
        f"bits_per_byte_{when}": Loss(loss, 1).bits_per_byte(split.tokens, split.bytes)
        for when, loss in (("before", before), ("after", after))
        if split.bytes and split.trained is None
    }
    summary = {
        "loss_before": before,
        "loss_after": after,
        **bits,
        "steps": progress.step,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": round(progress.tokens / progress.seconds, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_tokens": rows.split.tokens,
        "passes": progress.tokens / rows.split.tokens,
        "heldout_tokens": split.tokens,
    }
    return Outcome(summary, "text")


def _open_model(stage: PretrainStage, context: Context, vocab_size: int, tokenizer: Any) -> torch.nn.Module:
    if isinstance(stage.model, Architecture):
        model = models.build(stage.model, vocab_size, tokenizer, context.recipe.seed)
    else:
        folder = context.source(stage.model)
        model = models.load(folder)
        if not same_ids(models.load_tokenizer(folder), tokenizer):
            raise DataError(f"{folder}: its tokenizer is not the one that wrote {stage.data}; the ids mean other tokens")
        if stage.sequence > model.config.max_position_embeddings:
            raise DataError(
                f"{folder}: is made for {model.config.max_position_embeddings} positions, sequence is {stage.sequence}"
            )
    model.train()
    moved: torch.nn.Module = model.to(context.device.type)
    return moved


class _Trainer:
    """The loop and what it holds."""

    def __init__(
        self, stage: PretrainStage, context: Context, rows: Rows, heldout: Rows, model: torch.nn.Module, micro: int
    ) -> None:
        import torch

        self.stage, self.context, self.rows, self.model, self.micro = stage, context, rows, model, micro
        self.heldout_rows = tuple(torch.from_numpy(array) for array in heldout.spread(stage.eval.sequences).arrays)
        self.optimizer = build_optimizer(model, stage.optimizer)
        self.forward: Any = torch.compile(model, dynamic=False) if stage.compile else model
        self.step_tokens = stage.batch.sequences * stage.sequence
        self.last_step = self._last_step()

    def _last_step(self) -> int | None:
        """The step at which a limit other than time ends the stage; None when only time does."""
        limits = [self.stage.steps] if self.stage.steps else []
        if self.stage.tokens:
            limits.append(math.ceil(self.stage.tokens / self.step_tokens))
        if not limits and not self.stage.minutes:
            limits.append(math.ceil(self.rows.count / self.stage.batch.sequences))
        return min(limits, default=None)

    def share(self, step: int, seconds: float) -> float:
        """Share of the stage that is done after `step` steps and `seconds`, by the limit that is nearest."""
        shares = [step / self.last_step] if self.last_step else []
        if self.stage.minutes:
            shares.append(seconds / (60 * self.stage.minutes))
        return min(1.0, max(shares))

    def finished(self, progress: Progress) -> bool:
        """Whether a limit is reached."""
        out_of_time = self.stage.minutes is not None and progress.seconds >= 60 * self.stage.minutes
        return out_of_time or (self.last_step is not None and progress.step >= self.last_step)

    def evaluate(self, model: torch.nn.Module) -> float:
        """Held-out loss of `model` in nats per token."""
        batches = self._parts(self.heldout_rows)
        return heldout_loss(model, batches, self.context.device, self.stage.precision).per_token

    def _parts(self, rows: tuple[torch.Tensor, ...]) -> Iterator[tuple[torch.Tensor, ...]]:
        """Inputs, targets and positions of the rows that are computed at once."""
        import torch

        return zip(*(torch.split(one, self.micro) for one in rows), strict=True)

    def train(self) -> tuple[float, Progress]:
        """Run to the end. Returns the held-out loss before the first step, and how far it came."""
        context, stage = self.context, self.stage
        file = context.folder / "checkpoint" / "state.pt"
        resumed = load_checkpoint(file, context.digest, self.model, self.optimizer)
        progress, self.rows.cursor = resumed or (Progress(), self.rows.cursor)
        steps = {"steps": self.last_step} if self.last_step else {}
        context.report.emit(
            "start", stage="pretrain", name=context.name, resumed_at=progress.step if resumed else None, **steps
        )
        metrics = Metrics(context.folder / "metrics.jsonl", progress.step)
        if not resumed:
            progress.loss_before = self.evaluate(self.model)
            metrics.write(step=0, heldout_loss=progress.loss_before)
            self._check_first_loss(progress.loss_before)
        pending: list[tuple[dict[str, Any], torch.Tensor, torch.Tensor]] = []
        begun = time.monotonic() - progress.seconds
        loader = Loader(self.rows, stage.batch.sequences, pinned=context.device.type == "cuda")
        with context.interrupts.held(), loader:
            while not self.finished(progress):
                share = rate(stage.optimizer, self.share(progress.step + 1, progress.seconds))
                loss, norm = self._step(share * stage.optimizer.lr, loader.next())
                progress.step += 1
                progress.tokens += self.step_tokens
                progress.seconds = time.monotonic() - begun
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
                save = stage.save.every and progress.step % stage.save.every == 0 and not ended
                stop = context.interrupts.asked
                if stop or save or ended or len(pending) >= FLUSH:
                    self._flush(pending, metrics, progress)
                if save or stop:
                    save_checkpoint(file, context.digest, progress, loader.cursor, self.model, self.optimizer)
                if stop:
                    metrics.close()
                    raise Interrupted(
                        f"{context.name}: stopped at step {progress.step}, saved; the same command goes on from there"
                    )
        metrics.close()
        return progress.loss_before, progress

    def _step(self, lr: float, rows: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """One step of the optimizer. Returns its loss in nats per token and the norm of its gradient, on the device."""
        import torch

        for group in self.optimizer.param_groups:
            group["lr"] = lr
        # Rows with nothing to train on give no gradient.
        tokens = max(1, int((rows[1] != IGNORE).sum()))
        total = torch.zeros((), device=self.context.device.type)
        for part in self._parts(rows):
            with self.context.device.autocast(self.stage.precision):
                nats = loss_sum(self.forward, *map(self.context.device.move, part))
            # Divided by the trained tokens of the whole step, so that the micro-batch does not change the gradient.
            (nats / tokens).backward()  # type: ignore[no-untyped-call]
            total += nats.detach()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.stage.optimizer.clip or math.inf)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return total / tokens, norm

    def _flush(
        self, pending: list[tuple[dict[str, Any], torch.Tensor, torch.Tensor]], metrics: Metrics, progress: Progress
    ) -> None:
        """Write the steps since the last flush. TrainError, before anything is saved, when their loss is no number."""
        if not pending:
            return
        for line, loss_tensor, norm_tensor in pending:
            loss, norm = float(loss_tensor), float(norm_tensor)
            if not math.isfinite(loss) or not math.isfinite(norm):
                raise TrainError(
                    f"{self.context.name}: at step {line['step']} the loss is {loss} and the gradient {norm}; "
                    "lower optimizer.lr, or look at the data"
                )
            metrics.write(**line, loss=loss, gradient_norm=norm)
        pending.clear()
        self.context.report.emit(
            "step",
            stage="pretrain",
            name=self.context.name,
            step=progress.step,
            steps=self.last_step,
            progress=round(self.share(progress.step, progress.seconds), 4),
            loss=loss,
            tokens_per_second=round(progress.tokens / progress.seconds, 1),
            seconds=round(progress.seconds, 1),
        )

    def _check_first_loss(self, loss: float) -> None:
        vocabulary = self.rows.vocab_size
        if isinstance(self.stage.model, Architecture) and abs(loss - math.log(vocabulary)) > 1:
            self.context.warn(
                f"the new model starts at a loss of {loss:.2f}, where guessing among {vocabulary} tokens is "
                f"{math.log(vocabulary):.2f}: its first weights or the token ids are not what they should be"
            )


def _show(stage: PretrainStage, context: Context, rows: Rows, tokenizer: Any, model: torch.nn.Module, micro: int) -> None:
    """What `--check` tells: counts, the memory needed, the beginning of three rows."""
    memory = models.memory_estimate(model, micro, stage.sequence, context.device.bfloat16(stage.precision))
    context.note(
        f"{rows.split.tokens:,} training tokens, {rows.count:,} rows of {stage.sequence}; "
        f"{sum(p.numel() for p in model.parameters()):,} parameters; about {memory.total / 2**20:,.0f} MiB "
        f"({memory.states / 2**20:,.0f} weights and optimizer, {memory.activations / 2**20:,.0f} activations, "
        f"{memory.logits / 2**20:,.0f} logits) at {micro} rows at once"
    )
    if rows.split.trained is not None:
        context.note(f"{rows.split.trained:,} of the training tokens are trained on, as the mask has it")
    for row in rows.spread(3).inputs:
        context.report.emit("example", name=context.name, message=f"⟦{tokenizer.decode(row[:64])}⟧ ...")
