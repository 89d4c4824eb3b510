"""A recipe file: YAML or JSON in, a checked `TrainRecipe` out. No torch here."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from train.config import TrainRecipe
from train.errors import RecipeError, nearest

__all__ = ["check_recipe", "load_recipe"]


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> TrainRecipe:
    """Read the recipe at `path` (YAML, of which JSON is a part) with `a.b=c` overrides on top.

    Raises RecipeError naming the file, the dotted path and, for an unknown key, the nearest valid one.
    """
    import yaml

    where = str(path)
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot be read ({error.strerror})", where=where) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"is neither YAML nor JSON: {' '.join(str(error).split())}", where=where) from error
    if not isinstance(content, dict):
        raise RecipeError("must be a mapping with the keys out and stages", where=where)
    for override in overrides or []:
        _override(content, override)
    return check_recipe(content, where=where)


def check_recipe(content: dict[str, Any], *, where: str) -> TrainRecipe:
    """The recipe that `content` describes. Raises RecipeError for the first mistake in it."""
    try:
        return TrainRecipe.model_validate(content)
    except ValidationError as error:
        if "jobs" in content and "stages" not in content:
            raise RecipeError("holds jobs, which `curate run` runs; a training recipe has stages", where=where) from error
        problem = error.errors(include_url=False, include_context=False)[0]
        path, model = _locate(problem["loc"])
        if problem["type"] == "extra_forbidden":
            key = path[-1]
            hint = nearest(key, model.model_fields) if model else ""
            raise RecipeError(f"unknown key{hint}", where=where, path=".".join(path)) from error
        if problem["type"].startswith("union_tag"):  # pydantic's words name the tags of the union, not the key
            kind = problem["input"].get("stage") if isinstance(problem["input"], dict) else None
            kinds = [str(_kind(m)) for m in _models(TrainRecipe.model_fields["stages"].annotation)]
            message = f"no stage of kind {kind!r}{nearest(str(kind), kinds)}" if kind else f"is required{nearest('', kinds)}"
            raise RecipeError(message, where=where, path=".".join([*path, "stage"])) from error
        if problem["type"] == "missing":
            raise RecipeError("is required", where=where, path=".".join(path)) from error
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] != "value_error":
            message += f", not {problem['input']!r}"
        raise RecipeError(message, where=where, path=".".join(path)) from error


def _locate(loc: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel] | None]:
    """The path as the person wrote it (pydantic's has the tags of unions in it), and the model its last key is in."""
    path: list[str] = []
    model: type[BaseModel] | None = None
    candidates: list[type[BaseModel]] = [TrainRecipe]
    for part in loc:
        if isinstance(part, int):
            path.append(str(part))
            continue
        owners = [c for c in candidates if part in c.model_fields]
        if not owners and len(candidates) > 1:  # the tag of a union: the stage it chooses
            candidates = [c for c in candidates if _kind(c) == part] or candidates
            continue
        if not owners and part in ("new", "folder"):
            continue
        path.append(part)
        model = next(iter(owners or candidates), None)
        candidates = _models(model.model_fields[part].annotation) if owners and model else []
    return path, model


def _kind(model: type[BaseModel]) -> object:
    field = model.model_fields.get("stage")
    return field.default if field else None


def _models(annotation: object) -> list[type[BaseModel]]:
    """The option models inside an annotation: `list[A | B]` gives A and B."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for inner in typing.get_args(annotation) for model in _models(inner)]


def _override(content: dict[str, Any], override: str) -> None:
    """Set `a.b=c` inside `content`; c is read as YAML, a number steps into a list."""
    import yaml

    dotted, equals, text = override.partition("=")
    parts = dotted.split(".")
    if not equals or not all(parts):
        raise RecipeError(f"{override!r} is not of the form a.b=c", where="--set")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{text!r} is not a YAML value", where="--set", path=dotted) from error
    inside: Any = content
    for depth, part in enumerate(parts):
        last = depth == len(parts) - 1
        if isinstance(inside, list):
            if not part.isdigit() or int(part) >= len(inside):
                at = ".".join(parts[:depth])
                raise RecipeError(f"{at} has {len(inside)} entries, numbered from 0", where="--set", path=dotted)
            key: Any = int(part)
        elif isinstance(inside, dict):
            key = part
            if not last:
                inside.setdefault(key, {})
        else:
            raise RecipeError(f"{'.'.join(parts[:depth])} is a value, not a mapping", where="--set", path=dotted)
        if last:
            inside[key] = value
        else:
            inside = inside[key]
