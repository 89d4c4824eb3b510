"""rank agreement: how far the annotators of a campaign agree, and which of them to look at."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field

from curate.declare import Job, Result, Single, Stage, Work
from curate.errors import UsageError

__all__ = ["RankAgreement"]


class RankAgreement(Job):
    """Measure how far annotators agree: over all, by criterion, by source and by pair of annotators.

    Krippendorff's alpha (nominal, ordinal, interval) with a 95 % bootstrap interval over tasks, raw agreement, Fleiss' kappa,
    Kendall's W and tau-b with ties, Cohen's kappa of every two annotators. Rankings are compared answer with answer, whatever
    order they were shown in. Annotators who are much faster than the others, whose best answer stands in one place too often,
    or who miss gold tasks get a flag; the places of the best answers are tested as a whole too. Nothing fails for low
    agreement: people differ on what is better, and gold tasks are the better gate. How often the longer of two answers won is
    told by annotator and criterion.

    Output: `agreement.json`, and the run's report with plots. Memory: 1.3 GB at most for 10^6 votes on 4 answers each.
    """

    job: Literal["rank agreement"] = "rank agreement"
    input: tuple[str, ...] = Field((), max_length=1, description="The campaign's folder, as `curate rank export` made it.")
    sources: tuple[str, ...] = Field(
        (), description="Count only votes of these sources, such as page, csv or model:NAME; default: all."
    )
    samples: int = Field(1000, ge=0, description="Bootstrap samples for the intervals; 0: no intervals.")
    seed: int = Field(0, ge=0, description="Of the bootstrap.")

    def stages(self) -> tuple[Stage, ...]:
        if not self.input:
            raise UsageError("rank agreement: name a campaign's folder as input")
        return (Single("agreement", self._agreement),)

    def _agreement(self, work: Work) -> Result:
        import polars as pl

        from curate.io.files import atomic
        from curate.rank.ballots import of_sources, read_ballots
        from curate.rank.campaign import KEY, campaign_folder, read_key
        from curate.rank.concord import annotators, by_pair, figures, position_bias
        from curate.rank.lengths import answer_lengths, length_bias

        folder = campaign_folder(self.input[0])
        ballots = of_sources(read_ballots(folder), self.sources, work.say)
        key = read_key(folder) if (folder / KEY).is_file() else {}
        gold = {task: entry.gold for task, entry in key.items() if entry.gold}

        over_all = figures(ballots, self.samples, self.seed)

        def each(column: str) -> dict[str, Any]:
            names = ballots.frame[column].unique().sort().to_list()
            if len(names) == 1:
                return {names[0]: over_all}
            return {name: figures(ballots.where(pl.col(column) == name), self.samples, self.seed) for name in names}

        found = {
            "over_all": over_all,
            "criteria": each("criterion"),
            "sources": each("source"),
            "pairs": by_pair(ballots),
            "position_bias": position_bias(ballots),
            "length_bias": length_bias(ballots, answer_lengths(folder)),
            "gold_tasks": len(gold),
            "annotators": annotators(ballots, gold),
        }
        data = work.folder / "data"
        data.mkdir(parents=True, exist_ok=True)
        with atomic(data / "agreement.json") as file:
            file.write((json.dumps(found, indent=1, ensure_ascii=False) + "\n").encode())
        return found
