"""Sessions beside one another: order, and how many are open."""

from __future__ import annotations

from curate.models.ask import Answer, Ask
from curate.synth.methods.chunks import chunks
from curate.synth.sessions import Desk, Gone, Item, Question, Session, together
from tests.synth.speaking import SPEAKER, Rule, item, run


def ask(text: str, model: int = 0) -> Question:
    return Question(model, Ask(model="tiny", messages=({"role": "user", "content": text},)))


def steps(one: Item) -> Session[list[str]]:
    """As many questions one after another as the text has characters, two at a time."""
    heard = []
    for i in range(len(one.text)):
        replies = yield [ask(f"{one.id}.{i}.{k}", k % 2) for k in range(2)]
        heard += [reply.text for reply in replies if isinstance(reply, Answer)]
    return heard


def test_results_come_in_the_order_of_the_items() -> None:
    items = [item("x" * (n * 7 % 5), n) for n in range(60)]
    expected = [[f"d{n}.{i}.{k}" for i in range(n * 7 % 5) for k in range(2)] for n in range(60)]
    for concurrency in (1, 3, 64):
        rules = [Rule(lambda asked: asked.messages[0]["content"], endpoint=f"rule:{k}") for k in range(2)]
        assert list(run(steps, items, *rules, concurrency=concurrency)) == expected


def test_items_are_taken_as_they_are_needed() -> None:
    taken = []

    def endless() -> object:
        for n in range(100_000):
            taken.append(n)
            yield item("x", n)

    found = run(steps, endless(), Rule(lambda asked: "a"), Rule(lambda asked: "b", endpoint="rule:2"), concurrency=4)  # type: ignore[arg-type]
    assert [next(found) for _ in range(20)] == [["a", "b"]] * 20
    assert len(taken) < 10_000


def test_nothing_to_do() -> None:
    assert list(run(steps, [], Rule(lambda asked: "a"))) == []
    assert list(run(steps, [item("")], Rule(lambda asked: "a"))) == [[]]


def test_together_keeps_each_session_to_its_own_answers() -> None:
    def part(text: str, count: int) -> Session[list[str]]:
        heard = []
        for i in range(count):
            (reply,) = yield [ask(f"{text}{i}")]
            assert isinstance(reply, Answer)
            heard.append(reply.text)
        return heard

    def whole(one: Item) -> Session[list[list[str]]]:
        return (yield from together([part("a", 3), part("b", 0), part("c", 1)]))

    (found,) = run(whole, [item("")], Rule(lambda asked: asked.messages[0]["content"]))
    assert found == [["a0", "a1", "a2"], [], ["c0"]]


def test_an_empty_answer_is_given_up() -> None:
    from curate.synth.prompts import Prompts

    desk = Desk(SPEAKER, Prompts("own", "", "own", {}))
    assert desk.usable(Answer(" \n")) == Gone("empty", "", " \n")
    assert desk.usable(Answer(" a \n")) == "a"


def test_chunks_lose_nothing() -> None:
    text = "One two three. Four five.\n\nSix seven eight nine ten eleven twelve.\n\n" + "word " * 50
    for words in (1, 3, 7, 20, 100):
        found = chunks(text, words)
        assert " ".join(" ".join(found).split()) == " ".join(text.split())
        assert all(len(passage.split()) <= words for passage in found)
    assert chunks(text, 7)[:2] == ["One two three. Four five.", "Six seven eight nine ten eleven twelve."]
    assert len(chunks("東京は日本の首都です。" * 100, 20)) > 1
    assert "".join(chunks("東京は日本の首都です。" * 100, 20)) == "東京は日本の首都です。" * 100
    assert chunks(" \n\n ", 5) == []
