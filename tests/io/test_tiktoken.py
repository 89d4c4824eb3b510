"""tiktoken's ranks files: the ids of tiktoken, for every text."""

from __future__ import annotations

import base64
import functools
import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_bpe import texts_of
from curate.errors import InputError, UsageError
from curate.io import tiktoken as ranks_files
from curate.io.bpe import AWKWARD, SPLIT_PATTERNS, byte_letters
from curate.io.encoder import Encoder
from curate.io.tiktoken import convert, is_ranks
from curate.io.token_shards import Documents, read_header
from curate.jobs.tokenize import Tokenize
from tests.io.test_bpe import trained
from tests.kernels.texts import texts
from tests.work import rows, run_job

EOT = "<|endoftext|>"
PATTERNS = ["gpt2", "cl100k", "qwen2", "o200k"]


def split_regex(pattern: str) -> str:
    return SPLIT_PATTERNS["llama3" if pattern == "cl100k" else pattern]  # type: ignore[index]


@functools.cache
def ranks(pattern: str) -> dict[bytes, int]:
    """A vocabulary trained on the spot, in the order in which it was merged."""
    tokenizer = trained("llama3" if pattern == "cl100k" else pattern)
    byte_of = byte_letters()
    vocab = sorted(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    tokens = [bytes(byte_of[letter] for letter in token) for token, _ in vocab if not token.startswith("<|")]
    return {token: rank for rank, token in enumerate(tokens)}


def write(path: Path, found: dict[bytes, int]) -> Path:
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in found.items()))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ranks")
    return {pattern: write(folder / f"{pattern}.tiktoken", ranks(pattern)) for pattern in PATTERNS}


@functools.cache
def encoder(path: str, pattern: str) -> Encoder:
    return Encoder.load(path, None, parallel=False, split_pattern=pattern)  # type: ignore[arg-type]


def joined(piece: bytes, of: dict[bytes, int]) -> list[int]:
    """What tiktoken does to a piece of text, in plain Python: the neighbours of lowest rank are joined, the first of equals."""
    if piece in of:
        return [of[piece]]
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while True:
        pairs = [(of[a + b], i) for i, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in of]
        if not pairs:
            return [of[part] for part in parts]
        _, i = min(pairs)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


def pieces(text: str, pattern: str) -> list[bytes]:
    from tokenizers import Regex, pre_tokenizers

    split = pre_tokenizers.Split(Regex(split_regex(pattern)), "isolated")
    return [piece.encode() for piece, _ in split.pre_tokenize_str(text)]


def ids(path: Path, pattern: str, column: list[str]) -> list[list[int]]:
    found = encoder(str(path), pattern)
    assert found.fast, found.route
    tokens, lengths = found.encode(pl.Series(column, dtype=pl.String))
    return [part.tolist() for part in np.split(tokens, np.cumsum(lengths)[:-1])] if column else []


REPEATS = ["a" * n for n in range(1, 40)] + ["ab" * n for n in range(1, 30)] + ["aba" * 9, "=" * 77, " " * 99 + "x", "\n" * 50]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_rule_of_tiktoken_gives_the_same_ids(files: dict[str, Path], pattern: str) -> None:
    rng = random.Random(5)
    made = [text for text in [*AWKWARD, *REPEATS, *(t for _ in range(60) for t in texts_of(rng))] if len(text) < 3000]
    of, eos = ranks(pattern), encoder(str(files[pattern]), pattern).eos_id
    expected = [[*(id for piece in pieces(text, pattern) for id in joined(piece, of)), eos] for text in made]
    assert ids(files[pattern], pattern, made) == expected


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_library_gives_the_same_ids(files: dict[str, Path], pattern: str) -> None:
    rng = random.Random(6)
    made = pl.Series([*AWKWARD, *REPEATS, *(text for _ in range(100) for text in texts_of(rng))])
    found = encoder(str(files[pattern]), pattern)
    assert found.checked(made).fast


@pytest.mark.parametrize("pattern", PATTERNS)
def test_tiktoken_itself_gives_the_same_ids(files: dict[str, Path], pattern: str) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    from tiktoken.load import load_tiktoken_bpe

    own: Any = tiktoken.Encoding(
        "own", pat_str=split_regex(pattern), mergeable_ranks=load_tiktoken_bpe(str(files[pattern])), special_tokens={}
    )
    eos = encoder(str(files[pattern]), pattern).eos_id

    def same(made: list[str]) -> None:
        assert ids(files[pattern], pattern, made) == [[*own.encode_ordinary(text), eos] for text in made]

    rng = random.Random(7)
    # The engines know other versions of Unicode: letters of Unicode 16 are cut in different ways.
    same([*(text for text in AWKWARD if "\u1c89" not in text), *REPEATS, *(t for _ in range(300) for t in texts_of(rng))])

    @settings(deadline=None, max_examples=150)
    @given(st.lists(texts, max_size=5))
    def check(made: list[str]) -> None:
        same(made)

    check()


def test_shards_of_a_ranks_file_and_the_tokenizer_beside_them(tmp_path: Path, files: dict[str, Path]) -> None:
    transformers = pytest.importorskip("transformers")
    texts = ["one two  three", f"before {EOT} after", "König № 3\n", ""]
    job = Tokenize(tokenizer=str(files["cl100k"]), split_pattern="cl100k")
    work = run_job(job, tmp_path, [[rows(texts)]])
    size = len(ranks("cl100k"))
    assert work.results["index"][0]["route"] == "fast path: byte-level BPE, pattern llama3"
    header = read_header(tmp_path / "data")
    assert (header["eos_id"], header["vocab_size"]) == (size, size + 1)
    found = Documents.of(tmp_path / "data", header, "train")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "data/tokenizer", local_files_only=True)
    assert [tokenizer.decode(found[i]) for i in range(3)] == [text + EOT for text in texts[:3]]
    assert tokenizer.eos_token_id == size
    assert tokenizer("one two  three", add_special_tokens=False)["input_ids"] == found[0].tolist()[:-1]
    # The very tokenizer that was made is what a later run from the shards' own folder uses.
    again = Encoder.load(str(tmp_path / "data/tokenizer"), None, parallel=False)
    assert (again.digest, again.eos_id) == (header["tokenizer_blake2b"], size)
    assert found[1].tolist().count(size) == 1


def test_published_files_are_known_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib

    of = ranks("gpt2")
    path = write(tmp_path / "x.tiktoken", of)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    special = {EOT: len(of) + 7, "<|fim|>": len(of) + 2}
    known = ranks_files._Known("mine_base", "gpt2", len(of), EOT, special, digest)
    monkeypatch.setattr(ranks_files, "_KNOWN", (known,))
    found = Encoder.load(str(path), None, parallel=False)
    assert (found.eos_id, found.vocab_size) == (len(of) + 7, len(of) + 8)
    assert "which is mine_base, split pattern gpt2" in found.note
    content = json.loads(found._made or "")
    assert [(token["content"], token["id"]) for token in content["added_tokens"]] == [
        ("<|fim|>", len(of) + 2),
        (EOT, len(of) + 7),
    ]
    other = write(tmp_path / "y.tiktoken", dict(reversed(of.items())))
    assert "by their number taken for mine_base" in Encoder.load(str(other), None, parallel=False).note
    assert "split pattern o200k" in Encoder.load(str(other), None, parallel=False, split_pattern="o200k").note
    # Llama 3 calls its ranks tokenizer.model.
    model = tmp_path / "tokenizer.model"
    shutil.copy(path, model)
    assert is_ranks(model)
    assert Encoder.load(str(tmp_path), None, parallel=False).eos_id == len(of) + 7
    assert all(len(known.special) == len(set(known.special.values())) for known in ranks_files._KNOWN)


def test_what_is_wrong_with_a_ranks_file_is_one_line(tmp_path: Path) -> None:
    of = ranks("gpt2")
    path = write(tmp_path / "x.tiktoken", of)

    def problem(eos_token: str | None = None, pattern: Any = "gpt2") -> str:
        with pytest.raises(InputError) as caught:
            convert(path, pattern, eos_token)
        return str(caught.value)

    assert "set split_pattern (gpt2, cl100k, llama3, qwen2, o200k)" in problem(pattern=None)
    assert "eos_token 'e' is an ordinary token" in problem("e")
    assert "eos_token 'zqzqzq' is met in texts as a word" in problem("zqzqzq")
    assert convert(path, "gpt2", "<end>").eos == "<end>"
    good = path.read_bytes().splitlines(keepends=True)

    def broken(line: bytes) -> str:
        path.write_bytes(b"".join([*good[:3], line, *good[3:]]))
        return problem()

    for line in (b"nonsense\n", b"!!!! 7\n", b"YWJj x\n", b"YWJj 1 2\n", b"\xff\xfe 3\n"):
        assert "x.tiktoken:4: not a line of a ranks file" in broken(line)
    for line in (b"YWJj -5\n", good[1], b"enFxenF6cXp6 1\n"):
        assert "x.tiktoken:4: an empty token, or a token or rank that is there already" in broken(line)
    path.write_bytes(b"".join(line for line in good if not line.startswith(base64.b64encode(b"\x80") + b" ")))
    assert "byte 128 is not among its tokens" in problem()
    (tmp_path / "tokenizer.json").write_text(trained("gpt2").to_str())
    with pytest.raises(UsageError, match="split_pattern: goes with a tiktoken ranks file"):
        Encoder.load(str(tmp_path / "tokenizer.json"), EOT, parallel=False, split_pattern="gpt2")
