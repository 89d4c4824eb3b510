"""Lines of every document: where they are, what they look like, and how much of the text repeats.

One pass finds the lines (`line_table`); the others count over them, for the rules of Gopher (Rae et al. 2021, table A1) and
FineWeb (Penedo et al. 2024). A "line" means something else in each: `str.splitlines` in Gopher's quality rules as datatrove
0.10 has them, runs of `\\n` in its repetition rules, `str.split("\\n")` in FineWeb's. Lengths are characters (code points),
never bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curate.kernels import line_machine
from curate.kernels.columns import frozen

__all__ = [
    "REPETITION",
    "LineCounts",
    "LineMarks",
    "LineTable",
    "Lines",
    "line_counts",
    "line_marks",
    "line_table",
    "lines",
    "repeated_lines",
]

REPETITION = ("paragraphs", "paragraph_chars", "lines", "line_chars")
"""The columns of `repeated_lines`."""


class Lines(NamedTuple):
    """The lines of n documents as `str.split("\\n")` gives them, without the newline; bytes into `data`."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    """int64[n+1]: lines of document i are `bounds[i]:bounds[i + 1]`; every document has at least one."""


class LineTable(NamedTuple):
    """The m lines of n documents as `str.split("\\n")` gives them, without the newline; places are bytes into `data`."""

    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    lefts: npt.NDArray[np.int64]
    """int64[m]: where the line begins after `lstrip`; its end, if it is blank."""
    rights: npt.NDArray[np.int64]
    """int64[m]: where it ends after `strip`."""
    chars: npt.NDArray[np.int64]
    """int64[m]: length in characters, not stripped."""
    hashes: npt.NDArray[np.uint64]
    """uint64[m]: of its bytes, not stripped."""
    marks: npt.NDArray[np.uint8]
    """uint8[m]: 1 where `str.splitlines` would cut the line further."""
    bounds: npt.NDArray[np.int64]
    """int64[n+1]: lines of document i are `bounds[i]:bounds[i + 1]`; every document has at least one."""
    symbols: npt.NDArray[np.int64]
    """int64[n, 3]: occurrences of `#`; of `...` and `…`; of `. . .`, in each document, none over another of its kind."""


class LineMarks(NamedTuple):
    """How lines start and end (Gopher's quality rules), for each of n documents, int64[n] each."""

    lines: npt.NDArray[np.int64]
    bullets: npt.NDArray[np.int64]
    """Of these, how many start with a bullet after `lstrip`."""
    ellipses: npt.NDArray[np.int64]
    """Of these, how many end with `...` or `…` after `rstrip`."""


class LineCounts(NamedTuple):
    """How lines end, how long they are and whether they repeat (FineWeb's rules), for each of n documents, int64[n] each."""

    newlines: npt.NDArray[np.int64]
    """Characters `\\n`; `newlines + 1` is the number of lines of `str.split("\\n")`."""
    filled: npt.NDArray[np.int64]
    """Lines of `str.split("\\n")` that are not blank (hold something that is not whitespace)."""
    terminal: npt.NDArray[np.int64]
    """Filled lines whose last character is terminal punctuation; lines are not stripped."""
    short: npt.NDArray[np.int64]
    """Filled lines of at most `short` characters."""
    blank_short: npt.NDArray[np.int64]
    """Blank lines of at most `short` characters."""
    repeated_chars: npt.NDArray[np.int64]
    """Characters of filled lines that are equal to an earlier one of the document."""
    chars: npt.NDArray[np.int64]
    """Characters of the text without its newlines."""


def lines(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> Lines:
    """Bounds of the lines of every document, cut at `\\n` alone. O(bytes), two passes; 16 bytes a line."""
    fixed = frozen(offsets, np.int64), frozen(data, np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    line_machine.newlines(*fixed, bounds)
    starts, ends = np.empty(bounds[-1], np.int64), np.empty(bounds[-1], np.int64)
    line_machine.places(*fixed, starts, ends)
    return Lines(starts, ends, bounds)


def line_table(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> LineTable:
    """The lines of every document, cut at `\\n` alone. O(bytes), two passes; 49 bytes a line."""
    fixed = frozen(offsets, np.int64), frozen(data, np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    line_machine.newlines(*fixed, bounds)
    m = int(bounds[-1])
    starts, ends, lefts, rights, chars = (np.empty(m, np.int64) for _ in range(5))
    hashes, marks = np.empty(m, np.uint64), np.empty(m, np.uint8)
    symbols = np.zeros((len(offsets) - 1, 3), np.int64)
    line_machine.table(*fixed, _KINDS, starts, ends, lefts, rights, chars, hashes, marks, symbols)
    return LineTable(starts, ends, lefts, rights, chars, hashes, marks, bounds, symbols)


def line_marks(
    data: npt.NDArray[np.uint8], found: LineTable, bullets: npt.NDArray[np.uint32], *, filled: bool = False
) -> LineMarks:
    """Counts of lines that start with a bullet or end with an ellipsis; `bullets` are code points (Gopher: • and -).

    Lines are those of `str.splitlines`, blank ones too, as datatrove 0.10 has it. `filled`: those of `str.split("\\n")` that
    are not blank, and `. . .` is one more ellipsis, as DCLM has it. O(lines).
    """
    out = np.zeros((len(LineMarks._fields), len(found.bounds) - 1), np.int64)
    codes = frozen(np.sort(bullets), np.uint32)
    line_machine.marks(
        frozen(data, np.uint8),
        found.starts,
        found.ends,
        found.lefts,
        found.rights,
        found.marks,
        found.bounds,
        codes,
        filled,
        out,
    )
    return LineMarks(*out)


def line_counts(data: npt.NDArray[np.uint8], found: LineTable, terminal: npt.NDArray[np.uint32], short: int) -> LineCounts:
    """Counts of lines that end a sentence, are short, or repeat an earlier one.

    `terminal` are code points (FineWeb: its terminators), `short` a length in characters (FineWeb: 30). One hash a line
    decides equality: 64 bits. O(lines); 16 bytes for each slot of a table twice the lines of the longest document.
    """
    out = np.zeros((len(LineCounts._fields), len(found.bounds) - 1), np.int64)
    codes = frozen(np.sort(terminal), np.uint32)
    line_machine.filled(
        frozen(data, np.uint8), found.starts, found.ends, found.lefts, found.rights, found.chars, found.hashes, found.bounds,
        codes, short, *_room(found), out,
    )  # fmt: skip
    return LineCounts(*out)


def repeated_lines(
    data: npt.NDArray[np.uint8], found: LineTable, lengths: npt.NDArray[np.int64], *, stripped: bool = False
) -> npt.NDArray[np.float64]:
    """float64[n, 4], columns `REPETITION`: shares of repeated paragraphs and lines, by count and by characters.

    As datatrove 0.10 counts: the first occurrence of a paragraph or line is not repeated, every later one is. Paragraphs are
    `re.split(r"\\n{2,}", text.strip())`, lines are `re.split(r"\\n+", text)`, so that a newline at both ends makes two
    empty lines. Shares of characters are of `lengths` int64[n], the characters of each text (0 for an empty text).

    `stripped`, as DCLM counts: paragraphs and lines are stripped, blank ones do not count, all occurrences of one that comes
    twice are repeated, and shares of characters are of those of all paragraphs or lines; NaN where there is none.

    O(lines), and O(bytes) of those whose white space goes; memory as in `line_counts`.
    """
    if len(lengths) != len(found.bounds) - 1:
        raise ValueError(f"{len(lengths)} lengths for {len(found.bounds) - 1} documents")
    out = np.zeros((len(lengths), len(REPETITION)), np.float64)
    line_machine.repeated(
        frozen(data, np.uint8), found.starts, found.ends, found.lefts, found.rights, found.chars, found.hashes, found.bounds,
        frozen(lengths, np.int64), stripped, *_room(found), out,
    )  # fmt: skip
    return out


def _kinds() -> npt.NDArray[np.uint8]:
    """Which bytes the pass over them stops at: 1 `#`, 2 `.`, 3 what may begin `…` or a break, 4 `\\n`."""
    kinds = np.zeros(256, np.uint8)
    kinds[0x23], kinds[0x2E], kinds[0x0A] = 1, 2, 4
    kinds[[0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0xC2, 0xE2]] = 3
    return frozen(kinds, np.uint8)


_KINDS = _kinds()


def _room(found: LineTable) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """An empty table for the lines of any one document."""
    most, size = int(np.diff(found.bounds).max(initial=0)) + 2, 4
    while size < 2 * most:
        size *= 2
    return np.empty(size, np.uint64), np.full(size, -1, np.int64)
