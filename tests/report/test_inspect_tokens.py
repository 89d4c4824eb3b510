"""`curate inspect` on token shards: lengths, frequent tokens, one document, and whether all is as it was written."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from curate.errors import InputError, UsageError
from curate.jobs.tokenize import Tokenize
from curate.jobs.tokenizer import TrainTokenizer
from curate.report.inspect import inspect_path
from tests.command import curate
from tests.work import rows, run_job

TEXTS = [f"line one of {i}\nline two \x1b[31m" + " word" * (3 * i) for i in range(60)]
LAYOUTS = ["curate", "megatron", "nanogpt", "datasets", "mds"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same documents in every layout."""
    folder = tmp_path_factory.mktemp("shards")
    run_job(TrainTokenizer(vocab_size=512), folder / "tok", [[rows(TEXTS)]])
    for layout in LAYOUTS:
        job = Tokenize.model_validate({"tokenizer": str(folder / "tok/data"), "layout": layout, "validation": 0.1})
        run_job(job, folder / layout, [[rows(TEXTS[:30])], [rows(TEXTS[30:], 30)]])
    return {layout: folder / layout for layout in LAYOUTS}


def vocab_size(shards: dict[str, Path]) -> int:
    header = json.loads((shards["curate"] / "data" / "tokens.json").read_text())
    assert header["vocab_size"] > 300
    return int(header["vocab_size"])


def shown(path: Path, capsys: pytest.CaptureFixture[str], **options: object) -> str:
    capsys.readouterr()
    assert inspect_path(str(path), 1, **options) == 0  # type: ignore[arg-type]
    return re.sub(r"[ \t]+", " ", capsys.readouterr().out)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_shown_alike(shards: dict[str, Path], layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = shown(shards[layout], capsys, verify=True)
    ours = shown(shards["curate"], capsys, verify=True)
    # All but the first line and the numbers of files.
    rest, ours_rest = (re.sub(r"(?m)^( ?(?:train|validation)) \d+ ", r"\1 ", text.split("\n", 1)[1]) for text in (found, ours))
    assert rest == ours_rest
    assert "train: tokens a document least 5 % 25 % median 75 % 95 % greatest" in found
    assert re.search(r"train: most frequent tokens: .* \d+\.\d %", found)
    assert found.rstrip().endswith("verified: checksums, counts, ids, tokenizer")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_document_whole(shards: dict[str, Path], layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    import polars as pl

    from curate.analysis import split_of

    drawn = split_of(pl.Series([f"d{i}" for i in range(60)]), 0.1, 0).to_list()
    mine = [text for text, split in zip(TEXTS, drawn, strict=True) if split == "train"]
    found = shown(shards[layout], capsys, document=len(mine))
    last = mine[-1].replace("\x1b", "\ufffd")
    assert last in found
    assert "<|endoftext|>" in found
    assert f"train {len(mine)}: " in found
    held_out = shown(shards[layout], capsys, document=1, split="validation")
    assert held_out.startswith("validation 1: ")
    with pytest.raises(UsageError, match=rf"--document {len(mine) + 1}: the split train has documents 1 to {len(mine)}"):
        inspect_path(str(shards[layout]), 1, document=len(mine) + 1)
    with pytest.raises(UsageError, match="--split trian: there is no such split; did you mean 'train'"):
        inspect_path(str(shards[layout]), 1, document=1, split="trian")


def test_the_header_itself_names_the_shards(shards: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    ids = vocab_size(shards)
    assert f"Token shards: uint16, {ids} ids" in shown(shards["curate"] / "data" / "tokens.json", capsys)
    assert f"Token shards: mds, {ids} ids" in shown(shards["mds"] / "data" / "shards.json", capsys)


@pytest.mark.parametrize("layout", ["curate", "nanogpt"])
def test_what_is_wrong_is_one_line(
    shards: dict[str, Path], tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(shards[layout] / "data", folder)
    path = next(folder.glob("train*.bin"))
    good = path.read_bytes()
    path.write_bytes(good[:-4] + b"\xff\xff" + good[-2:])
    shown(folder, capsys, document=1)
    with pytest.raises(InputError, match=r"train.*\.bin: its BLAKE2b is "):
        inspect_path(str(folder), 1, verify=True)
    path.write_bytes(good)
    tokenizer = folder / "tokenizer" / "tokenizer.json"
    content = json.loads(tokenizer.read_text())
    content["model"]["merges"].pop()
    tokenizer.write_text(json.dumps(content))
    assert "is not the tokenizer that wrote the shards; documents are shown as their ids" in shown(folder, capsys)
    with pytest.raises(InputError, match="is not the tokenizer that wrote the shards"):
        inspect_path(str(folder), 1, verify=True)
    content["model"]["vocab"] = {k: v for k, v in content["model"]["vocab"].items() if v < 300}
    content["model"]["merges"] = []
    tokenizer.write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"has 300 ids, and the shards need {vocab_size(shards)}"):
        inspect_path(str(folder), 1, verify=True)
    (folder / "tokenizer" / "tokenizer.json").unlink()
    assert "no tokenizer.json in it" in shown(folder, capsys, verify=True)


def test_the_command(shards: dict[str, Path], tmp_path: Path) -> None:
    done = curate("inspect", shards["megatron"], "--document", "2", "--split", "train")
    assert (done.returncode, done.stdout.splitlines()[0].split(":")[0]) == (0, "train 2")
    assert curate("inspect", shards["megatron"], "--split", "train").returncode == 2
    (tmp_path / "in.jsonl").write_text('{"text": "x"}\n')
    done = curate("inspect", tmp_path / "in.jsonl", "--verify")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--verify: " in done.stderr
