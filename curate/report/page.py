"""The report of a run: one HTML file that needs nothing else, for reading and for passing on."""

from __future__ import annotations

import contextlib
import os
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from curate.compiled import cache_folder
from curate.engine.chain import RunStats, versions
from curate.io.files import atomic
from curate.recipe import Recipe, recipe_yaml
from curate.report.books import first_dropped, first_rejected, job_folders
from curate.report.ranking import agreement_view, board_views
from curate.report.scores import chart, score_views
from curate.report.tables import bytes_text, job_rows, skipped_rows

__all__ = ["render", "write_page"]

PAIRS = 60
"""Most lines of a result that are shown; stats.json holds all."""


def write_page(run: RunStats) -> Path:
    """Write `report.html` into the run's folder, from its stats and the beginnings of its dropped and rejected rows.

    Cost: reads at most `books.LOOK_BYTES` of dropped rows a job. Raises OutputError when it cannot be written.
    """
    folders = job_folders(run.folder, run.jobs)
    total = sum(stats["seconds"] for stats in run.jobs) or 1.0
    tables = job_rows(run.jobs)
    jobs = [
        _job(stats, folder, cells, stats["seconds"] / total)
        for stats, folder, cells in zip(run.jobs, folders, tables, strict=True)
    ]
    recipe = Recipe.model_validate(run.recipe)
    ended = [(folder / "stats.json").stat().st_mtime for folder in folders if (folder / "stats.json").is_file()]
    when = time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(max(ended, default=time.time())))
    page = render(
        "page.html.j2",
        title=recipe.name,
        about=recipe.about,
        when=when,
        versions=versions(),
        jobs=jobs,
        recipe=recipe_yaml(recipe),
    )
    path = run.folder / "report.html"
    with atomic(path) as handle:
        handle.write(page.encode())
    return path


def render(template: str, **content: Any) -> str:
    """A page from one of the templates beside this module. Whatever comes from data is escaped."""
    from jinja2 import Environment, FileSystemBytecodeCache, FunctionLoader, StrictUndefined

    # Compiling the templates takes 0.1 s, as much as reading 50 MB: kept beside the compiled kernels.
    compiled = cache_folder() / "pages"
    with contextlib.suppress(OSError):
        compiled.mkdir(parents=True, exist_ok=True)
    kept = FileSystemBytecodeCache(str(compiled)) if os.access(compiled, os.W_OK) else None
    loader = FunctionLoader(lambda name: files("curate.report").joinpath(name).read_text(encoding="utf-8"))
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=kept,
    )
    environment.filters |= {"size": bytes_text, "value": _value_text, "chart": chart}
    return environment.get_template(template).render(content)


def _job(stats: dict[str, Any], folder: Path, cells: list[str], share: float) -> dict[str, Any]:
    """What the page shows of a job."""
    results = dict(stats.get("results", {}))
    training = results.pop("train") if "stages" in results.get("train", {}) else None
    found = results.pop("findings") if "findings" in results.get("findings", {}) else None
    agreement = results.pop("agreement") if "over_all" in results.get("agreement", {}) else None
    boards = results.pop("leaderboard")["criteria"] if "criteria" in results.get("leaderboard", {}) else {}
    return {
        "name": stats["name"],
        "job": stats["job"],
        "cells": cells[1:],
        "share": share,
        "rows_in": stats.get("rows_in", 0),
        "dropped": _dropped(stats, folder),
        "tagged": sorted(stats.get("tagged", {}).items(), key=lambda item: (-item[1], item[0])),
        "scores": score_views(stats.get("filters", [])),
        "rejected": stats.get("rejected", 0),
        "rejects": first_rejected(folder),
        "skipped": [(kind, n) for _, kind, n in skipped_rows([stats])],
        "folder": str(folder),
        "notes": stats.get("notes", []),
        "steps": _shares(stats.get("step_seconds", {})),
        "stages": _shares(stats.get("stage_seconds", {})),
        "results": {name: _pairs(result) for name, result in results.items() if result},
        "training": training,
        "found": found,
        "agreement": agreement and agreement_view(agreement),
        "boards": list(board_views(boards)),
        "target": (stats.get("target") or {}).get("path"),
    }


def _dropped(stats: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    """Dropped rows by step and reason, most first."""
    counts: dict[str, int] = stats.get("dropped", {})
    if not counts:
        return []
    examples = first_dropped(folder, set(counts))
    most = max(counts.values())
    found = []
    for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        step, _, why = reason.partition(".")
        found.append(
            {
                "step": step,
                "reason": why,
                "rows": n,
                "of_input": n / (stats["rows_in"] + stats.get("made", 0)),
                "bar": n / most,
                "examples": examples.get(reason, []),
            }
        )
    return found


def _shares(seconds: dict[str, float]) -> list[tuple[str, float, float]]:
    """Names with their seconds and their share of all."""
    total = sum(seconds.values()) or 1.0
    return [(name, spent, spent / total) for name, spent in seconds.items()]


def _pairs(value: Any, name: str = "") -> list[tuple[str, Any]]:
    """A result as lines of name and value; what is nested is named by its path."""
    if isinstance(value, dict):
        inner = [pair for key, item in value.items() for pair in _pairs(item, f"{name}.{key}" if name else str(key))]
        if name or len(inner) <= PAIRS:
            return inner
        return [*inner[:PAIRS], ("…", f"{len(inner) - PAIRS} more in stats.json")]
    return [(name, value)]


def _value_text(value: Any) -> str:
    """A value of a result as people read it."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
        case list() if any(isinstance(item, dict | list) for item in value):
            return f"{len(value):,} in stats.json"
        case list():
            shown = ", ".join(_value_text(item) for item in value[:10])
            return f"{shown}, and {len(value) - 10} more" if len(value) > 10 else shown
        case _:
            return str(value)[:500]
