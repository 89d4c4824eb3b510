"""Many requests: cache, retries, concurrency and limits, against a server on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curate.models.ask import Answer, Ask, Failed
from curate.models.asker import Asker, Progress
from curate.models.cache import Cache
from curate.models.http import HttpBackend
from curate.models.limits import Limits, Stopped
from tests.asking.server import Behave, Reply, Server, chat, free_port, prompt_of, serving

FAST = {"FIRST_PAUSE": 0.01, "LONGEST_PAUSE": 0.05}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in FAST.items():
        monkeypatch.setattr(f"curate.models.retry.{name}", value)


def question(text: str, **more: Any) -> Ask:
    return Ask("small", messages=({"role": "user", "content": text},), **more)


def questions(count: int, **more: Any) -> list[Ask]:
    return [question(f"q{i}", **more) for i in range(count)]


def echo(n: int, body: dict[str, Any]) -> Reply:
    return chat(f"answer to {prompt_of(body)}")


def asker(server: Server | str, cache: Cache | None = None, limits: Limits | None = None, **more: Any) -> Asker:
    timeout = more.pop("timeout", 5.0)
    address = server if isinstance(server, str) else server.url
    return Asker(HttpBackend(address, timeout=timeout), cache, limits, **more)


def run(behave: Behave, asks: list[Ask], **more: Any) -> tuple[dict[int, Answer | Failed], Server, Progress]:
    with serving(behave) as server, asker(server, **more) as asks_of:
        found = dict(asks_of.answers(asks))
    return found, server, asks_of.progress


def texts(found: dict[int, Answer | Failed]) -> dict[int, str]:
    return {number: result.text for number, result in found.items() if isinstance(result, Answer)}


def test_every_request_gets_its_answer_once_and_again_from_the_cache(tmp_path: Path) -> None:
    wanted = {i: f"answer to q{i}" for i in range(300)}
    with serving(echo) as server:
        for turn in range(2):
            cache = Cache(tmp_path / "answers.sqlite")
            with asker(server, cache) as asks_of:
                pairs = list(asks_of.answers(questions(300)))
            assert len(pairs) == 300
            assert texts(dict(pairs)) == wanted
            assert {result.cached for _, result in pairs if isinstance(result, Answer)} == {turn == 1}
            cache.close()
    assert Counter(server.asked()) == {f"q{i}": 1 for i in range(300)}
    assert (asks_of.progress.cached, asks_of.progress.answered, asks_of.progress.prompt_tokens) == (300, 0, 0)


def test_what_decides_the_answer_is_asked_anew(tmp_path: Path) -> None:
    variants = [
        question("q"),
        question("q", temperature=0.5),
        question("q", sample=1),
        question("q", seed=3),
        question("q", max_tokens=7),
        question("q", stop=("x",)),
        question("q", schema={"type": "object"}),
        question("q", more={"min_p": 0.1}),
        Ask("other", messages=({"role": "user", "content": "q"},)),
        Ask("small", prompt="q"),
    ]
    both = {"choices": [{"message": {"content": "x"}, "text": "x"}]}
    _, server, _ = run(lambda n, body: Reply(json.dumps(both).encode()), variants, cache=Cache(tmp_path / "a.sqlite"))
    assert len(server.log) == len(variants)


def test_equal_requests_are_asked_once() -> None:
    found, server, progress = run(lambda n, body: Reply(chat("one").body, delay=0.2), [question("q")] * 5)
    assert len(server.log) == 1
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert [isinstance(result, Answer) and result.cached for result in found.values()] == [False, True, True, True, True]
    assert progress.answered == 1


def test_requests_are_taken_as_they_are_needed() -> None:
    taken = 0

    def endless() -> Iterator[Ask]:
        nonlocal taken
        while True:
            taken += 1
            yield question(f"q{taken}")

    with serving(echo) as server, asker(server, concurrency=4) as asks_of:
        answers = asks_of.answers(endless())
        for _ in range(20):
            next(answers)
        assert taken <= 20 + 2 * 4
        answers.close()
        # What follows is answered as before.
        assert len(list(asks_of.answers(questions(10)))) == 10


def test_one_round_may_read_from_another() -> None:
    with serving(echo) as server, asker(server, concurrency=3) as asks_of:
        first = asks_of.answers(questions(40))
        second = asks_of.answers(question(result.text) for _, result in first if isinstance(result, Answer))
        assert Counter(texts(dict(second)).values()) == {f"answer to answer to q{i}": 1 for i in range(40)}


def flaky(replies: list[Reply]) -> Behave:
    """Each prompt gets these replies in turn, and then an answer."""
    turns: Counter[str] = Counter()
    lock = threading.Lock()

    def behave(n: int, body: dict[str, Any]) -> Reply:
        with lock:
            turn = turns[prompt_of(body)]
            turns[prompt_of(body)] += 1
        return replies[turn] if turn < len(replies) else echo(n, body)

    return behave


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(b"", 500), "server_error"),
        (Reply(b"{", 200), "broken"),
        (Reply(chat("x").body, cut=9), "broken"),
        (Reply(b"", 429), "rate_limited"),
        (Reply(b"", 408), "timeout"),
    ],
)
def test_what_may_pass_is_tried_again(reply: Reply, kind: str) -> None:
    found, server, progress = run(flaky([reply, reply]), questions(30), concurrency=8)
    assert texts(found) == {i: f"answer to q{i}" for i in range(30)}
    assert progress.retried == {kind: 60}
    assert progress.failed == {}
    assert len(server.log) == 90


def test_what_would_fail_again_is_not() -> None:
    def behave(n: int, body: dict[str, Any]) -> Reply:
        replies = {
            "empty": chat(""),
            "cut": chat("half an ans", finish="length"),
            "thought": chat(None, finish="length", reasoning_content="hm, let me"),
            "filtered": chat("", finish="content_filter"),
            "long": Reply(b"maximum context length is 10", 400),
            "bad": Reply(b"bad value", 400),
        }
        return replies.get(prompt_of(body)) or echo(n, body)

    names = ["empty", "cut", "thought", "filtered", "long", "bad", "good"]
    found, server, progress = run(behave, [question(name) for name in names])
    failed = {names[n]: result for n, result in found.items() if isinstance(result, Failed)}
    assert {name: result.kind for name, result in failed.items()} == {
        "empty": "empty",
        "cut": "cut",
        "thought": "cut",
        "filtered": "filtered",
        "long": "too_long",
        "bad": "wrong_request",
    }
    assert failed["cut"].raw == "half an ans"
    assert failed["thought"].raw == "hm, let me"
    assert "within its reasoning" in failed["thought"].message
    assert len(server.log) == len(names)
    assert progress.failed == {"empty": 1, "cut": 2, "filtered": 1, "too_long": 1, "wrong_request": 1}
    assert progress.answered == 1


def test_answers_that_cost_but_cannot_be_used_are_not_paid_twice(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "answers.sqlite")
    with serving(lambda n, body: chat("half an ans", finish="length")) as server:
        for may_be_cut in (False, False, True):
            with asker(server, cache) as asks_of:
                ((_, result),) = asks_of.answers([question("q", may_be_cut=may_be_cut)])
    assert isinstance(result, Answer)
    assert (result.text, result.finish, result.cached) == ("half an ans", "length", True)
    assert len(server.log) == 1


def test_failures_are_asked_again_in_the_next_run(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "answers.sqlite")
    with serving(lambda n, body: Reply(b"bad value", 400) if n == 0 else echo(n, body)) as server:
        kinds = []
        for _ in range(2):
            with asker(server, cache) as asks_of:
                kinds += [type(result) for _, result in asks_of.answers([question("q")])]
    assert kinds == [Failed, Answer]


def test_a_refused_key_ends_the_run_at_once() -> None:
    with serving(lambda n, body: Reply(b"no", 401)) as server, asker(server, concurrency=4) as asks_of:
        with pytest.raises(Stopped, match="refuses the key") as raised:
            list(asks_of.answers(questions(1000)))
        with pytest.raises(Stopped):
            list(asks_of.answers(questions(1)))
    assert raised.value.reason == "refused_key"
    assert len(server.log) <= 8


def test_a_server_that_is_down_ends_the_run() -> None:
    with (
        asker(f"http://127.0.0.1:{free_port()}", concurrency=4) as asks_of,
        pytest.raises(Stopped, match="cannot be reached") as raised,
    ):
        list(asks_of.answers(questions(1000)))
    assert raised.value.reason == "unreachable"
    assert asks_of.progress.retried["unreachable"] >= 5


def test_a_server_that_only_fails_ends_the_run() -> None:
    with (
        serving(lambda n, body: Reply(b"oh", 500)) as server,
        asker(server, concurrency=4) as asks_of,
        pytest.raises(Stopped, match="status 500"),
    ):
        list(asks_of.answers(questions(1000)))
    assert 20 <= asks_of.progress.failed["server_error"] <= 24


def test_a_storm_of_429_is_weathered() -> None:
    """20 requests a quarter of a second are let through; the others are told to come back."""
    lock, window = threading.Lock(), [0.0, 0]

    def behave(n: int, body: dict[str, Any]) -> Reply:
        with lock:
            if time.monotonic() - window[0] > 0.25:
                window[:] = [time.monotonic(), 0]
            window[1] += 1
            if window[1] > 20:
                return Reply(b"slow down", 429, {"Retry-After": "0.2"})
        return echo(n, body)

    found, _server, progress = run(behave, questions(150), concurrency=64)
    assert len(texts(found)) == 150
    assert progress.retried["rate_limited"] > 0
    assert progress.concurrency < 64


def test_retry_after_is_waited_for() -> None:
    found, server, _ = run(
        lambda n, body: Reply(b"", 429, {"Retry-After": "0.5"}) if n == 0 else echo(n, body), questions(8), concurrency=1
    )
    times = [entry["at"] for entry in server.log]
    assert len(texts(found)) == 8
    assert times[1] - times[0] >= 0.5


def test_a_long_wait_ends_the_run() -> None:
    reply = Reply(b"come back tomorrow", 429, {"Retry-After": "86400"})
    with serving(lambda n, body: reply) as server, asker(server) as asks_of, pytest.raises(Stopped, match="86,400 s"):
        list(asks_of.answers(questions(3)))


def until_stopped(asks_of: Asker, asks: list[Ask]) -> tuple[dict[int, Answer | Failed], Stopped | None]:
    """What was handed out, and what ended the run."""
    found: dict[int, Answer | Failed] = {}
    try:
        for number, result in asks_of.answers(asks):
            found[number] = result
    except Stopped as stopped:
        return found, stopped
    return found, None


def test_limits_of_requests_and_going_on(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "answers.sqlite")
    with serving(echo) as server:
        for wanted in (40, 80, 100):
            with asker(server, cache, Limits(max_requests=40)) as asks_of:
                found, stopped = until_stopped(asks_of, questions(100))
            assert len(server.log) == len(cache) == wanted
            if wanted < 100:
                assert stopped is not None
                assert stopped.reason == "max_requests"
                assert "stopped by max_requests 40 (40 requests sent" in str(stopped)
            else:
                assert stopped is None
                assert len(found) == 100
    assert Counter(server.asked()) == {f"q{i}": 1 for i in range(100)}


@pytest.mark.parametrize("usage", [True, False])
def test_limits_of_tokens_and_money_hold(usage: bool) -> None:
    for limits in (Limits(max_tokens=400), Limits(max_cost=0.0004, prompt_price=1.0, completion_price=1.0)):
        with (
            serving(lambda n, body: chat("five", usage=usage)) as server,
            asker(server, limits=limits, concurrency=16) as asks_of,
        ):
            found, stopped = until_stopped(asks_of, questions(1000, max_tokens=50))
        assert stopped is not None
        assert stopped.reason == ("max_tokens" if limits.max_tokens else "max_cost")
        # The longest answer is held back, so the end comes before the limit, and no more than one longest request before.
        assert 400 - (50 + 10) < limits.spent.tokens <= 400
        assert len(found) == len(server.log) == asks_of.progress.answered
        assert limits.spent.held_tokens == 0
        assert asks_of.progress.estimated == (0 if usage else len(found))


def test_two_askers_share_their_limits() -> None:
    with serving(echo) as server:
        limits = Limits(max_requests=10, prompt_price=100, completion_price=100)
        with asker(server, limits=limits) as first, asker(server, limits=limits.priced(0, 0)) as second:
            assert len(list(first.answers(questions(6)))) == 6
            assert limits.spent.cost == pytest.approx(6 * 15 * 100 / 1e6)
            with pytest.raises(Stopped):
                list(second.answers(questions(6)))
        assert limits.spent.cost == pytest.approx(6 * 15 * 100 / 1e6)
    assert len(server.log) == 10


def test_answers_arrive_while_the_caller_works() -> None:
    with serving(echo) as server, asker(server, concurrency=8) as asks_of:
        answers = asks_of.answers(questions(8))
        next(answers)
        time.sleep(0.5)
        assert asks_of.progress.answered == 8
        assert len(list(answers)) == 7


def test_an_error_of_the_caller_passes() -> None:
    def broken() -> Iterator[Ask]:
        yield from questions(3)
        raise ZeroDivisionError

    with serving(echo) as server, asker(server) as asks_of, pytest.raises(ZeroDivisionError):
        list(asks_of.answers(broken()))


def test_progress_is_shown() -> None:
    seen: list[str] = []
    limits = Limits(prompt_price=20, completion_price=20)
    run(
        flaky([Reply(b"", 500)]),
        questions(5),
        limits=limits,
        watch=lambda progress: seen.append(progress.line()),
    )
    assert "5 requests" in seen[-1]
    assert "75 tokens · cost 0.0015 · 0 of 64 under way" in seen[-1]
    assert "retried: server_error 5" in seen[-1]


def test_concurrency_is_capped() -> None:
    _, server, _ = run(lambda n, body: Reply(chat("x").body, delay=0.05), questions(40), concurrency=5)
    assert server.most_at_once == 5
