"""`tokenize` beyond plain texts: start tokens, long documents, order, rows, and examples with a mask."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from curate.catalog import parse_job
from curate.engine.chain import run_command
from curate.errors import InputError, TooManyErrors, UsageError
from curate.io import files, jsonl
from curate.io.token_shards import read, read_header
from curate.jobs.tokenize import Tokenize
from curate.report.watch import Silent
from tests.command import results, stats
from tests.contract.cases import trained_tokenizer
from tests.work import rows, run_job

TEXTS = [f"Document {i}: the cat sat on {'the mat and ' * (i % 9)}purred." for i in range(120)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(trained_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def with_bos(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same tokenizer, with <|im_start|> for a start token."""
    folder = tmp_path_factory.mktemp("bos")
    config = json.loads((tokenizer / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "bos_token": "<|im_start|>"}))
    (folder / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
    return folder


def documents(data: Path, split: str = "train") -> list[list[int]]:
    header = read_header(data)
    found: list[list[int]] = []
    for entry in header["splits"].get(split, []):
        tokens, positions = read(data, entry, header["dtype"], check=True)
        found += [tokens[a:b].tolist() for a, b in itertools.pairwise(positions.tolist())]
    return found


def masks(data: Path, split: str = "train") -> list[list[int]]:
    found: list[list[int]] = []
    for entry in read_header(data)["splits"][split]:
        mask = np.fromfile(data / f"{entry['file']}.mask", np.uint8)
        positions = np.fromfile(data / f"{entry['file']}.idx", "<u8").tolist()
        found += [mask[a:b].tolist() for a, b in itertools.pairwise(positions)]
        assert entry["trained"] == mask.sum()
    return found


def plain(tokenizer: Path, folder: Path) -> list[list[int]]:
    run_job(Tokenize(tokenizer=str(tokenizer)), folder, [[rows(TEXTS)]])
    return documents(folder / "data")


def test_a_start_token_opens_each_text_once(tokenizer: Path, with_bos: Path, tmp_path: Path) -> None:
    texts = [*TEXTS[:5], "<|im_start|> is written here"]
    run_job(Tokenize(tokenizer=str(with_bos), add_bos=True), tmp_path / "a", [[rows(texts)]])
    run_job(Tokenize(tokenizer=str(with_bos)), tmp_path / "b", [[rows(texts)]])
    from tokenizers import Tokenizer

    bos = Tokenizer.from_file(str(with_bos / "tokenizer.json")).token_to_id("<|im_start|>")
    opened, bare = documents(tmp_path / "a/data"), documents(tmp_path / "b/data")
    assert opened == [[bos, *ids] for ids in bare]
    assert all(ids.count(bos) == 1 for ids in opened)
    with pytest.raises(InputError, match="names no bos_token"):
        run_job(Tokenize(tokenizer=str(tokenizer), add_bos=True), tmp_path / "c", [[rows(texts)]])
    job = Tokenize(tokenizer=str(with_bos), eos_token="<|im_start|>", add_bos=True)
    with pytest.raises(InputError, match="leave out add_bos"):
        run_job(job, tmp_path / "d", [[rows(texts)]])


def test_long_documents_are_split_dropped_or_kept(tokenizer: Path, tmp_path: Path) -> None:
    whole = plain(tokenizer, tmp_path / "plain")
    over = [len(ids) > 40 for ids in whole]
    assert 0 < sum(over) < len(whole)

    def tokenized(long: Any) -> tuple[list[list[int]], Any]:
        job = Tokenize(tokenizer=str(tokenizer), max_document=40, long=long)
        work = run_job(job, tmp_path / long, [[rows(TEXTS[:50])], [rows(TEXTS[50:], 50)]])
        return documents(tmp_path / long / "data"), work.results["index"][0]

    split, result = tokenized("split")
    assert max(map(len, split)) == 40
    assert list(itertools.chain(*split)) == list(itertools.chain(*whole))
    assert len(split) == sum(-(-len(ids) // 40) for ids in whole)
    assert (result["rows_out"], result["long"]) == (len(whole), sum(over))
    dropped, result = tokenized("drop")
    assert dropped == [ids for ids in whole if len(ids) <= 40]
    assert (result["rows_in"], result["rows_out"], result["empty"]) == (len(whole), len(dropped), 0)
    kept, result = tokenized("keep")
    assert kept == whole
    assert result["long"] == sum(over)


def test_dropped_texts_are_counted_and_written(tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        "".join(json.dumps({"id": f"r{i}", "text": text}) + "\n" for i, text in enumerate(TEXTS))
    )
    options = {"input": [str(tmp_path / "in.jsonl")], "tokenizer": str(tokenizer), "max_document": 40, "long": "drop"}
    for count in (False, True):
        out = tmp_path / f"out-{count}"
        run_command(parse_job({"job": "tokenize", **options, "count": count}), str(out), workers=1, watcher=Silent())
        found = stats(out)
        gone = found["dropped"]["tokenize.too_long"]
        assert (found["rows_in"], found["kept"]) == (120, 120 - gone)
        assert found["results"]["sum" if count else "index"]["rows_out"] == 120 - gone
        written = pl.read_ndjson(next((out / "dropped").glob("*.zst")))
        assert written.height == gone
        assert written.select("step", "reason").unique().rows() == [("tokenize", "too_long")]
        assert written["text"][0] in TEXTS


def lines(folder: Path) -> str:
    folder.mkdir()
    for name, part in (("a", range(70)), ("b", range(70, 120))):
        content = "".join(json.dumps({"text": TEXTS[i], **({"id": f"own-{i}"} if i % 2 else {})}) + "\n" for i in part)
        (folder / f"{name}.jsonl").write_text(content)
    return str(folder)


@pytest.mark.parametrize(
    "layout",
    [
        {"shuffle": True, "seed": 3},
        {"pack": "concatenate", "sequence": 30},
        {"shuffle": True, "pack": "best_fit", "sequence": 30, "max_document": 50},
    ],
)
def test_workers_and_the_cut_do_not_show(
    layout: dict[str, Any], tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"job": "tokenize", "input": [lines(tmp_path / "in")], "tokenizer": str(tokenizer), "validation": 0.2, **layout}
    made = []
    for name, workers, size in (("whole", 1, 1 << 20), ("pieces", 1, 1500), ("two", 2, 1500)):
        monkeypatch.setattr(files, "SHARD_BYTES", size)
        monkeypatch.setattr(jsonl, "BLOCK_BYTES", size // 2)
        run_command(parse_job(options), str(tmp_path / name), workers=workers, watcher=Silent())
        made.append({key.partition("/")[2]: value for key, value in results(tmp_path / name).items()})
    assert stats(tmp_path / "two")["shards"] > stats(tmp_path / "whole")["shards"]
    assert made[0] == made[1] == made[2]
    assert not (tmp_path / "two" / "work").exists()


def test_a_stopped_run_goes_on_to_the_same_bytes(tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.tokenizing import arrange

    options = {"job": "tokenize", "input": [lines(tmp_path / "in")], "tokenizer": str(tokenizer), "validation": 0.2}
    job = parse_job({**options, "shuffle": True, "pack": "best_fit", "sequence": 30})
    run_command(job, str(tmp_path / "whole"), workers=1, watcher=Silent())
    original = arrange.arrange
    done = []

    def stop(*given: Any) -> Any:
        done.append(given[2])
        if len(done) == 2:
            raise KeyboardInterrupt
        return original(*given)

    monkeypatch.setattr(arrange, "arrange", stop)
    with pytest.raises(KeyboardInterrupt):
        run_command(job, str(tmp_path / "out"), workers=1, watcher=Silent())
    assert done == ["train", "validation"]
    run_command(job, str(tmp_path / "out"), workers=1, watcher=Silent())

    assert list(results(tmp_path / "out").values()) == list(results(tmp_path / "whole").values())


def test_a_seed_draws_an_order_that_moves_whole_documents(tokenizer: Path, tmp_path: Path) -> None:
    whole = plain(tokenizer, tmp_path / "plain")
    orders = []
    for seed in (1, 2):
        run_job(Tokenize(tokenizer=str(tokenizer), shuffle=True, seed=seed), tmp_path / str(seed), [[rows(TEXTS)]])
        orders.append(documents(tmp_path / str(seed) / "data"))
        assert orders[-1] != whole
        assert sorted(orders[-1]) == sorted(whole)
    assert orders[0] != orders[1]


CHATS = [
    [{"role": "user", "content": f"what does cat {i} say"}, {"role": "assistant", "content": "meow " * (i % 7 + 1)}]
    for i in range(30)
]


def as_rows(column: str, values: list[Any], **more: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"r{i}" for i in range(len(values))], column: values, **more})


def tokenized(tokenizer: Path, folder: Path, reading: Any, lines: list[Any], **options: Any) -> dict[str, Any]:
    folder.mkdir()
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    given = {"input": [str(folder / "in.jsonl")], "format": reading, "tokenizer": str(tokenizer), "render": "examples"}
    job = parse_job({"job": "tokenize", **given, **options})
    run_command(job, str(folder / "out"), workers=1, watcher=Silent())
    return stats(folder / "out")


def test_chats_are_what_training_renders(tokenizer: Path, tmp_path: Path) -> None:
    from train.model import load_tokenizer
    from train.render import IGNORE, Renderer
    from train.rows import Row

    found = tokenized(tokenizer, tmp_path / "chat", "chat", CHATS)
    data = tmp_path / "chat/out/data"
    assert read_header(data)["content"] == "examples"
    renderer = Renderer(load_tokenizer(data / "tokenizer"), "chat", max_length=10**6, too_long="error")
    wanted = [renderer.render(Row("r", {"messages": chat})) for chat in CHATS]
    assert documents(data) == [one.ids for one in wanted]
    assert masks(data) == [[int(label != IGNORE) for label in one.labels] for one in wanted]
    assert found["results"]["index"]["trained"] == sum(map(sum, masks(data))) > 0
    lines = [{"instruction": chat[0]["content"], "output": chat[1]["content"]} for chat in CHATS]
    tokenized(tokenizer, tmp_path / "instruction", "instruction", lines)
    assert documents(tmp_path / "instruction/out/data") == documents(data)
    assert masks(tmp_path / "instruction/out/data") == masks(data)


def test_examples_that_cannot_be_trained_on_are_dropped_or_rejected(tokenizer: Path, tmp_path: Path) -> None:
    odd = [
        [{"role": "user", "content": "say <|im_end|>"}, {"role": "assistant", "content": "no"}],
        [{"role": "user", "content": "hello"}],
        [{"role": "user", "content": "long"}, {"role": "assistant", "content": "word " * 100}],
    ]
    found = tokenized(tokenizer, tmp_path / "a", "chat", [*CHATS, *odd], max_document=80, long="drop")
    assert found["dropped"] == {"tokenize.nothing_trained": 1, "tokenize.special_token": 1, "tokenize.too_long": 1}
    assert (found["rows_in"], found["kept"], found["rejected"]) == (33, 30, 0)
    assert len(documents(tmp_path / "a/out/data")) == 30
    strict = tmp_path / "strict"
    strict.mkdir()
    config = json.loads((tokenizer / "tokenizer_config.json").read_text())
    refuses = "{% if messages[0].role == 'assistant' %}{{ raise_exception('an answer comes first') }}{% endif %}"
    config["chat_template"] = refuses + config["chat_template"]
    (strict / "tokenizer_config.json").write_text(json.dumps(config))
    (strict / "tokenizer.json").write_bytes((tokenizer / "tokenizer.json").read_bytes())
    backwards = [CHATS[0][1], CHATS[0][0]]
    with pytest.raises(TooManyErrors, match="an answer comes first"):
        tokenized(strict, tmp_path / "b", "chat", [*CHATS, backwards])
    found = stats(tmp_path / "b/out")
    assert (found["rows_in"], found["kept"], found["rejected"]) == (31, 30, 1)


def test_preference_rows_are_prompt_and_two_answers(tokenizer: Path, tmp_path: Path) -> None:
    from train.data import open_shards
    from train.model import load_tokenizer
    from train.render import Renderer
    from train.rows import Row

    lines = [{"instruction": f"say {i}", "chosen": f"{i}!" * (i % 5 + 1), "rejected": "no"} for i in range(20)]
    same = [{"instruction": "say it", "chosen": "it", "rejected": "it"}]
    found = tokenized(tokenizer, tmp_path / "a", "preference", [*lines, *same], shuffle=True)
    assert found["dropped"] == {"tokenize.same_answers": 1}
    data = tmp_path / "a/out/data"
    ids, bits = documents(data), masks(data)
    assert len(ids) == 60
    renderer = Renderer(load_tokenizer(data / "tokenizer"), "instruction", max_length=10**6, too_long="error")
    read_back = set()
    split = open_shards(data).split("train", 1)
    for row in range(20):
        prompt, chosen, rejected = ids[3 * row : 3 * row + 3]
        said = renderer.tokenizer.decode(chosen).replace("<|im_end|>", "").strip()
        asked = next(line["instruction"] for line in lines if renderer.prompt(line["instruction"]) == prompt)
        read_back.add((asked, said))
        for answer, text, at in ((chosen, said, 1), (rejected, "no", 2)):
            whole = renderer.render(Row("r", {"instruction": asked, "output": text}))
            assert prompt + answer == whole.ids
            assert bits[3 * row] + bits[3 * row + at] == [int(label >= 0) for label in whole.labels]
            assert split.document(3 * row + at)[0].tolist() == answer
            assert split.document(3 * row + at)[1].tolist() == [bit == 1 for bit in bits[3 * row + at]]
    assert read_back == {(line["instruction"], line["chosen"]) for line in lines}
    with pytest.raises(UsageError, match="are not packed"):
        tokenized(tokenizer, tmp_path / "b", "preference", lines, pack="best_fit", sequence=20)


def test_options_that_do_not_go_together_are_refused(tokenizer: Path, tmp_path: Path) -> None:
    for options, message in [
        ({"pack": "best_fit"}, "pack needs sequence"),
        ({"sequence": 10}, "pack needs sequence"),
        ({"render": "examples", "add_bos": True}, "add_bos is for render text"),
        ({"render": "examples", "max_document": 10}, "an example cannot be split"),
        ({"count": True, "shuffle": True}, "count writes no shards"),
    ]:
        with pytest.raises(ValidationError, match=message):
            Tokenize.model_validate({"tokenizer": "t", **options})
    with pytest.raises(InputError, match="rows of text are no examples"):
        tokenized(tokenizer, tmp_path / "a", "text", [{"text": "x"}])
    with pytest.raises(InputError, match="no row is left; see dropped/"):
        tokenized(tokenizer, tmp_path / "b", "chat", [[{"role": "user", "content": "hello"}]])
