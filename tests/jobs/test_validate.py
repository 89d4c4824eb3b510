import json
import random

import polars as pl
import pytest
from pydantic import ValidationError

from curate.api import run
from curate.declare import Rows
from curate.formats.checks import PROBLEMS
from curate.io import files, jsonl
from curate.io.encoder import Encoder
from curate.jobs.validate import Validate
from curate.steps.valid import Valid
from tests.contract.cases import trained_tokenizer


def write(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def findings(out, *inputs, workers=1, **options):
    job = Validate(input=inputs, write=False, max_errors=10**9, **options)
    found = run(job, output=out, workers=workers).jobs[0]["results"]["findings"]
    told = {one["code"]: (one["count"], [place.rpartition("/")[2] for place in one["places"]]) for one in found["findings"]}
    for one in found["findings"]:
        assert one["severity"] == PROBLEMS[one["code"]].severity
        assert one["example"]
        assert one["fix"]
    assert found["errors"] == sum(one["severity"] == "error" for one in found["findings"])
    return told, found


def test_in_a_recipe_rows_pass_and_the_others_are_dropped():
    job = Validate(format="chat")
    assert job.reading() == "record"
    rows, *_ = job.stages()
    assert isinstance(rows, Rows)
    assert rows.steps == (Valid(format="chat"),)
    assert not any(isinstance(stage, Rows) for stage in Validate(write=False).stages())
    assert Validate(text_column="body").stages()[0].steps == (Valid(format="auto", text_column="body"),)


def test_rows_that_pass_are_written_as_they_are(tmp_path):
    good = '{"instruction": "a",  "output": "b", "n": 1.0}'
    source = write(tmp_path / "in.jsonl", [good, {"instruction": "a", "output": ""}, good])
    stats = run(Validate(input=(source,)), output=tmp_path / "out.jsonl").jobs[0]
    assert (tmp_path / "out.jsonl").read_text() == f"{good}\n{good}\n"
    assert stats["dropped"] == {"valid.empty_output": 1}
    codes = [one["code"] for one in stats["results"]["findings"]["findings"]]
    assert codes == ["empty_output", "duplicate"]


ROWS = [
    {"id": 1, "instruction": "Which plant is tea made from?", "output": "Camellia"},
    {"id": "2", "instruction": "Which plant is tea made from?", "output": "mint"},
    {"id": 3, "instruction": "Which plant is tea made from?", "output": " Camellia"},
    {"id": 4, "instruction": "b", "output": " "},
    "",
    '{"instruction": "c", "output": "d",}',
    {"text": "free"},
    [{"role": "user", "content": "e"}, {"role": "assistant", "content": "<think>f</think> g"}],
    '{"instruction": "h", "output": "i", "output": "j"}',
    "{'instruction': 'k', 'output': 'l'}",
    '{"instruction": "m", "out',
]


def test_what_is_found_stands_with_its_lines(tmp_path):
    told, found = findings(tmp_path / "out", write(tmp_path / "in.jsonl", ROWS))
    assert told == {
        "trailing_comma": (1, ["in.jsonl:6"]),
        "python_literal": (1, ["in.jsonl:10"]),
        "truncated_line": (1, ["in.jsonl:11"]),
        "duplicate_key": (1, ["in.jsonl:9"]),
        "empty_output": (1, ["in.jsonl:4"]),
        "mixed_formats": (2, ["in.jsonl:7", "in.jsonl:8"]),
        "mixed_types": (1, ["in.jsonl:2"]),
        "bare_array_chat": (1, ["in.jsonl:8"]),
        "outer_space": (2, ["in.jsonl:3", "in.jsonl:4"]),
        "think_tags_differ": (1, ["in.jsonl:8"]),
        "duplicate": (1, ["in.jsonl:3"]),
        "contradiction": (1, ["in.jsonl:2"]),
    }
    assert (found["checked"], found["with_errors"], found["formats"]) == (7, 2, {"instruction": 5, "text": 1, "chat": 1})
    assert next(one["example"] for one in found["findings"] if one["code"] == "duplicate").startswith(
        f"as {tmp_path}/in.jsonl:1: "
    )
    assert next(one["example"] for one in found["findings"] if one["code"] == "mixed_types") == "id: 3 number, 1 string"


def test_workers_and_pieces_do_not_matter(tmp_path, monkeypatch):
    random.seed(5)
    rows = random.choices([row for row in ROWS if row], k=400)
    one, two = (write(tmp_path / name, part) for name, part in (("a.jsonl", rows[:300]), ("valid.jsonl", rows[300:])))
    whole = findings(tmp_path / "whole", one, two)
    monkeypatch.setattr(files, "SHARD_BYTES", 2500)
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 700)
    assert findings(tmp_path / "pieces", one, two) == whole
    assert findings(tmp_path / "workers", one, two, workers=2) == whole
    lines = (tmp_path / "a.jsonl").read_text().split("\n")
    for code, line in (
        ("empty_output", '"b", "output": " "'),
        ("duplicate_key", '"output": "i", "output"'),
        ("trailing_comma", ",}"),
    ):
        places = [int(place.removeprefix("a.jsonl:")) for place in whole[0][code][1]]
        assert places == [number for number, text in enumerate(lines, 1) if line in text][:5]


def test_leakage_between_files(tmp_path):
    ask = {"instruction": "a", "output": "b"}
    other = {"instruction": "a", "output": "c"}
    train, more, valid = (write(tmp_path / f"{name}.jsonl", [ask]) for name in ("train", "more", "valid"))
    write(tmp_path / "valid.jsonl", [{"instruction": "z", "output": "b"}, other])
    told, found = findings(tmp_path / "one", train, valid)
    assert told == {"leakage": (1, ["valid.jsonl:2"]), "contradiction": (1, ["valid.jsonl:2"])}
    assert "train.jsonl:1" in found["findings"][0]["example"]
    assert findings(tmp_path / "two", train, more)[0] == {"in_several_files": (1, ["more.jsonl:1"])}
    assert findings(tmp_path / "three", valid)[0] == {}


def test_the_same_instruction_with_another_input_asks_something_else(tmp_path):
    rows = [
        {"instruction": "Add one.", "input": x, "output": y}
        for x, y in (("1", "2"), ("2", "3"), ("1", "2"), ("2", "4"), ("", "?"))
    ]
    rows.append({"instruction": "Add one.", "output": "?"})
    told, _ = findings(tmp_path / "out", write(tmp_path / "in.jsonl", rows))
    del told["input_not_read"]
    assert told == {"duplicate": (2, ["in.jsonl:3", "in.jsonl:6"]), "contradiction": (1, ["in.jsonl:4"])}


def test_preferences_that_go_in_a_circle(tmp_path):
    rows = [{"instruction": "a", "chosen": x, "rejected": y} for x, y in (("b", "c"), ("d", "e"), ("c", "b"))]
    assert findings(tmp_path / "out", write(tmp_path / "in.jsonl", rows))[0] == {
        "preference_cycle": (2, ["in.jsonl:1", "in.jsonl:3"])
    }


def test_rows_that_are_too_long(tmp_path):
    tokenizer = trained_tokenizer(tmp_path)
    rows = [
        {"instruction": "a b", "output": "c"},
        {"instruction": "a", "output": "b " * 60 + "c"},
        {"instruction": "a " * 90 + "b", "chosen": "b", "rejected": "c " * 20 + "d"},
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        {"text": "a"},
    ]
    source = write(tmp_path / "in.jsonl", rows)
    encoder = Encoder.load(tokenizer, None, parallel=False)
    texts = [["a b", "c"], ["a", rows[1]["output"]], [rows[2]["instruction"], rows[2]["rejected"]], ["user\na", "b"], ["", "a"]]
    prompts, answers = ((encoder.encode(pl.Series(side))[1] - 1).tolist() for side in zip(*texts, strict=True))
    sizes = [prompt + answer for prompt, answer in zip(prompts, answers, strict=True)]
    told, found = findings(tmp_path / "out", source, tokenizer=tokenizer, max_length=40)
    assert told["too_long"] == (2, ["in.jsonl:2", "in.jsonl:3"])
    assert told["answer_cut"] == (1, ["in.jsonl:3"])
    assert (found["answers"], found["answers_cut"], found["longest"]) == (4, 1, max(sizes))
    assert found["tokens"] == sum(sizes)
    assert found["cut"] == sum(size - 40 for size in sizes if size > 40) > 0
    with pytest.raises(ValidationError, match="go together"):
        Validate(input=(source,), tokenizer=tokenizer)
