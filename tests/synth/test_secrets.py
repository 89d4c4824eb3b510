"""A key is sent to its endpoint, and is nowhere else: not in what a job writes, nor in what it says."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import zstandard

from tests.asking.server import Reply, chat, serving
from tests.command import curate, tree
from tests.synth.test_jobs import documents

KEY = "sk-very/secret+0123456789"
FORMS = (KEY, KEY.replace("/", "\\/"), urllib.parse.quote(KEY, safe=""), KEY[:12])


def written(folder: Path) -> bytes:
    """Every byte that is there, compressed files opened."""
    files = tree(folder)
    return b"\n".join(
        zstandard.ZstdDecompressor().decompressobj().decompress(data) if name.endswith(".zst") else data
        for name, data in files.items()
    )


def repeats(n: int, body: dict[str, Any]) -> Reply:
    """Repeats the key in every place, and in every form."""
    said = json.dumps({"error": {"message": f"you sent Authorization: Bearer {KEY}"}})
    replies = [
        Reply(said.encode(), 400),
        Reply(said.replace("/", "\\/").encode(), 400),
        Reply(f"<html>{'x' * 9_990}{KEY}".encode(), 422),
        Reply(b"", 301, {"location": f"http://elsewhere/?key={urllib.parse.quote(KEY, safe='')}"}),
        chat(f"Your key {KEY} is the one."),
        chat("A sentence about a river.", reasoning=f"The key is {KEY}."),
    ]
    # Where the endpoint is elsewhere no more is asked.
    return replies[3] if n > 40 else replies[n % 6 if n % 6 != 3 else 4]


def test_a_key_is_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text(KEY + "\n")
    monkeypatch.setenv("SOME_KEY", KEY)
    env, file = ("--key-env", "SOME_KEY"), ("--key-file", tmp_path / "key")
    with serving(repeats) as server:
        model = ("--endpoint", server.url, "--model", "small", "--concurrency", "1")
        done = [
            curate("synth", "back-translation", documents(tmp_path, 14), *model, *env, "--debug", "-o", tmp_path / "out"),
            curate("synth", "back-translation", documents(tmp_path / "more", 60), *model, *file, "-o", tmp_path / "stopped"),
        ]
    assert [one.returncode for one in done] == [0, 1], done
    assert {entry["headers"]["authorization"] for entry in server.log if entry["body"] is not None} == {f"Bearer {KEY}"}
    left = written(tmp_path / "out") + written(tmp_path / "stopped")
    # What the server said is kept, without the key.
    assert b"you sent Authorization: Bearer [key]" in left
    assert b"Your key [key] is the one." in left
    assert "http://elsewhere/?key=[key]" in done[1].stderr
    said = left + "".join(one.stdout + one.stderr for one in done).encode()
    assert [form for form in FORMS if form.encode() in said] == []
    for name in ("run.json", "report.html", "answers.sqlite"):
        assert (tmp_path / "out" / name).is_file()
