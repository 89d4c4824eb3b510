"""What runs write and where: every kind of file, and every way in which writing can fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pytest

from curate import cli
from curate.engine import run as engine_run
from curate.errors import StepError
from curate.io import files
from curate.jobs.clean import Clean
from curate.steps.clean import Replace
from tests.command import results, start, stats, tree, write_lines

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in this process: its exit code, and what it said on standard error."""

    def go(*arguments: str | Path) -> tuple[int, str]:
        code = cli.run([*map(str, arguments), "--workers", "1", "--quiet"])
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return code, said

    return go


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


MEMBERS = b'"n": 1e5, "f": 2.50, "z": null, "u": "\\u00e9\\/", "big": 123456789012345678901234567890, "o": {"b": 1, "a": [ ]}'


def test_jsonl_to_jsonl_leaves_the_other_members_to_the_byte(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(
        b'{"id": "x", "text": "a  ", ' + MEMBERS + b"}\n{" + MEMBERS + b', "text": "b", "id": 7}\n'
    )
    assert run("clean", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--steps", "whitespace") == (0, "")
    rest = MEMBERS.replace(b'": ', b'":').replace(b', "', b',"').replace(b'{"b":1,"a":[ ]}', b'{"b": 1, "a": [ ]}')
    first, second = (tmp_path / "out.jsonl").read_bytes().splitlines()
    assert first == b'{"id":"x","text":"a",' + rest + b"}"
    assert second == b'{"id":"7","text":"b",' + rest + b"}"


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_every_kind_of_file_is_read_back(run: Run, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SHARD_BYTES", 300)
    given = [{"id": str(i), "text": f"text {i}", "n": i, "f": i / 4, "ok": i % 2 == 0, "s": f'é\n"{i}'} for i in range(20)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    middle = tmp_path / f"middle.{ending}"
    assert run("clean", tmp_path / "in.jsonl", "-o", middle) == (0, "")
    assert stats(tmp_path / f"middle.{ending}.run")["shards"] > 3
    assert run("clean", middle, "-o", tmp_path / "out.jsonl") == (0, "")
    assert lines_of(tmp_path / "out.jsonl") == given
    assert not (tmp_path / "out.jsonl.run" / "data").exists()


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "jsonl.zst", "parquet"])
def test_no_rows_are_an_empty_file_of_the_kind(run: Run, tmp_path: Path, ending: str) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "short"}\n')
    out = tmp_path / "deep" / f"out.{ending}"
    limit = ("--steps", "length", "--set", "steps.0.min_words=9")
    assert run("clean", tmp_path / "in.jsonl", "-o", out, *limit) == (0, "")
    assert stats(Path(f"{out}.run"))["dropped"] == {"length.too_few_words": 1}
    if ending == "parquet":
        assert pl.read_parquet(out).height == 0
    else:
        with files.open_bytes(str(out)) as handle:
            assert handle.read() == b""


def test_a_datasets_folder_loads_and_is_the_same_after_a_kill(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "in.jsonl", 60)
    command = ("clean", source, "--save-as", "datasets", "--max-errors", "9", "-o")
    assert run(*command, tmp_path / "whole") == (0, "")
    table = datasets.load_from_disk(str(tmp_path / "whole" / "data"))
    assert table.num_rows == 58
    assert table[1]["text"] == "Row 1 " + "some words of it " * (7919 % 11)
    assert table[1]["n"] == 1
    # Die between the two renames that put the saved folder in its place, as a kill would.
    real = Path.rename
    for step in ("parts", "data"):

        def die(self: Path, target: Path, step: str = step) -> Path:
            if target.name == step and self.name in ("data", "saved"):
                if step == "data":
                    raise KeyboardInterrupt
                real(self, target)
                raise KeyboardInterrupt
            return real(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", die)
            assert run(*command, tmp_path / step)[0] == 130
        assert run(*command, tmp_path / step)[0] == 0
        assert results(tmp_path / step) == results(tmp_path / "whole")


def test_parquet_needs_one_set_of_columns_and_says_so(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    pl.DataFrame({"text": ["a"], "x": [1]}).write_parquet(source / "a.parquet")
    pl.DataFrame({"text": ["b"]}).write_parquet(source / "b.parquet")
    assert run("clean", source, "-o", tmp_path / "fine.parquet") == (0, "")
    assert pl.read_parquet(tmp_path / "fine.parquet")["x"].to_list() == [1, None]
    pl.DataFrame({"text": ["c"], "y": ["more"]}).write_parquet(source / "c.parquet")
    code, said = run("clean", source, "-o", tmp_path / "out.parquet")
    assert code == 1
    assert "later rows have a column 'y' that the first ones lack" in said
    assert not (tmp_path / "out.parquet").exists()
    assert run("clean", source, "-o", tmp_path / "out.jsonl") == (0, "")
    assert [row.get("y") for row in lines_of(tmp_path / "out.jsonl")] == [None, None, "more"]


def test_rows_of_parquet_and_jsonl_in_one_folder_keep_their_columns(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_text('{"id": "a", "text": "<p>", "url": "u", "k": 1}\n')
    pl.DataFrame({"id": ["b"], "text": ["t"], "url": ["v"]}).write_parquet(source / "b.parquet")
    (source / "c.jsonl").write_text('{"id": "c", "text": "t", "url": "w"}\n')
    assert run("clean", source, "-o", tmp_path / "out.jsonl", "--steps", "split") == (0, "")
    assert [(row["id"], row["url"]) for row in lines_of(tmp_path / "out.jsonl")] == [("a", "u"), ("b", "v"), ("c", "w")]


def test_bytes_columns_cannot_be_json(run: Run, tmp_path: Path) -> None:
    pl.DataFrame({"text": ["a"], "pic": [b"\xff"]}).write_parquet(tmp_path / "in.parquet")
    code, said = run("clean", tmp_path / "in.parquet", "-o", tmp_path / "out.jsonl", "--format", "text")
    assert code == 1
    assert "column 'pic' holds bytes" in said


def test_chats_bare_wrapped_and_mixed(run: Run, tmp_path: Path) -> None:
    bare = '[{"role": "user", "content": "hi "}]'
    (tmp_path / "bare.jsonl").write_text(f"{bare}\n{bare}\n")
    assert run("clean", tmp_path / "bare.jsonl", "-o", tmp_path / "a.jsonl", "--steps", "whitespace") == (0, "")
    assert lines_of(tmp_path / "a.jsonl") == [[{"role": "user", "content": "hi"}]] * 2
    assert run("clean", tmp_path / "bare.jsonl", "-o", tmp_path / "b.jsonl", "--wrap") == (0, "")
    assert [row["messages"] for row in lines_of(tmp_path / "b.jsonl")] == [[{"role": "user", "content": "hi "}]] * 2
    (tmp_path / "mixed.jsonl").write_text(f'{bare}\n{{"id": "x\\"y", "messages": {bare}, "source": "s", "n": 1e5}}\n')
    assert run("clean", tmp_path / "mixed.jsonl", "-o", tmp_path / "c.jsonl") == (0, "")
    first, second = lines_of(tmp_path / "c.jsonl")
    assert first == [{"role": "user", "content": "hi "}]
    assert second == {"id": 'x"y', "messages": first, "source": "s", "n": 1e5}
    assert run("clean", tmp_path / "mixed.jsonl", "-o", tmp_path / "d.parquet") == (0, "")
    assert pl.read_parquet(tmp_path / "d.parquet")["id"].to_list() == ["mixed.jsonl:1", 'x"y']


def test_kept_scores_replace_those_of_an_earlier_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "one two"}\n')
    scores = ("--steps", "length", "--keep-scores", "--set", "steps.0.min_words=1")
    assert run("clean", tmp_path / "in.jsonl", "-o", tmp_path / "a.jsonl", *scores) == (0, "")
    assert run("clean", tmp_path / "a.jsonl", "-o", tmp_path / "b.jsonl", *scores) == (0, "")
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    code, said = run("clean", tmp_path / "in.jsonl", "-o", tmp_path / "c.jsonl", *scores, "--steps", "length")
    assert code == 2
    assert "two steps give the score 'length." in said


def test_a_step_that_raises_costs_only_the_row(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(self: Replace) -> Callable[[pl.Series], pl.Series]:
        def work(texts: pl.Series) -> pl.Series:
            if texts.str.contains("boom").any():
                raise ValueError("it went off")
            return texts.str.to_uppercase()

        return work

    monkeypatch.setattr(Replace, "bind", bind)
    (tmp_path / "in.jsonl").write_text("".join(f'{{"text": "{t}"}}\n' for t in ("a", "boom", "b", "boom too")))
    command = ("clean", tmp_path / "in.jsonl", "-o", tmp_path / "out", "--set", "steps=[{step: replace, pattern: x}]")
    code, said = run(*command)
    assert code == 3
    assert "a step failed on 2 rows" in said
    rejected = [row for path in (tmp_path / "out" / "rejected").glob("*.jsonl") for row in lines_of(path)]
    assert [(row["id"], row["step"], row["error"], row["text"]) for row in rejected] == [
        ("in.jsonl:2", "replace", "ValueError: it went off", "boom"),
        ("in.jsonl:4", "replace", "ValueError: it went off", "boom too"),
    ]
    assert run(*command, "--max-errors", "2")[0] == 0
    assert stats(tmp_path / "out")["kept"] == 2
    assert run("clean", tmp_path / "out", "-o", tmp_path / "read.jsonl") == (0, "")
    assert [row["text"] for row in lines_of(tmp_path / "read.jsonl")] == ["A", "B"]


def test_what_a_rewrite_counted_is_in_the_stats(run: Run, tmp_path: Path) -> None:
    rows = [{"text": f"write to person{i}@mail.org or call +49 30 1234{i:04}"} for i in range(3)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"text": "nothing to see"}]))
    assert run("clean", tmp_path / "in.jsonl", "-o", tmp_path / "out", "--save-as", "jsonl", "--steps", "redact") == (0, "")
    assert stats(tmp_path / "out")["step_counts"] == {"redact": {"email": 3, "phone": 3}}
    (part,) = (tmp_path / "out" / "data").iterdir()
    assert [row["text"] for row in lines_of(part)] == ["write to <EMAIL> or call <PHONE>"] * 3 + ["nothing to see"]
    assert run("clean", tmp_path / "in.jsonl", "-o", tmp_path / "plain", "--steps", "whitespace") == (0, "")
    assert "step_counts" not in stats(tmp_path / "plain")


def test_folders_of_others_are_refused_and_left_alone(run: Run, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", 5)
    for name in ("notes.txt", "data/mine.jsonl", ".git/config"):
        out = tmp_path / f"{name.split('/')[0].strip('.')[:4]}-folder"
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("mine")
        code, said = run("clean", source, "-o", out)
        assert code == 1
        assert f"{out}: holds '{name.split('/')[0]}', which no run of curate made" in said
        assert {k: v for k, v in tree(out).items() if not k.endswith(".lock")} == {f"{out.name}/{name}": b"mine"}


def test_a_run_that_died_before_it_began_is_no_folder_of_others(run: Run, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", 5)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".plan.json.tmp").write_text('{"job"')
    assert run("clean", source, "-o", tmp_path / "out") == (0, "")


def test_outputs_do_not_overwrite_inputs_or_become_them(run: Run, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", 20)
    before = source.read_bytes()
    code, said = run("clean", source, "-o", source)
    assert code == 2
    assert "would overwrite the input" in said
    assert source.read_bytes() == before
    assert run("clean", tmp_path, "-o", tmp_path / "out.jsonl") == (0, "")
    first = (tmp_path / "out.jsonl").read_bytes()
    assert run("clean", tmp_path, "-o", tmp_path / "out.jsonl") == (0, "")
    assert (tmp_path / "out.jsonl").read_bytes() == first


def test_names_of_outputs(run: Run, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", 5)
    for name, error in {"out.csv": "rows are written as", "out.jsonl.bz2": None, "out.gz": "rows are written as"}.items():
        code, said = run("clean", source, "-o", tmp_path / name)
        assert (code, error is None or error in said) == (0 if error is None else 2, True)
    code, said = run("clean", source, "-o", tmp_path / "x.parquet", "--save-as", "jsonl")
    assert code == 2
    assert "the name says parquet, --save-as says jsonl" in said
    code, said = run("clean", source, "-o", source / "below")
    assert code == 1
    assert "cannot be written: Not a directory" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everywhere")
def test_no_permission_is_one_line(run: Run, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", 5)
    (tmp_path / "shut").mkdir(mode=0o500)
    code, said = run("clean", source, "-o", tmp_path / "shut" / "out")
    assert code == 1
    assert "no permission to write there" in said
    source.chmod(0)
    code, said = run("clean", source, "-o", tmp_path / "out")
    assert code == 1
    assert "no permission to read it" in said


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_is_one_line_and_the_next_run_goes_on(small_disk: Path, tmp_path: Path, workers: str) -> None:
    source = write_lines(tmp_path / "in.jsonl", 900)
    (small_disk / "ballast").write_bytes(bytes(2_800_000))
    command = (
        "clean",
        source,
        "-o",
        small_disk / "out",
        "--save-as",
        "jsonl",
        "--workers",
        workers,
        "--quiet",
        "--max-errors",
        "99",
    )
    process = start(*command)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert said.startswith(f"curate: {small_disk}/out/")
    assert said.endswith("the disk is full; finished parts are kept: free some space and run the same command again\n")
    assert said.count("\n") == 1
    (small_disk / "ballast").unlink()
    process = start(*command)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    whole = start("clean", source, "-o", tmp_path / "whole", *command[4:])
    whole.communicate(timeout=60)
    assert results(small_disk / "out") == results(tmp_path / "whole")


def test_inputs_that_changed_beside_a_job_are_noticed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "b"}\n')
    jobs = [
        {"job": "clean", "name": "first", "input": ["a.jsonl"]},
        {"job": "clean", "name": "second", "input": ["job:first", "b.jsonl"]},
    ]
    recipe = json.dumps({"name": "two", "jobs": jobs})
    (tmp_path / "two.yaml").write_text(recipe)
    assert run("run", "two.yaml") == (0, "")
    (tmp_path / "b.jsonl").write_text('{"text": "b"}\n{"text": "c"}\n')
    assert run("run", "two.yaml") == (0, "")
    assert stats(tmp_path / "runs" / "two" / "02-second")["rows_in"] == 3
    # The folder of a run may be moved: what is done stays done.
    (tmp_path / "runs" / "two").rename(tmp_path / "moved")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "moved").rglob("stats.json")}
    assert run("run", "two.yaml", "-o", "moved") == (0, "")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_engine_knows_when_rows_do_not_add_up(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", 5)
    job = engine_run.JobRun(Clean(input=(str(source),)), tmp_path / "out")
    with pytest.raises(StepError, match="rows do not add up"):
        engine_run._check_sums(job, {"rows_in": 3, "kept": 1, "dropped": {"x.y": 1}, "rejected": 0})
