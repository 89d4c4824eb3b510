import json

import pytest

from curate.formats.convert import detect_dialect
from curate.formats.how import How
from tests.formats.rows import about, assistant, lines, rows, user


def rated(text, *ratings, overall=None, model="m"):
    aspects = ("instruction_following", "honesty", "truthfulness", "helpfulness")
    annotations = {name: {"Rating": value, "Rationale": "r"} for name, value in zip(aspects, ratings, strict=False)}
    return {"model": model, "response": text, "annotations": annotations, "overall_score": overall, "critique": "x"}


GROUPS = {
    "nectar": {"prompt": "a", "answers": [{"answer": t, "model": t, "rank": r} for t, r in (("c", 2.0), ("b", 1.0))]},
    "ultrafeedback": {"instruction": "a", "completions": [rated("c", "1", model="c"), rated("b", "5", "N/A", "3", model="b")]},
    "responses_and_scores": {
        "user_input": "a",
        "responses_and_scores": [{"source": t, "response": t, "score": s} for t, s in (("c", 3.0), ("b", "9"))],
    },
    "scored_list": {"prompt": "a", "responses": ["c", "b"], "scores": [0.25, 0.5]},
    "alpaca_eval": {
        "instruction": "a",
        "output_1": "c",
        "output_2": "b",
        "generator_1": "c",
        "generator_2": "b",
        "preference": 2.0,
        "annotator": "x",
    },
    "human_eval": {
        "prompt": "a",
        "model_a": "c",
        "model_b": "b",
        "completion_a": "c",
        "completion_b": "b",
        "preference": "b-is-better",
    },
    "lmarena": {
        "prompt": '["a"]',
        "response_a": '["c"]',
        "response_b": '["b"]',
        "model_a": "c",
        "model_b": "b",
        "winner_model_a": 0,
        "winner_model_b": 1,
        "winner_tie": 0,
    },
    "arena": {
        "model_a": "c",
        "model_b": "b",
        "winner": "model_b",
        "conversation_a": [user("a"), assistant("c")],
        "conversation_b": [user("a"), assistant("b")],
    },
    "shp": {"history": "a", "human_ref_A": "c", "human_ref_B": "b", "labels": 0, "score_A": 2, "score_B": 9},
}


@pytest.mark.parametrize(("dialect", "row"), GROUPS.items())
def test_to_every_target(dialect, row):
    assert detect_dialect(rows(row)).to_list() == [dialect]
    assert lines(row, "preference") == [("a", "b", "c")]
    assert lines(row, "instruction") == [("a", "b")]
    assert lines(row, "chat") == [[user("a"), assistant("b")]]
    assert lines(row, "trl_dpo") == [{"prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]}]
    assert lines(row, "text") == ["no_such_target"]
    (told,) = about(row, "preference")
    assert told["margin"] == told["score_chosen"] - told["score_rejected"] > 0
    assert lines(row, "trl_reward")[0]["margin"] == told["margin"]
    assert lines(row, "preference", How(min_margin=told["margin"])) == [("a", "b", "c")]
    assert lines(row, "preference", How(min_margin=told["margin"] + 0.001)) == ["small_margin"]
    if dialect not in ("scored_list", "shp"):
        assert (told["model_chosen"], told["model_rejected"]) == ("b", "c")
        assert about(row, "chat") == [{"score": told["score_chosen"], "model": "b"}]


def test_nectar():
    def ranked(*ranks, prompt="a"):
        answers = [{"answer": f"{i}", "model": "m", "rank": rank} for i, rank in enumerate(ranks)]
        return {"prompt": prompt, "answers": answers, "num_responses": len(ranks)}

    assert lines(ranked(3, 1, 2), "preference") == [("a", "1", "2"), ("a", "1", "0"), ("a", "2", "0")]
    assert lines(ranked(3, 1, 2), "preference", How(pairs="best_worst")) == [("a", "1", "0")]
    assert lines(ranked(1, 1, 2), "preference") == ["tie", ("a", "0", "2"), ("a", "1", "2")]
    assert lines(ranked(1), "preference") == ["one_answer"]
    assert lines(ranked(1), "instruction") == [("a", "0")]
    assert lines(ranked(None, 1), "preference") == ["unscored"]
    assert lines(ranked(), "preference") == ["empty_output"]
    assert lines(ranked(1, 2, prompt=" "), "preference") == ["empty_instruction"]
    assert lines({"prompt": "a", "answers": ["b"]}, "preference") == ["unreadable"]
    assert lines(ranked(1, 2, prompt="\n\nHuman: a\n\nAssistant: "), "preference") == [("a", "0", "1")]
    longer = ranked(1, 2, prompt="\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: ")
    assert lines(longer, "preference") == [("Human: a\n\nAssistant: b\n\nHuman: c", "0", "1")]
    assert lines(longer, "chat") == [[user("a"), assistant("b"), user("c"), assistant("0")]]


def test_ultrafeedback_goes_by_its_aspects():
    def scores(*completions):
        (told,) = about({"instruction": "a", "completions": list(completions)}, "preference")
        return told["score_chosen"], told["score_rejected"]

    assert scores(rated("b", "1", "2", overall=10), rated("c", "4", "N/A", "5", overall=8)) == (4.5, 1.5)
    assert scores(rated("b", overall=9), rated("c", overall=7.5)) == (9, 7.5)
    ten = {"instruction": "a", "completions": [rated("b", overall=10), rated("c", overall=7), rated("d", overall=6)]}
    assert lines(ten, "preference") == [("a", "c", "d"), "unscored"]
    mixed = {"instruction": "a", "completions": [rated("b", "3"), rated("c", "N/A", overall=9), rated("d", "2")]}
    assert lines(mixed, "preference") == [("a", "b", "d"), "unscored"]
    assert lines({"instruction": "a", "completions": [{"model": "m"}, rated("b", "1")]}, "instruction") == [("a", "b")]
    lost = {"instruction": "a", "completions": [{"model": "m", "annotations": None}, rated("", "1")]}
    assert lines(lost, "preference") == ["empty_output"] * 2


def test_scored_lists():
    magpie = {"instruction": "a", "responses": ["b", "c"], "rewards_armorm": [{"score": 0.2}, {"score": 0.1}]}
    assert lines(magpie, "preference") == [("a", "b", "c")]
    assert lines({"prompt": "a", "responses": ["b", "c"], "rewards": ["1", "-2"]}, "preference") == [("a", "b", "c")]
    row = {"prompt": "a", "responses": ["b", "c"], "scores": [1]}
    assert lines(row, "preference") == ["uneven"]
    assert lines({**row, "scores": [1, None]}, "preference") == ["unscored"]
    assert lines({**row, "scores": [1, "x"]}, "preference") == ["unscored"]
    assert lines({**row, "scores": "1"}, "preference") == ["unreadable"]
    assert lines({**row, "responses": [["b"], "c"]}, "preference") == ["unreadable"]
    assert lines({**row, "responses": [], "scores": []}, "preference") == ["empty_output"]
    assert lines({**row, "prompt": "", "scores": [1, 2]}, "preference") == ["empty_instruction"]


@pytest.mark.parametrize(
    ("verdict", "result"),
    [
        (1, ("a", "c", "b")),
        ("1.0", ("a", "c", "b")),
        (1.4, ("a", "c", "b")),
        (1.75, ("a", "b", "c")),
        (1.5, "tie"),
        (0, "tie"),
        (None, "unscored"),
        (3, "unscored"),
        ("x", "unscored"),
        ([1], "unscored"),
    ],
)
def test_alpaca_eval(verdict, result):
    row = {**GROUPS["alpaca_eval"], "preference": verdict}
    expected = [result] * 2 if result == "unscored" else [result]
    assert lines(row, "preference") == expected
    assert lines({**row, "input": "x", "preference": 2}, "instruction") == [("a\n\nx", "b")]
    assert lines({**row, "instruction": ""}, "preference") == ["empty_instruction"]


def test_slight_preferences_are_of_less_margin():
    row = GROUPS["human_eval"]
    for word, result in (
        ("a-is-better", ("a", "c", "b")),
        ("a-is-slightly-better", ("a", "c", "b")),
        ("tie", "tie"),
        ("b-is-slightly-better", ("a", "b", "c")),
        ("b-is-better", ("a", "b", "c")),
    ):
        assert lines({**row, "preference": word}, "preference") == [result]
        clear = "slightly" not in word
        assert (lines({**row, "preference": word}, "preference", How(min_margin=2)) == [result]) == clear
    assert lines({**row, "preference": None}, "preference") == ["unscored"] * 2
    assert lines({**row, "completion_a": None, "completion_b": None}, "preference") == ["unknown_dialect"]


def test_lmarena():
    row = GROUPS["lmarena"]
    tie = {**row, "winner_model_b": 0, "winner_tie": 1}
    assert lines(tie, "preference") == ["tie"]
    assert lines(tie, "instruction") == [("a", "c")]
    none = {name: value for name, value in row.items() if not name.startswith("winner")}
    assert lines(none, "preference") == ["unscored"] * 2
    assert lines({**none, "winner": "model_b"}, "preference") == [("a", "b", "c")]
    assert lines({**none, "winner": "tie (bothbad)"}, "instruction") == ["bad_answer"]
    assert lines({**none, "winner": "tie (bothbad)"}, "preference") == ["bad_answer"]
    two = {name: json.dumps(["x", "y"]) for name in ("prompt", "response_a", "response_b")}
    assert lines({**row, **two}, "preference") == ["prompts_differ"]
    assert lines({**row, "response_a": "[null]"}, "preference") == ["empty_output"]
    assert lines({**row, "response_a": '["\\ud800"]'}, "preference") == ["unreadable"]
    assert lines({**row, "response_a": "[c]"}, "preference") == ["unreadable"]
    assert lines({**row, "prompt": "[]"}, "preference") == ["empty_instruction"]
    plain = {**row, "prompt": "a", "response_a": "c", "response_b": "b"}
    assert lines(plain, "preference") == [("a", "b", "c")]


def test_arena():
    row = GROUPS["arena"]
    assert lines({**row, "winner": "tie"}, "preference") == ["tie"]
    assert lines({**row, "winner": "tie (bothbad)"}, "chat") == ["bad_answer"]
    longer = [user("a"), assistant("x"), user("b"), assistant("c")]
    assert lines({**row, "conversation_a": longer}, "preference") == ["prompts_differ"]
    both = {**row, "conversation_a": longer, "conversation_b": [*longer[:3], assistant("d")]}
    assert lines(both, "chat") == [[*longer[:3], assistant("d")]]
    assert lines(both, "preference") == ["more_than_one_turn"]
    assert lines({**row, "conversation_a": [user("a"), user("c")]}, "preference") == ["not_an_answer"]
    assert lines({**row, "conversation_a": []}, "preference") == ["prompts_differ"]
    assert lines({**row, "conversation_a": [5]}, "preference") == ["unreadable"]


def test_shp():
    row = GROUPS["shp"]
    assert lines({**row, "labels": 1}, "preference") == ["scores_disagree"]
    assert lines({**row, "score_A": 9}, "preference") == ["tie"]
    assert lines({**row, "labels": 1, "score_A": None}, "preference") == [("a", "c", "b")]
    assert lines({**row, "labels": None}, "preference") == ["unscored"] * 2
    assert about({**row, "score_A": None}, "preference") == [{"margin": 1.0, "score_chosen": 1.0, "score_rejected": 0.0}]
