"""Dialects of instructions and chats, each with a faithful row, and with broken ones."""

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.formats.convert import convert, detect_dialect
from curate.formats.detect import said_of
from curate.formats.dialects import DIALECTS, becomes, members
from curate.formats.named import named_columns, renamed
from curate.formats.problems import PROBLEMS


def records(*rows):
    return pl.Series("record", [row if isinstance(row, str) else json.dumps(row) for row in rows])


def chat(row):
    """The chats of a row as (role, content) pairs, or its problems."""
    lines = convert(records(row), "chat")
    problems = lines["problem"].drop_nulls().to_list()
    made = [[(m["role"], m["content"]) for m in json.loads(text)] for text in lines["messages"].drop_nulls()]
    return made or problems


ASKED = [("user", "What is it?"), ("assistant", "A tree.")]
TALK = [("system", "Be brief."), *ASKED]
FAR = {
    "contents": [
        {"role": "user", "parts": [{"text": "What "}, {"text": "is it?"}]},
        {"role": "model", "parts": [{"text": "A tree."}]},
    ]
}

ROWS = {
    "alpaca": ({"instruction": "What is it?", "input": "", "output": "A tree."}, [ASKED]),
    "dolly": (
        {"instruction": "What is it?", "context": "", "response": "A tree.", "category": "open_qa"},
        [ASKED],
    ),
    "openorca": ({"id": "1", "system_prompt": "Be brief.", "question": "What is it?", "response": "A tree."}, [TALK]),
    "query_response": (
        {"system": "Be brief.", "query": "What is it?", "response": "A tree.", "history": [["Hi.", "Hello."]]},
        [[TALK[0], ("user", "Hi."), ("assistant", "Hello."), *ASKED]],
    ),
    "qa": ({"question": "What is it?", "answer": "A tree."}, [ASKED]),
    "explain_choice": (
        {"question": "What is it?", "choices": ["a stone", "a tree"], "solution": "a tree", "explanation": "It grows."},
        [[("user", "What is it?\n\na stone\na tree"), ("assistant", "a tree\n\nIt grows.")]],
    ),
    "reflection": (
        {"instruction": "What is it?", "input": "", "output": "A bee.", "reflection": "It grows.", "corrected": "A tree."},
        [ASKED],
    ),
    "metharme": ({"prompt": "What is it?", "generation": "A tree."}, [ASKED]),
    "prompt_response": ({"prompt": "What is it?", "response": "A tree."}, [ASKED]),
    "input_output": ({"input": "What is it?", "output": "A tree."}, [ASKED]),
    "oasst_instruct": ({"INSTRUCTION": "What is it?", "RESPONSE": "A tree.", "SOURCE": "x"}, [ASKED]),
    "camel": ({"message_1": "What is it?", "message_2": "A tree.", "topic": "x"}, [ASKED]),
    "summary": ({"article": "What is it?", "summary": "A tree."}, [ASKED]),
    "self_instruct": (
        {"name": "t", "instruction": "What is it?", "is_classification": False,
         "instances": [{"input": "", "output": "A tree."}, {"input": "It barks.", "output": "A dog."}]},
        [ASKED, [("user", "What is it?\n\nIt barks."), ("assistant", "A dog.")]],
    ),
    "davinci": (
        {"prompt": "Task: ...", "instruction": "What is it?", "input": "", "target": "x",
         "response": {"choices": [{"text": "A tree.", "finish_reason": "stop"}], "model": "davinci"}},
        [ASKED],
    ),
    "mt_bench": (
        {"question_id": 81, "category": "w", "turns": ["What is it?", "Sure?"], "reference": ["A tree.", "Yes."]},
        [[*ASKED, ("user", "Sure?"), ("assistant", "Yes.")]],
    ),
    "gemini": ({**FAR, "systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]}}, [TALK]),
    "segments": (
        {"segments": [{"label": False, "text": "What "}, {"label": False, "text": "is it?"},
                      {"label": True, "text": "A tree."}]},
        [ASKED],
    ),
    "sharegpt": (
        {"id": "1", "system": "Be brief.",
         "conversations": [{"from": "human", "value": "What is it?"}, {"from": "gpt", "value": "A tree."}]},
        [TALK],
    ),
    "messages": ({"messages": [{"role": role, "content": text} for role, text in TALK]}, [TALK]),
}  # fmt: skip


@pytest.mark.parametrize("dialect", ROWS)
def test_each_dialect(dialect):
    row, chats = ROWS[dialect]
    assert detect_dialect(records(row)).to_list() == [dialect]
    assert chat(row) == chats
    lines = convert(records(row), "instruction", dialect)
    pairs = [(one[0][1], one[1][1]) for one in chats if [role for role, _ in one] == ["user", "assistant"]]
    assert list(lines.drop_nulls("instruction").select("instruction", "output").iter_rows()) == pairs
    assert lines.height == len(chats)


@pytest.mark.parametrize("dialect", ROWS)
def test_rows_of_all_dialects_in_one_file(dialect):
    """What a row becomes does not depend on the rows around it."""
    values = [row for row, _ in ROWS.values()]
    values.insert(0, ROWS[dialect][0])
    together = convert(records(*values), "chat")
    alone = [convert(records(value), "chat").with_columns(parent=pl.lit(i, pl.Int64)) for i, value in enumerate(values)]
    assert together.equals(pl.concat(alone))


def test_answers_of_many_forms():
    several = {"instruction": "What is it?", "output": ["A tree.", "An oak.", "A tree."], "generator": "m"}
    assert chat(several) == [ASKED, [ASKED[0], ("assistant", "An oak.")]]
    assert chat({"instruction": "What is it?", "response": "A tree.", "output": "A tree."}) == [ASKED]
    assert chat({"instruction": "What is it?", "response": "A tree.", "output": "An oak."}) == ["answers_differ"]
    squad = {
        "title": "t",
        "context": "It grows.",
        "question": "What?",
        "answers": {"text": ["a", "b", "a"], "answer_start": [1, 2, 1]},
    }
    assert chat(squad) == [[("user", "What?\n\nIt grows."), ("assistant", text)] for text in "ab"]
    assert chat({**squad, "answers": {"text": []}}) == ["empty_output"]
    assert chat({**squad, "answers": ["a"]}) == chat(squad)[:1]
    assert chat({"instruction": "a", "output": "b", "history": [["u"]]}) == ["unreadable"]
    assert chat({"instruction": "a", "output": "b", "history": [["u", ""]]}) == ["empty_content"]
    assert chat({"instruction": "", "input": "What is it?", "output": "A tree."}) == [ASKED]


def test_segments():
    def parts(*labelled):
        return {"segments": [{"label": label, "text": text} for label, text in labelled]}

    talk = parts((False, "a"), (True, "b"), (True, "c"), (False, "d"), (True, " e"))
    assert chat(talk) == [[("user", "a"), ("assistant", "bc"), ("user", "d"), ("assistant", " e")]]
    assert chat({"segments": []}) == ["empty"]
    assert chat(parts((None, "a"), (True, "b"))) == ["unknown_role"]
    assert chat(parts((False, ""), (True, "b"))) == ["empty_content"]
    assert chat(parts((False, "a"), (True, None))) == ["empty_content"]
    assert chat({"segments": ["a"]}) == ["unreadable"]


def test_unanswered_questions():
    row, _ = ROWS["mt_bench"]
    assert chat({**row, "reference": ["A tree."]}) == ["empty_output"]
    assert chat({key: row[key] for key in ("question_id", "turns")}) == ["empty_output"]
    assert chat({**row, "reference": {"a": 1}}) == ["unreadable"]
    assert chat({**row, "turns": []}) == ["empty"]


def test_members_of_messages_are_kept():
    talk = [
        {"from": "human", "value": "a"},
        {"from": "gpt", "value": "b", "train": False, "train_detail": [{"begin_offset": 0}]},
    ]
    made = json.loads(convert(records({"conversations": talk}), "chat")["messages"][0])
    assert made[1] == {"role": "assistant", "content": "b", "train": False, "train_detail": [{"begin_offset": 0}]}
    thinks = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "thinking": "t", "weight": 0}]
    assert json.loads(convert(records({"messages": thinks}), "chat")["messages"][0]) == thinks
    typed = [{"role": "user", "content": "a", "name": None}, {"role": "assistant", "content": "b", "name": None}]
    assert chat({"messages": typed}) == [[("user", "a"), ("assistant", "b")]]
    assert chat({"messages": json.dumps(typed)}) == chat({"messages": typed})


def test_arguments_that_were_encoded_twice():
    def called(arguments):
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
        row = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": [call]}]}
        return json.loads(convert(records(row), "chat")["messages"][0])[1]["tool_calls"][0]["function"]["arguments"]

    assert called(json.dumps(json.dumps({"x": 1}))) == '{"x": 1}'
    assert called('{"x": 1}') == '{"x": 1}'
    assert called('"x"') == '"x"'


def test_tools_stay_with_their_chat():
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    talk = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]
    for tools in ([tool], json.dumps([tool]), json.dumps([tool["function"]])):
        lines = convert(records({"conversations": talk, "tools": tools}), "chat")
        assert json.loads(lines["tools"][0]) == [tool]
        assert convert(records({"conversations": talk, "tools": tools}), "instruction")["problem"].to_list() == [
            "more_than_text"
        ]
    messages = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    assert json.loads(convert(records({**messages, "functions": [tool["function"]]}), "chat")["tools"][0]) == [tool]
    for none in ("[]", "", [], None):
        assert convert(records({"conversations": talk, "tools": none}), "instruction")["output"].to_list() == ["b"]
    for bad in ("{", {"a": 1}, [1], 5):
        assert convert(records({"conversations": talk, "tools": bad}), "chat")["problem"].to_list() == ["bad_tools"]


def test_gemini_calls_and_pictures():
    call = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"x": 1}}}]}
    answer = {"role": "function", "parts": [{"functionResponse": {"name": "f", "response": {"y": 2}}}]}
    made = json.loads(convert(records({"contents": [FAR["contents"][0], call, answer]}), "chat")["messages"][0])
    assert made[1]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x": 1}'}
    assert made[2] == {"role": "tool", "name": "f", "content": '{"y": 2}'}
    assert chat({"contents": [{"role": "user", "parts": [{"inlineData": {}}]}]}) == ["more_than_text"]
    assert chat({"contents": [{"role": "user", "parts": "a"}]}) == ["unreadable"]


def test_columns_by_names_of_their_own():
    columns = named_columns(["instruction=Question text,output=Answer"])
    assert columns == {"instruction": "Question text", "output": "Answer"}
    rows = records(
        {"Question text": "a", "Answer": "b", "n": 1e5, "instruction": "old"},
        {"Answer": "b"},
        [{"role": "user", "content": "a"}],
    )
    assert [json.loads(row) for row in renamed(rows, columns)] == [
        {"n": 1e5, "instruction": "a", "output": "b"},
        {"output": "b"},
        {"messages": [{"role": "user", "content": "a"}]},
    ]
    assert convert(renamed(rows, columns)[:1], "instruction").select("instruction", "output").row(0) == ("a", "b")
    for bad in ("instruction", "=a", "a=", "a=b,a=c"):
        with pytest.raises(Exception, match="columns: "):
            named_columns([bad])


def test_what_a_row_of_no_dialect_is_told():
    assert said_of('{"Instruction": "a", "OUTPUT": "b"}').startswith(
        "members: Instruction, OUTPUT; nearest: alpaca, whose members"
    )
    assert said_of('{"instruction": "a", "output": null}').startswith("members: instruction, output (null); nearest: ")
    assert said_of('{"x": 1}') == "members: x"
    assert said_of("{}") == "no members"


VALUES = (None, 5, True, "", " ", "a", [], {}, ["a"], [None], [[]], [["a", "b"]], [{"from": "human"}], "[",
          [{"role": 5, "content": []}], [{"role": "user", "content": {"a": 1}}], {"text": ["a", 5]}, {"choices": [{}]},
          '[{"a": 1}]', [{"role": None, "parts": [5]}])  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_broken_members_are_rows_or_problems(dialect):
    """Every member of every dialect in turn is null, a number, a list, ...: a line that is whole, or a problem."""
    names = sorted(members(dialect))
    good = {**dict.fromkeys(names, "a"), **ROWS.get(dialect, ({},))[0]}
    values = [{**good, name: value} for name in names for value in VALUES]
    values += [{key: good[key] for key in good if key != name} for name in names]
    for to in becomes(dialect):
        lines = convert(records(*values), to, dialect)
        assert lines["parent"].unique().to_list() == list(range(len(values)))
        assert set(lines["problem"].drop_nulls()) <= set(PROBLEMS)
        columns = [name for name in lines.columns if name in ("record", "text", "messages", "instruction", "output")]
        whole = pl.all_horizontal(pl.col(name).is_not_null() for name in columns)
        assert lines.select((whole == pl.col("problem").is_null()).all()).item()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "from", "value", "text", "parts", "name", "type", "output", "arguments"]),
        inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(ROWS)), st.data())
def test_any_json_in_place_of_any_member(dialect, data):
    row, _ = ROWS[dialect]
    name = data.draw(st.sampled_from(sorted(members(dialect))))
    broken = {**row, name: data.draw(json_values)}
    for to in ("chat", "instruction"):
        for given_dialect in ("auto", dialect):
            lines = convert(records(broken), to, given_dialect)
            assert lines.height >= 1
            column = "messages" if to == "chat" else "output"
            assert (lines[column].is_null() == lines["problem"].is_not_null()).all()
            assert set(lines["problem"].drop_nulls()) <= set(PROBLEMS)


def test_long_and_large_rows():
    turns = [{"from": ("human", "gpt")[i % 2], "value": f"turn {i}"} for i in range(1000)]
    assert len(json.loads(convert(records({"conversations": turns}), "chat")["messages"][0])) == 1000
    large = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b\n" * 12_500_000}]}
    lines = convert(records(large, {"instruction": "a", "output": "b"}), "chat")
    assert lines["problem"].null_count() == 2
    assert len(lines["messages"][0]) > 37_000_000
    deep = '{"messages":' + "[" * 900 + "]" * 900 + "}"
    assert convert(records(deep), "chat")["problem"].to_list() == ["unreadable"]
