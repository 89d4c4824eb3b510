"""The Python API: `from curate import run, Clean, Replace`."""

from __future__ import annotations

from pathlib import Path

from curate.declare import Job
from curate.engine.chain import RunStats, run_command, run_recipe
from curate.errors import UsageError
from curate.recipe import Recipe, load_recipe
from curate.report.watch import watch

__all__ = ["run"]


def run(what: Recipe | Job | str | Path, *, output: str | Path | None = None, workers: int = 1, quiet: bool = True) -> RunStats:
    """Run a job, a recipe, or the recipe in a file (or the `run.json` of an earlier run); go on where it was stopped.

    output: for a job its file or folder (default: `runs/JOB`), for a recipe its folder (default: the recipe's own).
    workers: processes; never changes the result. More than one are started afresh and import the calling script again, so
    that it must do its work under `if __name__ == "__main__":`.
    quiet: say nothing on standard error.

    Returns the run's folder and each job's stats (rows_in, rows_out, dropped by `step.reason`, rejected, results, seconds).
    Raises a `curate.errors.CurateError`, as the command line shows it: InputError, UsageError, TooManyErrors, ...
    """
    if workers < 1:
        raise UsageError(f"workers={workers}: must be 1 or more")
    with watch(quiet) as watcher:
        if isinstance(what, Job):
            return run_command(what, str(output) if output is not None else None, workers=workers, watcher=watcher)
        recipe = what if isinstance(what, Recipe) else load_recipe(Path(what))
        if output is not None:
            recipe = recipe.model_copy(update={"out": str(output)})
        return run_recipe(recipe, workers=workers, watcher=watcher)
