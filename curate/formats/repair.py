r"""Files that were edited by hand or written by another tool: what they are, and the repairs that have one right outcome.

| repair           | what is done                                                                                    |
|------------------|-------------------------------------------------------------------------------------------------|
| byte_order_mark  | the mark at the start is left out                                                               |
| not_utf8         | UTF-16 and UTF-32 that say so (a mark, or a zero in every other byte) are written as UTF-8       |
| crlf             | lines end in \\n                                                                                |
| trailing_comma   | a comma before a closing bracket, or after a row, is left out                                   |
| control_character | a raw tab or other control character inside a string is written as its escape                  |
| python_literal   | rows in Python's writing (single quotes, True, None) are written as JSON                        |
| json_array       | the elements of an array become one row a line                                                  |
| pretty_printed   | rows over several lines become one line each                                                    |
| raw_line_break   | a line break inside a string of such a row is written \\n                                       |
| concatenated     | several objects on one line become one line each                                                |
| empty_content    | a turn of white space at the end of a chat, after an answer, is left out; a system turn at the start too |

Nothing else is changed: rows that need no repair keep their bytes, no text is normalised, and a line that cannot be repaired
so is written as it is, to be told of. Text in other encodings is left alone: which one it is can only be guessed.
"""

from __future__ import annotations

import ast
import codecs
import io
import itertools
import json
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from curate.formats.messages import to_json
from curate.io.files import atomic, open_bytes

__all__ = ["HEAD", "Look", "Repairs", "fix_file", "fix_line", "look"]

HEAD = 1 << 20
"""Bytes of a file that are looked at to tell what it is."""

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_GUESSES = ("cp932", "gb18030", "cp1252")

# A string is passed over whole, so that a comma inside is left alone.
_COMMAS = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)
_SPACE = " \t\r\n"
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_CONTROL = re.compile(r"[\x01-\x1f]")


class Look(NamedTuple):
    """What a look at the head of a file tells."""

    encoding: str
    """The name of the encoding; for one that is only guessed, with a question mark."""
    problems: dict[str, str]
    """What keeps it from being JSON lines, or is odd about it, and the evidence; by the names of `checks.FILE`."""


def look(head: bytes, *, whole: bool = True, array: bool = False) -> Look:
    """What a file is by its first bytes. whole: these are all; array: an array of rows is what it may be (`.json`)."""
    mark = next((name for mark, name in _MARKS if head.startswith(mark)), None) or _without_mark(head)
    if mark:
        return Look(mark, {"not_utf8": f"this is {mark.upper()}"})
    found: dict[str, str] = {}
    if head.startswith(codecs.BOM_UTF8):
        found["byte_order_mark"] = "EF BB BF"
        head = head.removeprefix(codecs.BOM_UTF8)
    if ends := head.count(b"\r\n"):
        found["crlf"] = f"{ends:,} in the first {len(head):,} bytes"
    if other := _other_encoding(head, whole):
        return Look(f"{other}?", {**found, "not_utf8": f"most lines are no UTF-8; they could be {other}"})
    layout = _layout(head.decode("utf-8", "replace"))
    if layout and not (array and layout == "json_array"):
        found[layout] = head[:60].decode("utf-8", "replace")
    return Look("utf-8", found)


def _without_mark(head: bytes) -> str | None:
    """UTF-16 without a mark: ASCII in it has a zero beside every byte."""
    sample = head[:2000]
    if len(sample) < 4 or sample.count(0) * 3 < len(sample):
        return None
    return "utf-16-le" if sample[1::2].count(0) > sample[::2].count(0) else "utf-16-be"


def _other_encoding(head: bytes, whole: bool) -> str | None:
    """A guess, where most of the lines that are not ASCII are not UTF-8 either."""
    lines = [line for line in head.split(b"\n")[: None if whole else -1] if not line.isascii()]
    broken = [line for line in lines if not _decodes(line, "utf-8")]
    high = sum(byte >= 0x80 for line in broken for byte in line)
    if len(broken) * 2 <= len(lines) or high < 4:  # a byte or two are damage, and no encoding
        return None
    return next((name for name in _GUESSES if all(_decodes(line, name) for line in broken)), "some single-byte encoding")


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _layout(text: str) -> str | None:
    """`json_array` or `pretty_printed`, where the first line is no row of its own."""
    text = text.lstrip(_SPACE)
    line = text.partition("\n")[0].rstrip(_SPACE)
    rest = text[len(line) :].strip(_SPACE)
    if text.startswith("["):
        row = _loads(line)
        if row is not None:
            return None if _is_chat(row) else "json_array"
        if fix_line(line) is not None and rest and _is_chat(json.loads(fix_line(line)[0][0])):  # type: ignore[index]
            return None
        inner = text[1:].lstrip(_SPACE)
        # A chat over several lines begins with `[{"role"`, as does no array of rows.
        return "pretty_printed" if re.match(r"\{\s*[\"'](?:role|content)[\"']", inner) else "json_array"
    return (
        "pretty_printed"
        if text.startswith("{")
        and rest
        and line.rstrip(",").endswith(("{", "[", ","))
        and _loads(line) is None
        and fix_line(line) is None
        else None
    )


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "role" in value[0]


def _loads(text: str) -> Any:
    """The JSON value, or None (also for null): NaN is none, as for every reader here."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def fix_line(text: str) -> tuple[list[str], list[str]] | None:
    """The rows of a line that is not JSON, as JSON text, and the repairs that led there; None where none is certain."""
    repairs: list[str] = []
    bare = text.strip(_SPACE)
    if bare.endswith(","):
        bare, repairs = bare[:-1].rstrip(_SPACE), ["trailing_comma"]
    if isinstance(_loads(bare), dict | list):
        return [bare], repairs
    without = _COMMAS.sub(lambda found: found[1] or "", bare)
    if without != bare and isinstance(_loads(without), dict | list):
        return [without], ["trailing_comma"]
    escaped = _STRINGS.sub(lambda found: _CONTROL.sub(lambda c: f"\\u{ord(c[0]):04x}", found[0]), bare)
    if escaped != bare and isinstance(_loads(escaped), dict | list):
        return [escaped], ["control_character", *repairs]
    values = _values(without)
    if values is not None and len(values) > 1:
        return values, ["concatenated", *repairs]
    literal = _literal(bare)
    return None if literal is None else ([literal], ["python_literal", *repairs])


def _values(text: str) -> list[str] | None:
    """The objects or arrays that a text is made of, with white space or commas between; None when something else is there."""
    decoder = json.JSONDecoder(parse_constant=_refuse)
    found: list[str] = []
    at = 0
    while (at := _skip(text, at, ", \t\r\n" if found else _SPACE)) < len(text):
        if text[at] not in "{[":
            return None
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        found.append(text[at:end])
        at = end
    return found


def _skip(text: str, at: int, chars: str) -> int:
    while at < len(text) and text[at] in chars:
        at += 1
    return at


def _literal(text: str) -> str | None:
    """A Python literal as JSON; None where it is none, or holds what JSON has not."""
    if not text.startswith(("{", "[")):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = ast.literal_eval(text)
        found = json.dumps(value, ensure_ascii=False, allow_nan=False) if _fits(value) and not _adjacent(text) else None
        return found if found is None or to_json(value) is not None else None
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError, tokenize.TokenError):
        return None


def _adjacent(text: str) -> bool:
    """Whether two strings stand side by side. Python joins them; the writer may as well have forgotten a comma or a quote."""
    found = [token.type for token in tokenize.generate_tokens(io.StringIO(text).readline)]
    return (tokenize.STRING, tokenize.STRING) in itertools.pairwise(found)


def _fits(value: Any) -> bool:
    match value:
        case dict():
            return all(isinstance(key, str) and _fits(item) for key, item in value.items())
        case list() | tuple():
            return all(map(_fits, value))
        case str() | int() | float() | bool() | None:
            return True
        case _:
            return False


@dataclass
class Repairs:
    """What was done to a file: lines in, rows out, repairs by name, and what is left."""

    lines: int = 0
    rows: int = 0
    done: Counter[str] = field(default_factory=Counter)
    left: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    """`line` of the file, `row` that it became (from 1), `repair`; for what is left `left`."""

    def note(self, line: int, row: int, repairs: list[str]) -> None:
        """Write down repairs of one line."""
        self.done.update(repairs)
        self.log += [{"line": line, "row": row, "repair": repair} for repair in repairs]


def fix_file(address: str, out: Path) -> Repairs:
    """Write the rows of a file as JSON lines, repaired; a log of the repairs as `<out>.repairs.jsonl`.

    A file of lines is read line by line; an array, pretty-printed rows and other encodings are held in memory whole.
    Raises InputError, OutputError. A file that needs no repair is written as it is.
    """
    repairs = Repairs()
    with open_bytes(address) as handle:
        head = handle.read(HEAD)
    seen = look(head, whole=len(head) < HEAD)
    with open_bytes(address) as handle, atomic(out) as written:
        rows = _whole(handle.read(), seen, repairs) if _needs_all(seen) else _by_line(handle, seen, repairs)
        for row in rows:
            repairs.rows += 1
            written.write(row + b"\n")
    with atomic(out.with_name(f"{out.name}.repairs.jsonl")) as log:
        for entry in repairs.log:
            log.write(json.dumps(entry).encode() + b"\n")
    return repairs


def _needs_all(seen: Look) -> bool:
    return not {"json_array", "pretty_printed"}.isdisjoint(seen.problems) or (
        seen.encoding not in ("utf-8",) and "?" not in seen.encoding
    )


def _by_line(handle: Any, seen: Look, repairs: Repairs) -> Iterator[bytes]:
    """The rows of a file of lines."""
    for number, line in enumerate(handle, 1):
        if number == 1 and "byte_order_mark" in seen.problems:
            line = line.removeprefix(codecs.BOM_UTF8)
            repairs.note(1, 1, ["byte_order_mark"])
        body = line.removesuffix(b"\n")
        if body.endswith(b"\r"):
            body = body.rstrip(b"\r")
            repairs.done["crlf"] += 1
        if not body.strip():
            continue
        repairs.lines += 1
        yield from _row(body, number, repairs)


def _row(body: bytes, number: int, repairs: Repairs) -> Iterator[bytes]:
    """The rows of one line. Bytes that are no UTF-8 pass as they are."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        yield _left(body, number, repairs)
        return
    value = _loads(text)
    if isinstance(value, dict | list):
        value, dropped = _silent_turns(value)
        if dropped:
            repairs.note(number, repairs.rows + 1, ["empty_content"] * dropped)
            yield json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
            return
    if value is None and (fixed := fix_line(text)) is not None:
        repairs.note(number, repairs.rows + 1, fixed[1])
        for row in fixed[0]:
            yield from _row(row.encode(), number, repairs)
        return
    yield _left(body, number, repairs) if value is None else body


def _left(body: bytes, number: int, repairs: Repairs) -> bytes:
    repairs.left += 1
    repairs.log.append({"line": number, "row": repairs.rows + 1, "left": body[:80].decode("utf-8", "replace")})
    return body


def _silent_turns(value: Any) -> tuple[Any, int]:
    """A row without the turns that say nothing and can go only one way; how many went."""
    chat: Any = value.get("messages") if isinstance(value, dict) else value
    if not _is_chat(chat) or not all(isinstance(turn, dict) for turn in chat):
        return value, 0
    turns = list(chat)
    while len(turns) > 2 and _says_nothing(turns[-1]) and turns[-2].get("role") == "assistant" and not _says_nothing(turns[-2]):
        turns.pop()
    if len(turns) > 2 and turns[0].get("role") == "system" and _says_nothing(turns[0]):
        turns.pop(0)
    dropped = len(chat) - len(turns)
    if not dropped:
        return value, 0
    return ({**value, "messages": turns} if isinstance(value, dict) else turns), dropped


def _says_nothing(turn: dict[str, Any]) -> bool:
    content = turn.get("content")
    return isinstance(content, str) and not content.strip() and not turn.get("tool_calls")


def _whole(data: bytes, seen: Look, repairs: Repairs) -> Iterator[bytes]:
    """The rows of a file that is no file of lines."""
    text = data.decode(seen.encoding, "surrogateescape" if seen.encoding == "utf-8" else "replace").removeprefix("\ufeff")
    for name in ("byte_order_mark", "crlf", "not_utf8", "json_array", "pretty_printed"):
        if name in seen.problems:
            repairs.note(1, 1, [name])
    if seen.encoding != "utf-8" and _layout(text[:HEAD]) is None:
        lines = (line.encode("utf-8", "surrogateescape") + b"\n" for line in text.split("\n"))
        yield from _by_line(lines, Look("utf-8", {}), repairs)
        return
    for row, line in _elements(text, repairs):
        repairs.lines += 1
        one_line = _BREAKS.sub(_joined, row)
        if inside := one_line.count("\\n") - row.count("\\n"):
            repairs.note(line, repairs.rows + 1, ["raw_line_break"] * inside)
        yield from _row(one_line.encode("utf-8", "surrogateescape"), line, repairs)


def _joined(found: re.Match[str]) -> str:
    """A string without raw line breaks, or a space for those between strings."""
    return found[0].replace("\r\n", "\n").replace("\n", "\\n").replace("\r", "\\n") if found[1] else " "


_BREAKS = re.compile(r'("(?:[^"\\]|\\.)*")|\s*[\r\n]\s*', re.DOTALL)


def _elements(text: str, repairs: Repairs) -> Iterator[tuple[str, int]]:
    """The rows of an array, or of one object after another, each with its line; what cannot be read comes as one row, last."""
    outer = text.lstrip(_SPACE).startswith("[") and not re.match(r"\s*\[\s*\{\s*[\"'](?:role|content)[\"']", text)
    line, at = 1, 0
    for start, end in _spans(text, text.index("[") + 1 if outer else 0):
        line += text.count("\n", at, start)
        at = start
        yield text[start:end], line


def _spans(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Where the objects and arrays of a text stand, told by brackets alone, so that a broken one does not lose the next.

    A string begins with either quote; after an opening bracket that never closes the rest is one span.
    """
    depth, start = 0, -1
    for found in _TOKENS.finditer(text, at):
        token = found[0]
        if token in ("{", "["):
            if depth == 0:
                start = found.start()
            depth += 1
        elif token in ("}", "]"):
            depth -= 1
            if depth == 0:
                yield start, found.end()
            if depth < 0:
                break
    if depth > 0:
        yield start, len(text)


_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|(?<=[{\[,:\s])\'(?:[^\'\\]|\\.)*\'(?=\s*[:,}\]])|[{}\[\]]', re.DOTALL)
