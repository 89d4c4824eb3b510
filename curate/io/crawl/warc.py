"""Stored pages as WARC 1.1, the format of web archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from curate.io.crawl.pages import Page, load
from curate.io.files import atomic

__all__ = ["write_warcs"]

KEPT_HEADERS = ("content-type", "content-language", "last-modified")
"""Headers of an answer that say something about the page. The others tell of the connection, or change with every answer."""


def record(page: Page) -> bytes:
    """A gzip member with the page's response record, which depends on the page alone: name-based id, time it was fetched."""
    from fastwarc.warc import WarcRecord, WarcRecordType

    digest = hashlib.sha1(page.body)
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{page.url} {digest.hexdigest()}")
    headers = [(key, value) for key, value in page.headers if key.lower() in KEPT_HEADERS]
    headers.append(("Content-Length", str(len(page.body))))
    head = f"HTTP/1.1 {page.status} OK\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers)
    warc = WarcRecord()
    warc.init_headers(record_type=WarcRecordType.response, record_urn=name.urn.removeprefix("urn:").encode())
    warc.headers["WARC-Date"] = page.fetched
    warc.headers["WARC-Target-URI"] = page.url
    warc.headers["Content-Type"] = "application/http; msgtype=response"
    warc.set_bytes_content(head.encode("latin-1") + b"\r\n" + page.body)
    plain = io.BytesIO()
    warc.write(plain, checksum_data=True, payload_digest=digest.digest())
    return gzip.compress(plain.getvalue(), 6, mtime=0)


def parts(files: Iterable[Path], part_bytes: int) -> Iterator[Iterator[bytes]]:
    """Records in runs of at least `part_bytes` compressed bytes each, the last one less."""
    members = (record(page) for page in map(load, files) if page is not None)
    for first in members:

        def run(first: bytes = first) -> Iterator[bytes]:
            size = len(first)
            yield first
            while size < part_bytes and (member := next(members, None)) is not None:
                size += len(member)
                yield member

        yield run()


def write_warcs(files: Iterable[Path], folder: Path, part_bytes: int) -> int:
    """Write stored pages, in the order given, as `pages-00000.warc.gz`, `pages-00001.warc.gz` ...; returns their bytes.

    One gzip member a record, as the standard asks, so that readers can seek. Each file appears whole, under its name.
    Memory: one page.
    """
    written = 0
    for number, members in enumerate(parts(files, part_bytes)):
        path = folder / f"pages-{number:05d}.warc.gz"
        with atomic(path) as out:
            for member in members:
                written += out.write(member)
    return written
