"""The command of a job, made from its fields."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cyclopts import App, Parameter
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from curate.cli.base import Debug, DryRun, Output, PrintRecipe, Quiet, Set, Workers, app, job_group, workers_of
from curate.declare import Job, Options
from curate.errors import UsageError

__all__ = ["Parameters", "add_job", "build", "flat", "run_job"]

Parameters = Sequence[tuple[str, Any, Any]]
"""Name, annotation and default of the parameters of a command."""


def add_job(
    kind: type[Job],
    do: Callable[..., int],
    more: Parameters = (),
    without: tuple[str, ...] = (),
    also: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Make the command of a job from its fields, but those in `without`, and from what the command alone has.

    also: a second flag by the field's name.
    """
    *groups, name = str(kind.model_fields["job"].default).split()
    parent = app
    for group in groups:
        if group not in [n for n in parent if not n.startswith("-")]:
            parent.command(App(name=group, help=f"Jobs of `{group}`.", help_format="plaintext"))
        parent = parent[group]

    def command(*input: str, **given: Any) -> int:
        return do(kind, input, given)

    command.__doc__ = _paragraphs(kind)
    command.__signature__ = inspect.Signature(_parameters(kind, more, without, also))  # type: ignore[attr-defined]
    parent.command(command, name=name)


def _paragraphs(kind: type[Job]) -> str:
    """The job's docstring with each paragraph on one line (the terminal wraps it), and what `input` is."""
    paragraphs = (inspect.getdoc(kind) or "").split("\n\n")
    text = "\n\n".join(" ".join(p.split()) for p in paragraphs)
    described = kind.model_fields["input"].description or "" if "input" in kind.model_fields else ""
    return f"{text}\n\nParameters\n----------\ninput\n    {described}" if described else text


def _parameters(
    kind: type[Job], more: Parameters, without: tuple[str, ...], also: Mapping[str, str]
) -> list[inspect.Parameter]:
    """Parameters of a job's command: `input` by position, its flat options by name, then those of every run."""
    found: list[inspect.Parameter] = []
    for name, info in kind.model_fields.items():
        if name in ("job", "name", *without):
            continue
        annotation = flat(info.annotation)
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
                        name=["--" + name.replace("_", "-"), also[name]] if name in also else None,
                        group=job_group,
                        help=help_text,
                        negative=None if default is True else (),
                        show_default=bool(default) or (isinstance(default, int | float) and default is not False),
                    ),
                ],
            )
        )
    shared = [*more, ("output", Output, None), ("workers", Workers, 0), ("set_", Set, ()), ("dry_run", DryRun, False)]
    shared += [("print_recipe", PrintRecipe, False), ("quiet", Quiet, False), ("debug", Debug, False)]
    found += [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d, annotation=a) for n, a, d in shared]
    return sorted(found, key=lambda p: p.kind)


def flat(annotation: Any) -> Any:
    """The type of the flag for a field; None when the field has no flag (nested options are for recipes and --set)."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in (str, int, float, bool) or origin is Literal:
        return annotation
    if origin is Annotated:
        return flat(arguments[0])
    if origin in (Union, types.UnionType):
        kinds = [flat(a) for a in arguments if a is not type(None)]
        if any(k is None for k in kinds):
            return None
        joined = kinds[0]
        for other in kinds[1:]:
            joined = joined | other
        return joined
    if origin is dict:
        # --weights.web 7; what is not a string is made of one when the job is built.
        value = flat(arguments[1])
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


def run_job(kind: type[Job], input: tuple[str, ...], given: dict[str, Any]) -> int:
    """Run one job from its command's arguments."""
    shared = {n: given.pop(n) for n in ("output", "workers", "set_", "dry_run", "print_recipe", "quiet", "debug") if n in given}
    options: dict[str, Any] = {k: v for k, v in given.items() if v is not None and v != () and v != {}}
    if input:
        options["input"] = input
    job = build(kind, options, shared.get("set_", ()))
    if not getattr(job, "input", True) and not getattr(job, "source", None):
        raise UsageError(f"{job.job}: name what to read (see `curate {job.job} --help`)")
    from curate.recipe import Recipe, recipe_yaml

    recipe = Recipe(name=job.label(), out=shared.get("output") or "", jobs=(job,))
    if shared.get("print_recipe"):
        sys.stdout.write(recipe_yaml(recipe))
        return 0
    workers = workers_of(shared.get("workers", 0))
    if shared.get("dry_run"):
        from curate.report.dry import dry_run

        return dry_run(recipe, workers, command=True)
    from curate.engine.chain import run_command
    from curate.report.run import finish
    from curate.report.watch import watch

    with watch(bool(shared.get("quiet"))) as watcher:
        done = run_command(job, shared.get("output"), workers=workers, watcher=watcher)
    return finish(done)


def build(kind: type[Job], options: dict[str, Any], changes: Sequence[str]) -> Job:
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
