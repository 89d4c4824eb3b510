"""Blocks of HTML pages written as text: paragraphs, headings, list items, rows of tables."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.html_names import TAGS
from curate.kernels.html_tree import Pages

__all__ = ["cells", "lines"]

_START, _END, _NODE = range(3)
_PARENT, _TAG, _OWN, _FIRST, _LAST, _LI, _CELL, _ROW, _COLUMN = range(9)
_DD, _DT = TAGS.index("dd"), TAGS.index("dt")
_TAB, _LF, _SPACE, _DASH = 0x09, 0x0A, 0x20, 0x2D


def lines(pages: Pages, keep: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """`(offsets int64[n + 1], data uint8[...])` of the text of n pages: those of their blocks that `keep` names.

    A blank line stands between blocks; items of a list begin with `- ` and stand on lines of their own, as rows of a table do,
    their cells with a tab between, if they hold a block each. O(bytes).
    """
    # Every separator is shorter than the tags that it stands for.
    out = np.empty(len(pages.text) * 2 + 3 * len(pages.nodes) + 64, np.uint8)
    bounds = np.zeros(len(pages.page_blocks), np.int64)
    size = _lines(
        frozen(pages.text, np.uint8), frozen(pages.blocks, np.int64), frozen(pages.nodes, np.int64),
        frozen(pages.page_blocks, np.int64), frozen(keep, np.bool_), bounds, out,
    )  # fmt: skip
    return bounds, out[:size]


def cells(pages: Pages) -> npt.NDArray[np.bool_]:
    """bool[blocks]: those which are a cell of a table with several columns. O(blocks)."""
    out = np.zeros(len(pages.blocks), np.bool_)
    _cells(frozen(pages.blocks, np.int64), frozen(pages.nodes, np.int64), out)
    return out


@njit(cache=True, nogil=True)
def _alone(nodes: Any, node: Any) -> Any:
    """Whether a block is all there is in its cell, and the row has others."""
    cell = nodes[node, _CELL]
    return cell >= 0 and nodes[cell, _LAST] - nodes[cell, _FIRST] == 1 and nodes[nodes[cell, _ROW], _COLUMN] > 1


@njit(cache=True, nogil=True)
def _cells(blocks: Any, nodes: Any, out: Any) -> None:
    for b in range(len(out)):
        out[b] = _alone(nodes, blocks[b, _NODE])


@njit(cache=True, nogil=True)
def _lines(text: Any, blocks: Any, nodes: Any, page_blocks: Any, keep: Any, bounds: Any, out: Any) -> Any:
    w = 0
    for page in range(len(page_blocks) - 1):
        before = -1
        for b in range(page_blocks[page], page_blocks[page + 1]):
            if not keep[b]:
                continue
            node = blocks[b, _NODE]
            item = nodes[node, _LI]
            begins = item >= 0 and nodes[item, _FIRST] == b
            if before >= 0:
                last = blocks[before, _NODE]
                both = _alone(nodes, node) and _alone(nodes, last)
                terms = (nodes[node, _TAG] == _DD or nodes[node, _TAG] == _DT) and nodes[last, _PARENT] == nodes[node, _PARENT]
                if both and nodes[node, _ROW] == nodes[last, _ROW]:
                    columns = nodes[nodes[node, _CELL], _COLUMN] - nodes[nodes[last, _CELL], _COLUMN]
                    for _ in range(max(columns, 1)):
                        out[w] = _TAB
                        w += 1
                elif both or (begins and nodes[last, _LI] >= 0) or (terms and nodes[node, _TAG] == _DD):
                    out[w] = _LF
                    w += 1
                else:
                    out[w] = out[w + 1] = _LF
                    w += 2
            if begins:
                out[w], out[w + 1] = _DASH, _SPACE
                w += 2
            for i in range(blocks[b, _START], blocks[b, _END]):
                out[w] = text[i]
                w += 1
            before = b
        bounds[page + 1] = w
    return w
