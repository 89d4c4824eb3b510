"""Muon: momentum that is orthogonalised, for the matrices inside the blocks; AdamW beside it for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["Muon", "orthogonalised"]

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: steepest at 0, so that five rounds bring singular values near 1 (Jordan et al. 2024, Muon)."""
ROUNDS = 5
MOMENTUM = 0.95
RMS = 0.2
"""Size (root mean square) of AdamW's steps, which Muon's are scaled to (Liu et al. 2025, arXiv 2502.16982)."""


def orthogonalised(matrix: torch.Tensor) -> torch.Tensor:
    """`matrix` (m x n) with its singular values brought to about 1 (0.7 to 1.2), in bfloat16.

    Newton-Schulz: x -> a x + (b x x' + c (x x')^2) x. O(rounds * m * n * min(m, n)).
    """
    a, b, c = COEFFICIENTS
    x: torch.Tensor = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:  # the smaller of the two squares
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Muon over `matrices`, and the AdamW given for all other weights, as one optimizer with one state.

    A step is `rms * sqrt(max(m, n))` times the orthogonalised Nesterov momentum, times the learning rate; decay is
    decoupled as in AdamW. A matrix that is sharded (FSDP2) is gathered for the product of its step.
    """

    def __init__(self, matrices: list[torch.nn.Parameter], adamw: torch.optim.AdamW, *, lr: float, weight_decay: float) -> None:
        super().__init__([{"params": matrices}], {"lr": lr, "weight_decay": weight_decay, "muon": True})
        self.adamw = adamw
        for group in adamw.param_groups:
            self.param_groups.append(group | {"muon": False})
        self._share()

    def _share(self) -> None:
        """AdamW works on the groups and the state that are saved with this optimizer."""
        self.adamw.param_groups = [group for group in self.param_groups if not group["muon"]]
        self.adamw.state = self.state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set the state of both."""
        super().load_state_dict(state_dict)
        self._share()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move all weights that have a gradient."""
        for group in self.param_groups:
            if not group["muon"]:
                continue
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                momentum = state["momentum"].lerp_(p.grad, 1 - MOMENTUM)
                ahead = p.grad.lerp(momentum, MOMENTUM)
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(_whole(orthogonalised, ahead).to(p.dtype), alpha=-group["lr"] * RMS * max(p.shape) ** 0.5)
        self.adamw.step()


def _whole(function: Callable[[torch.Tensor], torch.Tensor], matrix: torch.Tensor) -> torch.Tensor:
    """`function` of the whole matrix, laid out as the matrix was."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(matrix, DTensor):
        return function(matrix)
    return distribute_tensor(function(matrix.full_tensor()), matrix.device_mesh, matrix.placements, src_data_rank=None)
