"""A campaign, and `curate rank serve` on it as a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.rank.campaign import Answer, Campaign, Key, Task, write_campaign
from tests.command import start

GOLD = {"a": 1, "b": 2, "c": 3}


def campaign(
    folder: Path, tasks: int = 6, gold: int = 0, texts: tuple[str, ...] = ("yes", "no", "maybe"), **settings: Any
) -> Path:
    """A campaign of tasks t0, t1 ...; the last `gold` of them are gold."""
    prompt = ({"role": "user", "content": "Is it so?"},)
    rows = [Task(f"t{i}", prompt, tuple(map(Answer, "abcdefghi", texts))) for i in range(tasks)]
    key = [Key(row.task, gold=GOLD if i >= tasks - gold else None) for i, row in enumerate(rows)]
    write_campaign(folder, Campaign(**{"annotators": ("ada", "bob"), **settings}), rows, key)
    return folder


@dataclass
class Served:
    """A server that runs. links: by annotator, and `admin`."""

    process: subprocess.Popen[str]
    links: dict[str, str]
    base: str

    def secret(self, name: str) -> str:
        return self.links[name].rpartition("/")[2]

    def raw(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, str, dict[str, str]]:
        """Status, body and headers of a request."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.base + path, data, names)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.headers.items()}
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), {k.lower(): v for k, v in error.headers.items()}

    def ask(self, name: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and JSON of a call in somebody's name."""
        headers = {"authorization": f"Bearer {self.secret(name)}", "content_type": "application/json"}
        status, text, _ = self.raw(f"/api/{path}", json.dumps(body).encode(), **headers)
        return status, json.loads(text)

    def stop(self) -> str:
        """End it as Ctrl-C does; what it said last."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=30)
        assert (self.process.returncode, err) == (0, "")
        return out

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Served]:
    """A server on a free port; killed at the end where it still runs."""
    process = start("rank", "serve", folder, *([] if "--port" in options else ["--port", "0"]), *options, small=False)
    try:
        said = ""
        while "Ctrl-C ends" not in said:
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            said += line
        links = dict(re.findall(r"^ *(.+?):? +(http\S+)$", said, re.MULTILINE))
        yield Served(process, links, links["admin"].partition("/admin/")[0])
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def state(criterion: str = "overall", comment: str = "", all_bad: bool = False, **ranks: int) -> dict[str, Any]:
    return {"criteria": {criterion: {"ranks": ranks, "all_bad": all_bad}}, "comment": comment, "seconds": 0.5}
