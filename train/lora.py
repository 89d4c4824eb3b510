"""Low-rank adapters with peft (Hu et al. 2021, arXiv 2106.09685): put on before training, merged into the weights after."""

from __future__ import annotations

from typing import Any

from train.config import Lora

__all__ = ["adapted", "merged"]


def adapted(model: Any, lora: Lora, seed: int) -> Any:
    """`model` with adapters beside all its linear layers but the output, drawn with `seed`; nothing else is trained.

    The first of the two matrices is random and the second is 0: before the first step the model is what it was.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    return get_peft_model(
        model, LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM")
    )


def merged(model: Any) -> Any:
    """The model of which `adapted` made `model`, what the adapters learned added to its weights."""
    return model.merge_and_unload()
