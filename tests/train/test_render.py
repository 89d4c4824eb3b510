from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import TEMPLATE, write_tokenizer
from train.errors import DataError
from train.model import load_tokenizer
from train.render import IGNORE, Renderer
from train.rows import Row

CHAT = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "what does the cat say"},
    {"role": "assistant", "content": "the cat says meow"},
    {"role": "user", "content": "and the dog"},
    {"role": "assistant", "content": "woof, naïve 日本 dog"},
]


def renderer(tokenizer: Any, format: str, **options: Any) -> Renderer:
    return Renderer(tokenizer, format, **{"max_length": 256, "too_long": "drop", **options})


def spans(tokenizer: Any, rendered: Any) -> list[str]:
    """The runs of trained tokens as text."""
    out: list[list[int]] = []
    for i, label in enumerate(rendered.labels):
        if label != IGNORE:
            assert label == rendered.ids[i]
            if i == 0 or rendered.labels[i - 1] == IGNORE:
                out.append([])
            out[-1].append(label)
    return [tokenizer.decode(ids) for ids in out]


def test_chat_trains_on_the_answers_and_the_end_of_their_turns(tokenizer: Any) -> None:
    some = renderer(tokenizer, "chat")
    rendered = some.render(Row("f:1", {"messages": CHAT}))
    assert spans(tokenizer, rendered) == ["the cat says meow<|end|>", "woof, naïve 日本 dog<|end|>"]
    assert tokenizer.decode(rendered.ids).startswith(
        "<|system|>be kind<|end|><|user|>what does the cat say<|end|><|assistant|>"
    )
    assert some.stop_ids == sorted(tokenizer.convert_tokens_to_ids(["<|end|>", "<|eos|>"]))
    assert some.marked(rendered).count("⟦") == 2
    assert "⟦the cat says meow<|end|>⟧" in some.marked(rendered)


def test_instructions_go_through_the_template(tokenizer: Any) -> None:
    some = renderer(tokenizer, "instruction")
    row = Row("f:1", {"instruction": "what does the cat say", "output": "meow"})
    rendered = some.render(row)
    assert spans(tokenizer, rendered) == ["meow<|end|>"]
    asked = some.prompt("what does the cat say")
    assert rendered.ids[: len(asked)] == asked
    assert set(rendered.labels[: len(asked)]) == {IGNORE}
    assert some.prefix_stable(row)


def test_without_a_template_an_instruction_is_followed_by_a_blank_line(tmp_path: Path) -> None:
    tokenizer = write_tokenizer(tmp_path, template=None)
    some = renderer(tokenizer, "instruction")
    rendered = some.render(Row("f:1", {"instruction": "what does the cat say", "output": "meow"}))
    assert spans(tokenizer, rendered) == ["meow<|eos|>"]
    assert tokenizer.decode(rendered.ids) == "what does the cat say\n\nmeow<|eos|>"
    assert rendered.ids[: len(some.prompt("what does the cat say"))] == some.prompt("what does the cat say")
    assert some.stop_ids == [tokenizer.eos_token_id]


def test_text_trains_on_everything_and_the_end(tokenizer: Any) -> None:
    rendered = renderer(tokenizer, "text").render(Row("f:1", {"text": "the cat"}))
    assert rendered.labels == rendered.ids
    assert tokenizer.decode(rendered.ids) == "the cat<|eos|>"
    assert rendered.trained == len(rendered.ids) - 1


def test_long_rows_are_dropped_cut_or_an_error(tokenizer: Any) -> None:
    row = Row("f:1", {"instruction": "what does the cat say", "output": "meow " * 20})
    whole = renderer(tokenizer, "instruction").render(row)
    asked = len(renderer(tokenizer, "instruction").prompt("what does the cat say"))
    assert renderer(tokenizer, "instruction", max_length=asked + 5).render(row).dropped == "too_long"
    cut = renderer(tokenizer, "instruction", max_length=asked + 5, too_long="cut").render(row)
    assert cut.cut
    assert cut.ids == whole.ids[: asked + 5]
    assert cut.trained == 5
    assert renderer(tokenizer, "instruction", max_length=asked, too_long="cut").render(row).dropped == "nothing_trained"
    with pytest.raises(DataError, match=r"f:1: has \d+ tokens, max_length is 8"):
        renderer(tokenizer, "instruction", max_length=8, too_long="error").render(row)


def test_text_that_spells_a_special_token_is_dropped(tokenizer: Any) -> None:
    row = Row("f:1", {"instruction": "say <|end|><|assistant|>", "output": "no"})
    assert renderer(tokenizer, "instruction").render(row).dropped == "special_token"


@pytest.mark.parametrize(
    ("format", "value", "message"),
    [
        ("chat", {"messages": []}, "f:1: messages is no array"),
        ("chat", {"messages": [{"role": "user"}]}, r"f:1: messages\.0: a message has a role and a content"),
        ("instruction", {"instruction": "a", "output": 3}, "f:1: output must be a string, not int"),
        ("text", {"text": ["a"]}, "f:1: text must be a string, not list"),
    ],
)
def test_rows_of_the_wrong_shape_are_named(tokenizer: Any, format: str, value: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        renderer(tokenizer, format).render(Row("f:1", value))


def test_a_row_without_an_answer_has_nothing_to_train_on(tokenizer: Any) -> None:
    rendered = renderer(tokenizer, "chat").render(Row("f:1", {"messages": CHAT[:2]}))
    assert rendered.dropped == "nothing_trained"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "chat rows need a chat template"),
        (TEMPLATE.replace("{% generation %}", "").replace("{% endgeneration %}", ""), "marks no assistant text"),
        (
            TEMPLATE.replace("<|end|>{% endgeneration %}", "{% endgeneration %}<|end|>"),
            "leaves the end of the assistant's turn",
        ),
    ],
)
def test_templates_that_teach_nothing_or_no_end_are_refused(tmp_path: Path, template: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        renderer(write_tokenizer(tmp_path, template=template), "chat")


def test_a_template_that_asks_differently_is_noticed(tmp_path: Path) -> None:
    template = TEMPLATE.replace(
        "{% if add_generation_prompt %}<|assistant|>", "{% if add_generation_prompt %}<|assistant|>now: "
    )
    some = renderer(write_tokenizer(tmp_path, template=template), "chat")
    assert not some.prefix_stable(Row("f:1", {"messages": CHAT}))


def test_two_start_tokens_are_refused(tmp_path: Path) -> None:
    template = "<|system|><|system|>" + TEMPLATE
    tokenizer = write_tokenizer(tmp_path, template=template, bos_token="<|system|>")
    with pytest.raises(DataError, match=r"f:1: renders with 2 <\|system\|> tokens"):
        renderer(tokenizer, "chat").render(Row("f:1", {"messages": CHAT[1:]}))


def test_padding_with_the_end_token_is_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, pad_token="<|eos|>")
    with pytest.raises(DataError, match="pad_token and eos_token are the same"):
        load_tokenizer(tmp_path)
    with pytest.raises(DataError, match="holds no tokenizer"):
        load_tokenizer(tmp_path / "none")
