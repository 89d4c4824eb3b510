"""Requests written to files, and results read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curate.errors import InputError
from curate.models.ask import Answer, Ask, Failed
from curate.models.asker import Asker
from curate.models.batch_file import BatchFolder
from curate.models.cache import Cache
from curate.models.limits import Stopped
from tests.asking.server import chat


def questions(count: int) -> list[Ask]:
    chats = [Ask("org/small", messages=({"role": "user", "content": f"q{i}"},)) for i in range(count)]
    return [*chats, Ask("org/small", prompt="raw")]


def run(folder: Path, asks: list[Ask], cache: Cache | None = None) -> tuple[dict[int, Answer | Failed], Stopped | None]:
    found: dict[int, Answer | Failed] = {}
    with Asker(BatchFolder(folder), cache, concurrency=2) as asker:
        try:
            found.update(asker.answers(asks))
        except Stopped as stopped:
            return found, stopped
    return found, None


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("requests-*.jsonl")) for line in file.read_text().splitlines()]


def results(requests: list[dict[str, Any]]) -> str:
    """What a batch service writes, in an order of its own."""
    written = []
    for request in reversed(requests):
        if "prompt" in request["body"]:
            body: Any = {"choices": [{"text": "raw answer", "finish_reason": "stop"}]}
        else:
            body = json.loads(chat(f"answer to {request['body']['messages'][0]['content']}").body)
        written.append({"custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}, "error": None})
    return "".join(json.dumps(line) + "\n" for line in written)


def test_requests_are_written_once_and_their_results_read(tmp_path: Path) -> None:
    folder = tmp_path / "batch"
    for _ in range(2):
        found, stopped = run(folder, questions(20))
        assert found == {}
        assert stopped is not None
        assert stopped.reason == "postponed"
        assert "21 requests are not answered yet: send" in str(stopped)
    requests = lines(folder)
    assert len(requests) == 21
    assert {file.name for file in folder.iterdir()} == {
        "requests-org-small-chat-0001.jsonl",
        "requests-org-small-completions-0001.jsonl",
    }
    assert {(request["method"], request["url"]) for request in requests} == {
        ("POST", "/v1/chat/completions"),
        ("POST", "/v1/completions"),
    }
    (folder / "output_of_10.jsonl").write_text(results(requests[:10]))
    cache = Cache(tmp_path / "answers.sqlite")
    found, stopped = run(folder, questions(20), cache)
    assert stopped is not None
    assert len(found) == len(cache) == 10
    (folder / "output_of_11.jsonl").write_text(results(requests[10:]))
    found, stopped = run(folder, questions(20), cache)
    assert stopped is None
    answers = {number: result.text for number, result in found.items() if isinstance(result, Answer)}
    assert answers == {**{i: f"answer to q{i}" for i in range(20)}, 20: "raw answer"}
    assert lines(folder) == requests


def test_a_later_round_goes_to_files_of_its_own(tmp_path: Path) -> None:
    run(tmp_path, questions(2)[:2])
    run(tmp_path, questions(4)[:4])
    assert [len(file.read_text().splitlines()) for file in sorted(tmp_path.glob("*.jsonl"))] == [2, 2]


def test_files_are_cut_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curate.models.batch_file.MOST_LINES", 3)
    run(tmp_path, questions(8)[:8])
    assert [len(file.read_text().splitlines()) for file in sorted(tmp_path.glob("*.jsonl"))] == [3, 3, 2]


def test_results_that_are_failures(tmp_path: Path) -> None:
    run(tmp_path, questions(2)[:2])
    first, second = lines(tmp_path)
    bad = {"custom_id": first["custom_id"], "response": None, "error": {"code": "batch_expired", "message": "too late"}}
    refused = {"status_code": 400, "body": {"error": {"message": "maximum context length is 10"}}}
    text = json.dumps(bad) + "\n" + json.dumps({"custom_id": second["custom_id"], "response": refused}) + "\n"
    (tmp_path / "errors.jsonl").write_text(text)
    found, _ = run(tmp_path, questions(2)[:2])
    assert {number: result.kind for number, result in found.items() if isinstance(result, Failed)} == {
        0: "wrong_request",
        1: "too_long",
    }


def test_a_line_cut_by_a_kill_is_written_again(tmp_path: Path) -> None:
    run(tmp_path, questions(3)[:3])
    (file,) = tmp_path.glob("*.jsonl")
    whole = file.read_text()
    file.write_text(whole[:-30])
    run(tmp_path, questions(3)[:3])
    assert "".join(file.read_text() for file in sorted(tmp_path.glob("*.jsonl"))) == whole


def test_another_file_in_the_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:1: not a line of a batch file"):
        BatchFolder(tmp_path)
