"""What all commands share: the app, the flags of every run, and how many workers are meant."""

from __future__ import annotations

import os
from typing import Annotated

from cyclopts import App, Group, Parameter

import curate
from curate.errors import UsageError

__all__ = [
    "Debug", "DryRun", "Output", "PrintRecipe", "Quiet", "Set", "Workers", "app", "job_group", "run_group", "workers_of",
]  # fmt: skip

run_group = Group("This run", sort_key=2)
job_group = Group("Options", sort_key=1)

Workers = Annotated[int, Parameter(group=run_group, help="Worker processes; 0: one a core. Never changes the result.")]
Set = Annotated[
    tuple[str, ...],
    Parameter(
        group=run_group,
        name="--set",
        negative=(),
        show_default=False,
        help="Set any option by its path, such as steps.0.min_words=30; may be repeated.",
    ),
]
DryRun = Annotated[
    bool,
    Parameter(
        group=run_group,
        name=["--dry-run", "--plan"],
        negative=(),
        help="Say what would run, on how many files and bytes, and what it needs and asks; do nothing.",
    ),
]
PrintRecipe = Annotated[
    bool,
    Parameter(
        group=run_group, negative=(), show_default=False, help="Print the recipe that equals this command, and do nothing."
    ),
]
Quiet = Annotated[bool, Parameter(group=run_group, negative=(), show_default=False, help="Only errors and the result.")]
Debug = Annotated[bool, Parameter(group=run_group, negative=(), show_default=False, help="Show the traceback of an error.")]
Output = Annotated[
    str | None,
    Parameter(
        group=run_group,
        name=["--output", "-o"],
        help="A file (.jsonl, .jsonl.gz, .jsonl.zst, .parquet) or a folder; default: runs/JOB.",
    ),
]

app = App(
    name="curate",
    help="From raw pages and files to training data, and from training data to a trained model.\n\n"
    "Start with `curate run recipes/quickstart.yaml`, or with one command on a file of yours: "
    "`curate clean in.jsonl -o out.jsonl`.",
    version=curate.__version__,
    help_format="plaintext",
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)


def workers_of(asked: int) -> int:
    """Worker processes: as asked, else one for each core that this process may use."""
    if asked < 0:
        raise UsageError(f"--workers {asked}: must be 0 (one a core) or more")
    return asked or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))
