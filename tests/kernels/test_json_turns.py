import json

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.formats.decode import Members
from curate.formats.plain import chat_turns, listed
from curate.kernels import json_turns

KEYS = (("from", "role"), ("value", "content"))
CODES = {"human": 2, "user": 2, "gpt": 3, "assistant": 3, "system": 0, "tool": 4}
STANDARD = {"human": "user", "gpt": "assistant"}

texts = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [
        "",
        " ",
        "\n\t",
        "\u00a0",
        "\u3000",
        "\u2028",
        "\u200b",
        "“",
        "é",
        "あ",
        "\x00",
        "\x1f",
        '"',
        "\\",
        "/",
        "😀",
        "a" * 70 + "\n" + "b" * 40,
    ]
)
messages = st.fixed_dictionaries({"from": st.sampled_from([*CODES, "narrator"]), "value": texts})
odd = st.one_of(
    messages,
    st.fixed_dictionaries({"value": texts, "role": st.sampled_from(list(CODES))}),
    st.fixed_dictionaries({"from": st.just("gpt"), "value": texts, "weight": st.integers()}),
    st.fixed_dictionaries({"from": st.just("gpt"), "role": st.just("gpt")}),
    st.fixed_dictionaries({"from": st.just("gpt"), "value": st.none() | st.integers() | st.lists(texts)}),
    st.integers(),
    st.none(),
)


def twin(row):
    """The chat of a plain row; None of another."""
    chat = []
    for message in row:
        if not isinstance(message, dict) or len(message) != 2:
            return None
        role = message.get("from", message.get("role"))
        said = message.get("value")
        if role not in CODES or not isinstance(said, str) or not said.strip():
            return None
        chat.append({"role": STANDARD.get(role, role), "content": said})
    return chat or None


def found(rows, **written):
    members = Members(pl.Series([json.dumps({"conversations": row}, **written) for row in rows]), ("conversations",))
    return members, chat_turns(members, "conversations", KEYS, CODES)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(odd, max_size=4), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from([None, (" , ", " : "), (",", ":")]),
)
def test_plain_rows_are_moved_as_json_writes_them(rows, escape, separators):
    members, turns = found(rows, ensure_ascii=escape, separators=separators)
    offsets, data = json_turns.write(members.data, turns)
    lists = listed(members, turns).to_list()
    for i, row in enumerate(rows):
        text = data[offsets[i] : offsets[i + 1]].tobytes().decode()
        expected = twin(row)
        if turns.plain[i]:
            assert text == json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
            assert lists[i] == expected
        else:
            assert text == ""
            assert lists[i] is None
            # What is left undecided has a text without a sure character.
            assert expected is None or any(not any("!" <= c <= "~" for c in message["content"]) for message in expected)


def test_halves_of_characters_are_not_plain():
    said = ("a\\ud83d\\ude00", "a\\ud83d", "a\\ude00\\ud83d", "a\\\\ud83d")
    rows = [f'{{"conversations":[{{"from":"gpt","value":"{text}"}}]}}' for text in said]
    members = Members(pl.Series(rows), ("conversations",))
    turns = chat_turns(members, "conversations", KEYS, CODES)
    assert turns.plain.tolist() == [True, False, False, True]
    offsets, data = json_turns.write(members.data, turns)
    assert data[: offsets[1]].tobytes().decode() == '[{"role":"assistant","content":"a😀"}]'


@settings(deadline=None, max_examples=150)
@given(st.lists(texts, min_size=1, max_size=5), st.booleans())
def test_said_is_never_wrong(values, escape):
    members = Members(pl.Series([json.dumps({"a": value}, ensure_ascii=escape) for value in values]), ("a",))
    start, end = members.scan.value_start[:, 0], members.scan.value_end[:, 0]
    sure = json_turns.said(members.data, start, end, np.ones(len(values), np.bool_))
    for value, says in zip(values, sure, strict=True):
        assert not says or value.strip()
        assert says or not any("!" <= c <= "~" for c in value)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3) | st.lists(st.none()), max_size=4),
    st.data(),
)
def test_shape_is_names_and_kinds_in_order(row, data):
    other = {key: data.draw(st.just(value) | st.none() | st.text(max_size=2)) for key, value in row.items()}
    shapes = Members(pl.Series([json.dumps(row), json.dumps(other)]), ()).scan.shape
    assert (shapes[0] == shapes[1]) == (list(map(type, row.values())) == list(map(type, other.values())))
