"""THE list of steps: add a step by writing its class in a file of its theme and naming it here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from curate.steps.c4 import C4Lines, C4Quality
from curate.steps.clean import Replace, Unicode, Whitespace
from curate.steps.code import CodeQuality
from curate.steps.fineweb import FinewebQuality
from curate.steps.fineweb2 import Fineweb2Quality
from curate.steps.gopher import GopherQuality, GopherRepetition
from curate.steps.language import Language
from curate.steps.length import Length
from curate.steps.madlad import MadladQuality
from curate.steps.perplexity import Perplexity
from curate.steps.python import Python
from curate.steps.quality import Fasttext, Quality
from curate.steps.split import Split
from curate.steps.url import Url
from curate.steps.word_list import WordList

__all__ = ["STEPS", "AnyStep"]

STEPS = (
    Unicode, Whitespace, Replace, C4Lines, Language, Length, GopherQuality, GopherRepetition, FinewebQuality, C4Quality,
    Split, Url, WordList, Python, CodeQuality, MadladQuality,
    Fineweb2Quality, Quality, Fasttext, Perplexity,
)  # fmt: skip


def _named(value: Any) -> Any:
    """A bare name stands for the step with its defaults."""
    return {"step": value} if isinstance(value, str) else value


_Step = Annotated[
    Unicode
    | Whitespace
    | Replace
    | C4Lines
    | Language
    | Length
    | GopherQuality
    | GopherRepetition
    | FinewebQuality
    | C4Quality
    | Split
    | Url
    | WordList
    | Python
    | CodeQuality
    | MadladQuality
    | Fineweb2Quality
    | Quality
    | Fasttext
    | Perplexity,
    Field(discriminator="step"),
]

AnyStep = Annotated[_Step, BeforeValidator(_named, json_schema_input_type=_Step | str)]
"""Any step of the catalog, told by its `step`; or its name alone."""
