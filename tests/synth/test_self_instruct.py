"""Self-Instruct: the published filters, what a prompt shows, and that nothing depends on which answer comes first."""

from __future__ import annotations

import pytest

from curate.models.ask import Ask
from curate.models.asker import Asker
from curate.synth.gates import Gates, Guard
from curate.synth.methods import self_instruct
from curate.synth.methods.self_instruct import SelfInstruct, published_filter
from curate.synth.novelty import Novelty
from curate.synth.sessions import Gone, Item, Made
from tests.synth.server import sentence
from tests.synth.speaking import SPEAKER, Rule, item, prompts, said


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Name a river", "3 words"),
        ("Name a big river", None),
        ("word " * 150, None),
        ("word " * 151, "151 words"),
        ("Describe the picture of a dog", "picture"),
        ("Draw me a small house", "Draw"),
        ("Describe imagery in this poem", None),
        ("Explain how profiles are compared", None),
        ("Write a program that sorts names", "Write a program"),
        ("Write an essay on programs", None),
        ("- list four big rivers", "-"),
        ("東京の天気を教えてください。", None),
        ("天気は？", "2 words"),
        ("Überlege dir vier lange Flüsse", None),
    ],
)
def test_published_filters(text: str, why: str | None) -> None:
    assert published_filter(text) == why


def says(ask: Ask) -> str:
    told = said(ask)
    if "Continue it" not in told:
        return f"It is {len(told)} long."
    return "\n".join(f"{9 + i}. {sentence(told, i)}" for i in range(4))


SEEDS = [item(f"Tell me about the number {i} in {i} words", i) for i in range(12)]


def run(
    rule: Rule, concurrency: int = 8, seeds: list[Item] = SEEDS, count: int = 40, instances: int = 0
) -> list[tuple[Item, list[Made | Gone]]]:
    told = prompts("self-instruct", self_instruct.BLOCKS)
    guard = Guard(Gates(told))
    method = SelfInstruct(SPEAKER, told, count, 4, 4, 7, Novelty(0.7), guard.line, instances)
    with Asker(rule, concurrency=concurrency) as asker:
        return list(method.run(seeds, [asker.answers], lambda rows, rounds: None))


def test_the_same_rows_for_any_concurrency() -> None:
    one, many = run(Rule(says), 1), run(Rule(says), 32)
    assert one == many
    made = [line for _, found in one for line in found if isinstance(line, Made)]
    assert len(made) == 40
    assert all(len(line.requests) == 2 for line in made)
    assert {line.generation for line in made} > {1, 2}


def test_a_prompt_shows_six_seeds_and_two_of_its_own() -> None:
    rule = Rule(says)
    made = [line for _, found in run(rule) for line in found if isinstance(line, Made)]
    own = {line.columns["instruction"] for line in made}
    shown = [[line.split(". ", 1)[1] for line in said(ask).splitlines() if line[:1].isdigit()] for ask in rule.asked]
    rounds = [tasks for ask, tasks in zip(rule.asked, shown, strict=True) if "Continue it" in said(ask)]
    assert all(len(tasks) == len(set(tasks)) == 8 for tasks in rounds)
    assert [sum(task in own for task in tasks) for tasks in rounds[:4]] == [0] * 4
    assert [sum(task in own for task in tasks) for tasks in rounds[4:]] == [2] * (len(rounds) - 4)
    for line in made:
        assert line.parents
        assert set(line.parents) <= {seed.id for seed in SEEDS}


def test_what_is_not_new_goes() -> None:
    repeats = Rule(lambda ask: f"9. {SEEDS[3].text}\n10. Tell me about the sea now" if "Continue it" in said(ask) else "ok")
    found = [line for _, lines in run(repeats) for line in lines]
    made = [line for line in found if isinstance(line, Made)]
    assert [line.columns["instruction"] for line in made] == ["Tell me about the sea now"]
    gone = [line for line in found if isinstance(line, Gone)]
    assert {line.reason for line in gone} == {"not_new"}
    assert gone[0].value == f"1.000: {SEEDS[3].text}"
    # One round brought something, five in a row nothing.
    assert sum("Continue it" in said(ask) for ask in repeats.asked) == 4 * 6


def test_an_answer_that_ends_with_a_colon_goes() -> None:
    rule = Rule(lambda ask: says(ask) if "Continue it" in said(ask) else "As follows:")
    found = [line for _, lines in run(rule) for line in lines]
    assert all(isinstance(line, Gone) for line in found)
    assert {line.value for line in found if isinstance(line, Gone) and line.left == "As follows:"} == {"ends with a colon"}


def test_few_seeds() -> None:
    found = [line for _, lines in run(Rule(says), seeds=SEEDS[:1], count=3) for line in lines]
    assert sum(isinstance(line, Made) for line in found) in (0, 3)


def staged(instances: str) -> Rule:
    """A model whose tasks with an even number are of classification, and that says these instances."""

    def says_so(ask: Ask) -> str:
        told = said(ask)
        if "Continue it" in told:
            assert "leave out any input" in told
            return "\n".join(f"{9 + i}. {sentence(told, i)}" for i in range(4))
        if "one of classification" in told:
            return "yes" if int(told.rstrip(".").split()[-1]) % 2 == 0 else "No."
        if "then an input that has this label" in told:
            return "Output: good\nInput: a fine day\nOutput: bad\nInput: rain"
        return instances

    return Rule(says_so)


def test_instances_of_classification_have_the_output_first() -> None:
    rule = staged("Input: a b\nOutput: b a\nInput: None.\nOutput: c")
    found = [line for _, lines in run(rule, instances=2) for line in lines]
    made = [line for line in found if isinstance(line, Made)]
    assert len(made) == 40
    kinds = {True: set(), False: set()}  # type: dict[bool, set[tuple[str, str]]]
    for line in made:
        instruction, _, given = line.columns["instruction"].partition("\n\n")
        kinds[int(instruction.rstrip(".").split()[-1]) % 2 == 0].add((given, line.columns["output"]))
        assert len(line.requests) == 3
    assert kinds == {True: {("a fine day", "good"), ("rain", "bad")}, False: {("a b", "b a"), ("", "c")}}
    # What later prompts show are tasks, without their inputs.
    assert not any("a fine day" in said(ask) for ask in rule.asked)
    assert run(staged("Input: a b\nOutput: b a\nInput: None.\nOutput: c"), 1, instances=2) == run(rule, 32, instances=2)


@pytest.mark.parametrize(
    ("instances", "why"),
    [
        ("Input: a\nOutput: a\nInput: b\nOutput: b", "repeats its input"),
        ("Input: a\nOutput: so:\nInput: b:\nOutput: b", "ends with a colon"),
        ("Input: a\nOutput: b\nInput: a\nOutput: c", "two outputs to one input"),
    ],
)
def test_published_filters_of_instances(instances: str, why: str) -> None:
    found = [line for _, lines in run(staged(instances), instances=2) for line in lines]
    gone = [line for line in found if isinstance(line, Gone) and line.reason != "not_new"]
    assert {(line.reason, line.value) for line in gone} == {("published_filter", why)}
    outputs = {line.columns["output"] for line in found if isinstance(line, Made)}
    assert outputs <= {"good", "bad"}


def test_instances_that_cannot_be_read() -> None:
    found = [line for _, lines in run(staged("Input: a\nOutput:\n"), instances=2) for line in lines]
    assert {line.reason for line in found if isinstance(line, Gone)} - {"not_new"} == {"not_parsed"}
