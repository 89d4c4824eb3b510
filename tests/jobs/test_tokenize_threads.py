"""`curate tokenize` on the fast path: threads of one process, one tokenizer, the same shards."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from benchmarks.fuzz_bpe import texts_of
from curate.engine import local
from curate.engine.chain import run_command
from curate.io import encoder, files, jsonl
from curate.jobs.tokenize import Tokenize
from curate.report.watch import Silent
from tests.io.test_bpe import EOS, trained


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    rng = random.Random(6)
    texts = [text for _ in range(300) for text in texts_of(rng)]
    lines = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    trained("llama3").save(str(folder / "tokenizer.json"))
    return folder


def written(corpus: Path, out: Path, workers: int, **options: object) -> dict[str, bytes]:
    given = {"input": [str(corpus / "rows.jsonl")], "tokenizer": str(corpus / "tokenizer.json"), "eos_token": EOS}
    run_command(Tokenize.model_validate({**given, **options}), str(out), workers=workers, watcher=Silent())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in (out / "data").rglob("*") if path.is_file()}


def test_any_number_of_threads_and_any_batch_write_the_same_bytes(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "SHARD_BYTES", 30_000)
    monkeypatch.setattr(local, "_run_processes", None)  # threads alone
    first = written(corpus, tmp_path / "one", 1, validation=0.3)
    assert sum(name.endswith(".bin") for name in first) > 8
    for workers, block in ((2, 8 << 20), (4, 3000)):
        monkeypatch.setattr(jsonl, "BLOCK_BYTES", block)
        assert written(corpus, tmp_path / str(workers), workers, validation=0.3) == first


def test_the_tokenizer_is_loaded_once_and_again_when_it_changes(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    load = encoder.load_tokenizer
    monkeypatch.setattr(encoder, "load_tokenizer", lambda path: loads.append(path) or load(path))
    monkeypatch.setattr(files, "SHARD_BYTES", 30_000)
    encoder._loaded.cache_clear()
    first = written(corpus, tmp_path / "first", 2)
    assert len(loads) == 1
    content = json.loads((corpus / "tokenizer.json").read_bytes())
    content["model"]["merges"] = content["model"]["merges"][:-50]
    (corpus / "tokenizer.json").write_text(json.dumps(content))
    assert written(corpus, tmp_path / "second", 2) != first
    assert len(loads) == 2


def test_what_goes_through_the_library_gets_processes(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    run = local.run_tasks

    def run_tasks(*arguments: object, threads: bool = False) -> None:
        asked.append(threads)
        run(*arguments, threads=False)  # type: ignore[arg-type]

    monkeypatch.setattr("curate.engine.run.run_tasks", run_tasks)
    written(corpus, tmp_path / "fast", 1)
    content = json.loads((corpus / "tokenizer.json").read_bytes())
    (corpus / "tokenizer.json").write_text(json.dumps({**content, "normalizer": {"type": "NFC"}}))
    written(corpus, tmp_path / "library", 1)
    assert asked == [False, True, False, False, False, False]
