"""All that was found in a set of files, as one list: each problem with its count, first lines, an example, what to do."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.errors import InputError
from curate.formats.checks import FILE, PROBLEMS
from curate.formats.findings import FIRST, Tally, shortened
from curate.formats.repair import HEAD, fix_line, look
from curate.io.files import kind_of, open_bytes

__all__ = ["Locator", "across_rows", "file_problems", "findings", "unreadable"]

_LAYOUT = {"not_utf8", "json_array", "pretty_printed"}
"""What a file is that makes most of its lines unreadable: then they are one finding, and not one each."""


def file_problems(files: Mapping[str, str]) -> tuple[Tally, set[str]]:
    """What a look at the head of each file tells, and the names of the files whose lines are no rows."""
    tally = Tally()
    hopeless = set()
    for name, address in files.items():
        kind = kind_of(address)
        if kind not in ("json", "jsonl"):
            continue
        try:
            with open_bytes(address) as handle:
                head = handle.read(HEAD)
        except (InputError, OSError, EOFError):
            continue  # the reader tells of it
        for problem, evidence in look(head, whole=len(head) < HEAD, array=kind == "json").problems.items():
            tally.add(problem, 1, [{"place": [name, 0, 1], "text": shortened(evidence)}])
            if problem in _LAYOUT:
                hopeless.add(name)
    return tally, hopeless


def unreadable(folder: Path, hopeless: set[str]) -> Tally:
    """The rejected lines of a run, by what is wrong with them; those of `hopeless` files are told of already."""
    tally = Tally()
    for path in sorted(folder.glob("*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if "file" in row and row["file"] not in hopeless:
                    entry = {"place": [row["file"], 0, row["line"]], "text": shortened(f"{row['error']}: {row['text']}")}
                    tally.add(_kind_of_line(row["error"], row["text"]), 1, [entry])
    return tally


def _kind_of_line(error: str, text: str) -> str:
    """What is wrong with a line that cannot be read, by the reader's message and, where it has a repair, by that."""
    if "UTF-8" in error:
        return "invalid_utf8"
    if error.startswith("NaN and Infinity"):
        return "not_a_number"
    if error.startswith("expected an object, found") and "not JSON" not in error:
        return "not_a_row"
    if fixed := fix_line(text):
        return next(name for name in fixed[1] if name in FILE) if fixed[1] else "invalid_json"
    if error.startswith("the line ends"):
        return "truncated_line"
    json_error = error.startswith(
        ("expecting", "more text", "number out", "nested", "broken JSON", "NUL", "un", "invalid", "byte")
    )
    return "invalid_json" if json_error or "not JSON" in error or "the end of the array" in error else "unreadable"


def across_rows(facts: Tally) -> Tally:
    """What the rows of all files are to one another by their kinds.

    facts: rows by `format.NAME`, chats by `chat.bare` and `chat.object`, members by `kind.MEMBER.KIND`, answers by `think.yes`
    and `think.no`, and where each was met first.
    """
    tally = Tally()
    for group, problem in (("format", "mixed_formats"), ("chat", "mixed_chats"), ("think", "think_tags_differ")):
        _differ(tally, facts, group, problem)
    members = {name.split(".")[1]: None for name in facts.counts if name.startswith("kind.")}
    for member in members:
        _differ(tally, facts, f"kind.{member}", "mixed_types", f"{member}: ")
    return tally


def _differ(tally: Tally, facts: Tally, group: str, problem: str, label: str = "") -> None:
    """Rows that are not as most are."""
    counts = {name.rpartition(".")[2]: n for name, n in facts.counts.items() if name.rpartition(".")[0] == group}
    if len(counts) < 2:
        return
    order = sorted(counts, key=lambda name: (-counts[name], name))
    text = label + ", ".join(f"{counts[name]:,} {name}" for name in order)
    first = [{**entry, "text": text} for name in order[1:] for entry in facts.first[f"{group}.{name}"]]
    tally.add(problem, sum(counts[name] for name in order[1:]), first)


def findings(tally: Tally, locator: Locator) -> list[dict[str, Any]]:
    """The findings as they are shown and written as JSON: errors before warnings, each in the order of `PROBLEMS`."""
    found = []
    for code in sorted(tally.counts, key=lambda code: (PROBLEMS[code].severity, list(PROBLEMS).index(code))):
        first = sorted(tally.first[code], key=lambda entry: locator.order(entry["place"]))[:FIRST]
        places = [locator.name(entry["place"]) for entry in first]
        example = first[0].get("text") or locator.text(first[0]["place"]) or ""
        if also := first[0].get("also"):
            example = f"as {locator.name(also)}" + (f": {example}" if example else "")
        problem = PROBLEMS[code]
        found.append(
            {
                "code": code,
                "severity": problem.severity,
                "count": tally.counts[code],
                "places": places,
                "example": shortened(example),
                "what": problem.what,
                "fix": problem.fix,
            }
        )
    return found


class Locator:
    """Turns places into `file:line`. A piece that begins inside a file costs one pass over what comes before it."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = files
        self._numbers = {name: number for number, name in enumerate(files)}
        self._before: dict[tuple[str, int], int] = {}

    def order(self, place: Sequence[Any]) -> tuple[int, int, int]:
        """For sorting: files as they were given, then lines."""
        file, start, line = place
        return self._numbers[file], start, line

    def name(self, place: Sequence[Any]) -> str:
        """`address:line`."""
        file, start, line = place
        return f"{self._files.get(file, file)}:{self._lines_before(file, start) + line}"

    def text(self, place: Sequence[Any]) -> str | None:
        """The beginning of a row in a file of lines."""
        file, start, line = place
        address = self._files[file]
        if kind_of(address) != "jsonl":
            return None
        with open_bytes(address) as handle:
            _seek_line(handle, start)
            row = next(itertools.islice(handle, line - 1, line), b"")
        return shortened(row[:2000].decode("utf-8", "replace").strip())

    def _lines_before(self, file: str, start: int) -> int:
        if not start:
            return 0
        if (file, start) not in self._before:
            address = self._files[file]
            count = _rows_of_groups if kind_of(address) == "parquet" else _breaks
            self._before[file, start] = count(address, start)
        return self._before[file, start]


def _seek_line(handle: Any, start: int) -> None:
    """To the first line that begins at `start` or after it."""
    if start:
        handle.seek(start - 1)
        handle.readline()


def _breaks(address: str, start: int) -> int:
    """Lines that begin before `start`."""
    with open_bytes(address) as handle:
        return 1 + sum(block.count(b"\n") for block in _blocks(handle, start - 1))


def _blocks(handle: Any, end: int) -> Iterator[bytes]:
    while end > 0 and (block := handle.read(min(8 << 20, end))):
        yield block
        end -= len(block)


def _rows_of_groups(address: str, groups: int) -> int:
    import pyarrow.parquet as pq

    metadata: Any = pq.ParquetFile(address).metadata
    return sum(metadata.row_group(i).num_rows for i in range(groups))
