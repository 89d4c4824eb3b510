from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.ngram_model import (
    BOS,
    EOS,
    UNK,
    collapse,
    gram_keys,
    log_probabilities,
    new_table,
    sentences,
    slots_of,
    suffix_closed,
)
from curate.kernels.words import word_hash, words
from tests.arpa import Model, twin_log
from tests.kernels.texts import column, columns

MARKS = {BOS: "<s>", EOS: "</s>", UNK: "<unk>"}


@settings(max_examples=150)
@given(columns)
def test_sentences_equal_twin(rows: list[str]) -> None:
    offsets, data = column(rows)
    tokens, bounds = sentences(words(offsets, data, "whitespace"), data)
    assert bounds[0] == 0
    for row, (a, b) in zip(rows, itertools.pairwise(bounds), strict=True):
        expected = []
        for line in row.split("\n"):
            found = [word_hash(word) for word in line.split()]
            expected += [BOS, *(UNK if h in (BOS, EOS) else h for h in found), EOS] if found else []
        assert tokens[a:b].tolist() == expected


def test_marks_in_a_text_are_unknown_words() -> None:
    offsets, data = column(["<s> a </s>"])
    tokens, _ = sentences(words(offsets, data, "whitespace"), data)
    assert tokens.tolist() == [BOS, UNK, word_hash("a"), UNK, EOS]


def table_of(model: Model) -> np.ndarray:
    table = new_table(len(model))
    for gram, (logp, backoff) in model.items():
        slot = slots_of(table, gram_keys(np.array([[word_hash(w) for w in gram]], np.uint64)), insert=True)
        table.view(np.float32)[4 * slot + 2] = logp
        table.view(np.float32)[4 * slot + 3] = backoff
    return table


STOCK = ["a", "b", "c", "<s>", "</s>", "<unk>"]
VALUES = st.tuples(st.integers(-40, 0).map(lambda x: x / 8), st.integers(-16, 8).map(lambda x: x / 8))
MODELS = st.dictionaries(st.lists(st.sampled_from(STOCK), min_size=2, max_size=4).map(tuple), VALUES, max_size=60)


@settings(max_examples=200)
@given(MODELS, st.tuples(*[VALUES] * 6), st.lists(st.lists(st.text("abcd \n", max_size=20), max_size=3)), st.booleans())
def test_scores_equal_twin(
    longer: Model, unigrams: tuple[tuple[float, float], ...], parts: list[list[str]], close: bool
) -> None:
    model: Model = {(word,): values for word, values in zip(STOCK, unigrams, strict=True)}
    for gram, values in sorted(longer.items(), key=lambda item: len(item[0])):
        if not close or (gram[1:] in model and gram[:-1] in model):
            model[gram] = values
    rows = ["".join(part) for part in parts]
    offsets, data = column(rows)
    tokens, bounds = sentences(words(offsets, data, "whitespace"), data)
    table = table_of(model)
    logs, counts = log_probabilities(tokens, bounds, table, 4, close)
    if close:
        assert log_probabilities(tokens, bounds, table, 4, False)[0].tolist() == logs.tolist()
        for n in (2, 3, 4):
            grams = [[word_hash(w) for w in gram] for gram in model if len(gram) == n]
            assert not grams or suffix_closed(table, np.array(grams, np.uint64))
    for row, log, count in zip(rows, logs, counts, strict=True):
        lines = [line.split() for line in row.split("\n") if line.split()]
        assert count == sum(len(line) + 1 for line in lines)
        assert math.isclose(log, sum(twin_log(model, ["<s>", *line, "</s>"], 4) for line in lines), abs_tol=1e-9)


def test_an_open_model_is_told() -> None:
    model: Model = {("a",): (-1, 0), ("b",): (-1, 0), ("a", "b"): (-1, 0), ("b", "a", "b"): (-1, 0)}
    grams = np.array([[word_hash(w) for w in "bab"]], np.uint64)
    assert not suffix_closed(table_of(model), grams)
    model[("b", "a")] = (-1, 0)
    assert suffix_closed(table_of(model), grams)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=50), st.lists(st.integers(0, 2**64 - 1), max_size=5))
def test_the_table_finds_what_was_put_in(keys: list[int], others: list[int]) -> None:
    keys = [key or 1 for key in keys]
    table = new_table(len(keys))
    slots = slots_of(table, np.array(keys, np.uint64), insert=True)
    assert len(set(slots.tolist())) == len(set(keys))
    assert slots_of(table, np.array(keys, np.uint64)).tolist() == slots.tolist()
    strange = [key for key in [0, *others] if key not in keys]
    assert slots_of(table, np.array(strange, np.uint64)).tolist() == [-1] * len(strange)


@settings(max_examples=150)
@given(st.lists(st.lists(st.integers(2, 5), max_size=6), max_size=8), st.integers(1, 4))
def test_collapse_equals_twin(lines: list[list[int]], order: int) -> None:
    bos = 1
    windows: list[list[int]] = []
    for line in lines:
        padded = [bos] * order + line
        windows += [padded[i : i - order : -1] for i in range(order, len(padded))]
    raw: Counter[tuple[int, ...]] = Counter()
    before: dict[tuple[int, ...], set[int]] = defaultdict(set)
    for window in windows:
        for n in range(1, order + 1):
            if window[:n].count(bos) > 1:
                break
            raw[tuple(window[:n])] += 1
            if n < order:
                before[tuple(window[:n])].add(window[n])
    found = collapse(np.array(windows, np.uint32).reshape(-1, order), bos)
    assert len(found) == order
    for n, grams in enumerate(found, 1):
        got = {tuple(ids): (r, a) for ids, r, a in zip(grams.ids.tolist(), grams.raw, grams.adjusted, strict=True)}
        assert len(got) == len(grams.raw)
        expected = {
            gram: (count, count if n == order or gram[-1] == bos else len(before[gram]))
            for gram, count in raw.items()
            if len(gram) == n
        }
        assert got == expected
