"""Encoders by the tokenizers library: what it cannot do is one line."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from curate.errors import InputError
from curate.io.encoder import Encoder


def test_a_text_on_which_the_library_panics(tmp_path: Path) -> None:
    made = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    made.add_special_tokens(["<eos>"])
    # The engine of the library tries every way to share the letters out, up to a limit.
    made.pre_tokenizer = pre_tokenizers.Split(Regex("(?:a|aa)+$"), "isolated")
    made.save(str(tmp_path / "tokenizer.json"))
    encoder = Encoder.load(tmp_path / "tokenizer.json", eos_token="<eos>", parallel=False)
    ids, _ = encoder.encode(pl.Series(["aab"]))
    assert ids.tolist() == [0, 0, 1, 2]
    with pytest.raises(InputError, match=r"the tokenizers library broke off \(.*\) in texts of at most 61 characters; drop"):
        encoder.encode(pl.Series(["aab", "a" * 60 + "b"]))
