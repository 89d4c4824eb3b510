"""What a training recipe may say. One field is one option: recipe, JSON Schema and errors all come from here.

Imports pydantic and the standard library only, so that a recipe can be checked where torch is not installed.
A new kind of stage is one class here, one line in `Stage`, and one file with its `run`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

__all__ = [
    "Architecture",
    "Batch",
    "Chain",
    "Evaluation",
    "Optimizer",
    "PretrainStage",
    "Saving",
    "Stage",
    "SupervisedStage",
    "TrainRecipe",
    "schema_text",
]

Precision = Literal["auto", "float32", "bfloat16"]
RowFormat = Literal["text", "instruction", "chat"]


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Architecture(_Options):
    """A Llama-style decoder built from scratch (transformers' LlamaConfig)."""

    layers: int = Field(4, ge=1, description="Transformer blocks.")
    width: int = Field(256, ge=8, description="Size of the hidden state; a multiple of heads.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    kv_heads: int | None = Field(None, ge=1, description="Key/value heads, a divisor of heads; null: as many as heads.")
    mlp: int | None = Field(None, ge=8, description="Size of the gated MLP; null: 8/3 of width, rounded up to 64s.")
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


class Batch(_Options):
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


class Optimizer(_Options):
    """AdamW with a warm-up and a schedule over the length of the stage."""

    lr: float = Field(1e-3, gt=0, description="Highest learning rate.")
    warmup: float = Field(0.05, ge=0, lt=1, description="Share of the stage over which the rate rises from 0 to lr.")
    schedule: Literal["cosine", "linear", "constant"] = Field("cosine", description="Course of the rate after warm-up.")
    final: float = Field(0.1, ge=0, le=1, description="Rate at the end, as a share of lr (not used by constant).")
    weight_decay: float = Field(0.1, ge=0, description="Decay of matrices; norms are never decayed.")
    betas: tuple[float, float] = Field((0.9, 0.95), description="Decay of the two moments of AdamW.")
    clip: float = Field(1.0, ge=0, description="Largest norm of the gradient; 0: no clipping.")


class TuningOptimizer(Optimizer):
    """AdamW as it is used on a model that is trained already."""

    lr: float = Field(2e-4, gt=0, description="Highest learning rate.")
    weight_decay: float = Field(0.0, ge=0, description="Decay of matrices; norms are never decayed.")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Decay of the two moments of AdamW.")


class Evaluation(_Options):
    """Loss on data held out of training. It is always taken before and after a stage."""

    every: int = Field(0, ge=0, description="Steps between evaluations; 0: only before and after.")
    sequences: int = Field(64, ge=1, description="Held-out rows at most, spread evenly over what there is.")


class Saving(_Options):
    """Checkpoints that an interrupted stage goes on from."""

    every: int = Field(200, ge=0, description="Steps between checkpoints; 0: only when interrupted.")


def _new_or_folder(value: object) -> str:
    return "folder" if isinstance(value, str) else "new"


NewOrFolder = Annotated[Annotated[Architecture, Tag("new")] | Annotated[str, Tag("folder")], Discriminator(_new_or_folder)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class _Stage(_Options):
    name: Name | None = Field(None, description="Name of the stage's folder under out; null: the kind of stage.")
    batch: Batch = Field(Batch(), description="Rows in a step.")
    precision: Precision = Field("auto", description="auto: float32 on a CPU, bfloat16 autocast on CUDA.")
    eval: Evaluation = Field(Evaluation(), description="Loss on held-out data.")
    save: Saving = Field(Saving(), description="Checkpoints.")


class PretrainStage(_Stage):
    """Next-token training on token shards: every token counts, or those that the shards' mask marks."""

    stage: Literal["pretrain"] = Field("pretrain", description="Kind of stage.")
    model: NewOrFolder = Field(
        Architecture(),
        description="The shape of a new model; or a folder to go on from; or previous, the stage before.",
    )
    data: str = Field(description="Folder of token shards, with tokens.json (schemas/tokens.json).")
    sequence: int = Field(256, ge=2, description="Tokens in a row; of packed shards, that of their rows.")
    isolate_documents: bool = Field(
        False,
        description="Keep attention inside each document of a row, and its positions counted from 0; "
        "the first token of a document is then no target.",
    )
    steps: int | None = Field(None, ge=1, description="Stop after this many steps.")
    tokens: int | None = Field(None, ge=1, description="Stop after this many tokens.")
    minutes: float | None = Field(
        None,
        gt=0,
        description="Stop after this many minutes. The first limit reached counts; with none, one pass over the data.",
    )
    optimizer: Optimizer = Field(Optimizer(), description="AdamW and its schedule.")
    compile: bool = Field(False, description="Compile the model with torch.compile (needs a C++ compiler on a CPU).")

    @model_validator(mode="after")
    def _rows_fit(self) -> PretrainStage:
        if isinstance(self.model, Architecture) and self.sequence > self.model.context:
            raise ValueError(f"sequence {self.sequence} is longer than model.context {self.model.context}")
        return self


class SupervisedStage(_Stage):
    """Tuning on answers: rows in the text, instruction or chat format, loss on what the assistant says."""

    stage: Literal["supervised"] = Field("supervised", description="Kind of stage.")
    model: str = Field("previous", description="previous: the model of the stage before; or the folder of a model.")
    data: str | list[str] = Field(
        description="JSONL (plain, .gz, .zst) or Parquet files, or folders of such files; or a folder of token shards of "
        "examples (tokenize with render: examples), whose split validation is then held out."
    )
    format: RowFormat | Literal["auto"] = Field("auto", description="Format of the rows; auto: told by their keys.")
    heldout: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="Share of rows held out, drawn by a hash of parent_id, id or content. "
        "Rows with a column split (train or validation) are held out by that instead.",
    )
    max_length: int = Field(256, ge=8, description="Tokens in a row at most.")
    too_long: Literal["drop", "error", "cut"] = Field("drop", description="What happens to a longer row; counted.")
    epochs: float = Field(1.0, gt=0, description="Passes over the rows.")
    steps: int | None = Field(None, ge=1, description="Stop after this many steps, instead of by epochs.")
    optimizer: TuningOptimizer = Field(TuningOptimizer(), description="AdamW and its schedule.")


Stage = Annotated[PretrainStage | SupervisedStage, Field(discriminator="stage")]


class Chain(_Options):
    """A chain of stages, each starting from the model of the one before. Paths are relative to the working folder."""

    seed: int = Field(0, ge=0, description="Seed of everything random: first weights, order of rows, sampling.")
    threads: int | None = Field(None, ge=1, description="Threads on the CPU; null: all cores.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA when there is one.")
    prompts: list[str] = Field([], description="Prompts answered after every stage, side by side in the report.")
    max_new_tokens: int = Field(48, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(0.0, ge=0, description="Temperature of the answers; 0: the likeliest token each time.")
    stages: list[Stage] = Field(min_length=1, description="What is trained, in order.")

    @model_validator(mode="after")
    def _chain_fits(self) -> Self:
        names = [stage.name or stage.stage for stage in self.stages]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ValueError(f"stages.{i}: there is a stage called {name!r} already; give it another name")
        if self.stages[0].model == "previous":
            raise ValueError("stages.0: the first stage has no previous model; name the folder of one (stages.0.model)")
        return self


class TrainRecipe(Chain):
    """A chain, and where it goes: what a recipe file of `python -m train` holds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "out": "runs/small",
                    "stages": [
                        {"stage": "pretrain", "data": "shards/data", "steps": 2000},
                        {"stage": "supervised", "data": "chats.jsonl", "epochs": 2},
                    ],
                }
            ]
        }
    )

    out: str = Field(description="Folder of the chain: out/NAME per stage, summary.json and report.md.")


def schema_text() -> str:
    """The JSON Schema of a recipe as the text of `schemas/train.json`."""
    schema: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:curate:schema:train:1",
        **TrainRecipe.model_json_schema(),
        "title": "Training recipe",
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
