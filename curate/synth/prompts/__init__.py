"""Prompts are Jinja files, one a method, with a block for each thing that is said; people copy and edit them.

A block `system`, where there is one, is said first. `correction` goes back to a model whose answer cannot be read. Templates
run in a sandbox, can read no other file, and a variable that is not given is an error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError, UsageError, nearest
from curate.models.ask import Message

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["LEAK_WORDS", "Prompts", "copy_prompts", "load_prompts", "shipped"]

FOLDER = Path(__file__).parent

LEAK_WORDS = 8
"""Words of a prompt that stand together in an answer when the answer gives the prompt away."""

WRITTEN = ("unknown",)
"""Blocks that no model is told: what they say is written into rows."""

_WORD = re.compile(r"\w+")


class Prompts:
    """The prompts of a method.

    name: of the method, or the file. digest: of the file's text, 16 hexadecimal digits.
    """

    def __init__(self, name: str, source: str, where: str, blocks: Mapping[str, Sequence[str]]) -> None:
        """blocks: the blocks that the method says, and the variables that each may use. Raises UsageError."""
        from jinja2 import TemplateError, TemplateSyntaxError, meta, nodes

        self.name = name
        self.digest = hashlib.blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        self._where = where
        environment = _environment()
        try:
            tree = environment.parse(source)
            self._template = environment.from_string(tree)
        except TemplateSyntaxError as error:
            raise UsageError(f"{where}:{error.lineno}: {error.message}") from error
        except TemplateError as error:
            raise UsageError(f"{where}: {error}") from error
        missing = [block for block in blocks if block not in self._template.blocks and block != "system"]
        if missing:
            has = ", ".join(sorted(self._template.blocks)) or "none"
            raise UsageError(f"{where}: no block '{missing[0]}'; it has: {has} (see `curate synth prompts cp`)")
        given = {name for names in blocks.values() for name in names}
        unknown = sorted(meta.find_undeclared_variables(tree) - given)
        if unknown:
            raise UsageError(f"{where}: nothing is called '{unknown[0]}' in it{nearest(unknown[0], given)}")
        told = [block for block in tree.find_all(nodes.Block) if block.name not in WRITTEN]
        data = [node.data for block in told for node in block.find_all(nodes.TemplateData)]
        self.runs: frozenset[tuple[str, ...]] = frozenset(run for text in data for run in runs(text))
        """Every run of LEAK_WORDS words that the file itself tells a model."""

    def text(self, block: str, **values: Any) -> str:
        """What a block says, without white space around it. Raises UsageError where the template cannot be rendered."""
        return self.raw(block, **values).strip()

    def raw(self, block: str, **values: Any) -> str:
        """What a block says, to the last line break: the tags of a block take the break after them with them."""
        from jinja2 import TemplateError

        try:
            return "".join(self._template.blocks[block](self._template.new_context(values)))
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise UsageError(f"{self._where}: block '{block}': {error}") from error

    def messages(self, block: str, **values: Any) -> tuple[Message, ...]:
        """The system message, where there is one, and a block as the user's."""
        user: Message = {"role": "user", "content": self.text(block, **values)}
        if "system" not in self._template.blocks or not (system := self.text("system", **values)):
            return (user,)
        return ({"role": "system", "content": system}, user)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)


def runs(text: str) -> set[tuple[str, ...]]:
    """Every run of LEAK_WORDS words of a text, in lower case."""
    words = _WORD.findall(text.lower())
    return {tuple(words[i : i + LEAK_WORDS]) for i in range(len(words) - LEAK_WORDS + 1)}


def load_prompts(method: str, file: str | None, blocks: Mapping[str, Sequence[str]]) -> Prompts:
    """The prompts of a method: ours, or those of a file. Raises InputError where it cannot be read, UsageError where it is
    no such file."""
    path = FOLDER / f"{method}.jinja" if file is None else Path(file)
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise InputError(f"{path}: {reason}; `curate synth prompts cp` writes files to start from") from error
    return Prompts(method if file is None else path.name, source, str(file or f"prompts of {method}"), blocks)


def shipped() -> dict[str, str]:
    """The files that ship, by name, and what each opens with: the text of its first comment."""
    found = {}
    for path in sorted(FOLDER.glob("*.jinja")) + sorted(FOLDER.glob("*.yaml")):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        found[path.name] = first.strip("{}# ").strip()
    return found


def copy_prompts(names: Sequence[str], folder: Path) -> list[Path]:
    """Copy files that ship (none named: all) into a folder; the copies. Raises UsageError for an unknown name or a file that
    is there already, before anything is written."""
    from curate.io.files import atomic

    known = shipped()
    wanted = {name: next((n for n in known if name in (n, Path(n).stem)), "") for name in names or known}
    for name, file in wanted.items():
        if not file:
            raise UsageError(f"no prompts are called '{name}'{nearest(name, [Path(n).stem for n in known])}")
        if (folder / file).exists():
            raise UsageError(f"{folder / file}: there already; name another folder")
    copies = []
    for file in dict.fromkeys(wanted.values()):
        with atomic(folder / file) as handle:
            handle.write((FOLDER / file).read_bytes())
        copies.append(folder / file)
    return copies
