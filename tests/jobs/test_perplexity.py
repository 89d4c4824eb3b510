from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.io.model_files import Model, load_model
from curate.jobs.perplexity import TrainPerplexity
from curate.kernels.ngram_model import BOS, EOS, UNK, log_probabilities
from curate.kernels.words import word_hash
from tests.command import curate
from tests.jobs.kneser_ney import KneserNey
from tests.work import rows, run_job

HASHES = {"<s>": BOS, "</s>": EOS, "<unk>": UNK}


def sentences_of(count: int, seed: int = 0) -> list[list[str]]:
    """Sentences whose words follow one another with a preference, so that n-grams of all counts come up."""
    source = random.Random(seed)
    words = [f"w{i}" for i in range(30)]
    lines = []
    for i in range(count):
        at = source.randrange(30)
        line = [f"rare{i}"] if i % 9 == 0 else []
        for _ in range(source.randrange(1, 9)):
            line.append(words[at])
            at = min(29, int(source.expovariate(0.3))) if source.random() < 0.3 else (at * 7 + 3) % 30
        lines.append(line)
    return lines


def train(folder: Path, lines: list[list[str]], cuts: int = 1, **options: Any) -> Model:
    texts = [" ".join(line) for line in lines]
    size = max(1, -(-len(texts) // cuts))
    job = TrainPerplexity.model_validate({"validation": 0, "splitter": "whitespace", **options})
    run_job(job, folder, [[rows(texts[i : i + size], i)] for i in range(0, len(texts), size)])
    return load_model(str(folder), "perplexity", 1, "")


def conditional(model: Model, word: str, context: tuple[str, ...]) -> float:
    """p(word | context) of a model; the context may begin with the mark of the beginning."""
    both = [HASHES.get(w) or word_hash(w) for w in (*context, word)]
    # Without the mark nothing is longer than what is there, and the first token is not scored.
    start = [] if context[:1] == ("<s>",) else [BOS]
    tokens = np.array([*start, *both], np.uint64)
    order = int(model.header["order"])
    if start:  # the window must not reach the mark
        assert len(context) >= order - 1
    whole, part = (
        log_probabilities(tokens[:end], np.array([0, end]), model.arrays["table"], order, True)[0][0]
        for end in (len(tokens), len(tokens) - 1)
    )
    return float(10 ** (whole - part))


def contexts_of(words: list[str], order: int) -> list[tuple[str, ...]]:
    some = [("<s>",), *[("<s>", w) for w in words[:4]]] if order > 2 else [("<s>",)]
    inner = list(itertools.product([*words[:5], "<unk>"], repeat=order - 1))
    return [*some, *inner[:: max(1, len(inner) // 40)]]


@pytest.mark.parametrize(("order", "options"), [(2, {}), (3, {}), (4, {}), (3, {"max_ngrams": 1000}), (3, {"vocab_size": 12})])
def test_probabilities_equal_twin_and_add_up(order: int, options: dict[str, int], tmp_path: Path) -> None:
    lines = sentences_of(1500)
    model = train(tmp_path, lines, order=order, **options)
    least = model.header["least_counts"]
    assert (max(least) > 1) == ("max_ngrams" in options)
    assert sum(model.header["ngrams"][1:]) <= options.get("max_ngrams", 10**9)
    every = [f"w{i}" for i in range(30)]
    never = conditional(model, "never", ("<s>",))
    known = {word for word in every if conditional(model, word, ("<s>",)) != never}
    assert len(known) == options.get("vocab_size", 30)
    twin = KneserNey(lines, order, least, known)
    unknown = model.header["unknown_words"]
    assert unknown == twin.unknown
    np.testing.assert_allclose(model.header["discounts"], [d[1:] for d in twin.discounts[1:]], rtol=1e-12)
    for context in contexts_of(sorted(twin.words), order):
        found = {word: conditional(model, word, context) for word in (*sorted(twin.words), "</s>")}
        never = conditional(model, "never", context)
        assert math.isclose(sum(found.values()) + unknown * never, 1, rel_tol=2e-5)
        for word, probability in found.items():
            assert math.isclose(probability, twin.p(word, context), rel_tol=2e-5), (context, word)
        assert math.isclose(unknown * never, twin.p("<unk>", context), rel_tol=2e-5)


@settings(max_examples=15)
@given(st.lists(st.lists(st.sampled_from("abcde"), min_size=1, max_size=5), min_size=1, max_size=12), st.integers(2, 4))
def test_probabilities_of_tiny_texts_equal_twin(lines: list[list[str]], order: int) -> None:
    with TemporaryDirectory() as folder:
        model = train(Path(folder), lines, order=order)
        twin = KneserNey(lines, order, model.header["least_counts"])
        for context in contexts_of(sorted(twin.words) or ["<unk>"], order):
            every = [conditional(model, word, context) for word in (*sorted(twin.words), "</s>", "<unk>")]
            wanted = [twin.p(word, context) for word in (*sorted(twin.words), "</s>", "<unk>")]
            wanted[-1] /= twin.unknown
            np.testing.assert_allclose(every, wanted, rtol=2e-5)
            assert math.isclose(sum(every) + (twin.unknown - 1) * every[-1], 1, rel_tol=2e-5)


def test_the_model_does_not_depend_on_shards(tmp_path: Path) -> None:
    found = set()
    for cuts in (1, 4):
        train(tmp_path / str(cuts), sentences_of(400), cuts, validation=0.2, sample_bytes=4000)
        found.add(tuple(path.read_bytes() for path in sorted((tmp_path / str(cuts) / "data").iterdir())))
    assert len(found) == 1


def test_what_is_held_out_is_measured(tmp_path: Path) -> None:
    header = train(tmp_path / "a", sentences_of(2000), validation=0.1).header
    held_out = header["held_out"]
    assert 100 < held_out["texts"] < 300
    assert 1 < held_out["perplexity"] < 12
    spread = list(held_out["percentiles"].values())
    assert spread == sorted(spread)
    assert spread[0] < held_out["perplexity"] < spread[-1]
    assert train(tmp_path / "b", sentences_of(20)).header["held_out"] is None


def test_nothing_to_train_on_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no word to train on"):
        train(tmp_path, [["\t"]])


def test_from_texts_to_a_filter_in_two_commands(tmp_path: Path) -> None:
    lines = sentences_of(600)
    (tmp_path / "liked.jsonl").write_text("\n".join(json.dumps({"text": " ".join(line)}) for line in lines))
    done = curate("perplexity", "train", "liked.jsonl", "-o", "liked.model", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "held out: perplexity" in done.stderr
    texts = ["w3 w24 w21 w0 w3", "w24 w3 w24 w3 w24", "these are words it never saw"]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    steps = "steps=[{step: perplexity, model: liked.model, max_perplexity: 15}]"
    done = curate("clean", "in.jsonl", "--set", steps, "-o", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == texts[:1]
