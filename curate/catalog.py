"""THE list of jobs: add a job by writing its class in a file of its own and naming it here. Steps: `curate/steps`."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from curate.declare import Job
from curate.jobs.clean import Clean
from curate.jobs.convert import Convert
from curate.jobs.decontaminate import Decontaminate
from curate.jobs.dedupe import Dedupe
from curate.jobs.extract import Extract
from curate.jobs.mix import Mix
from curate.jobs.perplexity import TrainPerplexity
from curate.jobs.quality import TrainQuality
from curate.jobs.rank_agreement import RankAgreement
from curate.jobs.rank_export import ExportTasks
from curate.jobs.rank_import import ImportVotes
from curate.jobs.rank_leaderboard import RankLeaderboard
from curate.jobs.rank_preferences import RankPreferences
from curate.jobs.rank_vote import RankVote
from curate.jobs.scrape import Scrape
from curate.jobs.synth import QA, BackTranslation, BestOf, Chat, Critique, Evol, Judge, Magpie, Persona, SelfInstruct
from curate.jobs.tokenize import Tokenize
from curate.jobs.tokenizer import TrainTokenizer
from curate.jobs.train import Train
from curate.jobs.validate import Validate
from curate.steps import STEPS, AnyStep

__all__ = ["JOBS", "STEPS", "AnyJob", "AnyStep", "parse_job"]

JOBS: tuple[type[Job], ...] = (
    Scrape,
    Extract,
    Clean,
    Dedupe,
    Decontaminate,
    Mix,
    TrainTokenizer,
    Tokenize,
    Convert,
    Validate,
    Train,
    TrainQuality,
    TrainPerplexity,
    ExportTasks,
    ImportVotes,
    RankAgreement,
    RankLeaderboard,
    RankPreferences,
    RankVote,
    SelfInstruct,
    Evol,
    Magpie,
    QA,
    Persona,
    BackTranslation,
    Chat,
    BestOf,
    Critique,
    Judge,
)

AnyJob = Annotated[
    Scrape
    | Extract
    | Clean
    | Dedupe
    | Decontaminate
    | Mix
    | TrainTokenizer
    | Tokenize
    | Convert
    | Validate
    | Train
    | TrainQuality
    | TrainPerplexity
    | RankAgreement
    | RankLeaderboard
    | ExportTasks
    | ImportVotes
    | RankAgreement
    | RankLeaderboard
    | RankPreferences
    | RankVote
    | SelfInstruct
    | Evol
    | Magpie
    | QA
    | Persona
    | BackTranslation
    | Chat
    | BestOf
    | Critique
    | Judge,
    Field(discriminator="job"),
]
"""Any job of the catalog, told by its `job`."""


def parse_job(options: dict[str, Any]) -> Job:
    """The job in its options. Raises pydantic's ValidationError."""
    return _jobs().validate_python(options)


@cache
def _jobs() -> TypeAdapter[Job]:
    return TypeAdapter(AnyJob)
