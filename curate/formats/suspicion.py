"""What is fit to train on and yet worth a look: phrases, leftovers and damage in the texts of rows.

Each check names what it found, with a few characters around it. Most texts hold none of the few literals that a check begins
with (looking for one runs at 10 GB/s), so that the expressions that decide run on few. Phrases are those that FastChat and
AlpacaDataCleaned clean by; they are English.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.formats.checks import SUSPICIONS
from curate.formats.validity import Examined

if TYPE_CHECKING:
    import polars as pl

__all__ = ["THINK", "suspicions"]

THINK = "<think>"
"""Opens the reasoning of an answer."""

LEAST_PROMPT = 30
"""Characters of a prompt below which its being in the answer says nothing."""

_AROUND = r"(?s)(.{0,20}(?:%s).{0,20})"

_SPECIAL = r"</?s>|<\|[^|<>\s]{1,40}\|>|<(?:pad|unk|bos|eos|mask)>|\[(?:PAD|UNK|CLS|SEP|MASK)\]"
_SPECIAL_PARTS = (
    "<s>",
    "</s>",
    "|>",
    "<pad>",
    "<unk>",
    "<bos>",
    "<eos>",
    "<mask>",
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
)

_DAMAGE = r"\x{FFFD}|Ã[\x{80}-\x{BF}\x{152}-\x{178}\x{192}\x{2013}-\x{2122}]|â€|Â[\x{A0}-\x{BF}]"
_DAMAGE_PARTS = ("\ufffd", "Ã", "â€", "Â")

_ESCAPED = r"\\u[0-9a-fA-F]{4}|&(?:quot|amp|lt|gt|nbsp|apos|#\d{2,5});"

_REFUSAL = (
    r"(?i)\bas an? (?:ai|artificial intelligence|(?:large )?language model)\b"
    r"|(?:^|\x00)\W*(?:i(?:'|’)?m (?:very |really )?sorry,? (?:but|i)|i am (?:very |really )?sorry,? (?:but|i)"
    r"|(?:i(?:'|’)m |i am )?sorry,? (?:but )?i (?:can|am un|am not able|don)|i apologi[sz]e,? but"
    r"|i (?:cannot|can't|can’t|can not|won't|will not|am unable to|am not able to) "
    r"(?:assist|help|provide|fulfil|comply|answer|create|generate|write|do that|engage))"
)
_BOILERPLATE = (
    r"(?i)(?:^|\x00)\s*(?:certainly|sure(?: thing)?|of course|absolutely|definitely|gladly|great question|good question"
    r"|happy to help|i(?:'|’)d be (?:happy|glad) to|here(?: is|'s|’s) (?:the|a|an|your) (?:answer|response|output|result))\b"
    r"[^\x00]{0,20}"
)
_MODEL = (
    r"(?i)\b(?:i am|i(?:'|’)m|as|my name is) (?:an? |called )?(?:chatgpt|gpt-?[34]|claude|bard|gemini|llama|qwen|deepseek)\b"
    r"|\b(?:developed|created|trained|made|built) by (?:openai|anthropic|google|meta ai|alibaba)\b"
)
_WORDS = [
    *(
        "as an ai",
        "as a ai",
        "as a language",
        "as a large",
        "as an artificial",
        "as a artificial",
        "sorry",
        "apologi",
        "cannot",
    ),
    *("can't", "can’t", "can not", "won't", "will not", "unable to", "not able to", "certainly", "sure", "of course", "gladly"),
    *("absolutely", "definitely", "great question", "good question", "happy to", "glad to", "here is", "here's", "here’s"),
    *("chatgpt", "gpt", "claude", "bard", "gemini", "llama", "qwen", "deepseek"),
    *("openai", "anthropic", "google", "meta ai", "alibaba"),
]
"""One of these is in whatever the three expressions above match."""

_STANDS_FOR = ("n/a", "na", "<nooutput>", "nooutput", "<noinput>", "noinput", "none", "null", "tbd", "...", "…")
_TEMPLATE = r"\{\{ ?\w+ ?\}\}|(?i:lorem ipsum)"
_TEMPLATE_PARTS = ("{{", "Lorem ipsum", "lorem ipsum")


def suspicions(examined: Examined, record: pl.Series) -> pl.DataFrame:
    """A column for each of `SUSPICIONS` that needs no tokenizer: the evidence, null where there is nothing. O(bytes)."""
    import polars as pl

    rows = examined.rows
    said, answer, asked, openings = (rows[name] for name in ("said", "answer", "asked", "openings"))
    answered = asked.is_not_null() & answer.is_not_null()
    marked = examined.found["role_marker_in_content"].is_not_null()
    found = {
        "bare_array_chat": _where(record.str.starts_with("[") & (rows["format"] == "chat"), rows["asked"]),
        "input_not_read": _beside(examined),
        "special_token": _special(said).set(marked, None),
        "prompt_in_output": _repeats(asked, answer),
        **_openings(openings),
        "placeholder": _placeholder(said, answer.set(~answered, None)),
        "encoding_damage": _among(said, _DAMAGE_PARTS, _DAMAGE),
        "escaped_text": _escaped(said),
        "outer_space": _where(
            answered & (answer.str.strip_chars().str.len_bytes() != answer.str.len_bytes()), answer, quoted=True
        ),
        "open_code_fence": _open_fence(answer.set(~answered, None)),
    }
    return pl.DataFrame([found[name].alias(name) for name in SUSPICIONS if name in found])


def _nothing(n: int) -> pl.Series:
    import polars as pl

    return pl.Series([None], dtype=pl.String).new_from_index(0, n)


def _where(condition: pl.Series, text: pl.Series, *, quoted: bool = False) -> pl.Series:
    """The text's beginning (and, quoted, its end) where the condition holds."""
    import polars as pl

    places = condition.fill_null(False).arg_true()
    if not len(places):
        return _nothing(len(text))
    shown = text.gather(places).str.head(40)
    if quoted:
        shown = pl.select(pl.lit('"') + shown + pl.lit('" ... "') + text.gather(places).str.tail(20) + pl.lit('"')).to_series()
    return _nothing(len(text)).scatter(places, shown.fill_null("a chat"))


def _among(text: pl.Series, parts: Sequence[str], pattern: str) -> pl.Series:
    """What matches, with a little around it; `parts`: literals of which every match holds one."""
    import polars as pl

    with_part = pl.select(pl.any_horizontal(text.str.contains(part, literal=True) for part in parts)).to_series()
    places = with_part.fill_null(False).arg_true()
    if not len(places):
        return _nothing(len(text))
    return _nothing(len(text)).scatter(places, text.gather(places).str.extract(_AROUND % pattern).str.replace_all("\x00", " "))


def _special(said: pl.Series) -> pl.Series:
    """Most texts have no such bracket at all, which is told faster than that they have none of many words in brackets."""
    with_bracket = said.str.contains("<", literal=True) | said.str.contains("[", literal=True)
    places = with_bracket.fill_null(False).arg_true()
    return (
        _nothing(len(said)).scatter(places, _among(said.gather(places), _SPECIAL_PARTS, _SPECIAL))
        if len(places)
        else _nothing(len(said))
    )


def _openings(openings: pl.Series) -> dict[str, pl.Series]:
    """What the beginnings of answers say. One look for words tells which few are worth the expressions."""
    places = openings.str.contains_any(_WORDS, ascii_case_insensitive=True).fill_null(False).arg_true()
    some = openings.gather(places)
    found = {}
    for name, pattern in (("refusal", _REFUSAL), ("boilerplate_opening", _BOILERPLATE), ("names_a_model", _MODEL)):
        said = some.str.extract(f"({pattern})").str.strip_chars(" \n\r\t\x00")
        found[name] = _nothing(len(openings)).scatter(places, said) if len(places) else _nothing(len(openings))
    return found


def _beside(examined: Examined) -> pl.Series:
    import polars as pl

    reads = examined.rows["format"].is_in(["instruction", "preference"])
    beside = pl.select(pl.coalesce(examined.members.strings("input"), examined.members.strings("context"))).to_series()
    return _where(reads & beside.str.contains(r"\S"), beside)


def _repeats(asked: pl.Series, answer: pl.Series) -> pl.Series:
    """A long prompt that stands whole in its answer."""
    import polars as pl

    texts = pl.DataFrame({"asked": asked.str.strip_chars(), "answer": answer})
    longer = (pl.col("asked").str.len_chars() >= LEAST_PROMPT) & (
        pl.col("answer").str.len_bytes() >= pl.col("asked").str.len_bytes()
    )
    # A prompt that stands in an answer begins there with its first word, which few answers hold.
    places = texts.select(longer.fill_null(False)).to_series().arg_true()
    some = texts[places]
    holds = some.select(pl.col("answer").str.contains(pl.col("asked"), literal=True)).to_series()
    return (
        _nothing(len(asked)).scatter(places.filter(holds), some["asked"].filter(holds).str.head(60))
        if holds.any()
        else _nothing(len(asked))
    )


def _placeholder(said: pl.Series, answer: pl.Series) -> pl.Series:
    places = (answer.str.len_bytes() < 20).fill_null(False).arg_true()
    some = answer.gather(places)
    empty = some.str.strip_chars(" \n.").str.to_lowercase().is_in(_STANDS_FOR).fill_null(False)
    found = _among(said, _TEMPLATE_PARTS, _TEMPLATE)
    return found.scatter(places.filter(empty), some.filter(empty)) if empty.any() else found


def _escaped(said: pl.Series) -> pl.Series:
    """Escapes that somebody escaped again. `\\n` alone only where there is no line break: code has it in its strings."""
    found = _among(said, ("\\u", "&"), _ESCAPED)
    breaks = said.str.contains("\\n", literal=True) & ~said.str.contains("\n", literal=True)
    lines = _among(said.set(~breaks.fill_null(False), None), ("\\n",), r"\\n") if breaks.any() else found
    return found.zip_with(found.is_not_null(), lines)


def _open_fence(answer: pl.Series) -> pl.Series:
    """A fence without its end."""
    places = answer.str.contains("```", literal=True).fill_null(False).arg_true()
    if not len(places):
        return _nothing(len(answer))
    some = answer.gather(places)
    odd = some.str.count_matches(r"(?m)^\s*```") % 2 == 1
    return _nothing(len(answer)).scatter(places.filter(odd), some.filter(odd).str.tail(40))
