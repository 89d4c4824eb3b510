from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.traces import _PREFIXES, TRACES, traces
from tests.kernels.texts import column

_PIECES = [
    *"aZ0 1._-+(/:=@\"'\n%",
    "12", "345", "6789", " ", "::", "://", "ab", "fe80", "AKIA", "sk-", "eyJ", "DE44", "AB", "\u00a0", "é",
    "mail.org", "user", "password", "x1y2z3w4v5u6", "-----BEGIN ", "-----END ", "-----", "KEY",
    "GB82 WEST 1234 5698 7654 32", "2001:db8:0:0:1:2:3:4", "192.0.2.1", "ghp_0123456789abcdef", "漢", "::ffff:192.0.2.1",
]  # fmt: skip
rows_of_traces = st.lists(st.lists(st.sampled_from(_PIECES), max_size=30).map("".join), max_size=4)

WORD, SECRET = rb"[A-Za-z0-9_]", rb"[A-Za-z0-9_+/=.~!@#$%^&*-]"
NUMBER = re.compile(rb"\d(?:(?:[ ().\-/]|\xc2\xa0){0,3}\d)*")
PREFIX = re.compile(b"|".join(re.escape(prefix) for prefix in sorted(_PREFIXES, key=len, reverse=True)))


def back(pattern: bytes, text: bytes, i: int) -> int:
    """Where the run of `pattern` that ends at i begins."""
    run = re.search(b"(?:" + pattern + rb")\Z", text[:i])
    assert run
    return run.start()


def twin(text: bytes, wanted: set[str]) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []

    def put(kind: str, start: int, end: int) -> None:
        found.append((kind, text[start:end]))

    i = 0
    while i < len(text):
        rest = text[i:]
        if word := re.match(WORD + b"+", rest):
            if rest[:1].isdigit():
                end = i + len(word[0])
                if "number" in wanted:
                    number = NUMBER.match(rest)
                    assert number
                    if len(re.findall(rb"\d", number[0])) >= 7 or number[0].count(b".") >= 3:
                        put("number", back(rb"[+(]{0,2}", text, i), i + len(number[0]))
                    end = i + len(number[0])
                    end += len(re.match(WORD + b"*", text[end:])[0])  # type: ignore[index]
                i = end
                continue
            token = re.match(rb"[A-Za-z0-9_.-]{16,4000}", rest) if PREFIX.match(rest) and "token" in wanted else None
            if token:
                put("token", i, i + max(len(token[0]), len(word[0])))
                i += max(len(token[0]), len(word[0]))
                continue
            account = re.match(rb"[A-Z]{2}\d\d[A-Z0-9 ]{0,46}", rest)
            if "account" in wanted and account and len(account[0].replace(b" ", b"")) >= 15:
                put("account", i, i + len(account[0]))
            i += len(word[0])
            continue
        if rest[:1] == b"@" and "address" in wanted:
            start = back(rb"[A-Za-z0-9._%+'-]{0,64}", text, i)
            domain = re.match(rb"@([A-Za-z0-9.-]{0,254})", rest)
            assert domain
            if start < i and b"." in domain[1]:
                put("address", start, i + len(domain[0]))
        elif rest.startswith(b"://"):
            login = re.match(rb"://([^@\t\n\r /<>\"'`()\[\]{}|\\,]{0,297})@", rest)
            if "login" in wanted and login and b":" in login[1]:
                put("login", i + 3, i + len(login[0]))
            i += 3
            continue
        elif rest[:1] in (b":", b"="):
            if rest[:1] == b":" and "colons" in wanted and re.match(rb":[:0-9a-fA-F]", rest):
                start = back(rb"[0-9a-fA-F]{0,5}", text, i)
                run = re.match(rb"[0-9a-fA-F:.]{1,64}", text[start:])
                assert run
                enough = b"::" in text[start : start + len(run[0]) + 1] or run[0].count(b":") >= 7
                if (
                    not re.search(rb"[A-Za-z0-9_:]\Z", text[:start])
                    and enough
                    and run[0].count(b":") >= 2
                    and re.search(rb"\d", run[0])
                ):
                    put("colons", start, start + len(run[0]))
                    i += 1
                    continue
            if "assignment" in wanted:
                value = re.match(rb"[=:]([ =>\"']{0,5})(" + SECRET + rb"{12,300})", rest)
                if value and not re.match(rb"[ =>\"']", value[2]):
                    end_name = back(rb"[ \"':]{0,3}", text, i)
                    name = back(rb"[A-Za-z0-9_.-]{0,48}", text, end_name)
                    mixed = re.search(rb"\d", value[2]) and re.search(rb"[A-Za-z_]", value[2])
                    if mixed and end_name - name >= 3:
                        put("assignment", name, i + len(value[0]))
        elif rest.startswith(b"-----BEGIN ") and "key_block" in wanted:
            block = re.match(rb"-----BEGIN (?:(?!-----BEGIN ).)*?-----END [A-Za-z0-9_ -]*", rest, re.S)
            if block:
                put("key_block", i, i + len(block[0]))
        i += 1
    return found


@settings(max_examples=600)
@given(rows_of_traces, st.sets(st.sampled_from(TRACES)))
def test_equals_twin(rows: list[str], wanted: set[str]) -> None:
    offsets, data = column(rows)
    found = traces(offsets, data, sum(1 << TRACES.index(kind) for kind in wanted))
    text = bytes(data)
    result: list[list[tuple[str, bytes]]] = [[] for _ in rows]
    for document, kind, start, end in zip(*(part.tolist() for part in found), strict=True):
        assert offsets[document] <= start < end <= offsets[document + 1]
        result[document].append((TRACES[kind], text[start:end]))
    assert result == [twin(row.encode(), wanted) for row in rows]


def test_more_windows_than_room() -> None:
    rows = ["a@b.c " * 5000, "no more"]
    offsets, data = column(rows)
    found = traces(offsets, data, 1)
    assert len(found.starts) == 5000
    assert set(found.documents.tolist()) == {0}


@pytest.mark.parametrize("piece", ["-----BEGIN ", "@", "a1=", ":", "://", "eyJ.", "AB12 ", "1.", "=a1"])
def test_time_is_linear(piece: str) -> None:
    """What begins a window again and again: a megabyte of it is done within a second or so, not within hours."""
    offsets, data = column([piece * (1_000_000 // len(piece))])
    assert len(traces(offsets, data, 255).starts) <= 1_000_000
