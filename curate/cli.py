"""The command line: one command a job, made from the job's own fields. Errors become one line and an exit code."""

from __future__ import annotations

import inspect
import os
import signal
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cyclopts import App, CycloptsError, Group, Parameter
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

import curate
from curate.catalog import JOBS
from curate.declare import Job, Options
from curate.errors import CurateError, UsageError, nearest
from curate.jobs.clean import Clean
from curate.jobs.train import Train, need_trainer, start_trainer

__all__ = ["app", "main"]

INTERRUPTED = 130

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
        help="Say what would run, on how many files and bytes, and what it needs; do nothing.",
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


def main() -> None:
    """The `curate` command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say; the exit code. 0 well, 1 bad input, 2 bad usage, 3 too many rejects, 130 interrupted."""
    debug = "--debug" in arguments
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False)
        return code if isinstance(code, int) else 0
    except CycloptsError as error:
        return _fail(_usage_line(error), UsageError.exit_code)
    except CurateError as error:
        if debug:
            raise
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        kept = "" if arguments[:1] == ["inspect"] else "; finished parts are kept: run the same command again to go on"
        return _fail(f"stopped{kept}", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit:
        raise
    except BaseException as error:  # also a panic of polars, which is no Exception
        if debug:
            raise
        from curate.io.files import output_error

        if isinstance(error, OSError):
            return _fail(str(output_error(Path(str(error.filename or "?")), error)), 1)
        what = " ".join(f"{type(error).__name__}: {error}".split())
        return _fail(f"internal error, a bug in curate: {what} (--debug shows where)", 1)


def _terminated(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"curate: {message}\n")
    return code


def _usage_line(error: CycloptsError) -> str:
    """A usage error as one line."""
    text = " ".join(str(error).split())
    return f"{text} (see `curate {' '.join(error.command_chain or ())} --help`)".replace("curate  ", "curate ")


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

        return show(loaded, _workers(workers))
    from curate.engine.chain import run_recipe
    from curate.report.run import finish
    from curate.report.watch import watch

    with watch(quiet) as watcher:
        done = run_recipe(loaded, workers=_workers(workers), watcher=watcher)
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
        return try_steps(_build(Clean, options, set_), rows, sample, html)
    if set_ or html is not None:
        raise UsageError(f"{'--set' if set_ else '--html'}: goes with --steps or --job")
    return inspect_path(path, rows)


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


def _workers(asked: int) -> int:
    """Worker processes: as asked, else one for each core that this process may use."""
    if asked < 0:
        raise UsageError(f"--workers {asked}: must be 0 (one a core) or more")
    return asked or len(os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1))


def _add_job(kind: type[Job]) -> None:
    """Make the command of a job from its fields."""
    *groups, name = str(kind.model_fields["job"].default).split()
    parent = app
    for group in groups:
        if group not in [n for n in parent if not n.startswith("-")]:
            parent.command(App(name=group, help=f"Jobs of `{group}`.", help_format="plaintext"))
        parent = parent[group]

    def command(*input: str, **given: Any) -> int:
        return _run_job(kind, input, given)

    command.__doc__ = _paragraphs(kind)
    command.__signature__ = inspect.Signature(_parameters(kind))  # type: ignore[attr-defined]
    parent.command(command, name=name)


def _paragraphs(kind: type[Job]) -> str:
    """The job's docstring with each paragraph on one line (the terminal wraps it), and what `input` is."""
    paragraphs = (inspect.getdoc(kind) or "").split("\n\n")
    text = "\n\n".join(" ".join(p.split()) for p in paragraphs)
    described = kind.model_fields["input"].description or "" if "input" in kind.model_fields else ""
    return f"{text}\n\nParameters\n----------\ninput\n    {described}" if described else text


def _parameters(kind: type[Job]) -> list[inspect.Parameter]:
    """Parameters of a job's command: `input` by position, its flat options by name, then those of every run."""
    found: list[inspect.Parameter] = []
    for name, info in kind.model_fields.items():
        if name in ("job", "name"):
            continue
        annotation = _flat(info.annotation)
        if annotation is None:
            continue
        help_text = info.description or ""
        if name == "input":
            hint = Annotated[str, Parameter(group=job_group, help=help_text)]
            found.append(inspect.Parameter(name, inspect.Parameter.VAR_POSITIONAL, annotation=hint))
            continue
        default = info.get_default(call_default_factory=True)
        required = default is PydanticUndefined
        shown = annotation if required or default is not None else annotation | None
        found.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if required else () if annotation == tuple[str, ...] and default else default,
                annotation=Annotated[
                    shown,
                    Parameter(
                        group=job_group,
                        help=help_text,
                        negative=None if default is True else (),
                        show_default=bool(default) or (isinstance(default, int | float) and default is not False),
                    ),
                ],
            )
        )
    shared = [("output", Output, None), ("workers", Workers, 0), ("set_", Set, ()), ("dry_run", DryRun, False)]
    shared += [("print_recipe", PrintRecipe, False), ("quiet", Quiet, False), ("debug", Debug, False)]
    found += [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d, annotation=a) for n, a, d in shared]
    return sorted(found, key=lambda p: p.kind)


def _flat(annotation: Any) -> Any:
    """The type of the flag for a field; None when the field has no flag (nested options are for recipes and --set)."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (str, int, float, bool) or origin is Literal:
        return annotation
    if origin is Annotated:
        return _flat(arguments[0])
    if origin in (Union, types.UnionType):
        kinds = [_flat(a) for a in arguments if a is not type(None)]
        if any(k is None for k in kinds):
            return None
        joined = kinds[0]
        for other in kinds[1:]:
            joined = joined | other
        return joined
    if origin is dict:
        # --weights.web 7; what is not a string is made of one when the job is built.
        value = _flat(arguments[1])
        return None if value is None else dict[str, value]  # type: ignore[valid-type]
    if origin is tuple:
        item = arguments[0]
        inner = get_args(item)[0] if get_origin(item) is Annotated else item
        members = get_args(inner) or (inner,)
        if all(
            isinstance(m, type) and issubclass(m, Options) and "step" in m.model_fields for m in members if isinstance(m, type)
        ):
            return tuple[str, ...] if any(isinstance(m, type) and issubclass(m, Options) for m in members) else _strings(item)
        return _strings(item)
    return None


def _strings(item: Any) -> Any:
    return tuple[item, ...] if item in (str, int, float) or get_origin(item) is Literal else None


def _run_job(kind: type[Job], input: tuple[str, ...], given: dict[str, Any]) -> int:
    """Run one job from its command's arguments."""
    shared = {n: given.pop(n) for n in ("output", "workers", "set_", "dry_run", "print_recipe", "quiet", "debug") if n in given}
    options: dict[str, Any] = {k: v for k, v in given.items() if v is not None and v != () and v != {}}
    if input:
        options["input"] = input
    job = _build(kind, options, shared.get("set_", ()))
    if not getattr(job, "input", True) and not getattr(job, "source", None):
        raise UsageError(f"{job.job}: name what to read (see `curate {job.job} --help`)")
    from curate.recipe import Recipe, recipe_yaml

    recipe = Recipe(name=job.label(), out=shared.get("output") or "", jobs=(job,))
    if shared.get("print_recipe"):
        sys.stdout.write(recipe_yaml(recipe))
        return 0
    workers = _workers(shared.get("workers", 0))
    if shared.get("dry_run"):
        from curate.report.dry import dry_run

        return dry_run(recipe, workers, command=True)
    from curate.engine.chain import run_command
    from curate.report.run import finish
    from curate.report.watch import watch

    with watch(bool(shared.get("quiet"))) as watcher:
        done = run_command(job, shared.get("output"), workers=workers, watcher=watcher)
    return finish(done)


def _build(kind: type[Job], options: dict[str, Any], changes: Sequence[str]) -> Job:
    """The job with its options. Raises UsageError that names the option."""
    from curate.recipe import explain, set_option

    content = {"job": kind.model_fields["job"].default, **options}
    if "steps" in content:
        content["steps"] = [_mapping(step) for step in content["steps"]]
    if changes:
        content = kind.model_validate(content).model_dump(mode="json") if _complete(kind, content) else content
    for change in changes:
        set_option(content, change)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        message, path = explain(error, kind, content)
        flag = "--" + path.replace("_", "-") if path and "." not in path else path
        raise UsageError(f"{content['job']}: {flag}: {message}" if flag else f"{content['job']}: {message}") from None


def _mapping(step: str) -> Any:
    """A step as `--steps` gives it: its name, or `{step: NAME, option: value}`, which is YAML."""
    import yaml

    if not step.lstrip().startswith("{"):
        return step
    try:
        return yaml.safe_load(step)
    except yaml.YAMLError as error:
        raise UsageError(f"--steps {step}: not YAML: {getattr(error, 'problem', None) or error}") from error


def _complete(kind: type[Job], content: dict[str, Any]) -> bool:
    try:
        kind.model_validate(content)
    except ValidationError:
        return False
    return True


for _kind in JOBS:
    if _kind is not Train:
        _add_job(_kind)

prompts = App(name="prompts", help="The prompts of the methods: list or copy them.", help_format="plaintext")
app["synth"].command(prompts)


@prompts.command(name="ls")
def list_prompts() -> int:
    """List the files that ship, and what each is for."""
    from curate.synth.prompts import shipped

    files = shipped()
    width = max(map(len, files))
    for name, about in files.items():
        sys.stdout.write(f"{name:{width}}  {about}\n")
    return 0


@prompts.command(name="cp")
def copy_prompts_command(
    *names: str,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder to copy to.")] = Path("prompts"),
    debug: Debug = False,
) -> int:
    """Copy prompts into a folder, to be edited and given to a method with --prompts (principles with --principles).

    Parameters
    ----------
    names
        Which ones, such as `qa`; default: all.
    """
    from curate.synth.prompts import copy_prompts

    for path in copy_prompts(names, output):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    main()
