"""AdamW and the course of its learning rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from train.config import Optimizer

if TYPE_CHECKING:
    import torch

__all__ = ["build_optimizer", "rate"]


def rate(options: Optimizer, progress: float) -> float:
    """The learning rate as a share of `lr` when `progress` (0 to 1) of the stage is done.

    Linear from 0 over `warmup`, then from 1 down to `final` along a cosine or a line, or constant.
    """
    if progress < options.warmup:
        return progress / options.warmup
    if options.schedule == "constant":
        return 1.0
    left = 1 - min(1.0, (progress - options.warmup) / (1 - options.warmup))
    course = left if options.schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)
    return options.final + (1 - options.final) * course


def build_optimizer(model: torch.nn.Module, options: Optimizer) -> torch.optim.AdamW:
    """AdamW over the trainable weights; matrices are decayed, vectors (norms, biases) are not."""
    import torch

    weights = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in weights if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type == "cuda" for p in weights)
    return torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, fused=fused)
