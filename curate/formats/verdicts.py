"""Two answers to one prompt, and what somebody said of which is better: a tie among what they may say.

| dialect     | members                                                          | verdict                                     |
|-------------|------------------------------------------------------------------|---------------------------------------------|
| alpaca_eval | `instruction`, `input`; `output_1`, `output_2`, `generator_1`,   | `preference`: from 1 (the first) to 2 (the  |
|             | `generator_2`                                                    | second), 1.5 or 0 a tie, null not judged    |
| human_eval  | `prompt`; `completion_a`, `completion_b`, `model_a`, `model_b`   | `preference`: "a-is-better",                |
|             | (Tulu's human evaluation)                                        | "a-is-slightly-better", "tie", ...: 2, 1, 0 |
| lmarena     | `prompt`, `response_a`, `response_b`: texts, lists of turns as  | `winner_model_a`, `winner_model_b`,         |
|             | JSON text                                                        | `winner_tie`; or `winner`                   |
| arena       | `conversation_a`, `conversation_b`: whole conversations          | `winner`: "model_a", "tie (bothbad)", ...   |
| shp         | `history`; `human_ref_A`, `human_ref_B` (Stanford human          | `labels`: 1 is A; the margin is that of     |
|             | preferences)                                                     | `score_A` and `score_B`, upvotes            |

Scores are what the verdict says, so that the margin of an AlpacaEval preference is between 0 and 1, and of a slight preference
half that of a clear one. Of answers that are both bad none becomes an instruction's or a chat's.
https://github.com/tatsu-lab/alpaca_eval, https://github.com/allenai/open-instruct, https://github.com/lm-sys/FastChat
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from curate.formats.alpaca import asked
from curate.formats.decode import decode, frame_of, message_list
from curate.formats.groups import answer
from curate.formats.judged import number, words_of
from curate.formats.turns import blank, chat_problem, content_of, first_problem, known_role, turn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["read_alpaca_eval", "read_arena", "read_human_eval", "read_lmarena", "read_shp"]


def _two(rows: pl.DataFrame, first: tuple[str, str], second: tuple[str, str], **problems: pl.Expr) -> pl.DataFrame:
    """Rows with `turns`, `score_1`, `score_2` and two answers, each (text, who wrote it), as groups."""
    import polars as pl

    told = [
        answer(pl.col(text), pl.col(score), pl.col(model))
        for (text, model), score in zip((first, second), ("score_1", "score_2"), strict=True)
    ]
    return rows.select(
        "turns",
        pl.concat_list(told).alias("answers"),
        first_problem(unreadable=~pl.col("read"), **problems, **chat_problem(pl.col("turns"))),
    )


def _user(text: pl.Expr) -> pl.Expr:
    import polars as pl

    return pl.concat_list(turn("user", text)).list.drop_nulls().alias("turns")


def read_alpaca_eval(record: pl.Series) -> pl.DataFrame:
    """Rows as an instruction and two outputs."""
    import polars as pl

    texts = ("instruction", "input", "output_1", "output_2", "generator_1", "generator_2")
    verdict = number(pl.lit(words_of(record, "preference")["preference"]))
    preference = pl.when(verdict == 0).then(1.5).when(verdict.is_between(1, 2)).then(verdict)
    rows = frame_of(record, texts).with_columns(
        _user(asked()), (2 - preference).alias("score_1"), (preference - 1).alias("score_2")
    )
    return _two(rows, ("output_1", "generator_1"), ("output_2", "generator_2"), empty_instruction=asked().is_null())


_WORDS = {
    "a-is-better": (2.0, 0.0),
    "a-is-slightly-better": (1.0, 0.0),
    "tie": (0.0, 0.0),
    "b-is-slightly-better": (0.0, 1.0),
    "b-is-better": (0.0, 2.0),
}


def _scores(verdict: pl.Series, words: dict[str, tuple[float, float]]) -> tuple[pl.Expr, pl.Expr]:
    """The scores of two answers by the word that was said of them; null for a word nobody knows."""
    import polars as pl

    first, second = (
        verdict.replace_strict({word: both[i] for word, both in words.items()}, default=None, return_dtype=pl.Float64)
        for i in (0, 1)
    )
    return pl.lit(first).alias("score_1"), pl.lit(second).alias("score_2")


def read_human_eval(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and two completions."""
    import polars as pl

    rows = frame_of(record, ("prompt", "completion_a", "completion_b", "model_a", "model_b"))
    rows = rows.with_columns(_user(pl.col("prompt")), *_scores(words_of(record, "preference")["preference"], _WORDS))
    silent = blank(pl.col("prompt"))
    return _two(rows, ("completion_a", "model_a"), ("completion_b", "model_b"), empty_instruction=silent)


_BOTH_BAD = ("tie (bothbad)", "tie(bothbad)", "both_bad", "bothbad")
_WINNERS = {
    **dict.fromkeys(("model_a", "a"), (1.0, 0.0)),
    **dict.fromkeys(("model_b", "b"), (0.0, 1.0)),
    **dict.fromkeys(("tie", *_BOTH_BAD), (0.0, 0.0)),
}


def _winner(record: pl.Series) -> pl.Series:
    """Who won, as one word: `winner`, else by which of the three members is 1."""
    import polars as pl

    words = words_of(record, "winner", "winner_model_a", "winner_model_b", "winner_tie")
    yes = {name: pl.col(name).is_in(["1", "1.0", "true"]) for name in words.columns[1:]}
    named = pl.coalesce(
        "winner",
        *(pl.when(holds).then(pl.lit(name.removeprefix("winner_"))) for name, holds in yes.items()),
    )
    return words.select(named.alias("winner")).to_series()


def _turns_in(text: pl.Series) -> pl.Series:
    """A text as the list of turns that it is as JSON, else as the one turn that it is; null where that is no list of texts."""
    import polars as pl

    listed = text.str.starts_with("[").fill_null(False) & text.str.ends_with("]").fill_null(False)
    single = pl.select(pl.concat_list(pl.lit(text))).to_series()
    return single.zip_with(~listed, decode(text.set(~listed, None), pl.List(pl.String)))


def read_lmarena(record: pl.Series) -> pl.DataFrame:
    """Rows as a prompt and two responses; each went its own way where there are several turns."""
    import polars as pl

    names = ("prompt", "response_a", "response_b")
    rows = frame_of(record, (*names, "model_a", "model_b"))
    rows = rows.with_columns(_turns_in(rows[name]).alias(name) for name in names)
    winner = _winner(record)
    said = [pl.col(name).list.get(0, null_on_oob=True).alias(name) for name in names]
    several = pl.any_horizontal(pl.col(name).list.len() > 1 for name in names).fill_null(False)
    known = pl.all_horizontal(pl.col(name).is_not_null() for name in names)
    rows = rows.with_columns(several.alias("several"), (pl.col("read") & known).alias("read"), *said)
    rows = rows.with_columns(_user(pl.col("prompt")), *_scores(winner, _WINNERS))
    return _two(
        rows,
        ("response_a", "model_a"),
        ("response_b", "model_b"),
        prompts_differ=pl.col("several"),
        empty_instruction=blank(pl.col("prompt")),
        bad_answer=pl.lit(winner.is_in(_BOTH_BAD)),
    )


def read_arena(record: pl.Series) -> pl.DataFrame:
    """Rows as what two conversations share and the last message of each."""
    import polars as pl

    names = ("conversation_a", "conversation_b")
    rows = frame_of(record, ("model_a", "model_b"), dict.fromkeys(names, message_list()))
    message = pl.struct(known_role(pl.element().struct.field("role")).alias("role"), pl.element().struct.field("content"))
    rows = rows.with_columns(pl.col(name).list.eval(message) for name in names)
    before = [pl.col(name).list.head(pl.col(name).list.len().cast(pl.Int64) - 1) for name in names]
    last = [pl.col(name).list.last().struct.field("role").fill_null("") for name in names]
    winner = _winner(record)
    rows = rows.with_columns(
        before[0].alias("turns"),
        (before[0] != before[1]).fill_null(True).alias("differ"),
        pl.any_horizontal(role != "assistant" for role in last).alias("no_answer"),
        *(content_of(pl.col(name), -1).alias(name) for name in names),
        *_scores(winner, _WINNERS),
    )
    return _two(
        rows,
        ("conversation_a", "model_a"),
        ("conversation_b", "model_b"),
        prompts_differ=pl.col("differ"),
        not_an_answer=pl.col("no_answer"),
        bad_answer=pl.lit(winner.is_in(_BOTH_BAD)),
    )


def read_shp(record: pl.Series) -> pl.DataFrame:
    """Rows as a post and two answers to it."""
    import polars as pl

    rows = frame_of(record, ("history", "human_ref_A", "human_ref_B"))
    words = words_of(record, "labels", "score_A", "score_B")
    first = words["labels"].replace_strict({"1": 1.0, "1.0": 1.0, "0": 0.0, "0.0": 0.0}, default=None, return_dtype=pl.Float64)
    votes = words.select(number(pl.col("score_A")), number(pl.col("score_B")))
    rows = rows.hstack(votes).with_columns(pl.lit(first).alias("first"), pl.lit(None, pl.String).alias("model"))
    both = pl.col("score_A").is_not_null() & pl.col("score_B").is_not_null() & pl.col("first").is_not_null()
    ahead = (pl.col("score_A") - pl.col("score_B")).sign()
    rows = rows.with_columns(
        _user(pl.col("history")),
        (both & (ahead == 1 - 2 * pl.col("first"))).alias("disagree"),
        pl.when(both).then("score_A").otherwise("first").alias("score_1"),
        pl.when(both).then("score_B").otherwise(1 - pl.col("first")).alias("score_2"),
    )
    return _two(
        rows,
        ("human_ref_A", "model"),
        ("human_ref_B", "model"),
        empty_instruction=blank(pl.col("history")),
        scores_disagree=pl.col("disagree"),
    )
