"""Python's own documentation as a site."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from curate.io import pydoc_source
from curate.io.pydoc_source import PydocSource


def pages(names: Sequence[str]) -> dict[str, bytes]:
    with PydocSource().serve() as site:
        address = urlsplit(site.connect["http://pydoc.localhost"]).netloc
        found = {}
        for name in names:
            connection = HTTPConnection(address, timeout=60)
            connection.request("GET", f"/{name}.html")
            found[name] = connection.getresponse().read()
            connection.close()
    return found


def test_a_page_does_not_depend_on_those_before() -> None:
    # In pydoc's own process these differ: a module made anew is no longer the one that other modules hold.
    names = ["enum", "socket", "io", "gzip", "_decimal", "decimal", "weakref"]
    assert pages(names) == pages(names[::-1])


def test_pages_show_neither_memory_addresses_nor_where_curate_is(monkeypatch: pytest.MonkeyPatch) -> None:
    # pydoc sorts what it shows of a mapping and cuts the rest off: a path that begins with a dot comes first.
    monkeypatch.setattr(pydoc_source, "__file__", os.path.relpath(pydoc_source.__file__, os.path.dirname(os.__file__)))
    found = pages(["ftplib", "smtplib", "platform", "sys"])
    assert b"class " in found["ftplib"]
    for page in found.values():
        assert b"at&nbsp;0x" not in page
        assert b" at 0x" not in page
        assert b"pydoc_server" not in page
    assert sys.executable.encode() not in found["platform"]
