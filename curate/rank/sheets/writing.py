"""Sheets of every kind, for every annotator: `write_sheets`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from curate.rank.campaign import Campaign, Task
from curate.rank.sheets import argilla, csv, html, label_studio, xlsx
from curate.rank.sheets.table import Longer

__all__ = ["write_sheets"]

_TABLES: dict[str, Callable[[Path, Campaign, Sequence[Task], str, Longer], None]] = {"csv": csv.write, "xlsx": xlsx.write}
_OTHERS: dict[str, Callable[[Path, Campaign, Sequence[Task], str], None]] = {
    "html": html.write,
    "label-studio": label_studio.write,
    "argilla": argilla.write,
}
_SUFFIX = {"label-studio": "json", "argilla": "json"}
_COMMON: dict[str, Callable[[Path, Campaign, Sequence[Task]], None]] = {
    "label-studio": label_studio.write_config,
    "argilla": argilla.write_settings,
}


def write_sheets(
    folder: Path, kinds: Iterable[str], campaign: Campaign, tasks: Sequence[Task], shares: Mapping[str, Sequence[str]]
) -> list[str]:
    """Write sheets of each kind for each annotator's share; what to tell the user. Raises OutputError, MissingExtra.

    shares: names of tasks by annotator, in the order to work in; under "" those of anybody, who writes the name in.
    """
    by_name = {task.task: task for task in tasks}
    names = file_names(shares)
    longer = Longer(folder / "long")
    notes = []
    for kind in dict.fromkeys(kinds):
        for annotator, share in shares.items():
            path = folder / kind / f"{names[annotator]}.{_SUFFIX.get(kind, kind)}"
            own = [by_name[name] for name in share]
            if kind in _TABLES:
                _TABLES[kind](path, campaign, own, annotator, longer)
            else:
                _OTHERS[kind](path, campaign, own, annotator)
        if kind in _COMMON:
            _COMMON[kind](folder / kind, campaign, tasks)
        notes.append(f"sheets: {folder / kind}")
    if longer.written:
        notes.append(
            f"{len(longer.written):,} texts are too long for a cell and are cut there; they are whole in {longer.folder}"
        )
    return notes


def file_names(annotators: Iterable[str]) -> dict[str, str]:
    """A file name for each annotator that every system takes, no two the same whatever the letters' case."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for annotator in annotators:
        name = re.sub(r"[^\w.-]+", "_", annotator)[:40].strip("._") or ("tasks" if not annotator else "annotator")
        if name != annotator and annotator:
            name += "-" + hashlib.blake2b(annotator.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()
        # A device of Windows is no file there.
        if name.casefold() in taken or re.fullmatch(r"(?i)con|prn|aux|nul|com\d|lpt\d", name):
            name += f"-{len(taken) + 1}"
        taken.add(name.casefold())
        names[annotator] = name
    return names
