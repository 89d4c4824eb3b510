"""Supervised tuning with TRL's SFTTrainer, on ids and labels that `train.render` made."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from train import model as models
from train.config import SupervisedStage
from train.data import open_shards
from train.errors import DataError
from train.evaluate import heldout_loss
from train.examples import PREFIX_CHECKED, Examples, read_examples, shards_of
from train.lora import adapted, merged
from train.rows import fingerprint, list_files
from train.stage import Context, Outcome

if TYPE_CHECKING:
    import torch

    from train.follow import Watch

__all__ = ["inputs", "run"]


def inputs(stage: SupervisedStage) -> str:
    """Digest of the data of `stage`."""
    folder = shards_of(stage.data)
    return fingerprint(list_files(stage.data)) if folder is None else open_shards(folder).fingerprint


def run(stage: SupervisedStage, context: Context) -> Outcome:
    """Tune, and leave the model in `context.folder / "model"`.

    An interrupted run goes on from its last checkpoint; order, optimizer and random state are those it had.
    Raises DataError for unusable rows or models, TrainError when the loss is no number, Interrupted when stopped.
    """
    folder = context.source(stage.model)
    tokenizer = models.load_tokenizer(folder)
    model = models.load(folder).to(context.device.type)
    if stage.max_length > model.config.max_position_embeddings:
        raise DataError(
            f"{folder}: is made for {model.config.max_position_embeddings} positions, max_length is {stage.max_length}"
        )
    data = read_examples(stage, tokenizer)
    micro = context.device.micro(stage.batch, stage.max_length)
    _tell(stage, context, data, model, micro)

    def evaluate(some: torch.nn.Module) -> float:
        batches = data.heldout.batches(stage.eval.sequences, micro, tokenizer.pad_token_id)
        return heldout_loss(some, batches, context.device, stage.precision).per_token

    before = evaluate(model)
    if stage.lora:
        model = adapted(model, stage.lora, context.recipe.seed)
    watch = _train(stage, context, data, model, tokenizer, micro, evaluate)
    if stage.lora:
        model = merged(model)
    models.save(model, tokenizer, context.folder / "model", data.renderer.stop_ids)
    after = evaluate(models.load(context.folder / "model").to(context.device.type))
    summary = {
        "loss_before": before,
        "loss_after": after,
        "steps": watch.step,
        "tokens": watch.tokens,
        "seconds": round(watch.seconds, 3),
        "tokens_per_second": round(watch.tokens / watch.seconds, 1),
        "rows_in": data.rows_in,
        "rows_trained": len(data.train),
        "rows_heldout": len(data.heldout),
        "rows_cut": data.cut,
        "rows_dropped": dict(sorted(data.dropped.items())),
        "trained_share": data.train.trained / len(data.train.ids),
    }
    return Outcome(summary, data.format)


def _tell(stage: SupervisedStage, context: Context, data: Examples, model: torch.nn.Module, micro: int) -> None:
    """Counts and warnings; with `--check` the memory needed and examples too."""
    drops = "".join(f", {n:,} dropped ({reason})" for reason, n in sorted(data.dropped.items()))
    context.note(
        f"{data.rows_in:,} {data.format} rows: {len(data.train):,} to train on, "
        f"{len(data.heldout):,} held out{drops}, {data.cut:,} cut"
    )
    if data.unstable:
        context.warn(
            f"{data.unstable} of the first {min(PREFIX_CHECKED, data.rows_in)} rows start with other tokens than their "
            "prompt does when it is asked: the chat template puts them differently"
        )
    if stage.batch.sequences > len(data.train):
        context.warn(f"one step takes {stage.batch.sequences} rows and there are {len(data.train)}")
    if context.check:
        memory = models.memory_estimate(model, micro, stage.max_length, context.device.bfloat16(stage.precision))
        context.note(f"about {memory.total / 2**20:,.0f} MiB at {micro} rows at once; what is trained on is between ⟦ and ⟧")
        for text in data.shown:
            context.report.emit("example", name=context.name, message=text)


def _train(
    stage: SupervisedStage,
    context: Context,
    data: Examples,
    model: Any,
    tokenizer: Any,
    micro: int,
    evaluate: Callable[[Any], float],
) -> Watch:
    from trl import SFTConfig, SFTTrainer

    from train.tune import Tuning

    steps = stage.steps or math.ceil(stage.epochs * math.ceil(len(data.train) / stage.batch.sequences))
    tuning = Tuning(stage, context, model, steps, evaluate)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(
            **tuning.arguments(micro, stage.batch.sequences // micro),
            max_length=stage.max_length,
            packing=False,
            # TRL's own preparation would tokenise again with a template of its own choosing.
            dataset_kwargs={"skip_prepare_dataset": True},
        ),
        train_dataset=data.train.dataset(),
        processing_class=tokenizer,
        optimizers=tuning.optimizers,
        callbacks=[tuning.watch],
    )
    return tuning.run(trainer)
