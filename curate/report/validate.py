"""`curate validate`: repairs where they were asked for, the check, and what was found: as a table, a page, or JSON."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from curate.engine.chain import run_command
from curate.errors import InputError, UsageError
from curate.formats.repair import Repairs, fix_file
from curate.io.files import Source, atomic, resolve
from curate.jobs.validate import Validate
from curate.report.page import render
from curate.report.tables import print_table
from curate.report.watch import watch

__all__ = ["validate"]

FINDINGS = ["severity", "problem", "count", "first at", "example"]
"""Header of the table."""


def validate(
    job: Validate,
    *,
    output: str | None,
    fix: str | None,
    page: Path | None,
    as_json: bool,
    workers: int,
    quiet: bool,
) -> int:
    """Check the job's input and tell what was found. The exit code: 1 when there are errors, else 0.

    output: where the rows without errors go; None: nowhere, and nothing is left behind. fix: a file (or, for several files, a
    folder) for the input with its repairs, which is then what is checked. page: a file for the findings as a page.
    Raises InputError, OutputError, UsageError.
    """
    repaired: list[tuple[Source, Path, Repairs]] = []
    if fix is not None:
        repaired = _repair(job.input, Path(fix))
        job = job.model_copy(update={"input": tuple(str(path) for _, path, _ in repaired)})
    # A row that cannot be read is a finding, and no reason to fail in another way.
    job = job.model_copy(update={"write": output is not None, "max_errors": sys.maxsize})
    silent = quiet or as_json or (output is None and not sys.stderr.isatty())
    with watch(silent) as watcher, tempfile.TemporaryDirectory(prefix="curate-") as scratch:
        done = run_command(job, output or str(Path(scratch) / "run"), workers=workers, watcher=watcher)
    found = done.jobs[0]["results"]["findings"]
    times = [(source.address, name, n) for source, _, of in repaired for name, n in of.done.items()]
    lines = _lines(found, job, repaired)
    if page is not None:
        with atomic(page) as handle:
            files = [source.address for source in resolve(job.input)[0]]
            handle.write(render("validate.html.j2", lines=lines, found=found, repairs=times, files=files).encode())
    if as_json:
        repairs = [_as_json(*one) for one in repaired]
        sys.stdout.write(
            json.dumps({**found, **({"repairs": repairs} if repairs else {})}, ensure_ascii=False, indent=1) + "\n"
        )
    else:
        _print(found, lines, times)
    return 1 if found["errors"] else 0


def _repair(addresses: tuple[str, ...], out: Path) -> list[tuple[Source, Path, Repairs]]:
    """Write every file anew; the files, where they went, and what was done to them."""
    sources, _ = resolve(addresses)
    other = next((source for source in sources if source.kind not in ("json", "jsonl")), None)
    if other is not None:
        raise UsageError(f"--fix: {other.address}: only JSON and JSON Lines can be repaired")
    several = len(sources) > 1
    if several and out.suffix:
        raise UsageError(f"--fix {out}: there are {len(sources)} files to repair; name a folder")
    if not several and (out.suffix != ".jsonl" or out.is_dir()):
        raise UsageError(f"--fix {out}: the repaired rows are JSON Lines; name a file that ends in .jsonl")
    done: list[tuple[Source, Path, Repairs]] = []
    for source in sources:
        target = out / f"{Path(source.name).name.split('.')[0]}.jsonl" if several else out
        if target.resolve() == Path(source.address).resolve():
            raise UsageError(f"--fix {out}: would overwrite the input; name another file")
        if any(target == path for _, path, _ in done):
            raise UsageError(f"--fix {out}: two files would become {target.name}; repair them one by one")
        done.append((source, target, fix_file(source.address, target)))
    if not any(repairs.rows for _, _, repairs in done):
        raise InputError(f"{', '.join(addresses[:3])}: empty, there is nothing to repair")
    return done


def _as_json(source: Source, path: Path, repairs: Repairs) -> dict[str, Any]:
    counts = {"lines": repairs.lines, "rows": repairs.rows, "repairs": dict(repairs.done), "left": repairs.left}
    return {"file": source.address, "output": str(path), **counts, "log": f"{path}.repairs.jsonl"}


def _lines(found: dict[str, Any], job: Validate, repaired: list[tuple[Source, Path, Repairs]]) -> list[str]:
    """The findings in a few lines."""
    formats = ", ".join(f"{n:,} {name}" for name, n in found["formats"].items()) or "none of a known format"
    counts = [
        _count(found["errors"], "kind of error", "kinds of errors"),
        _count(found["warnings"], "of warnings", "of warnings"),
    ]
    rows = f"{found.get('checked', 0):,} rows could be read"
    lines = [f"{', '.join(counts)}; {rows} in {_count(found['files'], 'file', 'files')} ({formats})"]
    if found.get("with_errors"):
        lines.append(f"{found['with_errors']:,} of these rows have an error")
    if found.get("tokens"):
        share = 100 * found["cut"] / found["tokens"]
        lines.append(
            f"{found['tokens']:,} tokens, {found['tokens'] / max(1, found['checked']):.0f} a row, the longest row "
            f"{found['longest']:,}; {share:.1f} % lie past {job.max_length} and would be cut; {found['answers_cut']:,} of "
            f"{found['answers']:,} answers would be cut whole"
        )
    for source, path, repairs in repaired:
        n = sum(repairs.done.values())
        lines.append(f"{source.address}: {_count(n, 'repair', 'repairs')}, {repairs.left:,} lines left as they are: {path}")
    return lines


def _count(n: int, one: str, many: str) -> str:
    return f"{n:,} {one if n == 1 else many}"


def _print(found: dict[str, Any], lines: list[str], repairs: list[tuple[str, str, int]]) -> None:
    """The table, what to do, and the summary."""
    from rich.console import Console

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if repairs:
        print_table(console, ["file", "repair", "times"], [[file, name, f"{n:,}"] for file, name, n in repairs])
    if found["findings"]:
        print_table(console, FINDINGS, [_cells(finding) for finding in found["findings"]])
    for finding in found["findings"]:
        console.print(f"{finding['code']}: {finding['what']}. {finding['fix']}", markup=False, soft_wrap=True)
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _cells(finding: dict[str, Any]) -> list[str]:
    places: list[str] = finding["places"]
    first = places[0]
    lines = ", ".join(place.rpartition(":")[2] for place in places[1:3] if place.rpartition(":")[0] == first.rpartition(":")[0])
    example = "".join(c if c.isprintable() else " " for c in " ".join(finding["example"].split()))
    shown = example if len(example) <= 60 else f"{example[:57]}..."
    return [finding["severity"], finding["code"], f"{finding['count']:,}", f"{first}, {lines}" if lines else first, shown]
