"""Chat templates: chats as the text that a model sees.

`chatml` is the template that `curate tokenizer train` gives its tokenizers. Others are those of models: a
tokenizer's folder, or a Jinja file, rendered as transformers does, in Jinja's sandbox.
https://huggingface.co/docs/transformers/chat_templating
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError
from curate.formats.messages import PLAIN, decode_plain

if TYPE_CHECKING:
    import polars as pl

__all__ = ["check_template", "rendered"]

CHATML = "chatml"

_SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "sep_token", "mask_token")


def check_template(template: str) -> None:
    """Raises InputError when there is no such template, or it is no Jinja."""
    if template != CHATML:
        _renderer(template)


def rendered(chats: pl.DataFrame, template: str) -> pl.DataFrame:
    """Chats (`messages` as JSON text) as `parent`, `text`, `problem`. O(bytes); by `chatml` whole columns at a time."""
    import polars as pl

    plain = chats["messages"].str.contains(PLAIN).fill_null(False) & (template == CHATML)
    turn = pl.concat_str(
        pl.lit("<|im_start|>"),
        pl.element().struct.field("role"),
        pl.lit("\n"),
        pl.element().struct.field("content").str.strip_chars(),
        pl.lit("<|im_end|>\n"),
    )
    turns = decode_plain(chats["messages"].set(~plain, None)).to_frame("turns")
    fast = turns.select(pl.col("turns").list.eval(turn).list.join("").alias("text")).to_series()
    if plain.all():
        return chats.select("parent", fast.alias("text"), "problem")
    if template == CHATML:
        # Tool calls and contents in parts, which ChatML has no form for.
        problem = pl.coalesce("problem", pl.when(~pl.lit(plain)).then(pl.lit("more_than_text")))
        return chats.select("parent", fast.alias("text"), problem.alias("problem"))
    render = _renderer(template)
    found = [
        (None, problem) if problem is not None else _one(render, chat)
        for chat, problem in chats.select("messages", "problem").iter_rows()
    ]
    made = pl.DataFrame(found, schema={"text": pl.String, "problem": pl.String}, orient="row")
    return chats.select("parent").hstack(made)


def _one(render: Callable[[list[dict[str, Any]]], str], chat: str) -> tuple[str | None, str | None]:
    import jinja2

    try:
        text = render(json.loads(chat))
    except (jinja2.TemplateError, TypeError, ValueError):
        return None, "template_refuses"
    return text, None if text.strip() else "template_refuses"


@functools.cache
def _renderer(template: str) -> Callable[[list[dict[str, Any]]], str]:
    import jinja2
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """`{% generation %}` marks what the assistant says; in a text it is only that."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(["name:endgeneration"], drop_needle=True)

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    source, tokens = _source(Path(template))
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals["raise_exception"] = refuse
    try:
        compiled = environment.from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise InputError(f"{template}: not a chat template: line {error.lineno}: {error.message}") from error
    return lambda messages: compiled.render(messages=messages, add_generation_prompt=False, **tokens)


def _source(path: Path) -> tuple[str, dict[str, str]]:
    """The template at a path, and the special tokens that it may name."""
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8"), {}
        settings = path / "tokenizer_config.json"
        config = json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {}
        apart = path / "chat_template.jinja"
        source = apart.read_text(encoding="utf-8") if apart.is_file() else config.get("chat_template")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a chat template: {error}") from error
    if isinstance(source, list):  # several, by name
        source = next((entry["template"] for entry in source if entry.get("name") == "default"), None)
    if not isinstance(source, str):
        raise InputError(
            f"{path}: no chat template there; give `chatml`, a Jinja file, or a tokenizer's folder with a "
            "chat_template.jinja or a tokenizer_config.json that holds one"
        )
    named = {name: config.get(name) for name in _SPECIAL}
    tokens = {name: value["content"] if isinstance(value, dict) else value for name, value in named.items() if value}
    return source, tokens
