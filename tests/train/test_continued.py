"""Pretraining that goes on from models of other families, as their makers save them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from train.model import load_tokenizer
from train.report import Reporter

Run = Callable[..., dict[str, Any]]


def folder_of(family: str, tokenizer: Any, folder: Path) -> Path:
    """A tiny new model of `family` in bfloat16, and the tokenizer."""
    import torch
    import transformers

    torch.manual_seed(0)
    shapes: dict[str, dict[str, Any]] = {
        "GPT2LMHeadModel": {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64},
        "Qwen3ForCausalLM": {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1,
            "head_dim": 16, "intermediate_size": 64, "max_position_embeddings": 64, "tie_word_embeddings": False,
        },
        "MambaForCausalLM": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
        "BertForMaskedLM": {
            "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
            "max_position_embeddings": 64,
        },
    }  # fmt: skip
    model = getattr(transformers, family)
    config = model.config_class(**shapes[family], vocab_size=len(tokenizer))
    model(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["GPT2LMHeadModel", "Qwen3ForCausalLM", "MambaForCausalLM", "BertForMaskedLM"])
def test_models_of_other_families_go_on_training(
    run: Run, recipe: dict[str, Any], tokenizer: Any, tmp_path: Path, family: str
) -> None:
    import transformers

    masked = family == "BertForMaskedLM"
    folder = folder_of(family, tokenizer, tmp_path / "model")
    recipe["stages"][0] |= {"model": str(folder), "objective": "masked" if masked else "causal", "steps": 20}
    recipe["stages"][0] |= {"isolate_documents": masked, "eval": {"every": 10}}
    recipe["prompts"] = ["the cat"]
    result = run(recipe)
    stage = result["stages"][0]
    assert stage["loss_after"] < stage["loss_before"] - 0.5
    assert result["samples"][0]["answers"]["pretrain"]
    config = json.loads((Path(recipe["out"]) / "pretrain" / "model" / "config.json").read_text())
    assert config["architectures"] == [family]
    assert config["dtype"] == "float32"
    assert getattr(transformers, family).from_pretrained(Path(recipe["out"]) / "pretrain" / "model")


def test_a_base_model_without_a_padding_token_is_given_one(
    run: Run, recipe: dict[str, Any], shards: Path, tokenizer: Any, tmp_path: Path
) -> None:
    data = shutil.copytree(shards, tmp_path / "data")
    file = data / "tokenizer" / "tokenizer_config.json"
    config = json.loads(file.read_text())
    config["pad_token"] = config["eos_token"]
    file.write_text(json.dumps(config))
    header = json.loads((data / "tokens.json").read_text())
    folder = folder_of("GPT2LMHeadModel", tokenizer, tmp_path / "model")
    shutil.copytree(data / "tokenizer", folder, dirs_exist_ok=True)
    recipe["stages"][0] |= {"model": str(folder), "data": str(data), "steps": 2}
    run(recipe)
    made = load_tokenizer(Path(recipe["out"]) / "pretrain" / "model")
    assert made.pad_token_id != made.eos_token_id == header["eos_id"]


def test_what_is_trained_on_is_coloured_on_a_terminal() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        Reporter(False, stream).emit("example", name="sft", message="a ⟦b\nc⟧ d ⟦e⟧")
    assert terminal.getvalue() == "sft: a \x1b[32m⟦b\nc⟧\x1b[0m d \x1b[32m⟦e⟧\x1b[0m\n"
    assert file.getvalue() == "sft: a ⟦b\nc⟧ d ⟦e⟧\n"
