"""Small back-off models: written as ARPA files, and scored in plain Python as that format says."""

from __future__ import annotations

from pathlib import Path

__all__ = ["Model", "twin_log", "write_arpa"]

Model = dict[tuple[str, ...], tuple[float, float]]
"""N-grams with log10 of their probability and of their back-off weight."""


def twin_log(model: Model, words: list[str], order: int) -> float:
    """log10 of the probability of one sentence with its marks; `<s>` is given."""
    words = [word if (word,) in model else "<unk>" for word in words]

    def log(gram: tuple[str, ...]) -> float:
        if gram in model:
            return model[gram][0]
        return model.get(gram[:-1], (0.0, 0.0))[1] + log(gram[1:])

    return sum(log(tuple(words[max(0, i - order + 1) : i + 1])) for i in range(1, len(words)))


def write_arpa(path: Path, model: Model) -> str:
    """A back-off weight of 0 is left out, as it may be."""
    order = max(map(len, model))
    parts = ["\\data\\\n", *(f"ngram {n}={sum(len(gram) == n for gram in model)}\n" for n in range(1, order + 1))]
    for n in range(1, order + 1):
        parts.append(f"\n\\{n}-grams:\n")
        for gram, (logp, backoff) in model.items():
            if len(gram) == n:
                parts.append(f"{logp}\t{' '.join(gram)}" + (f"\t{backoff}" if backoff else "") + "\n")
    path.write_text("".join([*parts, "\n\\end\\\n"]), encoding="utf-8")
    return str(path)
