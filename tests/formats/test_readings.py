import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.formats.readings import detect, pick

texts = st.text(st.characters(codec="utf-8"), max_size=20)
extra = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
parts = st.lists(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts})
    | st.fixed_dictionaries({"type": st.just("image"), "url": texts}),
    max_size=3,
)
plain = st.lists(st.fixed_dictionaries({"role": texts, "content": texts}), min_size=1, max_size=4)
rich = st.lists(
    st.fixed_dictionaries({"role": texts, "content": texts | st.none() | parts}, optional={"tool_calls": extra, "name": texts}),
    max_size=4,
)
ROWS = [
    [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": 'Hello \u2028 é 😀 "q" \\ \x01'}],
    [{"content": "x", "role": "user"}],
    [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]}],
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "n": 1e5}]},
        {"role": "tool", "content": "5", "name": "t"},
    ],
]


def contents(messages):
    """The plain twin: texts of a chat in order."""
    found = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            found.append(content)
        elif isinstance(content, list):
            found += [part["text"] for part in content if part["type"] == "text"]
    return found


def chat(rows, **options):
    return pl.DataFrame({"id": [str(i) for i in range(len(rows))], "messages": [json.dumps(row, **options) for row in rows]})


def upper(series):
    return "<" + series + ">"


def test_chat_reads_as_contents_in_order():
    text = pick("chat").text(chat(ROWS))
    assert text.to_list() == ["\n\n".join(contents(row)) for row in ROWS]


@pytest.mark.parametrize(
    "broken",
    ["[]", "[1]", '"x"', "{}", "[", '[{"role":"user","content":"\\ud800"}]', '[{"role":"assistant","content":null}]', "null"],
)
def test_chat_without_text_reads_as_null(broken):
    frame = pl.DataFrame({"messages": [broken, '[{"role":"user","content":"a"}]', None]})
    assert pick("chat").text(frame).to_list() == [None, "a", None]
    assert pick("chat").rewrite(frame, upper)["messages"].to_list() == [broken, '[{"role":"user","content":"<a>"}]', None]


@settings(max_examples=150)
@given(st.lists(plain | rich, max_size=5), st.booleans())
def test_chat_equals_twin(rows, escape):
    frame = chat(rows, ensure_ascii=escape)
    assert pick("chat").text(frame).to_list() == ["\n\n".join(contents(row)) if contents(row) else None for row in rows]
    new = [json.loads(row) for row in pick("chat").rewrite(frame, upper)["messages"]]
    assert [contents(row) for row in new] == [[f"<{text}>" for text in contents(row)] for row in rows]
    for old_row, new_row in zip(rows, new, strict=True):
        for old, message in zip(old_row, new_row, strict=True):
            assert {key: old[key] for key in old if key != "content"} == {
                key: message[key] for key in message if key != "content"
            }


def test_chat_that_does_not_change_keeps_its_bytes():
    rows = ['[ {"content": "a" , "role":"user"} ]', '[{"role":"user","content":"\\u00e9", "n": 1e5}]']
    frame = pl.DataFrame({"messages": rows})
    assert pick("chat").rewrite(frame, lambda series: series)["messages"].to_list() == rows


def test_chat_keeps_other_keys_and_their_order():
    frame = pl.DataFrame({"messages": ['[{"name":"z","content":"a","role":"user","weight":0}]']})
    expected = '[{"name":"z","content":"<a>","role":"user","weight":0}]'
    assert pick("chat").rewrite(frame, upper)["messages"].to_list() == [expected]


@pytest.mark.parametrize(
    "rows",
    [
        [[{"role": "user", "content": "a"}], [], None],
        [[{"role": "user", "content": "a", "name": None}, {"role": "assistant", "content": None, "name": "x"}], None],
    ],
)
def test_typed_messages_become_json_text(rows):
    frame = pick("chat").normalize(pl.DataFrame({"messages": rows}))
    clean = [row and [{key: value for key, value in m.items() if value is not None} for m in row] for row in rows]
    assert [row and json.loads(row) for row in frame["messages"]] == clean


def test_columns_read_and_rewrite():
    frame = pl.DataFrame({"instruction": ["a", None, "c"], "output": ["b", "x", ""], "n": [1, 2, 3]})
    reading = pick("instruction")
    assert reading.text(frame).to_list() == ["a\n\nb", None, "c\n\n"]
    new = reading.rewrite(frame, upper)
    assert new.to_dict(as_series=False) == {"instruction": ["<a>", None, "<c>"], "output": ["<b>", "<x>", "<>"], "n": [1, 2, 3]}
    preference = pl.DataFrame({"instruction": ["a"], "chosen": ["b"], "rejected": ["c"]})
    assert pick("preference").text(preference).to_list() == ["a\n\nb\n\nc"]
    assert pick("text", "body").text(pl.DataFrame({"body": ["x", None]})).to_list() == ["x", None]
    assert pick("text").text(pl.DataFrame({"body": ["x", "y"]})).to_list() == [None, None]


def test_whole_rows_have_no_text():
    for name, column in (("html", "html"), ("record", "record")):
        reading = pick(name)
        frame = pl.DataFrame({column: ["x", "y"]})
        assert reading.columns == (column,)
        assert reading.text(frame).to_list() == ["", ""]
        with pytest.raises(UsageError, match=name):
            reading.rewrite(frame, upper)


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ([{"role": "user", "content": "a"}], "chat"),
        ({"messages": [], "text": "x"}, "chat"),
        ({"instruction": "a", "chosen": "b", "rejected": "c", "output": "d"}, "preference"),
        ({"instruction": "a", "input": "", "output": "b", "text": "t"}, "instruction"),
        ({"text": "a"}, "text"),
        ({"body": "a"}, None),
        ("a", None),
    ],
)
def test_detect(row, name):
    assert detect(row) == name


def test_detect_takes_the_text_column():
    assert detect({"body": "a"}, "body") == "text"


@pytest.mark.parametrize("rows", [0, 1])
def test_few_rows(rows):
    for name in ("text", "instruction", "chat", "preference", "record"):
        reading = pick(name)
        frame = reading.normalize(
            pl.DataFrame(
                {column: ["[]"] * rows for column in reading.columns}, schema=dict.fromkeys(reading.columns, pl.String)
            )
        )
        assert len(reading.text(frame)) == rows
        if name != "record":
            assert reading.rewrite(frame, upper).height == rows
