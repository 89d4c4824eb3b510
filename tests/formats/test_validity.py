import json

import jsonschema
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from curate.formats.readings import detect
from curate.formats.validity import CHECKS, _surely_valid, checks, schema_errors

FORMATS = ("text", "instruction", "chat", "preference")


def failed(row, format=None, text_column="text"):
    """The checks that a row fails, with the evidence."""
    record = pl.Series("record", [row if isinstance(row, str) else json.dumps(row)])
    found = checks(record, format, text_column).row(0, named=True)
    return {name: evidence for name, evidence in found.items() if evidence is not None}


def chat(*roles, content="x"):
    return [{"role": role, "content": content} for role in roles]


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a", "n": 1},
        {"instruction": "a", "output": "b"},
        {"instruction": "a", "chosen": "b", "rejected": "c", "text": 5},
        chat("user", "assistant"),
        {"messages": chat("system", "user", "assistant", "user", "assistant"), "text": "a"},
        [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {}}]},
            *chat("assistant"),
        ],
        [*chat("user"), {"role": "assistant", "content": None, "tool_calls": [{}]}, *chat("tool", "tool", "assistant")],
        [*chat("user"), {"role": "assistant", "content": "", "tool_calls": [{}]}, *chat("tool", "assistant")],
    ],
)
def test_good_rows(row):
    assert failed(row) == {}
    assert failed(row, detect(row)) == {}


@pytest.mark.parametrize(
    ("row", "reason", "evidence"),
    [
        ({"a": 1, "b": 2}, "unknown_format", "members: a, b"),
        ({"text": " \n"}, "empty_text", '" \n"'),
        ({"text": 5}, "schema", "$.text: 5 is not of type 'string'"),
        ({"instruction": "a", "output": " "}, "empty_output", '" "'),
        ({"instruction": "", "output": "b"}, "empty_instruction", '""'),
        ({"instruction": "a", "output": None}, "schema", "$.output: None is not of type 'string'"),
        ({"instruction": "a", "output": "b <|im_end|>"}, "role_marker_in_content", "<|im_end|>"),
        ({"instruction": "a", "chosen": "b", "rejected": "b "}, "chosen_equals_rejected", "b"),
        ({"instruction": "a", "chosen": "b", "rejected": ""}, "empty_output", '""'),
        ([], "schema", "$: [] should be non-empty"),
        (chat("human", "assistant"), "unknown_role", "human"),
        (chat("user", "assistant", content=" "), "empty_content", "user assistant"),
        ([{"role": "user"}, *chat("assistant")], "schema", None),
        ([{"content": "a"}, *chat("assistant")], "schema", "$[0]: 'role' is a required property"),
        (chat("user", "system", "assistant"), "system_not_first", "user system assistant"),
        (chat("system", "assistant"), "no_user_turn", "system assistant"),
        (chat("user"), "no_assistant_turn", "user"),
        (chat("user", "user", "assistant"), "roles_do_not_alternate", "user user assistant"),
        (chat("system", "assistant", "user", "assistant"), "roles_do_not_alternate", "system assistant user assistant"),
        (chat("user", "assistant", "user"), "last_not_assistant", "user assistant user"),
        (chat("user", "tool", "assistant"), "tool_without_call", "user tool assistant"),
        (chat("user", "assistant", content="a\n\nHuman: b"), "role_marker_in_content", "Human:"),
        ('{"text": "\\ud800"}', "not_text", None),
    ],
)
def test_bad_rows(row, reason, evidence):
    found = failed(row)
    assert next(name for name in CHECKS if name in found) == reason
    if evidence is not None:
        assert found[reason] == evidence


def test_the_format_given_decides():
    row = {"text": "a", "instruction": "b", "output": "c"}
    assert failed(row) == {}
    assert failed(row, "text") == {}
    assert failed(row, "preference") == {"schema": "$: 'chosen' is a required property"}
    assert failed({"body": "a"}, "text", "body") == failed({"body": "a"}, None, "body") == {}
    assert failed({"text": "a"}, "text", "body") == {"schema": "$: 'body' is a required property"}


texts = st.sampled_from(["", " ", "a", "b", "\u2028é", '"', "\\"])
junk = st.none() | st.integers() | st.lists(texts, max_size=2) | st.dictionaries(texts, texts, max_size=1)
parts = st.lists(
    st.fixed_dictionaries({}, optional={"type": st.sampled_from(["text", "image", 1]), "text": texts | junk}), max_size=2
)
messages = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["system", "user", "assistant", "tool", "human", 5]),
            "content": texts | parts | junk,
            "tool_calls": st.lists(st.just({}), max_size=1) | junk,
        },
    )
    | st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "human"]), "content": texts})
    | junk,
    max_size=3,
)
members = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["text", "instruction", "output", "chosen", "rejected"], texts | junk)
)
wrapped = st.builds(lambda chat, other: {**other, "messages": chat}, messages | junk, members)


@settings(max_examples=60)
@given(st.lists(members | messages | wrapped, min_size=1, max_size=6))
def test_verdict_is_that_of_jsonschema(rows):
    record = pl.Series("record", [json.dumps(row) for row in rows])
    for format in FORMATS:
        validator = jsonschema.Draft202012Validator(schemas.load(format))
        valid = [validator.is_valid(row) for row in rows]
        assert schema_errors(record, format).is_null().to_list() == valid
        sure = _surely_valid(record, format, "text").to_list()
        assert all(right for right, known in zip(valid, sure, strict=True) if known)
    alone = pl.concat([checks(record[i : i + 1], None) for i in range(len(record))])
    assert checks(record, None).equals(alone)


def test_plain_rows_are_not_shown_to_jsonschema():
    rows = {
        "text": {"text": "a"},
        "instruction": {"instruction": "a", "output": "b"},
        "chat": {"messages": chat("user", "assistant")},
        "preference": {"instruction": "a", "chosen": "b", "rejected": "c"},
    }
    for format, row in rows.items():
        assert _surely_valid(pl.Series([json.dumps(row)]), format, "text").to_list() == [True]


def test_schemas_are_schemas():
    for format in FORMATS:
        jsonschema.Draft202012Validator.check_schema(schemas.load(format))


def test_no_rows():
    assert checks(pl.Series([], dtype=pl.String), None).shape == (0, len(CHECKS))
    assert schema_errors(pl.Series([], dtype=pl.String), "chat").to_list() == []
