"""curate: raw pages and files in, curated training data and a trained language model out.

`run`, `Recipe` and every job and step can be imported from here: `from curate import run, Clean, Replace`. They are looked
up when they are asked for, so that `import curate` costs nothing.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "run":
        from curate.api import run

        return run
    # Submodules are in lower case: asking for one that is not imported yet must not import the catalog.
    if name[:1].isupper():
        found = _classes().get(name)
        if found is not None:
            return found
    raise AttributeError(f"module 'curate' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({"__version__", "run", *_classes()})


def _classes() -> dict[str, Any]:
    """`Recipe`, and the jobs and steps of the catalog, by the names of their classes."""
    from curate.catalog import JOBS, STEPS
    from curate.recipe import Recipe

    kinds: tuple[type, ...] = (Recipe, *JOBS, *STEPS)
    return {kind.__name__: kind for kind in kinds}
