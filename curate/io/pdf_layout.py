"""The text of printed pages in reading order: columns one after another, paragraphs whole, headers and page numbers gone.

A page comes as words with their boxes. Words that follow one another on a line are *segments*; a gutter that the segments of a
page leave free splits them into columns, and what crosses it (titles, wide figures) into bands above and below; columns are
split again in the same way (recursive XY cut, Nagy & Seth 1984, with gutters found as whitespace, Breuel 2002). Columns are
read from left to right. Lines that share a column become paragraphs by their distance, size, indent and end.

All lengths are in points (1/72 inch), y grows upwards. O(words log words) a page.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["HYPHEN", "Line", "Words", "lines_of", "text_of"]

HYPHEN = "\u00ad"
"""What stands for the hyphen with which a line ends within a word, where the PDF tells."""

COLUMN_LINES = 3
"""Lines that a column has at least."""

PROSE_CHARACTERS = 12
"""Characters in the middle line of a column, at least: with fewer it is the column of a table, which is read by rows."""

REPEATED = 0.4
"""Part of the pages on which a header or footer stands: those of left and right pages differ."""

EDGE_LINES = 2
"""Lines at the top, and at the bottom, that may be headers or footers."""

HYPHENS = ("-", HYPHEN, "\u2010")
COMPOUND = re.compile(r"[^\W\d_]+[-\u2010][^\W\d_]+")
ITEM = re.compile(r"(?:[•‣▪◦●○∙·*–—-]|\(?(?:\d{1,3}|[a-z])[.)])\s")
NUMBER = re.compile(r"\d+|\b[ivxlc]+\b", re.IGNORECASE)
LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"})


class Words(NamedTuple):
    """The words of a page in the order of the file; float64 arrays of the left, bottom, right and top of their boxes, and of
    what their letters stand on."""

    text: Sequence[str]
    x0: NDArray[np.float64]
    y0: NDArray[np.float64]
    x1: NDArray[np.float64]
    y1: NDArray[np.float64]
    base: NDArray[np.float64]


class Line(NamedTuple):
    """A line of a column, or a row of a table."""

    text: str
    x0: float
    x1: float
    y: float
    """What its letters stand on. Bottoms differ from font to font."""
    height: float
    column: int
    """Number of the column on its page, in reading order."""
    row: bool
    """It has gaps as the rows of tables have."""


def lines_of(words: Words) -> list[Line]:
    """The lines of a page in reading order."""
    if not words.text:
        return []
    segments = _segments(words)
    lines: list[Line] = []
    for column, members in enumerate(_columns(segments, list(range(len(segments))))):
        lines += _lines(segments, members, column)
    return lines


class _Segment(NamedTuple):
    text: str
    x0: float
    x1: float
    y0: float
    y1: float
    base: float


def _segments(words: Words) -> list[_Segment]:
    """Words that follow one another on a line, with no gap wider than the line is high."""
    import numpy as np

    height = np.maximum(words.y1 - words.y0, 1e-3)
    low = np.minimum(height[1:], height[:-1])
    overlap = np.minimum(words.y1[1:], words.y1[:-1]) - np.maximum(words.y0[1:], words.y0[:-1])
    gap = words.x0[1:] - words.x1[:-1]
    breaks = (overlap < 0.5 * low) | (gap > low) | (gap < -low)
    starts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    left, right = np.minimum.reduceat(words.x0, starts), np.maximum.reduceat(words.x1, starts)
    size = [len(word) for word in words.text]
    tall = np.round(height, 1).tolist()
    ends = [*starts[1:].tolist(), len(size)]
    made = []
    for start, end, x0, x1 in zip(starts.tolist(), ends, left.tolist(), right.tolist(), strict=True):
        # Neither a superscript nor a name in another font makes its line higher or lower: what most letters have decides.
        letters: Counter[float] = Counter()
        for i in range(start, end):
            letters[tall[i]] += size[i]
        usual = letters.most_common(1)[0][0]
        main = next(i for i in range(start, end) if tall[i] == usual)
        y0, y1, base = (float(column[main]) for column in (words.y0, words.y1, words.base))
        made.append(_Segment(" ".join(words.text[start:end]), x0, x1, y0, y1, base))
    return made


def _columns(segments: Sequence[_Segment], members: list[int], depth: int = 0) -> Iterator[list[int]]:
    """The columns of a region in reading order, each as its segments."""
    import numpy as np

    middle = _gutter(segments, members) if depth < 4 else None
    if middle is None:
        if members:
            yield members
        return
    crossing = sorted((i for i in members if segments[i].x0 < middle < segments[i].x1), key=lambda i: -segments[i].y0)
    edges = np.array([-segments[i].y0 for i in crossing])
    bands: list[tuple[list[int], list[int]]] = [([], []) for _ in range(len(crossing) + 1)]
    across = set(crossing)
    for i in members:
        if i not in across:
            band = int(np.searchsorted(edges, -segments[i].y0))
            bands[band][segments[i].x0 >= middle].append(i)
    wide: list[int] = []
    for (left, right), cross in zip(bands, [*crossing, None], strict=True):
        if left or right:
            if wide:
                yield wide
            wide = []
            yield from _columns(segments, left, depth + 1)
            yield from _columns(segments, right, depth + 1)
        if cross is not None:
            wide.append(cross)
    if wide:
        yield wide


def _gutter(segments: Sequence[_Segment], members: Sequence[int]) -> float | None:
    """Where a region splits into columns: the middle of the widest strip that nearly no segment enters."""
    import numpy as np

    if len(members) < 2 * COLUMN_LINES:
        return None
    box = np.array([segments[i][1:] for i in members])
    size = np.array([len(segments[i].text) for i in members])
    x0, x1, y0 = box[:, 0], box[:, 1], box[:, 2]
    height = float(np.median(box[:, 3] - y0))
    width = float(x1.max() - x0.min())
    narrow = x1 - x0 < 0.6 * width
    edges = np.unique(np.concatenate((x0[narrow], x1[narrow])))
    if edges.size < 2:
        return None
    starts = np.searchsorted(np.sort(x0[narrow]), edges[:-1], side="right")
    ends = np.searchsorted(np.sort(x1[narrow]), edges[:-1], side="right")
    free = (starts - ends) <= 0.05 * int(narrow.sum())
    best: tuple[float, float] | None = None
    place = 0
    while place < free.size:
        end = place
        while end < free.size and free[end]:
            end += 1
        if end > place:
            gap, middle = float(edges[end] - edges[place]), float(edges[end] + edges[place]) / 2
            left, right = x1 <= middle, x0 >= middle
            if gap >= 0.6 * height and _are_columns(left, right, y0, size, height) and (best is None or gap > best[0]):
                best = (gap, middle)
        place = end + 1
    return best[1] if best else None


def _are_columns(
    left: NDArray[np.bool_], right: NDArray[np.bool_], y0: NDArray[np.float64], size: NDArray[np.int64], height: float
) -> bool:
    """Whether what stands on both sides of a strip is prose, side by side, and more than what crosses it."""
    import numpy as np

    if min(left.sum(), right.sum()) < COLUMN_LINES or 2 * int((left | right).sum()) < left.size:
        return False
    if min(np.median(size[left]), np.median(size[right])) < PROSE_CHARACTERS:
        return False
    shared = min(y0[left].max(), y0[right].max()) - max(y0[left].min(), y0[right].min())
    return bool(shared >= (COLUMN_LINES - 1) * height)


def _lines(segments: Sequence[_Segment], members: Sequence[int], column: int) -> Iterator[Line]:
    """The lines of a column from the top down, the segments of each from left to right."""
    rest = sorted((segments[i] for i in members), key=lambda s: (-(s.y0 + s.y1), s.x0))
    while rest:
        first = rest[0]
        center = (first.y0 + first.y1) / 2
        count = 1
        while count < len(rest) and rest[count].y1 > center and (rest[count].y0 + rest[count].y1) / 2 > first.y0:
            count += 1
        own = sorted(rest[:count], key=lambda s: s.x0)
        del rest[:count]
        main = max(own, key=lambda s: len(s.text))
        height = main.y1 - main.y0
        row = any(b.x0 - a.x1 > height for a, b in pairwise(own))
        text = " ".join(s.text for s in own)
        yield Line(text, own[0].x0, max(s.x1 for s in own), main.base, height, column, row)


def text_of(pages: Sequence[Sequence[Line]]) -> str:
    """The text of a document: paragraphs with a blank line between, rows and items on lines of their own."""
    repeated = _repeated(pages)
    kept = [[line for place, line in enumerate(page) if (number, place) not in repeated] for number, page in enumerate(pages)]
    compounds = {found for page in kept for line in page for found in COMPOUND.findall(line.text)}
    parts: list[str] = []
    before: Line | None = None
    for page in kept:
        pitch = _pitches(page)
        edges = _edges(page)
        for place, line in enumerate(page):
            if before is None:
                parts.append(line.text)
            elif place == 0 or line.column != before.column:
                _append(parts, line.text, " " if _goes_on(before.text, line.text) else "\n\n", compounds)
            else:
                _append(parts, line.text, _between(before, line, pitch[line.column], *edges[line.column]), compounds)
            before = line
    return "".join(parts).translate(LIGATURES).replace(HYPHEN, "-")


def _repeated(pages: Sequence[Sequence[Line]]) -> set[tuple[int, int]]:
    """Headers, footers and page numbers, as page and place: lines at the edge that stand, numbers aside, on three pages and on
    REPEATED of those from the first of them to the last (chapters have headers of their own); numbers that count the pages."""
    found: dict[str, list[tuple[int, int]]] = {}
    for number, page in enumerate(pages):
        order = sorted(range(len(page)), key=lambda place: -page[place].y)
        for place in dict.fromkeys((*order[:EDGE_LINES], *order[-EDGE_LINES:])):
            text = " ".join(page[place].text.split())
            counts = text.isdecimal() and len(text) < 6
            found.setdefault(f"page {int(text) - number}" if counts else NUMBER.sub("#", text), []).append((number, place))
    repeated: set[tuple[int, int]] = set()
    for key, spots in found.items():
        count = len({number for number, _ in spots})
        among = spots[-1][0] - spots[0][0] + 1
        if count >= 3 and (key.startswith("page ") or count >= REPEATED * among):
            repeated.update(spots)
    return repeated


def _pitches(page: Sequence[Line]) -> dict[int, float]:
    """The usual distance of lines in each column: the most frequent one, to half a point."""
    steps: dict[int, Counter[float]] = {}
    for a, b in pairwise(page):
        if a.column == b.column and 0 < a.y - b.y < 2.5 * b.height:
            steps.setdefault(a.column, Counter())[round(2 * (a.y - b.y)) / 2] += 1
    usual = {column: min(counts, key=lambda step: (-counts[step], step)) for column, counts in steps.items()}
    return {line.column: usual.get(line.column, 1.2 * line.height) for line in page}


def _edges(page: Sequence[Line]) -> dict[int, tuple[float, float]]:
    """The left and right edge of each column."""
    edges: dict[int, tuple[float, float]] = {}
    for line in page:
        left, right = edges.get(line.column, (line.x0, line.x1))
        edges[line.column] = min(left, line.x0), max(right, line.x1)
    return edges


def _between(before: Line, line: Line, pitch: float, left: float, right: float) -> str:
    """What stands between two lines of a column."""
    if before.y - line.y > 1.35 * pitch or abs(before.height - line.height) > 0.2 * line.height:
        return "\n\n"
    if before.row or line.row or ITEM.match(line.text):
        return "\n"
    ended = _ends(before.text)
    if ended and line.x0 - left > 0.8 * line.height and abs(line.x0 - before.x0) > 0.5 * line.height:
        return "\n\n"
    blank = (right - before.x1) / max(right - left, 1e-3)
    if blank > (0.15 if ended else 0.4) and not line.text[:1].islower():
        return "\n\n" if ended else "\n"
    return " "


def _ends(text: str) -> bool:
    return text.rstrip("\"'”’»)]").endswith((".", "!", "?", ":", "…", "。", "！", "？"))


def _goes_on(before: str, text: str) -> bool:
    """Whether a sentence goes on over the end of a column or page."""
    return not _ends(before) and (text[:1].islower() or before.endswith(HYPHENS))


def _append(parts: list[str], text: str, between: str, compounds: set[str]) -> None:
    """Add a line. A word that was broken at the end of the last one is mended, a compound keeps its hyphen."""
    last = parts[-1]
    if between == " " and last.endswith(HYPHENS) and last[-2:-1].isalpha() and text[:1].islower():
        head = re.search(r"[^\W\d_]+$", last[:-1])
        tail = re.match(r"[^\W\d_]+", text)
        whole = head is not None and tail is not None and f"{head[0]}-{tail[0]}" in compounds
        parts[-1] = f"{last[:-1]}-" if whole else last[:-1]
        parts.append(text)
        return
    parts += (between, text)
