import polars as pl
import pytest

from curate.formats.signatures import LONGEST, pairs

PAGE = """Module Index : Topics : Keywords

stats (version 1.0)\t\tindex
Some words on the module.

Classes

class Normal(builtins.object)
   \t\tNormal(mu=0.0, sigma=1.0)

Normal distribution of a random variable

\t\tMethods defined here:
__add__(x1, x2)
Add a constant or another instance.

If *other* is a constant, translate mu by the constant.
__hash__(self)
__init__(self, mu=0.0)
Initialize self.  See help(type(self)) for accurate signature.
__neg__(x1)
Return -self.
__radd__ = __add__(x1, x2)
__repr__(self)
Return repr(self).
at(self, sentinel=<object object at 0x7f>)
Documented, but the default is another one on every run.
cdf(self, x)
Cumulative distribution function.  P(X <= x)
cdf(self, x)
Cumulative distribution function.  P(X <= x)
keys(self)
N.keys() -> a set-like object
quantiles(self, n=4) -> list[float]
Divide into *n* intervals.

>>> f(2)
quantiles()

>>> f(3)
spread(a, *, key=(1, (2, 3)))
Spread of the data.
Methods inherited from builtins.object:
other(self)
Not of this class, so not here.

Functions

# a comment
def x(y): pass
mean(data)
Return the sample arithmetic mean.
  indented(x)
  is an example and no function.
quiet(x)

Data
loud(x)
Is a function below a heading.
"""


def found(*texts):
    return pairs(pl.Series(list(texts), dtype=pl.String)).rows()


def test_page():
    assert found("nothing here", PAGE) == [
        (1, "What does `Normal(mu=0.0, sigma=1.0)` of `stats` do?", "Normal distribution of a random variable"),
        (
            1,
            "What does `__add__(x1, x2)` of `stats.Normal` do?",
            "Add a constant or another instance.\n\nIf *other* is a constant, translate mu by the constant.",
        ),
        (1, "What does `cdf(self, x)` of `stats.Normal` do?", "Cumulative distribution function.  P(X <= x)"),
        (1, "What does `keys(self)` of `stats.Normal` do?", "N.keys() -> a set-like object"),
        (
            1,
            "What does `quantiles(self, n=4) -> list[float]` of `stats.Normal` do?",
            "Divide into *n* intervals.\n\n>>> f(2)\nquantiles()\n\n>>> f(3)",
        ),
        (1, "What does `spread(a, *, key=(1, (2, 3)))` of `stats.Normal` do?", "Spread of the data."),
        (
            1,
            "What does `mean(data)` of `stats` do?",
            "Return the sample arithmetic mean.\n  indented(x)\n  is an example and no function.",
        ),
        (1, "What does `loud(x)` of `stats` do?", "Is a function below a heading."),
    ]


def test_every_output_is_in_its_text():
    for _, instruction, output in found(PAGE):
        assert all(paragraph in PAGE for paragraph in output.split("\n\n"))
        assert instruction.split("`")[1] in PAGE


@pytest.mark.parametrize(
    "text", ["", "\n\n", "plain words", "f(x)", "f(x)\n\nApart from it by a blank line.", "f({1: 2})\nA call of f."]
)
def test_nothing_to_find(text):
    assert found(text) == []


def test_documents_are_apart():
    assert found("f(x)", "Words of the next document.", "class A:\nf(x)", "g(x)\nDoes some good.") == [
        (3, "What does `g(x)` do?", "Does some good.")
    ]


def test_whole_paragraphs_up_to_a_length():
    first, second = "word " * 20, "more " * (LONGEST // 5 - 10)
    assert found(f"f(x)\n{first}\n\n{second}\n\nlast") == [(0, "What does `f(x)` do?", first.strip())]
    assert found(f"f(x)\n{'word ' * LONGEST}\n\nshort words here") == []


def test_real_documentation():
    import json
    import pydoc

    from resiliparse.extract.html2text import extract_plain_text

    page = pydoc.html.page("json", pydoc.html.document(json, "json"))
    text = extract_plain_text(page, main_content=True, alt_texts=False, preserve_formatting=True).replace("\xa0", " ")
    got = [instruction for _, instruction, _ in found(text)]
    assert any(instruction.startswith("What does `loads(s, *, cls=None") for instruction in got)
    assert not any("builtins.ValueError" in instruction for instruction in got)
