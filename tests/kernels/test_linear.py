from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.linear import bag_of_pairs, fit, linear_scores
from curate.kernels.words import Words, word_hash, words
from tests.kernels.texts import column, columns, repeats

BITS = 12
MASK = 2**64 - 1


def bag(tokens: list[int], bits: int) -> list[int]:
    base = 0x9E3779B97F4A7C15
    pairs = [((a * base + b) * base) & MASK for a, b in itertools.pairwise(tokens)]
    return [h >> (64 - bits) for h in tokens + pairs]


def tokens_of(found: Words) -> list[list[int]]:
    return [found.hashes[a:b].tolist() for a, b in zip(found.bounds, found.bounds[1:], strict=False)]


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@settings(max_examples=100)
@given(st.one_of(columns, repeats))
def test_bags_equal_twin(rows: list[str]) -> None:
    found = words(*column(rows))
    offsets, buckets = bag_of_pairs(found, BITS)
    assert offsets[0] == 0
    bags = [buckets[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    assert bags == [bag(tokens, BITS) for tokens in tokens_of(found)]


@settings(max_examples=100)
@given(st.one_of(columns, repeats), st.floats(-3, 3))
def test_scores_equal_twin(rows: list[str], bias: float) -> None:
    weights = np.random.default_rng(1).normal(size=1 << BITS).astype(np.float32)
    found = words(*column(rows))
    expected = []
    for tokens in tokens_of(found):
        features = bag(tokens, BITS)
        total = math.fsum(weights[b] for b in features)
        expected.append(sigmoid(bias + total / math.sqrt(len(features))) if features else 0.0)
    np.testing.assert_allclose(linear_scores(found, weights, bias), expected, rtol=1e-9)


def twin_fit(
    bags: list[list[int]], labels: list[bool], order: list[int], rates: tuple[float, float], rate: float, l2: float
) -> tuple[Any, float, float]:
    one = np.float32
    weights, state = np.zeros(1 << BITS, one), np.zeros(1 << BITS, one)
    bias = squares = losses = 0.0
    seen = 0
    for d in order:
        if not bags[d]:
            continue
        x = 1 / math.sqrt(len(bags[d]))
        margin = bias + sum(float(weights[b]) for b in bags[d]) * x
        probability = sigmoid(margin)
        error = rates[labels[d]] * (probability - labels[d])
        losses -= rates[labels[d]] * math.log(probability if labels[d] else 1 - probability)
        seen += 1
        squares += error * error
        bias -= rate * error / math.sqrt(squares)
        for b in bags[d]:
            slope = error * x + l2 * float(weights[b])
            state[b] += one(slope * slope)
            weights[b] -= one(rate * slope / math.sqrt(float(state[b])))
    return weights, bias, losses / max(seen, 1)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.text("ab cd", max_size=12), st.booleans()), max_size=6), st.sampled_from([0.0, 0.01]))
def test_training_equals_twin(rows: list[tuple[str, bool]], l2: float) -> None:
    found = words(*column([text for text, _ in rows]))
    labels = [label for _, label in rows]
    order = [*range(len(rows)), *reversed(range(len(rows)))]
    offsets, buckets = bag_of_pairs(found, BITS)
    weights = np.zeros(1 << BITS, np.float32)
    bias, loss = fit(
        offsets, buckets, np.array(labels, np.bool_), np.array(order, np.int64), weights, rates=(0.7, 1.3), rate=0.2, l2=l2
    )
    bags = [bag(tokens, BITS) for tokens in tokens_of(found)]
    expected, twin_bias, twin_loss = twin_fit(bags, labels, order, (0.7, 1.3), 0.2, l2)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose([bias, loss], [twin_bias, twin_loss], rtol=1e-6, atol=1e-9)


def test_case_does_not_matter_but_order_of_words_does() -> None:
    weights = np.zeros(1 << BITS, np.float32)
    weights[bag([word_hash("good"), word_hash("news")], BITS)[2]] = 3.0
    scores = linear_scores(words(*column(["good news", "GOOD News", "news good", ""])), weights, 0.0)
    assert scores[0] == scores[1] > 0.8
    assert scores[2] == 0.5
    assert scores[3] == 0.0
