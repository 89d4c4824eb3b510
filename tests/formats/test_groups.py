import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from curate.formats.groups import best, pairs
from curate.formats.how import How

TURNS = [{"role": "user", "content": "q"}]


def groups(*answers):
    return pl.DataFrame(
        {
            "parent": range(len(answers)),
            "turns": [TURNS] * len(answers),
            "instruction": ["q"] * len(answers),
            "answers": [[{"text": text, "score": score} for text, score in row] for row in answers],
            "problem": [None] * len(answers),
        },
        schema_overrides={
            "answers": pl.List(pl.Struct({"text": pl.String, "score": pl.Float64})),
            "problem": pl.String,
            "parent": pl.Int64,
        },
    )


def made(frame):
    return frame.select("parent", "chosen", "rejected", "problem").rows()


def test_all_pairs_best_first():
    rows = groups([("a", 1.0), ("b", 3.0), ("c", 2.0)])
    assert made(pairs(rows, How())) == [(0, "b", "c", None), (0, "b", "a", None), (0, "c", "a", None)]
    assert made(pairs(rows, How(pairs="best_worst"))) == [(0, "b", "a", None)]
    assert best(rows, How())["turns"][0][-1] == {"role": "assistant", "content": "b"}


def test_ties_and_small_margins_are_told():
    rows = groups([("a", 1.0), ("b", 1.0), ("c", 2.0)])
    assert made(pairs(rows, How())) == [(0, "c", "a", None), (0, "c", "b", None), (0, "a", "b", "tie")]
    assert {row[3] for row in made(pairs(rows, How(min_margin=1.5)))} == {"small_margin", "tie"}


def test_what_cannot_be_compared():
    rows = groups([("a", 1.0)], [("a", None), ("b", None)], [("a", 2.0), (" ", 1.0)], [("a", 1.0), ("b", None), ("c", 0.5)])
    assert sorted((row[0], row[3]) for row in made(pairs(rows, How()))) == [
        (0, "one_answer"),
        (1, "unscored"),
        (2, "empty_output"),
        (3, None),
    ]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), max_size=4), st.integers(0, 2))
def test_pairs_are_those_of_a_plain_loop(scores, margin):
    rows = groups(*([(f"{i}", float(score)) for i, score in enumerate(row)] for row in scores))
    found = {row[:3] for row in made(pairs(rows, How(min_margin=margin))) if row[3] is None}
    assert found == {
        (parent, f"{i}", f"{j}")
        for parent, row in enumerate(scores)
        for i, better in enumerate(row)
        for j, worse in enumerate(row)
        if better > worse and better - worse >= margin
    }
