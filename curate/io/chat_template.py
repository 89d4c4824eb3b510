"""Chat templates: ChatML, and the check of a template of one's own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

from curate.errors import InputError

if TYPE_CHECKING:
    import tokenizers

__all__ = ["chatml", "check", "check_tokens", "conversation"]

_CHATML = (
    "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] | trim + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- message['content'] | trim + '<|im_end|>' -}}"
    "{%- endif -%}"
    "{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def chatml(roles: Sequence[str] = ()) -> str:
    """ChatML; with `roles` it refuses messages of others.

    What the assistant says is marked, and so is the token that ends its turn: a model never taught it does not stop.
    Contents are trimmed: a leading newline would merge with the one of the role, and the prompt would not be a prefix of
    the whole.
    """
    known = json.dumps(list(roles))
    refuse = "{{- raise_exception('role ' + message['role'] + ' is none of those that the tokenizer was made for') -}}"
    only = f"{{%- if message['role'] not in {known} -%}}{refuse}{{%- endif -%}}" if roles else ""
    return "{%- for message in messages -%}" + only + _CHATML


_OPEN, _CLOSE = "\ue000", "\ue001"
"""Put around what a generation block renders. Private use: no template holds them."""


class _Marks(Extension):
    """`{% generation %}` as transformers has it, but what is inside stands between marks."""

    tags = {"generation"}

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_marked"), [], [], body).set_lineno(line)

    def _marked(self, caller: Any) -> str:
        return f"{_OPEN}{caller()}{_CLOSE}"


def conversation() -> list[dict[str, str]]:
    """Two questions and answers to look at a template with; no text is part of another."""
    contents = ("Which fruit is red?", " The cherry is.\n", "\nAnd which one is blue?", "The plum,\nin autumn.")
    return [{"role": "assistant" if i % 2 else "user", "content": content} for i, content in enumerate(contents)]


def check(template: str, where: str, specials: Sequence[str]) -> None:
    """Whether a template can be trained with; `where` names it, `specials` are the tokenizer's special tokens: the one that
    ends a text, padding, and others.

    Raises InputError when it cannot be read or rendered, when a conversation's answers are not inside `{% generation %}`
    blocks or a question is, when a block does not end with a special token (a model never taught it does not stop), when
    the prompt of an answer is not how the whole conversation begins, up to the block, or when it writes something that looks
    like a special token and is none.
    """
    whole, prompts = _rendered(template, where, specials)
    blocks = re.findall(f"{_OPEN}(.*?){_CLOSE}", whole, re.DOTALL)
    if not blocks:
        raise InputError(
            f"{where}: marks nothing for training; put the assistant's part in {{% generation %}} ... {{% endgeneration %}}"
        )
    messages = conversation()
    answers = [message["content"].strip() for message in messages[1::2]]
    if len(blocks) != len(answers) or not all(answer in block for answer, block in zip(answers, blocks, strict=True)):
        raise InputError(
            f"{where}: two answers gave {len(blocks)} generation blocks; each answer must be whole in one of its own"
        )
    if any(message["content"].strip() in block for message in messages[::2] for block in blocks):
        raise InputError(f"{where}: what the user says is inside a generation block")
    for answer, block in zip(answers, blocks, strict=True):
        if not block.split(answer, 1)[1].lstrip().startswith(tuple(specials)):
            raise InputError(f"{where}: the token that ends an answer is not inside its generation block, or no special token")
    text = _plain(whole)
    if unknown := sorted({*re.findall(r"<\|[^|<>\s]+\|>", text)} - {*specials}):
        raise InputError(f"{where}: writes {', '.join(unknown)}, which the tokenizer has no token for; add special_tokens")
    parts = whole.split(_OPEN)
    for prompt, begin in zip(prompts, (parts[0], parts[0] + parts[1]), strict=True):
        asked, begins = _plain(prompt), _plain(begin)
        if asked != begins:
            raise InputError(
                f"{where}: with add_generation_prompt it ends in {asked[-40:]!r}, but an answer begins after {begins[-40:]!r}; "
                "what a model is asked with must be how the whole conversation begins"
            )


def check_tokens(template: str, where: str, specials: Sequence[str], tokenizer: tokenizers.Tokenizer) -> None:
    """Whether a conversation's tokens begin with those of its prompt.

    Raises InputError when they do not: the end of the prompt and the beginning of the answer were made one token.
    """
    whole, prompts = _rendered(template, where, specials)
    ids = tokenizer.encode(_plain(whole), add_special_tokens=False).ids
    for prompt in prompts:
        asked = tokenizer.encode(_plain(prompt), add_special_tokens=False).ids
        if ids[: len(asked)] != asked:
            raise InputError(
                f"{where}: the end of a prompt ({_plain(prompt)[-20:]!r}) merges with the beginning of the answer; end it with "
                "a special token or a line break, and trim the answer"
            )


def _plain(text: str) -> str:
    return text.replace(_OPEN, "").replace(_CLOSE, "")


def _rendered(template: str, where: str, specials: Sequence[str]) -> tuple[str, list[str]]:
    """The conversation, and the prompts of its answers, with marks around generation blocks."""

    def refuse(message: str) -> Any:
        raise jinja2.TemplateError(message)

    # As transformers renders: utils/chat_template_utils.py, _compile_jinja_template.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Marks, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: "1 January 2026"
    names = {"eos_token": specials[0], "pad_token": specials[1], "bos_token": "", "tools": None, "documents": None}
    messages = conversation()
    try:
        compiled = environment.from_string(template)

        def render(count: int, prompt: bool = False) -> str:
            return compiled.render(messages=messages[:count], add_generation_prompt=prompt, **names)

        return render(len(messages)), [render(turn, prompt=True) for turn in (1, 3)]
    except (jinja2.TemplateError, TypeError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, jinja2.TemplateSyntaxError) else ""
        raise InputError(f"{where}{line}: not a chat template that can be used: {error}") from error
