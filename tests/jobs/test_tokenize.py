from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import polars as pl
import pytest

from curate.analysis import split_of
from curate.errors import CurateError, InputError
from curate.io.encoder import Encoder
from curate.io.token_shards import read, read_header
from curate.jobs.tokenize import Tokenize
from curate.jobs.tokenizer import EOS, TrainTokenizer
from schemas import load
from tests.work import MemoryWork, rows, run_job

TEXTS = [f"Document {i}: the cat sat on {'the mat and ' * (i % 5)}purred. König № {i}\n" for i in range(200)]
INPUT = [[rows(TEXTS[:50]), rows(TEXTS[50:90], 50)], [rows(TEXTS[90:], 90)]]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in ("bpe", "unigram")}
    for kind, folder in folders.items():
        run_job(TrainTokenizer.model_validate({"vocab_size": 600, "kind": kind}), folder, INPUT)
    return {kind: folder / "data" for kind, folder in folders.items()}


def documents(folder: Path, split: str) -> list[list[int]]:
    """The ids of all documents of a split, in order."""
    header = read_header(folder)
    found: list[list[int]] = []
    for entry in header["splits"].get(split, []):
        tokens, positions = read(folder, entry, header["dtype"], check=True)
        found += [part.tolist() for part in np.split(tokens, positions[1:-1].astype(np.int64))]
    return found


def decode(folder: Path, ids: list[int]) -> str:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    text: str = tokenizer.decode(ids, skip_special_tokens=False)
    return text


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_documents_come_back_in_order_each_closed_once(tmp_path: Path, tokenizers: dict[str, Path], kind: str) -> None:
    work = run_job(Tokenize(tokenizer=str(tokenizers[kind])), tmp_path, INPUT)
    data = tmp_path / "data"
    header = json.loads((data / "tokens.json").read_text())
    jsonschema.validate(header, load("tokens"))
    assert [entry["file"] for entry in header["splits"]["train"]] == ["train-00000", "train-00001"]
    assert [entry["documents"] for entry in header["splits"]["train"]] == [90, 110]
    assert sum(entry["bytes"] for entry in header["splits"]["train"]) == sum(len(text.encode()) for text in TEXTS)
    assert header["dtype"] == "uint16"
    found = documents(data, "train")
    assert all(ids[-1] == header["eos_id"] and ids.count(header["eos_id"]) == 1 for ids in found)
    assert [decode(data, ids[:-1]) for ids in found] == TEXTS
    assert all(id < header["vocab_size"] for ids in found for id in ids)
    result = work.results["index"][0]
    assert (result["rows_in"], result["rows_out"], result["empty"]) == (200, 200, 0)
    assert result["tokens"] == {"train": sum(map(len, found))}
    assert result["bytes_per_token"] == pytest.approx(sum(len(t.encode()) for t in TEXTS) / (sum(map(len, found)) - 200))


def test_transformers_loads_the_tokenizer_beside_the_shards(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    transformers = pytest.importorskip("transformers")
    run_job(Tokenize(tokenizer=str(tokenizers["bpe"])), tmp_path, INPUT)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "data" / "tokenizer", local_files_only=True)
    assert tokenizer.eos_token_id == read_header(tmp_path / "data")["eos_id"]
    assert tokenizer.decode(documents(tmp_path / "data", "train")[3]) == TEXTS[3] + EOS
    assert tokenizer.chat_template


def test_special_tokens_written_in_a_text_stay_text_and_empty_texts_make_no_document(
    tmp_path: Path, tokenizers: dict[str, Path]
) -> None:
    texts = ["", f"before{EOS}after <|pad|><|im_start|>", "", "x"]
    for kind, folder in tokenizers.items():
        work = run_job(Tokenize(tokenizer=str(folder)), tmp_path / kind, [[rows(texts)], [rows([""])]])
        found = documents(tmp_path / kind / "data", "train")
        special = {0, 1, *([2, 3] if kind == "bpe" else [2, 3, 4])}
        assert not special & {id for ids in found for id in ids[:-1]}
        assert [decode(tmp_path / kind / "data", ids[:-1]) for ids in found] == [texts[1], texts[3]]
        assert work.results["index"][0]["empty"] == 3
        assert any("3 rows have an empty text" in line for line in work.said)


def test_validation_rows_are_drawn_by_id_whatever_the_order_and_shards(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    job = Tokenize(tokenizer=str(tokenizers["bpe"]), validation=0.2, seed=5)
    run_job(job, tmp_path / "a", INPUT)
    drawn = split_of(pl.Series([f"d{i}" for i in range(200)]), 0.2, 5).to_list()
    assert 20 <= drawn.count("validation") <= 60
    for split in ("train", "validation"):
        found = [decode(tmp_path / "a/data", ids[:-1]) for ids in documents(tmp_path / "a/data", split)]
        assert found == [text for text, side in zip(TEXTS, drawn, strict=True) if side == split]
    run_job(job, tmp_path / "b", [[rows(TEXTS[150:], 150)], [rows(TEXTS[:150])]])
    for split in ("train", "validation"):
        assert sorted(documents(tmp_path / "a/data", split)) == sorted(documents(tmp_path / "b/data", split))


def test_a_column_split_is_kept_and_only_rows_without_one_are_drawn(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    frame = rows(["a", "b", "c", "d"], split=["train", "test", None, "train"])
    run_job(Tokenize(tokenizer=str(tokenizers["bpe"]), validation=1.0), tmp_path, [[frame]])
    data = tmp_path / "data"
    found = {split: [decode(data, ids[:-1]) for ids in documents(data, split)] for split in read_header(data)["splits"]}
    assert found == {"test": ["b"], "train": ["a", "d"], "validation": ["c"]}
    with pytest.raises(InputError, match=r"row d0: split '\.\./x' cannot name a file"):
        run_job(Tokenize(tokenizer=str(tokenizers["bpe"])), tmp_path / "bad", [[rows(["a"], split=["../x"])]])


def test_the_same_bytes_on_one_thread_or_many_in_any_order_and_again(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    job = Tokenize(tokenizer=str(tokenizers["bpe"]), validation=0.1)
    run_job(job, tmp_path / "a", INPUT)
    run_job(job, tmp_path / "b", INPUT, order=[1, 0])
    run_job(job, tmp_path / "b", INPUT)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / "b") for path in (tmp_path / "b").rglob("*") if path.is_file())
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)
    encoders = [Encoder.load(str(tokenizers["bpe"]), None, parallel=parallel) for parallel in (True, False)]
    first, second = (encoder.encode(pl.Series(TEXTS)) for encoder in encoders)
    assert first[0].tolist() == second[0].tolist()
    assert first[1].tolist() == second[1].tolist()


def test_wide_ids_take_four_bytes(tmp_path: Path) -> None:
    """A vocabulary of 70,000: more than 16 bits hold."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({f"w{i}": i for i in range(70_000)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    run_job(
        Tokenize(tokenizer=str(tmp_path / "tokenizer.json"), eos_token="w69999"),
        tmp_path / "out",
        [[rows(["w65535 w65536 w3"])]],
    )
    header = read_header(tmp_path / "out/data")
    assert (header["dtype"], header["vocab_size"], header["eos_id"]) == ("uint32", 70_000, 69_999)
    assert documents(tmp_path / "out/data", "train") == [[65535, 65536, 3, 69_999]]
    config = json.loads((tmp_path / "out/data/tokenizer/tokenizer_config.json").read_text())
    assert config["eos_token"] == "w69999"


def test_the_folder_of_the_job_that_trained_it_will_do(tokenizers: dict[str, Path]) -> None:
    folder = tokenizers["bpe"]
    assert Encoder.load(str(folder.parent), None, parallel=False).path == folder / "tokenizer.json"


def test_a_tokenizer_saved_while_it_cut_and_padded_does_neither(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    from tokenizers import Tokenizer

    shutil.copytree(tokenizers["bpe"], tmp_path / "cuts")
    tokenizer = Tokenizer.from_file(str(tmp_path / "cuts/tokenizer.json"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=64)
    tokenizer.save(str(tmp_path / "cuts/tokenizer.json"))
    run_job(Tokenize(tokenizer=str(tmp_path / "cuts")), tmp_path / "out", INPUT)
    run_job(Tokenize(tokenizer=str(tokenizers["bpe"])), tmp_path / "plain", INPUT)
    assert documents(tmp_path / "out/data", "train") == documents(tmp_path / "plain/data", "train")


def test_a_sentencepiece_model_alone(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    import sentencepiece

    model = tmp_path / "mine.model"
    shutil.copy(tokenizers["unigram"] / "tokenizer.model", model)
    work = run_job(Tokenize(tokenizer=str(model)), tmp_path, INPUT)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "data/tokenizer/tokenizer.model"))
    found = documents(tmp_path / "data", "train")
    assert [processor.decode(ids[:-1]) for ids in found] == TEXTS
    assert all(ids[-1] == processor.eos_id() for ids in found)
    assert any("`train` cannot load it" in line for line in work.said)
    with pytest.raises(InputError, match="no token '<nope>'"):
        Encoder.load(str(model), "<nope>", parallel=False)


def test_ids_past_the_vocabulary_are_an_error() -> None:
    broken = Encoder(Path("t.json"), 10, "<e>", 0, lambda texts: [[10] for _ in texts], "broken", "")
    with pytest.raises(CurateError, match="gave id 10, but its vocabulary ends at 9"):
        broken.encode(pl.Series(["x"]))


def test_tokenizers_that_cannot_be_used_say_why(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    def problem(path: Path, eos_token: str | None = None) -> str:
        with pytest.raises(InputError) as caught:
            Encoder.load(str(path), eos_token, parallel=False)
        return str(caught.value)

    assert "no such tokenizer" in problem(tmp_path / "gpt2")
    assert "curate tokenizer train" in problem(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    assert "not a tokenizer" in problem(tmp_path)
    (tmp_path / "x.model").write_bytes(b"nope")
    assert "not a sentencepiece model" in problem(tmp_path / "x.model")
    shutil.copy(tokenizers["bpe"] / "tokenizer.json", tmp_path)
    assert "set eos_token" in problem(tmp_path)
    assert "has no token '<nope>'" in problem(tmp_path, "<nope>")
    (tmp_path / "tokenizer_config.json").write_text("{")
    assert "tokenizer_config.json: not JSON" in problem(tmp_path)


def test_no_text_at_all_is_an_error(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    with pytest.raises(InputError, match="no row has any text"):
        run_job(Tokenize(tokenizer=str(tokenizers["bpe"])), tmp_path, [[rows([""])]])


def test_progress_counts_every_row(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    encoder = Encoder.load(str(tokenizers["bpe"]), None, parallel=False)
    work: Any = MemoryWork(tmp_path, INPUT, 0, {"check": [{"fast": True, "tokenizer_blake2b": encoder.digest}]})
    Tokenize(tokenizer=str(tokenizers["bpe"])).stages()[1].work(work)  # type: ignore[union-attr]
    assert work.rows == 90


def test_the_run_says_which_way_texts_go_and_the_ids_are_the_same(
    tmp_path: Path, tokenizers: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Tokenize(tokenizer=str(tokenizers["bpe"]))
    work = run_job(job, tmp_path / "fast", INPUT)
    assert work.results["index"][0]["route"] == "fast path: byte-level BPE, pattern llama3"
    work = run_job(Tokenize(tokenizer=str(tokenizers["unigram"])), tmp_path / "unigram", INPUT)
    assert work.results["index"][0]["route"] == "library: model Unigram"

    from curate.io.bpe import ByteLevelBPE

    def wrong(self: ByteLevelBPE, offsets: Any, data: Any, eos_id: int) -> Any:
        tokens, lengths = right(self, offsets, data, eos_id)
        return tokens + (np.arange(len(tokens)) == 5), lengths

    right = ByteLevelBPE.encode
    monkeypatch.setattr(ByteLevelBPE, "encode", wrong)
    work = run_job(job, tmp_path / "wrong", INPUT)
    assert work.results["index"][0]["route"].startswith("library: its fast path gave other ids on a sample")
    assert documents(tmp_path / "wrong/data", "train") == documents(tmp_path / "fast/data", "train")


def test_texts_with_an_added_token_that_is_not_special_go_through_the_library(
    tmp_path: Path, tokenizers: dict[str, Path]
) -> None:
    from tokenizers import AddedToken, Tokenizer

    shutil.copytree(tokenizers["bpe"], tmp_path / "added")
    tokenizer = Tokenizer.from_file(str(tmp_path / "added/tokenizer.json"))
    tokenizer.add_tokens([AddedToken("<tool>", lstrip=True, special=False)])
    tokenizer.save(str(tmp_path / "added/tokenizer.json"))
    texts = ["plain", "a call <tool> here", "", "also plain <tool", "<tool>", f"x{EOS}y <tool>z", "last"]
    work = run_job(Tokenize(tokenizer=str(tmp_path / "added")), tmp_path / "out", [[rows(texts)]])
    assert work.results["index"][0]["route"].startswith("fast path")
    tokenizer.encode_special_tokens = True
    expected = [[*tokenizer.encode(text, add_special_tokens=False).ids, 0] for text in texts if text]
    assert documents(tmp_path / "out/data", "train") == expected
    assert sum(tokenizer.token_to_id("<tool>") in ids for ids in expected) == 3


def test_counting_gives_the_tokens_of_the_shards_by_split_and_source(tmp_path: Path, tokenizers: dict[str, Path]) -> None:
    sources = ["web", None, "code", "web", "web"]
    frame = rows(["one two", "three", "x = 1\n", "", "four"], source=sources, split=["train", "train", "test", "test", "test"])
    bare = rows(["five", "six six"], 5, split=["train", "train"])
    job = Tokenize(tokenizer=str(tokenizers["bpe"]))
    work = run_job(job.model_copy(update={"count": True}), tmp_path / "count", [[frame], [bare]])
    counts = json.loads((tmp_path / "count/data/counts.json").read_text())
    assert [path.name for path in (tmp_path / "count/data").iterdir()] == ["counts.json"]
    found = {(count["split"], count["source"]): (count["documents"], count["bytes"]) for count in counts}
    assert found == {("test", "code"): (1, 6), ("test", "web"): (1, 4), ("train", "web"): (1, 7), ("train", None): (3, 16)}
    run_job(job, tmp_path / "shards", [[frame], [bare]])
    for split in ("train", "test"):
        tokens = sum(map(len, documents(tmp_path / "shards/data", split)))
        assert sum(count["tokens"] for count in counts if count["split"] == split) == tokens
    result = work.results["sum"][0]
    assert (result["rows_in"], result["rows_out"], result["empty"], result["counts"]) == (7, 6, 1, counts)
    assert any(line.startswith("train, no source: ") and line.endswith("3 documents, 0.0 MB") for line in work.said)
    many = rows([f"text {i}" for i in range(43)], source=[f"s{i}" for i in range(43)])
    work = run_job(job.model_copy(update={"count": True}), tmp_path / "many", [[many]])
    assert work.said[-1] == "3 smaller ones are in counts.json"
    with pytest.raises(InputError, match="no row has any text"):
        run_job(job.model_copy(update={"count": True}), tmp_path / "none", [[rows([""])]])
