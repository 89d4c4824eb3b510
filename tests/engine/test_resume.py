"""Runs that are stopped in the middle, in every way there is: what is finished is kept, and the end is the same to the byte."""

from __future__ import annotations

import gzip
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from curate import cli
from curate.engine import rows as engine_rows
from curate.engine.local import MOST_THREADS
from curate.io import files, jsonl
from tests.command import curate, results, start, stats, write_lines

STEPS = ("--steps", "whitespace", "--steps", "length", "--set", "steps.1.min_words=6", "--max-errors", "1000")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("rows") / "in.jsonl", 900)


@pytest.fixture(scope="module")
def packed(rows: Path) -> Path:
    path = rows.parent / "packed.jsonl.gz"
    path.write_bytes(gzip.compress(rows.read_bytes()))
    return path


@pytest.fixture(scope="module", params=["rows", "packed"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An input, and the folder of an unbroken run over it."""
    source: Path = request.getfixturevalue(request.param)
    folder = tmp_path_factory.mktemp("whole") / "out"
    done = curate("clean", source, "-o", folder, "--workers", "2", *STEPS, small=True)
    assert done.returncode == 0, done.stderr
    return source, folder


def wait_for_parts(process: subprocess.Popen[str], out: Path, more: int) -> None:
    """Wait until so many more parts are done, or the process has ended."""
    there = len(list((out / "parts").glob("rows-*")))
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if len(list((out / "parts").glob("rows-*"))) >= there + more:
            break
        time.sleep(0.002)


def test_the_books_are_right(case: tuple[Path, Path]) -> None:
    counts = stats(case[1])
    assert counts["rows_in"] == 900
    assert counts["rejected"] == 18
    assert sum(counts["dropped"].values()) + counts["kept"] + counts["rejected"] == 900
    assert set(counts["dropped"]) == {"read.no_text", "length.too_few_words"}
    assert len(results(case[1])) > 30


def test_killed_at_any_moment_and_run_again_gives_the_same_bytes(case: tuple[Path, Path], tmp_path: Path) -> None:
    source, whole = case
    workers = 2 if source.suffix == ".jsonl" else 1
    out = tmp_path / "out"
    chance = random.Random(workers)
    kills = 0
    for _ in range(5):
        process = start("clean", source, "-o", out, "--workers", str(workers), *STEPS)
        wait_for_parts(process, out, chance.randrange(6))
        time.sleep(chance.uniform(0, 0.03))
        if process.poll() is not None:
            process.communicate()
            break
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    done = curate("clean", source, "-o", out, "--workers", str(workers), *STEPS, small=True)
    assert done.returncode == 0, done.stderr
    assert results(out) == results(whole)
    assert stats(out)["dropped"] == stats(whole)["dropped"]
    assert not (out / "parts").exists()
    assert kills >= 3


def test_what_is_done_is_not_done_again(case: tuple[Path, Path]) -> None:
    source, whole = case
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file() and path.parent != whole}
    done = curate("clean", source, "-o", whole, *STEPS, small=True)
    assert done.returncode == 0
    assert "done already" in done.stderr
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Commands in this process, with the small units of `small.py`."""
    monkeypatch.setattr(files, "SHARD_BYTES", 40_000)
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(engine_rows, "PART_BYTES", 3000)

    def run(*arguments: str | Path) -> tuple[int, str]:
        return cli.run([*map(str, arguments), "--workers", "1"]), capsys.readouterr().err

    return run


def test_other_options_start_over_and_say_so(rows: Path, tmp_path: Path, inside: Callable[..., tuple[int, str]]) -> None:
    out, fresh = tmp_path / "out", tmp_path / "fresh"
    assert inside("clean", rows, "-o", out, *STEPS)[0] == 0
    code, said = inside("clean", rows, "-o", out, *STEPS, "--set", "steps.1.min_words=20")
    assert code == 0
    assert "changed since the last run, starting over" in said
    assert inside("clean", rows, "-o", fresh, *STEPS, "--set", "steps.1.min_words=20")[0] == 0
    assert results(out) == results(fresh)


def test_more_allowed_errors_do_not_start_over(rows: Path, tmp_path: Path, inside: Callable[..., tuple[int, str]]) -> None:
    out = tmp_path / "out"
    code, said = inside("clean", rows, "-o", out, "--steps", "whitespace")
    assert code == 3
    assert "18 rows were rejected, first: in.jsonl:50: " in said
    assert "--max-errors 18" in said
    code, said = inside("clean", rows, "-o", out, "--steps", "whitespace", "--max-errors", "18")
    assert code == 0
    assert "done already" in said


def test_ctrl_c_stops_with_one_line_and_the_next_run_goes_on(case: tuple[Path, Path], tmp_path: Path) -> None:
    source, whole = case
    out = tmp_path / "out"
    for more in (0, 5):
        process = start("clean", source, "-o", out, "--workers", "2", "--quiet", *STEPS)
        while not (out / "plan.json").exists() and process.poll() is None:
            time.sleep(0.002)
        wait_for_parts(process, out, more)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
        if process.returncode == 0:
            break
        assert process.returncode == 130, said
        assert said == "curate: stopped; finished parts are kept: run the same command again to go on\n"
    done = curate("clean", source, "-o", out, "--workers", "2", *STEPS, small=True)
    assert done.returncode == 0, done.stderr
    assert results(out) == results(whole)


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if int(fields[1]) == pid and b"spawn_main" in command:
                found.append(int(entry.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds workers through /proc")
def test_a_killed_worker_is_one_line_and_the_next_run_goes_on(
    rows: Path, tmp_path: Path, inside: Callable[..., tuple[int, str]]
) -> None:
    out = tmp_path / "out"
    # fasttext holds the GIL, so that its workers are processes.
    steps = (*STEPS, "--steps", "language", "--set", "steps.2.engine=fasttext")
    process = start("clean", rows, "-o", out, "--workers", "2", "--quiet", *steps)
    wait_for_parts(process, out, 1)
    os.kill(children(process.pid)[0], signal.SIGKILL)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1, said
    assert said.startswith("curate: a worker process was killed (most often: out of memory).")
    assert said.count("\n") == 1
    assert children(process.pid) == []
    code, said = inside("clean", rows, "-o", out, *steps)
    assert code == 0
    assert "going on where the last run stopped" in said
    assert stats(out)["rows_in"] == 900


def test_threads_and_processes_give_the_same_bytes(case: tuple[Path, Path], tmp_path: Path) -> None:
    source, whole = case
    done = curate("clean", source, "-o", tmp_path / "out", "--workers", str(MOST_THREADS + 1), *STEPS, small=True)
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == results(whole)


def test_two_runs_in_one_folder(rows: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start("clean", rows, "-o", out, "--workers", "1", "--quiet", *STEPS)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (out / "plan.json").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGSTOP)  # or it may be done before the second begins
    try:
        second = curate("clean", rows, "-o", out, "--quiet", *STEPS, small=True)
    finally:
        process.send_signal(signal.SIGCONT)
    assert (second.returncode, second.stderr) == (1, f"curate: {out}: another run of curate is working there\n")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
