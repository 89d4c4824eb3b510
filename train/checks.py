"""What is looked at before the first step, each by a name that a recipe can allow to fail.

The cheap ones are part of every run; those that read all data or compute something are left to `--check`.

bos            no document begins twice, and either all begin with the tokenizer's bos token or none does
end            documents end with a token that tells a model to stop, and it is trained on
pad            padding is not among the tokens that are trained on
memory         what training needs fits into what is free
fresh_loss     a new model guesses evenly: its loss is the logarithm of the vocabulary
overlap        (--check) held-out documents are not in the training data too
accumulation   (--check) rows computed one by one give the loss and gradient of rows computed together
isolation      (--check) a document in a row of several has the logits that it has alone
reload         (--check) the model on disk has the held-out loss of the one in memory
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from train.config import Check, PretrainStage
from train.data import IGNORE, Shards, Split
from train.errors import TrainError
from train.meter import free_memory
from train.model import Memory
from train.stage import Context

if TYPE_CHECKING:
    import torch

__all__ = ["Checks", "accumulation", "begins", "ends", "fits", "fresh_loss", "isolation", "overlap", "padding", "time_of"]

SAMPLED = 256
"""Documents that are looked at for their first and last tokens."""
BLOCK = 1 << 21
"""Tokens that are hashed at once, or one document."""
OVERLAP = 0.01
"""Largest share of held-out documents that training may hold: short ones are equal by chance."""
FRESH = 1.0
"""Nats that a new model may be away from guessing."""
EXACT = 1e-4
"""Relative difference within which losses and logits count as equal: float32, another order of sums."""


class Checks:
    """Gathers what is wrong, so that all of it is said at once."""

    def __init__(self, context: Context, allow: list[Check]) -> None:
        self._context = context
        self._allow = allow
        self._failed: list[tuple[Check, str]] = []

    def look(self, name: Check, problem: str | None, well: str = "") -> None:
        """Book the outcome of a check: `problem` is what is wrong; with `--check`, `well` is said where nothing is."""
        if problem is None:
            if self._context.check and well:
                self._context.note(f"check {name}: {well}")
        elif name in self._allow:
            self._context.warn(f"check {name}: {problem} (allowed)")
        else:
            self._failed.append((name, problem))

    def stop(self) -> None:
        """Raises TrainError when a check failed that the recipe does not allow."""
        if self._failed:
            said = "; ".join(f"check {name}: {problem}" for name, problem in self._failed)
            names = ", ".join(name for name, _ in self._failed)
            raise TrainError(f"{self._context.name}: {said} (to train all the same: allow: [{names}])")


def sample(split: Split) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Documents spread evenly over `split` that are not empty, each as ids and which of them are trained on."""
    count = len(split.documents) - 1
    chosen = np.unique(np.linspace(0, count - 1, min(SAMPLED, count)).round().astype(np.int64))
    return [document for i in chosen.tolist() if len((document := split.document(i))[0])]


def begins(split: Split, bos: int | None) -> str | None:
    """What is wrong with the beginnings of documents."""
    if bos is None:
        return None
    found = [ids for ids, _ in sample(split)]
    twice = sum(int((ids[1:] == bos).any()) for ids in found)
    with_bos = sum(int(ids[0] == bos) for ids in found)
    if twice:
        return f"{twice} of {len(found)} documents hold the bos token {bos} past their beginning; tokenize without adding it"
    if 0 < with_bos < len(found):
        return f"{with_bos} of {len(found)} documents begin with the bos token {bos}, the others do not"
    return None


def ends(shards: Shards, split: Split, special: list[int]) -> str | None:
    """What is wrong with the ends of documents. special: all special ids of the tokenizer, as an end of turn is."""
    found = sample(split)
    if shards.content == "text":
        closed = sum(int(ids[-1] == shards.eos_id) for ids, _ in found)
        inside = sum(int((ids[:-1] == shards.eos_id).any()) for ids, _ in found)
        if inside:
            return f"{inside} of {len(found)} documents hold the end token {shards.eos_id} before their end"
        # Of a text that was cut to pack it, the last piece alone has an end.
        if closed < (1 if shards.sequence else len(found)):
            return f"{len(found) - closed} of {len(found)} documents do not end with {shards.eos_id}; a model will not stop"
        return None
    # Anywhere: templates put a line break after the token that ends a turn.
    if not any(np.isin(ids[mask], special).any() for ids, mask in found):
        return f"in none of {len(found)} documents is a token trained on that ends an answer; a model will not stop"
    return None


def padding(split: Split, pad: int, vocabulary: int) -> str | None:
    """What is wrong with the padding token `pad` of a model of `vocabulary` ids."""
    if pad >= vocabulary:
        return f"the padding token {pad} is not below the model's {vocabulary} ids"
    padded = sum(int((ids[mask] == pad).any()) for ids, mask in sample(split))
    return f"{padded} documents hold the padding token {pad} among what is trained on" if padded else None


def fits(memory: Memory, device: str) -> str | None:
    """What is wrong with the memory that training needs."""
    free = free_memory(device)
    if free is None or memory.total <= free:
        return None
    return (
        f"needs about {memory.total / 2**30:,.1f} GiB ({memory.states / 2**30:,.1f} for weights and optimizer, "
        f"{(memory.activations + memory.logits) / 2**30:,.1f} for what is computed at once), {free / 2**30:,.1f} GiB are "
        "free; lower batch.micro, the model, or under torchrun set parallel: shard"
    )


def fresh_loss(loss: float, vocabulary: int) -> str | None:
    """What is wrong with the first loss of a new model."""
    if abs(loss - math.log(vocabulary)) <= FRESH:
        return None
    return (
        f"the new model starts at a loss of {loss:.2f}, where guessing among {vocabulary} tokens is "
        f"{math.log(vocabulary):.2f}: its first weights or the token ids are not what they should be"
    )


def hashes(split: Split) -> np.ndarray[Any, Any]:
    """uint64 of each document that is not empty, equal for equal documents. O(tokens), 64 MB at a time."""
    found = [np.empty(0, np.uint64)]
    bounds = split.documents
    first = 0
    while first < len(bounds) - 1:
        last = max(first + 1, int(np.searchsorted(bounds, bounds[first] + BLOCK, side="right")) - 1)
        starts = bounds[first : last + 1]
        ids = split.read(int(starts[0]), int(starts[-1] - starts[0])).astype(np.uint64)
        lengths = np.diff(starts)
        place = np.arange(len(ids), dtype=np.uint64) - np.repeat((starts[:-1] - starts[0]).astype(np.uint64), lengths)
        mixed = _mixed(_mixed(ids) + place)
        filled = lengths > 0
        if filled.any():
            found.append(np.add.reduceat(mixed, (starts[:-1] - starts[0])[filled]))
        first = last
    return np.concatenate(found)


def _mixed(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The finalizer of splitmix64 (Steele et al. 2014): a bijection in which every bit hangs on every other."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray[Any, Any] = x ^ (x >> np.uint64(31))
    return mixed


def overlap(train: Split, heldout: Split) -> tuple[int, int]:
    """Held-out documents that are in `train` too, token for token, and held-out documents in all."""
    tested = hashes(heldout)
    return int(np.isin(tested, hashes(train)).sum()), len(tested)


def overlapping(found: int, documents: int) -> str | None:
    """What is wrong with `found` of `documents` held-out documents in the training data."""
    if found <= OVERLAP * documents:
        return None
    return f"{found} of {documents} held-out documents are in the training data too; deduplicate before splitting"


def accumulation(model: torch.nn.Module, rows: tuple[torch.Tensor, ...], loss_sum: Callable[..., torch.Tensor]) -> str | None:
    """What is wrong with computing `rows` one by one: loss and gradient are compared with those of all at once, float32."""
    import torch

    tokens = max(1, int((rows[1] != IGNORE).sum()))
    found = []
    for size in (len(rows[0]), 1):
        model.zero_grad(set_to_none=True)
        total = 0.0
        for part in zip(*(torch.split(one, size) for one in rows), strict=True):
            loss = loss_sum(model, *part) / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        found.append((total, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    model.zero_grad(set_to_none=True)
    (together, gradients), (alone, others) = found
    apart = sum(float((a - b).square().sum()) for a, b in zip(gradients, others, strict=True)) ** 0.5
    size_of = sum(float(a.square().sum()) for a in gradients) ** 0.5
    if abs(together - alone) <= EXACT * abs(together) and apart <= 10 * EXACT * size_of:
        return None
    return f"loss {alone:.6f} one by one, {together:.6f} together; gradients differ by {apart / max(size_of, 1e-30):.1e}"


def isolation(model: Any, batch: tuple[torch.Tensor, ...], logits: Callable[..., torch.Tensor]) -> tuple[str | None, int]:
    """What is wrong with documents that share a row, and how many were compared (the filling too): each alone and in its
    row, float32."""
    import torch

    inputs, _, positions = batch
    worst, compared = 0.0, 0
    with torch.no_grad():
        for row, place in zip(inputs, positions, strict=True):
            starts = [*(place == 0).nonzero().flatten().tolist(), len(place)]
            if len(starts) < 3:
                continue
            together = logits(model, row[None], place[None])[0]
            for start, end in itertools.pairwise(starts):
                alone = logits(model, row[None, start:end], place[None, start:end])[0]
                worst = max(worst, float((alone - together[start:end]).abs().max() / alone.abs().max().clamp(min=1)))
                compared += 1
    problem = None if worst <= EXACT else f"logits of a document alone and in its row differ by {worst:.1e}"
    return problem, compared


def time_of(stage: PretrainStage, steps: int | None, seconds: float) -> str:
    """How long the stage will take, when a step takes `seconds`."""
    if steps is None:
        return f"{seconds:.2f} s a step, {stage.minutes} minutes: about {60 * (stage.minutes or 0) / seconds:,.0f} steps"
    whole = steps * seconds
    said = f"{whole / 3600:,.1f} hours" if whole > 5400 else f"{whole / 60:,.1f} minutes" if whole > 90 else f"{whole:.0f} s"
    return f"{seconds:.2f} s a step, {steps:,} steps: about {said}"
