"""What is made of votes: pairs of answers, groups in order, labels, scores.

Two parts. `judge` puts the votes of a campaign together, a line a pair of answers and a line an answer. `Wanted` is the step
that goes over the tasks and writes rows from these lines, or says why not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from curate.declare import Batch, Expand, FormatName
from curate.formats.problems import PROBLEMS

if TYPE_CHECKING:
    import polars as pl

    from curate.rank.ballots import Ballots
    from curate.rank.campaign import Key

__all__ = ["REASONS", "By", "Wanted", "WantedName", "judge"]

By = Literal["majority", "borda", "bradley_terry"]
"""How the votes of several annotators become one judgement."""

WantedName = Literal["preference", "trl_dpo", "trl_reward", "openai_preference", "kwise", "kto", "scores"]

ANSWERS, PAIRS = "answers.parquet", "pairs.parquet"

REASONS = {
    "not_a_task": "the line is no task of `curate rank export`",
    "gold": "a task whose right ranks are known, which is there to check annotators",
    "not_voted": "nobody ranked two of its answers",
    "few_votes": "fewer votes than `min_votes`",
    "tie": "two answers that the votes do not tell apart; for labels, one that is neither good nor bad",
    "low_agreement": "a smaller share of the votes than `min_agreement` is for the better answer",
    "small_margin": "a smaller margin than `min_margin`",
}


def judge(ballots: Ballots, key: Mapping[str, Key], by: By, folder: Path) -> None:
    """Write what the votes (of one criterion) say, into `folder`.

    pairs.parquet: task, first, second (places of the answers' names), n_votes, for_first, for_second, margin (above 0: the
    first is better). answers.parquet: task, place, n_votes, agreement, score, rank, middle, model, gold, all_bad.
    O(votes K^2).
    """
    import numpy as np
    import polars as pl

    from curate.rank.ballots import COUPLES, couples

    vote, which, result = couples(ballots.ranks)
    first, second = np.array(COUPLES, np.int8).T
    lines = pl.DataFrame(
        {"task": ballots.frame["task"].gather(vote), "first": first[which], "second": second[which], "won": result}
    )
    pairs = lines.group_by("task", "first", "second").agg(
        pl.len().cast(pl.Int64).alias("n_votes"),
        (pl.col("won") == 1).sum().cast(pl.Int64).alias("for_first"),
        (pl.col("won") == -1).sum().cast(pl.Int64).alias("for_second"),
    )
    pairs = pairs.sort("task", "first", "second")
    answers = _scored(pairs, by)
    if by == "majority":
        margin = ((pl.col("for_first") - pl.col("for_second")) / pl.col("n_votes")).round(9)
    else:
        score = answers.select("task", pl.col("place"), "score")
        for name in ("first", "second"):
            pairs = pairs.join(
                score.rename({"place": name, "score": f"{name}_score"}), on=["task", name], maintain_order="left"
            )
        margin = (pl.col("first_score") - pl.col("second_score")).round(9)
    pairs = pairs.with_columns(margin.alias("margin"))
    voted = pl.DataFrame({"vote": np.unique(vote)})
    of_task = (
        ballots.frame.select("task", "all_bad")[voted["vote"]]
        .group_by("task")
        .agg(pl.len().cast(pl.Int64).alias("n_votes"), (pl.col("all_bad").mean() > 0.5).alias("all_bad"))
    )
    share = pl.max_horizontal("for_first", "for_second") / pl.col("n_votes")
    agreement = pairs.group_by("task").agg(share.mean().round(6).alias("agreement"))
    answers = answers.join(of_task, on="task").join(agreement, on="task")
    models = [(task, "abcdefghi".find(letter), model) for task in key for letter, model in key[task].models.items()]
    known = pl.DataFrame(models, schema={"task": pl.String, "place": pl.Int8, "model": pl.String}, orient="row")
    answers = answers.join(known, on=["task", "place"], how="left")
    golden = [task for task in key if key[task].gold]
    answers = answers.with_columns(pl.col("task").is_in(golden).alias("gold")).sort("task", "place")
    folder.mkdir(parents=True, exist_ok=True)
    answers.write_parquet(folder / ANSWERS)
    pairs.write_parquet(folder / PAIRS)


def _scored(pairs: pl.DataFrame, by: By) -> pl.DataFrame:
    """Answers of each task by their score: task, place, score, rank (1 is best, ties share one), middle (neither good nor bad).

    majority: share of the other answers that most votes put below it (Copeland). borda: mean share of the votes that put it
    above another, over the others. In both a tie is half. bradley_terry: log strength, mean 0, of the task's answers alone.
    """
    import numpy as np
    import polars as pl

    from curate.rank.aggregate import bradley_terry

    if by == "majority":
        won = ((pl.col("for_first") - pl.col("for_second")).sign() + 1) / 2
    else:
        won = (pl.col("for_first") - pl.col("for_second")) / pl.col("n_votes") / 2 + 0.5
    both = [
        pairs.select("task", pl.col(me).alias("place"), pl.col(other).alias("other"), share.alias("won"), "n_votes")
        for me, other, share in (("first", "second", won), ("second", "first", 1 - won))
    ]
    lines = pl.concat(both)
    scores = lines.group_by("task", "place").agg(pl.col("won").sort().mean().alias("score")).sort("task", "place")
    if by == "bradley_terry" and lines.height:
        task = lines["task"].rank("dense").to_numpy() - 1
        wins = np.zeros((int(task.max()) + 1, 9, 9))
        wins[task, lines["place"].to_numpy(), lines["other"].to_numpy()] = (lines["won"] * lines["n_votes"]).to_numpy()
        log = bradley_terry(wins)
        at = scores["task"].rank("dense").to_numpy() - 1
        scores = scores.with_columns(pl.Series("score", log[at, scores["place"].to_numpy()]))
        scores = scores.with_columns(pl.col("score") - pl.col("score").mean().over("task"))
    scores = scores.with_columns(pl.col("score").round(9))
    return scores.with_columns(
        pl.col("score").rank("min", descending=True).over("task").cast(pl.Int64).alias("rank"),
        pl.lit(0.0 if by == "bradley_terry" else 0.5).alias("middle"),
    )


class Wanted(Expand):
    """Makes each task the rows that are wanted of it; what makes none goes with its reason. O(pairs)."""

    reason: ClassVar[str] = "not_voted"
    gives_up: ClassVar[tuple[str, ...]] = tuple(dict.fromkeys((*REASONS, *PROBLEMS)))

    step: Literal["preferences"] = "preferences"
    to: WantedName = Field(description="What to write.")
    judged: str = Field(description="Folder with what `judge` wrote.")
    min_margin: float = Field(0.0, description="Least margin.")
    min_agreement: float = Field(0.0, description="Least agreement.")
    min_votes: int = Field(1, description="Fewest votes.")
    validation: float = Field(0.0, description="Share of the prompts for validation.")
    seed: int = Field(0, description="Of the draw for validation.")

    def makes(self) -> tuple[str, ...]:
        return ("instruction", "chosen", "rejected", "_rest") if self.to == "preference" else ("record",)

    def makes_format(self) -> FormatName | None:
        return "preference" if self.to == "preference" else None

    def drops(self) -> tuple[str, ...] | None:
        return None

    def bind(self) -> Writing:
        return Writing(self)


class Writing:
    """The bound step."""

    def __init__(self, options: Wanted) -> None:
        import polars as pl

        self._options = options
        self._answers = pl.read_parquet(Path(options.judged) / ANSWERS)
        self._pairs = pl.read_parquet(Path(options.judged) / PAIRS)

    def __call__(self, batch: Batch) -> pl.DataFrame:
        import polars as pl

        tasks, texts = _tasks(batch.frame["record"])
        voted = self._answers.unique("task", keep="first").select("task", "gold")
        tasks = tasks.join(voted, on="task", how="left", maintain_order="left")
        why = (
            pl.when(pl.col("task").is_null())
            .then(pl.lit("not_a_task"))
            .when(pl.col("gold").is_null())
            .then(pl.lit("not_voted"))
            .when(pl.col("gold"))
            .then(pl.lit("gold"))
        )
        tasks = self._split(tasks.with_columns(why.alias("problem")))
        gone = tasks.filter(pl.col("problem").is_not_null()).select("parent", pl.col("problem").alias("reason"))
        tasks = tasks.filter(pl.col("problem").is_null()).drop("gold", "problem")
        answers = texts.join(self._answers.drop("gold"), on=["task", "place"], maintain_order="left")
        if self._options.to in ("kwise", "scores", "kto"):
            made = self._of_answers(tasks, answers)
        else:
            made = self._of_pairs(tasks, answers)
        done = pl.concat([made, gone], how="diagonal").sort("parent", maintain_order=True)
        missing = [
            pl.lit(None, pl.String).alias(name) for name in (*self._options.makes(), "value") if name not in done.columns
        ]
        return done.with_columns(*missing).select("parent", *self._options.makes(), "reason", "value")

    def _split(self, tasks: pl.DataFrame) -> pl.DataFrame:
        """Tasks with `group_id`, of their prompt, and the side that it falls on: all that is made of a prompt is on one."""
        import polars as pl

        from curate.analysis import split_of
        from curate.formats.messages import encode

        texts = encode(tasks["turns"]).to_list()
        # One hash a task, and tasks are as many as people can do.
        group = pl.Series(
            "group_id", [hashlib.blake2b((text or "").encode(), digest_size=8).hexdigest() for text in texts], pl.String
        )
        tasks = tasks.with_columns(group)
        if not self._options.validation:
            return tasks.with_columns(pl.lit(None, pl.String).alias("split"))
        return tasks.with_columns(split_of(group, self._options.validation, self._options.seed))

    def _of_pairs(self, tasks: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        from curate.formats.how import How
        from curate.formats.judged import about
        from curate.formats.targets import TARGETS
        from curate.formats.turns import lone_user

        options = self._options
        ahead = pl.col("margin") >= 0
        better, worse = (pl.when(ahead).then(a).otherwise(b) for a, b in (("first", "second"), ("second", "first")))
        lines = tasks.join(self._pairs, on="task", maintain_order="left_right").with_columns(
            better.alias("better"),
            worse.alias("worse"),
            pl.when(ahead).then("for_first").otherwise("for_second").alias("for"),
            pl.col("margin").abs(),
        )
        for place, side in (("better", "chosen"), ("worse", "rejected")):
            said = answers.select(
                "task", pl.col("place").alias(place), pl.col("text").alias(side), pl.col("model").alias(f"model_{side}")
            )
            lines = lines.join(said, on=["task", place], how="left", maintain_order="left")
        lines = lines.with_columns((pl.col("for") / pl.col("n_votes")).round(6).alias("agreement"))
        lines = lines.with_columns(
            self._why(tie=pl.col("margin") == 0, margin=pl.col("margin")).alias("problem"),
            lone_user(pl.col("turns")).alias("instruction"),
        )
        target = TARGETS[options.to]  # type: ignore[index]
        names = ["n_votes", "agreement", "margin", "model_chosen", "model_rejected", "group_id", "split"]
        rest = lines.select(about(**{name: pl.col(name) for name in names if name not in target.members})).to_series()
        made = target.write(lines, How())
        letters = pl.lit("abcdefghi")
        value = lines.select(
            pl.concat_str(
                letters.str.slice(pl.col("better"), 1), pl.lit(" before "), letters.str.slice(pl.col("worse"), 1),
                pl.lit(": "), pl.col("for"), pl.lit(" of "), pl.col("n_votes"), pl.lit(" votes"),
            )
        ).to_series()  # fmt: skip
        return self._told(made.with_columns(value.alias("value")), rest)

    def _told(self, made: pl.DataFrame, rest: pl.Series) -> pl.DataFrame:
        """Lines with what else is known of them, and nothing but the reason where there is one."""
        import polars as pl

        made = made.with_columns(rest.alias("_rest"))
        if self._options.to != "preference":
            whole = pl.concat_str(pl.col("record").str.head(-1), pl.lit(","), "_rest", pl.lit("}"))
            made = made.with_columns(whole.alias("record")).drop("_rest")
        fine = pl.col("problem").is_null()
        kept = (pl.when(fine).then(name).alias(name) for name in self._options.makes())
        return made.with_columns(*kept, pl.when(~fine).then("value").alias("value")).rename({"problem": "reason"})

    def _why(self, tie: pl.Expr, margin: pl.Expr) -> pl.Expr:
        from curate.formats.turns import first_problem

        import polars as pl  # isort: skip

        options = self._options
        return first_problem(
            few_votes=pl.col("n_votes") < options.min_votes,
            tie=tie,
            low_agreement=pl.col("agreement") < options.min_agreement,
            small_margin=margin < options.min_margin,
        )

    def _of_answers(self, tasks: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        from curate.formats.judged import about
        from curate.formats.layouts import kto

        to = self._options.to
        lines = tasks.join(answers.drop("parent"), on="task", maintain_order="left_right").sort(
            "parent", "rank", "place", maintain_order=True
        )
        lines = lines.with_columns(pl.col("turns").alias("prompt"), pl.col("text").alias("answer"))
        letter = pl.lit("abcdefghi").str.slice(pl.col("place"), 1)
        if to == "kto":
            from curate.formats.how import How

            off = pl.col("score") - pl.col("middle")
            said = pl.concat_list(pl.struct(pl.lit("assistant").alias("role"), pl.col("text").alias("content")))
            lines = lines.with_columns(
                self._why(tie=(off == 0) & ~pl.col("all_bad"), margin=pl.when("all_bad").then(1e9).otherwise(off.abs())),
                ((off > 0) & ~pl.col("all_bad")).alias("label"),
                pl.concat_list("turns", said).alias("turns"),
            )
            names = ["score", "n_votes", "model", "group_id", "split"]
            rest = lines.select(about(**{name: pl.col(name) for name in names})).to_series()
            return self._told(kto(lines, How()).with_columns(lines.select(letter.alias("value")).to_series()), rest)
        if to == "scores":
            lines = lines.with_columns(self._why(tie=pl.lit(False), margin=pl.lit(1e9)))
            names = ["group_id", "prompt", "answer", "rank", "score", "n_votes", "model", "split"]
        else:
            one = pl.struct("answer", "rank", "score", "model").alias("answers")
            first = [
                name
                for name in ("task", "turns", "prompt", "group_id", "split", "n_votes", "agreement")
                if name in lines.columns
            ]
            lines = lines.group_by("parent", maintain_order=True).agg(
                *(pl.col(name).first() for name in first),
                one,
                pl.col("rank").n_unique().alias("different"),
                pl.lit("").first().alias("place"),
            )
            lines = lines.with_columns(self._why(tie=pl.col("different") == 1, margin=pl.lit(1e9)))
            names, letter = ["group_id", "prompt", "answers", "n_votes", "agreement", "split"], pl.lit("")
        members = lines.select(about(**{name: pl.col(name) for name in names})).to_series()
        records = pl.select(pl.concat_str(pl.lit("{"), members, pl.lit("}"))).to_series()
        fine = pl.col("problem").is_null()
        return lines.with_columns(records.alias("record")).select(
            "parent",
            pl.when(fine).then("record").alias("record"),
            pl.col("problem").alias("reason"),
            pl.when(~fine).then(letter).alias("value"),
        )


def _tasks(record: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Lines of tasks.jsonl as `parent`, `task` (null where it is none), `turns`; and their answers: task, place, text."""
    import polars as pl

    from curate.formats.decode import frame_of, message_list

    answer = pl.List(pl.Struct({"answer": pl.String, "text": pl.String}))
    rows = frame_of(record, ("task",), {"prompt": message_list(), "answers": answer})
    rows = rows.with_columns(pl.int_range(pl.len()).alias("parent"))
    whole = pl.col("task").is_not_null() & (pl.col("prompt").list.len() > 0) & (pl.col("answers").list.len() > 1)
    rows = rows.with_columns(pl.when(whole).then("task").alias("task"))
    letters = {letter: place for place, letter in enumerate("abcdefghi")}
    texts = rows.filter(pl.col("task").is_not_null()).select("parent", "task", "answers").explode("answers").unnest("answers")
    place = pl.col("answer").replace_strict(letters, default=-1, return_dtype=pl.Int8)
    return rows.select("parent", "task", pl.col("prompt").alias("turns")), texts.select(
        "parent", "task", place.alias("place"), "text"
    )
