"""Answers held to a schema: the states against json, and a model of random weights that cannot but answer as asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.models.ask import Answer, Ask
from curate.models.asker import Asker
from curate.models.local import LocalBackend
from curate.models.shaped import Shape, State, Vocabulary, rest, shape_of
from curate.synth.parse import score_schema, scores, verdict
from tests.asking.tiny_model import tiny_model


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Of torch: more only get in each other's way with so small a model."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


CRITERIA = ("help fulness", 'with "quotes"')
SCHEMA = score_schema(CRITERIA, -2, 10)
VERDICT: dict[str, Any] = {
    "type": "object",
    "properties": {"reason": {"type": "string"}, "better": {"enum": ["first", "firstly", "tie"]}},
    "required": ["reason", "better"],
}


def end(shape: Shape, text: str) -> State | None:
    return Vocabulary.follow(shape, State(), text.encode())


@given(
    reason=st.text(st.characters(exclude_categories=("C",)), max_size=12),
    values=st.tuples(st.integers(-3, 12), st.integers(-3, 12)),
)
def test_what_is_valid_is_allowed_and_nothing_else(reason: str, values: tuple[int, int]) -> None:
    shape = shape_of(SCHEMA)
    assert shape is not None
    text = json.dumps({"reason": reason, **dict(zip(CRITERIA, values, strict=True))}, ensure_ascii=False)
    valid = all(-2 <= value <= 10 for value in values)
    assert (end(shape, text) == State(len(shape))) == valid
    for cut in range(len(text)):
        place = end(shape, text[:cut])
        if valid:
            assert place is not None
            assert 0 < rest(shape, place) <= len(text[cut:].encode())
    assert end(shape, text + " ") is None


@pytest.mark.parametrize(
    "text", ['{"reason": "a\nb', '{"reason": "\\x', '{"reason": "\\u', '{"better', "[", '{"reason": "", "better": "second']
)
def test_what_is_not_allowed(text: str) -> None:
    shape = shape_of(VERDICT)
    assert shape is not None
    assert end(shape, text) is None
    assert end(shape, text[:-1]) is not None or len(text) > 3


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": []},
        {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}, "required": ["a"]},
    ],
)
def test_schemas_that_are_only_told(schema: dict[str, Any]) -> None:
    assert shape_of(schema) is None


def test_a_model_of_random_weights_answers_in_shape() -> None:
    asks = [
        Ask("", prompt="score", schema=schema, max_tokens=most, sample=sample, temperature=1.5)
        for sample in range(2)
        for schema, most in ((SCHEMA, 70), (SCHEMA, 80), (VERDICT, 50))
    ]
    free = Ask("", prompt="score", max_tokens=10, may_be_cut=True)
    with Asker(LocalBackend(tiny_model(), rows=8, device="cpu")) as asker:
        found = dict(asker.answers([*asks, free]))
        (alone,) = dict(asker.answers([free])).values()
    read = []
    for number, ask in enumerate(asks):
        answer = found[number]
        assert isinstance(answer, Answer), answer
        if ask.schema is VERDICT:
            assert json.loads(answer.text)["better"] in ("first", "firstly", "tie")
        else:
            read.append(tuple(scores(answer.text, CRITERIA, -2, 10).values()))
    assert len(set(read)) > 1
    # Rows without a schema are as they were.
    assert found[len(asks)] == alone


def test_a_judge_reads_what_is_held() -> None:
    from curate.synth.methods.judge import _VERDICT

    ask = Ask("", prompt="which", schema=_VERDICT, max_tokens=60)
    with Asker(LocalBackend(tiny_model(), device="cpu")) as asker:
        ((_, answer),) = asker.answers([ask])
    assert isinstance(answer, Answer)
    assert verdict(answer.text) in ("first", "second", "tie")
