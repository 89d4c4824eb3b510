from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.lines import lines
from curate.kernels.repeats import paragraphs, repeats
from tests.kernels.texts import column, columns

_LINES = ["a", "a ", " a", "b", "", " ", "\t", "ab", "é", "a\r"]
repetitive = st.lists(st.lists(st.sampled_from(_LINES), max_size=12).map("\n".join), max_size=4)


def twin(spans: list[str], judged: list[bool], consecutive: bool) -> list[bool]:
    seen: set[str] = set()
    before: str | None = None
    flags = []
    for span, is_judged in zip(spans, judged, strict=True):
        bare = span.strip(" \t\r")
        flags.append(is_judged and (bare == before if consecutive else bare in seen))
        if is_judged:
            seen.add(bare)
        if is_judged or bare:
            before = bare if is_judged else None
    return flags


@settings(max_examples=300)
@given(st.one_of(repetitive, columns), st.booleans(), st.data())
def test_repeats_equal_twin(rows: list[str], consecutive: bool, draw: st.DataObject) -> None:
    offsets, data = column(rows)
    found = lines(offsets, data)
    n = len(found.starts)
    judged = draw.draw(st.lists(st.booleans(), min_size=n, max_size=n))
    flags = repeats(found, data, np.array(judged, np.bool_), consecutive).tolist()
    for row, a, b in zip(rows, found.bounds.tolist(), found.bounds[1:].tolist(), strict=False):
        assert flags[a:b] == twin(row.split("\n"), judged[a:b], consecutive)


@settings(max_examples=300)
@given(st.one_of(repetitive, columns))
def test_paragraphs_equal_twin(rows: list[str]) -> None:
    offsets, data = column(rows)
    found = lines(offsets, data)
    first, last, spans = paragraphs(found, data)
    expected: list[list[str]] = []
    for row in rows:
        parts: list[list[str]] = [[]]
        for line in row.split("\n"):
            if line.strip(" \t\r"):
                parts[-1].append(line)
            elif parts[-1]:
                parts.append([])
        expected.append(["\n".join(part) for part in parts if part])
    texts = [bytes(data[a:b]).decode() for a, b in zip(spans.starts, spans.ends, strict=True)]
    bounds = spans.bounds.tolist()
    assert [texts[a:b] for a, b in itertools.pairwise(bounds)] == expected
    assert (found.starts[first] == spans.starts).all()
    assert (found.ends[last - 1] == spans.ends).all()
