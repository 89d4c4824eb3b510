"""Which model answers: options, keys that stay secret, and plans."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curate.errors import InputError, MissingExtra, UsageError
from curate.models.ask import Answer, Ask, Failed, key_of
from curate.models.batch_file import BatchFolder
from curate.models.cache import Cache
from curate.models.http import HttpBackend
from curate.models.limits import Limits
from curate.models.options import Model
from curate.models.plan import plan
from tests.asking.server import Reply, chat, serving

KEY = "sk-secret-0123456789"


def test_a_key_reaches_the_server_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any, capfd: Any
) -> None:
    """The server repeats the key in answers, failures and headers; no file, log line, output or option has it."""
    monkeypatch.setenv("SOME_KEY", KEY + "\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "key").write_text(f" {KEY}\n")

    def behave(n: int, body: dict[str, Any]) -> Reply:
        return [chat(f"it is {KEY}"), Reply(f"bad {KEY}".encode(), 400, {"x-key": KEY}), Reply(KEY.encode(), 401)][n % 3]

    kept = tmp_path / "kept"
    shown: list[str] = []
    with serving(behave) as server, caplog.at_level(logging.DEBUG):
        for given in ({"key_env": "SOME_KEY"}, {"key_file": str(tmp_path / "elsewhere" / "key")}):
            model = Model.model_validate({"model": "small", "endpoint": server.url, "concurrency": 1, **given})
            shown.append(model.model_dump_json() + repr(model))
            cache = Cache(kept / "answers.sqlite")
            asks = [Ask("small", messages=({"role": "user", "content": f"{given} {i}"},)) for i in range(3)]
            with model.asker(cache, watch=lambda progress: shown.append(repr(progress) + progress.line())) as asker:
                shown.append(repr(asker.backend) + repr(vars(asker)))
                try:
                    shown.extend(repr(pair) for pair in asker.answers(asks))
                except Exception as error:  # noqa: BLE001 - whatever is said is looked through
                    shown.append(repr(error) + str(error))
            cache.close()
    assert {entry["headers"]["authorization"] for entry in server.log} == {f"Bearer {KEY}"}
    out, err = capfd.readouterr()
    everything = "\n".join([*shown, caplog.text, out, err]).encode()
    everything += b"".join(path.read_bytes() for path in kept.rglob("*") if path.is_file())
    assert b"[key]" in everything
    assert KEY.encode() not in everything


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"endpoint": "http://x"}, "name of a model"),
        ({"endpoint": "file:x"}, "name of a model"),
        ({"endpoint": "http://u:secret@x", "model": "m"}, "user or password"),
        ({"endpoint": "http://x?api_key=secret", "model": "m"}, r"\?"),
        ({"endpoint": "folder", "key_env": "X"}, "are for an endpoint"),
        ({"endpoint": "http://x", "model": "m", "key_env": "X", "key_file": "y"}, "two ways"),
        ({"endpoint": ""}, "at least 1 character"),
    ],
)
def test_options_that_cannot_be_meant(options: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Model.model_validate(options)


def test_keys_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no NO_SUCH_KEY"):
        Model(endpoint="http://x", model="m", key_env="NO_SUCH_KEY").backend()
    with pytest.raises(InputError, match="cannot be read"):
        Model(endpoint="http://x", model="m", key_file=str(tmp_path / "none")).backend()
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InputError, match="no key in it"):
        Model(endpoint="http://x", model="m", key_file=str(tmp_path / "empty")).backend()


def test_what_answers_by_its_address(tmp_path: Path) -> None:
    assert isinstance(Model(endpoint="http://x", model="m").backend(), HttpBackend)
    assert isinstance(Model(endpoint=f"file:{tmp_path}", model="m").backend(), BatchFolder)
    with pytest.raises(InputError, match="no such folder"):
        Model(endpoint=str(tmp_path / "none")).backend()
    with pytest.raises(InputError, match=r"no config\.json"):
        Model(endpoint=str(tmp_path)).backend()


def test_without_the_extra_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpcore", None)
    monkeypatch.delitem(sys.modules, "curate.models.connection", raising=False)
    with pytest.raises(MissingExtra, match=r"pip install 'curate\[synth\]'"):
        Model(endpoint="http://x", model="m").backend()


def test_a_plan_of_a_sample(tmp_path: Path) -> None:
    asks = [Ask("m", prompt="x" * 400, max_tokens=100, sample=i) for i in range(10)]
    limits = Limits(prompt_price=2.0, completion_price=10.0)
    whole = plan(asks, limits, total=1000)
    assert (whole.calls, whole.cached, whole.prompt_tokens, whole.completion_tokens) == (1000, 0, 100_000, 100_000)
    assert whole.most_cost == whole.cost == pytest.approx(0.2 + 1.0)
    assert whole.line() == (
        "1,000 requests (0 more are in the cache); about 100,000 tokens of prompts, at most 100,000 of answers; cost about "
        "1.2000, at most 1.2000"
    )
    seen = plan(asks, limits, total=1000, seen=[Answer("x", completion_tokens=20), Answer("x" * 40)])
    assert (seen.completion_tokens, seen.most_completion_tokens) == (15_000, 100_000)
    assert seen.cost == pytest.approx(0.2 + 0.15)
    assert "about 15,000, at most 100,000 of answers" in seen.line()
    cache = Cache(tmp_path / "answers.sqlite")

    for ask in asks[:4]:
        cache.put(key_of("e", ask), Answer("x"))
    known = plan(asks, limits, cache=cache, endpoint="e")
    assert (known.calls, known.cached, known.prompt_tokens) == (6, 4, 600)


def test_a_model_list(tmp_path: Path) -> None:
    async def listed(url: str) -> list[str] | None:
        backend = HttpBackend(url)
        try:
            return await backend.models()
        finally:
            await backend.close()

    with serving(lambda n, body: chat("x"), Reply(b'{"data": [{"id": "a"}, {"id": "b"}]}')) as server:
        assert asyncio.run(listed(server.url)) == ["a", "b"]
    with serving(lambda n, body: chat("x"), Reply(b'{"models": []}')) as server:
        assert asyncio.run(listed(server.url)) is None
    assert isinstance(asyncio.run(HttpBackend(server.url).answer(Ask("m", prompt="x"))), Failed)
