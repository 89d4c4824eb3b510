"""Conversion of whole files: other kinds than JSON Lines, and files that are broken."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.command import curate

ASKED = [{"Question": "1+1?", "Answer": "2", "lang": "en"}, {"Question": "Wo, hier?", "Answer": 'Da "dort"\nja', "lang": "de"}]
WANTED = [{"instruction": row["Question"], "output": row["Answer"]} for row in ASKED]


def converted(tmp_path: Path, name: str, *given: str) -> tuple[list[dict], str]:
    """What the command writes, without ids, and what it says."""
    done = curate("convert", tmp_path / name, "-o", tmp_path / "out.jsonl", *given)
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [{k: v for k, v in row.items() if k != "id"} if isinstance(row, dict) else row for row in rows], done.stdout


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.parquet", "in.jsonl", "in.json"])
def test_columns_of_any_name_and_kind_of_file(tmp_path: Path, name: str) -> None:
    frame = pl.DataFrame(ASKED)
    match name:
        case "in.csv":
            frame.write_csv(tmp_path / name)
        case "in.tsv":
            frame.write_csv(tmp_path / name, separator="\t")
        case "in.parquet":
            frame.write_parquet(tmp_path / name)
        case "in.jsonl":
            frame.write_ndjson(tmp_path / name)
        case _:
            (tmp_path / name).write_text(json.dumps(ASKED))
    columns = "instruction=Question,output=Answer"
    assert converted(tmp_path, name, "--to", "instruction", "--columns", columns)[0] == WANTED


def test_parquet_with_lists_of_messages(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    pl.DataFrame(
        {"prompt": [chat[:1]], "chosen": [chat[1:]], "rejected": [[{"role": "assistant", "content": "c"}]]}
    ).write_parquet(tmp_path / "in.parquet")
    assert converted(tmp_path, "in.parquet", "--to", "preference")[0] == [{"instruction": "a", "chosen": "b", "rejected": "c"}]


BROKEN = [
    '{"instruction": "a", "output": "b"}',
    '{"instruction": "a", "output": ',
    '{"instruction": "a", "output": null}',
    '{"instruction": 5, "output": "b"}',
    '{"conversations": [[{"from": "human", "value": "a"}]]}',
    '{"conversations": [{"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]}',
    '"a string"',
    '{"odd": 1}',
    json.dumps([{"role": role, "content": f"{i}"} for i in range(500) for role in ("user", "assistant")]),
]


def test_rows_that_do_not_fit_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(BROKEN) + "\n")
    found, said = converted(tmp_path, "in.jsonl", "--to", "chat", "--max-errors", "2")
    assert [len(chat) for chat in found] == [2, 2, 1000]
    run = tmp_path / "out.jsonl.run"
    rejected = [row["line"] for path in (run / "rejected").iterdir() for row in map(json.loads, path.read_text().splitlines())]
    assert rejected == [2, 7]
    gone = pl.concat(pl.read_ndjson(path) for path in sorted((run / "dropped").iterdir()))
    dropped = dict(gone.select("id", "reason").rows())
    assert dropped == {
        "in.jsonl:3": "unknown_dialect",
        "in.jsonl:4": "unreadable",
        "in.jsonl:5": "unreadable",
        "in.jsonl:8": "unknown_dialect",
    }
    assert "2 rows fit no dialect (first: in.jsonl:3" in said


def test_a_file_that_is_cut_off_ends_with_exit_code_three(tmp_path: Path) -> None:
    whole = "".join(line + "\n" for line in (BROKEN[0], BROKEN[5]))
    (tmp_path / "in.jsonl").write_text(whole[:-20])
    done = curate("convert", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--to", "chat")
    assert done.returncode == 3
    (rejected,) = (tmp_path / "out.jsonl.run" / "rejected").iterdir()
    row = json.loads(rejected.read_text())
    assert (row["file"], row["line"]) == ("in.jsonl", 2)


def test_a_file_that_is_one_object_over_several_lines(tmp_path: Path) -> None:
    row = {"conversations": [{"from": "human", "value": "a\nb"}, {"from": "gpt", "value": "c"}]}
    (tmp_path / "in.json").write_text(json.dumps(row, indent=2))
    chat = [{"role": "user", "content": "a\nb"}, {"role": "assistant", "content": "c"}]
    assert converted(tmp_path, "in.json", "--to", "chat")[0] == [chat]
    (tmp_path / "in.json").write_text(json.dumps(row, indent=2) + "\n" + json.dumps(row, indent=2))
    done = curate("convert", tmp_path / "in.json", "-o", tmp_path / "two.jsonl", "--to", "chat")
    assert done.returncode == 3
