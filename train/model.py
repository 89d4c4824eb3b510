"""Models in the Hugging Face format from the first step on: built from a shape or loaded from a folder."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.config import Architecture
from train.errors import DataError, TrainError

if TYPE_CHECKING:
    import torch

__all__ = [
    "Memory",
    "build",
    "load",
    "load_reward",
    "load_sketch",
    "load_tokenizer",
    "memory_estimate",
    "model_fingerprint",
    "padded_vocab",
    "positions",
    "save",
    "sketch",
]


PAD = "<|pad|>"


def padded_vocab(size: int) -> int:
    """`size` rounded up to a multiple of 64: matrix kernels are slow on odd sizes."""
    return (size + 63) // 64 * 64


def load_tokenizer(folder: str | Path, add_pad: bool = False) -> Any:
    """The tokenizer in `folder`. Raises DataError when it has no end or padding token, or pads with the end token.

    add_pad: one that has no padding token of its own is given PAD behind its last id, as base models need: their ids stay.
    A model that pads with its end token is taught to ignore it, and never stops
    (huggingface/trl issues 1623 and 3091; huggingface/transformers issue 48016).
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: holds no tokenizer that can be loaded ({' '.join(str(error).split())})") from error
    where = f"{folder}/tokenizer_config.json"
    if tokenizer.eos_token_id is None:
        raise DataError(f"{where}: names no eos_token, so a model could not learn to stop")
    if add_pad and tokenizer.pad_token_id in (None, tokenizer.eos_token_id):
        tokenizer.add_special_tokens({"pad_token": PAD})
    if tokenizer.pad_token_id is None:
        raise DataError(f"{where}: names no pad_token; add a token of its own for padding")
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        raise DataError(f"{where}: pad_token and eos_token are the same; a model would not learn to stop")
    return tokenizer


def build(shape: Architecture, vocab_size: int, tokenizer: Any, seed: int, masked: bool = False) -> Any:
    """A new Llama (transformers.LlamaForCausalLM) of `shape`, or a ModernBert (ModernBertForMaskedLM) where `masked`;
    float32, its weights drawn with `seed`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, ModernBertConfig, ModernBertForMaskedLM

    torch.manual_seed(seed)
    common = {
        "vocab_size": padded_vocab(max(vocab_size, len(tokenizer))),
        "hidden_size": shape.width,
        "intermediate_size": shape.mlp or shape.default_mlp(masked),
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "max_position_embeddings": shape.context,
        "tie_word_embeddings": shape.tie_embeddings,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    rope = {"rope_type": "default", "rope_theta": shape.rope_theta}
    if masked:
        ends = {"cls_token_id": tokenizer.cls_token_id, "sep_token_id": tokenizer.sep_token_id}
        return ModernBertForMaskedLM(ModernBertConfig(**common, **ends, rope_parameters={"full_attention": rope}))
    return LlamaForCausalLM(LlamaConfig(**common, num_key_value_heads=shape.kv_heads or shape.heads, rope_parameters=rope))


def load(folder: str | Path, auto: str = "AutoModelForCausalLM") -> Any:
    """The model in `folder` as transformers' class `auto` reads it, float32 (the master weights that the optimizer moves).

    Raises DataError.
    """
    import torch
    import transformers
    from safetensors import SafetensorError

    if not (Path(folder) / "config.json").is_file():
        raise DataError(f"{folder}: is no folder of a model (it has no config.json)")
    try:
        return getattr(transformers, auto).from_pretrained(str(folder), dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{folder}: the model cannot be loaded ({' '.join(str(error).split())[:300]})") from error


def load_reward(folder: str | Path, tokenizer: Any, *, head: bool, seed: int = 0) -> Any:
    """The model in `folder` with one score for a whole text (AutoModelForSequenceClassification, one label), float32.

    The score is read at the last token that is not padding. With `head` the folder has it, else it is drawn with `seed` on
    top of a causal model. Raises DataError.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForSequenceClassification

    if not (Path(folder) / "config.json").is_file():
        raise DataError(f"{folder}: is no folder of a model (it has no config.json)")
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
        kinds = config.architectures or []
        if head and (not any("SequenceClassification" in kind for kind in kinds) or config.num_labels != 1):
            raise DataError(
                f"{folder}: is no reward model ({', '.join(kinds)}, {config.num_labels} labels); see the reward stage"
            )
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_pretrained(
            str(folder), num_labels=1, dtype=torch.float32, local_files_only=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise DataError(f"{folder}: the model cannot be loaded ({' '.join(str(error).split())[:300]})") from error
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.use_cache = False
    return model


def sketch(make: Callable[[], Any]) -> Any:
    """The model that `make` makes, without memory for its weights."""
    import torch

    with torch.device("meta"):
        return make()


def positions(model: Any) -> int | None:
    """Positions that `model` is made for; None: it says nothing of that, as one without attention."""
    found: int | None = getattr(model.config, "max_position_embeddings", None)
    return found


def load_sketch(folder: str | Path, auto: str = "AutoModelForCausalLM") -> Any:
    """The model in `folder` without its weights. Raises DataError."""
    import transformers

    if not (Path(folder) / "config.json").is_file():
        raise DataError(f"{folder}: is no folder of a model (it has no config.json)")
    try:
        config = transformers.AutoConfig.from_pretrained(str(folder), local_files_only=True)
        return sketch(lambda: getattr(transformers, auto).from_config(config))
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{folder}: the model cannot be loaded ({' '.join(str(error).split())[:300]})") from error


def save(
    model: Any, tokenizer: Any, folder: Path, stop_ids: list[int] | None, weights: dict[str, torch.Tensor] | None = None
) -> None:
    """Write model, tokenizer and generation_config.json to `folder`, all of it or nothing.

    Generation stops at `stop_ids`, none of which may be the padding token; None: the model generates nothing. weights: the
    whole ones of a sharded model.
    """
    from safetensors import SafetensorError
    from transformers import GenerationConfig

    if stop_ids is not None:
        if tokenizer.pad_token_id in stop_ids:
            raise DataError(f"{folder}: the padding token would end every answer; give the tokenizer a pad_token of its own")
        model.generation_config = GenerationConfig(
            bos_token_id=tokenizer.bos_token_id, eos_token_id=stop_ids, pad_token_id=tokenizer.pad_token_id
        )
    fresh = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        model.save_pretrained(fresh, state_dict=weights)
        tokenizer.save_pretrained(fresh)
        for file in fresh.iterdir():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
    except (OSError, SafetensorError) as error:
        raise TrainError(f"{folder}: the model cannot be written ({' '.join(str(error).split())}); make room") from error
    if folder.exists():
        old = folder.with_name(f"{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old)
    else:
        fresh.rename(folder)


@dataclass(frozen=True)
class Memory:
    """Bytes that training needs at its peak, by what they hold."""

    states: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        return self.states + self.activations + self.logits

    def spread(self, processes: int) -> Memory:
        """Of each of the processes that weights, gradients and moments are spread over."""
        return Memory(self.states // processes, self.activations, self.logits)

    def text(self, micro: int) -> str:
        """For a person, at `micro` rows at once."""
        return (
            f"about {self.total / 2**20:,.0f} MiB ({self.states / 2**20:,.0f} weights and optimizer, "
            f"{self.activations / 2**20:,.0f} activations, {self.logits / 2**20:,.0f} logits) at {micro} rows at once"
        )


def memory_estimate(model: torch.nn.Module, rows: int, sequence: int, bfloat16: bool) -> Memory:
    """What one micro-batch of `rows` x `sequence` tokens needs.

    States: float32 weights, gradients and two AdamW moments, 16 bytes a parameter. Activations: 34 values of two
    bytes' worth per token and width in each block (Korthikanti et al. 2022, arXiv 2205.05198, without the attention
    scores, which fused attention does not store), twice that in float32. Logits: float32, their softmax and their
    gradient. The libraries' own memory (about 0.5 GB) is not in it; on a CPU, where nothing is fused, what a larger
    micro-batch adds was measured to be 1.3 times what is said here (4 blocks of 256, vocabulary 4,096).
    """
    config: Any = model.config
    tokens = rows * sequence
    activations = 34 * tokens * config.hidden_size * config.num_hidden_layers * (1 if bfloat16 else 2)
    return Memory(
        states=16 * sum(p.numel() for p in model.parameters()),
        activations=activations,
        logits=3 * 4 * tokens * config.vocab_size,
    )


def model_fingerprint(folder: str | Path) -> str:
    """Digest of the configuration, weights and tokenizer in `folder`. O(bytes). Raises DataError without them."""
    from train.rows import fingerprint

    files = sorted(p for p in Path(folder).glob("*") if p.suffix in (".json", ".safetensors", ".jinja"))
    if not any(p.suffix == ".safetensors" for p in files):
        raise DataError(f"{folder}: is no folder of a model (it has no .safetensors file)")
    return fingerprint(files)
