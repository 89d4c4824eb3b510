"""spaCy's own English tokenizer (a blank pipeline), as datatrove 0.10 splits words with it: stripped, none empty."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from curate.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["spacy_tokenizer", "spacy_words"]


@functools.cache
def spacy_tokenizer() -> Any:
    """The blank English pipeline. Raises MissingExtra without spaCy."""
    try:
        import spacy
    except ImportError:
        raise MissingExtra("the splitter 'spacy'", "spacy") from None
    pipeline = spacy.blank("en")
    pipeline.max_length = 2**30  # what the tokenizer itself takes, in characters
    return pipeline


def spacy_words(texts: pl.Series, base: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Places of the tokens of each text: starts, ends (bytes, where the first text begins at `base`), and bounds int64[n+1].

    A Python loop over tokens, about 2 MB a second: to check by, not to work with.
    """
    import numpy as np

    pipeline = spacy_tokenizer()
    starts: list[int] = []
    ends: list[int] = []
    bounds = [0]
    for text in texts.to_list():
        # Byte of each character; one more for the end.
        wide = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        at = base + np.concatenate(([0], np.cumsum(1 + (wide > 0x7F) + (wide > 0x7FF) + (wide > 0xFFFF)))).astype(np.int64)
        with pipeline.memory_zone():
            # spaCy takes this one word for the name of an attribute and fails on it; letters for letters.
            for token in pipeline.tokenizer(text.replace("IS_ALPHA", "IS_ALPHB")):
                if not token.is_space:
                    starts.append(int(at[token.idx]))
                    ends.append(int(at[token.idx + len(token)]))
        bounds.append(len(starts))
        base = int(at[-1])
    return np.array(starts, np.int64), np.array(ends, np.int64), np.array(bounds, np.int64)
