import json

import polars as pl
import pytest

from curate.formats.checks import SUSPICIONS
from curate.formats.suspicion import suspicions
from curate.formats.validity import examine

ASK = "Which plant is the tea of Kandy made from?"


def found(row):
    record = pl.Series("record", [json.dumps(row, ensure_ascii=False)])
    columns = suspicions(examine(record, None), record).row(0, named=True)
    return {name: evidence for name, evidence in columns.items() if evidence is not None}


def answered(output, instruction=ASK, **more):
    """What is found in the answer: the same in every format that has one."""
    chat = {"messages": [{"role": "user", "content": instruction}, {"role": "assistant", "content": output}]}
    rows = [{"instruction": instruction, "output": output, **more}, chat]
    rows.append({"instruction": instruction, "chosen": output, "rejected": "no", **more})
    first, *others = ([name for name in found(row) if name not in ("input_not_read", "bare_array_chat")] for row in rows)
    assert others == [first, first]
    return first


@pytest.mark.parametrize(
    ("output", "problems"),
    [
        ("From Camellia sinensis.", []),
        ("Tea plants </s>", ["special_token"]),
        ("Tea plants <|end_of_text|>", ["special_token"]),
        ("Tea plants [MASK]", ["special_token"]),
        ("a < b, c[1] and <b>bold</b> x|>y", []),
        (f"{ASK} From Camellia sinensis.", ["prompt_in_output"]),
        (f"You ask: {ASK} Tea.", ["prompt_in_output"]),
        ("I'm sorry, but I can't help with that.", ["refusal"]),
        ("I cannot provide that.", ["refusal"]),
        ("As an AI language model, I drink no tea.", ["refusal"]),
        ("Tea. I am sorry that it took so long.", []),
        ("Certainly! From a plant.", ["boilerplate_opening"]),
        ("Sure, here it is.", ["boilerplate_opening"]),
        ("Surely from a plant.", []),
        ("A plant, certainly.", []),
        ("I am ChatGPT and know of tea.", ["names_a_model"]),
        ("I was trained by OpenAI.", ["names_a_model"]),
        ("OpenAI makes ChatGPT.", []),
        ("N/A", ["placeholder"]),
        ("none.", ["placeholder"]),
        ("None of them is tea.", []),
        ("Call {{name}} about it.", ["placeholder"]),
        ("Lorem ipsum dolor", ["placeholder"]),
        ("cafÃ© au lait", ["encoding_damage"]),
        ("itâ€™s tea", ["encoding_damage"]),
        ("caf\ufffd", ["encoding_damage"]),
        ("Âme, Ã la carte, São Tomé", []),
        ("caf\\u00e9", ["escaped_text"]),
        ("tea &amp; milk &#39;", ["escaped_text"]),
        ("tea & milk; &c;", []),
        ("one\\ntwo", ["escaped_text"]),
        ("print('one\\ntwo')\nprints two lines", []),
        ("Tea ", ["outer_space"]),
        ("\nTea", ["outer_space"]),
        ("```python\nbrew()\n", ["outer_space", "open_code_fence"]),
        ("```python\nbrew()", ["open_code_fence"]),
        ("```python\nbrew()\n```\nthen drink", []),
    ],
)
def test_answers(output, problems):
    assert answered(output) == problems


def test_marks_of_templates_are_no_special_tokens_as_well():
    assert answered("Tea <|im_end|>") == []


def test_texts_are_looked_at_for_damage_and_not_as_answers():
    assert found({"text": "Certainly! </s> "}).keys() == {"special_token"}
    assert found({"text": "cafÃ©"}).keys() == {"encoding_damage"}


def test_members_that_are_not_read():
    assert found({"instruction": "a", "input": "b", "output": "c"}) == {"input_not_read": "b"}
    assert found({"instruction": "a", "context": "b", "chosen": "c", "rejected": "d"}) == {"input_not_read": "b"}
    assert found({"instruction": "a", "input": " ", "output": "c"}) == {}
    assert found({"text": "a", "input": "b"}) == {}


def test_bare_chats():
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert found(turns).keys() == {"bare_array_chat"}
    assert found({"messages": turns}) == {}


def test_every_answer_of_a_chat_counts():
    turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "Certainly! d"), ("user", "e"), ("assistant", "f")]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    assert found(row).keys() == {"boilerplate_opening"}


def test_no_rows_and_all_columns():
    record = pl.Series("record", [], dtype=pl.String)
    columns = suspicions(examine(record, None), record)
    assert columns.height == 0
    assert set(columns.columns) == set(SUSPICIONS) - {"too_long", "answer_cut"}
