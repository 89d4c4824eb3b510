from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.io.token_shards import read, writing_shard
from curate.tokenizing import arrange as module
from curate.tokenizing.arrange import Notes, arrange, packed
from curate.tokenizing.documents import pieces, spans
from curate.tokenizing.options import Arrangement

Documents = list[tuple[float, list[int], list[int]]]
"""What each draws, its ids and its mask."""

DOCUMENT = st.tuples(
    st.sampled_from([0.0, 0.1, 0.5, 0.50001, 0.999999]),
    st.lists(st.tuples(st.integers(0, 999), st.integers(0, 1)), min_size=1, max_size=30),
).map(lambda pair: (pair[0], [token for token, _ in pair[1]], [bit for _, bit in pair[1]]))


def write(folder: Path, units: list[Documents], masked: bool) -> list[dict[str, Any]]:
    """The shards of units of input, one document a batch."""
    entries = []
    for number, documents in enumerate(units):
        notes = Notes()
        with writing_shard(folder, f"train-{number:05d}", "uint16", masked=masked) as shard:
            for draw, ids, mask in documents:
                length = np.array([len(ids)])
                shard.add(np.array(ids), length, 10, np.array(mask, np.uint8) if masked else None)
                notes.add(np.array([draw]), np.array([10]))
        if documents:
            notes.write(folder / f"train-{number:05d}.npy")
            entries.append(shard.entry())
    return entries


def arranged(folder: Path, entries: list[dict[str, Any]], layout: Arrangement, to: str = "out") -> list[dict[str, Any]]:
    found = [arrange(folder, folder / to, "train", entries, "uint16", index, layout) for index in range(module.PARTITIONS)]
    return [one for one in found if one is not None]


def content(folder: Path, found: list[dict[str, Any]], masked: bool) -> list[list[list[tuple[int, int]]]]:
    """Of each shard the documents, as pairs of token and mask."""
    shards = []
    for one in found:
        tokens, positions = read(folder, one["entry"], "uint16", check=True)
        name = one["entry"]["file"]
        mask = np.fromfile(folder / f"{name}.mask", np.uint8) if masked else np.ones(len(tokens), np.uint8)
        both = list(zip(tokens.tolist(), mask.tolist(), strict=True))
        shards.append([both[a:b] for a, b in itertools.pairwise(positions.tolist())])
    return shards


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.lists(DOCUMENT, max_size=6), min_size=1, max_size=4).filter(lambda units: any(units)),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["none", "concatenate", "best_fit"]),
    st.integers(2, 20),
    st.sampled_from([20, 1000]),
)
def test_every_token_is_there_once_with_its_mask_however_the_input_was_cut(
    tmp_path_factory: pytest.TempPathFactory,
    units: list[Documents],
    masked: bool,
    shuffle: bool,
    pack: Any,
    sequence: int,
    shard_tokens: int,
) -> None:
    folder = tmp_path_factory.mktemp("arranged")
    layout = Arrangement(shuffle=shuffle, pack=pack, sequence=None if pack == "none" else sequence)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "SHARD_TOKENS", shard_tokens)
        patch.setattr(module, "CHUNK_TOKENS", 13)
        found = arranged(folder, write(folder, units, masked), layout)
        (folder / "one").mkdir()
        whole = list(itertools.chain(*units))
        again = arranged(folder / "one", write(folder / "one", [whole], masked), layout)
    made = content(folder / "out", found, masked)
    assert content(folder / "one" / "out", again, masked) == made
    assert [one["entry"]["bytes"] for one in again] == [one["entry"]["bytes"] for one in found]
    assert sum(one["entry"]["bytes"] for one in found) == 10 * len(whole)

    given = [list(zip(ids, mask if masked else [1] * len(ids), strict=True)) for _, ids, mask in whole]
    ordered = [given[i] for i in (sorted(range(len(whole)), key=lambda i: whole[i][0]) if shuffle else range(len(whole)))]
    flat = [document for shard in made for document in shard]
    if pack != "best_fit":
        assert list(itertools.chain(*flat)) == list(itertools.chain(*ordered))
    assert sorted(itertools.chain(*flat)) == sorted(itertools.chain(*given))
    if pack == "none":
        assert flat == ordered
        return
    for one, documents in zip(found, made, strict=True):
        bounds = np.fromfile(folder / "out" / f"{one['entry']['file']}.rows", "<u8").tolist()
        assert bounds[0] == 0
        assert bounds[-1] == len(documents)
        assert len(bounds) == one["entry"]["rows"] + 1
        sizes = [sum(map(len, documents[a:b])) for a, b in itertools.pairwise(bounds)]
        assert all(0 < size <= sequence + 1 for size in sizes)
        assert one["room"] == len(sizes) * (sequence + 1)
        if pack == "concatenate":
            assert all(size == sequence + 1 for size in sizes[:-1])
    if pack == "best_fit":
        short = [document for document in given if len(document) <= sequence + 1]
        assert all(flat.count(document) >= short.count(document) for document in short)
        assert sum(one["cut"] for one in found) == len(given) - len(short)
    if len(found) == 1:
        assert found[0]["cut"] <= len(flat) - len(given)


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 20))
def test_pieces_are_the_document_again(lengths: list[int], most: int) -> None:
    document, cut = pieces(np.array(lengths, np.int64), most)
    assert np.bincount(document, cut, len(lengths)).tolist() == lengths
    assert ((cut <= most) & (cut > 0)).all()
    assert len(cut) == sum(-(-length // most) for length in lengths)
    assert (np.diff(document) >= 0).all()


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 5)), max_size=10))
def test_spans_are_the_places_one_by_one(given: list[tuple[int, int]]) -> None:
    starts, lengths = (np.array([pair[i] for pair in given], np.int64) for i in (0, 1))
    assert spans(starts, lengths).tolist() == [start + i for start, length in given for i in range(length)]


def test_best_fit_cuts_only_what_is_longer_than_a_row() -> None:
    lengths = np.array([9, 3, 5, 4, 2, 1])
    best, plain = packed(lengths, 8, True), packed(lengths, 8, False)
    assert (best.cut, plain.cut) == (1, 2)
    for found in (best, plain):
        assert np.add.reduceat(found.length, np.cumsum(found.rows) - found.rows).tolist() == [8, 8, 8]
