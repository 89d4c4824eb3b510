from __future__ import annotations

import pytest

from curate.errors import InputError
from curate.io.chat_template import chatml, check, check_tokens

SPECIALS = ["<|endoftext|>", "<|pad|>", "<|you|>", "<|bot|>"]
MARKS = ("{% generation %}", "{% endgeneration %}")
GOOD = (
    "{% for m in messages %}{% if m.role == 'assistant' %}<|bot|>"
    "{% generation %}{{ m.content | trim }}{{ eos_token }}{% endgeneration %}"
    "{% else %}<|you|>{{ m.content | trim }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
)


BARE = GOOD.replace(MARKS[0], "").replace(MARKS[1], "")
"""Marks nothing."""


def test_chatml_and_a_good_template_pass() -> None:
    check(chatml(), "x", [*SPECIALS, "<|im_start|>", "<|im_end|>"])
    check(chatml(("user", "assistant")), "x", [*SPECIALS, "<|im_start|>", "<|im_end|>"])
    check(GOOD, "x", SPECIALS)


def test_what_transformers_templates_may_use_can_be_used() -> None:
    check(
        "{% for m in messages %}{% if false %}{% break %}{% endif %}{% endfor %}{{ strftime_now('%d') }}" + GOOD, "x", SPECIALS
    )
    check("{% if tools %}{{ tools | tojson }}{% endif %}" + GOOD, "x", SPECIALS)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}\n{{ m.content }\n{% endfor %}", r"mine\.jinja:2: not a chat template"),
        ("{{ raise_exception('no such chat') }}", "no such chat"),
        ("{{ messages[0].content + 1 }}", "not a chat template"),
        (BARE, "marks nothing for training"),
        (GOOD.replace("{{ eos_token }}" + MARKS[1], MARKS[1] + "{{ eos_token }}"), "ends an answer is not inside"),
        (GOOD.replace("{{ eos_token }}", "</s>"), "ends an answer is not inside"),
        (BARE.join(MARKS), "1 generation"),
        (GOOD.replace("<|you|>{{ m.content | trim }}", "{% generation %}{{ m.content }}{% endgeneration %}"), "4 generation"),
        (GOOD.replace(MARKS[0], MARKS[0] + "{{ messages[0].content }}"), "user says is inside"),
        (GOOD.replace("{% if add_generation_prompt %}<|bot|>{% endif %}", ""), "with add_generation_prompt"),
        (GOOD.replace("<|bot|>{% endif %}", "<|bot|>\n{% endif %}"), "with add_generation_prompt"),
        ("{{ messages | length }}" + GOOD, "with add_generation_prompt"),
        (GOOD.replace("<|you|>", "<|human|>"), r"<\|human\|>, which the tokenizer has no token for"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_trained_with_is_refused(template: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(template, "mine.jinja", SPECIALS)


def test_a_prompt_that_merges_with_the_answer_is_refused() -> None:
    from tokenizers import Tokenizer, models

    tokenizer = Tokenizer(models.BPE({"<unk>": 0, " ": 1, "T": 2, " T": 3}, [(" ", "T")], unk_token="<unk>"))
    template = GOOD.replace("<|bot|>", "Bot: ").replace("<|you|>", "\nYou: ")
    check(template, "mine.jinja", SPECIALS)
    with pytest.raises(InputError, match="merges with the beginning of the answer"):
        check_tokens(template, "mine.jinja", SPECIALS, tokenizer)
    tokenizer.add_special_tokens(SPECIALS)
    check_tokens(GOOD, "mine.jinja", SPECIALS, tokenizer)
