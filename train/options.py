"""Options that stages of a training recipe have in common (`train.config`). Imports pydantic and the standard library only."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "Architecture",
    "Batch",
    "Board",
    "Check",
    "Evaluation",
    "Lora",
    "Optimizer",
    "Options",
    "Precision",
    "PretrainOptimizer",
    "RowFormat",
    "Saving",
    "TuningOptimizer",
]

Precision = Literal["auto", "float32", "bfloat16"]
RowFormat = Literal["text", "instruction", "chat"]
Board = Literal["tensorboard", "wandb", "mlflow"]
Check = Literal["bos", "end", "pad", "overlap", "memory", "fresh_loss", "accumulation", "isolation", "reload"]
"""What is looked at before training (train.checks)."""


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Architecture(Options):
    """A model built from scratch: a decoder (transformers' LlamaConfig); where the objective is masked, an encoder
    (ModernBertConfig)."""

    layers: int = Field(4, ge=1, description="Transformer blocks.")
    width: int = Field(256, ge=8, description="Size of the hidden state; a multiple of heads.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    kv_heads: int | None = Field(None, ge=1, description="Key/value heads, a divisor of heads; null: as many as heads.")
    mlp: int | None = Field(
        None, ge=8, description="Size of the gated MLP; null: 8/3 of width (of an encoder 3/2), rounded up to 64s."
    )
    context: int = Field(256, ge=8, description="Positions that the model is made for.")
    rope_theta: float = Field(10000.0, gt=0, description="Base of the rotary position embedding.")
    tie_embeddings: bool = Field(True, description="Share the input embedding with the output layer.")

    @model_validator(mode="after")
    def _shapes_fit(self) -> Architecture:
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} must be heads {self.heads} times an even number")
        if self.kv_heads and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads {self.kv_heads} must divide heads {self.heads}")
        return self

    def default_mlp(self, masked: bool = False) -> int:
        """Size of the gated MLP where the recipe does not say."""
        size = self.width * 3 // 2 if masked else self.width * 8 // 3
        return (size + 63) // 64 * 64


class Batch(Options):
    """How many rows make one step of the optimizer, and how many of them are computed at once."""

    sequences: int = Field(16, ge=1, description="Rows in one step of the optimizer.")
    micro: int | None = Field(
        None,
        ge=1,
        description="Rows computed at once, a divisor of sequences; null: what suits the device. "
        "Only memory and speed depend on it: the loss is one sum over all trained tokens of the step.",
    )

    @model_validator(mode="after")
    def _micro_divides(self) -> Batch:
        if self.micro and self.sequences % self.micro:
            raise ValueError(f"micro {self.micro} must divide sequences {self.sequences}")
        return self


class Optimizer(Options):
    """AdamW with a warm-up and a schedule over the length of the stage."""

    lr: float = Field(1e-3, gt=0, description="Highest learning rate.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the stage over which the rate rises from 0 to lr.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="Course of the rate after warm-up.")
    final: float = Field(0.1, ge=0, le=1, description="Rate at the end, as a share of lr (not used by constant).")
    weight_decay: float = Field(0.1, ge=0, description="Decay of matrices; norms are never decayed.")
    betas: tuple[float, float] = Field((0.9, 0.95), description="Decay of the two moments of AdamW.")
    clip: float = Field(1.0, ge=0, description="Largest norm of the gradient; 0: no clipping.")


class PretrainOptimizer(Optimizer):
    """AdamW, or Muon for the matrices inside the blocks with AdamW for all other weights; one schedule for both."""

    name: Literal["adamw", "muon"] = Field(
        "adamw",
        description="muon: the momentum of each matrix of a block is orthogonalised, and its step scaled to the size that "
        "AdamW's has, so that lr and weight_decay mean the same for both.",
    )


class TuningOptimizer(Optimizer):
    """AdamW as it is used on a model that is trained already."""

    lr: float = Field(2e-4, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(0.0, ge=0, description="Decay of matrices; norms are never decayed.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Decay of the two moments of AdamW.")


class Evaluation(Options):
    """Loss on data held out of training. It is always taken before and after a stage."""

    every: int = Field(0, ge=0, description="Steps between evaluations; 0: only before and after.")
    sequences: int = Field(64, ge=1, description="Held-out rows at most, spread evenly over what there is.")


class Saving(Options):
    """Checkpoints that an interrupted stage goes on from."""

    every: int = Field(200, ge=0, description="Steps between checkpoints; 0: only when interrupted.")
    keep: int = Field(
        2, ge=1, description="Newest checkpoints that are kept while the stage runs; from 2 on, a broken one has one before it."
    )


class Lora(Options):
    """Low-rank adapters (peft): two small matrices beside each linear layer, trained instead of it."""

    rank: int = Field(16, ge=1, description="Rank of the matrices.")
    alpha: float = Field(32.0, gt=0, description="Scale: what they add is multiplied by alpha / rank.")
