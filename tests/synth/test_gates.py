"""Every gate on both sides of its limit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curate.models.ask import Ask
from curate.synth.gates import Gates, Guard, only_new
from curate.synth.methods import judge
from curate.synth.novelty import Novelty
from curate.synth.prompts import Prompts
from curate.synth.sessions import Gone, Item, Made, Session
from tests.synth.speaking import SPEAKER, Rule, item, lines, prompts, said

TOLD = "Rewrite the text below so that every child of seven can read it aloud"
PROMPTS = Prompts("own", "{% block say %}" + TOLD + ": {{ text }}{% endblock %}", "own.jinja", {"say": ("text",)})


def reason(gates: Gates, source: str = "", **columns: Any) -> str | None:
    result = gates.check(Made(columns), source)
    if isinstance(result, Gone):
        assert json.loads(result.left) == columns
        assert result.value
        return result.reason
    return None


def row(instruction: str = "Name a river.", output: str = "The Rhine.") -> dict[str, Any]:
    return {"instruction": instruction, "output": output}


def test_length_of_what_is_asked() -> None:
    gates = Gates(PROMPTS, min_words=3, max_words=5)
    asked = {n: reason(gates, **row(" ".join(["word"] * n))) for n in range(2, 7)}
    assert asked == {2: "short_question", 3: None, 4: None, 5: None, 6: "long_question"}


def test_echo() -> None:
    gates = Gates(PROMPTS)
    assert reason(gates, **row("Name a  river.", "name A river.\n")) == "echo"
    assert reason(gates, **row("Name a river.", "name a river: the Rhine")) is None
    chat = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "Hello"}]
    assert reason(gates, messages=chat) == "echo"


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but as an AI I cannot do that",
        "As an AI language model, I have no opinions.",
        "Sorry, I am not able to answer.",
        "I cannot assist with that request.",
        "Es tut mir leid, das kann ich nicht.",
        "申し訳ありませんが、お答えできません。",
        "抱歉，我无法回答这个问题。",
    ],
)
def test_refusals(text: str) -> None:
    assert reason(Gates(PROMPTS), **row(output=text)) == "refusal"
    assert reason(Gates(PROMPTS, refusals=False), **row(output=text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "Sorry is a word of Old English.",
        'He said: "I cannot help with that."',
        "I'm sorry to hear that! Take an umbrella.",
        "As an aid to memory, write it down.",
        "I can't believe how well that went.",
    ],
)
def test_no_refusals(text: str) -> None:
    assert reason(Gates(PROMPTS), **row(output=text)) is None


def test_a_rejected_answer_may_refuse() -> None:
    columns = {"instruction": "q", "chosen": "I cannot help with that.", "rejected": "x"}
    assert reason(Gates(PROMPTS), **columns) is None


def test_leaked_prompts() -> None:
    gates = Gates(PROMPTS)
    words = TOLD.split()
    assert reason(gates, **row(output=f"Well: {' '.join(words[:8]).upper()}!")) == "leaked_prompt"
    assert reason(gates, **row(output=" ".join(words[:7]))) is None
    assert reason(gates, source=TOLD, **row(output=TOLD)) is None


def test_contamination(tmp_path: Path) -> None:
    question = "A train leaves the station at nine and runs at eighty miles an hour to the coast"
    (tmp_path / "bench.jsonl").write_text(json.dumps({"question": question, "answer": "7"}) + "\n")
    gates = Gates(PROMPTS, benchmarks=(str(tmp_path / "bench.jsonl"),), benchmark_words=13)
    words = question.split()
    assert reason(gates, **row("Solve: " + " ".join(words[:13]))) == "contaminated"
    assert reason(gates, **row("Solve: " + " ".join(words[:12]))) is None


def test_novelty_holds_rows_against_those_before() -> None:
    ten = [f"w{i}" for i in range(10)]
    made = [Made(row(" ".join(words))) for words in (ten, [*ten[:7], "x", "y", "z"], [*ten[:8], "x", "y"])]
    results: list[tuple[Item, list[Made | Gone]]] = [(item("a"), [line]) for line in made]
    fate = [line.reason if isinstance(line, Gone) else None for _, found in only_new(results, Novelty(0.7)) for line in found]
    # 7 of 10 are an F of 0.7, which is not above it; 8 of 10 are.
    assert fate == [None, None, "not_new"]


@pytest.mark.parametrize(("floor", "fate"), [(7.0, None), (7.5, "judge_floor")])
def test_judge_floor(floor: float, fate: str | None) -> None:
    guard = Guard(Gates(PROMPTS), SPEAKER, prompts("judge", judge.BLOCKS), floor, ("a", "b"))

    def method(one: Item) -> Session[list[Made | Gone]]:
        yield from ()
        return [Made(row()), Made(row(output="I cannot help with that.")), Gone("cut")]

    model = Rule(lambda ask: '{"reason": "so", "a": 6, "b": 8}')
    found = lines(guard.after(method), item("a"), model)
    assert [line.reason if isinstance(line, Gone) else None for line in found] == [fate, "refusal", "cut"]
    assert len(model.asked) == 1, "a row that is out already is not judged"


def test_a_judgement_that_cannot_be_read_is_no_score() -> None:
    guard = Guard(Gates(PROMPTS), SPEAKER, prompts("judge", judge.BLOCKS), 1.0, ("a",))

    def method(one: Item) -> Session[list[Made | Gone]]:
        yield from ()
        return [Made(row())]

    def says(ask: Ask) -> str:
        assert "Score the answer" in said(ask) or "could not be read" in said(ask)
        return "10/10"

    (gone,) = lines(guard.after(method), item("a"), Rule(says))
    assert isinstance(gone, Gone)
    assert (gone.reason, gone.left) == ("not_parsed", "10/10")
