"""One request to an endpoint, against servers that misbehave in every way that they do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from curate.errors import UsageError
from curate.models.ask import Answer, Ask, Failed
from curate.models.http import HttpBackend, base_of, request_of
from tests.asking.server import Reply, Server, chat, free_port, serving

KEY = "sk-very/secret+0123456789"


def once(server: Server | str, ask: Ask | None = None, key: str | None = None, timeout: float = 5.0) -> Answer | Failed:
    """One try."""
    address = server if isinstance(server, str) else server.url

    async def go() -> Answer | Failed:
        backend = HttpBackend(address, key, timeout)
        try:
            return await backend.answer(ask or question())
        finally:
            await backend.close()

    return asyncio.run(go())


def question(text: str = "why", **more: Any) -> Ask:
    return Ask("small", messages=({"role": "user", "content": text},), **more)


def test_an_answer_with_all_its_members() -> None:
    with serving(lambda n, body: chat("because", reasoning_content="let me see")) as server:
        assert once(server, question(seed=7, sample=2, stop=("END",))) == Answer("because", "let me see", "stop", 10, 5)
    (entry,) = server.log
    assert entry["path"] == "/v1/chat/completions"
    assert entry["body"] == {
        "model": "small",
        "messages": [{"role": "user", "content": "why"}],
        "temperature": 1.0,
        "top_p": 1.0,
        "max_tokens": 1024,
        "stop": ["END"],
        "seed": 9,
    }
    assert "authorization" not in {name.lower() for name in entry["headers"]}


def test_a_raw_prompt_goes_to_completions_as_it_is() -> None:
    body = {"choices": [{"text": " <think>not taken apart</think> x", "finish_reason": "length"}]}
    with serving(lambda n, _: Reply(json.dumps(body).encode())) as server:
        answer = once(server, Ask("small", prompt="<|user|>\n\ud800"))
    assert answer == Answer(" <think>not taken apart</think> x", None, "length", None, None)
    assert server.log[0]["path"] == "/v1/completions"
    assert server.log[0]["body"]["prompt"] == "<|user|>\n\ud800"


@pytest.mark.parametrize(
    ("reply", "wanted"),
    [
        (chat("<think>\nhm\n</think>\n\nyes"), Answer("yes", "hm", "stop", 10, 5)),
        (chat("hm</think>yes"), Answer("yes", "hm", "stop", 10, 5)),
        (chat("<think>hm and hm", finish="length"), Answer("", "hm and hm", "length", 10, 5)),
        (chat("yes", reasoning="hm"), Answer("yes", "hm", "stop", 10, 5)),
        (chat(None, reasoning="hm"), Answer("", "hm", "stop", 10, 5)),
        (chat("", usage=False, finish=None), Answer("", None, "stop", None, None)),
        (chat("yes", finish="MAX_TOKENS"), Answer("yes", None, "length", 10, 5)),
        (chat(None, refusal="I will not"), Answer("I will not", None, "content_filter", 10, 5)),
        (
            Reply(b'{"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}]}'),
            Answer("ab", None, "stop", None, None),
        ),
        (
            Reply(b'{"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": true, "completion_tokens": -1}}'),
            Answer("a", None, "stop", None, None),
        ),
    ],
)
def test_what_servers_send_for_an_answer(reply: Reply, wanted: Answer) -> None:
    with serving(lambda n, body: reply) as server:
        assert once(server) == wanted


def error(status: int, message: str, **headers: str) -> Reply:
    return Reply(json.dumps({"error": {"message": message}}).encode(), status, headers)


@pytest.mark.parametrize(
    ("reply", "kind", "says", "hopeless"),
    [
        (Reply(b"{not json"), "broken", "not JSON", False),
        (Reply(b"[" * 100_000), "broken", "not JSON", False),
        (Reply(b"[1]"), "broken", "not a JSON object", False),
        (Reply(b"{}"), "broken", "no choices", False),
        (Reply(b'{"choices": []}'), "broken", "no choices", False),
        (Reply(b'{"choices": [{"message": {"content": 3}}]}'), "broken", "no text", False),
        (Reply(chat("because").body, cut=20), "broken", "broke off", False),
        (Reply(b"", cut=0, headers={"content-length": "9"}), "broken", "broke off", False),
        (Reply(b'{"error": {"message": "overloaded"}}'), "server_error", "overloaded", False),
        (Reply(b'{"error": {"code": 429, "message": "slow down"}}'), "rate_limited", "slow down", False),
        (error(500, "oh"), "server_error", "status 500: oh", False),
        (Reply(b"<html>Bad gateway</html>", 502), "server_error", "Bad gateway", False),
        (error(429, "slow down"), "rate_limited", "slow down", False),
        (Reply(b'{"error": {"code": "insufficient_quota", "message": "pay"}}', 429), "rate_limited", "account", True),
        (error(401, "bad key"), "refused_key", "bad key", True),
        (error(403, "not yours"), "refused_key", "not yours", False),
        (error(404, "The model `small` does not exist"), "wrong_request", "does not take", True),
        (Reply(b'{"detail":"Not Found"}', 404), "wrong_request", "Not Found", True),
        (error(400, "unknown model small"), "wrong_request", "unknown model", True),
        (error(400, "temperature must be less"), "wrong_request", "temperature must be less", False),
        (Reply(b'{"detail": [{"msg": "field required"}]}', 422), "wrong_request", "field required", False),
        (error(400, "This model's maximum context length is 4096 tokens."), "too_long", "maximum context", False),
        (error(400, "the request exceeds the available context size"), "too_long", "context", False),
        (error(413, "payload too large"), "too_long", "413", False),
        (Reply(b"", 307, {"location": "http://elsewhere/"}), "wrong_request", "http://elsewhere/", True),
    ],
)
def test_what_goes_wrong_has_a_kind(reply: Reply, kind: str, says: str, hopeless: bool) -> None:
    with serving(lambda n, body: reply) as server:
        failed = once(server)
    assert isinstance(failed, Failed)
    assert (failed.kind, failed.hopeless) == (kind, hopeless)
    assert says in failed.message
    assert "\n" not in failed.message


def test_the_raw_reply_is_kept() -> None:
    with serving(lambda n, body: Reply(b"{not json")) as server:
        failed = once(server)
    assert isinstance(failed, Failed)
    assert failed.raw == "{not json"


def test_nothing_listens() -> None:
    failed = once(f"http://127.0.0.1:{free_port()}")
    assert isinstance(failed, Failed)
    assert failed.kind == "unreachable"
    assert "cannot be reached" in failed.message


def test_a_slow_answer_is_given_up() -> None:
    with serving(lambda n, body: Reply(chat("late").body, delay=2.0)) as server:
        failed = once(server, timeout=0.2)
    assert isinstance(failed, Failed)
    assert failed.kind == "timeout"


@pytest.mark.parametrize(
    ("header", "least", "most"), [("3", 3, 3), ("0.5", 0.5, 0.5), ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0), ("soon", None, None)]
)
def test_retry_after(header: str, least: float | None, most: float | None) -> None:
    with serving(lambda n, body: error(429, "slow down", **{"Retry-After": header})) as server:
        failed = once(server)
    assert isinstance(failed, Failed)
    assert failed.retry_after == least == most


def test_a_wrong_model_is_told_with_the_nearest_name() -> None:
    models = Reply(b'{"data": [{"id": "smaller"}, {"id": "large"}]}')
    with serving(lambda n, body: error(404, "no model"), models) as server:
        failed = once(server)
    assert isinstance(failed, Failed)
    assert "has no model 'small'; did you mean 'smaller'?" in failed.message


def test_a_server_without_completions_says_so_for_raw_prompts() -> None:
    with serving(lambda n, body: Reply(b'{"detail":"Not Found"}', 404)) as server:
        failed = once(server, Ask("small", prompt="<user>"))
    assert isinstance(failed, Failed)
    assert failed.hopeless
    assert "no completions, which raw prompts need" in failed.message


@pytest.mark.parametrize(
    ("status", "known", "kinds"),
    [
        (400, (), ["json_schema", "json_object", None, None]),
        (500, ("json_object",), ["json_schema", "json_object", "json_object"]),
        (422, ("json_schema",), ["json_schema", "json_schema"]),
    ],
)
def test_a_schema_is_asked_for_in_the_way_that_the_server_has(status: int, known: tuple[str, ...], kinds: list[str]) -> None:
    schema = {"type": "object", "properties": {"score": {"type": "integer"}}}

    def kind(body: dict[str, Any]) -> str | None:
        return body["response_format"]["type"] if "response_format" in body else None

    def behave(n: int, body: dict[str, Any]) -> Reply:
        return chat("{}") if kind(body) in (None, *known) else error(status, "'response_format': input should be 'text'")

    with serving(behave) as server:

        async def go() -> None:
            backend = HttpBackend(server.url)
            assert isinstance(await backend.answer(question(schema=schema)), Answer)
            assert isinstance(await backend.answer(question(schema=schema)), Answer)
            await backend.close()

        asyncio.run(go())
    assert [kind(entry["body"]) for entry in server.log] == kinds
    for entry in server.log:
        asked = entry["body"].get("response_format", {})
        assert asked.get("schema", asked.get("json_schema", {}).get("schema", schema)) == schema
        # Who is not held to the schema as OpenAI has it is told.
        told = entry["body"]["messages"][-1]["content"]
        assert told.startswith("why\n\nAnswer with JSON alone") == (kind(entry["body"]) != "json_schema")
        assert ('"score"' in told) == (told != "why")


def test_a_server_that_wants_the_newer_name_of_the_limit() -> None:
    def behave(n: int, body: dict[str, Any]) -> Reply:
        return error(400, "use 'max_completion_tokens' instead of 'max_tokens'") if "max_tokens" in body else chat("yes")

    with serving(behave) as server:
        assert isinstance(once(server), Answer)
    assert server.log[1]["body"]["max_completion_tokens"] == 1024


def test_a_server_that_repeats_the_key_gives_it_to_nobody() -> None:
    def behave(n: int, body: dict[str, Any]) -> Reply:
        said = f"the key {KEY} is what you sent"
        return [error(401, said), chat(said, reasoning=said), Reply(said.encode())][n]

    with serving(behave) as server:
        found = [once(server, key=KEY) for _ in range(3)]
    assert {entry["headers"]["authorization"] for entry in server.log} == {f"Bearer {KEY}"}
    assert KEY not in repr(found)
    assert repr(found).count("[key]") >= 5


@pytest.mark.parametrize("key", ["two words", "line\nline", "schlüssel"])
def test_a_key_that_is_none(key: str) -> None:
    with pytest.raises(UsageError, match="characters that no key has"):
        HttpBackend("http://localhost:1", key)


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("http://localhost:8000", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://Host.example/v1/chat/completions", "https://host.example/v1"),
        ("https://host.example/api/openai", "https://host.example/api/openai"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_addresses(address: str, wanted: str) -> None:
    assert base_of(address) == wanted


@pytest.mark.parametrize(
    "address",
    ["", "localhost:8000", "ftp://x", "http://", "http://u:secret@x/v1", "http://x/v1?key=secret", "http://x:99999999"],
)
def test_addresses_that_are_none_are_not_repeated(address: str) -> None:
    with pytest.raises(UsageError) as raised:
        base_of(address)
    assert "secret" not in str(raised.value)


def test_members_of_the_request_that_only_the_endpoint_knows() -> None:
    assert request_of(question(more={"min_p": 0.1}))["min_p"] == 0.1
