from __future__ import annotations

import itertools
import re

import ftfy
import pytest
from ftfy.badness import MOJIBAKE_CATEGORIES, is_bad
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.mojibake import _AFTER, _CLASSES, needs_repair
from tests.kernels.texts import column, columns

_CONFIG = ftfy.TextFixerConfig(
    uncurl_quotes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    fix_line_breaks=False,
    remove_control_chars=False,
    normalization=None,
)
_SUSPECTS = re.compile("[" + "".join(MOJIBAKE_CATEGORIES.values()) + "°Œœ ]")
_CHARS = [char for char in map(chr, range(0x10000)) if _SUSPECTS.match(char)] + [*"aZ.,5\n<?\x1a\x1b", "\u0301", "漢", "🚀"]
_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")


def suspicious(text: str) -> bool:
    """Plain twin: the tables by dictionary, one character after the other."""
    classes = {char: name for name, chars in _CLASSES.items() for char in chars}
    kinds = [classes.get(char, "other") for char in text]
    pairs = any(after in _AFTER.get(first, "").split() for first, after in itertools.pairwise(kinds))
    return pairs or "\x1b" in text or bool(_ENTITY.search(text)) or bool(re.search("[\x80-\x9f]", text))


_strings = st.lists(st.one_of(st.text(st.sampled_from(_CHARS), max_size=8), st.sampled_from(["&amp;", "&#39;", "&a b;", "&"])))


@settings(max_examples=200)
@given(st.one_of(columns, st.lists(_strings.map("".join), max_size=5)))
def test_equals_twin_and_keeps_its_promise(rows: list[str]) -> None:
    got = needs_repair(*column(rows)).tolist()
    assert got == list(map(suspicious, rows))
    for row, needed in zip(rows, got, strict=True):
        assert needed or ftfy.fix_text(row, _CONFIG) == row


def test_covers_every_pair_that_ftfy_finds_bad() -> None:
    pairs = [first + second for first in _CHARS for second in _CHARS]
    found = needs_repair(*column(pairs))
    missed = [pair for pair, needed in zip(pairs, found, strict=True) if not needed and is_bad(pair)]
    assert missed == []
    # And it does tell them apart: more than half of these pairs of the worst characters are let through.
    assert found.mean() < 0.5


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252", "windows-1251", "windows-1250", "macroman", "cp437"])
def test_finds_real_mojibake(encoding: str) -> None:
    originals = [
        "naïve café, “quoted” – it’s 20 €",
        "l’été à Noël",
        "Größe über Straße",
        "Привет, мир",
        "日本語のテキスト",
        "🚀 go",
    ]
    broken = [text.encode().decode(encoding, "replace") for text in originals]
    for text, needed in zip(broken, needs_repair(*column(broken)), strict=True):
        assert needed or ftfy.fix_text(text, _CONFIG) == text
    assert needs_repair(*column(broken)).sum() >= 5


def test_leaves_good_text_alone() -> None:
    good = [
        "It’s “fine” – really… naïve café, 20 € or £5, 30° & more; a<b>c",
        "Größe über Straße, § 5 und §§ 6–7, „ja“",
        "«Привет», сказал он — в СССР. Ещё 5 м².",
        "日本語のテキスト。한국어 문장. هذا نص עברית हिन्दी ไทย Ελληνικά Tiếng Việt",
        "🧑\u200d🚀 ❤\ufe0f",
        "",
    ]
    assert not needs_repair(*column(good)).any()
    assert needs_repair(*column(["fish &amp; chips", "\x1b[31mred", "it\x92s", "â€™", "cafÃ©"])).all()
