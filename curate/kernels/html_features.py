"""What each block of a page looks like, among its neighbours and in the elements that hold it: the features of main text."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.html_names import MARKS, TAGS, WORDS
from curate.kernels.html_tree import Pages

__all__ = ["FEATURES", "features"]

_START, _END, _NODE, _MASS, _LINKED, _WORDS, _COMMAS, _STOPS, _CAPITALS, _DIGITS, _LINKS, _BREAKS, _INLINE = range(13)
_PARENT, _TAG, _OWN, _FIRST, _LAST, _LI, _CELL, _ROW, _COLUMN, _LEVEL = range(10)
_H = {name: number for number, name in enumerate(TAGS)}
_H1, _H6 = _H["h1"], _H["h6"]
_WORD_BIT = 32
_TAG_BITS, _WORD_BITS = 20, 25
# An element with more of the page's text than this is the page's frame, and its names say nothing of one block.
_WIDE, _WIDER = 0.5, 0.9
_FIRM = sum(1 << (_WORD_BIT + list(WORDS).index(name)) for name in ("comment", "legal"))  # said of the wider ones too
_LESSER = sum(1 << (_WORD_BIT + list(WORDS).index(name)) for name in ("comment", "legal", "related", "side", "foot", "nav"))
_LESSER |= sum(1 << MARKS.index(name) for name in ("nav", "footer", "aside", "hidden"))
_COOKIE = np.frombuffer(b"ookie", np.uint8)
_NEAR = 2

FEATURES: tuple[str, ...] = (
    "mass", "linked share", "words", "commas", "stops", "capitals", "digits", "links", "breaks", "ends a sentence",
    "heading level", "mass before", "place", "blocks of page", "mass of page", "worth of page", "depth", "after the first h1",
    "from the first h1", "worth per mass of page",
    *(f"in {name}" for name in MARKS), *(f"near {name}" for name in MARKS),
    *(f"word {name}" for name in WORDS), *(f"near word {name}" for name in WORDS),
    *(f"{step:+d} {name}" for step in (-2, -1, 1, 2)
      for name in ("mass", "linked share", "heading", "signs", "same tag", "same parent")),
    "worth around", "linked share around",
    *(f"{name} of holder {level}" for level in (1, 2, 3) for name in ("linked share", "share of worth", "mass per block")),
    "in core", "in tight core", "from core", "worth of core", "place in core",
    "from long block before", "same parent before", "to long block behind", "same parent behind", "levels out of core",
    *(f"{name} of part of {core}" for core in ("core", "tight core")
      for name in ("linked share", "share of worth", "mass", "signs")),
    "first character", "last character", "cookie", "in lesser part",
)  # fmt: skip
"""What each column says. Masses, numbers and distances are log(1 + x); `word` marks come from class names, ids and roles."""


def features(pages: Pages) -> npt.NDArray[np.float32]:
    """float32[blocks, FEATURES], after boilerpipe (Kohlschütter et al. 2010: link density and length of a block and its
    neighbours), CETD (Sun et al. 2011: text density of the elements around) and readability (class names). O(bytes)."""
    out = np.zeros((len(pages.blocks), len(FEATURES)), np.float32)
    _features(
        frozen(pages.text, np.uint8), frozen(pages.blocks, np.int64), frozen(pages.nodes, np.int64),
        frozen(pages.page_blocks, np.int64), frozen(pages.page_nodes, np.int64), out,
    )  # fmt: skip
    return out


@njit(cache=True, nogil=True)
def _worth(b: Any) -> Any:
    """How much of a text a block is: its mass outside links, less where there are many links or no sentence."""
    plain = np.float64(b[_MASS] - b[_LINKED])
    worth = plain * plain / max(b[_MASS], 1)
    return worth if b[_COMMAS] + b[_STOPS] > 0 and b[_MASS] >= 25 else 0.1 * worth


@njit(cache=True, nogil=True)
def _features(text: Any, blocks: Any, nodes: Any, page_blocks: Any, page_nodes: Any, out: Any) -> None:
    for page in range(len(page_blocks) - 1):
        b0, b1, n0, n1 = page_blocks[page], page_blocks[page + 1], page_nodes[page], page_nodes[page + 1]
        if b1 == b0:
            continue
        n = b1 - b0
        # sums up to each block: mass, linked, worth, signs
        sums = np.zeros((n + 1, 4))
        h1 = -1
        for b in range(n):
            row = blocks[b0 + b]
            sums[b + 1, 0] = sums[b, 0] + row[_MASS]
            sums[b + 1, 1] = sums[b, 1] + row[_LINKED]
            sums[b + 1, 3] = sums[b, 3] + row[_COMMAS] + row[_STOPS]
            if h1 < 0 and nodes[row[_NODE], _TAG] == _H1:
                h1 = b
        total = sums[n, 0]
        marks, near = np.zeros(n1 - n0, np.int64), np.zeros((n1 - n0), np.int64)
        for k in range(n0, n1):
            mass = sums[nodes[k, _LAST] - b0, 0] - sums[nodes[k, _FIRST] - b0, 0]
            own = nodes[k, _OWN]
            if k == n0 or mass > _WIDE * total:
                own &= 3 | (_FIRM if mass <= _WIDER * total else 0)
            near[k - n0] = own
            marks[k - n0] = own | (marks[nodes[k, _PARENT] - n0] if k > n0 else 0)
        for b in range(n):
            row = blocks[b0 + b]
            lesser = (marks[row[_NODE] - n0] | row[_INLINE]) & _LESSER
            sums[b + 1, 2] = sums[b, 2] + _worth(row) * (0.1 if lesser else 1.0)
        worth = sums[n, 2]
        core, tight = n0, n0
        for k in range(n0 + 1, n1):
            up = nodes[k, _PARENT]
            value = sums[nodes[k, _LAST] - b0, 2] - sums[nodes[k, _FIRST] - b0, 2]
            if up == core and value >= 0.5 * worth:
                core = k
            if up == tight and value >= 0.75 * (sums[nodes[up, _LAST] - b0, 2] - sums[nodes[up, _FIRST] - b0, 2]):
                tight = k
        core_first, core_last = nodes[core, _FIRST] - b0, nodes[core, _LAST] - b0
        tight_first, tight_last = nodes[tight, _FIRST] - b0, nodes[tight, _LAST] - b0
        before, behind = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        last_long = -1
        for b in range(n):
            before[b] = last_long
            if sums[b + 1, 2] - sums[b, 2] >= 50:
                last_long = b
        last_long = -1
        for b in range(n - 1, -1, -1):
            behind[b] = last_long
            if sums[b + 1, 2] - sums[b, 2] >= 50:
                last_long = b
        # for each node: its ancestor just below the core, and below the tight one; levels up to what holds the core
        child, out_by = np.full((n1 - n0, 2), -1, np.int64), np.zeros(n1 - n0, np.int64)
        for k in range(n0 + 1, n1):
            up = nodes[k, _PARENT]
            for j in range(2):
                inner = core if j == 0 else tight
                child[k - n0, j] = k if up == inner else child[up - n0, j]
            holds = (
                nodes[k, _FIRST] - b0 <= core_first
                and nodes[k, _LAST] - b0 >= core_last
                and nodes[k, _LEVEL] <= nodes[core, _LEVEL]
            )
            out_by[k - n0] = 0 if holds else out_by[up - n0] + 1
        for b in range(n):
            row, f = blocks[b0 + b], out[b0 + b]
            node = row[_NODE]
            mass = np.float64(row[_MASS])
            f[0] = np.log1p(mass)
            f[1] = row[_LINKED] / mass
            f[2] = np.log1p(row[_WORDS])
            f[3] = np.log1p(row[_COMMAS])
            f[4] = np.log1p(row[_STOPS])
            f[5] = row[_CAPITALS] / mass
            f[6] = row[_DIGITS] / mass
            f[7] = np.log1p(row[_LINKS])
            f[8] = np.log1p(row[_BREAKS])
            ends = text[row[_END] - 1]
            f[9] = 1.0 if ends in (0x2E, 0x21, 0x3F) else 0.5 if ends == 0x3A or ends >= 0x80 else 0.0
            tag = nodes[node, _TAG]
            f[10] = tag - _H1 + 1 if _H1 <= tag <= _H6 else 0
            f[11] = sums[b, 0] / total
            f[12] = b / n
            f[13] = np.log1p(n)
            f[14] = np.log1p(total)
            f[15] = np.log1p(worth)
            f[16] = nodes[node, _LEVEL]
            f[17] = 0 if h1 < 0 else 1 if b < h1 else 2
            f[18] = np.log1p(abs(b - h1)) if h1 >= 0 else -1
            f[19] = worth / total
            at = 20
            own = near[node - n0] | row[_INLINE]
            up = node
            for _ in range(_NEAR):
                if nodes[up, _PARENT] >= 0:
                    up = nodes[up, _PARENT]
                    own |= near[up - n0]
            far = marks[node - n0] | row[_INLINE]
            for bit in range(_TAG_BITS):
                f[at + bit] = (far >> bit) & 1
                f[at + _TAG_BITS + bit] = (own >> bit) & 1
            at += 2 * _TAG_BITS
            for bit in range(_WORD_BITS):
                f[at + bit] = (far >> (_WORD_BIT + bit)) & 1
                f[at + _WORD_BITS + bit] = (own >> (_WORD_BIT + bit)) & 1
            at += 2 * _WORD_BITS
            # neighbours: two before, two behind
            for step in (-2, -1, 1, 2):
                other = b + step
                if 0 <= other < n:
                    r = blocks[b0 + other]
                    f[at] = np.log1p(r[_MASS])
                    f[at + 1] = r[_LINKED] / r[_MASS]
                    t = nodes[r[_NODE], _TAG]
                    f[at + 2] = 1 if _H1 <= t <= _H6 else 0
                    f[at + 3] = np.log1p(r[_COMMAS] + r[_STOPS])
                    f[at + 4] = 1 if t == tag else 0
                    f[at + 5] = 1 if nodes[r[_NODE], _PARENT] == nodes[node, _PARENT] else 0
                else:
                    f[at : at + 6] = -1
                at += 6
            lo, hi = max(b - 4, 0), min(b + 5, n)
            f[at] = np.log1p(sums[hi, 2] - sums[lo, 2])
            f[at + 1] = (sums[hi, 1] - sums[lo, 1]) / (sums[hi, 0] - sums[lo, 0])
            # the elements that hold it: the nearest with more than this block, and the next of twice that
            up, size = node, mass
            for level in range(3):
                while nodes[up, _PARENT] >= 0:
                    first, last = nodes[up, _FIRST] - b0, nodes[up, _LAST] - b0
                    if sums[last, 0] - sums[first, 0] >= 1.5 * size and last - first >= 2:
                        break
                    up = nodes[up, _PARENT]
                first, last = nodes[up, _FIRST] - b0, nodes[up, _LAST] - b0
                held = sums[last, 0] - sums[first, 0]
                f[at + 2 + 3 * level] = (sums[last, 1] - sums[first, 1]) / held
                f[at + 3 + 3 * level] = (sums[last, 2] - sums[first, 2]) / max(worth, 1.0)
                f[at + 4 + 3 * level] = np.log1p(held / (last - first))
                size = held
            f[at + 11] = 1 if core_first <= b < core_last else 0
            f[at + 12] = 1 if tight_first <= b < tight_last else 0
            f[at + 13] = np.log1p(max(core_first - b, b - core_last + 1, 0)) * (-1 if b < core_first else 1)
            f[at + 14] = (sums[core_last, 2] - sums[core_first, 2]) / max(worth, 1.0)
            f[at + 15] = (b - core_first) / max(core_last - core_first, 1) if core_first <= b < core_last else -1
            at += 16
            j = before[b]
            f[at] = np.log1p(b - j) if j >= 0 else 9
            f[at + 1] = 1 if j >= 0 and nodes[blocks[b0 + j, _NODE], _PARENT] == nodes[node, _PARENT] else 0
            j = behind[b]
            f[at + 2] = np.log1p(j - b) if j >= 0 else 9
            f[at + 3] = 1 if j >= 0 and nodes[blocks[b0 + j, _NODE], _PARENT] == nodes[node, _PARENT] else 0
            f[at + 4] = out_by[node - n0]
            for j in range(2):
                c = child[node - n0, j]
                if c >= 0:
                    first, last = nodes[c, _FIRST] - b0, nodes[c, _LAST] - b0
                    held = sums[last, 0] - sums[first, 0]
                    f[at + 5 + 4 * j] = (sums[last, 1] - sums[first, 1]) / held
                    f[at + 6 + 4 * j] = (sums[last, 2] - sums[first, 2]) / max(worth, 1.0)
                    f[at + 7 + 4 * j] = np.log1p(held)
                    f[at + 8 + 4 * j] = np.log1p(sums[last, 3] - sums[first, 3])
                else:
                    f[at + 5 + 4 * j : at + 9 + 4 * j] = -1
            first_byte = text[row[_START]]
            f[at + 13] = 2 if 0x41 <= first_byte <= 0x5A else 1 if first_byte >= 0x80 or 0x61 <= first_byte <= 0x7A else 0
            f[at + 14] = ends if ends < 0x80 and ends in (0x3A, 0x3E, 0x7C, 0x29) else 0
            cookies = False
            for i in range(row[_START] + 1, row[_END] - 4):
                if text[i] == _COOKIE[0]:
                    k = 1
                    while k < 5 and text[i + k] == _COOKIE[k]:
                        k += 1
                    if k == 5:
                        cookies = True
                        break
            f[at + 15] = 1 if cookies else 0
            f[at + 16] = 1 if far & _LESSER else 0
