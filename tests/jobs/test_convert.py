"""Conversion through the engine: from files to files."""

import json

import datasets
import pytest

from curate.engine.chain import run_command
from curate.errors import UsageError
from curate.jobs.convert import Convert
from curate.report.watch import watch

ALPACA = [
    {"instruction": "Add.", "input": "1 2", "output": "3", "lang": "en"},
    {"instruction": "Say é.", "input": "", "output": "é\n", "lang": "fr"},
    {"instruction": "Nothing.", "input": "", "output": ""},
]


def written(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def convert(tmp_path, input, **options):
    """The lines that a run writes, and its stats."""
    output = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
    with watch(True) as watcher:
        run = run_command(Convert(input=(input,), **options), str(output), workers=1, watcher=watcher)
    lines = output.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines], run.jobs[-1]


def test_dialect_to_chat(tmp_path):
    rows, stats = convert(tmp_path, written(tmp_path / "in.jsonl", ALPACA), to="chat")
    assert rows == [
        [{"role": "user", "content": "Add.\n\n1 2"}, {"role": "assistant", "content": "3"}],
        [{"role": "user", "content": "Say é."}, {"role": "assistant", "content": "é\n"}],
    ]
    assert stats["rows_in"] == 3
    assert stats["dropped"] == {"convert.empty_output": 1}


def test_there_and_back(tmp_path):
    own = [{"id": str(i), "instruction": f"a{i}\u2028", "output": f'b"{i}\\'} for i in range(5)]
    input = written(tmp_path / "in.jsonl", own)
    convert(tmp_path, input, to="chat", wrap=True)
    assert convert(tmp_path, str(tmp_path / "1.jsonl"), to="instruction")[0] == own


def test_extra_members_are_kept_when_asked(tmp_path):
    input = written(tmp_path / "in.jsonl", ALPACA)
    assert [row.get("lang") for row in convert(tmp_path, input, to="instruction")[0]] == [None, None]
    assert [row.get("lang") for row in convert(tmp_path, input, to="instruction", keep_extra=True)[0]] == ["en", "fr"]
    chats, _ = convert(tmp_path, input, to="chat", keep_extra=True)
    assert [(row["lang"], len(row["messages"])) for row in chats] == [("en", 2), ("fr", 2)]


def test_wrapped_chats_load_for_training(tmp_path):
    input = written(tmp_path / "in.jsonl", ALPACA)
    convert(tmp_path, input, to="chat", wrap=True)
    data = datasets.load_dataset("json", data_files=str(tmp_path / "1.jsonl"), split="train", cache_dir=str(tmp_path / "cache"))
    assert data["messages"][1] == [{"role": "user", "content": "Say é."}, {"role": "assistant", "content": "é\n"}]


def test_signatures(tmp_path):
    page = {"id": "p", "url": "u", "text": "mean(data)\nReturn the arithmetic mean.\n\nmode(data)\nThe most common value.\n"}
    input = written(tmp_path / "in.jsonl", [page, {"id": "q", "text": "No functions here."}])
    rows, stats = convert(tmp_path, input, to="instruction", dialect="signatures", keep_extra=True)
    assert rows == [
        {
            "id": "p#1",
            "parent_id": "p",
            "instruction": "What does `mean(data)` do?",
            "output": "Return the arithmetic mean.",
            "url": "u",
        },
        {
            "id": "p#2",
            "parent_id": "p",
            "instruction": "What does `mode(data)` do?",
            "output": "The most common value.",
            "url": "u",
        },
    ]
    assert stats["dropped"] == {"signatures.no_documented_signature": 1}


def test_format_names_our_own_dialects():
    assert Convert(to="chat", format="instruction").source() == "alpaca"
    assert Convert(to="instruction", format="chat").source() == "messages"
    assert Convert(to="text", format="chat", dialect="sharegpt").source() == "sharegpt"
    assert Convert(to="text").source() == "auto"


def test_impossible_conversions_are_refused():
    with pytest.raises(UsageError, match=r"alpaca cannot become preference .* becomes text, instruction, chat"):
        Convert(to="preference", dialect="alpaca").stages()
    with pytest.raises(UsageError, match=r"text cannot become chat"):
        Convert(to="chat", format="text").stages()


def notes(tmp_path, row, **options):
    """What a run says before it begins."""
    return convert(tmp_path, written(tmp_path / "in.jsonl", [row]), **options)[1]["notes"]


def test_losses_are_said_before_the_run(tmp_path):
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert "who spoke is lost" in notes(tmp_path, chat, to="text")[0]
    assert notes(tmp_path, chat, to="text", template="chatml") == []
    assert notes(tmp_path, chat, to="sharegpt") == []
    pair = {"prompt": "p", "chosen": "b", "rejected": "c"}
    assert "the rejected one is lost" in notes(tmp_path, pair, to="alpaca")[0]
    assert notes(tmp_path, pair, to="trl_dpo") == []
    assert len(notes(tmp_path, chat, to="instruction", lose=("system", "earlier_turns"))) == 2


def test_choices_that_mean_nothing_are_refused():
    with pytest.raises(UsageError, match="a template is for --to text"):
        Convert(to="chat", template="chatml").stages()
    with pytest.raises(UsageError, match="lose is for --to instruction and preference"):
        Convert(to="chat", lose=("system",)).stages()


def test_layouts_keep_other_members_when_asked(tmp_path):
    input = written(tmp_path / "in.jsonl", ALPACA[:1])
    rows, _ = convert(tmp_path, input, to="trl_sft", keep_extra=True)
    chat = [{"role": "user", "content": "Add.\n\n1 2"}, {"role": "assistant", "content": "3"}]
    assert rows == [{"messages": chat, "lang": "en"}]
    rows, _ = convert(tmp_path, input, to="sharegpt")
    assert rows == [{"conversations": [{"from": "human", "value": "Add.\n\n1 2"}, {"from": "gpt", "value": "3"}]}]


def test_sections(tmp_path):
    page = {"id": "p", "text": "# Why?\n\nBecause it was so from the very first day on.\n"}
    rows, _ = convert(tmp_path, written(tmp_path / "in.jsonl", [page]), to="instruction", dialect="sections")
    assert rows == [{"id": "p", "instruction": "Why?", "output": "Because it was so from the very first day on."}]


def test_tools_stand_beside_the_rows_that_can_have_them(tmp_path):
    tools = [{"type": "function", "function": {"name": "f"}}]
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    input = written(tmp_path / "in.jsonl", [{"messages": chat, "tools": tools}])
    for to in ("trl_sft", "trl_prompt_completion", "trl_grpo", "openai"):
        assert convert(tmp_path, input, to=to)[0][0]["tools"] == tools, to
    ((row,), _) = convert(tmp_path, input, to="sharegpt")
    assert json.loads(row["tools"]) == tools
    again = written(tmp_path / "again.jsonl", [row])
    assert convert(tmp_path, again, to="chat")[0] == [{"id": "again.jsonl:1", "messages": chat, "tools": tools}]
    assert convert(tmp_path, input, to="alpaca")[1]["dropped"] == {"convert.more_than_text": 1}


def test_what_the_first_row_cannot_become_is_said(tmp_path):
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert notes(tmp_path, {"conversations": [{"from": "human", "value": "a"}]}, to="trl_dpo")[0].startswith(
        "the first row is read as sharegpt, which becomes text, instruction, chat,"
    )
    assert notes(tmp_path, chat, to="chat") == []
