from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given, settings

from curate.kernels.columns import buffers, frozen, strings
from tests.kernels.texts import column, columns


@settings(max_examples=100)
@given(columns)
def test_there_and_back(rows: list[str]) -> None:
    offsets, data = column(rows)
    assert [bytes(data[i:j]).decode() for i, j in itertools.pairwise(offsets)] == rows
    assert strings(offsets, data).to_pylist() == rows


def test_other_string_types_chunks_and_nulls() -> None:
    chunks = pa.chunked_array([["a", None], [], ["é"]], pa.string())
    assert strings(*buffers(chunks)).to_pylist() == ["a", "", "é"]
    assert strings(*buffers(pa.array(["x"]).cast(pa.string_view()))).to_pylist() == ["x"]
    assert strings(*buffers(pa.chunked_array([], pa.large_string()))).to_pylist() == []


def test_slices_are_not_copied() -> None:
    array = pa.array(["one", "two", "three"], pa.large_string())
    offsets, data = buffers(array.slice(1, 2))
    assert offsets.tolist() == [3, 6, 11]
    assert data.ctypes.data == array.buffers()[2].address


def test_frozen_is_a_view() -> None:
    array = np.zeros(3, np.int64)
    view = frozen(array, np.int64)
    assert not view.flags.writeable
    assert array.flags.writeable
    assert np.shares_memory(view, array)
