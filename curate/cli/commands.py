"""The commands that are no plain job: run, inspect, train, validate."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from curate.cli.base import Debug, DryRun, PrintRecipe, Quiet, Set, Workers, app, run_group, workers_of
from curate.cli.jobs import Parameters, build, run_job
from curate.declare import Job
from curate.errors import UsageError, nearest
from curate.jobs.clean import Clean
from curate.jobs.train import need_trainer, start_trainer
from curate.jobs.validate import Validate

__all__ = ["OF_VALIDATE", "run_validate"]


@app.command(name="run", sort_key=0)
def run_recipe_command(
    recipe: Path,
    /,
    *,
    out: Annotated[
        str | None, Parameter(group=run_group, name=["--output", "-o"], help="Folder of the run; default: the recipe's.")
    ] = None,
    workers: Workers = 0,
    set_: Set = (),
    dry_run: DryRun = False,
    print_recipe: PrintRecipe = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Run a recipe: its jobs in order, each going on where an earlier run was stopped.

    Parameters
    ----------
    recipe
        A YAML file, or the run.json of an earlier run, which repeats it.
    """
    from curate.recipe import load_recipe, recipe_yaml

    changes = [*set_, *([f"out={out}"] if out else [])]
    loaded = load_recipe(recipe, changes)
    if print_recipe:
        sys.stdout.write(recipe_yaml(loaded))
        return 0
    if dry_run:
        from curate.report.dry import dry_run as show

        return show(loaded, workers_of(workers))
    from curate.engine.chain import run_recipe
    from curate.report.run import finish
    from curate.report.watch import watch

    with watch(quiet) as watcher:
        done = run_recipe(loaded, workers=workers_of(workers), watcher=watcher)
    return finish(done)


@app.command(name="inspect", sort_key=9)
def inspect_command(
    path: str,
    /,
    *,
    rows: Annotated[int, Parameter(help="Rows to show; of limits, on either side of each.")] = 2,
    steps: Annotated[
        tuple[str, ...],
        Parameter(
            negative=(),
            show_default=False,
            help="Steps to try on a sample, as for `curate clean`: how each score is spread, what each limit would drop.",
        ),
    ] = (),
    job: Annotated[
        str | None, Parameter(help="The path is a recipe: try the steps of its job of this name on the job's input.")
    ] = None,
    set_: Set = (),
    sample: Annotated[int, Parameter(help="Rows to try steps on; always the same ones of the same input.")] = 1000,
    html: Annotated[Path | None, Parameter(help="Write what is shown of the steps as a page, too.")] = None,
    format: Annotated[
        Literal["auto", "text", "instruction", "chat", "preference"],
        Parameter(help="Which of the four formats the rows are in that steps are tried on; auto: told from the first row."),
    ] = "auto",
    text_column: Annotated[str, Parameter(help="Where the text stands in rows of the text format.")] = "text",
    document: Annotated[
        int | None, Parameter(help="Of token shards: print the document of this number, from 1, decoded and as its ids.")
    ] = None,
    split: Annotated[str | None, Parameter(help="The split that --document is of; default: the first.")] = None,
    verify: Annotated[
        bool, Parameter(negative=(), help="Of token shards: read them whole and check checksums, counts, ids and tokenizer.")
    ] = False,
    debug: Debug = False,
) -> int:
    """Look at data or at a run: what is in it, how much, what was dropped and why, and a few rows.

    With `--steps`, look before you run: the steps are applied to a sample in memory, and nothing is written but `--html`.

    Parameters
    ----------
    path
        A file or folder of rows, a folder of token shards, or the folder of a run.
    """
    from curate.report.inspect import inspect_path, try_steps

    if rows < 1:
        raise UsageError(f"--rows {rows}: must be 1 or more")
    if job is not None:
        if steps:
            raise UsageError("--steps and --job: name one; --set changes the steps of a recipe's job")
        return try_steps(_recipe_job(Path(path), job, set_), rows, sample, html)
    if steps:
        options = {"input": (path,), "steps": steps, "format": format, "text_column": text_column}
        return try_steps(build(Clean, options, set_), rows, sample, html)
    if set_ or html is not None:
        raise UsageError(f"{'--set' if set_ else '--html'}: goes with --steps or --job")
    if split is not None and document is None:
        raise UsageError("--split: goes with --document")
    return inspect_path(path, rows, document=document, split=split, verify=verify)


def _recipe_job(recipe: Path, name: str, changes: Sequence[str]) -> Job:
    """A job of a recipe, with what it reads filled in. Raises UsageError with the nearest name."""
    from curate.engine.chain import walk
    from curate.recipe import load_recipe

    jobs = {job.label(): job for _, job, _, _ in walk(load_recipe(recipe, changes))}
    if name not in jobs:
        raise UsageError(f"{recipe}: no job is called '{name}'{nearest(name, jobs)}")
    return jobs[name]


@app.command(name="train", sort_key=8)
def train_command(
    recipe: Path,
    /,
    *,
    set_: Set = (),
    check: Annotated[
        bool, Parameter(negative=(), help="Read all data, show examples, try two steps of each stage; keep nothing.")
    ] = False,
    debug: Debug = False,
) -> int:
    """Train a model from a training recipe: stages in a chain, each starting from the model of the one before.

    The same as `python -P -m train RECIPE`. A recipe of `curate run` holds such a chain in its `train` job.

    Parameters
    ----------
    recipe
        A YAML or JSON file; `schemas/train.json` describes it.
    """

    need_trainer()
    arguments = [str(recipe), *(a for change in set_ for a in ("--set", change))]
    child = start_trainer([*arguments, *["--check"] * check, *["--debug"] * debug])
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            # The trainer got it too: it saves a checkpoint and ends by itself.
            child.send_signal(signal.SIGINT)


def run_validate(kind: type[Job], input: tuple[str, ...], given: dict[str, Any]) -> int:
    """Check data: what was found goes to the terminal, and nothing is written but what was asked for."""
    fix, page, as_json = (given.pop(name, None) for name in ("fix", "report", "json"))
    if given.get("print_recipe") or given.get("dry_run"):
        return run_job(kind, input, given)
    own = {name: given.pop(name, default) for name, default in (("output", None), ("workers", 0), ("quiet", False))}
    changes = given.pop("set_", ())
    options = {k: v for k, v in given.items() if v is not None and v != () and k not in ("dry_run", "print_recipe", "debug")}
    job = build(kind, {**options, **({"input": input} if input else {})}, changes)
    assert isinstance(job, Validate)
    if not job.input:
        raise UsageError("validate: name what to read (see `curate validate --help`)")
    from curate.report.validate import validate

    how = {"output": own["output"], "workers": workers_of(own["workers"]), "quiet": bool(own["quiet"])}
    return validate(job, fix=fix, page=page, as_json=bool(as_json), **how)


OF_VALIDATE: Parameters = (
    (
        "fix",
        Annotated[str | None, Parameter(group=run_group, help="Write the file repaired (several: a folder), check that.")],
        None,
    ),
    ("report", Annotated[Path | None, Parameter(group=run_group, help="Write what was found as a page (HTML).")], None),
    ("json", Annotated[bool, Parameter(group=run_group, negative=(), help="Print what was found as JSON.")], False),
)
