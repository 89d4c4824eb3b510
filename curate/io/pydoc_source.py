"""A web site that every Python carries: its own documentation, served on this machine by the standard library's pydoc."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from curate.declare import Options
from curate.errors import WorkerError

__all__ = ["PydocSource", "Site"]

BASE = "http://pydoc.localhost"
"""What stands for the server in stored addresses: its port is another each time, the pages are not."""

DENY = (
    r"/(get|search)\?",  # forms: `get` gives pages again under other names, `search` imports every module there is
    r"/index\.html$",  # the same page as /
    r"/antigravity\.html$",  # opens a web browser when imported
    r"/(__main__|this)\.html$",  # the server itself; a program that prints a poem
    r"[/.]__main__\.html$",  # programs, not modules: they act when imported
    r"/(idlelib|turtledemo)\b",  # programs with windows
    r"/test\b|\.tests?\b",  # CPython's own tests, which open sockets, fork and crash on purpose
)
"""Pages of pydoc's site that are not asked for, as regular expressions of their addresses."""


class Site(NamedTuple):
    """A running site: where a crawl of it starts, where connections to that address go, and what it must not ask for."""

    seeds: tuple[str, ...]
    connect: dict[str, str]
    deny: tuple[str, ...]


class PydocSource(Options):
    """The Python documentation of this machine's Python, as pages over HTTP.

    Its pages are those of `python -m pydoc -p`: one for every module of the standard library (site-packages are left out),
    every topic and keyword of the language. They are stored under `http://pydoc.localhost/`, whatever the port. Asked again,
    on this machine with this Python, a page is the same to the byte.
    """

    kind: Literal["pydoc"] = Field("pydoc", description="pydoc: the documentation of the Python that runs curate.")

    @contextmanager
    def serve(self) -> Iterator[Site]:
        """Run the server until the block ends. It also ends when this process does, however that dies."""
        server = subprocess.Popen(
            # -S -s -P and a bare environment: neither site-packages nor the user's folders or variables show in pages.
            [sys.executable, "-S", "-s", "-P", str(Path(__file__).with_name("pydoc_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # warnings of deprecated modules
            cwd=os.path.dirname(os.__file__),
            # One order of sets, one time zone, one language, whatever the machine's.
            env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            start_new_session=True,  # Ctrl-C is for curate alone, which ends the server
            text=True,
        )
        try:
            assert server.stdout is not None
            port = server.stdout.readline().strip()
            if not port:
                raise WorkerError(f"the pydoc server did not start (exit code {server.wait()})")
            yield Site((f"{BASE}/",), {BASE: f"http://127.0.0.1:{port}"}, DENY)
        finally:
            server.kill()
            server.communicate()
