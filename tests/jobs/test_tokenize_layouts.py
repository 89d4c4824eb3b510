"""`tokenize --layout`, and tokenizers that changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from curate.engine.chain import run_command
from curate.errors import InputError, OutputError
from curate.io.encoder import Encoder
from curate.io.layouts import Layout, open_layout, read_record
from curate.io.token_shards import Documents, open_split, read_header
from curate.jobs.tokenize import Tokenize
from curate.jobs.tokenizer import TrainTokenizer
from curate.report.watch import Silent
from schemas import tokenizer_digest
from tests.command import stats, tree
from tests.io.layouts.owners import read_all
from tests.work import rows, run_job

TEXTS = [f"Document {i}: the cat sat on {'the mat and ' * (i % 5)}purred. König № {i}\n" for i in range(100)]
INPUT = [[rows(TEXTS[:50])], [rows(TEXTS[50:], 50)]]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bpe")
    run_job(TrainTokenizer(vocab_size=600), folder, INPUT)
    return folder / "data"


def documents(folder: Path, split: str) -> list[list[int]]:
    found = Documents.of(folder, read_header(folder), split)
    return [found[i].tolist() for i in range(len(found))]


@pytest.mark.parametrize("layout", ["megatron", "nanogpt", "datasets", "mds"])
def test_a_layout_holds_the_documents_of_our_own_shards(tmp_path: Path, tokenizer: Path, layout: Layout) -> None:
    job = Tokenize(tokenizer=str(tokenizer), validation=0.2)
    run_job(job, tmp_path / "ours", INPUT)
    work = run_job(job.model_copy(update={"layout": layout}), tmp_path / "other", INPUT)
    data = tmp_path / "other/data"
    record = read_record(data)
    header = read_header(tmp_path / "ours/data")
    for name in ("vocab_size", "eos_id", "tokenizer_blake2b"):
        assert record[name] == header[name]
    for split in ("train", "validation"):
        expected = documents(tmp_path / "ours/data", split)
        found = read_all(layout, data, split)
        assert found == ([token for ids in expected for token in ids] if layout == "nanogpt" else expected)
        assert [part.tolist() for _, part in open_layout(data, record, split).iterate()] == expected
    assert Tokenizer.from_file(str(data / "tokenizer/tokenizer.json")).get_vocab_size() == record["vocab_size"]
    assert work.results["index"][0]["rows_out"] == 100


def test_documents_have_numbers_and_a_reader_goes_on_from_one(tmp_path: Path, tokenizer: Path) -> None:
    run_job(Tokenize(tokenizer=str(tokenizer)), tmp_path, INPUT)
    found = open_split(tmp_path / "data", "train")
    assert len(found) == 100
    every = [part.tolist() for _, part in found.iterate()]
    assert [found[i].tolist() for i in (0, 49, 50, 99)] == [every[i] for i in (0, 49, 50, 99)]
    walk = found.iterate()
    for _ in range(60):
        place, _ = next(walk)
    again = open_split(str(tmp_path / "data"), "train")
    assert [part.tolist() for _, part in again.iterate(place)] == every[60:]
    for i in (-1, 100):
        with pytest.raises(IndexError, match=f"document {i} of 100"):
            found[i]
    with pytest.raises(InputError, match="there is no split 'trian'; did you mean 'train'"):
        open_split(tmp_path / "data", "trian")


@pytest.fixture
def texts(tmp_path: Path) -> str:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return str(path)


def go(out: Path, **options: Any) -> dict[str, Any]:
    run_command(Tokenize.model_validate(options), str(out), workers=1, watcher=Silent())
    return stats(out)


@pytest.mark.parametrize("layout", ["megatron", "mds", "datasets"])
def test_a_run_killed_while_it_lays_out_goes_on_and_leaves_nothing_else(
    tmp_path: Path, tokenizer: Path, texts: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.io import layouts

    options = {"tokenizer": str(tokenizer), "input": [texts], "validation": 0.2, "layout": layout}
    go(tmp_path / "whole", **options)
    module = layouts._module(layout)  # type: ignore[arg-type]
    write = module.write

    def dies(out: Any, split: str, *rest: Any) -> None:
        if split == "validation":
            raise KeyboardInterrupt
        write(out, split, *rest)

    monkeypatch.setattr(module, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "killed", **options)
    monkeypatch.setattr(module, "write", write)
    go(tmp_path / "killed", **options)
    whole, killed = (tree(tmp_path / name / "data") for name in ("whole", "killed"))
    assert whole == killed
    assert not (tmp_path / "killed/work").exists()


def changed(tokenizer: Path, folder: Path) -> Path:
    """A copy of a tokenizer that merges less, with the same vocabulary."""
    shutil.copytree(tokenizer, folder)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:-20]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    return folder


def test_shards_of_another_tokenizer_are_not_replaced(tmp_path: Path, tokenizer: Path, texts: str) -> None:
    own = shutil.copytree(tokenizer, tmp_path / "own")
    out = tmp_path / "out"
    go(out, tokenizer=str(own), input=[texts])
    before = tree(out / "data")
    other = changed(tokenizer, tmp_path / "other")
    with pytest.raises(OutputError, match=r"holds shards of another tokenizer \(digest .*\): name another folder"):
        go(out, tokenizer=str(other), input=[texts])
    shutil.copy(other / "tokenizer.json", own)
    with pytest.raises(OutputError, match="holds shards of another tokenizer"):
        go(out, tokenizer=str(own), input=[texts])
    assert tree(out / "data") == before
    # The same tokenizer and other options start over, as ever.
    go(out, tokenizer=str(tokenizer), input=[texts], layout="megatron")
    with pytest.raises(OutputError, match="holds shards of another tokenizer"):
        go(out, tokenizer=str(own), input=[texts])


def test_a_tokenizer_that_changes_under_way_is_found(tmp_path: Path, tokenizer: Path) -> None:
    own = shutil.copytree(tokenizer, tmp_path / "own")
    job = Tokenize(tokenizer=str(own))
    stages = {stage.name: stage for stage in job.stages()}
    from tests.work import MemoryWork

    check = stages["check"].work(MemoryWork(tmp_path, INPUT, single=True))  # type: ignore[union-attr]
    shutil.copy(changed(tokenizer, tmp_path / "other") / "tokenizer.json", own)
    with pytest.raises(InputError, match="changed while the run was under way"):
        stages["encode"].work(MemoryWork(tmp_path, INPUT, 0, {"check": [check]}))  # type: ignore[union-attr]


def test_the_digest_is_of_what_decides_ids_and_of_nothing_else(tokenizer: Path) -> None:
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    own = tokenizer_digest(content)
    assert Encoder.load(str(tokenizer), None, parallel=False).digest == own
    merges = [" ".join(pair) for pair in content["model"]["merges"]]
    same = {**dict(reversed(content.items())), "model": {**content["model"], "merges": merges}, "decoder": None}
    assert tokenizer_digest({**same, "padding": {"length": 3}}) == own
    for change in (
        {"normalizer": {"type": "NFC"}},
        {"added_tokens": content["added_tokens"][:-1]},
        {"model": {**content["model"], "merges": merges[::-1]}},
        {"model": {**content["model"], "vocab": {**content["model"]["vocab"], "new": 600}}},
    ):
        assert tokenizer_digest({**content, **change}) != own


def test_nanogpt_says_when_ids_are_over_uint16(tmp_path: Path, tokenizer: Path) -> None:
    content = json.loads((tokenizer / "tokenizer.json").read_text())
    content["model"]["vocab"]["far away"] = 70_000
    shutil.copytree(tokenizer, tmp_path / "big")
    (tmp_path / "big/tokenizer.json").write_text(json.dumps(content))
    job = Tokenize(tokenizer=str(tmp_path / "big"), layout="nanogpt")
    with pytest.raises(InputError, match="layout nanogpt holds ids below 65,536, and the tokenizer has 70,001"):
        run_job(job, tmp_path / "out", INPUT)
    run_job(job.model_copy(update={"layout": "megatron"}), tmp_path / "out", INPUT)
