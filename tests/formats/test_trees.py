import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.formats.convert import convert, detect_dialect
from curate.formats.oasst import MAX_LEVELS
from tests.formats.rows import about, assistant, lines, rows, user


def asks(text, *replies, **members):
    return {"message_id": text, "text": text, "role": "prompter", "lang": "en", "replies": list(replies), **members}


def answers(text, rank=None, *replies, **members):
    ranked = {} if rank is None else {"rank": rank}
    return {"message_id": text, "text": text, "role": "assistant", "lang": "en", "replies": list(replies), **ranked, **members}


def tree(prompt):
    return {"message_tree_id": "t", "tree_state": "ready_for_export", "prompt": prompt}


TREE = tree(
    asks(
        "q",
        answers("worst", 2),
        answers("best", 0, asks("more", answers("d", 1, synthetic=True, model_name="m"), answers("e", 0)), asks("nobody")),
        answers("middle", 1),
    )
)


def test_every_path():
    assert detect_dialect(rows(TREE)).to_list() == ["oasst"]
    start = [user("q"), assistant("best"), user("more")]
    assert lines(TREE, "chat") == [
        [user("q"), assistant("worst")],
        [*start, assistant("d")],
        [*start, assistant("e")],
        "unanswered",
        [user("q"), assistant("middle")],
    ]
    assert about(TREE, "chat")[1] == {"model": "m", "lang": "en"}
    made = [("q", "worst"), "more_than_one_turn", "more_than_one_turn", "unanswered", ("q", "middle")]
    assert lines(TREE, "instruction") == made
    assert lines(TREE, "text")[0] == ("q\n\nworst",)


def test_ranked_siblings():
    pairs = [("q", "best", "middle"), ("q", "best", "worst"), ("q", "middle", "worst")]
    found = lines(TREE, "preference")
    assert [line for line in found if isinstance(line, tuple)] == pairs
    assert [line for line in found if isinstance(line, str)] == ["unanswered", "more_than_one_turn"]
    deep = [line for line in lines(TREE, "trl_dpo") if line != "unanswered"][-1]
    assert deep["prompt"] == [user("q"), assistant("best"), user("more")]
    assert (deep["chosen"], deep["rejected"]) == ([assistant("e")], [assistant("d")])
    first = {"lang": "en", "margin": 1.0, "score_chosen": 0.0, "score_rejected": -1.0}
    told = about(TREE, "preference")[0]
    assert told == first


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"deleted": True}, "deleted"),
        ({"review_result": False}, "failed_review"),
        ({"role": "narrator"}, "unknown_role"),
        ({"role": ["assistant"]}, "unknown_role"),
        ({"text": None}, "unreadable"),
        ({"text": " "}, "empty_content"),
        ({"replies": "x"}, "unreadable"),
    ],
)
def test_messages_that_cannot_be_used_end_their_branch(members, problem):
    below = asks("r", answers("s"))
    row = tree(asks("q", answers("a", 0), answers("b", 1), {**answers("c", 2, below), **members}))
    assert lines(row, "chat") == [[user("q"), assistant("a")], [user("q"), assistant("b")], problem]
    found = lines(row, "preference")
    assert sorted(found, key=str) == sorted([("q", "a", "b"), problem], key=str)
    whole = tree({**asks("q", answers("a", 0)), **members})
    if members.get("role") is None or problem == "unknown_role":
        assert lines(whole, "chat") == lines(whole, "preference") == [problem]


def test_trees_without_pairs():
    assert lines(tree(asks("q", answers("a", 0))), "preference") == ["one_answer"]
    assert lines(tree(asks("q", answers("a"))), "preference") == ["one_answer"]
    assert lines(tree(asks("q", answers("a"), answers("b"))), "preference") == ["unscored"] * 2
    assert lines(tree(asks("q", answers("a", 0), answers("b", 0))), "preference") == ["tie"]
    assert lines(tree(asks("q")), "preference") == lines(tree(asks("q")), "chat") == ["unanswered"]
    assert lines(tree(answers("a", 0)), "preference") == ["empty"]
    assert lines(tree({}), "chat") == lines(tree({}), "preference") == ["unreadable"]
    assert lines(tree(asks("q", 5, answers("a"))), "chat") == ["unreadable", [user("q"), assistant("a")]]
    half = '{"message_tree_id": "t", "prompt": {"role": "prompter", "text": "\\ud800", "replies": []}}'
    assert lines(half, "chat") == ["unreadable"]


def chain(levels):
    text = ""
    for level in range(levels, 0, -1):
        role = "prompter" if level % 2 else "assistant"
        text = f'{{"text":"{level}","role":"{role}","rank":0,"replies":[{text}]}}'
    return f'{{"message_tree_id":"t","prompt":{text}}}'


@pytest.mark.parametrize("levels", [MAX_LEVELS + 1, 400, 480, 499])
def test_trees_that_are_too_deep(levels):
    assert lines(chain(levels), "chat") == lines(chain(levels), "preference") == ["too_deep"]


def test_deep_trees():
    (path,) = lines(chain(MAX_LEVELS), "chat")
    assert [turn["content"] for turn in path] == [f"{i + 1}" for i in range(MAX_LEVELS)]
    assert lines(chain(MAX_LEVELS), "preference") == ["one_answer"] * (MAX_LEVELS // 2)
    # Nested deeper than a line of JSON may be.
    assert lines(chain(1000), "chat") == lines(chain(1000), "preference") == ["unreadable"]


trees = st.recursive(
    st.tuples(st.integers(0, 3), st.just([])),
    lambda replies: st.tuples(st.integers(0, 3), st.lists(replies, max_size=4)),
    max_leaves=15,
)


def grown(node, names, role="prompter"):
    rank, replies = node
    other = "assistant" if role == "prompter" else "prompter"
    name = f"{len(names)}"
    names.append(name)
    return {"text": name, "role": role, "rank": rank, "replies": [grown(reply, names, other) for reply in replies]}


def walked(node, before=()):
    """Paths of a tree of messages by a plain recursion: (path, replies of its last message)."""
    path = (*before, node)
    yield path
    for reply in node["replies"]:
        yield from walked(reply, path)


def contents(path):
    return tuple(message["text"] for message in path)


@settings(deadline=None, max_examples=60)
@given(trees)
def test_paths_and_pairs_are_those_of_a_plain_loop(node):
    prompt = grown(node, [])
    paths = list(walked(prompt))
    ends = {
        contents(path)
        for path in paths
        if path[-1]["role"] == "assistant"
        and all(below[-1]["role"] != "assistant" for below in walked(path[-1]) if len(below) > 1)
    }
    record = rows(tree(prompt))
    chats = convert(record, "chat")
    found = [tuple(turn["content"] for turn in json.loads(chat)) for chat in chats["messages"].drop_nulls()]
    assert len(found) == len(set(found))
    assert set(found) == ends
    leaves = sum(path[-1]["role"] == "prompter" and not path[-1]["replies"] for path in paths)
    assert chats["problem"].drop_nulls().to_list() == ["unanswered"] * leaves
    expected = {
        (contents(path), better["text"], worse["text"])
        for path in paths
        if path[-1]["role"] == "prompter"
        for better in path[-1]["replies"]
        for worse in path[-1]["replies"]
        if better["rank"] < worse["rank"]
    }
    dpo = [json.loads(text) for text in convert(record, "trl_dpo")["record"].drop_nulls()]
    pairs = [
        (tuple(turn["content"] for turn in row["prompt"]), row["chosen"][0]["content"], row["rejected"][0]["content"])
        for row in dpo
    ]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected


def test_trees_do_not_depend_on_their_neighbours():
    values = [TREE, tree(asks("q")), tree({}), {"message_tree_id": "t", "prompt": {}}]
    for to in ("chat", "preference"):
        together = convert(rows(*values), to)
        alone = pl.concat([convert(rows(value), to) for value in values])
        assert together.drop("parent").equals(alone.drop("parent"))
