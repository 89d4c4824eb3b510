"""Threads that share a table of pieces give every text the same ids, whatever the others add meanwhile."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from benchmarks.fuzz_bpe import texts_of
from curate.analysis import text_buffers
from curate.io import bpe as fast_path
from curate.io.bpe import ByteLevelBPE, read_bpe
from curate.kernels import bpe_pieces
from tests.io.test_bpe import trained

SMALL = ((16, 512, 512), (256, 2048, 2048), (1024, 8192, 8192))


@pytest.mark.parametrize("small", [False, True])
def test_threads_that_share_a_table_give_the_ids_of_one(monkeypatch: pytest.MonkeyPatch, small: bool) -> None:
    if small:
        # The table grows and is emptied while others look into it.
        monkeypatch.setattr(bpe_pieces, "_SIZES", SMALL)
        monkeypatch.setattr(bpe_pieces, "_OWN_SIZE", (16, 512, 512))
    monkeypatch.setattr(fast_path, "_GROUP_BYTES", 2000)
    tokenizer = trained("llama3")
    rng = random.Random(5)
    texts = [text for _ in range(400) for text in texts_of(rng)]
    parts = [text_buffers(pl.Series(texts[i::8], dtype=pl.String)) for i in range(8)]
    alone = read_bpe(tokenizer.to_str())
    shared = read_bpe(tokenizer.to_str())
    assert isinstance(alone, ByteLevelBPE)
    assert isinstance(shared, ByteLevelBPE)
    expected = [alone.encode(*part, 7) for part in parts]
    library = [encoding.ids for encoding in tokenizer.encode_batch_fast(texts[::8], add_special_tokens=False)]
    assert expected[0][0].tolist() == [id for ids in library for id in [*ids, 7]]
    orders = [rng.sample(range(8), 8) for _ in range(4)]

    def encode(order: list[int]) -> list[tuple[int, NDArray[np.uint32], NDArray[np.int64]]]:
        return [(i, *shared.encode(*parts[i], 7)) for i in order]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(encode, orders):
            for i, tokens, lengths in found:
                assert np.array_equal(tokens, expected[i][0])
                assert np.array_equal(lengths, expected[i][1])


def test_long_pieces_stand_where_they_are_between_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpe_pieces, "_OWN_SIZE", (16, 512, 512))
    tokenizer = trained("gpt2")
    found = read_bpe(tokenizer.to_str())
    assert isinstance(found, ByteLevelBPE)
    texts = ["a" * 256, "", "ab " + "xy" * 300 + " cd " + "é" * 200 + "!", "q" * 255, "w" * 256 + "\n" + "w" * 257]
    for _ in range(2):
        tokens, lengths = found.encode(*text_buffers(pl.Series(texts)), 7)
        expected = [[*tokenizer.encode(text).ids, 7] for text in texts]
        assert tokens.tolist() == [id for ids in expected for id in ids]
        assert lengths.tolist() == [len(ids) for ids in expected]
