"""Reading `.json` files: an array of rows (as fine-tuning data is often published), one row, or JSON lines by another name."""

from __future__ import annotations

import json
from collections.abc import Iterator

from curate.io.files import Piece, open_bytes
from curate.io.jsonl import parse, read_jsonl
from curate.io.rows import EXCERPT, Chunk, Reject, Take

__all__ = ["read_json"]


def read_json(piece: Piece, take: Take) -> Iterator[Chunk]:
    """The elements of the file's array as rows; their numbers, from 1, stand for lines. The file is held in memory whole.

    A file that is one object over several lines is one row. One whose first line is a complete value is read as JSON lines. A
    broken array gives the rows before the break and
    one reject that says where it is.
    """
    source = piece.source
    with open_bytes(source.address) as handle:
        try:
            data = handle.read()
        except OSError:
            data = b""  # damaged: read line by line below, which tells where
    # Bytes that are not UTF-8 pass through as surrogates, so that the row which holds them is rejected, and that row alone.
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    if (row := _one_object(text)) is not None:
        chunk = parse((row + "\n").encode("utf-8", "surrogateescape"), source, lambda: 0, take)
        chunk.bytes = len(data)
        yield chunk
        return
    if not text.lstrip().startswith("[") or _first_line_is_whole(text):
        yield from read_jsonl(piece, take)
        return
    lines, error = _elements(text)
    chunk = parse("".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"), source, lambda: 0, take)
    chunk.bytes = len(data)
    if error:
        chunk.rejects.append(Reject(source.name, len(lines) + 1, error[0], _readable(error[1])))
    yield chunk


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _first_line_is_whole(text: str) -> bool:
    """Whether the first line is a row of its own: a chat as a bare array, with more lines below."""
    first, newline, more = text.lstrip().partition("\n")
    if not newline or not more.strip():
        return False
    try:
        json.loads(first)
    except ValueError:
        return False
    return True


def _one_object(text: str) -> str | None:
    """The text on one line, where it is one object and nothing else."""
    if not text.lstrip().startswith("{"):
        return None
    start = _skip(text, 0)
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    return _on_one_line(text[start:end]) if _skip(text, end) == len(text) else None


def _on_one_line(value: str) -> str:
    """A JSON value without line breaks: a raw one is only white space in JSON, inside strings it is written \\n."""
    return value.replace("\n", " ").replace("\r", " ")


def _elements(text: str) -> tuple[list[str], tuple[str, str] | None]:
    """The array's elements as they are written, each on one line; and what is wrong, with where it stands."""
    decoder = json.JSONDecoder()
    found: list[str] = []
    at = text.index("[") + 1
    while True:
        at = _skip(text, at)
        if text.startswith("]", at) and not found:
            break
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            return found, (f"broken JSON array: {error}", text[at : at + EXCERPT])
        found.append(_on_one_line(text[at:end]))
        at = _skip(text, end)
        if text.startswith(",", at):
            at += 1
        elif text.startswith("]", at):
            break
        else:
            return found, (f"broken JSON array: expecting ',' or ']' at character {at}", text[at : at + EXCERPT])
    rest = text[_skip(text, at + 1) :]
    return found, ("something follows the end of the array", rest[:EXCERPT]) if rest else None


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at
