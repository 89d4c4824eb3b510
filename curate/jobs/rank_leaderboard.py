"""rank leaderboard: the models of a campaign in the order that people's votes put them in."""

from __future__ import annotations

import json
from typing import Literal

from pydantic import Field

from curate.declare import Job, Result, Single, Stage, Work
from curate.errors import InputError, UsageError

__all__ = ["RankLeaderboard"]


class RankLeaderboard(Job):
    """Put the models that wrote a campaign's answers in order, by each criterion, with 95 % intervals.

    Bradley-Terry (a tie is half a win for both) and Plackett-Luce (a tie counts as every order of its answers in equal parts),
    both with a small prior, so that a model that never loses has a finite score; beside them the rate of wins, Borda, the
    share of meetings won by most votes, and Elo for show (it depends on the order of the votes). Scores are natural
    logarithms of strengths, their mean 0: a difference of 0.69 is odds of two to one. Intervals draw whole tasks. Models that
    no comparison connects are told: between them only the prior speaks. Gold tasks, and two answers of one model, do not count.
    Where models voted too (`rank vote`), what people and each of them make of the models stands side by side.

    Output: `leaderboard.json`, and the run's report with plots. Memory: 2.5 GB at most for 10^6 votes on 4 answers each.
    """

    job: Literal["rank leaderboard"] = "rank leaderboard"
    input: tuple[str, ...] = Field((), max_length=1, description="The campaign's folder, as `curate rank export` made it.")
    sources: tuple[str, ...] = Field(
        (), description="Count only votes of these sources, such as page, csv or model:NAME; default: all."
    )
    prior: float = Field(0.1, gt=0, description="Games, half of them won, that each model is given against one of strength 1.")
    samples: int = Field(200, ge=0, description="Bootstrap samples for the intervals; 0: no intervals.")
    seed: int = Field(0, ge=0, description="Of the bootstrap.")

    def stages(self) -> tuple[Stage, ...]:
        if not self.input:
            raise UsageError("rank leaderboard: name a campaign's folder as input")
        return (Single("leaderboard", self._leaderboard),)

    def _leaderboard(self, work: Work) -> Result:
        import polars as pl

        from curate.io.files import atomic
        from curate.rank.ballots import of_sources, read_ballots
        from curate.rank.campaign import KEY, campaign_folder, read_key
        from curate.rank.leaderboard import by_voter, leaderboard

        folder = campaign_folder(self.input[0])
        key = read_key(folder)
        if not any(entry.models for entry in key.values()):
            raise InputError(f"{folder / KEY}: names no model; `curate rank export` writes them where its input names them")
        ballots = read_ballots(folder).where(~pl.col("task").is_in([task for task, entry in key.items() if entry.gold]))
        ballots = of_sources(ballots, self.sources, work.say)
        found = {}
        for criterion in ballots.frame["criterion"].unique().sort().to_list():
            mine = ballots.where(pl.col("criterion") == criterion)
            board = leaderboard(mine, key, prior=self.prior, samples=self.samples, seed=self.seed)
            board["voters"] = by_voter(mine, key, prior=self.prior)
            found[criterion] = board
            if len(board["components"]) > 1:
                parts = "; ".join(", ".join(group[:5]) + (" ..." if len(group) > 5 else "") for group in board["components"])
                work.say(f"{criterion}: no comparison connects these groups, so their scores cannot be compared: {parts}")
        data = work.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        with atomic(data / "leaderboard.json") as file:
            file.write((json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())
        return {"criteria": found}
