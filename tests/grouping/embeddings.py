"""Small models of embeddings, made on the spot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers


def write_safetensors(path: Path, tensors: dict[str, Any]) -> None:
    header, parts, at = {}, [], 0
    for name, array in tensors.items():
        kind = {"f4": "F32", "f2": "F16", "i8": "I64", "f8": "F64"}[array.dtype.str[1:]]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        parts.append(array.tobytes())
        at += array.nbytes
    said = json.dumps(header).encode()
    path.write_bytes(len(said).to_bytes(8, "little") + said + b"".join(parts))


def word_tokenizer(folder: Path, words: list[str]) -> dict[str, int]:
    """A tokenizer of whole words in lower case, saved; the ids of its words."""
    vocabulary = {"[UNK]": 0, **{word: i + 1 for i, word in enumerate(dict.fromkeys(words))}}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return vocabulary


def static_model(folder: Path, words: dict[str, list[float]]) -> Path:
    """A model whose vector of a word is the one given; unknown words have one that must not count."""
    word_tokenizer(folder, [*words])
    size = len(next(iter(words.values())))
    write_safetensors(folder / "model.safetensors", {"embeddings": np.array([[9.0] * size, *words.values()], np.float32)})
    return folder


def trained_model(folder: Path, texts: list[list[str]], size: int) -> Path:
    """Vectors of words by the singular values of their tf-idf in some texts: near where they stand in the same texts."""
    words = sorted({word for text in texts for word in text})
    number = {word: i for i, word in enumerate(words)}
    counts = np.zeros((len(texts), len(words)))
    for i, text in enumerate(texts):
        np.add.at(counts[i], [number[word] for word in text], 1.0)
    weight = np.log(len(texts) / (counts > 0).sum(axis=0))
    seen = np.log1p(counts) * weight
    # Right singular vectors by way of the smaller matrix.
    _, left = np.linalg.eigh(seen @ seen.T)
    vectors = (seen.T @ left[:, -size:]) * weight[:, None]
    return static_model(folder, {word: vectors[i].tolist() for i, word in enumerate(words)})
