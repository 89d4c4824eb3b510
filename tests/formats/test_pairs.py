import json

import pytest

from curate.formats.convert import convert, detect_dialect
from curate.formats.how import How
from tests.formats.rows import about, assistant, lines, rows, user

FLAT = {
    "preference": {"instruction": "a", "chosen": "b", "rejected": "c"},
    "stack_exchange": {"question": "a", "response_j": "b", "response_k": "c"},
    "orca_pairs": {"system": "", "question": "a", "chosen": "b", "rejected": "c"},
    "argilla": {"instruction": "a", "chosen_response": "b", "rejected_response": "c"},
    "swift": {"query": "a", "response": "b", "rejected_response": "c"},
    "comparison": {"user_input": "a", "completion_a": "b", "completion_b": "c"},
}
MESSAGES = {
    "v1_pairs": {
        name: [
            {"role": "user", "content": [{"type": "text", "value": "a"}], "loss_weight": 0.0},
            {"role": "assistant", "content": [{"type": "text", "value": text}], "loss_weight": 1.0},
        ]
        for name, text in (("chosen_messages", "b"), ("rejected_messages", "c"))
    },
    "openai_preference": {
        "input": {"messages": [user("a")], "tools": [], "parallel_tool_calls": True},
        "preferred_output": [assistant("b")],
        "non_preferred_output": [assistant("c")],
    },
    "swift_messages": {"messages": [user("a"), assistant("b")], "rejected_response": "c"},
    "dpo": {
        "prompt": "a",
        "prompt_id": "1",
        "chosen": [user("a"), assistant("b")],
        "rejected": [user("a"), assistant("c")],
        "messages": [user("a"), assistant("b")],
        "score_chosen": 8.0,
        "score_rejected": 6.5,
    },
    "hh": {"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c"},
    "ranking": {
        "conversations": [{"from": "human", "value": "a"}],
        "chosen": {"from": "gpt", "value": "b"},
        "rejected": {"from": "gpt", "value": "c"},
    },
}


@pytest.mark.parametrize(("dialect", "row"), [*FLAT.items(), *MESSAGES.items()])
def test_to_every_target(dialect, row):
    assert detect_dialect(rows(row)).to_list() == [dialect]
    assert lines(row, "preference") == [("a", "b", "c")]
    assert lines(row, "instruction") == [("a", "b")]
    assert lines(row, "chat") == [[user("a"), assistant("b")]]
    assert lines(row, "trl_dpo") == [{"prompt": [user("a")], "chosen": [assistant("b")], "rejected": [assistant("c")]}]
    unpaired = [(row["completion"][0]["content"], row["label"]) for row in lines(row, "trl_kto")]
    assert unpaired == [("b", True), ("c", False)]
    assert lines(row, "text") == ["no_such_target"]


@pytest.mark.parametrize("dialect", FLAT)
def test_flat_rows_that_are_broken(dialect):
    row = FLAT[dialect]
    better, worse = [name for name in row if row[name] in ("b", "c")]
    (asked,) = [name for name in row if row[name] == "a"]
    assert lines({**row, better: " "}, "preference") == ["empty_output"]
    assert lines({**row, worse: ""}, "chat") == ["empty_output"]
    assert lines({**row, asked: ""}, "preference") == ["empty_instruction"]
    assert lines({**row, worse: 5}, "preference", dialect=dialect) == ["unreadable"]
    assert lines({**row, better: ["b"]}, "preference", dialect=dialect) == ["unreadable"]
    assert lines({**row, worse: None}, "preference", dialect=dialect) == ["empty_output"]


def test_what_comes_before_the_question():
    row = {**FLAT["swift"], "system": "s", "history": [["u", "v"]]}
    assert lines(row, "preference") == ["more_than_system"]
    before = [{"role": "system", "content": "s"}, user("u"), assistant("v"), user("a")]
    assert lines(row, "trl_dpo")[0]["prompt"] == before
    assert lines(row, "preference", How(lose=("system", "earlier_turns"))) == [("a", "b", "c")]
    assert lines({**FLAT["preference"], "input": "x"}, "preference") == [("a\n\nx", "b", "c")]
    assert lines({"input": "a", "chosen": "b", "rejected": "c", "system": None}, "preference") == [("a", "b", "c")]
    assert lines({**FLAT["stack_exchange"], "question": "<p>a</p>"}, "preference") == [("<p>a</p>", "b", "c")]


SCORED = [
    (FLAT["argilla"], "chosen_avg_rating", "rejected_avg_rating"),
    (MESSAGES["dpo"], "score_chosen", "score_rejected"),
    ({"prompt": "a", "chosen": "b", "rejected": "c"}, "chosen-rating", "rejected-rating"),
]


@pytest.mark.parametrize(("row", "better", "worse"), SCORED)
def test_scores_must_bear_out_the_pair(row, better, worse):
    def scored(more, less):
        return {**row, better: more, worse: less}

    assert lines(scored(5, 4.5), "preference") == [("a", "b", "c")]
    assert about(scored("5", 4.5), "preference") == [{"margin": 0.5, "score_chosen": 5.0, "score_rejected": 4.5}]
    assert lines(scored(5, 5.0), "preference") == ["tie"]
    assert lines(scored(4, 5), "trl_kto") == ["scores_disagree"] * 2
    assert lines(scored(5, 4.5), "preference", How(min_margin=1)) == ["small_margin"]
    assert lines(scored("N/A", None), "preference") == [("a", "b", "c")]
    assert about(scored("N/A", None), "preference") == [{}]
    assert lines(scored(5, 5), "instruction") == [("a", "b")]
    assert lines(scored(5, 4.5), "trl_reward")[0]["margin"] == 0.5


def test_margin_is_the_rows_own():
    row = {"prompt": "a", "chosen": "b", "rejected": "c", "margin": 3}
    assert about(row, "preference") == [{"margin": 3.0}]
    assert lines(row, "preference", How(min_margin=4)) == ["small_margin"]
    assert lines({**row, "margin": "NaN"}, "preference") == [("a", "b", "c")]


def transcript(*said):
    return "".join(f"\n\n{('Human', 'Assistant')[i % 2]}: {text}" for i, text in enumerate(said))


def test_hh_of_several_turns():
    row = {"chosen": transcript("a", "b", "c", "d"), "rejected": transcript("a", "b", "c", "e")}
    assert lines(row, "preference") == [("Human: a\n\nAssistant: b\n\nHuman: c", "d", "e")]
    assert lines(row, "trl_dpo")[0]["prompt"] == [user("a"), assistant("b"), user("c")]
    assert lines(row, "instruction") == ["more_than_one_turn"]
    assert lines(row, "instruction", How(lose=("earlier_turns",))) == [("c", "d")]


@pytest.mark.parametrize(
    ("chosen", "rejected", "problem"),
    [
        (transcript("a", "b", "c", "d"), transcript("a", "x", "c", "e"), "prompts_differ"),
        (transcript("a", "b", "c", "d"), transcript("a", "e"), "prompts_differ"),
        (transcript("a", "", "c", "d"), transcript("a", "", "c", "e"), "empty_content"),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant: c", "\n\nHuman: a\n\nHuman: b\n\nAssistant: d", "roles_do_not_alternate"),
        (
            "\n\nAssistant: a\n\nHuman: b\n\nAssistant: c",
            "\n\nAssistant: a\n\nHuman: b\n\nAssistant: d",
            "roles_do_not_alternate",
        ),
        ("x\n\nHuman: a\n\nAssistant: b", "x\n\nHuman: a\n\nAssistant: c", "unknown_role"),
        (transcript("a", "b") + "\n\nHuman: c", transcript("a", "d"), "not_an_answer"),
        (transcript("a", "b"), transcript("a", " "), "empty_output"),
        (transcript("a", "b\x1e"), transcript("a", "c"), "unreadable"),
        ("\n\nAssistant: b", "\n\nAssistant: c", "empty"),
        ("a", "b", "prompts_differ"),
        ("", "", "prompts_differ"),
    ],
)
def test_hh_traps(chosen, rejected, problem):
    row = {"chosen": chosen, "rejected": rejected}
    for to in ("preference", "chat", "instruction", "trl_dpo"):
        assert lines(row, to) == [problem]


def test_a_mark_that_is_no_mark():
    row = {
        "chosen": transcript("say Human: twice\nAssistant: x", "b"),
        "rejected": transcript("say Human: twice\nAssistant: x", "c"),
    }
    assert lines(row, "preference") == [("say Human: twice\nAssistant: x", "b", "c")]


def test_answers_in_messages():
    v1, openai = MESSAGES["v1_pairs"], MESSAGES["openai_preference"]
    reasoned = {"role": "assistant", "content": [{"type": "reasoning", "value": "hm"}, {"type": "text", "value": "b"}]}
    assert lines({**v1, "chosen_messages": [v1["chosen_messages"][0], reasoned]}, "preference") == ["more_than_text"]
    other = {"role": "user", "content": [{"type": "text", "value": "x"}]}
    assert lines({**v1, "chosen_messages": [other, v1["chosen_messages"][1]]}, "preference") == ["prompts_differ"]
    assert lines({**v1, "chosen_messages": []}, "preference") == ["empty"]
    assert lines({**v1, "chosen_messages": "b"}, "preference") == ["unreadable"]
    assert lines({**v1, "chosen_messages": [{"role": "narrator", "content": "b"}]}, "preference") == ["unknown_role"]
    twice = [assistant("b"), assistant("b")]
    assert lines({**openai, "preferred_output": twice}, "preference") == ["not_an_answer"]
    assert lines({**openai, "preferred_output": [user("b")]}, "preference") == ["not_an_answer"]
    assert lines({**openai, "input": {"messages": []}}, "preference") == ["empty"]
    assert lines({**openai, "input": {}}, "preference") == ["unreadable"]
    assert lines({**openai, "input": "a"}, "preference") == ["unreadable"]
    call = {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "f"}}]}
    assert lines({**openai, "preferred_output": [call]}, "preference") == ["more_than_text"]
    swift = MESSAGES["swift_messages"]
    assert lines({**swift, "rejected_response": " "}, "preference") == ["empty_output"]
    assert lines({**swift, "rejected_response": 5}, "preference") == ["unreadable"]
    assert lines({**swift, "messages": [user("a")]}, "preference") == ["not_an_answer"]
    goes_on = [assistant("b"), user("x"), assistant("y")]
    assert lines({"prompt": "a", "chosen": goes_on, "rejected": [assistant("c")]}, "preference") == ["not_an_answer"]
    assert lines({"prompt": "a", "chosen": [assistant("b")], "rejected": goes_on}, "preference") == ["not_an_answer"]
    assert lines({"instruction": "a", "chosen": [assistant("b")], "rejected": [assistant("c")]}, "preference") == ["empty"]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "a", "input": "", "output": "b"},
        {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        {"messages": [user("a"), assistant("b")]},
    ],
)
def test_kto_tags(row):
    for tag in (True, "true", 1):
        assert lines({**row, "kto_tag": tag}, "instruction") == [("a", "b")]
        assert lines({**row, "kto_tag": tag}, "trl_kto")[0]["label"] is True
    for tag in (False, "False", 0):
        assert lines({**row, "kto_tag": tag}, "instruction") == ["bad_answer"]
        assert lines({**row, "kto_tag": tag}, "trl_kto")[0]["label"] is False
    for tag in ("maybe", 2, [True]):
        assert lines({**row, "kto_tag": tag}, "trl_kto") == ["unreadable"]
    call = {"role": "assistant", "content": "b", "tool_calls": []}
    mixed = rows(
        {**row, "kto_tag": True},
        {"messages": [user("a"), call], "kto_tag": True},
        {"conversations": [{"from": "human", "value": "x"}], "kto_tag": 1},
    )
    chats = convert(mixed, "chat")
    assert [[turn["content"] for turn in json.loads(chat)] for chat in chats["messages"]] == [["a", "b"], ["a", "b"], ["x"]]
    mixed = rows({**row, "kto_tag": True}, {"conversations": [{"from": "human", "value": "x"}], "kto_tag": 0})
    assert detect_dialect(mixed).to_list() == ["kto", "kto"]
