"""The errors that `curate` raises on purpose. Each is one line that says what, where, and what to do.

    CurateError                 exit code 1
    +-- UsageError              2   a flag, option or recipe that cannot be meant
    |   +-- RecipeError         2   the same, with the file and the path inside it
    |   +-- MissingExtra        2   a part of curate that is not installed
    +-- InputError              1   something to read is missing, empty, broken or of the wrong kind
    +-- OutputError             1   something cannot be written: permission, disk full, in the way
    +-- StepError               1   a step broke its contract (ids, order, reasons): a bug in the step
    +-- WorkerError             1   a worker process was killed or could not start
    +-- TooManyErrors           3   the run finished with more rejected rows than `max_errors` allows

Anything else that reaches the user is a bug; `--debug` shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "CurateError",
    "InputError",
    "MissingExtra",
    "OutputError",
    "RecipeError",
    "StepError",
    "TooManyErrors",
    "UsageError",
    "WorkerError",
    "nearest",
]


class CurateError(Exception):
    """An error that a person can act on. `str(error)` is the one line to show."""

    exit_code = 1

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors travel from worker processes, and the constructors of some take more than the message.
        return _restore, (type(self), str(self))


def _restore(kind: type[CurateError], message: str) -> CurateError:
    error = kind.__new__(kind)
    Exception.__init__(error, message)
    return error


class UsageError(CurateError):
    """A flag, option or recipe that cannot be meant."""

    exit_code = 2


class RecipeError(UsageError):
    """A mistake in a recipe.

    `where` is the recipe's file name, `path` the dotted place inside it (`jobs.2.steps.0.min_words`).
    """

    def __init__(self, message: str, *, where: str, path: str = "") -> None:
        self.where = where
        self.path = path
        super().__init__(f"{where}: {path}: {message}" if path else f"{where}: {message}")


class MissingExtra(UsageError):
    """A part of curate that the plain install leaves out; the message names the command that adds it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an extra that is not installed: pip install 'curate[{extra}]'")


class InputError(CurateError):
    """Something to read is missing, empty, broken or of the wrong kind."""


class OutputError(CurateError):
    """Something cannot be written: permission, disk full, a file in the way."""


class StepError(CurateError):
    """A step broke its contract. This is a bug in the step, not in the data."""


class WorkerError(CurateError):
    """A worker process was killed or could not start. Finished parts are kept."""


class TooManyErrors(CurateError):
    """The run stopped because more rows were rejected than `max_errors` allows."""

    exit_code = 3


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint that names the closest valid spelling: `"; did you mean 'x'?"`, or what is valid, or nothing."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    if names and len(names) <= 12:
        return f"; valid here: {', '.join(names)}"
    return ""
