"""What a training recipe may say. One field is one option: recipe, JSON Schema and errors all come from here.

Imports pydantic and the standard library only, so that a recipe can be checked where torch is not installed.
A new kind of stage is one class here, one line in `Stage`, and one file with its `run`.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from train.errors import nearest
from train.options import (
    Architecture,
    Batch,
    Board,
    Check,
    Evaluation,
    Lora,
    Optimizer,
    Options,
    Precision,
    PretrainOptimizer,
    RowFormat,
    Saving,
    TuningOptimizer,
)
from train.references import references

__all__ = [
    "Architecture",
    "Batch",
    "Board",
    "Chain",
    "Check",
    "DpoStage",
    "EvaluateStage",
    "Evaluation",
    "GrpoStage",
    "KtoStage",
    "Lora",
    "Optimizer",
    "PretrainOptimizer",
    "PretrainStage",
    "RewardSource",
    "RewardStage",
    "RlooStage",
    "SampleStage",
    "Saving",
    "ScoreStage",
    "Stage",
    "SupervisedStage",
    "TrainRecipe",
    "schema_text",
]


def _new_or_folder(value: object) -> str:
    return "folder" if isinstance(value, str) else "new"


NewOrFolder = Annotated[Annotated[Architecture, Tag("new")] | Annotated[str, Tag("folder")], Discriminator(_new_or_folder)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class _Stage(Options):
    speaks: ClassVar[bool] = True
    """It leaves a model that answers prompts, from which the next stage starts."""

    name: Name | None = Field(None, description="Name of the stage's folder under out; null: the kind of stage.")
    batch: Batch = Field(Batch(), description="Rows in a step.")
    precision: Precision = Field("auto", description="auto: float32 on a CPU, bfloat16 autocast on CUDA.")
    eval: Evaluation = Field(Evaluation(), description="Loss on held-out data.")
    save: Saving = Field(Saving(), description="Checkpoints.")


class PretrainStage(_Stage):
    """Training on token shards, to say the next token or those that are hidden: every token counts, or those that the
    shards' mask marks."""

    stage: Literal["pretrain"] = Field("pretrain", description="Kind of stage.")
    objective: Literal["causal", "masked"] = Field(
        "causal", description="causal: each token from those before it; masked: hidden tokens from all around them."
    )
    mask_share: float = Field(
        0.3,
        gt=0,
        lt=1,
        description="Share of tokens that the masked objective asks for; of these, 80 % are shown as the mask token, 10 % as "
        "a random one and 10 % as they are.",
    )
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
    optimizer: PretrainOptimizer = Field(PretrainOptimizer(), description="Optimizer and schedule.")
    compile: bool = Field(False, description="Compile the model with torch.compile (needs a C++ compiler on a CPU).")
    parallel: Literal["replicate", "shard"] = Field(
        "replicate",
        description="Under torchrun: every process holds the model (DDP), or its share of it (FSDP2), for a model too large "
        "for one device.",
    )
    allow: list[Check] = Field([], description="Checks that may fail without stopping the stage; they warn.")

    @model_validator(mode="after")
    def _model_fits(self) -> PretrainStage:
        if self.objective == "masked" and isinstance(self.model, Architecture) and self.model.kv_heads:
            raise ValueError("model.kv_heads is for decoders; leave it out where the objective is masked")
        return self

    @model_validator(mode="after")
    def _rows_fit(self) -> PretrainStage:
        if isinstance(self.model, Architecture) and self.sequence > self.model.context:
            raise ValueError(f"sequence {self.sequence} is longer than model.context {self.model.context}")
        return self


class SupervisedStage(_Stage):
    """Tuning on answers: rows in the text, instruction or chat format, loss on what the assistant says."""

    stage: Literal["sft"] = Field("sft", description="Kind of stage.")
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
    lora: Lora | None = Field(None, description="Train small matrices beside the frozen weights; merged at the end.")


class RewardSource(Options):
    """One part of a reward: the score of a reward model, or what a Python function says; times its weight."""

    model: str | None = Field(None, description="Folder of a reward model, or stage:NAME of a reward stage.")
    function: str | None = Field(
        None,
        pattern=r"^.+\.py:[A-Za-z_]\w*$",
        description="file.py:function, called with the prompt (messages), the answer (text) and the row; returns a number.",
    )
    weight: float = Field(1.0, description="Factor of this part in the sum.")

    @model_validator(mode="after")
    def _one(self) -> RewardSource:
        if (self.model is None) == (self.function is None):
            raise ValueError("name a model or a function, one of the two")
        return self


Rewards = Annotated[list[RewardSource], Field(min_length=1, description="Where the reward comes from; parts are added up.")]


class _FromPreferences(_Stage):
    model: str = Field("previous", description="previous, stage:NAME, or the folder of a model.")
    data: str | list[str] = Field(
        description="JSONL or Parquet files or folders of them, or stage:NAME of a sample or score stage: pairs (instruction "
        "or prompt, chosen, rejected), or groups (a prompt and several answers with rank or score; one row, or rows "
        "with one group_id)."
    )
    heldout: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of prompts held out, by a hash of the prompt; rows with a column split are held out by that.",
    )
    max_length: int = Field(256, ge=8, description="Tokens of prompt and answer at most; longer ones are dropped and counted.")
    epochs: float = Field(1.0, gt=0, description="Passes over the rows.")
    steps: int | None = Field(None, ge=1, description="Stop after this many steps, instead of by epochs.")
    optimizer: TuningOptimizer = Field(TuningOptimizer(), description="AdamW and its schedule.")


class RewardStage(_FromPreferences):
    """A reward model from rankings: all answers to a prompt in one loss, over every pair that the ranks tell apart."""

    speaks: ClassVar[bool] = False

    stage: Literal["reward"] = Field("reward", description="Kind of stage.")
    margins: bool = Field(
        False, description="A better answer must score higher by the margin: the row's, or the difference of its scores."
    )
    center: float = Field(0.0, ge=0, description="Weight of a penalty that keeps scores around 0 (0.01 is usual).")


class DpoStage(_FromPreferences):
    """Direct preference optimisation: what is chosen becomes likelier against a frozen copy, what is rejected less so."""

    stage: Literal["dpo"] = Field("dpo", description="Kind of stage.")
    beta: float = Field(0.1, gt=0, description="Strength of the pull to the model it starts from.")
    loss: Literal["sigmoid", "ipo", "hinge"] = Field("sigmoid", description="Loss over a pair.")
    lora: Lora | None = Field(None, description="Train small matrices beside the frozen weights; merged at the end.")


class KtoStage(_FromPreferences):
    """Kahneman-Tversky optimisation on answers with a label, good or bad; pairs and ranks are taken apart."""

    stage: Literal["kto"] = Field("kto", description="Kind of stage.")
    beta: float = Field(0.1, gt=0, description="Strength of the pull to the model it starts from.")
    desirable_weight: float = Field(1.0, gt=0, description="Weight of good answers.")
    undesirable_weight: float = Field(1.0, gt=0, description="Weight of bad answers.")


class _Reinforce(_Stage):
    model: str = Field("previous", description="previous, stage:NAME, or the folder of a model.")
    data: str | list[str] = Field(
        description="Rows with a prompt: JSONL or Parquet files or folders of them; answers in them are not read."
    )
    rewards: Rewards
    heldout: float = Field(0.1, gt=0, lt=1, description="Share of prompts held out, as in preference stages.")
    group: int = Field(4, ge=2, description="Answers drawn for each prompt; a divisor of batch.sequences.")
    max_length: int = Field(256, ge=8, description="Tokens of a prompt and the longest answer to it; longer prompts drop out.")
    max_new_tokens: int = Field(64, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(1.0, gt=0, description="Temperature of the answers.")
    cut_penalty: float = Field(1.0, ge=0, description="Taken off the reward of an answer that was cut before it ended.")
    epochs: float = Field(1.0, gt=0, description="Passes over the prompts.")
    steps: int | None = Field(None, ge=1, description="Stop after this many steps, instead of by epochs.")
    optimizer: TuningOptimizer = Field(TuningOptimizer(lr=1e-5), description="AdamW and its schedule.")

    @model_validator(mode="after")
    def _whole_groups(self) -> Self:
        if self.batch.sequences % self.group:
            raise ValueError(f"batch.sequences {self.batch.sequences} must be a multiple of group {self.group}")
        if self.max_new_tokens >= self.max_length:
            raise ValueError(
                f"max_length {self.max_length} leaves no room for a prompt before {self.max_new_tokens} new tokens"
            )
        return self


class GrpoStage(_Reinforce):
    """Group-relative policy optimisation: answers better than those beside them to the same prompt become likelier."""

    stage: Literal["grpo"] = Field("grpo", description="Kind of stage.")
    beta: float = Field(0.04, ge=0, description="Weight of the KL divergence to the model it starts from, in the loss.")


class RlooStage(_Reinforce):
    """REINFORCE, each answer measured against the mean of the others to the same prompt."""

    stage: Literal["rloo"] = Field("rloo", description="Kind of stage.")
    beta: float = Field(0.05, ge=0, description="Weight of the KL divergence to the model it starts from, in the reward.")


class _Rows(Options):
    speaks: ClassVar[bool] = False

    name: Name | None = Field(None, description="Name of the stage's folder under out; null: the kind of stage.")
    data: str | list[str] = Field(
        description="Rows with a prompt (and answers): JSONL or Parquet files or folders of them, or stage:NAME."
    )
    max_length: int = Field(256, ge=8, description="Tokens of a prompt and an answer at most; longer ones drop out.")
    precision: Precision = Field("auto", description="auto: float32 on a CPU, bfloat16 autocast on CUDA.")


Split = Annotated[
    Literal["train", "validation"] | None, Field(description="Only rows whose column split says so; null: all rows.")
]


class SampleStage(_Rows):
    """Answers drawn from a model: rows with a prompt and `answers`, in data/rows.jsonl."""

    stage: Literal["sample"] = Field("sample", description="Kind of stage.")
    model: str = Field("previous", description="previous, stage:NAME, or the folder of a model.")
    split: Split = None
    prompts: int | None = Field(None, ge=1, description="Prompts at most, spread evenly over what there is; null: all.")
    answers: int = Field(4, ge=1, description="Answers to each prompt.")
    max_new_tokens: int = Field(64, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(1.0, gt=0, description="Temperature of the answers.")


class ScoreStage(_Rows):
    """Rewards for answers that are there: scored rows, pairs, best answers, or filled ranking votes, in data/."""

    stage: Literal["score"] = Field("score", description="Kind of stage.")
    rewards: Rewards
    to: Literal["scores", "preference", "best", "votes"] = Field(
        "scores",
        description="scores: each prompt with its answers, their scores and ranks; preference: pairs of answers; best: the "
        "best answer as an instruction or chat row; votes: votes.jsonl for the ranking tasks that data names.",
    )
    pairs: Literal["extremes", "all"] = Field("extremes", description="Pairs of best and worst answer, or all pairs.")
    min_margin: float = Field(0.0, ge=0, description="Least difference of the scores of a pair; smaller ones are no pair.")
    cut_penalty: float = Field(1.0, ge=0, description="Taken off the score of an answer whose `ended` is false.")
    annotator: str = Field("reward", min_length=1, max_length=200, description="Who votes: source is model:ANNOTATOR.")
    criterion: str = Field("overall", min_length=1, max_length=64, description="The criterion that is voted on.")


class EvaluateStage(_Rows):
    """Models side by side on the same prompts: rewards, win rates against the first, held-out loss and bits per byte."""

    stage: Literal["evaluate"] = Field("evaluate", description="Kind of stage.")
    models: list[str] = Field(
        min_length=1, description="stage:NAME or folders of models; the others are compared with the first."
    )
    rewards: Rewards
    text: str | None = Field(
        None, description="Folder of token shards: held-out loss and bits per byte on its validation split."
    )
    split: Split = None
    prompts: int = Field(200, ge=2, description="Prompts at most, spread evenly over what there is.")
    max_new_tokens: int = Field(64, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(1.0, ge=0, description="Temperature of the answers; 0: the likeliest token each time.")
    cut_penalty: float = Field(1.0, ge=0, description="Taken off the reward of an answer that was cut before it ended.")
    lm_eval: list[str] = Field([], description="Tasks of lm-eval to run on each model, where lm-eval is installed.")


Stage = Annotated[
    PretrainStage | SupervisedStage | RewardStage | DpoStage | KtoStage | GrpoStage | RlooStage | SampleStage | ScoreStage
    | EvaluateStage,
    Field(discriminator="stage"),
]  # fmt: skip


class Chain(Options):
    """A chain of stages, each starting from the model of the one before. Paths are relative to the working folder."""

    seed: int = Field(0, ge=0, description="Seed of everything random: first weights, order of rows, sampling.")
    threads: int | None = Field(None, ge=1, description="Threads on the CPU; null: all cores.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: CUDA when there is one.")
    prompts: list[str] = Field([], description="Prompts answered after every stage, side by side in the report.")
    max_new_tokens: int = Field(48, ge=1, description="Longest answer, in tokens.")
    temperature: float = Field(0.0, ge=0, description="Temperature of the answers; 0: the likeliest token each time.")
    log: list[Board] = Field([], description="Where metrics go beside metrics.jsonl; the package must be installed.")
    stages: list[Stage] = Field(min_length=1, description="What is trained, in order.")

    @model_validator(mode="after")
    def _chain_fits(self) -> Self:
        names = [stage.name or stage.stage for stage in self.stages]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ValueError(f"stages.{i}: there is a stage called {name!r} already; give it another name")
        for i, stage in enumerate(self.stages):
            if getattr(stage, "model", None) == "previous" and not any(s.speaks for s in self.stages[:i]):
                first = "the first stage has" if i == 0 else "there is"
                raise ValueError(f"stages.{i}: {first} no previous model; name the folder of one (stages.{i}.model)")
            for name in references(stage.model_dump(mode="json")):
                if name not in names[:i]:
                    raise ValueError(f"stages.{i}: no earlier stage is called {name!r}{nearest(name, names[:i])}")
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
                        {"stage": "sft", "data": "chats.jsonl", "epochs": 2},
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
