"""The errors that `train` raises on purpose. Each is one line that says what, where, and what to do.

TrainError          exit code 1
+-- RecipeError     2   a mistake in the recipe, with its file and the dotted path inside it
+-- DataError       1   something to read is missing, empty, broken or of the wrong kind
+-- Interrupted   130   stopped from outside; what is finished is kept
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["DataError", "Interrupted", "RecipeError", "TrainError", "nearest"]


class TrainError(Exception):
    """An error that a person can act on. `str(error)` is the one line to show."""

    exit_code = 1


class RecipeError(TrainError):
    """A mistake in a recipe: `where` is its file name, `path` the dotted place inside it (`stages.0.optimizer.lr`)."""

    exit_code = 2

    def __init__(self, message: str, *, where: str, path: str = "") -> None:
        self.where = where
        self.path = path
        super().__init__(f"{where}: {path}: {message}" if path else f"{where}: {message}")


class DataError(TrainError):
    """Something to read is missing, empty, broken or of the wrong kind."""


class Interrupted(TrainError):
    """Stopped by a signal. The message says what was saved and how to go on."""

    exit_code = 130


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint that names the closest valid spelling: `"; did you mean 'x'?"`, or what is valid, or nothing."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; valid here: {', '.join(names)}" if names else ""
