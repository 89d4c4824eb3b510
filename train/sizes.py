"""Shapes of decoders from 1M to 8B parameters, and what each takes: numbers, no model."""

from __future__ import annotations

from dataclasses import dataclass

from train.config import Architecture

__all__ = ["SIZES", "Size", "table"]

TOKENS_EACH = 20
"""Training tokens for each parameter where the compute is spent best (Hoffmann et al. 2022, arXiv 2203.15556)."""
PEAK = 989.4e12
"""Dense bfloat16 operations a second of an H100 or H200 (data sheets)."""
SHARE = 0.4
"""Share of the peak that the estimate of time takes for granted."""
STATES = 16
"""Bytes a parameter while training: weights, gradient and two moments in float32."""


@dataclass(frozen=True)
class Size:
    """A shape, its vocabulary and its row length."""

    shape: Architecture
    vocabulary: int
    sequence: int

    @property
    def parameters(self) -> int:
        """All of them, an embedding that is shared once."""
        s = self.shape
        kv = s.width * (s.kv_heads or s.heads) // s.heads
        block = 2 * s.width * s.width + 2 * s.width * kv + 3 * s.width * (s.mlp or s.default_mlp()) + 2 * s.width
        tables = self.vocabulary * s.width * (1 if s.tie_embeddings else 2)
        return s.layers * block + tables + s.width

    @property
    def flops_per_token(self) -> float:
        """6 N + 12 L d T, as `train.meter` counts for a model that is there."""
        s = self.shape
        multiplied = self.parameters - (0 if s.tie_embeddings else self.vocabulary * s.width)
        return 6.0 * multiplied + 12.0 * s.layers * s.width * self.sequence

    @property
    def tokens(self) -> int:
        """Tokens to train on."""
        return TOKENS_EACH * self.parameters

    @property
    def hours(self) -> float:
        """Hours for these tokens on one H100 or H200 at SHARE of its peak."""
        return self.tokens * self.flops_per_token / (PEAK * SHARE) / 3600


def _size(layers: int, width: int, heads: int, vocabulary: int, sequence: int, **other: int | float | bool) -> Size:
    shape = {"layers": layers, "width": width, "heads": heads, "context": sequence, **other}
    return Size(Architecture.model_validate(shape), vocabulary, sequence)


# Heads of 64 up to 350M and 128 above; the two largest have the shapes of Llama 3.2 1B and Llama 3.1 8B.
SIZES: dict[str, Size] = {
    "1M": _size(4, 128, 4, 2048, 256),
    "10M": _size(6, 320, 5, 8192, 512),
    "30M": _size(8, 512, 8, 8192, 512),
    "124M": _size(12, 768, 12, 50304, 1024),
    "350M": _size(24, 1024, 16, 32768, 2048),
    "700M": _size(24, 1536, 12, 32768, 2048),
    "1B": _size(16, 2048, 32, 128256, 4096, kv_heads=8, mlp=8192, rope_theta=500000.0),
    "3B": _size(28, 3072, 24, 128256, 4096, kv_heads=8, mlp=8192, rope_theta=500000.0),
    "8B": _size(32, 4096, 32, 128256, 8192, kv_heads=8, mlp=14336, rope_theta=500000.0, tie_embeddings=False),
}


def table() -> str:
    """SIZES as lines of text: what to write under `model`, and what to expect."""
    head = (
        f"{'size':>5} {'parameters':>14} {'states':>9} {'tokens':>8} {'FLOP/token':>10} {'days, one H100':>14}  "
        "model, with the vocabulary and sequence it is meant for"
    )
    lines = [head]
    for name, size in SIZES.items():
        model = ", ".join(f"{key}: {value}" for key, value in size.shape.model_dump(exclude_defaults=True).items())
        days = size.hours / 24
        lines.append(
            f"{name:>5} {size.parameters:>14,} {STATES * size.parameters / 2**30:>5.1f} GiB {_short(size.tokens):>8} "
            f"{size.flops_per_token:>10.2e} {days:>14,.3g}  "
            f"{{{model}}} vocabulary {size.vocabulary:,}, sequence {size.sequence:,}"
        )
    lines.append(
        f"states: weights, gradients and moments, {STATES} bytes a parameter. tokens: {TOKENS_EACH} a parameter. days: for "
        f"these tokens at {SHARE:.0%} of {PEAK / 1e12:.0f} TFLOP/s; nothing here was measured."
    )
    return "\n".join(lines) + "\n"


def _short(number: float) -> str:
    """`number` in millions, billions (G) or trillions (T)."""
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= unit:
            return f"{number / unit:,.3g} {name}"
    return f"{number:,.0f}"
