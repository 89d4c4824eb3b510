"""The twin of the kernels is `json.loads` in strict mode, and `json.JSONDecoder.raw_decode` for the spans."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curate.kernels import json_lines as jl

WANTED = ["text", "id", 'mess"ages\né']
SPACE = " \t\r"

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.text('\\"/\b\f\n\r\tué\u2028𝄞\x7f ')
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
objects = st.dictionaries(st.sampled_from(WANTED) | st.text(max_size=8), values, max_size=8)


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """A valid line: an object, escaped or not, loosely or tightly spaced."""
    gap = st.text(" \t", max_size=2)
    text = json.dumps(
        draw(objects),
        ensure_ascii=draw(st.booleans()),
        separators=(draw(gap) + "," + draw(gap), draw(gap) + ":" + draw(gap)),
    )
    return (draw(gap) + text + draw(gap) + draw(st.sampled_from(["", "\r"]))).encode()


def strict(line: bytes) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(word)

    return json.loads(line.decode("utf-8"), parse_constant=refuse)


def good(line: bytes) -> bool:
    """What Python's reader says of a line that is an object. The caller keeps clear of the documented differences."""
    try:
        return isinstance(strict(line), dict)
    except (ValueError, UnicodeDecodeError):
        return False


def members(line: bytes) -> list[tuple[str, str, str]]:
    """Key, key as written and value as written of each member of a valid object, in order."""
    text = line.decode().strip(SPACE)
    found, at, decoder = [], 1, json.JSONDecoder()

    def skip(at: int) -> int:
        while text[at] in SPACE:
            at += 1
        return at

    at = skip(at)
    while text[at] != "}":
        key, key_end = decoder.raw_decode(text, at)
        start = skip(skip(key_end) + 1)
        _, end = decoder.raw_decode(text, start)
        found.append((key, text[at:key_end], text[start:end]))
        at = skip(end)
        if text[at] == ",":
            at = skip(at + 1)
    return found


def one(line: bytes, wanted: list[str] | None = None, array_as: str | None = None) -> jl.Scan:
    found = jl.scan(line, WANTED if wanted is None else wanted, array_as)
    assert len(found.line) == 1
    return found


def rows(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> list[bytes]:
    return [data[a:b].tobytes() for a, b in pairwise(offsets)]


def said(line: bytes, **options: Any) -> str:
    return jl.message(int(one(line, **options).error[0]))


@settings(max_examples=200)
@given(st.lists(lines() | st.text(SPACE).map(str.encode), max_size=6), st.booleans())
def test_lines_values_and_rest_are_those_of_json_loads(written: list[bytes], closed: bool) -> None:
    block = b"\n".join(written) + (b"\n" if closed else b"")
    found = jl.scan(block, WANTED)
    full = [(number, line) for number, line in enumerate(block.split(b"\n")) if line.strip(SPACE.encode())]
    assert found.line.tolist() == [number for number, _ in full]
    assert not found.error.any()
    assert not found.error_at.any()
    assert [block[a:b] for a, b in zip(found.start, found.end, strict=True)] == [line.removesuffix(b"\r") for _, line in full]
    twins = [members(line) for _, line in full]
    others = [",".join(f"{key_text}:{text}" for key, key_text, text in twin if key not in WANTED) for twin in twins]
    assert rows(found.rest_offsets, found.rest) == [text.encode() for text in others]
    for column, key in enumerate(WANTED):
        texts = [dict((name, text) for name, _, text in twin).get(key) for twin in twins]
        offsets, data, ok = jl.raw(block, found, column)
        assert ok.tolist() == [text is not None for text in texts]
        assert rows(offsets, data) == [(text or "").encode() for text in texts]
        offsets, data, ok = jl.strings(block, found, column)
        parsed = [None if text is None else json.loads(text) for text in texts]
        assert ok.tolist() == [isinstance(value, str) for value in parsed]
        assert rows(offsets, data) == [value.encode() if isinstance(value, str) else b"" for value in parsed]


KINDS = {str: jl.STRING, int: jl.NUMBER, float: jl.NUMBER, bool: jl.BOOLEAN, type(None): jl.NULL}
KINDS |= {dict: jl.OBJECT, list: jl.ARRAY}


@settings(max_examples=100)
@given(values)
def test_kinds(value: Any) -> None:
    found = one(json.dumps({"before": value, "id": value}).encode())
    assert found.kind.tolist() == [[jl.ABSENT, KINDS[type(value)], jl.ABSENT]]


NOISE = b'{}[]",:\\/ \t\r\x00\x1f0123456789-+.eEtrufalsn\xc3\xa9\xed\xa0\x80\xf4\x90\xef\xbb\xbf\xff'


@settings(max_examples=200)
@given(lines(), st.data())
def test_verdict_on_broken_lines_is_that_of_json_loads(line: bytes, data: st.DataObject) -> None:
    """Forty mutants of each line: 8,000 verdicts."""
    random = data.draw(st.randoms(use_true_random=False))
    mutants = []
    for _ in range(40):
        mutant = bytearray(line)
        for _ in range(random.choice([1, 1, 2, 3])):
            at = random.randrange(len(mutant) + 1)
            new = random.choice(NOISE) if random.random() < 0.8 else random.randrange(256)
            mutant[at : at + random.choice([0, 1, 1])] = bytes([new] if random.random() < 0.7 else [])
        if b"\n" not in mutant and mutant.strip(SPACE.encode()):
            mutants.append(bytes(mutant))
    # No key is wanted, so unpaired surrogates pass, as they do in json.loads.
    found = jl.scan(b"\n".join(mutants), [])
    assert dict(zip(mutants, (found.error == 0).tolist(), strict=True)) == {m: good(m) for m in mutants}
    assert ((found.error_at >= 0) & (found.error_at <= found.end - found.start)).all()
    assert all(jl.message(int(code)) for code in found.error if code)
    # What a line is does not depend on the lines around it.
    for mutant, code, at in zip(mutants, found.error, found.error_at, strict=True):
        alone = one(mutant, wanted=[])
        assert (alone.error[0], alone.error_at[0]) == (code, at)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=12) | st.text(max_size=4).map(str.encode), max_size=8).map(b"".join))
@example(b"\xed\xa0\x80")  # a surrogate
@example(b"\xc0\x80")  # NUL, written too long
@example(b"\xe0\x9f\xbf")
@example(b"\xf0\x8f\xbf\xbf")
@example(b"\xf4\x90\x80\x80")  # past U+10FFFF
@example(b"\xf4\x8f\xbf\xbf")
@example(b"\xf0\x9d\x84")  # cut short by the closing quote
def test_utf8_is_checked_inside_strings(noise: bytes) -> None:
    noise = bytes(byte for byte in noise if byte >= 0x20 and byte not in b'"\\')
    try:
        text: str | None = noise.decode()
    except UnicodeDecodeError:
        text = None
    line = b'{"text": "' + noise + b'"}'
    found = one(line)
    if text is None:
        assert jl.message(int(found.error[0])) == "invalid UTF-8"
        with pytest.raises(UnicodeDecodeError) as caught:
            line.decode()
        assert found.error_at[0] == caught.value.start
    else:
        assert rows(*jl.strings(line, found, 0)[:2]) == [text.encode()]


@settings(max_examples=100)
@given(lines(), st.integers(0, 400))
def test_a_line_cut_short_is_an_error(line: bytes, size: int) -> None:
    cut = line[: min(size, len(line.rstrip(SPACE.encode())) - 1)]
    found = jl.scan(cut + b"\n", WANTED)
    assert len(found.line) == bool(cut.strip(SPACE.encode()))
    assert found.error.all()


@pytest.mark.parametrize(
    ("line", "words", "at"),
    [
        (b'"a"', "expected an object, found a string", 0),
        (b" 12", "expected an object, found a number", 1),
        (b"true", "expected an object, found true or false", 0),
        (b"null", "expected an object, found null", 0),
        (b"[1]", "expected an object, found an array", 0),
        (b"Once upon a time", "expected an object, found text that is not JSON", 0),
        (b'{"a": 1} x', "more text after the value", 9),
        (b'{"a": 1 "b": 2}', "expecting ',' or '}'", 8),
        (b'{"a": [1 2]}', "expecting ',' or ']'", 9),
        (b'{"a" 1}', "expecting ':'", 5),
        (b'{"a": 1,}', "expecting a key in double quotes", 8),
        (b"{a: 1}", "expecting a key in double quotes", 1),
        (b'{"a": }', "expecting a value", 6),
        (b'{"a": tru}', "expecting a value", 6),
        (b'{"a": 01}', "number out of JSON grammar", 8),
        (b'{"a": 1.}', "number out of JSON grammar", 8),
        (b'{"a": -}', "number out of JSON grammar", 7),
        (b'{"a": 1e}', "number out of JSON grammar", 8),
        (b'{"a": NaN}', "NaN and Infinity are not JSON", 6),
        (b'{"a": [-Infinity]}', "NaN and Infinity are not JSON", 8),
        (b'{"a": "x\ty"}', "unescaped control character in a string", 8),
        (b'{"a": "x\x00y"}', "NUL byte", 8),
        (b'{"a": 1}\x00\x00', "NUL byte", 8),
        (b'{"a": "\\x"}', "invalid escape in a string", 8),
        (b'{"a": "\\u12g4"}', "expecting four hexadecimal digits after \\u", 11),
        (b'{"a": "\xff"}', "invalid UTF-8", 7),
        (b'{"a": \xff}', "invalid UTF-8", 6),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark inside the file", 0),
        (b'{"a": "x', "the line ends inside a string", 8),
        (b'{"a": "x\r', "the line ends inside a string", 8),
        (b'{"a": "x\\', "the line ends inside a string", 9),
        (b'{"a": "x\\u00', "the line ends inside a string", 12),
        (b'{"a": [1, ', "the line ends before its value is complete", 10),
        (b'{"a": {"b": 1}\r', "the line ends before its value is complete", 14),
        (b'{"text": "\\ud800"}', "unpaired surrogate escape", 10),
        (b'{"text": "x\\udc00\\ud800"}', "unpaired surrogate escape", 11),
        (b'{"text": "x\\ud800\\u0041"}', "unpaired surrogate escape", 11),
    ],
)
def test_what_is_said_and_where(line: bytes, words: str, at: int) -> None:
    for block in (line, line + b"\n", line + b'\n{"text": "next"}\n'):
        found = jl.scan(block, ["text"])
        assert (jl.message(int(found.error[0])), found.error_at[0]) == (words, at)
        assert found.end[0] == len(line.removesuffix(b"\r"))
        assert found.kind[0].tolist() == [jl.ABSENT]
        assert found.rest_offsets.tolist() == [0] * (len(found.line) + 1)
    assert found.error.tolist()[1:] == [0]
    assert rows(*jl.strings(block, found, 0)[:2]) == [b"", b"next"]


def test_unpaired_surrogates_pass_where_they_are_not_wanted() -> None:
    line = b'{"a": "\\ud800", "text": ["\\udfff"], "\\ud834": 1, "id": "\\ud834\\udd1e"}'
    found = one(line)
    assert found.error.tolist() == [0]
    assert rows(*jl.raw(line, found, 0)[:2]) == [b'["\\udfff"]']
    assert rows(*jl.strings(line, found, 1)[:2]) == ["𝄞".encode()]
    assert found.rest.tobytes() == b'"a":"\\ud800","\\ud834":1'
    # Only the member that counts is looked at.
    assert one(b'{"text": "\\ud800", "text": "x"}').error.tolist() == [0]


@pytest.mark.parametrize("pattern", ['{"a":%s}', '{"a":{"b":%s}}'])
def test_nesting_stops_at_the_limit(pattern: str) -> None:
    around = pattern.count("{")
    deep = jl.MAX_DEPTH - around
    assert said((pattern % ("[" * deep + "]" * deep)).encode()) == ""
    deep += 1
    assert said((pattern % ("[" * deep + "]" * deep)).encode()) == f"nested deeper than {jl.MAX_DEPTH}"
    assert said(b'{"a":' * 1_000_000) == f"nested deeper than {jl.MAX_DEPTH}"


def test_a_bare_array_is_the_value_of_a_key() -> None:
    block = b' [{"role": "user"}, []] \r\n{"messages": [1], "n": 2}\n[1, 2\n"x"\n'
    found = jl.scan(block, ["id", "messages"], array_as="messages")
    assert [jl.message(int(code)) for code in found.error] == [
        "",
        "",
        "the line ends before its value is complete",
        "expected an object, found a string",
    ]
    offsets, data, ok = jl.raw(block, found, 1)
    assert rows(offsets, data) == [b'[{"role": "user"}, []]', b"[1]", b"", b""]
    assert ok.tolist() == [True, True, False, False]
    assert found.kind.tolist() == [[0, jl.ARRAY], [0, jl.ARRAY], [0, 0], [0, 0]]
    assert rows(found.rest_offsets, found.rest) == [b"", b'"n":2', b"", b""]
    deep = b"[" * jl.MAX_DEPTH + b"]" * jl.MAX_DEPTH
    assert said(deep, wanted=["a"], array_as="a") == ""
    assert said(b"[" + deep + b"]", wanted=["a"], array_as="a") == f"nested deeper than {jl.MAX_DEPTH}"


def test_numbers_and_spelling_stay_as_they_are() -> None:
    line = (
        '{"id": 1e5, "price": 2.50, "big": 123456789012345678901234567890, "z": -0, "sp": "\u2028\\/\\u00e9", "m":{"b" : [ ]}}'
    )
    found = one(line.encode(), wanted=["id"])
    assert rows(*jl.raw(line.encode(), found, 0)[:2]) == [b"1e5"]
    assert found.rest.tobytes().decode() == (
        '"price":2.50,"big":123456789012345678901234567890,"z":-0,"sp":"\u2028\\/\\u00e9","m":{"b" : [ ]}'
    )


def test_the_last_of_two_equal_keys_counts() -> None:
    line = b'{"text": "a", "x": 1, "te\\u0078t": 2, "x": 3}'
    found = one(line)
    assert rows(*jl.raw(line, found, 0)[:2]) == [b"2"]
    assert found.kind[0, 0] == jl.NUMBER
    assert found.rest.tobytes() == b'"x":1,"x":3'


def test_escaped_keys_are_compared_unescaped() -> None:
    key = "".join(f"\\u{ord(letter):04x}" for letter in "text")
    line = f'{{"{key}": 1, "{key}s": 2, "\\u0074ex": 3, "mess\\"ages\\n\\u00e9": 4}}'.encode()
    found = one(line)
    assert rows(*jl.raw(line, found, 0)[:2]) == [b"1"]
    assert rows(*jl.raw(line, found, 2)[:2]) == [b"4"]
    assert found.rest.tobytes().count(b":") == 2


@pytest.mark.parametrize("block", [b"", b"\n", b"\r\n \t\n", b"  "])
def test_blocks_without_a_line(block: bytes) -> None:
    found = jl.scan(block, WANTED)
    assert len(found.line) == len(found.rest) == 0
    assert found.rest_offsets.tolist() == [0]
    assert found.kind.shape == found.value_start.shape == (0, 3)
    offsets, data, ok = jl.strings(block, found, 0)
    assert offsets.tolist() == [0]
    assert len(data) == len(ok) == 0


def test_empty_objects_blank_lines_and_line_ends() -> None:
    block = b'{}\r\n\r\n { } \n\n{"text": ""}'
    found = jl.scan(block, ["text"])
    assert found.line.tolist() == [0, 2, 4]
    assert [block[a:b] for a, b in zip(found.start, found.end, strict=True)] == [b"{}", b" { } ", b'{"text": ""}']
    assert found.kind.tolist() == [[jl.ABSENT], [jl.ABSENT], [jl.STRING]]
    assert jl.strings(block, found, 0)[2].tolist() == [False, False, True]


def test_one_giant_line() -> None:
    text = 'words "quoted"\n' * 400_000
    block = json.dumps({"text": text, "more": [text]}).encode()
    found = one(block)
    assert rows(*jl.strings(block, found, 0)[:2]) == [text.encode()]
    assert found.rest.tobytes() == f'"more":[{json.dumps(text)}]'.encode()


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview, lambda block: np.frombuffer(block, np.uint8)])
def test_blocks_of_every_kind_and_arrow(wrap: Any) -> None:
    block = wrap(b'{"text": "na\\u00efve"}\n{"id": 1}\n{"text": "b"}\n')
    found = jl.scan(block, ["text"])
    offsets, data, ok = jl.strings(block, found, 0)
    bitmap = pa.py_buffer(np.packbits(ok, bitorder="little"))
    array = pa.LargeStringArray.from_buffers(len(ok), pa.py_buffer(offsets), pa.py_buffer(data), bitmap)
    array.validate(full=True)
    assert array.to_pylist() == ["naïve", None, "b"]


def test_wanted_keys_are_checked() -> None:
    with pytest.raises(ValueError, match="given twice: a, a"):
        jl.scan(b"{}", ["a", "a"])
    with pytest.raises(ValueError, match="'b' is not one of"):
        jl.scan(b"{}", ["a"], array_as="b")


@settings(max_examples=50)
@given(st.binary())
def test_count_lines(block: bytes) -> None:
    assert jl.count_lines(block) == block.count(b"\n")
