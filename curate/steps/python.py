"""A filter of the user's own: a Python function on batches of rows."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from curate.declare import Batch, Filter, Rule
from curate.errors import CurateError, UsageError, nearest

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Python"]


class Python(Filter):
    """Keep what a Python function of your own says: `keep(rows)`, with a polars DataFrame of some thousand rows.

    The rows hold `id`, `text` and the columns asked for (a row without one has null there). The function gives a series with
    a value for each row, in their order: true or false, whether to keep it; or numbers, when `min` or `max` is set. Null keeps
    the row. Each value must follow from its row alone: batches are cut anywhere. It is called from several processes, and again
    for each row of a batch on which it raised; a row on which it raises is rejected. A series of another kind or length ends
    the run.

    The module is looked for where Python looks (installed packages), then in the working folder, which every worker shares; an
    installed module of the same name is an error, and so never run by mistake. A recipe that names a function runs its code,
    with all your rights: read it before you run a recipe of somebody else.
    """

    step: Literal["python"] = "python"
    function: str = Field(
        description="MODULE:FUNCTION; the module may stand in the working folder, like `mine:keep` for keep() in mine.py.",
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
    )
    columns: tuple[str, ...] = Field((), description="Columns that the function reads besides `id` and `text`.")
    min: float | None = Field(None, description="Least number that is kept, where the function gives numbers.")
    max: float | None = Field(None, description="Greatest number that is kept.")
    sources: tuple[str, ...] = Field(
        (),
        description="Files of your own that the function is made of: when one changes, an earlier result is not taken for this "
        "run's.",
    )

    def needs(self) -> tuple[str, ...]:
        return self.columns

    def rules(self) -> tuple[Rule, ...]:
        if self._numbers:
            return (Rule("function", "score", min=self.min, max=self.max),)
        return (Rule("function", "score", min=1),)

    @property
    def _numbers(self) -> bool:
        return self.min is not None or self.max is not None

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        function = _find(self.function)
        for source in self.sources:
            if not Path(source).is_file():
                raise UsageError(f"python: no file {source}, named in `sources`")

        def measure(batch: Batch) -> pl.DataFrame:
            rows = batch.frame.select(
                pl.col("id"), batch.text.alias("text"), *(c for c in dict.fromkeys(self.columns) if c not in ("id", "text"))
            )
            given = function(rows)
            wanted = "numbers, as `min` or `max` is set" if self._numbers else "booleans, as neither `min` nor `max` is set"
            if not isinstance(given, pl.Series):
                raise UsageError(
                    f"python: {self.function} gave a {type(given).__name__}; it must give a polars Series of {wanted}"
                )
            fits = given.dtype.is_numeric() if self._numbers else given.dtype == pl.Boolean
            if not fits and given.dtype != pl.Null:
                raise UsageError(f"python: {self.function} gave a series of {given.dtype}; it must be of {wanted}")
            if given.len() != len(batch):
                raise UsageError(f"python: {self.function} gave {given.len()} values for {len(batch)} rows")
            return given.cast(pl.Float64).to_frame("score")

        return measure


def _find(name: str) -> Callable[[pl.DataFrame], Any]:
    """The function of MODULE:FUNCTION. Raises UsageError, with what is there instead."""
    where, _, what = name.partition(":")
    module = _module(where)
    function = getattr(module, what, None)
    if function is None:
        own = [key for key, value in vars(module).items() if inspect.isfunction(value) and not key.startswith("_")]
        raise UsageError(f"python: {where} ({module.__file__}) has no function '{what}'{nearest(what, own)}")
    if not callable(function):
        raise UsageError(f"python: {name} is no function, but a value of type {type(function).__name__}")
    found: Callable[[pl.DataFrame], Any] = function
    return found


def _module(name: str) -> ModuleType:
    """The module, of the installed ones or of the working folder."""
    folder = Path.cwd()
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # at the end: a file of the user's must not stand in for a library
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except CurateError:
        raise
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"python: {name} needs the module '{error.name}', which is not installed") from error
        hint = "; name it without its .py" if name.endswith(".py") else ""
        raise UsageError(f"python: no module '{name}', neither installed nor in {folder}{hint}") from error
    except Exception as error:
        raise UsageError(f"python: {name} cannot be imported: {type(error).__name__}: {error}") from error
    top = name.partition(".")[0]
    mine = [path for path in (folder / f"{top}.py", folder / top / "__init__.py") if path.is_file()]
    there = getattr(sys.modules[top], "__file__", None)
    if mine and there is not None and Path(there).resolve() not in [path.resolve() for path in mine]:
        raise UsageError(f"python: {mine[0]} has the name of an installed module ({there}): give it another")
    return module
