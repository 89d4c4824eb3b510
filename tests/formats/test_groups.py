import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.formats.groups import answer_type, best, pairs
from curate.formats.how import How

TURNS = [{"role": "user", "content": "q"}]


def groups(*answers, **more):
    return pl.DataFrame(
        {
            "parent": range(len(answers)),
            "turns": [TURNS] * len(answers),
            "instruction": ["q"] * len(answers),
            "answers": [
                None if row is None else [dict(zip(("text", "score", "model", "problem"), said, strict=False)) for said in row]
                for row in answers
            ],
            "problem": [None] * len(answers),
            **more,
        },
        schema_overrides={"answers": pl.List(answer_type()), "problem": pl.String, "parent": pl.Int64},
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
    assert best(rows.head(0), How()).height == pairs(rows.head(0), How()).height == 0


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([("a", 1.0)], [("one_answer", None)]),
        ([("a", None)], [("one_answer", None)]),
        ([("a", None), ("b", None)], [("unscored", None)] * 2),
        ([("a", 2.0), (" ", 1.0)], [("empty_output", None)]),
        ([("a", 2.0), (None, 1.0), ("b", 3.0)], [(None, "b"), ("empty_output", None)]),
        ([("a", 1.0), ("b", None), ("c", 0.5)], [(None, "a"), ("unscored", None)]),
        ([("a", 1.0), ("b", 2.0, None, "deleted"), ("c", 0.5)], [(None, "a"), ("deleted", None)]),
        ([], [("empty_output", None)]),
        (None, [("empty_output", None)]),
    ],
)
def test_answers_that_cannot_be_compared_are_lines(answers, expected):
    rows = groups([("z", 1.0), ("y", 0.0)], answers)
    lines = [row for row in made(pairs(rows, How())) if row[0] == 1]
    found = [(problem, None if problem else chosen) for _, chosen, _, problem in lines]
    assert found == expected
    assert made(pairs(rows, How()))[0] == (0, "z", "y", None)


def test_the_best_answer_needs_no_other():
    rows = groups([("a", 1.0)], [("a", None), ("b", None)], [("a", None), ("b", 0.0)], [("a", 9.0, None, "deleted")])
    out = best(rows, How())
    assert out["problem"].to_list() == [None, "unscored", None, "deleted"]
    assert [turns[-1]["content"] for turns in out["turns"]] == ["a", "q", "b", "q"]


def test_what_is_known_of_answers_goes_with_them():
    rows = groups([("a", 1.0, "m"), ("b", 3.5, 'n"')], [("a", 1.0), ("b", 0.0)], about=['"lang":"en"', ""])
    told = [json.loads(f"{{{text}}}") for text in pairs(rows, How())["about"]]
    first = {"lang": "en", "score_chosen": 3.5, "score_rejected": 1.0}
    assert told == [
        {**first, "model_chosen": 'n"', "model_rejected": "m"},
        {"score_chosen": 1.0, "score_rejected": 0.0},
    ]
    assert pairs(rows, How())["margin"].to_list() == [2.5, 1.0]
    told = [json.loads(f"{{{text}}}") for text in best(rows, How())["about"]]
    assert told == [{"lang": "en", "score": 3.5, "model": 'n"'}, {"score": 1.0}]


scored = st.lists(st.lists(st.none() | st.integers(0, 3), min_size=1, max_size=6), max_size=4)


@settings(deadline=None)
@given(scored, st.integers(0, 2))
def test_pairs_are_those_of_a_plain_loop(scores, margin):
    rows = groups(*([(f"{i}", score) for i, score in enumerate(row)] for row in scores))
    out = pairs(rows, How(min_margin=margin))
    assert out["parent"].is_sorted()
    assert set(out["parent"]) == set(range(len(scores)))
    found = [row[:3] for row in made(out) if row[3] is None]
    assert len(found) == len(set(found))
    assert set(found) == {
        (parent, f"{i}", f"{j}")
        for parent, row in enumerate(scores)
        for i, better in enumerate(row)
        for j, worse in enumerate(row)
        if None not in (better, worse) and better > worse and better - worse >= margin
    }


@settings(deadline=None)
@given(scored)
def test_every_pair_and_every_answer_is_a_line(scores):
    """Of K answers that were judged there are K(K-1)/2 lines, of one alone one, and one of each that was not."""
    rows = groups(*([(f"{i}", score) for i, score in enumerate(row)] for row in scores))
    lines = pairs(rows, How())["parent"].to_list()
    for parent, row in enumerate(scores):
        judged = sum(score is not None for score in row)
        lonely = judged == 1 == len(row)
        assert lines.count(parent) == judged * (judged - 1) // 2 + len(row) - judged + lonely


@settings(deadline=None)
@given(scored)
def test_the_best_is_the_first_of_the_highest_score(scores):
    rows = groups(*([(f"{i}", score) for i, score in enumerate(row)] for row in scores))
    out = best(rows, How())
    assert out["parent"].to_list() == list(range(len(scores)))
    for row, turns, problem in zip(scores, out["turns"], out["problem"], strict=True):
        judged = [score for score in row if score is not None]
        assert problem == (None if judged else "unscored")
        if judged:
            assert turns[-1]["content"] == f"{row.index(max(judged))}"


@settings(deadline=None)
@given(scored)
def test_best_with_worst(scores):
    rows = groups(*([(f"{i}", score) for i, score in enumerate(row)] for row in scores))
    found = [row for row in made(pairs(rows, How(pairs="best_worst"))) if row[3] is None]
    expected = []
    for parent, row in enumerate(scores):
        judged = [score for score in row if score is not None]
        if judged and max(judged) > min(judged):
            last = max(i for i, score in enumerate(row) if score == min(judged))
            expected.append((parent, f"{row.index(max(judged))}", f"{last}", None))
    assert found == expected
