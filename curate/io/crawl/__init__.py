"""Crawling with Scrapy in a process of its own; the crawl is told what to do, and tells what it does, in lines of JSON.

A process of its own because Scrapy's reactor cannot start twice in one, and takes over its signals and its log.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

import curate
from curate.errors import MissingExtra, OutputError, WorkerError

__all__ = ["Plan", "crawl"]


class Plan(BaseModel):
    """What to crawl and how; the fields are those of the job `scrape`, which explains them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seeds: tuple[str, ...]
    pages: Path
    """Folder of the pages that were fetched, by this crawl and by those before that were broken off."""
    connect: dict[str, str]
    """`scheme://host` of addresses -> `scheme://host:port` that is asked in its place."""
    depth: int
    max_pages: int
    delay: float
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    same_host: bool
    user_agent: str
    timeout: float
    retries: int
    max_page_bytes: int
    max_errors: int | None


def crawl(plan: Plan, log: Path) -> Generator[dict[str, Any], None, None]:
    """Run a crawl and yield what it tells, in an order that depends on the answers of the servers alone.

    `{"page": url, "file": name in plan.pages, "bytes": n}` for a page that is kept;
    `{"failed": url, "error": kind, "detail": .., "referrer": ..}` for one that could not be had;
    `{"left": url, "reason": ..}` for an address that was not asked for, or whose answer is not kept;
    at the end `{"stopped": "" | "max_pages" | "max_errors", "waiting": addresses that were not come to}`.

    Closing the generator ends the crawl at once; so does the death of this process. `log` holds what Scrapy has to say.
    Raises MissingExtra without Scrapy, OutputError where pages cannot be written, WorkerError where the crawl's process dies.
    """
    if importlib.util.find_spec("scrapy") is None:
        raise MissingExtra("scraping", "scrape")
    log.parent.mkdir(parents=True, exist_ok=True)
    root = str(Path(curate.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with log.open("w") as messages:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "curate.io.crawl"],
            stdin=subprocess.PIPE,  # held open: its end tells the child that this process is gone
            stdout=subprocess.PIPE,
            stderr=messages,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for this process, which ends the child
        )
    ended = False
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(plan.model_dump_json().encode() + b"\n")
        child.stdin.flush()
        for line in child.stdout:
            told = json.loads(line)
            if "fatal" in told:
                raise OutputError(told["fatal"])
            ended = "stopped" in told
            yield told
        code = child.wait()
    finally:
        child.kill()
        child.communicate()
    if code or not ended:
        last = next(reversed(log.read_text(errors="replace").splitlines()), "no message")
        raise WorkerError(f"the crawl's process died (exit code {code}): {last}; see {log}")
