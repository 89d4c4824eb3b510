"""A process that asks is killed or interrupted at any moment: nothing that it had is lost, and nothing is asked again."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.asking.server import Reply, chat, prompt_of, serving
from tests.command import ROOT, environment

COUNT = 600


def slow_echo(n: int, body: dict[str, Any]) -> Reply:
    return Reply(chat(f"answer to {prompt_of(body)}").body, delay=0.02 + 0.03 * (n % 7) / 7)


def start(url: str, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.asking.ask_many", url, str(cache), str(COUNT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )


def kept(cache: Path) -> set[int]:
    with closing(sqlite3.connect(cache)) as file:
        return {int(text.split(" to q")[1].split('"')[0]) for (text,) in file.execute("SELECT answer FROM answers")}


def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    chance = random.Random(5)
    handed_out: set[int] = set()
    had: set[int] = set()
    runs: list[tuple[int, set[int]]] = []
    with serving(slow_echo) as server:
        # From before the first answer to near the end; those of earlier runs come first.
        for lines in (0, 1, 40, 150, 151, 300, 470, COUNT):
            before = len(server.log)
            process = start(server.url, tmp_path / "answers.sqlite")
            got: list[str] = []
            assert process.stdout is not None
            while len(got) < lines and (line := process.stdout.readline()):
                got.append(line)
            if lines < COUNT:
                time.sleep(chance.random() * 0.05)
                process.kill()
            out, err = process.communicate(timeout=60)
            assert process.returncode == (-9 if lines < COUNT else 0), err
            # A line may have been cut by the kill.
            lines_out = "".join([*got, out]).splitlines(keepends=True)
            handed_out |= {int(line) for line in lines_out if line.endswith("\n")}
            runs.append((before, had))
            had = kept(tmp_path / "answers.sqlite") if (tmp_path / "answers.sqlite").exists() else set()
            assert handed_out <= had, "an answer is written before it is handed out"
    assert handed_out == set(range(COUNT))
    assert len([had for _, had in runs if had]) >= 5
    for before, had in runs:
        assert not {f"q{i}" for i in had} & {prompt_of(entry["body"]) for entry in server.log[before:]}
    repeated = sum(count - 1 for count in Counter(server.asked()).values())
    # Those under way when a run was killed.
    assert repeated <= 16 * (len(runs) - 1)


def test_interrupted_it_ends_at_once_and_goes_on(tmp_path: Path) -> None:
    with serving(slow_echo) as server:
        process = start(server.url, tmp_path / "answers.sqlite")
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(40)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "Traceback" not in err
        had = {int(line) for line in [*first, *out.splitlines()]}
        asked = len(server.log)
        process = start(server.url, tmp_path / "answers.sqlite")
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert {int(line) for line in out.splitlines()} == set(range(COUNT))
        assert not {f"q{i}" for i in had} & set(server.asked()[asked:])
