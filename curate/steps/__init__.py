"""THE list of steps: add a step by writing its class in a file of its theme and naming it here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from curate.steps.boilerplate import BoilerplateLines
from curate.steps.c4 import C4Lines, C4Quality
from curate.steps.citations import Citations
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
from curate.steps.redact import Redact
from curate.steps.refinedweb import RefinedwebLines, RefinedwebQuality
from curate.steps.repeated import RepeatedLines
from curate.steps.split import Split
from curate.steps.url import Url
from curate.steps.word_list import WordList

__all__ = ["STEPS", "AnyStep"]

STEPS = (
    Unicode, Whitespace, Redact, Citations, BoilerplateLines, RefinedwebLines, RepeatedLines, C4Lines, Replace, Url,
    Language, Length, GopherQuality, GopherRepetition, C4Quality, FinewebQuality, Fineweb2Quality, RefinedwebQuality,
    MadladQuality, CodeQuality, WordList, Quality, Fasttext, Perplexity, Python, Split,
)  # fmt: skip
"""In the order that they are usually used in: cleaning, filters by rule, learned filters, one's own."""


def _named(value: Any) -> Any:
    """A bare name stands for the step with its defaults."""
    return {"step": value} if isinstance(value, str) else value


_Step = Annotated[
    Unicode
    | Whitespace
    | Redact
    | Citations
    | BoilerplateLines
    | RefinedwebLines
    | RepeatedLines
    | C4Lines
    | Replace
    | Url
    | Language
    | Length
    | GopherQuality
    | GopherRepetition
    | C4Quality
    | FinewebQuality
    | Fineweb2Quality
    | RefinedwebQuality
    | MadladQuality
    | CodeQuality
    | WordList
    | Quality
    | Fasttext
    | Perplexity
    | Python
    | Split,
    Field(discriminator="step"),
]

AnyStep = Annotated[_Step, BeforeValidator(_named, json_schema_input_type=_Step | str)]
"""Any step of the catalog, told by its `step`; or its name alone."""
