"""Steps that drop lines, and parts of them."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.declare import Rewrite
from curate.steps.boilerplate import _PART, _WHOLE, BoilerplateLines
from curate.steps.citations import Citations
from curate.steps.refinedweb import RefinedwebLines, RefinedwebQuality
from curate.steps.repeated import RepeatedLines
from tests.steps.judge import reasons, scores

CODE = "```text\nAccept all cookies\nREAD THIS\n7\nx[1] = 2\nx[1] = 2, which is a line of more than thirty characters\n```"
LONG = "This line has more than thirty characters."


def apply(step: Rewrite, *rows: str) -> list[str]:
    after: list[str] = step.bind()(pl.Series(rows, dtype=pl.String)).to_list()
    return after


@pytest.mark.parametrize("step", [BoilerplateLines(), Citations(), RefinedwebLines(), RepeatedLines()])
def test_code_stays(step: Rewrite) -> None:
    fenced = f"Some prose of four words.\n\n{CODE}\n\nMore prose of five words.\n\n{CODE}"
    indented = "Some prose of four words.\n\n    Share this\n    x[1]\n\n    Share this\n\nMore prose of five words."
    assert apply(step, fenced, indented) == [fenced, indented]


@pytest.mark.parametrize(
    "line",
    [
        "Accept all cookies", "» Share this «", "© 2019 Example Ltd. All rights reserved.", "SKIP TO CONTENT",
        "We use cookies to give you the best experience on our site.", "Please enable JavaScript to view the comments.",
        "Alle Rechte vorbehalten.", "Diese Website verwendet Cookies.", "Tous droits réservés", "TOUS DROITS RÉSERVÉS",
        "Aceptar todas las cookies", "Tutti i diritti riservati", "Alle cookies toestaan", "Todos os direitos reservados.",
        "Wszelkie prawa zastrzeżone", "Läs mer", "Your email address will not be published. Required fields are marked *",
    ],
)  # fmt: skip
def test_boilerplate(line: str) -> None:
    text = f"The first paragraph.\n\n{line}\n\nThe second one."
    assert apply(BoilerplateLines(), text, f"A.\n  {line}\t\nB.", line) == [
        "The first paragraph.\n\nThe second one.",
        "A.\nB.",
        "",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Please share this with your friends, she said.",
        "I accept all cookies that my grandmother bakes.",
        "Read more books.",
        "The newspaper explained at length in its Sunday edition that we use cookies of many kinds, baked by people of every "
        "age in kitchens of every size, and that it would be a pity to lose them.",
        "",
    ],
)
def test_no_boilerplate(line: str) -> None:
    text = f"The first paragraph.\n\n{line}\n\nThe second one."
    assert apply(BoilerplateLines(), text) == [text]


def test_boilerplate_options() -> None:
    text = "Alle Rechte vorbehalten\nAll rights reserved\nEnd."
    assert apply(BoilerplateLines(languages=("de",)), text) == ["All rights reserved\nEnd."]
    banner = "We use cookies to give you the best experience on our site.\nEnd."
    assert apply(BoilerplateLines(max_words=12), banner) == ["End."]
    assert apply(BoilerplateLines(max_words=11), banner) == [banner]


def test_phrases_are_as_they_are_looked_for() -> None:
    for language in _WHOLE:
        for phrase in f"{_WHOLE[language]}|{_PART[language]}".split("|"):
            assert phrase == phrase.lower().strip(), phrase
            assert phrase, language
        for phrase in _WHOLE[language].split("|"):
            assert apply(BoilerplateLines(languages=(language,)), phrase.upper()) == [""] or "ß" in phrase, phrase


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("The city is old.[1] It is large.[2][3]", "The city is old. It is large."),
        ("History [edit]\nIt began [citation needed] early.", "History\nIt began early."),
        ("Before.\n\n[edit]\n\nAfter.", "Before.\n\nAfter."),
        ("Geschichte [Bearbeiten | Quelltext bearbeiten]\nEnde.[Anm. 2]", "Geschichte\nEnde."),
        ("Histoire [modifier | modifier le code]\nVrai [réf. nécessaire].", "Histoire\nVrai."),
        ("A note[note 3], a [nb 12] b, [ 7 ].", "A note, a b,."),
        ("[edit] [edit]", ""),
        ("これは[要出典]例[注 1]です。", "これは例です。"),
        ("see [1](http://x.org) and [text][1] and [12]: that", "see [1](http://x.org) and [text][1] and: that"),
        ("[1]: http://x.org\n[2] Smith, J. (2010)", "[1]: http://x.org\n[2] Smith, J. (2010)"),
        ("use `a[1]` or ``b[2]``, a[0], a[], a[i], x[2020], [01], [1, 2], [1-3]", None),
        ("[[1]] and [see [2]] and \\[3]", None),
        ("- [x] task and [ ] task", None),
        ("sys.version_info[1], sshd[430]: v[256]; x_[3] a(b[4] size: [106], n = [5]", None),
        (".. [1] PEP 8\nsee [1]_ and text\ntext][12]", None),
        ("The 2nd[4] l'été[5] of well-known[6].", "The 2nd l'été of well-known."),
        ("", ""),
    ],
)
def test_citations(text: str, left: str | None) -> None:
    assert apply(Citations(), text, "[", text) == [text if left is None else left, "[", text if left is None else left]


def test_citations_keep_numbers_when_told() -> None:
    assert apply(Citations(numbers=False), "As shown [12], it holds [edit].") == ["As shown [12], it holds."]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("THIS IS LOUD text", None),
        ("HALF half", "HALF half"),
        ("12345", None),
        ("12 345", "12 345"),
        ("3 likes", None),
        ("• 1,234K Followers!", None),
        ("3 likes of mine", "3 likes of mine"),
        ("Home", None),
        ("two words", "two words"),
        ("There are 3 items in cart now", "There are 3 now"),
        ("A teaser text Read more...", "A teaser text"),
        ("Read more...", None),
        ("one Read more...", None),
        ("Sign-in or register here", "or register here"),
        ("Sign-in Sign-in to this page", "to this page"),
        ("In a line of eleven words the end is no Read more...", "In a line of eleven words the end is no Read more..."),
        ("Read moreover", "Read moreover"),
    ],
)
def test_refinedweb_lines(line: str, left: str | None) -> None:
    text = f"Some prose here.\n{line}\nMore prose there."
    expected = "\n".join(["Some prose here.", *([left] if left is not None else []), "More prose there."])
    assert apply(RefinedwebLines(), text, "", text) == [expected, "", expected]


def test_refinedweb_quality() -> None:
    words = "word " * 95
    at_limit = words.strip() + "\n" + "\n".join(["Menu"] * 5)
    over = words.strip() + "\n" + "\n".join(["Menu"] * 6)
    part = "word " * 30 + "\nA teaser Read more..."
    assert scores(RefinedwebQuality(), [at_limit, part, "", f"Some prose.\n{CODE}"]) == [
        {"removed_words": 0.05}, {"removed_words": 2 / 34}, {"removed_words": None}, {"removed_words": 0.0}
    ]  # fmt: skip
    assert reasons(RefinedwebQuality(), [at_limit, over, part]) == [None, "too_many_removed_words", "too_many_removed_words"]
    assert reasons(RefinedwebQuality(max_removed_words=None), [over]) == [None]


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["Menu", "READ", "A teaser Read more...", "3 likes", "some words here", "", "  x"]), max_size=12)
)
def test_the_filter_counts_what_the_rewrite_removes(parts: list[str]) -> None:
    text = "\n".join(parts)
    before = len(text.split())
    removed = before - len(apply(RefinedwebLines(), text)[0].split())
    assert scores(RefinedwebQuality(), [text])[0]["removed_words"] == (pytest.approx(removed / before) if before else None)


@pytest.mark.parametrize(
    ("text", "left", "in_a_row"),
    [
        (f"{LONG}\nShort.\n{LONG}\nShort.", f"{LONG}\nShort.\nShort.", None),
        (f"{LONG}\n\n  {LONG} \n\nEnd.", f"{LONG}\n\nEnd.", f"{LONG}\n\nEnd."),
        ("One two three.\nFour five six seven eight.\n\nX.\n\nOne two three.\nFour five six seven eight.",
         "One two three.\nFour five six seven eight.\n\nX.", None),
        ("Roses are red,\nviolets are blue,\n\n" * 2 + "end", "Roses are red,\nviolets are blue,\n\nend",
         "Roses are red,\nviolets are blue,\n\nend"),
        ("=" * 40 + "\n" + "=" * 40, None, None),
        ("| a column of a table | another |\n" * 2, None, None),
    ],
)  # fmt: skip
def test_repeated_lines(text: str, left: str | None, in_a_row: str | None) -> None:
    assert apply(RepeatedLines(), text, "x", text) == [text if left is None else left, "x", text if left is None else left]
    assert apply(RepeatedLines(consecutive=True), text) == [text if in_a_row is None else in_a_row]


def test_repeated_lines_from_a_length_on() -> None:
    text = "five5\nfive5\nsixsix\nsixsix"
    assert apply(RepeatedLines(min_chars=6), text) == ["five5\nfive5\nsixsix"]
