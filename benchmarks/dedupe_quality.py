"""How well a deduplicated file is: against all pairs of near duplicates, known exactly.

    python -m benchmarks.dedupe_quality ROWS.jsonl TRUTH.json KEPT.jsonl...

TRUTH holds `pairs`: [row, row, Jaccard similarity]. Rows that pairs of at least the threshold join are a component, of which
one row must stay. Precision: of the rows that went, the share of whose component some row stays. Recall: of the rows that must
go, the share that is gone, where rows that stay need to go only if pairs join them to others that stay.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Quality", "quality"]

Pair = tuple[int, int, float]


class Quality(NamedTuple):
    """removed, needed: rows. pairs_left: true pairs of which both rows stay."""

    precision: float
    recall: float
    f1: float
    removed: int
    needed: int
    pairs_left: int


def quality(rows: int, pairs: Iterable[Pair], kept: set[int], threshold: float) -> Quality:
    """Judge the rows that were kept of `rows`. O(rows + pairs)."""
    true = [(a, b) for a, b, similarity in pairs if similarity >= threshold]
    left = [(a, b) for a, b in true if a in kept and b in kept]
    component = _components(range(rows), true)
    among_kept = _components(kept, left)
    needed = rows - len(set(component.values()))
    survives = {component[row] for row in kept}
    removed = [row for row in range(rows) if row not in kept]
    right = sum(component[row] in survives for row in removed)
    precision = right / max(1, len(removed))
    recall = 1 - (len(kept) - len(set(among_kept.values()))) / max(1, needed)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return Quality(precision, recall, f1, len(removed), needed, len(left))


def _components(nodes: Iterable[int], edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    parent = {node: node for node in nodes}

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for a, b in edges:
        parent[root(a)] = root(b)
    return {node: root(node) for node in parent}


def main(rows: str, truth: str, *results: str) -> None:
    """Print the quality of each result at thresholds 0.7 and 0.8."""
    with open(rows, "rb") as handle:
        number = {json.loads(line)["id"]: i for i, line in enumerate(handle)}
    with open(truth, "rb") as handle:
        pairs = json.load(handle)["pairs"]
    for path in results:
        with open(path, "rb") as handle:
            kept = {number[json.loads(line)["id"]] for line in handle}
        for threshold in (0.7, 0.8):
            found = quality(len(number), pairs, kept, threshold)
            figures = " ".join(f"{name}={round(value, 4)}" for name, value in found._asdict().items())
            sys.stdout.write(f"{path} {threshold} {figures}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
