"""How fast and how full: operations a token, share of the device's peak (MFU), memory."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ["flops_per_token", "free_memory", "peak_flops", "used_memory"]

# Dense bfloat16 operations a second, by what CUDA calls the device; the makers' data sheets. First match counts.
PEAKS = (
    ("GB200", 2.5e15),
    ("B200", 2.25e15),
    ("H200", 989.4e12),
    ("GH200", 989.4e12),
    ("H100 NVL", 835.5e12),
    ("H100 PCIe", 756e12),
    ("H100", 989.4e12),
    ("H800", 989.4e12),
    ("A100", 312e12),
    ("A800", 312e12),
    ("L40S", 362e12),
    ("A10G", 70e12),
    ("RTX 4090", 165.2e12),
    ("RTX 5090", 209.5e12),
)


def flops_per_token(model: torch.nn.Module, sequence: int) -> float:
    """Operations that training takes for one token: 6 N + 12 L d T (Chowdhery et al. 2022, arXiv 2204.02311, appendix B).

    N: parameters of matrices that are multiplied with, so that an input embedding counts only where it is the output layer
    too. L blocks, d width of their attention, T tokens in a row. Attention is counted as if every token saw every other.
    """
    config: Any = model.config
    tables: Any = model.get_input_embeddings()  # type: ignore[operator]
    size = sum(p.numel() for p in model.parameters())
    if not config.tie_word_embeddings:
        size -= tables.weight.numel()
    heads = getattr(config, "num_attention_heads", 0)  # a state space model has none
    head = getattr(config, "head_dim", None) or config.hidden_size // max(1, heads)
    spent: float = 6.0 * size + 12.0 * config.num_hidden_layers * heads * head * sequence
    return spent


def peak_flops(device: str) -> float | None:
    """Dense bfloat16 operations a second of one device; None where that is not known, as for a CPU."""
    if device != "cuda":
        return None
    import torch

    name = torch.cuda.get_device_name()
    return next((peak for part, peak in PEAKS if part in name), None)


def used_memory(device: str) -> int:
    """Most bytes that were in use at once: of the device; on a CPU, of the process."""
    if device == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def free_memory(device: str) -> int | None:
    """Bytes that can still be had: of the device; on a CPU, of the machine or the control group. None: not known here."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    rooms = []
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        values = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        rooms.append(int(values["MemAvailable"].split()[0]) * 1024)
    group = Path("/sys/fs/cgroup")
    limit, used = (group / name for name in ("memory.max", "memory.current"))
    if limit.is_file() and used.is_file() and limit.read_text().strip() != "max":
        rooms.append(int(limit.read_text()) - int(used.read_text()))
    return min(rooms, default=None)
