"""Perplexity: how surprised a language model of texts that you like is by a text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Filter, Rule
from curate.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PERPLEXITY_MODEL", "PERPLEXITY_VERSION", "Perplexity"]

PERPLEXITY_MODEL = "perplexity"
PERPLEXITY_VERSION = 1
PERPLEXITY_TRAINER = "curate perplexity train"


class Perplexity(Filter):
    """Keep text that an n-gram language model finds likely enough, as CCNet does (Wenzek et al. 2020, arXiv 1911.00359).

    `perplexity` is 10^(-log10 p / tokens): lines are sentences, tokens their words and one end each; lines without a word
    are passed over, text without one has none. Low is like the texts that the model was trained on; very low is often
    what repeats itself. The numbers of one model mean nothing for another: its training says where its own held-out texts lie.

    The model is one that `curate perplexity train` made, or an ARPA file (KenLM's text format, plain, .gz or .zst), which is
    read into memory by each worker. O(words x order), in a kernel.
    """

    step: Literal["perplexity"] = "perplexity"
    releases_gil: ClassVar[bool] = True
    model: str = Field(description="Folder that `curate perplexity train` wrote, `job:NAME` in a recipe, or an ARPA file.")
    min_perplexity: float | None = Field(None, ge=1, description="Least perplexity.")
    max_perplexity: float | None = Field(None, ge=1, description="Greatest perplexity.")
    splitter: Literal["unicode", "whitespace"] | None = Field(
        None, description="What a word is to an ARPA file: whitespace (the default) or unicode; models of ours know it."
    )
    lower: bool = Field(False, description="Lower the case of the text for an ARPA file; models of ours always do.")

    def rules(self) -> tuple[Rule, ...]:
        return (
            Rule("low_perplexity", "perplexity", min=self.min_perplexity),
            Rule("high_perplexity", "perplexity", max=self.max_perplexity),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import numpy as np
        import polars as pl

        from curate.analysis import buffers, cased_words, words
        from curate.io.arpa import is_arpa, load_arpa
        from curate.io.model_files import load_model
        from curate.kernels.ngram_model import log_probabilities, sentences

        lower, splitter = self.lower, self.splitter
        if is_arpa(self.model):
            table, order, closed = load_arpa(self.model)
            splitter = splitter or "whitespace"
        else:
            if lower or splitter:
                raise UsageError(f"{self.model}: splitter and lower are for ARPA files; this model has its own")
            header, arrays = load_model(self.model, PERPLEXITY_MODEL, PERPLEXITY_VERSION, PERPLEXITY_TRAINER)
            table, order, closed = arrays["table"], int(header["order"]), True
            lower, splitter = True, header["splitter"]
        split = words if lower else cased_words

        def measure(batch: Batch) -> pl.DataFrame:
            tokens, bounds = sentences(batch.share(split, splitter), batch.share(buffers)[1])
            logs, counts = log_probabilities(tokens, bounds, table, order, closed)
            mean = np.divide(-logs, counts, out=np.full(len(counts), np.nan), where=counts > 0)
            return pl.DataFrame({"perplexity": pl.Series(np.power(10.0, mean)).fill_nan(None)})

        return measure
