"""A model folder with random weights: it says nothing that makes sense, and says it in every way that a model may."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

__all__ = ["CONTEXT", "tiny_model", "tiny_reward"]

CONTEXT = 256
CHATML = (
    "{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)

ASKED = CHATML.replace("{% endfor %}", "{% endfor %}{% if add_generation_prompt %}") + "{% endif %}"
"""The same, that asks for an answer only where it is told to."""

_FOLDER = tempfile.TemporaryDirectory(prefix="curate-tiny-model-")


@functools.cache
def tiny_model(seed: int = 0, *, chat: bool = True) -> Path:
    """Llama with 2 layers of 32 on bytes, two ids that end an answer, and a context of 256 tokens."""
    import torch
    from transformers import GenerationConfig, LlamaForCausalLM

    tokenizer = _bytes_only()
    if chat:
        tokenizer.chat_template = CHATML
    ends = tokenizer.convert_tokens_to_ids(["<|end|>", "<|im_end|>"])
    torch.manual_seed(seed)
    model = LlamaForCausalLM(_config(len(tokenizer)))
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=tokenizer.pad_token_id)
    folder = Path(_FOLDER.name) / f"{seed}-{chat}"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@functools.cache
def tiny_reward(labels: int = 1) -> Path:
    """The same body with a score of so many numbers for a text, as `curate train` writes reward models."""
    import torch
    from transformers import LlamaForSequenceClassification

    tokenizer = _bytes_only()
    tokenizer.chat_template = ASKED
    torch.manual_seed(0)
    config = _config(len(tokenizer))
    config.num_labels, config.pad_token_id = labels, tokenizer.pad_token_id
    folder = Path(_FOLDER.name) / f"reward-{labels}"
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _bytes_only() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: id for id, token in enumerate([*letters, "<|end|>", "<|im_start|>", "<|im_end|>", "<pad>"])}
    bytes_only = Tokenizer(models.BPE(vocabulary, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    marks = {"eos_token": "<|end|>", "pad_token": "<pad>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}
    return PreTrainedTokenizerFast(tokenizer_object=bytes_only, **marks)


def _config(words: int) -> Any:
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=words,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.5,
    )
