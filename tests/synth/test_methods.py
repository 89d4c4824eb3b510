"""Each method on a model that answers by rule: what is asked, what is made, what is given up."""

from __future__ import annotations

import json
from typing import Any

import pytest

from curate.models.ask import Ask, Failed
from curate.synth.methods import back_translation, best_of, chat, critique, evol, judge, magpie, persona, qa
from curate.synth.sessions import Gone, Made, Speaker
from tests.synth.speaking import SPEAKER, Rule, item, lines, prompts, said

SEED = {"instruction": "Name three rivers of Europe.", "output": "Rhine, Rhone, Danube."}
PASSAGE = "The Rhine rises in the Alps. It flows through Basel and ends in the North Sea near Rotterdam."


def rule(**replies: str | Failed) -> Rule:
    """Replies by words that the request holds, the first that fits; else `ok`."""
    return Rule(lambda ask: next((reply for key, reply in replies.items() if key.replace("_", " ") in said(ask)), "ok"))


def evolve(reply: str, equal: str = "no", answer: str = "Take the one that has locks.") -> list[Made | Gone]:
    method = evol.Evol(SPEAKER, prompts("evol", evol.BLOCKS), generations=2, operations=("deepen",))
    model = rule(goes_deeper=reply, same_thing=equal, Which=answer)
    return lines(method, item("x", instruction=SEED["instruction"]), model)


def test_evol_goes_on_from_what_it_made() -> None:
    one, two = evolve("Which three rivers of Europe can ships use, and why?")
    assert isinstance(one, Made)
    assert isinstance(two, Made)
    assert one.columns["output"] == "Take the one that has locks."
    assert one.columns["operation"] == "deepen"
    assert (one.generation, two.generation) == (1, 2)
    assert one.parents == ("d0",)
    assert len(one.requests) == 3


@pytest.mark.parametrize(
    ("reply", "equal", "answer", "reason"),
    [
        ("Which rivers?", "yes", "A.", "no_information"),
        ("Which rivers?", "perhaps", "A.", "not_parsed"),
        ("Which rivers?", "No.", "I am sorry, I do not know.", "apology"),
        ("Which rivers?", "no", "It is the, and of.", "only_stop_words"),
        ("Which rivers? #Rewritten Prompt#: x", "no", "A.", "copied_prompt"),
        ("Which of the given prompt?", "no", "A.", "copied_prompt"),
    ],
)
def test_evol_eliminates(reply: str, equal: str, answer: str, reason: str) -> None:
    for line in evolve(reply, equal, answer):
        assert isinstance(line, Gone)
        assert line.reason == reason


def test_a_long_answer_may_say_sorry() -> None:
    assert all(isinstance(line, Made) for line in evolve("Which rivers?", "no", "sorry " + "much longer " * 40))


def test_magpie_asks_raw() -> None:
    model = Rule(lambda ask: "Sure!" if "assistant\n" in said(ask) else f"Tell me about rivers, {ask.sample}\n")
    method = magpie.Magpie(SPEAKER, prompts("magpie", magpie.BLOCKS), count=2, stop=("<|im_end|>",))
    found = lines(method, item("You know rivers."), model)
    assert [line.columns["instruction"] for line in found if isinstance(line, Made)] == [
        "Tell me about rivers, 0",
        "Tell me about rivers, 1",
    ]
    first = next(ask for ask in model.asked if ask.sample == 1)
    assert first.prompt == "<|im_start|>system\nYou know rivers.<|im_end|>\n<|im_start|>user\n"
    assert first.stop == ("<|im_end|>",)
    assert any((ask.prompt or "").endswith("rivers, 0<|im_end|>\n<|im_start|>assistant\n") for ask in model.asked)


PAIRS = "Q: Where does the Rhine rise?\nA: In the Alps.\nFROM: rises in the Alps\nQ: Where does it end?\nA: In a sea.\nFROM: {}"


def ask_passage(reply: str, **options: Any) -> list[Made | Gone]:
    method = qa.QA(SPEAKER, prompts("qa", qa.BLOCKS), **{"count": 2, **options})
    return lines(method, item(PASSAGE), Rule(lambda ask: reply if "Read the passage" in said(ask) else "Q"))


def test_qa_rests_on_the_passage() -> None:
    one, two = ask_passage(PAIRS.format('"ends in the  North Sea"'))
    assert isinstance(one, Made)
    assert isinstance(two, Made)
    assert one.columns == {
        "instruction": "Where does the Rhine rise?",
        "output": "In the Alps.",
        "quotes": ["rises in the Alps"],
    }
    one, two = ask_passage(PAIRS.format("ends in the Black Sea"))
    assert isinstance(one, Made)
    assert isinstance(two, Gone)
    assert (two.reason, two.value) == ("not_grounded", "ends in the Black Sea")


def test_a_word_is_not_grounded_in_a_longer_one() -> None:
    assert [type(line) for line in ask_passage(PAIRS.format("orth Sea"))] == [Made, Gone]


def test_qa_with_its_passage() -> None:
    one, _ = ask_passage(PAIRS.format("ends"), context=True)
    assert isinstance(one, Made)
    assert one.columns["instruction"] == f"{PASSAGE}\n\nWhere does the Rhine rise?"


def test_qa_in_turns() -> None:
    (made,) = ask_passage(PAIRS.format("ends"), turns=2)
    assert isinstance(made, Made)
    assert [message["role"] for message in made.columns["messages"]] == ["user", "assistant"] * 2
    (gone,) = ask_passage(PAIRS.format("ended"), turns=2)
    assert isinstance(gone, Gone)
    assert gone.reason == "not_grounded"


@pytest.mark.parametrize(("says", "reason"), [("no", None), ("yes", "answerable"), ("It is.", "not_parsed")])
def test_questions_without_an_answer(says: str, reason: str | None) -> None:
    method = qa.QA(SPEAKER, prompts("qa", qa.BLOCKS), count=2, unanswerable=1.0)
    model = rule(Can_the_question=says, Write_2_questions=PAIRS.format("ends"), Write_one_question="How long is it?")
    line = lines(method, item(PASSAGE), model)[2]
    assert (line.reason if isinstance(line, Gone) else None) == reason
    if isinstance(line, Made):
        assert line.columns["instruction"] == "How long is it?"
        assert line.columns["output"].startswith("I do not know")


def test_an_answer_that_cannot_be_read_goes_back_once() -> None:
    replies = iter(["Here you go:\nQ: a", PAIRS.format("ends")])
    model = Rule(lambda ask: next(replies))
    method = qa.QA(SPEAKER, prompts("qa", qa.BLOCKS), count=2)
    assert [type(line) for line in lines(method, item(PASSAGE), model)] == [Made, Made]
    assert len(model.asked) == 2
    assert "it begins with 'Here you go:'" in said(model.asked[1])
    assert model.asked[1].messages[-2]["content"] == "Here you go:\nQ: a"


def test_without_corrections_it_is_given_up_as_it_came() -> None:
    method = qa.QA(Speaker(0, "tiny", "rule:1", corrections=0), prompts("qa", qa.BLOCKS), count=2)
    (gone,) = lines(method, item(PASSAGE), Rule(lambda ask: "Q: only this"))
    assert gone == Gone("not_parsed", "it has Q, not 2 times Q: A: FROM:", "Q: only this")


def test_persona() -> None:
    method = persona.Persona(SPEAKER, prompts("persona", persona.BLOCKS), count=1)
    (made,) = lines(method, item(PASSAGE), rule(Who_is="A skipper", Think_of="Where can I moor?", Where="At Basel."))
    assert isinstance(made, Made)
    assert made.columns == {"instruction": "Where can I moor?", "output": "At Basel.", "persona": "A skipper"}


def test_back_translation_answers_with_the_text() -> None:
    method = back_translation.BackTranslation(SPEAKER, prompts("back-translation", back_translation.BLOCKS))
    (made,) = lines(method, item(PASSAGE), rule(Write_that="Describe the Rhine."))
    assert isinstance(made, Made)
    assert made.columns == {"instruction": "Describe the Rhine.", "output": PASSAGE}
    (made,) = lines(method, item("both", **SEED), rule(Write_that="Name rivers."))
    assert isinstance(made, Made)
    assert made.columns == {"instruction": "Name rivers.", "output": SEED["output"]}


def test_chat_of_two_roles() -> None:
    def says(ask: Ask) -> str:
        user = ask.messages[0]["content"].startswith("You play")
        return f"question {len(ask.messages) // 2}" if user else f"answer {len(ask.messages) // 2 + 1}"

    (made,) = lines(chat.Chat(SPEAKER, prompts("chat", chat.BLOCKS), turns=2), item("rivers"), Rule(says))
    assert isinstance(made, Made)
    assert [message["content"] for message in made.columns["messages"]] == ["question 1", "answer 1", "question 2", "answer 2"]


def test_best_of_several_models() -> None:
    first, second = Rule(lambda ask: f"{ask.temperature}.{ask.sample}"), Rule(lambda ask: "same", endpoint="rule:2")
    speakers = [SPEAKER, Speaker(1, "other", "rule:2")]
    method = best_of.BestOf(speakers, prompts("best-of", best_of.BLOCKS), count=2, temperatures=(0.5, 1.0))
    (made,) = lines(method, item("both", **SEED), first, second)
    assert isinstance(made, Made)
    assert made.columns["responses"] == ["0.5.0", "0.5.1", "1.0.0", "1.0.1", "same"]
    cold, warm = "tiny, temperature 0.5", "tiny, temperature 1"
    assert made.columns["models"] == [cold, cold, warm, warm, "other, temperature 0.5"], "the first that said it"
    assert said(first.asked[0]) == SEED["instruction"]


def test_best_of_needs_two() -> None:
    method = best_of.BestOf([SPEAKER], prompts("best-of", best_of.BLOCKS), count=2)
    (gone,) = lines(method, item("q"), Rule(lambda ask: "same"))
    assert gone == Gone("one_answer", "q", "same")
    found = lines(method, item("q"), Rule(lambda ask: Failed("filtered", "no") if ask.sample else "a"))
    assert [line.reason for line in found if isinstance(line, Gone)] == ["filtered", "one_answer"]
    messages = json.dumps([{"role": "assistant", "content": "hello"}])
    (gone,) = lines(method, item("hello", messages=messages), Rule(lambda ask: "a"))
    assert isinstance(gone, Gone)
    assert gone.reason == "unsuitable"


def test_critique_revises_under_principles() -> None:
    principles = critique.read_principles(None)
    assert list(principles) == ["helpful", "honest", "harmless"]
    method = critique.Critique(SPEAKER, prompts("critique", critique.BLOCKS), principles, rounds=3)
    model = rule(Write_the_answer="Rhine, Rhone, Elbe.", Judge_the_answer="One is short.")
    (made,) = lines(method, item("both", **SEED), model)
    assert isinstance(made, Made)
    assert made.columns["chosen"] == "Rhine, Rhone, Elbe."
    assert made.columns["rejected"] == SEED["output"]
    assert sorted(made.columns["principles"]) == sorted(principles)
    (gone,) = lines(method, item("both", **SEED), rule(Write_the_answer=" Rhine,  Rhone, Danube."))
    assert isinstance(gone, Gone)
    assert gone.reason == "unchanged"


def judged(says: Any, answers: list[str], **options: Any) -> list[Made | Gone]:
    method = judge.Judge(SPEAKER, prompts("judge", judge.BLOCKS), criteria=("clear", "right"), **options)
    return lines(method, item("q", instruction="q", responses=json.dumps(answers)), Rule(says))


def rubric(ask: Ask) -> str:
    score = len(said(ask).split("-----")[3].strip())
    return json.dumps({"reason": "long", "clear": score, "right": score})


def test_scores_by_rubric() -> None:
    (made,) = judged(rubric, ["aa", "aaaa", "aaa"])
    assert isinstance(made, Made)
    assert made.columns["output"] == "aaaa"
    assert (made.columns["responses"], made.columns["scores"]) == (["aa", "aaaa", "aaa"], [2, 4, 3])


def test_pairs_by_rubric_have_a_margin() -> None:
    found = judged(rubric, ["aa", "aaaa", "aaa", "bbb"], to="pairs", min_margin=2)
    made = [line.columns for line in found if isinstance(line, Made)]
    assert [(row["chosen"], row["rejected"], row["margin"]) for row in made] == [("aaaa", "aa", 2)]
    reasons = sorted(line.reason for line in found if isinstance(line, Gone))
    assert reasons == ["small_margin"] * 4 + ["tie"]


@pytest.mark.parametrize("score", ['"7"', "11", "0", "7.5", "true", "null"])
def test_what_is_no_score_is_none(score: str) -> None:
    found = judged(lambda ask: f'{{"reason": "", "clear": 5, "right": {score}}}', ["a", "b"])
    assert [line.reason for line in found if isinstance(line, Gone)] == ["not_parsed"] * 2


def test_a_judge_that_prefers_a_place_ties() -> None:
    (made,) = judged(lambda ask: '{"reason": "", "better": "first"}', ["a", "b"], by="pairwise")
    assert isinstance(made, Made)
    assert made.columns["scores"] == [0.5, 0.5]
    (gone,) = judged(lambda ask: '{"reason": "", "better": "first"}', ["a", "b"], by="pairwise", to="pairs")
    assert isinstance(gone, Gone)
    assert gone.reason == "tie"


def test_a_judge_that_prefers_an_answer_decides() -> None:
    def longer(ask: Ask) -> str:
        _, first, _, second, _ = said(ask).split("-----")[2:]
        return json.dumps({"reason": "", "better": "first" if len(first) > len(second) else "second"})

    (made,) = judged(longer, ["a", "bb"], by="pairwise", to="pairs")
    assert isinstance(made, Made)
    assert (made.columns["chosen"], made.columns["margin"]) == ("bb", 1.0)


def test_a_preference_is_judged_anew() -> None:
    method = judge.Judge(SPEAKER, prompts("judge", judge.BLOCKS), criteria=("clear", "right"), to="pairs")
    (made,) = lines(method, item("x", instruction="q", chosen="a", rejected="bbb"), Rule(rubric))
    assert isinstance(made, Made)
    assert made.columns["chosen"] == "bbb"
