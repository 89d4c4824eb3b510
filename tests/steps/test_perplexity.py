from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from curate.errors import InputError, UsageError
from curate.io import arpa
from curate.steps.perplexity import Perplexity
from tests.arpa import Model, twin_log, write_arpa
from tests.models import perplexity_model, quality_model, two_classes
from tests.steps.judge import reasons, scores

ARPA: Model = {
    ("<unk>",): (-2.5, 0.0),
    ("<s>",): (-99.0, -0.3),
    ("</s>",): (-1.0, 0.0),
    ("the",): (-0.75, -0.5),
    ("cat",): (-1.25, -0.25),
    ("Cat",): (-2.0, 0.0),
    ("naïve\u00a0",): (-1.0, 0.0),
    ("<s>", "the"): (-0.25, -0.125),
    ("the", "cat"): (-0.5, 0.0),
    ("cat", "</s>"): (-0.375, 0.0),
    ("<s>", "the", "cat"): (-0.0625, 0.0),
}


def perplexities(step: Perplexity, texts: list[str]) -> list[float | None]:
    return [row["perplexity"] for row in scores(step, texts)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_arpa(tmp_path_factory.mktemp("arpa") / "small.arpa", ARPA)


def by_hand(*lines: str) -> float:
    log = sum(twin_log(ARPA, ["<s>", *line.split(), "</s>"], 3) for line in lines)
    return float(10 ** (-log / sum(len(line.split()) + 1 for line in lines)))


def test_arpa_scores_are_those_of_the_format(model: str) -> None:
    texts = ["the cat", "the dog", "cat the cat", "the cat\nthe cat\n\n  \ncat", "Cat"]
    wanted = [by_hand(*(line for line in text.split("\n") if line.split())) for text in texts]
    np.testing.assert_allclose(np.array(perplexities(Perplexity(model=model), texts), float), wanted, rtol=1e-6)
    # The first by the numbers: -0.0625 after <s>, -0.25 for "the", -0.375 for the end.
    assert wanted[0] == pytest.approx(10 ** ((0.25 + 0.0625 + 0.375) / 3))
    assert perplexities(Perplexity(model=model), ["", " \n\t"]) == [None, None]


def test_arpa_words_are_split_and_folded_as_asked(model: str) -> None:
    assert perplexities(Perplexity(model=model, lower=True), ["THE Cat"]) == perplexities(Perplexity(model=model), ["the cat"])
    assert perplexities(Perplexity(model=model, splitter="unicode"), ["the, cat!"]) == perplexities(
        Perplexity(model=model), ["the cat"]
    )
    assert perplexities(Perplexity(model=model), ["the, cat!"])[0] == pytest.approx(by_hand("x x"))


def test_arpa_may_be_compressed_and_lack_the_unknown_word(model: str, tmp_path: Path) -> None:
    packed = tmp_path / "small.arpa.gz"
    packed.write_bytes(gzip.compress(Path(model).read_bytes()))
    assert perplexities(Perplexity(model=str(packed)), ["the dog"]) == perplexities(Perplexity(model=model), ["the dog"])
    without = write_arpa(tmp_path / "b.arpa", {gram: values for gram, values in ARPA.items() if gram != ("<unk>",)})
    whole = {**ARPA, ("<unk>",): (arpa.MISSING_UNKNOWN, 0.0)}
    wanted = 10 ** (-twin_log(whole, ["<s>", "dog", "</s>"], 3) / 2)
    assert perplexities(Perplexity(model=without), ["dog"])[0] == pytest.approx(wanted, rel=1e-6)
    other = write_arpa(tmp_path / "c.arpa", {("<UNK>",) if g == ("<unk>",) else g: v for g, v in ARPA.items()})
    assert perplexities(Perplexity(model=other), ["dog"]) == perplexities(Perplexity(model=model), ["dog"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not an ARPA file"),
        ("once upon a time\n", "not an ARPA file"),
        ("\\data\\\nngram 2=1\n\n", "not an ARPA file"),
        ("\\data\\\nngram 1=1\n\n\\2-grams:\n-1\ta\n", r"\\1-grams: was to follow"),
        ("\\data\\\nngram 1=2\n\n\\1-grams:\n-1\ta\n", "the end of the file is no n-gram"),
        ("\\data\\\nngram 1=2\n\n\\1-grams:\n-1\ta\n-1 b\n", "'-1 b' is no n-gram"),
        ("\\data\\\nngram 1=1\n\n\\1-grams:\n-1\ta\tx\n", "is no n-gram"),
    ],
)
def test_a_broken_arpa_file_is_one_line(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "x.arpa").write_text(content)
    with pytest.raises(InputError, match=said) as error:
        Perplexity(model=str(tmp_path / "x.arpa")).bind()
    assert "\n" not in str(error.value)


def test_limits(model: str) -> None:
    (low, high) = (found or 0.0 for found in perplexities(Perplexity(model=model), ["the cat", "dog dog dog"]))
    assert low < high
    texts = ["the cat", "dog dog dog", ""]
    assert reasons(Perplexity(model=model), texts) == [None, None, None]
    assert reasons(Perplexity(model=model, max_perplexity=low), texts) == [None, "high_perplexity", None]
    assert reasons(Perplexity(model=model, min_perplexity=high), texts) == ["low_perplexity", None, None]
    assert reasons(Perplexity(model=model, min_perplexity=low, max_perplexity=high), texts) == [None, None, None]
    assert reasons(Perplexity(model=model, max_perplexity=np.nextafter(high, 0)), texts) == [None, "high_perplexity", None]
    assert reasons(Perplexity(model=model, min_perplexity=np.nextafter(low, 99)), texts) == ["low_perplexity", None, None]


def test_a_model_of_ours_likes_what_it_was_trained_on() -> None:
    good, bad = two_classes(5)
    step = Perplexity(model=perplexity_model())
    assert max(perplexities(step, good)) < min(perplexities(step, bad))  # type: ignore[type-var]
    assert perplexities(step, [good[0].upper()]) == perplexities(step, [good[0]])


def test_what_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this model has its own"):
        Perplexity(model=perplexity_model(), lower=True).bind()
    with pytest.raises(InputError, match="`curate perplexity train` trains one"):
        Perplexity(model=str(tmp_path / "none")).bind()
    with pytest.raises(InputError, match="no such file"):
        Perplexity(model=str(tmp_path / "none.arpa")).bind()
    with pytest.raises(InputError, match="a model of kind 'quality'; one of kind 'perplexity' is needed"):
        Perplexity(model=quality_model()).bind()
