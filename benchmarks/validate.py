"""`curate validate` beside jsonschema row by row, on the same rows in the same run: MB/s of CPU time.

    python -m benchmarks.validate FILE.jsonl... [--mb 20]

Ours: all checks of single rows (schema, roles, phrases, damage), and the schema alone. jsonschema, with `json.loads`: a
validator that is made once, and `jsonschema.validate(row, schema)`, as it is mostly called, which makes one for every row.
All are given the lines as text, on one thread. CPU time, best of three: other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")

if TYPE_CHECKING:
    import polars as pl

__all__ = ["main"]

SHARE = 40
"""jsonschema is given one row of so many: it takes minutes for all of them."""


def best(work: Callable[[], object], times: int = 3) -> float:
    """CPU seconds of the fastest call; the first one, which compiles, does not count."""
    work()
    seconds = []
    for _ in range(times):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def ours(record: pl.Series) -> None:
    """Every check of single rows."""
    from curate.formats.suspicion import suspicions
    from curate.formats.validity import examine

    for at in range(0, len(record), 8192):
        some = record[at : at + 8192]
        suspicions(examine(some, None), some)


def ours_schema(record: pl.Series, name: Any) -> None:
    """The schema alone."""
    from curate.formats.validity import schema_errors

    for at in range(0, len(record), 8192):
        schema_errors(record[at : at + 8192], name)


def theirs(record: pl.Series, name: str) -> None:
    """`json.loads` and a validator made once, a row at a time."""
    import jsonschema

    import schemas

    validator = jsonschema.Draft202012Validator(schemas.load(name))
    for row in record:
        next(validator.iter_errors(json.loads(row)), None)


def theirs_called(record: pl.Series, name: str) -> None:
    """`json.loads` and `jsonschema.validate`, a row at a time."""
    import jsonschema

    import schemas

    schema = schemas.load(name)
    for row in record:
        jsonschema.validate(json.loads(row), schema)


def main(arguments: list[str]) -> None:
    """Print a line for each file."""
    import polars as pl

    from curate.formats.readings import detect

    parser = argparse.ArgumentParser(description="Checks of single rows: ours beside jsonschema.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--mb", type=float, default=20, help="megabytes of each file to take")
    given = parser.parse_args(arguments)
    for path in given.files:
        with open(path, "rb") as handle:
            data = handle.read(int(given.mb * 1e6))
        record = pl.Series("record", data[: data.rfind(b"\n")].decode().split("\n"))
        name = str(detect(json.loads(record[0])))
        few = record.gather_every(SHARE)
        works: list[tuple[str, Callable[[], object], pl.Series]] = [
            ("curate, all checks", partial(ours, record), record),
            ("curate, schema", partial(ours_schema, record, name), record),
            ("jsonschema, validator", partial(theirs, few, name), few),
            ("jsonschema.validate", partial(theirs_called, few, name), few),
        ]
        rates = {label: float(rows.str.len_bytes().sum()) / 1e6 / best(work) for label, work, rows in works}
        sys.stdout.write(f"{path.name}: {name}, {len(record):,} rows of {len(data) / len(record):.0f} bytes; MB/s: ")
        sys.stdout.write("; ".join(f"{label} {rate:.3g}" for label, rate in rates.items()) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
