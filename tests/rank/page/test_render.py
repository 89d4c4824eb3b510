import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.rank.page.render import ELEMENTS, LONGEST, LONGEST_MARKDOWN, UNSEEN, render

ALLOWED = {*ELEMENTS.values(), "br", "mark", "small", "u"}


def words(trees):
    """The text of trees."""
    return "".join(tree if isinstance(tree, str) else words(tree[2]) for tree in trees)


def check(trees, depth=0):
    assert depth < 60
    for tree in trees:
        if isinstance(tree, str):
            assert not set(tree) & set("\0\x1b\u202e\u202d\u2066")
            continue
        name, attributes, children = tree
        assert name in ALLOWED
        assert set(attributes or {}) <= {"start", "lang"}
        check(children, depth + 1)


@pytest.mark.parametrize(
    ("text", "trees"),
    [
        ("a **b**", [["p", None, ["a ", ["strong", None, ["b"]]]]]),
        ("# a\n## b", [["h4", None, ["a"]], ["h5", None, ["b"]]]),
        ("- a\n- b", [["ul", None, [["li", None, ["a"]], ["li", None, ["b"]]]]]),
        ("3. a", [["ol", {"start": 3}, [["li", None, ["a"]]]]]),
        ("```py x\na\n```", [["pre", {"lang": "py"}, ["a"]]]),
        ("a\nb", [["p", None, ["a", ["br", None, []], "b"]]]),
        ("<b>a</b>", [["p", None, ["<b>a</b>"]]]),
        ("[a](http://b)", [["p", None, [["u", None, ["a"]], " ", ["small", None, ["(http://b)"]]]]]),
        ("![a](http://b)", [["p", None, ["[picture: ", "a", " ", ["small", None, ["(http://b)"]], "]"]]]),
        ("[a](javascript:b)", [["p", None, ["[a](javascript:b)"]]]),
        ("a\u202eb", [["p", None, ["a", ["mark", None, ["U+202E"]], "b"]]]),
        ("", []),
    ],
)
def test_markdown(text, trees):
    assert render(text) == (trees, "")


@given(st.text(st.characters() | st.sampled_from("*_`#<>[]()!|-~\\&\n\t \u202e\u2066\0"), max_size=200))
def test_any_text_gives_only_what_the_page_may_show(text):
    trees, remark = render(text)
    check(trees)
    assert remark == ""
    json.dumps(trees).encode()
    if not set(text) & set("[]<>&\\`~\n:|") and not UNSEEN.search(text):
        assert [c for c in words(trees) if c.isalpha()] == [c for c in text if c.isalpha()]


def test_lone_surrogates_and_long_texts():
    assert render("a\ud800b") == ([["p", None, ["a?b"]]], "")
    trees, remark = render("*" * (LONGEST_MARKDOWN + 1))
    assert (trees[0][0], remark) == ("pre", "Too long for formatting: shown as it is.")
    trees, remark = render("x" * (LONGEST + 5))
    assert (len(trees[0][2][0]), remark) == (LONGEST, "Too long: only the first 400,000 of 400,005 characters are shown.")


@pytest.mark.parametrize("piece", ["[", "![", "*a ", "> ", "- ", "`", "[a](", "<", "~~a", "&amp;", "|a", "[]: "])
def test_no_text_takes_long(piece):
    began = time.process_time()
    check(render((piece * LONGEST_MARKDOWN)[:LONGEST_MARKDOWN])[0])
    # Linear work is a fraction of a second; quadratic work on the longest text takes far longer.
    assert time.process_time() - began < 10
