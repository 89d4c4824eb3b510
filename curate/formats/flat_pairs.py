"""Pairs whose prompt and answers are texts, each under a name of its own.

| dialect        | asked                  | better, worse                       | published as                              |
|----------------|------------------------|-------------------------------------|-------------------------------------------|
| preference     | `instruction`, `input` | `chosen`, `rejected`                | our own format; LLaMA-Factory's ranked    |
|                |                        |                                     | Alpaca                                    |
| stack_exchange | `question`             | `response_j`, `response_k`          | lvwerra/stack-exchange-paired             |
| orca_pairs     | `question` or `input`  | `chosen`, `rejected`                | Intel/orca_dpo_pairs, Argilla's of it     |
| argilla        | `instruction`          | `chosen_response`,                  | argilla/ultrafeedback-binarized           |
|                |                        | `rejected_response`                 |                                           |
| swift          | `query`                | `response`, `rejected_response`     | modelscope/ms-swift                       |
| comparison     | `user_input`           | `completion_a`, `completion_b`      | GPT-4-LLM                                 |

`system` and `history` ([[user, assistant], ...]) come before what is asked. HTML and Markdown stay as they are written. Scores
of the two answers, by the names of `judged.SCORES`, must not contradict which one is better.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from curate.formats.alpaca import asked
from curate.formats.decode import frame_of
from curate.formats.judged import SCORES, scores_of
from curate.formats.turns import blank, first_problem, lone_user, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["USES", "reader"]

USES = ("system", "history", *(name for names in SCORES.values() for name in names))
"""Members that are taken in beside the prompt and the answers."""


def reader(chosen: str, rejected: str, *prompt: str) -> Callable[[pl.Series], pl.DataFrame]:
    """A reader of rows with these members; the first of `prompt` that says something is what is asked, `input` follows it."""

    def read(record: pl.Series) -> pl.DataFrame:
        import polars as pl

        texts = (*prompt, "input", "system", chosen, rejected)
        rows = frame_of(record, tuple(dict.fromkeys(texts)), {"history": pl.List(pl.List(pl.String))})
        said = pl.element().list
        exchange = pl.concat_list(turn("user", said.get(0, null_on_oob=True)), turn("assistant", said.get(1, null_on_oob=True)))
        rows = rows.with_columns(
            pl.coalesce(pl.when(~blank(pl.col(name))).then(name) for name in prompt).alias("instruction"),
            pl.when("input" not in prompt).then("input").alias("input"),
            pl.col("history").fill_null([]).list.eval(exchange.explode(empty_as_null=False)),
        )
        rows = rows.with_columns(
            asked().alias("instruction"), pl.col(chosen).alias("chosen"), pl.col(rejected).alias("rejected")
        )
        turns = pl.concat_list(
            turn("system", pl.col("system")), "history", turn("user", pl.col("instruction"))
        ).list.drop_nulls()
        return rows.select(
            turns.alias("turns"),
            lone_user(turns).alias("instruction"),
            "chosen",
            "rejected",
            first_problem(
                unreadable=~pl.col("read"),
                empty_instruction=blank(pl.col("instruction")),
                empty_output=blank(pl.col("chosen")) | blank(pl.col("rejected")),
            ),
        ).hstack(scores_of(record))

    return read
