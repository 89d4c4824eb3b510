"""Recipes: YAML -> `Recipe`, checked in full before the first byte is read; errors name file, path and nearest name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from curate.catalog import AnyJob
from curate.declare import InputJob, Job, Options
from curate.errors import InputError, RecipeError, UsageError, nearest

__all__ = ["Recipe", "explain", "load_recipe", "name_of", "recipe_yaml", "references", "set_option"]

REFERENCE = "job:"


class Recipe(Options):
    """A run: jobs in order, each reading what earlier ones wrote."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "small",
                    "jobs": [
                        {
                            "job": "clean",
                            "input": ["pages.jsonl"],
                            "steps": ["whitespace", {"step": "length", "min_words": 20}],
                        },
                        {"job": "dedupe"},
                    ],
                }
            ]
        }
    )

    name: str = Field(description="What the run is called.", min_length=1)
    about: str = Field("", description="What the recipe is for, what it needs, and what to expect of it.")
    out: str = Field("", description="Folder of the run; default: runs/NAME.")
    jobs: tuple[AnyJob, ...] = Field(description="The jobs in order.", min_length=1)

    def folder(self) -> Path:
        """Where the run lives."""
        return Path(self.out or f"runs/{self.name}")


def load_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """Read a recipe, or the `run.json` of an earlier run. `changes` are `a.b=c`, applied before it is checked.

    Raises RecipeError with the file, the path inside it and the nearest valid name; InputError when it cannot be read.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        folder = path.parent
        near = [str(folder / p.name) for p in folder.glob("*.yaml")] if folder.is_dir() else []
        raise InputError(f"{path}: no such recipe{nearest(str(path), near)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    try:
        content = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except ValueError as error:
        raise RecipeError(f"not JSON: {error}", where=str(path)) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}" if mark else ""
        raise RecipeError(f"not YAML: {getattr(error, 'problem', None) or error}", where=str(path), path=place) from error
    if not isinstance(content, dict):
        raise RecipeError("a recipe is a mapping with `name` and `jobs`", where=str(path))
    if "recipe" in content and "jobs" in content and path.suffix == ".json":
        content = content["recipe"]
    for change in changes:
        set_option(content, change)
    return check(content, str(path))


def check(content: dict[str, Any], where: str) -> Recipe:
    """The recipe in a mapping. Raises RecipeError for the first mistake, naming its path."""
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        message, path = explain(error, Recipe, content)
        raise RecipeError(message, where=where, path=path) from None
    _check_references(recipe, where)
    return recipe


def _check_references(recipe: Recipe, where: str) -> None:
    earlier: list[str] = []
    for number, job in enumerate(recipe.jobs):
        label = job.label()
        if label in earlier:
            raise RecipeError(f"two jobs are called '{label}': give one a `name`", where=where, path=f"jobs.{number}")
        for name in references(job.model_dump(mode="json")):
            if name not in earlier:
                hint = nearest(name, earlier)
                raise RecipeError(f"no earlier job is called '{name}'{hint}", where=where, path=f"jobs.{number}")
        if number == 0 and isinstance(job, InputJob) and not job.input:
            raise RecipeError("the first job must say what it reads", where=where, path="jobs.0.input")
        earlier.append(label)


def references(value: Any) -> Iterator[str]:
    """Names of the jobs that `job:NAME` strings anywhere in the options point to, in order."""
    match value:
        case str() if value.startswith(REFERENCE):
            yield value.removeprefix(REFERENCE).split("/")[0]
        case dict():
            for item in value.values():
                yield from references(item)
        case list() | tuple():
            for item in value:
                yield from references(item)


def set_option(content: dict[str, Any], change: str) -> None:
    """Apply `a.b.0.c=value`; the value is read as YAML. Jobs may be named instead of numbered: `jobs.clean.max_errors=5`."""
    import yaml

    path, equals, value = change.partition("=")
    keys = path.split(".")
    if not equals or not all(keys):
        raise UsageError(f"--set {change}: write it as path.to.option=value")
    try:
        wanted = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {change}: the value is not YAML: {getattr(error, 'problem', None) or error}") from error
    target: Any = content
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(target, list):
            index = _index(target, key, f"--set {change}")
            if last:
                target[index] = wanted
            elif isinstance(target[index], str) and keys[depth - 1] == "steps":
                target[index] = {"step": target[index]}  # a bare name stands for the step with its defaults
            target = target[index]
        elif isinstance(target, dict):
            if last:
                target[key] = wanted
            elif key not in target:
                target[key] = {}
            target = target[key]
        else:
            raise UsageError(f"--set {change}: there is nothing below '{'.'.join(keys[:depth])}'")


def _index(items: list[Any], key: str, where: str) -> int:
    if key.isdigit() and int(key) < len(items):
        return int(key)
    named = [i for i, item in enumerate(items) if isinstance(item, dict) and key in _labels(item)]
    if len(named) == 1:
        return named[0]
    valid = [label for item in items if isinstance(item, dict) for label in _labels(item)]
    raise UsageError(f"{where}: no entry '{key}'{nearest(key, valid)}" if not named else f"{where}: several entries '{key}'")


def _labels(item: dict[str, Any]) -> list[str]:
    return [str(item[k]).replace(" ", "-") for k in ("name", "job", "step", "stage") if k in item]


def explain(error: ValidationError, model: type[Options], content: Any) -> tuple[str, str]:
    """The first mistake of a validation as a message and a dotted path, with the nearest valid name."""
    detail = error.errors(include_url=False)[0]
    path = [str(part) for part in detail["loc"]]
    shown = ".".join(p for i, p in enumerate(path) if not _is_tag(content, path[:i], p))
    kind = detail["type"]
    if kind == "extra_forbidden":
        return f"unknown option '{path[-1]}'{nearest(path[-1], _fields(model, path[:-1]))}", shown
    if kind == "union_tag_invalid":
        context = detail["ctx"]
        valid = [tag.strip().strip("'") for tag in context["expected_tags"].split("', '")]
        key = context["discriminator"].strip("'")
        return f"unknown {key} '{context['tag']}'{nearest(context['tag'], valid)}", f"{shown}.{key}" if shown else key
    if kind == "union_tag_not_found":
        return f"must name its {detail['ctx']['discriminator']}", shown
    if kind == "missing":
        return f"'{path[-1]}' is required", ".".join(shown.split(".")[:-1])
    message = detail["msg"].removeprefix("Value error, ")
    given = detail.get("input")
    if isinstance(given, str | int | float | bool) and kind != "value_error":
        message += f" (got {given!r})"
    return message[:1].lower() + message[1:], shown


def _is_tag(content: Any, before: Sequence[str], part: str) -> bool:
    """Whether a part of a pydantic location is the tag of a union (which the recipe does not show as a key)."""
    value = content
    for key in before:
        if isinstance(value, list | tuple) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
    if isinstance(value, dict):
        return part not in value and part in (value.get("job"), value.get("step"), value.get("stage"), value.get("kind"))
    return isinstance(value, str) and part == value


def _fields(model: Any, path: Sequence[str]) -> list[str]:
    """Names of the fields at a location of a model, through unions (by tag), tuples and optionals."""
    from typing import get_args

    current: list[Any] = [model]
    for part in path:
        following: list[Any] = []
        for item in current:
            fields = getattr(item, "model_fields", None)
            if fields and part in fields:
                following += _models(fields[part].annotation)
            elif (
                fields and any(part in get_args(fields[k].annotation) for k in ("job", "step", "stage", "kind") if k in fields)
            ) or part.isdigit():
                following.append(item)
        current = following or current
    return sorted({name for item in current for name in getattr(item, "model_fields", {})})


def _models(annotation: Any) -> list[Any]:
    from typing import get_args

    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]


def recipe_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, with what differs from the defaults."""
    import yaml

    content = recipe.model_dump(mode="json", exclude_defaults=True)
    jobs = []
    for job, options in zip(recipe.jobs, content["jobs"], strict=True):
        jobs.append({"job": job.job, **_with_tags(job, options)})
    content["jobs"] = jobs
    text: str = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    return text


def _with_tags(model: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Options without their defaults, but with the names of steps and stages, which are defaults too."""
    shown: dict[str, Any] = {}
    for name, value in options.items():
        held = getattr(model, name)
        if isinstance(held, tuple) and any(isinstance(item, Options) for item in held):
            shown[name] = [_tagged(item, given) for item, given in zip(held, value, strict=True)]
        elif isinstance(held, Options):
            shown[name] = _tagged(held, value)
        else:
            shown[name] = value
    return shown


def _tagged(item: Any, given: dict[str, Any]) -> dict[str, Any]:
    tags = {key: getattr(item, key) for key in ("step", "stage", "kind") if key in type(item).model_fields}
    # What a variant has its own default for may be the declared one, and given: it must not be left out.
    own = getattr(item, "variants", {}).get(getattr(item, "variant", None), {})
    return {**tags, **item.model_dump(mode="json", include=set(own)), **_with_tags(item, given)}


def name_of(job: Job, number: int) -> str:
    """The name of a job's folder in the run."""
    return f"{number:02d}-{job.label()}"
