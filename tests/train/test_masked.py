"""The masked objective: which tokens are hidden, isolation between documents, training and filling gaps."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.test_packed import some_rows
from tests.train.test_pretrain import Ending, losses
from train import model as models
from train.config import Architecture
from train.data import IGNORE, Cursor, Rows, open_shards
from train.errors import RecipeError
from train.masked import MaskedRows, apart, fill_in, masked_loss_sum, with_mask_token
from train.recipe import check_recipe
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def masked(recipe: dict[str, Any]) -> dict[str, Any]:
    recipe["stages"][0] |= {"objective": "masked", "steps": 24}
    return recipe


def rows_of(shards: Path, tokenizer: Any, share: float = 0.3, seed: int = 5, **options: Any) -> MaskedRows:
    opened = open_shards(shards)
    rows = Rows(opened.split("train", 2), 32, opened.vocab_size, 1, **options)
    return MaskedRows(rows, with_mask_token(copy.deepcopy(tokenizer)), share, seed)


def test_of_the_hidden_tokens_eight_in_ten_show_the_mask_and_one_is_another(shards: Path, tokenizer: Any) -> None:
    rows = rows_of(shards, tokenizer)
    plain = rows_of(shards, tokenizer).rows.next(400)
    batch = rows.next(400)
    asked = batch.targets != IGNORE
    ordinary = ~np.isin(plain.inputs, tokenizer.all_special_ids)
    assert asked.sum() / ordinary.sum() == pytest.approx(0.3, abs=0.02)
    assert not (asked & ~ordinary).any()
    assert (batch.targets[asked] == plain.inputs[asked]).all()
    assert (batch.inputs[~asked] == plain.inputs[~asked]).all()
    shown = batch.inputs[asked]
    assert (shown == rows.mask_id).mean() == pytest.approx(0.8, abs=0.02)
    others = shown[shown != rows.mask_id]
    assert (others != plain.inputs[asked][shown != rows.mask_id]).mean() == pytest.approx(0.5, abs=0.05)
    assert not np.isin(others, tokenizer.all_special_ids).any()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 400), st.integers(1, 9), st.integers(1, 4), st.integers(0, 3))
def test_what_is_hidden_hangs_on_the_row_alone(
    shards: Path, tokenizer: Any, position: int, rows: int, processes: int, seed: int
) -> None:
    rows *= processes
    whole = rows_of(shards, tokenizer, seed=seed)
    whole.cursor = Cursor(1, position)
    wanted = whole.next(rows)
    for rank in range(processes):
        part = rows_of(shards, tokenizer, seed=seed, part=(rank, processes))
        part.cursor = Cursor(1, position)
        found = part.next(rows)
        place = slice(rank * rows // processes, (rank + 1) * rows // processes)
        assert (found.inputs == wanted.inputs[place]).all()
        assert (found.targets == wanted.targets[place]).all()
        assert part.cursor == whole.cursor


def test_each_pass_hides_other_tokens_and_held_out_rows_always_the_same(shards: Path, tokenizer: Any) -> None:
    rows = rows_of(shards, tokenizer)
    first, again = rows.spread(8), rows.spread(8)
    assert (first.inputs == again.inputs).all()
    row = rows.rows.take([3])
    passes = [rows.hide(replace(row, places=((epoch, 0),))) for epoch in (0, 1)]
    assert (passes[0].targets != passes[1].targets).any()


def test_filling_and_what_the_shards_mask_leaves_out_is_never_hidden(tmp_path: Path, tokenizer: Any) -> None:
    rows = some_rows(tmp_path, masked=True)
    tokenizer = with_mask_token(copy.deepcopy(tokenizer))
    hidden = MaskedRows(rows, tokenizer, 0.99, 0)
    hidden._hideable[:] = True
    batch = hidden.spread(8)
    asked = batch.targets != IGNORE
    assert batch.counted is not None
    assert asked[batch.counted].mean() > 0.9
    assert not asked[~batch.counted].any()
    assert 0 < batch.counted.mean() < 0.9


def small(tokenizer: Any, layers: int = 4) -> Any:
    shape = Architecture(layers=layers, width=32, heads=2, context=256)
    return models.build(shape, len(tokenizer), tokenizer, seed=0, masked=True).eval()


def test_a_document_has_the_logits_in_its_row_that_it_has_alone(tokenizer: Any) -> None:
    model = small(tokenizer)
    lengths = [70, 1, 100, 20]  # longer than half the window of local attention, which is 64
    ids = torch.randint(0, 300, (1, sum(lengths)), generator=torch.Generator().manual_seed(1))
    positions = torch.cat([torch.arange(n) for n in lengths])[None]
    with torch.no_grad():
        together = model(input_ids=ids, **apart(model.config, positions)).logits[0]
        leaking = model(input_ids=ids, position_ids=positions).logits[0]
        start = 0
        for n in lengths:
            alone = model(input_ids=ids[:, start : start + n]).logits[0]
            assert float((alone - together[start : start + n]).abs().max()) < 1e-5
            assert float((alone - leaking[start : start + n]).abs().max()) > 1e-4
            start += n


def test_the_loss_is_that_of_transformers(tokenizer: Any) -> None:
    model = small(tokenizer, layers=2)
    ids = torch.randint(0, 300, (2, 16), generator=torch.Generator().manual_seed(1))
    targets = torch.full_like(ids, IGNORE)
    targets[:, 3:7] = ids[:, 3:7]
    with torch.no_grad():
        mean = model(input_ids=ids, labels=targets).loss
        assert float(masked_loss_sum(model, ids, targets)) == pytest.approx(8 * float(mean), rel=1e-5)


def test_training_learns_what_is_hidden_and_fills_gaps(run: Run, masked: dict[str, Any]) -> None:
    masked["prompts"] = ["the cat ___ meow", "the dog"]
    masked["stages"][0] |= {"eval": {"every": 12}, "optimizer": {"lr": 2e-2}}
    result = run(masked)
    stage = result["stages"][0]
    assert abs(stage["loss_before"] - math.log(320)) < 1
    assert stage["loss_after"] < stage["loss_before"] - 2
    assert "bits_per_byte_after" not in stage
    first, second = (sample["answers"]["pretrain"] for sample in result["samples"])
    assert first.startswith("the cat ")
    assert second.startswith("the dog")
    lines = (Path(masked["out"]) / "pretrain" / "samples_by_step.jsonl").read_text().splitlines()
    assert len(lines) == 2
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    folder = Path(masked["out"]) / "pretrain" / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder)
    assert type(model).__name__ == "ModernBertForMaskedLM"
    assert fill_in(model.eval(), tokenizer, "the cat ___ meow")["answer"] == first
    more = masked["stages"][0] | {"name": "more", "model": "previous", "steps": 2}
    again = run({**masked, "stages": [masked["stages"][0], more]})["stages"]
    assert again[1]["loss_before"] == again[0]["loss_after"]


def test_a_gap_takes_the_space_before_it(tokenizer: Any) -> None:
    tokenizer = with_mask_token(copy.deepcopy(tokenizer))
    model = small(tokenizer, layers=1)
    with torch.no_grad():
        model.decoder.bias[tokenizer.convert_tokens_to_ids("Ġsays")] = 1e4
    filled = fill_in(model, tokenizer, "the cat ___ meow and the dog ___ woof")
    assert (filled["answer"], filled["tokens"]) == ("the cat says meow and the dog says woof", 2)
    assert fill_in(model, tokenizer, "the cow")["answer"] == "the cow says"


@pytest.mark.parametrize("isolate", [False, True])
def test_a_broken_off_run_hides_the_same_tokens(run: Run, masked: dict[str, Any], tmp_path: Path, isolate: bool) -> None:
    masked["stages"][0] |= {"eval": {"every": 7}, "save": {"every": 5}, "steps": 9, "isolate_documents": isolate}
    run({**masked, "out": str(tmp_path / "whole")})
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt):
        run(masked, Ending(interrupts, killed=True), interrupts=interrupts)
    run(masked)
    assert losses(masked["out"]) == losses(str(tmp_path / "whole"))
    weights = [Path(out) / "pretrain" / "model" / "model.safetensors" for out in (masked["out"], tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_an_encoder_has_no_kv_heads(masked: dict[str, Any]) -> None:
    masked["stages"][0]["model"]["kv_heads"] = 1
    with pytest.raises(RecipeError, match=r"stages\.0: model\.kv_heads is for decoders"):
        check_recipe(masked, where="r")
