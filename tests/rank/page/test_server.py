"""Who may do what: secrets, foreign sites, other people's tasks, paths, sizes, and what is booked."""

import json

import pytest

from curate.rank.votes import read_votes
from tests.rank.page.serving import campaign, serving, state

HEADERS = {"content_type": "application/json"}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server whose tasks run out for nobody."""
    with serving(campaign(tmp_path_factory.mktemp("campaign"), tasks=50, overlap=5)) as server:
        yield server


def send(task, **more):
    return {"task": task, "submission": "s" * 24, "state": state(a=1, b=2, c=3), **more}


def test_links_and_secrets(served):
    assert served.raw(f"/a/{served.secret('ada')}")[0] == 200
    for path in (
        "/a/",
        "/a/x",
        f"/a/{served.secret('admin')}",
        f"/admin/{served.secret('ada')}",
        "/admin/",
        "/a/%00",
        "/a/é".encode().decode("latin-1").replace("Ã©", "%C3%A9"),
    ):
        status, text, _ = served.raw(path)
        assert status in (401, 404), path
        assert served.secret("ada") not in text
    for path in ("open", "start", "draft", "vote", "admin/export", "admin/link", "admin/votes"):
        for header in (
            {},
            {"authorization": "Bearer x"},
            {"authorization": "Bearer "},
            {"cookie": f"secret={served.secret('ada')}"},
        ):
            assert served.raw(f"/api/{path}", b"{}", **HEADERS, **header)[0] == 401
    for path in ("admin/export", "admin/link", "admin/votes"):
        assert served.ask("ada", path, {"name": "eve"})[0] == 401
    assert served.ask("admin", "open", {})[0] == 401
    assert served.raw("/api/signup", b'{"name": "eve"}', **HEADERS)[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/..%2fserver.py",
        "/static//etc/passwd",
        "/static/rank.html",
        "/static/",
        "/page.sqlite",
        "/api/",
        "//a",
    ],
)
def test_paths_lead_nowhere_else(served, path):
    status, text, _ = served.raw(path)
    assert status == 404
    assert "import" not in text


def test_every_answer_carries_the_policy(served):
    for path in (
        "/",
        "/nowhere",
        f"/a/{served.secret('ada')}",
        f"/admin/{served.secret('admin')}",
        "/static/page.js",
        "/api/open",
    ):
        _, _, headers = served.raw(path)
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "no-referrer")
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
        assert "set-cookie" not in headers


def test_other_sites_are_turned_away(served):
    bearer = {"authorization": f"Bearer {served.secret('ada')}"}
    assert served.raw("/api/open", b"{}", **HEADERS, **bearer, sec_fetch_site="same-origin")[0] == 200
    for site in ("cross-site", "same-site"):
        assert served.raw("/api/open", b"{}", **HEADERS, **bearer, sec_fetch_site=site)[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert served.raw("/api/open", b"{}", **bearer, content_type=kind)[0] == 415
    assert served.raw("/api/open", **bearer)[0] == 405
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        assert served.raw("/", host=host)[0] == 421
    assert served.raw("/", host="localhost:1")[0] == 200


def test_one_cannot_reach_what_is_anothers(served):
    task = served.ask("bob", "open", {})[1]["task"]
    own = served.ask("ada", "open", {})[1]["task"]
    assert task != own
    for path, body in (
        ("open", {"task": task}),
        ("draft", {"task": task, "state": state()}),
        ("vote", send(task)),
        ("vote", send("nowhere")),
    ):
        status, said = served.ask("ada", path, body)
        assert (status, said["error"]) == (403, "Not a task of yours.")
    assert served.ask("bob", "draft", {"task": task, "state": state(a=1)})[0] == 200
    assert served.ask("ada", "open", {"task": own})[1]["state"] is None
    assert served.ask("bob", "open", {"task": task})[1]["state"]["criteria"]["overall"]["ranks"] == {"a": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": state(a=1, d=2)}, "A rank is of an answer that the task has not."),
        ({"state": state("nicer", a=1, b=2)}, "Not a criterion here: nicer"),
        ({"state": state(a=1)}, "overall: rank two answers or more, or skip the task."),
        ({"state": state(a=0, b=1)}, "state.criteria.overall.ranks.a: Input should be greater than or equal to 1"),
        ({"state": state(a=10, b=1)}, "state.criteria.overall.ranks.a: Input should be less than or equal to 9"),
        ({"state": state(comment="x" * 10_001)}, "state.comment: String should have at most 10000 characters"),
        ({"state": {**state(a=1, b=2), "seconds": -1}}, "state.seconds: Input should be greater than or equal to 0"),
        ({"annotator": "bob"}, "annotator: Extra inputs are not permitted"),
        ({"submission": "'; DROP TABLE votes; --"}, "submission: String should match pattern"),
        ({"skipped": "yes"}, "skipped: Input should be a valid boolean"),
    ],
)
def test_votes_that_are_none(served, change, message):
    task = served.ask("ada", "open", {})[1]["task"]
    status, said = served.ask("ada", "vote", {**send(task), **change})
    assert (status, said["error"].startswith(message)) == (422, True), said


def test_bodies(served):
    bearer = {"authorization": f"Bearer {served.secret('ada')}"}
    assert served.raw("/api/open", b"{" + b" " * 65_534 + b"}", **HEADERS, **bearer)[0] == 200
    assert served.raw("/api/open", b"{" + b" " * 65_535 + b"}", **HEADERS, **bearer)[0] == 413
    for body in (b"", b"[", b"[]", b"null", b"\xff", b'{"task": "\\ud800"}', b"{" * 60_000):
        status, text, _ = served.raw("/api/open", body or b" ", **HEADERS, **bearer)
        assert (status, "error" in json.loads(text)) == (422, True), body[:20]


def test_a_vote_is_booked_once_and_its_change_too(tmp_path):
    with serving(campaign(tmp_path, tasks=2)) as server:
        task = server.ask("ada", "open", {})[1]["task"]
        # Five hours of work on a task that was opened a moment ago are not believed.
        long = {**state(a=3, b=9, comment="é\u2028"), "seconds": 18_000}
        for _ in range(3):
            assert server.ask("ada", "vote", send(task, state=long)) == (200, {"saved": True})
        second = server.ask("ada", "open", {})[1]
        assert (second["previous"], second["done"], second["left"]) == (task, 1, 1)
        again = server.ask("ada", "open", {"task": task})[1]
        assert (again["voted"], again["state"]["criteria"]["overall"]["ranks"]) == (True, {"a": 1, "b": 2})
        assert server.ask("ada", "vote", send(task, submission="t" * 24, skipped=True))[0] == 200
        assert server.ask("ada", "vote", send(second["task"], submission="u" * 24, state=state(all_bad=True)))[0] == 200
        assert server.ask("bob", "open", {})[1]["task"] == task
        assert "3 votes added" in server.stop()
    votes = read_votes(tmp_path / "votes.jsonl")
    assert [(vote.task, vote.ranks, vote.all_bad) for vote in votes] == [
        (task, {"a": 1, "b": 2}, False), (task, None, False), (second["task"], {"a": 1, "b": 1, "c": 1}, True),
    ]  # fmt: skip
    assert votes[0].seconds < 60
    assert votes[0].comment == "é\u2028"
    assert votes[0].at < votes[1].at


def test_signing_up(tmp_path):
    with serving(campaign(tmp_path), "--open-signup") as server:
        status, text, _ = server.raw("/api/signup", b'{"name": "cy"}', **HEADERS)
        link = json.loads(text)["link"]
        assert (status, server.raw(link)[0]) == (200, 200)
        for name in ("cy", "ada", "", "a\u202eb"):
            assert server.raw("/api/signup", json.dumps({"name": name}).encode(), **HEADERS)[0] == 422
        assert 'id="signup"' in server.raw("/")[1]
