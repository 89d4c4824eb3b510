import json
import re
import socket
from pathlib import Path

import pytest

from curate.rank.votes import Vote, append_votes, read_votes
from tests.command import curate
from tests.rank.page.serving import campaign, serving, state


def test_a_link_made_while_the_page_is_served(tmp_path):
    with serving(campaign(tmp_path, annotators=())) as server:
        done = curate("rank", "link", tmp_path, "cleo")
        assert re.fullmatch(re.escape(server.base) + r"/a/[\w-]{22}\n", done.stdout)
        server.links["cleo"] = done.stdout.strip()
        assert curate("rank", "link", tmp_path, "cleo").stdout == done.stdout
        assert server.ask("cleo", "open", {})[0] == 200


def test_links_stay_and_votes_of_a_killed_server_are_exported(tmp_path):
    at = "2026-01-01T00:00:00.000000Z"
    folder = campaign(tmp_path, tasks=3)
    append_votes(folder / "votes.jsonl", [Vote("t0", "ada", "overall", {"a": 1, "b": 2}, at, source="csv")])
    with serving(folder) as server:
        links = server.links
        task = server.ask("ada", "open", {})[1]
        assert (task["task"], task["done"], task["left"]) == ("t1", 1, 2)
        server.ask("ada", "vote", {"task": "t1", "submission": "s" * 24, "state": state(a=2, b=1)})
        assert "ada" in server.raw("/admin/" + server.secret("admin"))[1]
        server.kill()
    assert curate("rank", "serve", folder, "--export").stdout == f"{folder / 'votes.jsonl'}: 1 votes added\n"
    assert [vote.task for vote in read_votes(folder / "votes.jsonl")] == ["t0", "t1"]
    with (folder / "votes.jsonl").open("a") as file:
        file.write('{"task": "t1", "annota')  # killed while it exported
    with serving(folder) as server:
        assert [link.partition("/a")[2] for link in server.links.values()] == [
            link.partition("/a")[2] for link in links.values()
        ]
        assert server.ask("ada", "open", {})[1]["task"] == "t2"


@pytest.mark.parametrize(
    ("options", "message", "code"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0: other machines could reach the page", 2),
        (["--host", "example.org"], "other machines could reach the page", 2),
        (["--return-after", "0"], "--return-after 0: must be more than 0 minutes", 2),
        (["--port", "99999"], "127.0.0.1:99999: cannot listen", 1),
        (["--prot", "1"], "--prot", 2),
    ],
)
def test_mistakes(tmp_path, options, message, code):
    done = curate("rank", "serve", campaign(tmp_path), *options)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_folders_that_are_none(tmp_path):
    for command in (["serve", tmp_path, "--port", "0"], ["link", tmp_path, "ada"], ["serve", tmp_path, "--export"]):
        done = curate("rank", *command)
        assert (done.returncode, "`curate rank export` makes such folders" in done.stderr) == (1, True)
        assert list(tmp_path.iterdir()) == []
    folder = campaign(tmp_path / "none", tasks=0)
    assert "the campaign has no tasks" in curate("rank", "serve", folder, "--port", "0").stderr


def test_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = curate("rank", "serve", campaign(tmp_path), "--port", str(port))
    assert f"127.0.0.1:{port}: cannot listen: Address already in use; try another --port" in done.stderr


def test_public_is_asked_for(tmp_path):
    with serving(campaign(tmp_path), "--host", "0.0.0.0", "--public", "--url", "https://rank.example/") as server:
        assert server.links["ada"].startswith("https://rank.example/a/")


def test_the_folder_of_an_export_will_do(tmp_path: Path) -> None:
    rows = [{"prompt": "q", "responses": ["x", "y"], "scores": [1, 2]}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = curate("rank", "export", tmp_path / "in.jsonl", "-o", tmp_path / "tasks")
    assert made.returncode == 0, made.stderr
    assert made.stdout.splitlines()[-1].endswith(f"curate rank serve {tmp_path / 'tasks'}")
    linked = curate("rank", "link", tmp_path / "tasks", "ada")
    assert linked.returncode == 0, linked.stderr
    assert linked.stdout == curate("rank", "link", tmp_path / "tasks" / "data", "ada").stdout
