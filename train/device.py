"""Where and how numbers are computed: device, threads, precision."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from train.config import Batch
from train.errors import TrainError

if TYPE_CHECKING:
    import torch

__all__ = ["Device", "open_device"]

# Tokens computed at once when the recipe does not say. CUDA: enough to fill one large GPU, few enough for its memory.
# CPU: logits of 2,048 tokens and a vocabulary of 4,096 are 32 MB, about what its caches still help with.
MICRO_TOKENS = {"cpu": 2048, "cuda": 32768}


@dataclass(frozen=True)
class Device:
    """A torch device and the choices that hang on it."""

    type: str

    def bfloat16(self, precision: str) -> bool:
        """Whether `precision` (auto, float32, bfloat16) means bfloat16 autocast here."""
        return precision == "bfloat16" or (precision == "auto" and self.type == "cuda")

    def autocast(self, precision: str) -> contextlib.AbstractContextManager[Any]:
        """The context to run a forward pass in."""
        import torch

        if not self.bfloat16(precision):
            return contextlib.nullcontext()
        return torch.autocast(self.type, dtype=torch.bfloat16)

    def micro(self, batch: Batch, tokens: int) -> int:
        """Rows of `tokens` tokens computed at once: the recipe's, else the largest divisor that suits the device."""
        if batch.micro:
            return batch.micro
        most = max(1, MICRO_TOKENS[self.type] // tokens)
        return max(n for n in range(1, min(most, batch.sequences) + 1) if batch.sequences % n == 0)

    def move(self, tensor: torch.Tensor) -> torch.Tensor:
        """`tensor` on the device; to CUDA from pinned memory, without waiting."""
        if self.type == "cuda":
            return tensor.pin_memory().to("cuda", non_blocking=True)  # pinned already, it is the tensor itself
        return tensor


def open_device(wanted: str, threads: int | None) -> Device:
    """The device called `wanted` (auto, cpu, cuda), with `threads` threads on the CPU (None: this process's part of
    the cores we may use).

    Raises TrainError when CUDA is wanted and there is none.
    """
    import torch

    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise TrainError("device: cuda, but torch sees no CUDA device here; set device to auto or cpu")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    together = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(threads or max(1, cores // together))
    return Device("cuda" if available and wanted != "cpu" else "cpu")
