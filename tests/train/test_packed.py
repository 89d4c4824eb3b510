"""Packed, masked and isolated documents, and the loader: from shards on disk to the loss of a tiny model."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.io.token_shards import writing_shard
from tests.train.test_pretrain import Ending, losses
from train import model as models
from train.config import Architecture
from train.data import IGNORE, Cursor, Rows, open_shards
from train.errors import DataError, Interrupted
from train.evaluate import loss_sum
from train.loader import Loader
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]
Row = list[list[tuple[int, int]]]
"""Documents of a row, each of pairs of token and mask."""


def write_packed(folder: Path, splits: dict[str, list[list[Row]]], sequence: int | None, masked: bool, vocab: int) -> Path:
    """Shards of rows of documents; with no `sequence` the rows are not written down. The tokenizer is put beside by hand."""
    header: dict[str, Any] = {
        "format": "curate-tokens-1", "dtype": "uint16", "vocab_size": vocab, "eos_id": 0, "tokenizer": "tokenizer",
        "content": "examples" if masked else "text", "splits": {},
    }  # fmt: skip
    header |= {} if sequence is None else {"sequence": sequence}
    for split, shards in splits.items():
        entries = []
        for number, rows in enumerate(shards):
            with writing_shard(folder, f"{split}-{number}", "uint16", masked=masked) as shard:
                for document in itertools.chain(*rows):
                    ids, mask = (np.array([pair[i] for pair in document]) for i in (0, 1))
                    shard.add(ids, np.array([len(ids)]), 3, mask.astype(np.uint8) if masked else None)
                if sequence is not None:
                    shard.rows = np.array([len(row) for row in rows], np.int64)
            entries.append(shard.entry())
        header["splits"][split] = entries
    (folder / "tokens.json").write_text(json.dumps(header))
    return folder


def write_words(folder: Path) -> None:
    """A tokenizer of the words 0 to 99."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    folder.mkdir()
    Tokenizer(WordLevel({str(i): i for i in range(100)}, unk_token="0")).save(str(folder / "tokenizer.json"))


def documents(least: int = 1) -> st.SearchStrategy[list[list[tuple[int, int]]]]:
    return st.lists(
        st.lists(st.tuples(st.integers(0, 99), st.integers(0, 1)), min_size=1, max_size=9), min_size=least, max_size=12
    )


@settings(deadline=None, max_examples=60)
@given(documents(), st.integers(2, 11), st.booleans(), st.booleans(), st.booleans(), st.integers(1, 3))
def test_rows_are_the_documents_with_their_mask_and_positions(
    tmp_path_factory: pytest.TempPathFactory, flat: Row, sequence: int, masked: bool, isolate: bool, pack: bool, each: int
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    write_words(folder / "tokenizer")
    flat = [document[: sequence + 1] for document in flat]
    rows: list[Row] = []
    for document in flat:
        if not rows or sum(map(len, rows[-1])) + len(document) > sequence + 1:
            rows.append([])
        rows[-1].append(document)
    shards = [rows[i : i + each] for i in range(0, len(rows), each)]
    opened = open_shards(write_packed(folder, {"train": shards}, sequence if pack else None, masked, 100))
    opened.verify()
    split = opened.split("train", 1)
    assert split.trained == (sum(bit for document in flat for _, bit in document) if masked else None)
    for i, document in enumerate(flat):
        ids, mask = split.document(i)
        assert ids.tolist() == [token for token, _ in document]
        assert mask.tolist() == [bit == 1 or not masked for _, bit in document]
    # What each row must be, token by token: id, whether it may be a target, place in its document.
    stream = [(token, bool(bit) or not masked, place) for document in flat for place, (token, bit) in enumerate(document)]
    if pack:
        bounds = np.cumsum([0, *(sum(map(len, row)) for row in rows)]).tolist()
    else:
        bounds = list(range(0, len(stream) - sequence, sequence))
    reader = Rows(split, sequence, 100, seed=1, isolate=isolate)
    assert reader.count == (len(rows) if pack else (len(stream) - 1) // sequence)
    if not reader.count:
        return
    batch = reader.take(list(range(reader.count)))
    for i in range(reader.count):
        row = stream[bounds[i] : bounds[i + 1]] if pack else stream[bounds[i] : bounds[i] + sequence + 1]
        n = len(row)
        assert batch.inputs[i, : n - 1].tolist() == [token for token, _, _ in row[:-1]]
        wanted = [token if trained and not (isolate and place == 0) else IGNORE for token, trained, place in row[1:]]
        assert batch.targets[i].tolist() == wanted + [IGNORE] * (sequence + 1 - n)
        if isolate:
            assert batch.positions is not None
            place = -1
            for column, (_, _, inside) in enumerate(row[:sequence]):
                place = 0 if column == 0 or inside == 0 else place + 1
                assert batch.positions[i, column] == place
            # What fills the row up is a document of its own.
            assert batch.positions[i, n:].tolist() == list(range(sequence - n))
    assert (batch.positions is None) != isolate


def small(vocab: int, positions: int = 64) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab, max_position_embeddings=positions, **shape)).eval()


def some_rows(folder: Path, masked: bool = False) -> Rows:
    draw = np.random.default_rng(0)
    rows: list[Row] = [
        [[(int(t), int(draw.integers(2))) for t in draw.integers(1, 99, n)] for n in lengths]
        for lengths in ([9, 1, 14], [24], [3, 4, 5, 2])
    ]
    write_words(folder / "tokenizer")
    shards = open_shards(write_packed(folder, {"train": [rows]}, 24, masked, 100))
    return Rows(shards.split("train", 1), 24, 100, seed=0, isolate=True)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_a_packed_document_gives_the_logits_that_it_gives_alone(tmp_path: Path, attention: str) -> None:
    rows = some_rows(tmp_path)
    batch = rows.take([0, 1, 2])
    model = small(100)
    model.set_attn_implementation(attention)
    inputs, positions = torch.from_numpy(batch.inputs), torch.from_numpy(batch.positions)
    with torch.no_grad():
        together = model(input_ids=inputs, position_ids=positions, use_cache=False).logits
        mixed = model(input_ids=inputs, use_cache=False).logits
        nats, document = 0.0, 0
        for row, lengths in enumerate(([9, 1, 14], [24], [3, 4, 5, 2])):
            start = 0
            for length in lengths:
                ids = torch.from_numpy(rows.split.document(document)[0])[None]
                alone = model(input_ids=ids, use_cache=False).logits[0]
                assert torch.allclose(together[row, start : start + length], alone[: 24 - start], atol=1e-5)
                if start:
                    assert not torch.allclose(mixed[row, start : start + length], alone[: 24 - start], atol=1e-3)
                if length > 1:
                    nats += float(loss_sum(model, ids[:, :-1], ids[:, 1:]))
                start += length
                document += 1
        packed = loss_sum(model, *(torch.from_numpy(array) for array in batch.arrays))
    assert float(packed) == pytest.approx(nats, rel=1e-5)


def test_only_what_the_mask_marks_is_in_the_loss(tmp_path: Path) -> None:
    batch = some_rows(tmp_path, masked=True).take([0, 1, 2])
    trained = batch.targets != IGNORE
    assert 0 < trained.sum() < trained.size // 2
    model = small(100)
    with torch.no_grad():
        inputs, positions = torch.from_numpy(batch.inputs), torch.from_numpy(batch.positions)
        logits = model(input_ids=inputs, position_ids=positions, use_cache=False).logits
        likely = torch.log_softmax(logits, -1)
        wanted = -sum(float(likely[i, j, batch.targets[i, j]]) for i, j in zip(*np.nonzero(trained), strict=True))
        found = loss_sum(model, *(torch.from_numpy(array) for array in batch.arrays))
    assert float(found) == pytest.approx(wanted, rel=1e-5)


def test_rows_of_another_length_and_damaged_files_are_refused(tmp_path: Path) -> None:
    rows = some_rows(tmp_path, masked=True)
    with pytest.raises(DataError, match="packed into rows of 24 tokens, sequence is 32; set sequence to 24"):
        Rows(rows.split, 32, 100, seed=0)
    good = (tmp_path / "train-0.mask").read_bytes()
    (tmp_path / "train-0.mask").write_bytes(bytes([1 - good[0]]) + good[1:])
    with pytest.raises(DataError, match=r"train-0\.mask: its content is not what"):
        open_shards(tmp_path).verify()
    (tmp_path / "train-0.mask").write_bytes(good[1:])
    with pytest.raises(DataError, match=r"train-0\.mask: has \d+ bytes"):
        open_shards(tmp_path)
    (tmp_path / "train-0.mask").write_bytes(good)
    bounds = np.fromfile(tmp_path / "train-0.rows", "<u8")
    bounds[[1, 2]] = bounds[[2, 1]]
    bounds.tofile(tmp_path / "train-0.rows")
    with pytest.raises(DataError, match=r"train-0\.rows: does not rise from 0 to 8"):
        Rows(open_shards(tmp_path).split("train", 1), 24, 100, seed=0)


@pytest.fixture
def packed_recipe(recipe: dict[str, Any], shards: Path, tokenizer: Any, tmp_path: Path) -> dict[str, Any]:
    """The recipe on the same text, packed: every token of a sentence's second half is trained on."""
    folder = tmp_path / "packed"
    folder.mkdir()
    shutil.copytree(shards / "tokenizer", folder / "tokenizer")
    opened = open_shards(shards)
    made: dict[str, list[list[Row]]] = {}
    for name in ("train", "validation"):
        split = opened.split(name, 1)
        made[name] = [[]]
        for i in range(len(split.documents) - 1):
            ids = split.document(i)[0].tolist()
            halves = [[(token, 1) for token in part] for part in (ids[:14], ids[14:33])]
            made[name][0].append([half for half in halves if half])
    write_packed(folder, made, 32, masked=True, vocab=opened.vocab_size)
    header = json.loads((folder / "tokens.json").read_text())
    (folder / "tokens.json").write_text(json.dumps({**header, "eos_id": opened.eos_id}))
    recipe["stages"][0] |= {"data": str(folder), "isolate_documents": True, "eval": {"every": 13}, "save": {"every": 10}}
    # The halves of sentences end in the middle of them.
    recipe["stages"][0]["allow"] = ["end"]
    return recipe


def test_packed_shards_train_and_a_stopped_run_ends_bit_for_bit_the_same(
    run: Run, packed_recipe: dict[str, Any], tmp_path: Path
) -> None:
    whole = run({**packed_recipe, "out": str(tmp_path / "whole")})["stages"][0]
    assert whole["loss_after"] < whole["loss_before"] - 2
    assert "bits_per_byte_after" not in whole
    interrupts = Interrupts()
    with pytest.raises(Interrupted):
        run(packed_recipe, Ending(interrupts, False), interrupts=interrupts)
    run(packed_recipe)
    assert losses(packed_recipe["out"]) == losses(str(tmp_path / "whole"))
    weights = [Path(out) / "pretrain" / "model" / "model.safetensors" for out in (packed_recipe["out"], tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_the_size_of_the_micro_batch_changes_no_gradient(run: Run, packed_recipe: dict[str, Any], tmp_path: Path) -> None:
    found = []
    for micro in (8, 2):
        stage = packed_recipe["stages"][0] | {"steps": 3, "batch": {"sequences": 8, "micro": micro}}
        run({**packed_recipe, "out": str(tmp_path / str(micro)), "stages": [stage]})
        found.append([loss for _, loss in losses(str(tmp_path / str(micro)))])
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def test_pairs_of_answers_are_no_text_to_pretrain_on(run: Run, packed_recipe: dict[str, Any]) -> None:
    file = Path(packed_recipe["stages"][0]["data"]) / "tokens.json"
    file.write_text(file.read_text().replace('"examples"', '"preferences"'))
    with pytest.raises(DataError, match="holds pairs of answers"):
        run(packed_recipe)


def test_the_loader_reads_ahead_and_its_place_is_that_of_what_it_gave(shards: Path) -> None:
    opened = open_shards(shards)
    rows = Rows(opened.split("train", 2), 32, opened.vocab_size, seed=3)
    steps = rows.count // 4 + 3  # into the second pass
    wanted = [rows.next(4) for _ in range(steps)]
    with Loader(Rows(rows.split, 32, opened.vocab_size, seed=3), 4) as loader:
        for step in range(steps - 3):
            inputs, targets = loader.next()
            assert (inputs.numpy() == wanted[step].inputs).all()
            assert (targets.numpy() == wanted[step].targets).all()
        place = replace(loader.cursor)
    assert place != Cursor()
    later = Rows(rows.split, 32, opened.vocab_size, seed=3)
    later.cursor = place
    with Loader(later, 4) as loader:
        for step in range(steps - 3, steps):
            assert (loader.next()[0].numpy() == wanted[step].inputs).all()


def test_what_goes_wrong_in_the_thread_is_said_where_rows_are_asked_for(shards: Path) -> None:
    opened = open_shards(shards)
    loader = Loader(Rows(opened.split("train", 2), 32, 100, seed=3), 4)
    with loader, pytest.raises(DataError, match="is not below vocab_size 100"):
        loader.next()
    assert not loader._thread.is_alive()


def test_the_model_is_the_one_that_was_built(tokenizer: Any) -> None:
    """Isolation hangs on transformers: a model of ours without a mask and with SDPA."""
    model = models.build(Architecture(layers=1, width=32, heads=2, context=64), len(tokenizer), tokenizer, seed=0)
    assert model.config._attn_implementation == "sdpa"
