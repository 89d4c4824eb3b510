"""Embeddings of texts by a transformer: the mean of its last hidden states. This file needs torch and transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.models.embedder import Embed

__all__ = ["transformer"]

TOKENS = 512
"""Most tokens of a text that are read, from its beginning; fewer where the model takes fewer."""

CHARACTERS = 32
"""Characters a token that are looked at: what comes after TOKENS times so many is cut off before it is tokenized."""


def transformer(folder: Path) -> Embed:
    """The model in a folder, on the CPU, in float32. Raises MissingExtra without torch, InputError when it cannot be read."""
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError:
        raise MissingExtra("an embedding_model that is a transformer", "embed") from None
    # What a sum of floats gives depends on how many threads share it; workers are what runs side by side.
    torch.set_num_threads(1)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model: Any = AutoModel.from_pretrained(str(folder), local_files_only=True, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        first = str(error).strip().split("\n")[0]
        raise InputError(f"{folder}: not a model that transformers can read: {first}") from error
    model.eval()
    most = int(min(TOKENS, tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None) or TOKENS))

    def embed(texts: Sequence[str]) -> NDArray[np.float64]:
        import numpy as np

        out = np.zeros((len(texts), int(model.config.hidden_size)))
        with torch.inference_mode():
            # One by one: in a batch the last bits of a row depend on its neighbours.
            for i, text in enumerate(texts):
                if text.strip():
                    given = tokenizer(text[: TOKENS * CHARACTERS], truncation=True, max_length=most, return_tensors="pt")
                    out[i] = model(**given).last_hidden_state[0].mean(0).double().numpy()
        return out

    return embed
