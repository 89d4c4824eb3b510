"""Pages on disk: one file for every answer of a server, so that a crawl that was broken off goes on without asking again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from curate.io.files import atomic

__all__ = ["Page", "load", "store"]


class Page(NamedTuple):
    """An answer as it came, body without its content encoding.

    `fetched` is the time of the answer in UTC, `2026-01-31T12:00:00Z`; `headers` are names and values in their order.
    """

    url: str
    status: int
    fetched: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The header's first value, or nothing."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def store(path: Path, page: Page) -> None:
    """Write a page: a line of JSON, then the body. The file is whole or not there. Raises OutputError."""
    about = {"url": page.url, "status": page.status, "fetched": page.fetched, "headers": page.headers}
    with atomic(path) as file:
        file.write(json.dumps(about).encode() + b"\n" + page.body)


def load(path: Path) -> Page | None:
    """The page, or None where none was stored."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
    except FileNotFoundError:
        return None
    about = json.loads(head)
    return Page(about["url"], about["status"], about["fetched"], [(name, value) for name, value in about["headers"]], body)
