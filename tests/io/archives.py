"""Records of web archives, written by hand."""

from __future__ import annotations

import gzip


def record(kind: str, uri: str, body: bytes, content_type: str = "text/plain", extra: str = "") -> bytes:
    head = f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\nWARC-Date: 2024-01-02T03:04:05Z\r\n"
    head += f"WARC-Record-ID: <urn:uuid:{abs(hash((uri, kind))) % 10**12:012d}-0000>\r\nContent-Type: {content_type}\r\n{extra}"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"


def response(
    uri: str, page: bytes, content_type: str = "text/html; charset=utf-8", status: str = "200 OK", extra: str = ""
) -> bytes:
    http = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{extra}Content-Length: {len(page)}\r\n\r\n".encode() + page
    return record("response", uri, http, "application/http; msgtype=response")


def packed(records: list[bytes], name: str) -> bytes:
    """The records as the content of a file: each a gzip member where the name says so."""
    return b"".join(map(gzip.compress, records)) if name.endswith(".gz") else b"".join(records)
