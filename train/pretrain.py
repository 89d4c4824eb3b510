"""Pretraining on token shards: what the loop is given, and what is made of it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train import checks
from train import model as models
from train.config import Architecture, PretrainStage
from train.data import IGNORE, Rows, Shards, open_shards
from train.errors import DataError
from train.evaluate import Loss, answer, loss_sum
from train.loop import Task, Trainer, local_micro
from train.masked import MaskedRows, apart, fill_in, masked_loss_sum, with_mask_token
from train.render import Renderer
from train.rows import fingerprint
from train.stage import Context, Outcome
from train.tokenizer import same_ids

if TYPE_CHECKING:
    import torch

__all__ = ["inputs", "run"]

SEARCHED = 256
"""Held-out rows among which `--check` looks for those of several documents."""


def inputs(stage: PretrainStage) -> str:
    """Digest of the data of `stage` and its tokenizer."""
    shards = open_shards(stage.data)
    return shards.fingerprint + fingerprint(sorted(p for p in shards.tokenizer.iterdir() if p.is_file()))


def run(stage: PretrainStage, context: Context) -> Outcome:
    """Train, and leave the model in `context.folder / "model"`.

    Goes on from the checkpoint of an interrupted run with the same options and inputs; on a CPU with the same number
    of threads, the result is bit for bit that of an unbroken run (unless `minutes` decides where it ends).
    Raises DataError for unusable shards or models, TrainError when a check fails or the loss is no number, Interrupted when
    stopped.
    """
    shards = open_shards(stage.data)
    if context.check:
        shards.verify()
    tokenizer = _tokenizer(stage, shards.tokenizer)
    if tokenizer.eos_token_id != shards.eos_id:
        raise DataError(
            f"{shards.folder}: documents end with id {shards.eos_id}, the tokenizer's end token is {tokenizer.eos_token_id}"
        )
    if shards.content == "preferences":
        raise DataError(f"{shards.folder}: holds pairs of answers; pretrain trains on text or examples")
    task = _task(stage, context, shards, tokenizer)
    micro = local_micro(stage, context)
    looked = checks.Checks(context, stage.allow)
    model = _open_model(stage, context, shards, tokenizer, micro, looked)
    _check_data(context, shards, tokenizer, model, looked)
    if context.check:
        _show(task, context, shards, tokenizer, model)
        _check_model(stage, task, model, looked)
    looked.stop()
    trainer = Trainer(stage, context, task, model, micro)

    def first(loss: float) -> None:
        if isinstance(stage.model, Architecture):
            well = f"the new model starts at {loss:.2f}, guessing is {math.log(shards.vocab_size):.2f}"
            looked.look("fresh_loss", checks.fresh_loss(loss, shards.vocab_size), well)
            looked.stop()

    before, progress = trainer.train(first)
    weights = trainer.states()[0] if stage.parallel == "shard" else None
    if context.world.main:
        models.save(model, tokenizer, context.folder / "model", [tokenizer.eos_token_id], weights)
    context.world.wait()
    # Measured on what was written, not on what is in memory.
    saved = models.load(context.folder / "model", _auto(stage)).to(context.device.type)
    after = trainer.evaluate(saved)
    if context.check:
        here = trainer.evaluate(model)
        differs = None if abs(here - after) <= checks.EXACT * after else f"loss {after:.5f} on disk, {here:.5f} in memory"
        looked.look("reload", differs, f"loss {after:.4f} on disk and in memory")
        looked.stop()
        context.note(checks.time_of(stage, trainer.last_step, trainer.step_seconds))
        prompt = tokenizer.decode(task.heldout.spread(1).inputs[0][:16])
        context.report.emit("example", name=context.name, message=f"{prompt!r} -> {task.say(saved.eval(), prompt)['answer']!r}")
    split = shards.splits["validation"]
    summary = {
        "objective": stage.objective,
        "loss_before": before,
        "loss_after": after,
        **_bits(stage, shards, before, after),
        "steps": progress.step,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 3),
        "tokens_per_second": round(progress.tokens / progress.seconds, 1),
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_tokens": shards.splits["train"].tokens,
        "passes": progress.tokens / shards.splits["train"].tokens,
        "heldout_tokens": split.tokens,
    }
    if trainer.peak:
        summary["mfu"] = round(progress.tokens / progress.seconds * trainer.flops / trainer.peak, 4)
    return Outcome(summary, "masked" if stage.objective == "masked" else "text")


def _bits(stage: PretrainStage, shards: Shards, before: float, after: float) -> dict[str, float]:
    """Bits per byte, which do not depend on the vocabulary. Hidden tokens are guessed from both sides: no measure of text."""
    split = shards.splits["validation"]
    if not split.bytes or split.trained is not None or stage.objective == "masked":
        return {}
    return {
        f"bits_per_byte_{when}": Loss(loss, 1).bits_per_byte(split.tokens, split.bytes)
        for when, loss in (("before", before), ("after", after))
    }


def _auto(stage: PretrainStage) -> str:
    return "AutoModelForMaskedLM" if stage.objective == "masked" else "AutoModelForCausalLM"


def _tokenizer(stage: PretrainStage, folder: Any) -> Any:
    tokenizer = models.load_tokenizer(folder, add_pad=True)
    return with_mask_token(tokenizer) if stage.objective == "masked" else tokenizer


def _task(stage: PretrainStage, context: Context, shards: Shards, tokenizer: Any) -> Task:
    """Rows and loss of the objective."""
    # A packed row may be short.
    least = 2 if shards.sequence else stage.sequence + 1
    masked = stage.objective == "masked"
    # A model that looks to the right must not see the filling of packed rows.
    isolate = stage.isolate_documents or (masked and shards.sequence is not None)
    part = (context.world.rank, context.world.size)
    rows, heldout = (
        Rows(shards.split(name, least), stage.sequence, shards.vocab_size, seed, isolate, share)
        for name, seed, share in (("train", context.recipe.seed, part), ("validation", 0, (0, 1)))
    )
    if masked:
        return Task(
            MaskedRows(rows, tokenizer, stage.mask_share, context.recipe.seed),
            MaskedRows(heldout, tokenizer, stage.mask_share, 0),
            masked_loss_sum,
            lambda model, prompt: fill_in(model, tokenizer, prompt),
        )
    recipe = context.recipe
    say = partial(answer, max_new_tokens=recipe.max_new_tokens, temperature=recipe.temperature, seed=recipe.seed)
    renderer = Renderer(tokenizer, "text", max_length=1, too_long="cut")
    return Task(rows, heldout, loss_sum, lambda model, prompt: say(model, renderer, prompt))


def _open_model(
    stage: PretrainStage, context: Context, shards: Shards, tokenizer: Any, micro: int, looked: checks.Checks
) -> torch.nn.Module:
    """The model, when there is room for it."""
    shape, folder, auto = stage.model, Path(), _auto(stage)
    if isinstance(shape, Architecture):
        new = partial(models.build, shape, shards.vocab_size, tokenizer, context.recipe.seed, stage.objective == "masked")
        sketch = models.sketch(new)
    else:
        folder = context.source(shape)
        sketch = models.load_sketch(folder, auto)
        if not same_ids(_tokenizer(stage, folder), tokenizer):
            raise DataError(f"{folder}: its tokenizer is not the one that wrote {stage.data}; the ids mean other tokens")
        most = models.positions(sketch)
        if most is not None and stage.sequence > most:
            raise DataError(f"{folder}: is made for {most} positions, sequence is {stage.sequence}")
    memory = models.memory_estimate(sketch, micro, stage.sequence, context.device.bfloat16(stage.precision))
    if stage.parallel == "shard":
        memory = memory.spread(context.world.size)
    looked.look("memory", checks.fits(memory, context.device.type), memory.text(micro))
    looked.stop()
    if isinstance(shape, Architecture):
        model = new()
    else:
        model = models.load(folder, auto)
        if model.get_input_embeddings().weight.shape[0] < len(tokenizer):
            model.resize_token_embeddings(models.padded_vocab(len(tokenizer)))
    model.train()
    moved: torch.nn.Module = model.to(context.device.type)
    return moved


def _check_data(context: Context, shards: Shards, tokenizer: Any, model: Any, looked: checks.Checks) -> None:
    """Documents as they are, a sample of them; with `--check`, whether any is on both sides."""
    split = shards.splits["train"]
    bos = tokenizer.bos_token_id if tokenizer.bos_token_id != tokenizer.eos_token_id else None
    looked.look("bos", checks.begins(split, bos), "no document begins twice" if bos is not None else "")
    looked.look("end", checks.ends(shards, split, tokenizer.all_special_ids), "documents end, and the end is trained on")
    vocabulary = model.config.vocab_size
    looked.look("pad", checks.padding(split, tokenizer.pad_token_id, vocabulary), "padding is not trained on")
    if context.check:
        found, documents = checks.overlap(split, shards.splits["validation"])
        said = f"{found} of {documents:,} held-out documents are in the training data"
        looked.look("overlap", checks.overlapping(found, documents), said)


def _check_model(stage: PretrainStage, task: Task, model: Any, looked: checks.Checks) -> None:
    """What `--check` computes before the two steps."""
    import torch

    device = next(model.parameters()).device
    arrays = task.heldout.spread(SEARCHED).arrays
    # Rows of several documents, where documents are kept apart.
    several = np.argsort(-(arrays[2] == 0).sum(1), kind="stable") if len(arrays) == 3 else np.arange(len(arrays[0]))
    batch = tuple(torch.from_numpy(array[several[:4]]).to(device) for array in arrays)
    model.eval()
    problem = checks.accumulation(model, batch, task.loss_sum)
    looked.look("accumulation", problem, f"{len(batch[0])} rows one by one give the gradient of all at once")
    if len(batch) == 3:

        def logits(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            placed = apart(model.config, positions) if stage.objective == "masked" else {"position_ids": positions}
            flags = {} if stage.objective == "masked" else {"use_cache": False}
            out: torch.Tensor = model(input_ids=ids, **placed, **flags).logits
            return out

        problem, compared = checks.isolation(model, batch, logits)
        looked.look("isolation", problem, f"{compared} parts of rows have the logits alone that they have in their row")
    model.train()


def _show(task: Task, context: Context, shards: Shards, tokenizer: Any, model: torch.nn.Module) -> None:
    """What `--check` tells: counts, and the beginning of three rows with what is trained on between ⟦ and ⟧."""
    split = shards.splits["train"]
    context.note(
        f"{split.tokens:,} training tokens, {task.rows.count:,} rows; {sum(p.numel() for p in model.parameters()):,} parameters"
    )
    if split.trained is not None:
        context.note(f"{split.trained:,} of the training tokens are trained on, as the mask has it")
    hidden = isinstance(task.rows, MaskedRows)
    batch = task.rows.spread(3)
    for ids, targets in zip(batch.inputs, batch.targets, strict=True):
        # The target of a token is the next one, or, where tokens are hidden, what it was itself.
        trained = targets != IGNORE
        shown = [targets[i] if hidden and trained[i] else ids[i] for i in range(min(64, len(ids)))]
        # The first of a stream was the target of the row before.
        marks = trained if hidden else [split.trained is None and batch.positions is None, *trained.tolist()]
        context.report.emit("example", name=context.name, message=_marked(tokenizer, shown, marks) + " ...")


def _marked(tokenizer: Any, ids: list[int], marks: Any) -> str:
    """`ids` as text, each run of what is marked between ⟦ and ⟧."""
    out, start = [], 0
    for end in range(1, len(ids) + 1):
        if end == len(ids) or bool(marks[end]) != bool(marks[start]):
            text = tokenizer.decode(ids[start:end])
            out.append(f"⟦{text}⟧" if marks[start] else text)
            start = end
    return "".join(out)
