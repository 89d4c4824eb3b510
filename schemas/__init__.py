"""The JSON Schemas that `curate`, `train` and the world agree on: what is on disk, and nothing else.

`load("chat")` gives the schema of the chat format as a dictionary; `names()` lists what there is.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["load", "names"]


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
