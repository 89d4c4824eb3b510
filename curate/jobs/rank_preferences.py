"""rank preferences: what models learn from, made of people's votes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from curate.declare import Reading, Result, Rows, RowsJob, Single, Stage, Step, Work
from curate.errors import InputError, UsageError
from curate.rank.preferences import By, Wanted, WantedName

__all__ = ["RankPreferences"]


class RankPreferences(RowsJob):
    """Make preference pairs, ranked groups, labels or scores of a campaign's votes.

    Of K answers all K(K-1)/2 pairs, without ties. Every row says how many votes it rests on (`n_votes`), the share of them
    that is for the better answer (`agreement`), by how much it is better (`margin`), and the prompt that it is of
    (`group_id`); with `validation` all rows of a prompt are on one side of `split`. What makes no row is dropped with its
    reason: ties, few votes, low agreement, small margins, gold tasks. Of an annotator's votes on a task the last counts.
    Answers marked as all bad still make pairs; as labels (`kto`) they are all bad where most votes say so.
    """

    job: Literal["rank preferences"] = "rank preferences"
    to: WantedName = Field(
        "preference",
        description="What to write. preference, trl_dpo, trl_reward, openai_preference: pairs; kwise: a prompt with its "
        "answers and their ranks; kto: each answer with whether it is good; scores: each answer with its score and rank.",
    )
    criterion: str = Field("", description="The criterion to go by; default: the only one there are votes on.")
    sources: tuple[str, ...] = Field(
        (), description="Count only votes of these sources, such as page, csv or model:NAME; default: all."
    )
    by: By = Field(
        "majority",
        description="How several annotators become one. majority: which of two answers most prefer, margin the difference of "
        "the shares; borda: mean share of other answers beaten; bradley_terry: log strengths of the task's answers.",
    )
    min_margin: float = Field(0.0, ge=0, description="Least margin of a pair; of a label the least distance from the middle.")
    min_agreement: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Least share of the votes that must be for the better answer of a pair (a group: on average).",
    )
    min_votes: int = Field(1, ge=1, description="Fewest votes on a pair, or on a task.")
    validation: float = Field(0.0, ge=0, le=1, description="Share of the prompts whose rows are for validation.")
    seed: int = Field(0, ge=0, lt=1 << 64, description="Another seed draws other prompts for validation.")
    campaign: str = Field("", description="The campaign's folder; default: that of the input.")

    @model_validator(mode="before")
    @classmethod
    def _tasks_of_the_folder(cls, given: object) -> object:
        if not isinstance(given, dict) or isinstance(given.get("input"), str) or not given.get("input"):
            return given
        from curate.rank.campaign import TASKS, campaign_folder

        named = [str(path) for path in given["input"]]
        if any(path.startswith("job:") for path in named):
            return given
        files = [path if path.endswith(".jsonl") else str(campaign_folder(path) / TASKS) for path in named]
        return {**given, "input": files, "campaign": given.get("campaign") or str(Path(files[0]).parent)}

    def reading(self) -> Reading:
        return "record"

    def stages(self) -> tuple[Stage, ...]:
        if len(self.input) > 1:
            raise UsageError("rank preferences: name one campaign")
        return (Single("votes", self._judge), Rows(steps=(), left=self._wanted))

    def _judge(self, work: Work) -> Result:
        import polars as pl

        from curate.rank.ballots import of_sources, read_ballots
        from curate.rank.campaign import KEY, campaign_folder, read_key
        from curate.rank.preferences import judge

        folder = campaign_folder(self.campaign)
        ballots = of_sources(read_ballots(folder), self.sources, work.say)
        there = ballots.frame["criterion"].unique().sort().to_list()
        if not self.criterion and len(there) > 1:
            raise InputError(f"{folder}: votes on {', '.join(there)}; name one as criterion")
        criterion = self.criterion or there[0]
        if criterion not in there:
            raise InputError(f"{folder}: no votes on '{criterion}'; there are votes on {', '.join(there)}")
        ballots = ballots.where(pl.col("criterion") == criterion)
        key = read_key(folder) if (folder / KEY).is_file() else {}
        judge(ballots, key, self.by, work.folder / "work" / "judged")
        return {"criterion": criterion, "votes": len(ballots), "annotators": ballots.frame["annotator"].n_unique()}

    def _wanted(self, folder: Path) -> tuple[Step, ...]:
        return (
            Wanted(
                to=self.to,
                judged=str(folder / "work" / "judged"),
                min_margin=self.min_margin,
                min_agreement=self.min_agreement,
                min_votes=self.min_votes,
                validation=self.validation,
                seed=self.seed,
            ),
        )
