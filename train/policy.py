"""A model that answers: answers drawn from it in batches, how likely it finds given ones, and how far it went from another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from train import model as models
from train.device import Device
from train.errors import TrainError
from train.render import Renderer

__all__ = ["Speaker", "check_reference", "divergence", "log_likelihoods", "open_speaker"]

TOKENS = {"cpu": 4096, "cuda": 65536}
"""Tokens computed at once."""

Ids = Sequence[int]


class Speaker:
    """A model with its renderer and the tokens that end an answer."""

    def __init__(self, model: Any, renderer: Renderer, device: Device, precision: str) -> None:
        self.model, self.renderer, self.device, self.precision = model, renderer, device, precision
        self.stops = set(renderer.stop_ids)

    def ended(self, answer: Ids) -> bool:
        """Whether the answer ended by itself."""
        return bool(answer) and answer[-1] in self.stops

    def text(self, answer: Ids) -> str:
        """The answer as text."""
        text: str = self.renderer.tokenizer.decode(list(answer), skip_special_tokens=True)
        return text

    def answers(self, prompts: Sequence[Ids], max_new_tokens: int, temperature: float, seed: int) -> list[list[int]]:
        """One answer to each prompt, its end token with it, in order. At `temperature` 0 the likeliest token each time.

        Prompts of like length are answered together, so that what is drawn depends on all of them and the seed.
        """
        import torch

        tokenizer = self.renderer.tokenizer
        drawing = {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
        found: list[list[int]] = [[] for _ in prompts]
        training = self.model.training
        self.model.eval()
        torch.manual_seed(seed)
        for batch, width in _batches([len(prompt) for prompt in prompts], self.device, max_new_tokens):
            ids = torch.full((len(batch), width), tokenizer.pad_token_id)
            mask = torch.zeros_like(ids)
            for i, row in enumerate(batch):
                start = width - len(prompts[row])
                ids[i, start:] = torch.tensor(list(prompts[row]))
                mask[i, start:] = 1
            with torch.no_grad(), self.device.autocast(self.precision):
                out = self.model.generate(
                    self.device.move(ids),
                    attention_mask=self.device.move(mask),
                    max_new_tokens=max_new_tokens,
                    eos_token_id=sorted(self.stops),
                    pad_token_id=tokenizer.pad_token_id,
                    **drawing,
                )
            for row, said in zip(batch, out[:, width:].tolist(), strict=True):
                end = next((i + 1 for i, token in enumerate(said) if token in self.stops), len(said))
                found[row] = said[:end]
        self.model.train(training)
        return found


def open_speaker(folder: Any, device: Device, precision: str, max_length: int) -> Speaker:
    """The model in `folder`, ready to answer. Raises DataError."""
    from train.choices import renderer_of

    renderer = renderer_of(models.load_tokenizer(folder), max_length)
    return Speaker(models.load(folder).to(device.type).eval(), renderer, device, precision)


def log_likelihoods(
    model: Any, rows: Sequence[tuple[Ids, Ids]], device: Device, precision: str, temperature: float = 1.0
) -> list[float]:
    """Log likelihood in nats of each answer after its prompt, summed over its tokens, in order. The model is left in training
    mode or not as it was."""
    import torch

    training = model.training
    model.eval()
    found = [0.0] * len(rows)
    for batch, width in _batches([len(prompt) + len(answer) for prompt, answer in rows], device, 0):
        ids = torch.zeros((len(batch), width), dtype=torch.long)
        said = torch.zeros((len(batch), width), dtype=torch.bool)
        for i, row in enumerate(batch):
            prompt, answer = rows[row]
            whole = len(prompt) + len(answer)
            ids[i, :whole] = torch.tensor([*prompt, *answer])
            said[i, len(prompt) : whole] = True
        ids, said = device.move(ids), device.move(said)
        with torch.no_grad(), device.autocast(precision):
            # Padded on the right, where causal attention never looks.
            logits = model(input_ids=ids, use_cache=False).logits[:, :-1].float() / temperature
        each = torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])[..., 0]
        for row, nats in zip(batch, (each * said[:, 1:]).sum(1).tolist(), strict=True):
            found[row] = nats
    model.train(training)
    return found


def divergence(
    policy: Any, reference: Any, rows: Sequence[tuple[Ids, Ids]], device: Device, precision: str, temperature: float = 1.0
) -> float:
    """Estimate of the KL divergence of `policy` from `reference` in nats an answer: the mean of log p(answer) / q(answer)
    over answers that were drawn from `policy`."""
    of_policy = log_likelihoods(policy, rows, device, precision, temperature)
    of_reference = log_likelihoods(reference, rows, device, precision, temperature)
    return math.fsum(p - q for p, q in zip(of_policy, of_reference, strict=True)) / len(rows)


def check_reference(policy: Any, reference: Any, rows: Sequence[tuple[Ids, Ids]], device: Device, precision: str) -> None:
    """Raises TrainError unless both find the answers equally likely: before the first step they are the same model."""
    of_policy = log_likelihoods(policy, rows, device, precision)
    of_reference = log_likelihoods(reference, rows, device, precision)
    worst = max(abs(p - q) for p, q in zip(of_policy, of_reference, strict=True))
    if not worst <= 1e-3:
        raise TrainError(
            f"the reference is not the model that is trained: before the first step they differ by {worst:.3g} nats an answer"
        )


def _batches(lengths: list[int], device: Device, more: int) -> Iterator[tuple[list[int], int]]:
    """Places of rows of like length, as many as TOKENS allow with `more` tokens each, and the longest; longest first."""
    order = sorted(range(len(lengths)), key=lambda i: (lengths[i], i))
    while order:
        width = lengths[order[-1]]
        batch = order[-max(1, TOKENS[device.type] // (width + more)) :]
        del order[-len(batch) :]
        yield batch, width
