"""The standard library's pydoc web server, each page made in a process of its own. A script, run by `pydoc_source`.

pydoc imports what it documents into its own process, anew for every request (`forceload`). In one process the pages
therefore depend on those asked for before: 20 of 886 pages of Python 3.11 differ when they are asked for in another order
(base classes that are linked or not, enum members that are listed or not). A fork for every page makes a page depend on its
address alone, and a module that ends or hangs its process costs one page instead of the server.

Memory addresses (`<function f at 0x7f..>`) are left out: pydoc itself does so for values (`pydoc.stripid`) but not for the
defaults of parameters. With them no page that shows one would be the same twice.

Imports nothing but the standard library: it runs without site-packages, so that these are not in pydoc's index.
"""

import os
import pydoc
import re
import signal
import sys

PAGE_SECONDS = 60
"""A page that takes longer is given up; the slowest of Python 3.11 takes 1.5 s on an idle machine, 7 s on a busy one."""

ADDRESS = re.compile(r"(?: |&nbsp;)at(?: |&nbsp;)0x[0-9a-f]{6,16}\b|,(?: |&nbsp;)handle(?: |&nbsp;)[0-9a-f]{6,16}\b")
"""As `pydoc.stripid` has it, in HTML; and the handles of libraries that ctypes shows."""


def page(url: str, content_type: str) -> str:
    """pydoc's page for `url`, made in a fork of this process; empty when the fork died."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reader)
            nothing = os.open(os.devnull, os.O_RDWR)
            os.dup2(nothing, 0)  # modules that read or print when imported
            os.dup2(nothing, 1)
            signal.alarm(PAGE_SECONDS)
            with open(writer, "wb") as out:
                out.write(ADDRESS.sub("", pydoc._url_handler(url, content_type)).encode())  # type: ignore[attr-defined]
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader, "rb") as made:
        html = made.read()
    _, status = os.waitpid(child, 0)
    return html.decode() if status == 0 else ""


def main() -> None:
    """Serve on a free port of the loopback interface, say which on stdout, and end when stdin does."""
    server = pydoc._start_server(page, "127.0.0.1", 0)  # type: ignore[attr-defined]
    if server.error:
        sys.exit(f"pydoc server: {server.error}")
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    # Pages show these: they would tell where curate is installed.
    sys.argv = sys.orig_argv = ["pydoc"]
    sys.executable = "python"
    sys.modules["__main__"].__file__ = "pydoc"
    sys.path_importer_cache.clear()
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
