"""A model folder with random weights: it says nothing that makes sense, and says it in every way that a model may."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

__all__ = ["CONTEXT", "tiny_model"]

CONTEXT = 256
CHATML = (
    "{% for m in messages %}{% if m['role'] == 'tool' %}{{ raise_exception('no tools here') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)

_FOLDER = tempfile.TemporaryDirectory(prefix="curate-tiny-model-")


@functools.cache
def tiny_model(seed: int = 0, *, chat: bool = True) -> Path:
    """Llama with 2 layers of 32 on bytes, two ids that end an answer, and a context of 256 tokens."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: id for id, token in enumerate([*letters, "<|end|>", "<|im_start|>", "<|im_end|>", "<pad>"])}
    bytes_only = Tokenizer(models.BPE(vocabulary, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    marks = {"eos_token": "<|end|>", "pad_token": "<pad>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_only, **marks)
    if chat:
        tokenizer.chat_template = CHATML
    ends = [vocabulary["<|end|>"], vocabulary["<|im_end|>"]]
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.5,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=vocabulary["<pad>"])
    folder = Path(_FOLDER.name) / f"{seed}-{chat}"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
