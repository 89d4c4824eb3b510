"""Writes docs/reference/*.md and schemas/recipe.json from the declarations: `make docs`. A test fails when they are stale."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from curate import errors
from curate.catalog import JOBS, STEPS
from curate.declare import Expand, Filter, Map, Options, Rewrite, Step
from curate.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent

KINDS: dict[type[Step], str] = {
    Filter: "filter: measures every row and drops those outside its limits",
    Rewrite: "rewrite: changes the texts of a row, each message of a chat",
    Map: "map: adds or replaces columns",
    Expand: "expand: makes new rows of each row",
}


def pages() -> dict[Path, str]:
    """Every generated file with what it must hold."""
    reference = ROOT / "docs" / "reference"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:curate:schema:recipe:1"}
    schema = {**head, **Recipe.model_json_schema()}
    return {
        reference / "jobs.md": jobs_page(),
        reference / "steps.md": steps_page(),
        reference / "recipe.md": recipe_page(),
        reference / "errors.md": errors_page(),
        ROOT / "schemas" / "recipe.json": json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n",
    }


def jobs_page() -> str:
    """The jobs, one section each."""
    parts = [
        "# Jobs",
        "A job works on a whole dataset. Each is a command (`curate JOB ...`) and an entry of a recipe (`job: JOB`); its"
        " options are the command's flags, with `-` for `_`.",
        "\n".join(f"- [`{_tag(kind)}`](#{_anchor(_tag(kind))}): {_first_line(kind)}" for kind in JOBS),
    ]
    for kind in JOBS:
        parts += [
            f"## {_tag(kind)}",
            _doc(kind),
            f"In Python: `from curate import {kind.__name__}`.",
            *_options(kind, ("job",)),
        ]
    return _page(parts)


def steps_page() -> str:
    """The steps, one section each."""
    parts = [
        "# Steps",
        "A step works row by row, inside a job such as `clean`. In a recipe it is its name, or a mapping with `step: NAME` and"
        " options.",
        "\n".join(f"- [`{_tag(kind)}`](#{_anchor(_tag(kind))}): {_first_line(kind)}" for kind in STEPS),
    ]
    for kind in STEPS:
        sort = next(text for base, text in KINDS.items() if issubclass(kind, base))
        parts += [f"## {_tag(kind)}", _doc(kind), f"A {sort}. In Python: `from curate import {kind.__name__}`."]
        parts += [*_options(kind, ("step",)), *_rules(kind)]
    return _page(parts)


def recipe_page() -> str:
    """What a recipe file holds."""
    return _page(
        [
            "# Recipes",
            "A recipe is a YAML file that `curate run` runs: jobs in order. Its JSON Schema is `schemas/recipe.json`, for"
            " editors that complete and check YAML.",
            *_options(Recipe, ()),
            "- A job that names no `input` reads what the last job before it wrote that writes rows.\n"
            "- `job:NAME` anywhere in the options is the folder that an earlier job wrote, `job:NAME/FILE` a file in it.\n"
            "- A job's folder is its number and its `name` (by default the job's own).\n"
            "- `--set jobs.NAME.option=value` changes an option from the command line; `--dry-run` says what would run;"
            " `curate JOB ... --print-recipe` writes the recipe of a command.\n"
            "- `run.json` of an earlier run is a recipe too: `curate run runs/NAME/run.json` repeats it.",
            "The options of each job: [jobs](jobs.md). The options of each step: [steps](steps.md).",
        ]
    )


def errors_page() -> str:
    """The errors and the exit codes."""
    rows = [["error", "exit code", "means"]]
    for name in errors.__all__:
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, errors.CurateError):
            rows.append([f"`{name}`", str(kind.exit_code), " ".join((inspect.getdoc(kind) or "").split())])
    return _page(
        [
            "# Errors",
            "Every error is one line on standard error that says what is wrong, where, and what to do. `--debug` adds the"
            " traceback. In Python they are in `curate.errors`, all below `CurateError`.",
            _table(rows),
            "Exit code 0: the run is finished. 130: it was interrupted; finished parts are kept, and the same command goes on.",
        ]
    )


def undescribed() -> Iterator[str]:
    """Jobs, steps and fields without a word of documentation."""
    kinds: tuple[type[BaseModel], ...] = (Recipe, *JOBS, *STEPS)
    for kind in kinds:
        yield from _undescribed(kind)


def _undescribed(kind: type[BaseModel]) -> Iterator[str]:
    if not _doc(kind):
        yield kind.__name__
    for name, field in kind.model_fields.items():
        if not field.description and not _fixed(field):
            yield f"{kind.__name__}.{name}"
        for nested in _models(field.annotation):
            yield from _undescribed(nested)


def _fixed(field: FieldInfo) -> bool:
    """Whether there is nothing to choose: the name of a job, or an option that it pins."""
    return get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1


def _doc(kind: type) -> str:
    """The class's own docstring; those of this project are Markdown."""
    return inspect.cleandoc(kind.__doc__) if kind.__doc__ else ""


def _first_line(kind: type) -> str:
    """The first sentence, on one line."""
    paragraph = " ".join(_doc(kind).split("\n\n")[0].split())
    return re.split(r"(?<=\.)\s", paragraph, maxsplit=1)[0]


def _tag(kind: type[BaseModel]) -> str:
    """Name of a job or step in recipes."""
    return str(kind.model_fields["job" if "job" in kind.model_fields else "step"].default)


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _options(kind: type[BaseModel], skip: tuple[str, ...], title: str = "") -> list[str]:
    """The table of a model's fields; below it those of the models that it holds, but for jobs and steps."""
    rows = [["option", "type", "default", "what"]]
    nested: list[type[BaseModel]] = []
    for name, field in kind.model_fields.items():
        if name in skip or (_fixed(field) and not field.description):
            continue
        limits = _limits(field)
        text = " ".join((field.description or "").split()) + (f" ({limits})" if limits else "")
        rows.append([f"`{name}`", _type(field.annotation), _default(field), text])
        nested += [model for model in _models(field.annotation) if model not in nested]
    parts = [title] if title else []
    parts.append(_table(rows) if len(rows) > 1 else "No options.")
    for model in nested:
        parts += _options(model, (), f"### {model.__name__}\n\n{_doc(model)}")
    return parts


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Models inside an annotation that are neither jobs nor steps."""
    if isinstance(annotation, type) and issubclass(annotation, Options | BaseModel):
        named = "job" in annotation.model_fields or "step" in annotation.model_fields
        return [] if named else [annotation]
    return list(dict.fromkeys(model for argument in get_args(annotation) for model in _models(argument)))


def _type(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in arguments)
    if origin in (Union, UnionType):
        names = list(dict.fromkeys(_type(argument) for argument in arguments if argument is not NoneType))
        return " or ".join([*names, *(["nothing"] if NoneType in arguments else [])])
    if origin in (tuple, list):
        kinds = [argument for argument in arguments if argument is not Ellipsis]
        return "list of " + " and ".join(dict.fromkeys(_type(kind) for kind in kinds))
    if origin is dict:
        return f"mapping of {_type(arguments[0])} to {_type(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields
        return "job" if "job" in fields else "step" if "step" in fields else annotation.__name__
    words: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "yes or no", Any: "anything"}
    return words.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value in (None, "", ()):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, BaseModel):
        return "as below"
    if isinstance(value, tuple | list):
        shown = [item.step if isinstance(item, Step) else str(item) for item in value]
        return ", ".join(f"`{item}`" for item in shown)
    text = f"{value:,}".replace(",", "_") if isinstance(value, int) else str(value)
    return f"`{text}`"


def _limits(field: FieldInfo) -> str:
    words = {"ge": "≥ {:,}", "gt": "> {:,}", "le": "≤ {:,}", "lt": "< {:,}", "min_length": "at least {}"}
    found = [
        text.format(getattr(limit, name))
        for limit in field.metadata
        for name, text in words.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join(found)


def _rules(kind: type[Step]) -> list[str]:
    """A filter's reasons with the limits that its defaults set."""
    if not issubclass(kind, Filter):
        return []
    try:
        rules = kind.model_validate({}).rules()
    except ValidationError:
        return ["Its limits depend on its required options."]
    rows = [["reason", "score", "kept when"]]
    for rule in rules:
        limits = [f"≥ {rule.min:g}"] if rule.min is not None else []
        limits += [f"≤ {rule.max:g}"] if rule.max is not None else []
        limits += [f"one of {', '.join(f'`{name}`' for name in rule.among)}"] if rule.among is not None else []
        rows.append([f"`{rule.reason}`", f"`{rule.score}`", " and ".join(limits) or "always (off by default)"])
    return ["Reasons, in order of precedence, with the defaults:", _table(rows)]


def _table(rows: list[list[str]]) -> str:
    """A Markdown table; the first row is its header."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _page(parts: list[str]) -> str:
    note = "<!-- Written by docs/generate.py from the declarations: change those, then `make docs`. -->"
    return "\n\n".join([note, *parts]) + "\n"


def main() -> None:
    """Write every page."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
