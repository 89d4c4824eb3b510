"""Layouts of other tools: what comes out is what they read, and comes back identical where they can hold it."""

import json

import datasets
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.formats import layouts
from curate.formats.convert import convert
from curate.formats.how import How
from curate.formats.targets import TARGETS, written

said = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.strip)
LAYOUTS = [name for name, target in TARGETS.items() if target.format is None]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


@st.composite
def chats(draw):
    """Chats that alternate and end with an answer; some open with a system prompt."""
    opening = [system(draw(said))] if draw(st.booleans()) else []
    rounds = draw(st.integers(1, 3))
    return opening + [turn for _ in range(rounds) for turn in (user(draw(said)), assistant(draw(said)))]


CALL = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
WITH_CALL = [
    user("a"),
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "content": "1"},
    assistant("b"),
]


def records(*rows):
    return pl.Series("record", [json.dumps(row) for row in rows])


def made(row, to, how=None):
    """What the row becomes: the rows, or the problems."""
    lines = convert(records(row), to, how=how)
    if lines["problem"].null_count() != lines.height:
        return lines["problem"].to_list()
    columns = [name for name in lines.columns if name not in ("parent", "about", "tools", "dialect", "problem")]
    if columns == ["record"]:
        return [json.loads(record) for record in lines["record"]]
    return lines.select(columns).rows()


@given(chats())
@settings(max_examples=20)
def test_turns_come_back_identical(chat):
    for to, back in (
        ("sharegpt", "chat"),
        ("alpaca", "chat"),
        ("trl_sft", "chat"),
        ("trl_prompt_completion", "chat"),
        ("openai", "chat"),
    ):
        (row,) = made(chat, to)
        ((messages,),) = made(row, back)
        assert json.loads(messages) == chat, to


@given(chats(), said, said)
@settings(max_examples=20)
def test_pairs_come_back_identical(chat, chosen, rejected):
    row = {"prompt": chat[:-1], "chosen": [assistant(chosen)], "rejected": [assistant(rejected)]}
    assert made(row, "trl_dpo") == [row]
    (whole,) = made(row, "trl_reward")
    assert whole == {"chosen": [*chat[:-1], assistant(chosen)], "rejected": [*chat[:-1], assistant(rejected)]}
    assert made(whole, "trl_dpo") == [row]
    assert made(row, "trl_kto") == [
        {"prompt": chat[:-1], "completion": [assistant(chosen)], "label": True},
        {"prompt": chat[:-1], "completion": [assistant(rejected)], "label": False},
    ]
    (openai,) = made(row, "openai_preference")
    assert openai == {
        "input": {"messages": chat[:-1]},
        "preferred_output": [assistant(chosen)],
        "non_preferred_output": [assistant(rejected)],
    }


@given(chats())
@settings(max_examples=20)
def test_one_by_one_is_as_whole_columns(chat):
    rows = pl.DataFrame({"parent": [0], "turns": [chat], "messages": [json.dumps(chat)], "problem": [None]})
    for to in ("trl_prompt_completion", "trl_grpo", "openai", "sharegpt"):
        with pytest.MonkeyPatch.context() as patch:
            fast = written(rows, "turns", TARGETS[to], How())["record"][0]
            patch.setattr(layouts, "PLAIN", "^no chat is simple$")
            slow = written(rows, "turns", TARGETS[to], How())["record"][0]
        assert json.loads(slow) == json.loads(fast), to


def test_calls():
    assert made(WITH_CALL, "trl_sft") == [{"messages": WITH_CALL}]
    assert made(WITH_CALL, "openai") == [{"messages": WITH_CALL}]
    assert made(WITH_CALL, "trl_prompt_completion") == [{"prompt": WITH_CALL[:-1], "completion": WITH_CALL[-1:]}]
    (row,) = made(WITH_CALL, "sharegpt")
    assert [turn["from"] for turn in row["conversations"]] == ["human", "function_call", "observation", "gpt"]
    ((messages,),) = made(row, "chat")
    assert json.loads(messages) == WITH_CALL
    assert made(WITH_CALL, "alpaca") == ["more_than_text"]
    assert made([*WITH_CALL[:-1]], "openai") == ["not_answered"]
    assert made([user("a"), {**assistant("b"), "mood": "x"}], "openai") == ["more_than_openai"]


def test_labels():
    row = {"prompt": "a", "completion": "b", "label": False}
    assert made(row, "trl_kto") == [{"prompt": [user("a")], "completion": [assistant("b")], "label": False}]
    assert made(row, "trl_sft") == ["bad_answer"]
    assert made({"prompt": "a", "completion": "b"}, "trl_kto") == ["no_label"]


@pytest.mark.parametrize(
    ("to", "problem"),
    [
        ("trl_prompt_completion", "not_answered"),
        ("trl_grpo", "not_answered"),
        ("openai", "not_answered"),
        ("alpaca", "more_than_one_turn"),
    ],
)
def test_chats_without_an_answer(to, problem):
    assert made([user("a"), assistant("b"), user("c")], to) == [problem]


CHAT = [system("s"), user("a"), assistant("b"), user("c"), assistant("d")]


def test_what_may_be_lost():
    assert made(CHAT, "instruction") == ["more_than_system"]
    assert made(CHAT[1:], "instruction") == ["more_than_one_turn"]
    assert made(CHAT, "instruction", How(lose=("system",))) == ["more_than_one_turn"]
    assert made(CHAT, "instruction", How(lose=("earlier_turns",))) == ["more_than_system"]
    assert made(CHAT, "instruction", How(lose=("system", "earlier_turns"))) == [("c", "d")]
    assert made(CHAT[:3], "instruction", How(lose=("system",))) == [("a", "b")]
    row = {"prompt": CHAT[:-1], "chosen": "x", "rejected": "y"}
    assert made(row, "preference") == ["more_than_system"]
    assert made(row, "preference", How(lose=("earlier_turns", "system"))) == [("c", "x", "y")]


@given(chats())
@settings(max_examples=20)
def test_nothing_is_lost_unasked(chat):
    for to in ("instruction", "alpaca", "sharegpt", "openai", "trl_sft", "trl_prompt_completion", "trl_grpo"):
        for row in made(chat, to):
            text = json.dumps(row)
            assert row in ("more_than_system", "more_than_one_turn") or all(
                json.dumps(turn["content"])[1:-1] in text for turn in chat
            )


@pytest.mark.parametrize("to", LAYOUTS)
def test_layouts_load_for_training(to, tmp_path):
    rows = [
        {"prompt": [system("s"), user("a")], "chosen": "b", "rejected": "c"},
        {"prompt": [user("a é")], "chosen": "b\n", "rejected": '"c"'},
    ]
    path = tmp_path / "rows.jsonl"
    lines = convert(records(*rows), to)
    path.write_text("".join(line + "\n" for line in lines["record"]), encoding="utf-8")
    data = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.num_rows == lines.height
    assert data.to_list() == [json.loads(line) for line in lines["record"]]
    assert set(data.column_names) <= set(TARGETS[to].members)


def test_text_by_a_template(tmp_path):
    from transformers import PreTrainedTokenizerFast

    chatml = made(CHAT, "text", How(template="chatml"))
    assert chatml[0][0].startswith("<|im_start|>system\ns<|im_end|>\n<|im_start|>user\na<|im_end|>\n")
    assert made(WITH_CALL, "text", How(template="chatml")) == ["more_than_text"]
    source = (
        "{{ bos_token }}{% for m in messages %}\n"
        "    {% if m.role == 'assistant' %}\n{% generation %}{{ m.content }}{% endgeneration %}\n"
        "    {% elif m.role == 'system' %}\n{{ raise_exception('no system') }}\n"
        "    {% else %}\n{{ m | tojson }}\n    {% endif %}{% endfor %}"
    )
    (tmp_path / "chat_template.jinja").write_text(source)
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": {"content": "<s>"}}')
    how = How(template=str(tmp_path))
    assert made(CHAT, "text", how) == ["template_refuses"]
    ((text,),) = made(CHAT[1:], "text", how)
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    oracle = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({"<s>": 0}, "<s>")), bos_token="<s>", chat_template=source
    )
    assert text == oracle.apply_chat_template(CHAT[1:], tokenize=False)
    for content, message in (("{% if %}", "not a chat template"), (None, "no chat template there")):
        place = tmp_path / f"{content is None}.jinja"
        if content is not None:
            place.write_text(content)
        with pytest.raises(InputError, match=message):
            made(CHAT, "text", How(template=str(place)))
