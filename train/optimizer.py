"""The optimizer and the course of its learning rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from train.config import Optimizer, PretrainOptimizer
from train.errors import DataError

if TYPE_CHECKING:
    import torch

__all__ = ["blocks_of", "build_optimizer", "rate"]


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


def build_optimizer(model: torch.nn.Module, options: Optimizer) -> torch.optim.Optimizer:
    """AdamW over the trainable weights, or Muon for the matrices inside the blocks and AdamW for the rest.

    Matrices are decayed, vectors (norms, biases) are not. AdamW is fused where torch has that for the device.
    """
    import torch

    weights = [p for p in model.parameters() if p.requires_grad]
    matrices: list[torch.nn.Parameter] = []
    if isinstance(options, PretrainOptimizer) and options.name == "muon":
        matrices = [p for p in blocks_of(model).parameters() if p.requires_grad and p.ndim == 2]
    inside = {id(p) for p in matrices}
    rest = [p for p in weights if id(p) not in inside]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    # Sharded weights (FSDP2) of a CPU have no fused kernel.
    fused = all(p.device.type in ("cuda", "cpu") and type(p) is torch.nn.Parameter for p in weights)
    adamw = torch.optim.AdamW(groups, lr=options.lr, betas=options.betas, fused=fused)
    if not matrices:
        return adamw
    from train.muon import Muon

    return Muon(matrices, adamw, lr=options.lr, weight_decay=options.weight_decay)


def blocks_of(model: torch.nn.Module) -> torch.nn.ModuleList:
    """The blocks of a transformers model: its list of as many modules as the configuration says. Raises DataError."""
    import torch

    config: Any = model.config
    for module in model.modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == config.num_hidden_layers:
            return module
    raise DataError(f"{type(model).__name__}: has no list of {config.num_hidden_layers} blocks that could be told apart")
