import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from curate.formats.sections import pairs

BODY = "Open a window and write what you see in it, line by line."

PAGE = f"""Preface without a heading, which nobody asked for in this document.

# Guide

{BODY}

## How do I install it?

{BODY}

    # not a heading: code

```sh
# not a heading either: a comment in a block of code.
```

### Linux {{#linux}}

{BODY} Twice.

## Empty

## Short

Too few words.

Other title
===========

{BODY}

Q: Why is it so?
A: {BODY}
"""


def found(*texts):
    return pairs(pl.Series(texts, dtype=pl.String)).rows()


def test_headings_ask_and_what_stands_under_them_answers():
    code = "    # not a heading: code\n\n```sh\n# not a heading either: a comment in a block of code.\n```"
    assert found("Nothing here.", PAGE) == [
        (1, "Guide", BODY),
        (1, "How do I install it?", f"{BODY}\n\n{code}"),
        (1, "Guide > How do I install it? > Linux", f"{BODY} Twice."),
        (1, "Other title", BODY),
        (1, "Why is it so?", BODY),
    ]


def test_windows_lines_and_other_scripts():
    assert found(PAGE.replace("\n", "\r\n")) == [(0, *row[1:]) for row in found("", PAGE)]
    body = "この文書は、どのようにしてそれを設置するかを、はじめから終わりまで詳しく説明するものです。"
    assert found(f"# 設置\n\n{body}\n") == [(0, "設置", body)]


def test_what_only_looks_like_a_heading():
    table = f"| a | b |\n---|---\n| c | d |\n\n- item\n---\n\n{BODY}\n----\n"
    assert found(table, f"#hashtag\n{BODY}", f"{'#' * 7} seven\n{BODY}", f"# {'x' * 300}\n{BODY}") == []


@given(st.lists(st.text(st.sampled_from("#=- aé.?\n`QA:日。"), max_size=80), max_size=4))
def test_no_word_is_made_up(texts):
    for parent, instruction, output in found(*texts):
        assert all(part in texts[parent] for part in instruction.split(" > "))
        assert all(line in texts[parent] for line in output.split("\n"))
    assert [row[1:] for text in texts for row in found(text)] == [row[1:] for row in found(*texts)]
