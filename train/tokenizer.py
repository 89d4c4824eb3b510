"""Whether a tokenizer is the one that token shards were written with: their ids mean nothing to another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import schemas
from train.errors import DataError

__all__ = ["check_tokenizer", "same_ids"]


def check_tokenizer(folder: Path, header: dict[str, Any], where: Path) -> None:
    """Compare the tokenizer in `folder` with what the header at `where` says of it.

    Raises DataError when it cannot be read, has fewer ids than the shards need, or gives other ids than the one that wrote
    them (older headers do not say). O(vocabulary).
    """
    from tokenizers import Tokenizer

    file = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(file))
    # The library raises a bare Exception for a file that is not a tokenizer.
    except Exception as error:
        raise DataError(f"{file}: not a tokenizer: {error}") from error
    ids = max(tokenizer.get_vocab().values(), default=-1) + 1
    if ids < header["vocab_size"]:
        raise DataError(f"{file}: has {ids} ids, and the shards of {where} need {header['vocab_size']}; it did not write them")
    wanted = header.get("tokenizer_blake2b")
    found = schemas.tokenizer_digest(json.loads(tokenizer.to_str()))
    if wanted is not None and found != wanted:
        raise DataError(f"{file}: is not the tokenizer that wrote the shards (digest {found}, {where} says {wanted})")


def same_ids(one: Any, other: Any) -> bool:
    """Whether two tokenizers of transformers give the same ids: equal vocabularies, and equal merges where both tell."""
    if one.get_vocab() != other.get_vocab():
        return False
    backends = [getattr(tokenizer, "backend_tokenizer", None) for tokenizer in (one, other)]
    if None in backends:
        return True
    digests = [schemas.tokenizer_digest(json.loads(backend.to_str())) for backend in backends if backend is not None]
    return digests[0] == digests[1]
