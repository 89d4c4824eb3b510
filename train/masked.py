"""The masked objective: which tokens are hidden, what a model that sees both sides is given, and how it fills gaps."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from train.data import IGNORE, Cursor, RowBatch, Rows
from train.model import positions

if TYPE_CHECKING:
    import torch

__all__ = ["GAP", "MaskedRows", "apart", "fill_in", "masked_loss_sum", "with_mask_token"]

MASK = "<|mask|>"
GAP = "___"
"""A gap in a prompt, beside the tokenizer's own mask token."""
SHOWN, RANDOM = 0.8, 0.1
"""Of the tokens asked for: shown as the mask token, as a random token; the others as they are (Devlin et al. 2019)."""


def with_mask_token(tokenizer: Any) -> Any:
    """`tokenizer` with a mask token; one without gets MASK behind its last id, so that the ids of shards stay as they are."""
    if tokenizer.mask_token_id is None:
        tokenizer.add_special_tokens({"mask_token": MASK})
    return tokenizer


class MaskedRows:
    """Rows with tokens hidden: targets are the hidden tokens, IGNORE elsewhere.

    Which are hidden depends on `seed`, the pass and the row's place in it alone: not on micro-batches, processes, or on
    where a run was broken off. Special tokens are never hidden, nor tokens that the shards' mask leaves out.
    """

    def __init__(self, rows: Rows, tokenizer: Any, share: float, seed: int) -> None:
        self.rows = rows
        self.share = share
        self.seed = seed
        self.mask_id = int(tokenizer.mask_token_id)
        special = set(tokenizer.all_special_ids)
        self.ordinary = np.array([i for i in range(rows.vocab_size) if i not in special])
        self._hideable = np.isin(np.arange(rows.vocab_size), self.ordinary)

    @property
    def cursor(self) -> Cursor:
        """The next row."""
        return self.rows.cursor

    @cursor.setter
    def cursor(self, cursor: Cursor) -> None:
        self.rows.cursor = cursor

    @property
    def count(self) -> int:
        """Rows in a pass."""
        return self.rows.count

    def next(self, rows: int) -> RowBatch:
        """The next `rows` rows, hidden anew in each pass."""
        return self.hide(self.rows.next(rows))

    def spread(self, rows: int) -> RowBatch:
        """Rows spread evenly over the split, always the same ones with the same tokens hidden."""
        return self.hide(self.rows.spread(rows))

    def hide(self, batch: RowBatch) -> RowBatch:
        """`batch` with tokens hidden. O(tokens)."""
        inputs = batch.inputs.copy()
        targets = np.full_like(inputs, IGNORE)
        counted = self._hideable[inputs] & batch.counted
        for i, (epoch, place) in enumerate(batch.places):
            draw = np.random.default_rng([self.seed, epoch, place])
            chosen = (draw.random(inputs.shape[1]) < self.share) & counted[i]
            targets[i, chosen] = inputs[i, chosen]
            how = draw.random(inputs.shape[1])
            others = self.ordinary[draw.integers(0, len(self.ordinary), inputs.shape[1])]
            inputs[i, chosen & (how < SHOWN)] = self.mask_id
            random = chosen & (how >= SHOWN) & (how < SHOWN + RANDOM)
            inputs[i, random] = others[random]
        return replace(batch, inputs=inputs, targets=targets)


def masked_loss_sum(
    model: Any, inputs: torch.Tensor, targets: torch.Tensor, positions: torch.Tensor | None = None
) -> torch.Tensor:
    """Cross entropy in nats summed over `targets` that are not -100. All (rows, tokens); targets[i] is what inputs[i] hides.

    `positions` start again at 0 where a document or the filling does; attention then stays inside each run of them.
    """
    import torch.nn.functional as functional

    logits = model(input_ids=inputs, **apart(model.config, positions)).logits
    return functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="sum")


def apart(config: Any, positions: torch.Tensor | None) -> dict[str, Any]:
    """What keeps the attention of an encoder inside each run of `positions`: a mask (rows, 1, tokens, tokens).

    transformers takes such a mask as it is, so that the window of a model with local attention must be in its own.
    """
    import torch

    if positions is None:
        return {}
    run = (positions == 0).cumsum(1)
    same = (run[:, :, None] == run[:, None, :])[:, None]
    mask: Any = same
    if "sliding_attention" in (getattr(config, "layer_types", None) or []):
        place = torch.arange(positions.shape[1], device=positions.device)
        near = (place[:, None] - place[None, :]).abs() <= config.sliding_window
        mask = {"full_attention": same, "sliding_attention": same & near}
    return {"attention_mask": mask, "position_ids": positions}


def fill_in(model: Any, tokenizer: Any, prompt: str) -> dict[str, Any]:
    """`prompt` with its gaps filled by their likeliest token: {prompt, answer, tokens, ended}.

    A gap is GAP or the mask token, of one token each; a prompt without one is given one at its end.
    """
    import torch

    # Tokens of words have the space before them inside.
    text = re.sub(f" ?{GAP}", tokenizer.mask_token, prompt)
    if tokenizer.mask_token not in text:
        text += tokenizer.mask_token
    ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]], device=model.device)
    most = positions(model)
    if most is not None and ids.shape[1] > most:
        return {"prompt": prompt, "answer": "", "tokens": 0, "ended": False, "note": "the prompt fills the context"}
    with torch.no_grad():
        likeliest = model(input_ids=ids).logits[..., : len(tokenizer)].argmax(-1)
    gaps = ids == tokenizer.mask_token_id
    said = tokenizer.decode(torch.where(gaps, likeliest, ids)[0].tolist(), skip_special_tokens=True)
    return {"prompt": prompt, "answer": said, "tokens": int(gaps.sum()), "ended": True}
