from __future__ import annotations

import functools
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from py3langid.langid import LanguageIdentifier

from curate.kernels import langid
from curate.kernels.language import classify
from tests.kernels.texts import column, columns

SENTENCES = (Path(__file__).parents[1] / "steps" / "sentences.txt").read_text(encoding="utf-8").replace("|", "\n").split("\n")


@functools.cache
def reference() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file("data/model.npz.xz", norm_probs=True)


def plain(text: str) -> tuple[list[str], float]:
    """py3langid's answer: the languages that are best but for rounding, and the probability of the best; [] for no feature."""
    oracle = reference()
    data = oracle._encode(text)
    state, found = 0, False
    for byte in data:
        state = oracle.tk_nextmove[oracle._rowbase[state] + byte]
        found = found or oracle.tk_output[state] >= 0
    if not found:
        return [], 0.0
    ranked = oracle.rank(text)
    best = ranked[0][1]
    return [language for language, share in ranked if share > best * (1 - 1e-4)], best


def ours(rows: list[str]) -> list[tuple[str | None, float]]:
    model = langid.load()
    prepared = [reference()._encode(row).decode() for row in rows]
    language, confidence = classify(*column(prepared), model)
    return [
        (None if best < 0 else str(model.languages[best]), share)
        for best, share in zip(language.tolist(), confidence.tolist(), strict=True)
    ]


def check(rows: list[str]) -> None:
    for row, (language, confidence) in zip(rows, ours(rows), strict=True):
        best, share = plain(row)
        assert language in best if best else language is None, row
        assert confidence == pytest.approx(share, rel=1e-3, abs=1e-6)


# Runs of real text, cut anywhere, hold far more features than odd characters do.
cuttings = st.lists(
    st.tuples(st.sampled_from(SENTENCES), st.integers(0, 40), st.integers(1, 60)).map(lambda cut: cut[0][cut[1] :][: cut[2]]),
    max_size=6,
).map(" ".join)


@given(st.one_of(columns, st.lists(cuttings, max_size=4)))
@example(["", "a", "the", "THE HOUSE", "é" * 3, "\0", "\U0010ffff", "漢字"])
@settings(max_examples=300)
def test_as_py3langid(rows: list[str]) -> None:
    check(rows)


def test_every_sentence_and_long_text_as_py3langid() -> None:
    check([row for row in SENTENCES if row])
    check([" ".join(SENTENCES), "naïve " * 3000, " ".join(SENTENCES[:8]) * 50])


def test_nothing_is_carried_from_row_to_row() -> None:
    rows = [row for row in SENTENCES if row]
    assert ours(rows[::-1]) == ours(rows)[::-1] == [ours([row])[0] for row in rows[::-1]]
    assert ours([]) == []


def test_what_is_kept_is_what_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "a file" / "below"))
    (tmp_path / "a file").write_text("where nothing can be kept")
    made = langid.load.__wrapped__()
    (tmp_path / "a file").unlink()
    kept = tmp_path / "a file" / "below" / langid._place_of((files("py3langid") / "data" / "model.npz.xz").read_bytes()).name
    langid._keep(made, kept)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    monkeypatch.setattr(langid, "_convert", None)  # so that it can only come from there
    read = langid.load.__wrapped__()
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(made, read, strict=True))
