from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.unionfind import components

_graphs = st.integers(1, 40).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=60))
)


def flood(n: int, edges: list[tuple[int, int]]) -> list[int]:
    """Smallest label spreads over the edges until nothing changes."""
    labels = list(range(n))
    changed = True
    while changed:
        changed = False
        for a, b in edges:
            low = min(labels[a], labels[b])
            changed |= labels[a] != low or labels[b] != low
            labels[a] = labels[b] = low
    return labels


@settings(deadline=None, max_examples=200)
@given(_graphs)
def test_equals_twin(graph: tuple[int, list[tuple[int, int]]]) -> None:
    n, edges = graph
    ends = np.array(edges, np.int64).reshape(-1, 2)
    assert components(n, ends[:, 0], ends[:, 1]).tolist() == flood(n, edges)


def test_a_long_path_given_backwards() -> None:
    n = 200_000
    nodes = np.arange(n - 1)[::-1]
    assert not components(n, nodes, nodes + 1).any()


def test_no_nodes() -> None:
    assert components(0, np.empty(0, np.int64), np.empty(0, np.int64)).tolist() == []


def test_edges_must_fit() -> None:
    with pytest.raises(ValueError, match="two ends"):
        components(3, np.array([0]), np.array([1, 2]))
    with pytest.raises(ValueError, match=r"0\.\.2"):
        components(3, np.array([0]), np.array([3]))
    with pytest.raises(ValueError, match=r"0\.\.2"):
        components(3, np.array([-1]), np.array([0]))
