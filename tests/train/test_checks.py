"""What is looked at before the first step: each check on a good and a bad case, and what a run does with it."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.conftest import documents, write_shards, write_tokenizer
from tests.train.test_packed import small, some_rows, write_packed, write_words
from train import checks
from train.config import PretrainStage
from train.data import Shards, Split, open_shards
from train.errors import TrainError
from train.evaluate import loss_sum
from train.model import Memory

Run = Callable[..., dict[str, Any]]
Document = list[tuple[int, int]]


def shards_of(folder: Path, texts: list[list[int]], masks: list[list[int]] | None = None, eos: int = 0) -> tuple[Shards, Split]:
    if not (folder / "tokenizer").exists():
        write_words(folder / "tokenizer")
    rows = [[[(t, masks[i][j] if masks else 1) for j, t in enumerate(ids)] for i, ids in enumerate(texts)]]
    shards = open_shards(write_packed(folder, {"train": [rows]}, None, masks is not None, 100))
    assert shards.eos_id == eos
    return shards, shards.split("train", 1)


def test_a_document_begins_once(tmp_path: Path) -> None:
    for texts, problem in [
        ([[9, 1, 0], [9, 2, 0]], None),
        ([[1, 0], [2, 0]], None),
        ([[9, 9, 1, 0], [9, 2, 0]], "1 of 2 documents hold the bos token 9 past their beginning"),
        ([[9, 1, 0], [2, 0], [3, 0]], "1 of 3 documents begin with the bos token 9, the others do not"),
    ]:
        found = checks.begins(shards_of(tmp_path, texts)[1], 9)
        assert found is None if problem is None else found is not None and found.startswith(problem)
    assert checks.begins(shards_of(tmp_path, [[9, 9]])[1], None) is None


def test_a_document_ends_and_the_end_is_trained_on(tmp_path: Path) -> None:
    for texts, problem in [
        ([[1, 2, 0], [3, 0]], None),
        ([[1, 2, 0], [3, 4]], "1 of 2 documents do not end with 0"),
        ([[1, 0, 2, 0]], "1 of 1 documents hold the end token 0 before their end"),
    ]:
        found = checks.ends(*shards_of(tmp_path, texts), [0])
        assert found is None if problem is None else found is not None and found.startswith(problem)
    # 7 ends a turn, and 5 is the line break that follows it.
    answered = [[1, 2, 7, 5], [1, 3, 7, 5]]
    assert checks.ends(*shards_of(tmp_path, answered, [[0, 1, 1, 1]] * 2), [0, 7]) is None
    unsaid = checks.ends(*shards_of(tmp_path, answered, [[0, 1, 0, 1]] * 2), [0, 7])
    assert unsaid is not None
    assert unsaid.startswith("in none of 2 documents is a token trained on that ends an answer")


def test_padding_is_no_target(tmp_path: Path) -> None:
    split = shards_of(tmp_path, [[1, 8, 0]], [[1, 0, 1]])[1]
    assert checks.padding(split, 8, 100) is None
    assert checks.padding(split, 1, 100) == "1 documents hold the padding token 1 among what is trained on"
    assert checks.padding(split, 100, 100) == "the padding token 100 is not below the model's 100 ids"


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=9),
    st.lists(st.lists(st.integers(0, 3), max_size=4), min_size=1, max_size=9),
)
def test_overlap_counts_equal_documents(
    tmp_path_factory: pytest.TempPathFactory, train: list[list[int]], heldout: list[list[int]]
) -> None:
    folder = tmp_path_factory.mktemp("overlap")
    write_words(folder / "tokenizer")

    def rows(texts: list[list[int]]) -> list[list[list[Document]]]:
        return [[[[(token, 1) for token in ids] for ids in texts]]]

    shards = open_shards(write_packed(folder, {"train": rows(train), "validation": rows(heldout)}, None, False, 100))
    found = checks.overlap(*(shards.splits[name] for name in ("train", "validation")))
    full = [ids for ids in heldout if ids]
    assert found == (sum(ids in train for ids in full), len(full))


def test_documents_are_hashed_alike_across_blocks(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = open_shards(shards).split("train", 1)
    whole = checks.hashes(split)
    assert len(np.unique(whole)) == len(whole) == len(split.documents) - 1
    monkeypatch.setattr("train.checks.BLOCK", 100)
    assert (checks.hashes(split) == whole).all()


def test_one_in_a_hundred_may_be_on_both_sides() -> None:
    assert checks.overlapping(1, 100) is None
    problem = checks.overlapping(2, 100)
    assert problem == "2 of 100 held-out documents are in the training data too; deduplicate before splitting"


def test_memory_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.checks.free_memory", lambda device: 10 << 30)
    assert checks.fits(Memory(8 << 30, 1 << 30, 1 << 30), "cpu") is None
    problem = checks.fits(Memory(9 << 30, 1 << 30, 1 << 30), "cpu")
    assert problem is not None
    assert problem.startswith("needs about 11.0 GiB (9.0 for weights and optimizer, 2.0 for what is computed at once), 10.0")
    monkeypatch.setattr("train.checks.free_memory", lambda device: None)
    assert checks.fits(Memory(9 << 60, 0, 0), "cpu") is None
    assert Memory(8, 2, 1).spread(4) == Memory(2, 2, 1)


def test_a_new_model_guesses() -> None:
    assert checks.fresh_loss(float(np.log(100)) + 0.9, 100) is None
    problem = checks.fresh_loss(float(np.log(100)) + 1.1, 100)
    assert problem is not None
    assert problem.startswith("the new model starts at a loss of 5.71, where guessing among 100 tokens is 4.61")


def test_a_loss_that_hangs_on_the_micro_batch_is_found(tmp_path: Path) -> None:
    model = small(100)
    rows = tuple(torch.from_numpy(array) for array in some_rows(tmp_path).take([0, 1, 2]).arrays)
    assert checks.accumulation(model, rows, loss_sum) is None
    assert all(p.grad is None for p in model.parameters())

    def mean(*given: Any) -> torch.Tensor:
        return loss_sum(*given) / len(given[1])

    problem = checks.accumulation(model, rows, mean)
    assert problem is not None
    assert "one by one" in problem


def test_documents_that_see_one_another_are_found(tmp_path: Path) -> None:
    model = small(100)
    batch = tuple(torch.from_numpy(array) for array in some_rows(tmp_path).take([0, 1, 2]).arrays)

    def apart(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        return found

    def leaking(model: Any, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = model(input_ids=ids, use_cache=False).logits
        return found

    # Three documents of the first row, four of the last and its filling; the second row has but one.
    assert checks.isolation(model, batch, apart) == (None, 8)
    problem, _ = checks.isolation(model, batch, leaking)
    assert problem is not None
    assert problem.startswith("logits of a document alone and in its row differ by ")


def test_the_time_that_is_left_is_told() -> None:
    stage = PretrainStage(data="d", minutes=2)
    assert checks.time_of(stage, 1000, 0.05) == "0.05 s a step, 1,000 steps: about 50 s"
    assert checks.time_of(stage, 1000, 0.5) == "0.50 s a step, 1,000 steps: about 8.3 minutes"
    assert checks.time_of(stage, 100_000, 0.5) == "0.50 s a step, 100,000 steps: about 13.9 hours"
    assert checks.time_of(stage, None, 0.5) == "0.50 s a step, 2.0 minutes: about 240 steps"


@pytest.fixture
def unending(recipe: dict[str, Any], shards: Path, tmp_path: Path) -> dict[str, Any]:
    """The recipe on shards of a tokenizer whose padding is a word of the text, and held-out text that is trained on."""
    folder = tmp_path / "bad"
    folder.mkdir()
    tokenizer = write_tokenizer(folder / "tokenizer", pad_token="Ġcat")
    write_shards(folder, tokenizer, {"train": [documents(30, 2)], "validation": [documents(6, 2)]})
    recipe["stages"][0] |= {"data": str(folder), "steps": 2}
    return recipe


def test_a_check_that_fails_stops_before_the_first_step_unless_it_is_named(
    run: Run, unending: dict[str, Any], tmp_path: Path
) -> None:
    said = r"^pretrain: check pad: \d+ documents hold the padding token \d+ .*\(to train all the same: allow: \[pad\]\)$"
    with pytest.raises(TrainError, match=said):
        run(unending)
    assert not (Path(unending["out"]) / "pretrain" / "metrics.jsonl").exists()
    with pytest.raises(TrainError, match=r"check pad: .*; check overlap: 6 of 6 .*allow: \[pad, overlap\]"):
        run(copy.deepcopy(unending), check=True)
    allowed = copy.deepcopy(unending)
    allowed["stages"][0]["allow"] = ["pad"]
    events: list[dict[str, Any]] = []
    run(allowed, events)
    assert next(e["message"] for e in events if e["event"] == "warning").endswith("(allowed)")
    shutil.rmtree(unending["out"])
    allowed["stages"][0]["allow"] = ["pad", "overlap"]
    events = []
    run(allowed, events, check=True)
    notes = [e["message"] for e in events if e["event"] == "note"]
    assert any(note.startswith("check accumulation: ") for note in notes)


@pytest.mark.parametrize("objective", ["causal", "masked"])
def test_checking_looks_at_everything_and_takes_two_steps(run: Run, recipe: dict[str, Any], objective: str) -> None:
    recipe["stages"][0] |= {"objective": objective, "isolate_documents": True}
    events: list[dict[str, Any]] = []
    stage = run(recipe, events, check=True)["stages"][0]
    assert stage["steps"] == 2
    notes = [e["message"] for e in events if e["event"] == "note"]
    seen = [note.split()[1].rstrip(":") for note in notes if note.startswith("check ")]
    assert seen == ["memory", "end", "pad", "overlap", "accumulation", "isolation", "fresh_loss", "reload"]
    assert any("24 steps: about" in note for note in notes)
    examples = [e["message"] for e in events if e["event"] == "example"]
    assert len(examples) == 4
    assert all("⟦" in text for text in examples[:3])
    assert " -> " in examples[3]
