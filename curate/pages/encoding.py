"""Which encoding a page is in."""

from __future__ import annotations

import codecs
import contextlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["decode", "decode_all"]

MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
XML = re.compile(rb"\s*<\?xml\s[^>]{0,200}?encoding\s*=\s*[\"']([\w.:-]{1,40})[\"']")
COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
META = re.compile(rb"<meta[\s/][^>]*?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.IGNORECASE)
TAG = re.compile(rb"<[a-zA-Z!/]")

PRESCAN = 1024
"""Bytes in which a page may say its encoding (WHATWG HTML, 13.2.3.2)."""

WIDER = {
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
}
"""Python's codecs of what the WHATWG Encoding standard means by a name: with the characters that vendors added."""

UNUSUAL = re.compile(rb"^\xef\xbb\xbf|(?:charset|encoding)\s*=\s*[\"']?\s*(?!utf-?8)[\w.:-]", re.IGNORECASE)
"""What in its first bytes makes a page one that has to be looked at alone: a mark, or a name other than UTF-8."""

SPARE = 8
"""Bytes of UTF-8 beyond ASCII by which a page is UTF-8 whatever it says. Of pairs of common Chinese characters in GBK one in
five is valid UTF-8: eight such bytes by chance are one in a thousand pages that have no other."""


def decode(html: bytes, content_type: str | None) -> str:
    """A page's characters. Its encoding is, by the first that says: byte order mark, HTTP header, `<?xml` or `meta` in the
    first 1024 bytes, statistics (uchardet).

    The order and the names are those of the WHATWG HTML and Encoding standards. Where the bytes say otherwise they are
    believed: UTF-8 under another name, UTF-16 without a mark or without being it. Single bytes that are wrong in the encoding
    become U+FFFD; where many are (one in five of those beyond ASCII), the page is in another one. No page fails here. O(bytes).
    """
    for mark, name in MARKS:
        if html.startswith(mark):
            return html[len(mark) :].decode(name, "replace")
    said = _said(html, content_type)
    wide = _utf16(html[:4096], said)
    if wide is not None:
        return html.decode(wide, "replace")
    if said in ("utf-16-le", "utf-16-be"):
        said = None
    text, evidence = _utf8(html)
    if text is not None and (said == "utf-8" or evidence >= (1 if said in (None, "cp1252") else SPARE)):
        return text
    for codec in (said, _detected(html), "utf-8", "cp1252"):
        if codec is not None and (text := _fitting(html, codec)) is not None:
            return text
    return html.decode(said or "utf-8", "replace")


def decode_all(html: pl.Series, content_type: pl.Series) -> pl.Series:
    """`decode` of every page of a column (bytes, null for none); the usual ones, UTF-8 by all signs, at once."""
    import polars as pl

    from curate.kernels.columns import buffers
    from curate.kernels.utf8 import plain_utf8

    said = content_type.cast(pl.String).str.extract("(?i)" + CHARSET.pattern).str.to_lowercase().is_in(["utf-8", "utf8"])
    utf8 = plain_utf8(*buffers(html.to_arrow().cast("large_binary").view("large_string")))
    usual = [
        bool(valid) and named is not False and not (head and UNUSUAL.search(head))
        for valid, named, head in zip(utf8, said, html.bin.head(PRESCAN).to_list(), strict=True)
    ]
    if not all(usual):
        pages = zip(html, content_type, usual, strict=True)
        made = [page if fine or not page else decode(page, kind).encode("utf-8", "replace") for page, kind, fine in pages]
        html = pl.Series(made, dtype=pl.Binary)
    return html.fill_null(b"").cast(pl.String)


def _said(html: bytes, content_type: str | None) -> str | None:
    """What header or page say, as the name of a codec."""
    named = CHARSET.search(content_type) if content_type else None
    codec = _codec(named[1]) if named else None
    if codec is not None:
        return codec
    head = html[:PRESCAN]
    found = XML.match(head) or META.search(COMMENT.sub(b"", head))
    codec = _codec(found[1].decode("ascii", "replace")) if found else None
    # Could this be read, it is not UTF-16 (WHATWG HTML, 13.2.3.2).
    return "utf-8" if codec is not None and codec.startswith("utf-16") else codec


def _codec(label: str) -> str | None:
    from resiliparse.parse.encoding import map_encoding_to_html5

    name = map_encoding_to_html5(label, fallback_utf8=False)
    return WIDER.get(name, name) if name else None


def _utf16(head: bytes, said: str | None) -> str | None:
    """The page's byte order, where it is UTF-16: every other byte of its tags is NUL."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    if 4 * max(even, odd) > len(head) // 2 > 20 * min(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    if said in ("utf-16-le", "utf-16-be") and not TAG.search(head):
        return said
    return None


def _utf8(html: bytes) -> tuple[str | None, int]:
    """The page as UTF-8, where it is that throughout (its last character may be cut off), and its bytes beyond ASCII."""
    try:
        text, _ = codecs.utf_8_decode(html, "strict", False)
    except UnicodeDecodeError:
        return None, 0
    return text, len(html) - len(text)


def _detected(html: bytes) -> str | None:
    from resiliparse.parse.encoding import detect_encoding

    if html.isascii() and b"\x1b" not in html:
        return "utf-8"
    # It names some that the WHATWG does not, among them the one of nearly all Korean pages (cp949).
    name = detect_encoding(html, html5_compatible=False)
    codec = _codec(name) if name else None
    if name and codec is None:
        with contextlib.suppress(LookupError):
            codec = codecs.lookup(name).name
    return codec


def _fitting(html: bytes, codec: str) -> str | None:
    """The page's characters in an encoding that it can be in."""
    text = html.decode(codec, "replace")
    wrong = text.count("\ufffd")
    if not wrong:
        return text
    if codec == "utf-8":
        wrong -= html.count("\ufffd".encode())
    beyond = len(text) - len(text.encode("ascii", "ignore"))
    return text if 5 * wrong <= beyond else None
