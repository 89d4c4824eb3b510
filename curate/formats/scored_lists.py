"""One prompt and a list of answers, each with a score, a rank or a reward.

| dialect              | members                                                                             | score       |
|----------------------|-------------------------------------------------------------------------------------|-------------|
| nectar               | `prompt`, a transcript or a text; `answers` of {`answer`, `model`, `rank`}          | -rank       |
| ultrafeedback        | `instruction`; `completions` of {`model`, `response`, `annotations`,                | below       |
|                      | `overall_score`}                                                                    |             |
| responses_and_scores | `user_input`; `responses_and_scores` of {`source`, `response`, `score`} (GPT-4-LLM) | score       |
| scored_list          | `prompt` or `instruction`; `responses`, texts; `scores`, `rewards` or               | as it is    |
|                      | `rewards_armorm` (Magpie: {`score`}), as many                                       |             |

The score of an UltraFeedback answer is the mean of the ratings of its aspects, those that are "N/A" left out. Only where no
answer of a row has one is it `overall_score`, and a 10 there is none: 2,628 answers got a 10 that was often meant as a 1
(https://github.com/OpenBMB/UltraFeedback/issues/8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.decode import frame_of
from curate.formats.groups import answer
from curate.formats.hh import spoken, transcript_text
from curate.formats.judged import number
from curate.formats.turns import blank, chat_problem, first_problem, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_nectar", "read_responses", "read_scored", "read_ultrafeedback"]

_ASPECTS = ("instruction_following", "honesty", "truthfulness", "helpfulness")


def _asked(*names: str) -> tuple[pl.Expr, pl.Expr]:
    """The turns of a prompt that is the first of these texts that says something; and whether none does."""
    import polars as pl

    text = pl.coalesce(pl.when(~blank(pl.col(name))).then(name) for name in names)
    return pl.concat_list(turn("user", text)).list.drop_nulls().alias("turns"), text.is_null()


def read_nectar(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and its ranked answers."""
    import polars as pl

    message = pl.Struct(dict.fromkeys(("answer", "model", "rank"), pl.String))
    rows = frame_of(record, ("prompt",), {"answers": pl.List(message)})
    field = pl.element().struct.field
    prompt = pl.col("prompt")
    single, silent = _asked("prompt")
    turns = pl.when(prompt.str.starts_with("\n\nHuman:")).then(spoken(prompt)).otherwise(single)
    return rows.select(
        turns.alias("turns"),
        transcript_text(turns, prompt).alias("instruction"),
        pl.col("answers").list.eval(answer(field("answer"), -number(field("rank")), field("model"))),
        first_problem(
            unreadable=~pl.col("read") | prompt.str.contains("\x1e", literal=True).fill_null(False),
            empty_instruction=silent,
            **chat_problem(turns),
        ),
    )


def read_ultrafeedback(record: pl.Series) -> pl.DataFrame:
    """Rows as an instruction and the answers that were rated."""
    import polars as pl

    rating = pl.Struct({"Rating": pl.String})
    completion = pl.Struct(
        {
            "model": pl.String,
            "response": pl.String,
            "overall_score": pl.String,
            "annotations": pl.Struct(dict.fromkeys(_ASPECTS, rating)),
        }
    )
    rows = frame_of(record, ("instruction",), {"completions": pl.List(completion)})
    field = pl.element().struct.field
    ratings = [number(field("annotations").struct.field(aspect).struct.field("Rating")) for aspect in _ASPECTS]
    overall = number(field("overall_score"))
    rated = pl.col("completions").list.eval(pl.mean_horizontal(ratings).is_not_null()).list.any()
    by_aspects = pl.col("completions").list.eval(answer(field("response"), pl.mean_horizontal(ratings), field("model")))
    by_overall = pl.col("completions").list.eval(
        answer(field("response"), pl.when(overall != 10).then(overall), field("model"))
    )
    turns, silent = _asked("instruction")
    return rows.select(
        turns,
        pl.when(rated).then(by_aspects).otherwise(by_overall).alias("answers"),
        first_problem(unreadable=~pl.col("read"), empty_instruction=silent),
    )


def read_responses(record: pl.Series) -> pl.DataFrame:
    """Rows as what the user said and the responses to it."""
    import polars as pl

    message = pl.Struct(dict.fromkeys(("source", "response", "score"), pl.String))
    rows = frame_of(record, ("user_input",), {"responses_and_scores": pl.List(message)})
    field = pl.element().struct.field
    said = answer(field("response"), number(field("score")), field("source"))
    turns, silent = _asked("user_input")
    return rows.select(
        turns,
        pl.col("responses_and_scores").list.eval(said).alias("answers"),
        first_problem(unreadable=~pl.col("read"), empty_instruction=silent),
    )


def read_scored(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and its answers, scored by a list beside them."""
    import polars as pl

    texts = pl.List(pl.String)
    nested = {"responses": texts, "scores": texts, "rewards": texts, "rewards_armorm": pl.List(pl.Struct({"score": pl.String}))}
    rows = frame_of(record, ("prompt", "instruction"), nested)
    field = pl.element().struct.field
    rows = rows.with_columns(
        pl.coalesce("scores", "rewards", pl.col("rewards_armorm").list.eval(field("score"))).alias("scores")
    )
    uneven = pl.col("scores").list.len().fill_null(0) != pl.col("responses").list.len().fill_null(0)
    rows = rows.with_columns(
        first_problem(unreadable=~pl.col("read"), uneven=uneven),
        pl.when(~uneven).then("responses").alias("responses"),
        pl.when(~uneven).then("scores").alias("scores"),
    ).with_row_index("row")
    told = rows.select("row", "responses", "scores").explode("responses", "scores", empty_as_null=True)
    told = told.group_by("row", maintain_order=True).agg(answer(pl.col("responses"), number(pl.col("scores"))).alias("answers"))
    turns, silent = _asked("prompt", "instruction")
    return rows.with_columns(told["answers"]).select(
        turns, "answers", pl.coalesce("problem", first_problem(empty_instruction=silent)).alias("problem")
    )
