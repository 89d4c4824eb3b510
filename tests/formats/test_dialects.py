import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import UsageError
from curate.formats.convert import convert, detect_dialect, extra
from curate.formats.dialects import DIALECTS, becomes, check
from curate.formats.how import How
from curate.formats.problems import PROBLEMS

said = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.strip)


def rows(*values, **options):
    return pl.Series("record", [value if isinstance(value, str) else json.dumps(value, **options) for value in values])


def one(value, to, dialect="auto"):
    """The one row that comes out, or its problem."""
    out = convert(rows(value), to, dialect).row(0, named=True)
    if out["problem"] is not None:
        assert all(out[name] is None for name in out if name not in ("parent", "about", "tools", "problem", "dialect"))
        return out["problem"]
    if to == "chat":
        return [(message["role"], message["content"]) for message in json.loads(out["messages"])]
    return tuple(out[name] for name in out if name not in ("parent", "about", "tools", "problem", "dialect"))


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: Name?\n\nAssistant:"


@pytest.mark.parametrize(
    ("row", "dialect"),
    [
        ({"instruction": "a", "input": "", "output": "b", "text": "t"}, "alpaca"),
        ({"instruction": "a", "response": "b"}, "alpaca"),
        ({"instruction": "a", "context": "", "response": "b", "category": "c"}, "dolly"),
        ({"conversations": []}, "sharegpt"),
        ({"conversations": [], "chosen": {}, "rejected": {}}, "ranking"),
        ([], "messages"),
        ({"messages": [], "label": True}, "messages"),
        ({"prompt": "a", "completion": "b"}, "prompt_completion"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "dpo"),
        ({"chosen": [], "rejected": []}, "dpo"),
        ({"chosen": "", "rejected": ""}, "hh"),
        ({"instruction": "a", "chosen": "b", "rejected": "c"}, "preference"),
        ({"text": "a"}, "text"),
        ({"instruction": "a", "output": None, "meta": {"messages": []}}, "none"),
        ({}, "none"),
    ],
)
def test_detect(row, dialect):
    assert detect_dialect(rows(row)).to_list() == [dialect]


def test_text_column():
    record = rows({"body": "a", "text": 5}, {"body": 5})
    assert detect_dialect(record, "body").to_list() == ["text", "text"]
    out = convert(record, "text", how=How("body"))
    assert out["text"].to_list() == ["a", None]
    assert out["problem"].to_list() == [None, "unreadable"]


@pytest.mark.parametrize("nothing", ["", None, "N/A", "<noinput>", " Noinput "])
def test_alpaca_without_input(nothing):
    assert one({"instruction": "a", "input": nothing, "output": "b"}, "instruction") == ("a", "b")


def test_alpaca():
    assert one({"instruction": "Add.", "input": "1 2", "output": "3"}, "instruction") == ("Add.\n\n1 2", "3")
    assert one({"instruction": "", "input": "1 2", "output": "3"}, "instruction") == ("1 2", "3")
    full = {"system": "s", "history": [["u", "v"]], "instruction": "a", "output": "b"}
    assert one(full, "chat") == [("system", "s"), ("user", "u"), ("assistant", "v"), ("user", "a"), ("assistant", "b")]
    assert one(full, "instruction") == "more_than_system"
    assert one({"instruction": "a", "output": " "}, "chat") == "empty_output"
    assert one({"instruction": "", "input": "", "output": "b"}, "chat") == "empty_instruction"
    assert one({"instruction": "a", "output": 5}, "instruction") == "unreadable"
    assert one({"instruction": "a", "output": "b"}, "preference") == "no_such_target"


def test_dolly():
    row = {"instruction": "Why?", "context": "Because [12].", "response": "So.", "category": "x"}
    assert one(row, "instruction") == ("Why?\n\nBecause [12].", "So.")
    assert one({**row, "context": ""}, "chat") == [("user", "Why?"), ("assistant", "So.")]
    assert one({**row, "response": ""}, "chat") == "empty_output"


def test_sharegpt():
    row = {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "system": "s"}
    assert one(row, "chat") == [("system", "s"), ("user", "a"), ("assistant", "b")]
    assert one({**row, "system": ""}, "instruction") == ("a", "b")
    assert one(row, "text") == ("s\n\na\n\nb",)
    mixed = {"conversations": [{"role": "user", "value": "a"}, {"role": "assistant", "content": "b"}]}
    assert one(mixed, "instruction") == ("a", "b")
    twice = {"conversations": [{"from": "system", "value": "t"}, *row["conversations"]], "system": "s"}
    assert one(twice, "chat")[0] == ("system", "t")
    assert one({"conversations": [{"from": "narrator", "value": "a"}]}, "chat") == "unknown_role"
    assert one({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": ""}]}, "chat") == "empty_content"
    assert one({"conversations": []}, "chat") == "empty"
    assert one({"conversations": "a"}, "chat") == "unreadable"


def test_sharegpt_calls_are_tool_calls():
    call = '{"name": "add",\n "arguments": {"x": 1e5}}'
    row = {
        "conversations": [
            {"from": "human", "value": "1+1"},
            {"from": "function_call", "value": call},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "It is 2."},
        ]
    }
    out = convert(rows(row, {"conversations": row["conversations"][::3]}), "chat")
    text = out["messages"][0]
    assert "\n" not in text
    assert '"x": 1e5' in text
    messages = json.loads(text)
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert messages[1]["content"] is None
    assert messages[1]["tool_calls"] == [{"type": "function", "function": json.loads(call)}]
    assert json.loads(out["messages"][1]) == [user("1+1"), assistant("It is 2.")]
    assert one(row, "text") == "more_than_text"
    row["conversations"][1]["value"] = "add(1)"
    assert one(row, "chat") == "bad_call"


def test_messages_stay_as_they_are():
    bare = '[{"role": "user",  "content": "\\u00e9"}, {"role": "assistant", "content": "b"}]'
    wrapped = f'{{"id": 1, "messages": {bare}}}'
    assert convert(rows(bare, wrapped), "chat")["messages"].to_list() == [bare, bare]
    assert one(bare, "instruction") == ("é", "b")


def test_messages_with_more_in_them():
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]}
    chat = [
        user("a"),
        call,
        {"role": "function", "name": "f", "content": "1"},
        {"role": "assistant", "content": "b", "weight": 0},
    ]
    out = json.loads(convert(rows(chat), "chat")["messages"][0])
    assert out == [chat[0], call, {**chat[2], "role": "tool"}, chat[3]]
    assert one(chat, "instruction") == "more_than_text"
    assert one([user("a"), {"role": "assistant", "content": "b", "weight": 1}], "instruction") == ("a", "b")
    assert one([{"role": "model", "content": "b"}], "chat") == [("assistant", "b")]
    assert one([{"role": "narrator", "content": "b"}], "chat") == "unknown_role"
    assert one([{"role": "user", "content": ""}], "chat") == "empty_content"
    assert one([{"role": "user", "content": " "}], "chat") == "empty_content"
    assert one([5], "chat") == "unreadable"
    assert one([], "chat") == "empty"
    assert one({"messages": [user("a"), assistant("b")], "label": False}, "chat") == "bad_answer"
    assert one({"messages": [user("a"), assistant("b")], "label": "true"}, "instruction") == ("a", "b")


def test_messages_in_typed_parts():
    row = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "value": "a"}], "loss_weight": 0.0},
            {"role": "assistant", "content": [{"type": "reasoning", "value": "hm"}, {"type": "text", "value": "b"}]},
            {"role": "assistant", "content": [{"type": "tool_call", "value": '{"name": "f"}'}]},
        ]
    }
    assert json.loads(convert(rows(row), "chat")["messages"][0]) == [
        {"role": "user", "content": "a", "loss_weight": 0.0},
        {"role": "assistant", "content": "b", "reasoning_content": "hm"},
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "f"}}]},
    ]


def test_prompt_completion():
    assert one({"prompt": "a", "completion": " b"}, "instruction") == ("a", " b")
    lists = {"prompt": [{"role": "system", "content": "s"}, user("a")], "completion": [assistant("b")]}
    assert one(lists, "chat") == [("system", "s"), ("user", "a"), ("assistant", "b")]
    assert one(lists, "instruction") == "more_than_system"
    assert one({"prompt": [user("a")], "completion": "b"}, "instruction") == ("a", "b")
    assert one({"prompt": "a", "completion": ""}, "instruction") == "empty_output"
    assert one({"prompt": "a", "completion": 1}, "instruction") == "unreadable"
    assert one({"prompt": "a", "completion": "b", "label": False}, "instruction") == "bad_answer"


def test_dpo():
    assert one({"prompt": "a", "chosen": "b", "rejected": "c"}, "preference") == ("a", "b", "c")
    assert one({"prompt": "a", "chosen": "b", "rejected": "c"}, "instruction") == ("a", "b")
    assert one({"prompt": "a", "chosen": "b", "rejected": "c"}, "chat") == [("user", "a"), ("assistant", "b")]
    explicit = {"prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]}
    assert one(explicit, "preference") == ("a", "b", "c")
    full = {"chosen": [user("a"), assistant("b")], "rejected": [user("a"), assistant("c")]}
    assert one(full, "preference") == ("a", "b", "c")
    assert one({"prompt": "a", **full}, "preference") == ("a", "b", "c")
    assert one({**full, "rejected": [user("x"), assistant("c")]}, "preference") == "prompts_differ"
    assert one({"prompt": "a", "chosen": "b", "rejected": ""}, "preference") == "empty_output"
    longer = {"prompt": [user("a"), assistant("b"), user("c")], "chosen": "d", "rejected": "e"}
    assert one(longer, "preference") == "more_than_one_turn"
    assert one(longer, "chat") == [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    assert one({"prompt": "a", "chosen": "b", "rejected": "c"}, "text") == "no_such_target"
    assert one({**explicit, "rejected": [user("c")]}, "preference") == "not_an_answer"


def test_ranking():
    row = {
        "conversations": [{"from": "human", "value": "a"}],
        "chosen": {"from": "gpt", "value": "b"},
        "rejected": {"from": "gpt", "value": "c"},
    }
    assert one(row, "preference") == ("a", "b", "c")
    assert one({**row, "system": "s"}, "preference") == "more_than_system"
    assert one({**row, "system": "s"}, "chat") == [("system", "s"), ("user", "a"), ("assistant", "b")]
    assert one({**row, "rejected": {"from": "gpt", "value": ""}}, "preference") == "empty_output"


def test_hh():
    single = {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Hi\n\nAssistant: Go."}
    assert one(single, "preference") == ("Hi", "Hello.", "Go.")
    row = {"chosen": HH + " Ann.", "rejected": HH + " No."}
    transcript = "Human: Hi\n\nAssistant: Hello.\n\nHuman: Name?"
    assert one(row, "preference") == (transcript, "Ann.", "No.")
    assert one(row, "chat") == [("user", "Hi"), ("assistant", "Hello."), ("user", "Name?"), ("assistant", "Ann.")]
    assert one({**row, "rejected": single["rejected"]}, "preference") == "prompts_differ"
    assert one({**row, "chosen": HH + " "}, "preference") == "empty_output"
    assert one({"chosen": "Hi", "rejected": "Go"}, "preference") == "prompts_differ"


def test_half_a_character_is_no_text():
    half = '{"instruction": "a", "output": "\\ud800"}'
    whole = '{"instruction": "a", "output": "\\ud83d\\ude00"}'
    assert one(half, "instruction") == "unreadable"
    written = '{"instruction": "a", "output": "\\\\ud800"}'
    assert one(whole, "instruction") == ("a", "😀")
    assert one(written, "instruction") == ("a", "\\ud800")
    assert one('{"conversations": [{"from": "human", "value": "\\\\ud800"}]}', "chat") == [("user", "\\ud800")]
    assert one('{"conversations": [{"from": "human", "value": "\\ud800"}]}', "chat") == "unreadable"


def test_rows_do_not_depend_on_their_neighbours():
    values = [
        {"instruction": "a", "output": "b"},
        {"instruction": "a", "output": {"x": 1}},
        {"conversations": 5},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {"conversations": [{"from": {}, "value": "a"}]},
        [user("a"), assistant("b")],
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"prompt": [user("a")], "chosen": [5], "rejected": "c"},
        {"x": 1},
    ]
    for to in ("chat", "instruction", "preference", "text"):
        together = convert(rows(*values), to)
        assert together["parent"].to_list() == list(range(len(values)))
        alone = pl.concat([convert(rows(value), to) for value in values])
        assert together.drop("parent").equals(alone.drop("parent"))
    assert convert(rows(), "chat").height == 0


@settings(max_examples=60)
@given(st.lists(st.tuples(said, said), min_size=1, max_size=4), st.booleans())
def test_instruction_to_chat_and_back(pairs, escape):
    record = rows(*({"instruction": a, "output": b} for a, b in pairs), ensure_ascii=escape)
    chats = convert(record, "chat", "alpaca")["messages"]
    back = convert(chats, "instruction", "messages")
    assert list(back.select("instruction", "output").iter_rows()) == pairs


@settings(max_examples=60)
@given(said, st.lists(said, min_size=1, max_size=5))
def test_sharegpt_and_messages_are_the_same_chat(system, texts):
    names = [("human", "gpt")[i % 2] for i in range(len(texts))]
    row = {"system": system, "conversations": [{"from": n, "value": t} for n, t in zip(names, texts, strict=True)]}
    roles = ["system", *(("user", "assistant")[i % 2] for i in range(len(texts)))]
    assert one(row, "chat") == list(zip(roles, [system, *texts], strict=True))


@settings(max_examples=40)
@given(said, said, said)
def test_preference_as_dpo_is_the_same(prompt, chosen, rejected):
    row = {"prompt": [user(prompt)], "chosen": [assistant(chosen)], "rejected": [assistant(rejected)]}
    assert one(row, "preference") == (prompt, chosen, rejected)
    assert one({"instruction": prompt, "chosen": chosen, "rejected": rejected}, "preference") == (prompt, chosen, rejected)


def test_extra_members_stay_as_they_are_written():
    record = rows(
        '{"id": "x", "instruction": "a", "n": 1e5, "output": "b", "url": "\\u00e9", "messages": 1}',
        '{"instruction": "a", "output": "b"}',
        '[{"role": "user", "content": "a"}]',
    )
    rest = extra(record, pl.Series(["alpaca", "alpaca", "messages"]), ("messages", "id"))
    assert rest.to_list() == ['"n":1e5,"url":"\\u00e9"', "", ""]


def test_what_cannot_be_is_refused_with_what_can():
    for name in DIALECTS:
        for to in ("text", "instruction", "chat", "preference"):
            if to in becomes(name):
                check(to, name)
            else:
                with pytest.raises(UsageError, match=f"{name} cannot become {to}.*becomes {', '.join(becomes(name))}"):
                    check(to, name)
    with pytest.raises(UsageError, match=r"text cannot become instruction.*signatures"):
        check("instruction", "text")
    check("instruction", "signatures")
    check("preference", "auto")


def test_every_problem_is_declared():
    seen = set()
    values = ({"x": 1}, {"text": "a"}, {"conversations": []}, {"conversations": [{"from": "x", "value": "y"}]})
    for to in ("chat", "instruction", "preference", "text"):
        seen |= set(convert(rows(*values), to)["problem"].drop_nulls())
    assert seen <= set(PROBLEMS)
    assert {"unknown_dialect", "no_such_target", "empty", "unknown_role"} <= seen
