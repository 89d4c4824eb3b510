"""Models that make a vector of a text, from a folder on this machine.

Two kinds are told apart by what their `model.safetensors` holds:

* static embeddings: a table of token vectors (tensor `embeddings`, as model2vec writes it, or `embedding.weight`, as
  sentence-transformers does) and a `tokenizer.json`. The vector of a text is the mean of those of its tokens.
* a transformer that the transformers library reads (`config.json`): see `curate.models.transformer`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Embed", "embedder"]

Embed = Callable[[Sequence[str]], "NDArray[np.float64]"]
"""Texts -> float64[n, d], in any length; a row of zeros for a text that holds nothing the model knows. The vector of a text
does not depend on the others."""

PIECE = 1 << 16
"""Characters that are tokenized as one: longer texts are cut, at white space where there is some."""

PIECES = 1 << 20
"""Characters that are tokenized at a time: the library holds about 100 bytes a token."""


def embedder(folder: str) -> Embed:
    """The model in a folder. Raises InputError when there is none or it is broken, MissingExtra when it needs torch."""
    place = Path(folder)
    weights = place / "model.safetensors"
    if not place.is_dir():
        raise InputError(f"{folder}: no such folder; embedding_model names one with model.safetensors and tokenizer.json")
    for path in (weights, place / "tokenizer.json"):
        if not path.is_file():
            raise InputError(f"{path}: no such file; a model of embeddings is model.safetensors and tokenizer.json")
    return _embedder(place, weights.stat().st_mtime_ns)


@functools.lru_cache(maxsize=2)
def _embedder(folder: Path, stamp: int) -> Embed:
    from curate.models.safetensors import read_safetensors

    tensors = read_safetensors(folder / "model.safetensors")
    name = next((name for name in ("embeddings", "embedding.weight") if name in tensors), None)
    if name is not None:
        return _Static(folder, tensors[name], tensors.get("mapping"), tensors.get("weights"))
    if not (folder / "config.json").is_file():
        held = ", ".join(sorted(tensors)[:3])
        raise InputError(
            f"{folder / 'model.safetensors'}: holds no tensor 'embeddings' (but {held}), and no config.json is beside it"
        )
    from curate.models.transformer import transformer

    return transformer(folder)


class _Static:
    """Means of token vectors: `mapping` says which row of the table a token has, `weights` what it counts, where they are.

    As model2vec 0.6 does it, but for its limit of 512 tokens: all tokens count. Unknown ones do not.
    """

    def __init__(self, folder: Path, table: NDArray[Any], mapping: Any, weights: Any) -> None:
        import numpy as np
        from tokenizers import Tokenizer

        where = folder / "tokenizer.json"
        try:
            self._tokenizer = Tokenizer.from_file(str(where))
        # The library raises a bare Exception for a file that is not a tokenizer.
        except Exception as error:
            raise InputError(f"{where}: not a tokenizer: {error}") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        if table.ndim != 2:
            raise InputError(f"{folder}: the tensor of embeddings has {table.ndim} dimensions, not 2")
        self._table = np.ascontiguousarray(table, np.float32)
        tokens = max(self._tokenizer.get_vocab().values(), default=-1) + 1
        self._row = np.arange(tokens) if mapping is None else np.asarray(mapping, np.int64)
        self._weight = np.ones(tokens) if weights is None else np.asarray(weights, np.float64)
        rows = self._row[:tokens]
        if len(rows) < tokens or len(self._weight) < tokens or (tokens and int(rows.max()) >= len(table)):
            raise InputError(f"{folder}: tokenizer.json has {tokens} tokens, model.safetensors vectors for fewer")
        unknown = self._tokenizer.model.unk_token if hasattr(self._tokenizer.model, "unk_token") else None
        self._unknown = -1 if unknown is None else self._tokenizer.token_to_id(unknown)

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        import numpy as np

        from curate.kernels.vectors import add_vectors

        sums = np.zeros((len(texts), self._table.shape[1]))
        for owners, pieces in _pieces(texts):
            encoded = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False)]
            owner = np.repeat(owners, [len(ids) for ids in encoded])
            ids = np.fromiter((token for one in encoded for token in one), np.int64, len(owner))
            known = ids != self._unknown
            ids, owner = ids[known], owner[known]
            # The mean has the direction of the sum, and only that is asked for.
            add_vectors(self._table, self._row[ids], self._weight[ids], owner, sums)
        return sums


def _pieces(texts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
    """Pieces of the texts, PIECES characters at a time or a little more, each with the number of its text."""
    owners: list[int] = []
    pieces: list[str] = []
    held = 0
    for number, text in enumerate(texts):
        first = 0
        while first < len(text):
            last = min(len(text), first + PIECE)
            if last < len(text):
                space = max(text.rfind(mark, first + 1, last) for mark in " \n")
                last = space if space > 0 else last
            owners.append(number)
            pieces.append(text[first:last])
            held += last - first
            first = last
            if held >= PIECES:
                yield owners, pieces
                owners, pieces, held = [], [], 0
    if pieces:
        yield owners, pieces
