"""Reading back what a run wrote down of its dropped and rejected rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Dropped", "Rejected", "dropped_frames", "excerpt", "first_dropped", "first_rejected", "job_folders", "read_json"]

LOOK_BYTES = 64 << 20
"""Bytes of dropped rows, decompressed, that are searched for examples: a page must not cost another pass over the data."""

# What would move the cursor of a terminal, or turn the text around it (C0, C1, bidirectional overrides), in data of others.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Dropped:
    """A dropped row: its id, the score and value that decided (None where a step has none), the beginning of its text."""

    id: str
    score: str | None
    value: str | None
    text: str


@dataclass(frozen=True)
class Rejected:
    """A rejected row: where it stands or what it is called, the step that failed if any, the error, its beginning."""

    place: str
    step: str
    error: str
    text: str


def excerpt(text: str, length: int = 300) -> str:
    """The beginning of a text on one line, safe to print: line breaks as a sign, control characters replaced."""
    line = text[:length].replace("\r\n", "\n").replace("\n", "⏎ ").replace("\t", " ")
    return _UNSAFE.sub("\ufffd", line) + ("…" if len(text) > length else "")


def read_json(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file; None when there is no such file or it holds something else."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def job_folders(folder: Path, jobs: Sequence[dict[str, Any]]) -> list[Path]:
    """The folder of each job of a run: numbered below the run's, or, for a single command, the run's own."""
    found = []
    for number, stats in enumerate(jobs, 1):
        numbered = folder / f"{number:02d}-{stats['name']}"
        own = read_json(folder / "stats.json") or {}
        found.append(folder if len(jobs) == 1 and own.get("digest") == stats["digest"] else numbered)
    return found


def dropped_frames(folder: Path) -> Iterator[tuple[pl.DataFrame, int]]:
    """The dropped rows of a job, some MB at a time: frames with id, step, reason, score, value, text; and their bytes.

    Raises InputError when a file cannot be opened.
    """
    from curate.io.files import cut, resolve
    from curate.io.read import read
    from curate.io.rows import Take

    place = folder / "dropped"
    if not any(place.glob("*.jsonl.zst")):
        return
    take = Take(columns=("step", "reason", "score", "value", "text"))
    for shard in cut(resolve([str(place)])[0]):
        for chunk in read(shard, take):
            yield chunk.frame, chunk.bytes


def first_dropped(folder: Path, reasons: set[str], each: int = 3) -> dict[str, list[Dropped]]:
    """Up to `each` rows dropped for every `step.reason`, the first by place, found within the first LOOK_BYTES."""
    found: dict[str, list[Dropped]] = {reason: [] for reason in reasons}
    seen = 0
    for frame, size in dropped_frames(folder):
        for (step, reason), group in frame.group_by("step", "reason", maintain_order=True):
            examples = found.setdefault(f"{step}.{reason}", [])
            for row in group.head(each - len(examples)).iter_rows(named=True):
                examples.append(
                    Dropped(excerpt(row["id"], 120), row["score"], _short(row["value"]), excerpt(row["text"] or ""))
                )
        seen += size
        if seen >= LOOK_BYTES or all(len(found[reason]) >= each for reason in reasons):
            break
    return found


def _short(value: str | None) -> str | None:
    """A score as people read it: four digits that matter."""
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return excerpt(value, 160)
    return f"{number:.0f}" if number.is_integer() else f"{number:.4g}"


def first_rejected(folder: Path, count: int = 5) -> list[Rejected]:
    """The first rejected rows of a job."""
    rows: list[Rejected] = []
    for path in sorted((folder / "rejected").glob("*.jsonl")):
        with open(path, encoding="utf-8") as lines:
            for line in islice(lines, count - len(rows)):
                row = json.loads(line)
                place = f"{row['file']}:{row['line']}" if "file" in row else row.get("id") or row.get("url") or ""
                error = " ".join(str(row[key]) for key in ("error", "detail") if row.get(key))
                rows.append(
                    Rejected(excerpt(str(place)), row.get("step") or "", excerpt(error, 500), excerpt(row.get("text") or ""))
                )
        if len(rows) == count:
            break
    return rows
