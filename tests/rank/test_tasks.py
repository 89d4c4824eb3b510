import json
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import InputError
from curate.rank.answers import Said, read_answers
from curate.rank.assignment import assigned, spread
from curate.rank.campaign import Campaign
from curate.rank.tasks import Candidate, Row, leaks, make_tasks, read_gold

ASKED = ({"role": "user", "content": "q"},)


def read(*rows: object, **options: str):
    found = read_answers(pl.Series([json.dumps(row) for row in rows]), **options)
    assert [place for place, _ in found] == list(range(len(rows)))
    return [one for _, one in found]


def row_of(*texts: str, id: str = "r", single: bool = False, prompt: str = "q") -> Row:
    answers = tuple(Candidate(text, f"m{i}", id) for i, text in enumerate(texts))
    return Row(id, ({"role": "user", "content": prompt},), answers, single)


@pytest.mark.parametrize(
    ("row", "answers"),
    [
        ({"prompt": "q", "responses": ["x", "y"]}, (("x", None), ("y", None))),
        ({"prompt": "q", "responses": ["x", "y"], "models": ["m", "n"]}, (("x", "m"), ("y", "n"))),
        ({"prompt": "q", "responses": ["x", "y"], "model": "m", "scores": [1, 2]}, (("x", "m"), ("y", "m"))),
        (
            {"messages": [*ASKED], "answers": [{"text": "x", "model": "m"}, {"text": "y"}]},
            (("x", "m"), ("y", None)),
        ),
        ({"instruction": "q", "chosen": "x", "rejected": "y"}, (("x", "chosen"), ("y", "rejected"))),
        (
            {"prompt": "q", "response_a": "x", "response_b": "y", "model_a": "m", "model_b": "n", "winner": "tie"},
            (("x", "m"), ("y", "n")),
        ),
        ({"instruction": "q", "output": "x"}, (("x", None),)),
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}], "model": "m"}, (("x", "m"),)),
        ([{"role": "user", "content": "q"}, {"role": "assistant", "content": "x"}], (("x", None),)),
    ],
)  # fmt: skip
def test_rows_are_read_as_a_prompt_and_its_answers(row, answers):
    one = read(row)[0]
    assert (one.prompt, one.problem) == (ASKED, None)
    assert one.answers == tuple(Said(*answer) for answer in answers)
    assert one.single == (len(answers) == 1)


def test_rows_without_an_answer_say_why():
    odd = read(
        [{"role": "user", "content": "q"}], {"n": 1}, {"instruction": "q", "output": ""}, {"prompt": "q", "responses": [1]}
    )
    assert [one.problem for one in odd] == ["no_answer", "unknown_dialect", "empty_output", "unknown_dialect"]
    assert [one.answers for one in odd] == [()] * 4


def test_rows_of_many_kinds_keep_their_order():
    rows = [
        {"instruction": f"q{i}", "output": "x"} if i % 2 else {"prompt": f"q{i}", "responses": ["x", "y"]} for i in range(9)
    ]
    assert [one.prompt[0]["content"] for one in read(*rows)] == [f"q{i}" for i in range(9)]


def test_a_tree_gives_a_task_for_each_message_that_is_answered():
    def said(role, text, *replies, rank=None):
        return {"message_id": text, "role": role, "text": text, "rank": rank, "replies": list(replies)}

    again = said("prompter", "q2", said("assistant", "x2", rank=0), said("assistant", "y2", rank=1))
    tree = said("prompter", "q", said("assistant", "x", again, rank=1), said("assistant", "y", rank=0))
    found = read_answers(pl.Series([json.dumps({"message_tree_id": "1", "prompt": tree})]))
    assert [(row, len(one.prompt), sorted(a.text for a in one.answers)) for row, one in found] == [
        (0, 1, ["x", "y"]),
        (0, 3, ["x2", "y2"]),
    ]


def test_answers_of_one_prompt_become_one_task():
    made = make_tasks([row_of("x", id="1", single=True), row_of("y", id="2", single=True)], [], seed=0, most=9)
    assert [sorted(a.text for a in task.answers) for task in made.tasks] == [["x", "y"]]
    texts = {answer.answer: answer.text for answer in made.tasks[0].answers}
    assert {texts[name]: row for name, row in made.keys[0].rows.items()} == {"x": "1", "y": "2"}


def test_equal_and_blank_answers_go_and_few_make_no_task():
    rows = [row_of("x", "x ", "y", " "), row_of("z", "z", id="s"), row_of("w", "", id="t"), row_of("", id="u")]
    made = make_tasks(rows, [], seed=0, most=9)
    assert [len(task.answers) for task in made.tasks] == [2]
    reasons = {one["id"]: one["reason"] for one in made.dropped}
    assert reasons["s"] == "equal_answers"
    assert reasons["t"] == "one_answer"
    assert reasons["u"] == "no_answer"
    assert made.counts["blank answers"] == 3
    assert made.counts["equal answers"] == 2


def test_the_same_task_again_is_dropped():
    made = make_tasks([row_of("x", "y", id="1"), row_of("y", "x", id="2")], [], seed=0, most=9)
    assert len(made.tasks) == 1
    assert [(one["id"], one["reason"]) for one in made.dropped] == [("2", "duplicate_task")]


def test_of_many_answers_a_seed_draws():
    many = row_of(*(f"answer {i}" for i in range(12)))
    drawn = {seed: make_tasks([many], [], seed=seed, most=4) for seed in range(40)}
    assert {len(made.tasks[0].answers) for made in drawn.values()} == {4}
    assert {made.counts["answers over the most"] for made in drawn.values()} == {8}
    models = Counter(model for made in drawn.values() for model in made.keys[0].models.values())
    assert len(models) == 12
    assert drawn[3].tasks == make_tasks([many], [], seed=3, most=4).tasks


def test_names_say_nothing_of_who_wrote_what():
    places: Counter[str] = Counter()
    for i in range(400):
        (key,) = make_tasks([row_of("x", "y", prompt=f"q{i}")], [], seed=1, most=9).keys
        places.update(name for name, model in key.models.items() if model == "m0")
    assert 150 < places["a"] < 250


def gold_file(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_gold_is_among_the_tasks_at_even_distances(tmp_path):
    gold = read_gold(
        gold_file(tmp_path / "g.jsonl", *({"prompt": f"g{i}", "answers": ["x", "y"], "ranks": [2, 1]} for i in range(3)))
    )
    made = make_tasks([row_of("x", "y", prompt=f"q{i}") for i in range(9)], gold, seed=0, most=9)
    assert [i for i, key in enumerate(made.keys) if key.gold] == [2, 6, 9]
    for task, key in zip(made.tasks, made.keys, strict=True):
        if key.gold:
            assert {answer.text: key.gold[answer.answer] for answer in task.answers} == {"x": 2, "y": 1}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "q", "answers": ["x", "y"]}, "prompt, answers and ranks"),
        ({"prompt": "", "answers": ["x", "y"], "ranks": [1, 2]}, "the prompt is a text"),
        ({"prompt": "q", "answers": ["x", "x"], "ranks": [1, 2]}, "no two of them equal"),
        ({"prompt": "q", "answers": ["x", "y"], "ranks": [1]}, "as many ranks"),
        ({"prompt": "q", "answers": ["x", "y"], "ranks": [1, True]}, "whole numbers"),
    ],
)
def test_gold_that_cannot_be_meant_is_told_by_its_line(tmp_path, row, told):
    good = {"prompt": "q", "answers": ["x", "y"], "ranks": [1, 2]}
    with pytest.raises(InputError, match=rf"g\.jsonl:2: .*{told}"):
        read_gold(gold_file(tmp_path / "g.jsonl", good, row))


def test_answers_that_give_themselves_away_are_counted():
    made = make_tasks(
        [row_of("I am ChatGPT, made by OpenAI.", "A llama is an animal."), row_of("As Claude I say", "other")],
        [],
        seed=0,
        most=9,
    )
    assert leaks(made.tasks, made.keys) == {"chatgpt": 1, "openai": 1, "claude": 1}


@given(st.integers(0, 60), st.integers(1, 6), st.integers(1, 6), st.integers(0, 7), st.integers(0, 5))
def test_shares_are_even_and_nobody_gets_a_task_twice(count, people, overlap, gold, seed):
    names = tuple(f"p{i}" for i in range(people))
    tasks = [f"t{i}" for i in range(count + gold)]
    checks = set(tasks[count:])
    shares = assigned(Campaign(annotators=names, overlap=overlap, seed=seed), tasks, checks)
    seen = Counter(task for share in shares.values() for task in share)
    assert all(len(set(share)) == len(share) for share in shares.values())
    assert all(seen[task] == (people if task in checks else min(overlap, people)) for task in tasks)
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


def test_who_shares_tasks_with_whom_varies():
    names = ("a", "b", "c", "d")
    shares = assigned(Campaign(annotators=names, overlap=2), [f"t{i}" for i in range(200)])
    pairs = Counter(frozenset(n for n in names if task in shares[n]) for task in (f"t{i}" for i in range(200)))
    assert len(pairs) == 6


def test_spread():
    assert spread(["1", "2", "3", "4"], ["a"]) == ["1", "2", "a", "3", "4"]
    assert spread([], ["a", "b"]) == ["a", "b"]
    assert spread(["1"], []) == ["1"]
