"""The fast path of tokenizing gives the ids of the tokenizers library, for every text."""

from __future__ import annotations

import functools
import json
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from benchmarks.fuzz_bpe import AWKWARD, same, texts_of
from curate.analysis import text_buffers
from curate.io import bpe as fast_path
from curate.io.bpe import SPLIT_PATTERNS, ByteLevelBPE, library_classes, read_bpe, split_regex
from curate.kernels import bpe_pieces
from curate.kernels.bpe_split import pieces
from tests.kernels.texts import texts

PATTERNS = sorted(SPLIT_PATTERNS)
EOS = "<|endoftext|>"


@functools.cache
def trained(pattern: str, vocab_size: int = 2_000, ignore_merges: bool = False) -> Tokenizer:
    """A tokenizer trained on what the tests are full of."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    split = pre_tokenizers.Split(Regex(SPLIT_PATTERNS[pattern]), "isolated")  # type: ignore[index]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        max_token_length=100,
        special_tokens=[EOS, "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rng = random.Random(1)
    tokenizer.train_from_iterator([*AWKWARD * 3, *(text for _ in range(300) for text in texts_of(rng))], trainer)
    tokenizer.encode_special_tokens = True
    return tokenizer


@functools.cache
def fast(pattern: str, ignore_merges: bool = False) -> ByteLevelBPE:
    found = read_bpe(trained(pattern, ignore_merges=ignore_merges).to_str())
    assert isinstance(found, ByteLevelBPE)
    return found


@pytest.mark.parametrize("pattern", PATTERNS)
def test_awkward_and_random_texts(pattern: str) -> None:
    rng = random.Random(2)
    made = [*AWKWARD, *(text for _ in range(150) for text in texts_of(rng))]
    assert same(trained(pattern), fast(pattern), made) is None
    # Once more, from the table.
    assert same(trained(pattern), fast(pattern), made) is None


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=150)
@given(rows=st.lists(texts, max_size=5))
def test_any_text(pattern: str, rows: list[str]) -> None:
    assert same(trained(pattern), fast(pattern), rows) is None


@pytest.mark.parametrize("digits", [1, 3, 0])
@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=40)
@given(text=texts | st.text(" 1\u0663\u00bda\n.", max_size=20))
def test_cuts_with_another_rule_for_digits_are_those_of_the_regular_expression(pattern: str, digits: int, text: str) -> None:
    offsets, data = text_buffers(pl.Series([text]))
    ends, _ = pieces(offsets, data, pattern, library_classes(), digits)  # type: ignore[arg-type]
    split = pre_tokenizers.Split(Regex(split_regex(pattern, digits)), "isolated")  # type: ignore[arg-type]
    cut = [piece.encode() for piece, _ in split.pre_tokenize_str(text)]
    assert ends.tolist() == np.cumsum([len(piece) for piece in cut], dtype=np.int64).tolist()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_after_an_apostrophe_every_code_point_is_cut_as_in_the_library(pattern: str) -> None:
    """Regular expressions without case know more letters than ASCII's: the long s is an s."""
    codes = [code for code in range(0x11000) if not 0xD800 <= code < 0xE000 and not 0x3400 <= code < 0xABFF]
    made = [f"a'{chr(code)}x 'l{chr(code)}x '{chr(code)}Ex" for code in codes]
    joined = ["\n".join(made[i : i + 100]) for i in range(0, len(made), 100)]
    assert same(trained(pattern), fast(pattern), joined) is None


@pytest.mark.parametrize("letters", ["a", "ab", "the", "漢", "xyzzyé", "\U0001f600"])
def test_a_word_of_a_million_bytes(letters: str) -> None:
    word = letters * (1_000_000 // len(letters.encode()))
    assert same(trained("llama3"), fast("llama3"), [word, " ", word]) is None


def test_a_long_random_word() -> None:
    rng = random.Random(3)
    word = "".join(rng.choice("abcdefgh") for _ in range(300_000))
    assert same(trained("gpt2"), fast("gpt2"), [word, word[:161], word[:160], word[:256], word[:255]]) is None


@pytest.mark.parametrize("pattern", ["gpt2", "llama3"])
def test_whole_pieces_of_the_vocabulary_with_ignore_merges(pattern: str) -> None:
    """A vocabulary with tokens that its merges do not reach: only `ignore_merges` finds them."""
    source = json.loads(trained(pattern).to_str())
    vocab = source["model"]["vocab"]
    for token in ("zqzqz", "Ġzqzqz", "ĠÃ©Ã©zq", "0" * 3, "q" * 40):
        vocab.setdefault(token, len(vocab))
    rows = ["zqzqz zqzqz éézq 000 " + "q" * 40, "q" * 40, "xzqzqz"]
    ids = []
    for ignore in (True, False):
        source["model"]["ignore_merges"] = ignore
        tokenizer = Tokenizer.from_str(json.dumps(source))
        tokenizer.encode_special_tokens = True
        found = read_bpe(tokenizer.to_str())
        assert isinstance(found, ByteLevelBPE)
        assert same(tokenizer, found, rows) is None
        ids.append(tokenizer.encode(rows[0]).ids)
    assert ids[0] != ids[1]


def test_a_table_that_fills_up_grows_and_then_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bpe_pieces, "_SIZES", ((16, 512, 512), (256, 2048, 2048), (1024, 4096, 4096)))
    monkeypatch.setattr(bpe_pieces, "_OWN_SIZE", (16, 512, 512))
    for ignore in (False, True):
        tokenizer = trained("llama3", vocab_size=300, ignore_merges=ignore)
        found = read_bpe(tokenizer.to_str())
        assert isinstance(found, ByteLevelBPE)
        rng = random.Random(4)
        sizes = set()
        for _ in range(60):
            assert same(tokenizer, found, texts_of(rng)) is None
            slots, kept, runs, used = found._pieces.table
            assert (len(slots), len(kept), len(runs)) <= (4096, 4096, 4096)
            sizes.add(int(used[0]))
        assert len(sizes) > 5


def test_documents_are_closed_and_counted_wherever_the_buffer_begins() -> None:
    column = pl.Series(["cut off", "", "one two", "", "", "three", ""])
    tokenizer = trained("llama3")
    offsets, data = text_buffers(column)
    tokens, lengths = fast("llama3").encode(offsets[1:], data, 7)
    expected = [[*tokenizer.encode(text).ids, 7] for text in column[1:]]
    assert lengths.tolist() == [len(ids) for ids in expected]
    assert tokens.tolist() == [id for ids in expected for id in ids]
    assert (tokens.dtype, lengths.dtype) == (np.uint32, np.int64)
    assert [part.tolist() for part in fast("llama3").encode(offsets[:1], data, 7)] == [[], []]


def test_what_has_to_go_through_the_library() -> None:
    def why(**parts: object) -> str:
        tokenizer = Tokenizer.from_str(trained("llama3").to_str())
        for name, part in parts.items():
            setattr(tokenizer, name, part)
        found = read_bpe(tokenizer.to_str())
        assert isinstance(found, str)
        return found

    assert why(normalizer=normalizers.NFKC()) == "normalizer NFKC"
    assert why(pre_tokenizer=pre_tokenizers.Whitespace()) == "pre-tokenizer Whitespace"
    assert why(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True)) == "a space is put before every text"
    other = pre_tokenizers.Split(Regex(r"\p{L}+"), "isolated")
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    assert why(pre_tokenizer=pre_tokenizers.Sequence([other, plain])) == "its split pattern is none of the known ones"
    gpt2 = Regex(SPLIT_PATTERNS["gpt2"])
    removed = pre_tokenizers.Sequence([pre_tokenizers.Split(gpt2, "removed"), plain])
    assert why(pre_tokenizer=removed) == "its split pattern is none of the known ones"
    twice = pre_tokenizers.Sequence([other, pre_tokenizers.Split(gpt2, "isolated"), plain])
    assert why(pre_tokenizer=twice) == "pre-tokenizer Split+Split+ByteLevel"
    assert why(model=models.BPE({"a": 0}, [])) == "not every byte is in the vocabulary"
    assert why(model=models.BPE({"a": 0}, [], dropout=0.1)) == "BPE with dropout"
    assert why(model=models.BPE({"a": 0}, [], end_of_word_suffix="</w>")) == "BPE with end_of_word_suffix"
    assert why(model=models.WordLevel({"a": 0}, unk_token="a")) == "model WordLevel"


def test_byte_level_with_its_own_pattern_is_gpt2_and_added_tokens_are_told() -> None:
    tokenizer = Tokenizer.from_str(trained("gpt2").to_str())
    tokenizer.encode_special_tokens = True
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_tokens([AddedToken("<tool>", special=False)])
    found = read_bpe(tokenizer.to_str())
    assert isinstance(found, ByteLevelBPE)
    assert (found.pattern, found.added) == ("gpt2", ("<tool>",))
    assert same(tokenizer, found, AWKWARD) is None


def test_classes_are_kept_and_asked_again_when_what_is_kept_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = library_classes()
    monkeypatch.setattr(fast_path, "cache_folder", lambda: tmp_path)

    def read() -> None:
        library_classes.cache_clear()
        assert np.array_equal(library_classes(), fresh)

    read()
    (kept,) = (tmp_path / "classes").iterdir()
    whole = kept.read_bytes()
    monkeypatch.setattr(fast_path, "_class", None)  # not asked again
    read()
    monkeypatch.undo()
    monkeypatch.setattr(fast_path, "cache_folder", lambda: tmp_path)
    for broken in (b"", whole[:1000], b"odd"):
        kept.write_bytes(broken)
        read()
        assert kept.read_bytes() == whole
