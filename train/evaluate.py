"""Held-out loss and answers to prompts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from train.device import Device
from train.model import positions

if TYPE_CHECKING:
    import torch

    from train.render import Renderer

__all__ = ["Loss", "answer", "heldout_loss", "loss_sum"]


@dataclass(frozen=True)
class Loss:
    """Cross entropy over held-out tokens."""

    nats: float
    """Sum over all tokens."""
    tokens: int

    @property
    def per_token(self) -> float:
        """Nats per token."""
        return self.nats / max(1, self.tokens)

    def bits_per_byte(self, tokens: int, size: int) -> float:
        """Bits per byte of text, where `tokens` tokens stand for `size` bytes; does not depend on the vocabulary."""
        return self.per_token / math.log(2) * tokens / size


def loss_sum(
    model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor, positions: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross entropy in nats summed over `targets` that are not -100. All (rows, tokens); targets[i] follows inputs[i].

    No attention mask: rows are full or padded on the right, where causal attention never looks. `positions` that start again
    at 0 make transformers keep attention inside each run of them, as long as there is no mask and no cache.
    """
    import torch.nn.functional as functional

    placed = {} if positions is None else {"position_ids": positions}
    logits = model(input_ids=inputs, use_cache=False, **placed).logits
    return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum")


def heldout_loss(
    model: torch.nn.Module,
    batches: Iterable[tuple[torch.Tensor, ...]],
    device: Device,
    precision: str,
    summed: Callable[..., torch.Tensor] = loss_sum,
) -> Loss:
    """Loss of `model` over batches of (inputs, targets), or (inputs, targets, positions), without gradients; the model is
    left in training mode or not as it was. summed: the loss of a batch, where it is not that of the next token."""
    import torch

    training = model.training
    model.eval()
    nats, tokens = 0.0, 0
    with torch.no_grad(), device.autocast(precision):
        for batch in batches:
            nats += float(summed(model, *map(device.move, batch)))
            tokens += int((batch[1] != -100).sum())
    model.train(training)
    return Loss(nats, tokens)


def answer(
    model: Any, renderer: Renderer, prompt: str, *, max_new_tokens: int, temperature: float, seed: int
) -> dict[str, Any]:
    """What `model` says to `prompt`: {prompt, answer, tokens, ended}; `ended`: it stopped by itself.

    `temperature` 0 takes the likeliest token each time; above, tokens are drawn with `seed`.
    """
    import torch

    ids = torch.tensor([renderer.prompt(prompt)], device=model.device)
    most = positions(model)
    room = max_new_tokens if most is None else most - ids.shape[1]
    if room < 1:
        return {"prompt": prompt, "answer": "", "tokens": 0, "ended": False, "note": "the prompt fills the context"}
    torch.manual_seed(seed)
    drawing = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
    with torch.no_grad():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=min(max_new_tokens, room), **drawing)
    said: list[int] = out[0, ids.shape[1] :].tolist()
    stops = model.generation_config.eos_token_id
    ended = bool(said) and said[-1] in (stops if isinstance(stops, list) else [stops])
    text = renderer.tokenizer.decode(said, skip_special_tokens=True)
    return {"prompt": prompt, "answer": text, "tokens": len(said), "ended": ended}
