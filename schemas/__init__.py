"""The JSON Schemas that `curate`, `train` and the world agree on: what is on disk, and nothing else.

`load("chat")` gives the schema of the chat format as a dictionary; `names()` lists what there is.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["load", "names", "tokenizer_digest"]


def names() -> list[str]:
    """The names that `load` takes, sorted."""
    return sorted(entry.name.removesuffix(".json") for entry in files(__name__).iterdir() if entry.name.endswith(".json"))


@cache
def load(name: str) -> dict[str, Any]:
    """The JSON Schema called `name`. Raises KeyError, naming what there is, when there is none."""
    entry = files(__name__) / f"{name}.json"
    if not entry.is_file():
        raise KeyError(f"no schema called {name!r}; there are: {', '.join(names())}")
    schema: dict[str, Any] = json.loads(entry.read_text(encoding="utf-8"))
    return schema


_NOT_IDS = ("version", "truncation", "padding", "post_processor", "decoder")
"""Parts of a tokenizer.json that do not decide the ids of a text."""


def tokenizer_digest(tokenizer: dict[str, Any]) -> str:
    """BLAKE2b (16 bytes, hexadecimal) of what decides the ids of a tokenizer.json: vocabulary, merges, added and special
    tokens, normalizer and pre-tokenizer. Equal for files that say the same in another order or spelling. O(bytes).
    """
    parts = {key: value for key, value in tokenizer.items() if key not in _NOT_IDS}
    model = dict(parts.get("model") or {})
    if "merges" in model:
        # Written as "a b" before tokenizers 0.20, as ["a", "b"] since.
        model["merges"] = [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]
    content = json.dumps({**parts, "model": model}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.blake2b(content.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
