"""The judge of recipes/three-phases.yaml: a rule in place of people, so that the recipe runs by itself.

It knows nothing about Python. It likes answers that look like a good first line of documentation.
"""

from __future__ import annotations

import re


def clear(prompt: list[dict[str, str]], answer: str, row: dict[str, object]) -> float:
    """From 0 to 4, a point each for: one sentence that ends with a full stop; 4 to 20 words; no word twice in a row or too
    often; a word of what was asked."""
    text = answer.strip()
    words = re.findall(r"[a-z]+", text.lower())
    asked = set(re.findall(r"[a-z]{3,}", prompt[-1]["content"].lower())) - {"what", "does", "self", "args", "kwargs"}
    sentence = bool(re.fullmatch(r"[A-Z][^.\n]*(\n[^.\n]+)*\.", text))
    length = min(1.0, len(words) / 4, 20 / max(1, len(words)))
    variety = len(set(words)) / max(1, len(words))
    return sentence + length + variety + (not asked.isdisjoint(words))
