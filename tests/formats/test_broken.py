"""Rows of preference-like dialects with anything at all in place of a member: a row comes out, or a problem; nothing raises."""

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.formats.convert import convert, detect_dialect
from curate.formats.dialects import DIALECTS, members
from curate.formats.problems import PROBLEMS
from curate.formats.targets import TARGETS
from tests.formats.rows import rows, user
from tests.formats.test_pairs import FLAT, MESSAGES
from tests.formats.test_scored import GROUPS
from tests.formats.test_trees import TREE

WHOLE = {
    **FLAT,
    **MESSAGES,
    **GROUPS,
    "oasst": TREE,
    "kto": {"instruction": "a", "input": "", "output": "b", "kto_tag": True},
}

words = st.sampled_from(
    ["", " ", "a", "\n\nHuman: a\n\nAssistant:", '["a"]', "[", "1", "NaN", "inf", "N/A", "tie", "\x1e", "\ud800", "é"]
)
scalars = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | words
names = st.sampled_from(
    ["role", "content", "from", "value", "type", "text", "messages", "answer", "rank", "response", "score", "model", "replies"]
)
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)


def places(value, at=()):
    """Where the values inside a value are."""
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*at, key))


def put(value, at, new):
    if not at:
        return new
    if isinstance(value, dict):
        return {key: put(inner, at[1:], new) if key == at[0] else inner for key, inner in value.items()}
    return [put(inner, at[1:], new) if i == at[0] else inner for i, inner in enumerate(value)]


def test_every_dialect_is_here():
    told = {name: detect_dialect(rows(row))[0] for name, row in WHOLE.items()}
    assert told == {name: name for name in WHOLE}
    assert {name for name, dialect in DIALECTS.items() if dialect.kind in ("pair", "group") or dialect.also} <= set(WHOLE)


@pytest.mark.parametrize("dialect", WHOLE)
@settings(deadline=None, max_examples=8)
@given(st.data())
def test_anything_in_place_of_a_member(dialect, data):
    found = [at for at in places(WHOLE[dialect]) if at]
    broken = [
        json.dumps(put(WHOLE[dialect], data.draw(st.sampled_from(found)), data.draw(junk)))
        for _ in range(data.draw(st.integers(1, 3)))
    ]
    broken = [text for text in broken if "NaN" not in text.replace('"NaN"', "") and "Infinity" not in text]
    record = rows(*broken, WHOLE[dialect])
    for to in ("preference", "chat", data.draw(st.sampled_from(sorted(TARGETS)))):
        target = TARGETS[to]
        out = convert(record, to, dialect)
        assert set(out["parent"]) == set(range(len(record)))
        assert out["parent"].is_sorted()
        assert set(out["problem"].drop_nulls()) <= set(PROBLEMS)
        good = out.filter(pl.col("problem").is_null())
        assert sum(good.select(pl.col(target.columns).null_count()).row(0)) == 0
        for text in good["about"]:
            json.loads(f"{{{text or ''}}}")
        for text in good["record"] if "record" in good.columns else ():
            json.loads(text)
        alone = pl.concat([convert(record[i : i + 1], to, dialect) for i in range(len(record))])
        assert out.drop("parent").equals(alone.drop("parent"))


@pytest.mark.parametrize("dialect", sorted(set(WHOLE) - {"kto"}))
def test_no_pair_without_its_members(dialect):
    needed = {key for keys in DIALECTS[dialect].keys for key in keys} - {"message_tree_id"}
    if dialect == "dpo":  # whose answers hold the prompt too
        needed -= {"prompt"}
    for name in needed & set(WHOLE[dialect]):
        less = {key: value for key, value in WHOLE[dialect].items() if key != name}
        out = convert(rows(less, {**less, name: None}), "preference", dialect)
        assert out["problem"].null_count() == 0


@pytest.mark.parametrize("dialect", WHOLE)
def test_members_are_known(dialect):
    row = WHOLE[dialect]
    beside = {"prompt_id", "messages", "annotator", "message_tree_id", "tree_state"}
    assert set(row) - members(dialect) <= beside


def test_a_chat_of_a_thousand_turns():
    chat = [user("a") if i % 2 == 0 else {"role": "assistant", "content": f"{i}"} for i in range(1000)]
    row = {"chosen": chat, "rejected": [*chat[:-1], {"role": "assistant", "content": "x"}]}
    (record,) = convert(rows(row), "trl_dpo")["record"]
    assert len(json.loads(record)["prompt"]) == 999
    said = "".join(f"\n\n{('Human', 'Assistant')[i % 2]}: {i}" for i in range(1000))
    (record,) = convert(rows({"chosen": said, "rejected": said + "x"}), "trl_dpo")["record"]
    assert len(json.loads(record)["prompt"]) == 999
