"""`curate synth prompts`: the prompts of the methods, to look at and to copy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from curate.cli.base import Debug

__all__ = ["prompts"]

prompts = App(name="prompts", help="The prompts of the methods: list or copy them.", help_format="plaintext")


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
