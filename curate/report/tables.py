"""Numbers and tables for people."""

from __future__ import annotations

from typing import Any

__all__ = [
    "DROPPED",
    "JOBS",
    "SKIPPED",
    "bytes_text",
    "count_text",
    "dropped_rows",
    "job_rows",
    "met",
    "print_table",
    "skipped_rows",
]

JOBS = ["job", "rows in", "rows out", "dropped", "rejected", "written", "seconds"]
"""Header of `job_rows`."""

DROPPED = ["job", "step", "reason", "dropped", "of its input"]
"""Header of `dropped_rows`."""

SKIPPED = ["job", "passed over", "records"]
"""Header of `skipped_rows`."""


def bytes_text(n: float) -> str:
    """`3.4 MB`: decimal units, two digits that matter."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(n) < 1000 or unit == "TB":
            return f"{n:.0f} {unit}" if unit == "B" or abs(n) >= 100 else f"{n:.1f} {unit}"
        n /= 1000
    raise AssertionError


def count_text(n: float) -> str:
    """`12.3k`."""
    for unit in ("", "k", "M", "G"):
        if abs(n) < 1000 or unit == "G":
            return f"{n:.0f}{unit}" if unit == "" or abs(n) >= 100 else f"{n:.1f}{unit}"
        n /= 1000
    raise AssertionError


def job_rows(jobs: list[dict[str, Any]]) -> list[list[str]]:
    """The run's table: job, rows in, out, dropped, rejected, bytes out, seconds."""
    table = []
    for stats in jobs:
        result = _flat_result(stats)
        rows_in = stats.get("rows_in", result.get("rows_in"))
        rows_out = stats.get("rows_out", result.get("rows_out"))
        size = stats.get("bytes_out", result.get("bytes_out"))
        dropped = sum(stats.get("dropped", {}).values()) if "dropped" in stats else None
        rejected = stats.get("rejected", result.get("rejected"))
        cells = [rows_in, rows_out, dropped, rejected]
        table.append(
            [
                stats["name"],
                *("" if c is None else f"{c:,}" for c in cells),
                "" if size is None else bytes_text(size),
                f"{stats['seconds']:.1f}",
            ]
        )
    return table


def dropped_rows(jobs: list[dict[str, Any]]) -> list[list[str]]:
    """Dropped rows by job, step and reason, most first."""
    table = []
    for stats in jobs:
        for reason, n in sorted(stats.get("dropped", {}).items(), key=lambda item: -item[1]):
            step, _, why = reason.partition(".")
            table.append([stats["name"], step, why, f"{n:,}", f"{100 * n / (stats['rows_in'] + stats.get('made', 0)):.1f} %"])
    return table


def skipped_rows(jobs: list[dict[str, Any]]) -> list[list[str]]:
    """Records of the input that are no rows for any job, by kind, most first."""
    return [
        [stats["name"], kind, f"{n:,}"]
        for stats in jobs
        for kind, n in sorted(stats.get("skipped", {}).items(), key=lambda item: (-item[1], item[0]))
    ]


def met(stats: dict[str, Any], first: str | None) -> str | None:
    """Which dialects a job met, with their shares; None if it told none. first: a row that fits none, as people find it."""
    found = {
        name.removeprefix("read as "): n
        for counts in stats.get("step_counts", {}).values()
        for name, n in counts.items()
        if name.startswith("read as ")
    }
    if not found:
        return None
    rows = sum(found.values())
    nothing = found.pop("none", 0)
    shares = [f"{name} {_share(n, rows)}" for name, n in sorted(found.items(), key=lambda item: (-item[1], item[0]))]
    said = [f"read as {', '.join(shares)}"] if shares else []
    if nothing:
        said.append(
            f"{nothing:,} {'row fits' if nothing == 1 else 'rows fit'} no dialect{f' (first: {first})' if first else ''}"
        )
    return f"{stats['name']}: {'; '.join(said)}"


def _share(n: int, of: int) -> str:
    """`99.4 %`; never 100 or 0 of what is not all or nothing."""
    if n == of:
        return "100 %"
    return f"{min(max(100 * n / of, 0.1), 99.9):.1f} %"


def print_table(console: Any, header: list[str], rows: list[list[str]]) -> None:
    """Print rows of cells under a header; columns of numbers stand to the right. Cells are text, never markup."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for i, name in enumerate(header):
        numeric = i > 0 and all(not row[i] or row[i][0].isdigit() for row in rows)
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _flat_result(stats: dict[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for result in stats.get("results", {}).values():
        flat |= {k: v for k, v in result.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return flat
