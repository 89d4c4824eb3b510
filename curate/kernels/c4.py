"""C4's rules on lines: which lines of a page are prose, and how many sentences these hold.

Raffel et al. 2020, "T5", arXiv 1910.10683, section 2.2; counted as datatrove 0.10 (`c4_filters.py`) and the code of C4
(`c4_utils.py` of tensorflow/datasets) do. Lines are those of `str.splitlines`, stripped.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.characters import categories, codes, two_stage
from curate.kernels.columns import frozen
from curate.kernels.lines import LineTable
from curate.kernels.words import Words

__all__ = ["KeptLines", "LineRules", "judge_lines", "kept_text", "line_rules", "sentences"]

_LF = 0x0A
_SPACE, _DIGIT = 1, 2  # bits of a character
_STATE, _KINDS = np.uint32(0xFFFFFF), np.uint32(24)
_FILLER, _SCRIPT, _NOTICE = 1, 2, 4  # what a phrase is: "lorem ipsum", "javascript", any other
_PUNCTUATION, _END, _GAP = 4, 8, 16  # of Words.kinds
_NAMES = (b"[edit]", b"[citation needed]")

# `_nrt=False`: as in `curate.kernels.token_machine`.


class LineRules(NamedTuple):
    """Rules as the kernels take them; see `line_rules`."""

    next: npt.NDArray[np.uint32]
    """uint32[states, 256]: an Aho-Corasick automaton over the UTF-8 of the phrases: the next state; in the highest byte, what
    kinds of phrases end there."""
    ends: npt.NDArray[np.uint8]
    """The end marks, one after another."""
    cuts: npt.NDArray[np.int64]
    """int64[marks + 1]: where each begins."""
    min_words: int
    max_chars: int
    citations: bool
    words_first: bool


class KeptLines(NamedTuple):
    """The lines that stay, of n documents: k of them as they are, and others that held citation marks."""

    starts: npt.NDArray[np.int64]
    """int64[k]: first byte in the text."""
    ends: npt.NDArray[np.int64]
    bounds: npt.NDArray[np.int64]
    """int64[n+1]: of document i are `bounds[i]:bounds[i + 1]`."""
    cleaned: npt.NDArray[np.uint8]
    """The others without their marks, one after another."""
    cuts: npt.NDArray[np.int64]
    """int64[c+1]: where each of them begins."""
    documents: npt.NDArray[np.int64]
    """int64[c]: whose it is."""
    filler: npt.NDArray[np.int64]
    """int64[n]: lines with "lorem ipsum" that no earlier rule drops."""
    curly: npt.NDArray[np.int64]
    """int64[n]: lines with a curly bracket that no earlier rule drops."""


def line_rules(
    end_marks: Sequence[str],
    min_words: int,
    max_word_length: int | None,
    phrases: Sequence[str],
    *,
    citations: bool,
    words_first: bool,
) -> LineRules:
    """Put rules into tables. A line stays when it ends with one of `end_marks` (none: with anything) and not with `...`, has
    `min_words` words, none of more than `max_word_length` characters, and none of the `phrases` in any case.

    citations: take out `[1]`, `[]`, `[edit]`, `[citation needed]`; words_first: count the words before that.
    """
    texts = {phrase.lower(): _SCRIPT if phrase.lower() == "javascript" else _NOTICE for phrase in phrases}
    automaton = _automaton({"lorem ipsum": _FILLER, **texts})
    cuts = np.cumsum([0, *(len(mark.encode()) for mark in end_marks)])
    ends = np.frombuffer("".join(end_marks).encode(), np.uint8)
    return LineRules(
        frozen(automaton, np.uint32), frozen(ends, np.uint8), frozen(cuts, np.int64),
        min_words, -1 if max_word_length is None else max_word_length, citations, words_first,
    )  # fmt: skip


def judge_lines(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], found: LineTable, rules: LineRules) -> KeptLines:
    """Which lines stay. O(bytes); room is reserved for all lines and all bytes, of which only what is written is backed."""
    n, size = len(offsets) - 1, int(offsets[-1] - offsets[0])
    most = len(found.starts) + int((found.ends - found.starts)[found.marks != 0].sum())
    starts, ends, bounds = np.empty(most, np.int64), np.empty(most, np.int64), np.zeros(n + 1, np.int64)
    cleaned, cuts, documents = np.empty(size, np.uint8), np.zeros(most + 1, np.int64), np.empty(most, np.int64)
    filler, curly = np.zeros(n, np.int64), np.zeros(n, np.int64)
    count = _judge(
        frozen(data, np.uint8), found.starts, found.ends, found.lefts, found.rights, found.marks, found.bounds,
        *_characters(), *rules, starts, ends, bounds, cleaned, cuts, documents, filler, curly,
    )  # fmt: skip
    k = bounds[-1]
    return KeptLines(starts[:k], ends[:k], bounds, cleaned[: cuts[count]], cuts[: count + 1], documents[:count], filler, curly)


def kept_text(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], found: LineTable, rules: LineRules
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """The buffers of the texts with nothing but the lines that stay, joined by `\\n`.

    So that a second time changes nothing, lines are stripped after their citation marks are gone, too, words are counted
    then, and a line where a mark is left (one within another) does not stay. O(bytes).
    """
    out, bounds = np.empty(int(offsets[-1] - offsets[0]), np.uint8), np.zeros(len(offsets), np.int64)
    size = _keep(
        frozen(data, np.uint8), found.starts, found.ends, found.lefts, found.rights, found.marks, found.bounds,
        *_characters(), *rules, out, bounds,
    )  # fmt: skip
    return bounds, out[:size]


def sentences(found: Words, kept: KeptLines, cleaned: Words) -> npt.NDArray[np.int64]:
    """int64[n]: the sentences of the lines that stay, each line by itself, as spaCy's sentencizer counts.

    A sentence ends before the first token that is no punctuation behind one that is an end mark. `found` are the tokens of the
    texts, `cleaned` those of `kept.cleaned`, each line a document. O(tokens).
    """
    out = np.zeros(len(kept.bounds) - 1, np.int64)
    _sentences(found.starts, found.kinds, found.bounds, kept.starts, kept.ends, kept.bounds, out)
    _of_cleaned(cleaned.kinds, cleaned.bounds, kept.documents, out)
    return out


def _automaton(phrases: dict[str, int]) -> npt.NDArray[np.uint32]:
    """Aho and Corasick 1975: the state after each byte, and what ends there. Capital letters of ASCII are as small ones."""
    goto: list[dict[int, int]] = [{}]
    found = [0]
    for phrase, kind in phrases.items():
        state = 0
        for byte in phrase.encode():
            if byte not in goto[state]:
                goto[state][byte] = len(goto)
                goto.append({})
                found.append(0)
            state = goto[state][byte]
        found[state] |= kind
    table = np.zeros((len(goto), 256), np.uint32)
    fail = [0] * len(goto)
    queue = [0]
    for state in queue:
        back = fail[state]
        found[state] |= found[back]
        if state:
            table[state] = table[back]
        for byte, to in goto[state].items():
            fail[to] = int(table[back, byte]) if state else 0
            table[state, byte] = to
            queue.append(to)
    table |= np.array(found, np.uint32)[table] << _KINDS
    table[:, 0x41:0x5B] = table[:, 0x61:0x7B]
    return table


@functools.cache
def _characters() -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Bits, and distance to the lower case, of every code point."""
    code = codes()
    chars = list(map(chr, code.tolist()))
    bits = np.where(np.fromiter(map(str.isspace, chars), np.bool_, len(chars)), _SPACE, 0)
    bits |= np.where(categories() == b"Nd", _DIGIT, 0)
    delta = np.array([ord(small) - ord(char) if len(small := char.lower()) == 1 else 0 for char in chars], np.int64)
    index, blocks = two_stage(delta * 4 + bits, 0)
    return index, frozen(blocks & 3, np.uint8), frozen(blocks >> 2, np.int32)


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _decode(data: Any, i: int) -> Any:
    """The code point at byte i of valid UTF-8, and its length in bytes."""
    b = np.int64(data[i])
    if b < 0x80:
        return b, 1
    if b < 0xE0:
        return (b & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F), 2
    if b < 0xF0:
        return (b & 0x0F) << 12 | (np.int64(data[i + 1]) & 0x3F) << 6 | (np.int64(data[i + 2]) & 0x3F), 3
    high = (b & 0x07) << 18 | (np.int64(data[i + 1]) & 0x3F) << 12
    return high | (np.int64(data[i + 2]) & 0x3F) << 6 | (np.int64(data[i + 3]) & 0x3F), 4


@njit(cache=True, nogil=True, _nrt=False)
def _strip(data: Any, start: int, stop: int, index: Any, bits: Any) -> Any:
    while start < stop:
        code, step = _decode(data, start)
        if not bits[np.int64(index[code >> 8]) << 8 | (code & 255)] & _SPACE:
            break
        start += step
    while stop > start:
        i = stop - 1
        while data[i] & 0xC0 == 0x80:
            i -= 1
        code, _ = _decode(data, i)
        if not bits[np.int64(index[code >> 8]) << 8 | (code & 255)] & _SPACE:
            break
        stop = i
    return start, stop


@njit(cache=True, nogil=True, _nrt=False)
def _break_at(data: Any, i: int, stop: int) -> int:
    """Bytes of the line break of `str.splitlines` that starts at byte i, 0 for none."""
    b = data[i]
    if b == 0x0D:
        return 2 if i + 1 < stop and data[i + 1] == _LF else 1
    if 0x0A <= b <= 0x0C or 0x1C <= b <= 0x1E:
        return 1
    if b == 0xC2:
        return 2 if data[i + 1] == 0x85 else 0
    if b == 0xE2:
        return 3 if data[i + 1] == 0x80 and (data[i + 2] == 0xA8 or data[i + 2] == 0xA9) else 0
    return 0


@njit(cache=True, nogil=True, _nrt=False)
def _citation(data: Any, i: int, stop: int, index: Any, bits: Any) -> int:
    """Bytes of the citation mark that starts at byte i, 0 for none."""
    for name in _NAMES:
        size = len(name)
        if i + size <= stop:
            same = 0
            while same < size and data[i + same] == name[same]:
                same += 1
            if same == size:
                return size
    k = i + 1
    while k < stop and data[k] != 0x5D:
        code, step = _decode(data, k)
        if not bits[np.int64(index[code >> 8]) << 8 | (code & 255)] & _DIGIT:
            return 0
        k += step
    return k + 1 - i if k < stop else 0


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _ends_well(data: Any, start: int, stop: int, ends: Any, cuts: Any) -> bool:
    if len(cuts) == 1:
        return True
    if stop - start >= 3 and data[stop - 1] == 0x2E and data[stop - 2] == 0x2E and data[stop - 3] == 0x2E:
        return False
    well = False
    for m in range(len(cuts) - 1):
        size = cuts[m + 1] - cuts[m]
        if size <= stop - start:
            same = 0
            while same < size and data[stop - size + same] == ends[cuts[m] + same]:
                same += 1
            well |= same == size
    return well


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _scan(data: Any, start: int, stop: int, index: Any, bits: Any, delta: Any, after: Any) -> Any:
    """Words between white space; characters of the longest; what phrases the text in lower case holds; curly brackets."""
    words, longest, length, seen, curly, state = 0, 0, 0, np.uint32(0), 0, np.uint32(0)
    i = start
    while i < stop:
        code = np.int64(data[i])
        if code < 0x80:
            i += 1
            curly += code == 0x7B
            state = after[state & _STATE, code]
            space = code <= 0x20 and (code == 0x20 or 0x09 <= code <= 0x0D or code >= 0x1C)
        else:
            code, step = _decode(data, i)
            i += step
            slot = np.int64(index[code >> 8]) << 8 | (code & 255)
            space = bits[slot] & _SPACE != 0
            code += delta[slot]
            if code == 0x130:  # the one character that becomes two: i and U+0307
                state = after[after[after[state & _STATE, 0x69] & _STATE, 0xCC] & _STATE, 0x87]
            elif code < 0x80:
                state = after[state & _STATE, code]
            elif code < 0x800:
                state = after[after[state & _STATE, 0xC0 | code >> 6] & _STATE, 0x80 | (code & 0x3F)]
            else:
                if code < 0x10000:
                    state = after[state & _STATE, 0xE0 | code >> 12]
                else:
                    state = after[state & _STATE, 0xF0 | code >> 18]
                    state = after[state & _STATE, 0x80 | (code >> 12 & 0x3F)]
                state = after[after[state & _STATE, 0x80 | (code >> 6 & 0x3F)] & _STATE, 0x80 | (code & 0x3F)]
        seen |= state
        if space:
            length = 0
        else:
            words += length == 0
            length += 1
            longest = max(longest, length)
    return words, longest, np.int64(seen >> _KINDS), curly > 0


@njit(cache=True, nogil=True, _nrt=False)
def _clean(data: Any, start: int, stop: int, index: Any, bits: Any, out: Any, at: int) -> int:
    """Copy without citation marks to `out` from `at`; where the copy ends."""
    i = start
    while i < stop:
        size = _citation(data, i, stop, index, bits) if data[i] == 0x5B else 0
        if size:
            i += size
        else:
            out[at] = data[i]
            at += 1
            i += 1
    return at


@njit(cache=True, nogil=True, _nrt=False, forceinline=True)
def _bracket(data: Any, start: int, stop: int) -> bool:
    found = False
    for i in range(start, stop):
        found |= data[i] == 0x5B
    return found


@njit(cache=True, nogil=True, _nrt=False)
def _judge(
    data: Any, firsts: Any, lasts: Any, lefts: Any, rights: Any, marks: Any, lines: Any, index: Any, bits: Any, delta: Any,
    after: Any, end_marks: Any, mark_cuts: Any, min_words: int, max_chars: int, citations: bool, words_first: bool,
    starts: Any, ends: Any, bounds: Any, cleaned: Any, cuts: Any, documents: Any, filler: Any, curly: Any,
) -> int:  # fmt: skip
    kept, count = 0, 0
    for d in range(len(lines) - 1):
        for k in range(lines[d], lines[d + 1]):
            i, stop = (firsts[k], lasts[k]) if marks[k] else (lefts[k], rights[k])
            while i < stop:
                start, size = i, 0
                if marks[k]:
                    while i < stop:
                        size = _break_at(data, i, stop)
                        if size:
                            break
                        i += 1
                    start, end = _strip(data, start, i, index, bits)
                    i += size
                else:
                    end, i = stop, stop
                if start == end:
                    # Where nothing is asked of a line, a blank one stays; it holds no sentence.
                    continue
                changed = citations and _bracket(data, start, end)
                if changed:
                    at = cuts[count]
                    to = _clean(data, start, end, index, bits, cleaned, at)
                    changed = to - at < end - start
                if changed:
                    if not _ends_well(cleaned, at, to, end_marks, mark_cuts):
                        continue
                elif not _ends_well(data, start, end, end_marks, mark_cuts):
                    continue
                words, longest, seen, bracket = _scan(data, start, end, index, bits, delta, after)
                if changed:
                    fewer, _, seen, bracket = _scan(cleaned, at, to, index, bits, delta, after)
                    words = words if words_first else fewer
                if words < min_words or (max_chars >= 0 and longest > max_chars):
                    continue
                filler[d] += seen & _FILLER != 0
                if seen & _SCRIPT and not seen & _FILLER:
                    continue
                curly[d] += bracket
                if seen:
                    continue
                if changed:
                    documents[count] = d
                    count += 1
                    cuts[count] = to
                else:
                    starts[kept], ends[kept] = start, end
                    kept += 1
        bounds[d + 1] = kept
    return count


@njit(cache=True, nogil=True, _nrt=False)
def _keep(
    data: Any, firsts: Any, lasts: Any, lefts: Any, rights: Any, marks: Any, lines: Any, index: Any, bits: Any, delta: Any,
    after: Any, end_marks: Any, mark_cuts: Any, min_words: int, max_chars: int, citations: bool, words_first: bool,
    out: Any, bounds: Any,
) -> int:  # fmt: skip
    place = 0
    for d in range(len(lines) - 1):
        first = place
        for k in range(lines[d], lines[d + 1]):
            i, stop = (firsts[k], lasts[k]) if marks[k] else (lefts[k], rights[k])
            while i < stop:
                start, size = i, 0
                if marks[k]:
                    while i < stop:
                        size = _break_at(data, i, stop)
                        if size:
                            break
                        i += 1
                    start, end = _strip(data, start, i, index, bits)
                    i += size
                else:
                    end, i = stop, stop
                if start == end:
                    continue
                _, longest, _, _ = _scan(data, start, end, index, bits, delta, after)
                if max_chars >= 0 and longest > max_chars:
                    continue
                at = place + 1 if place > first else place
                if citations and _bracket(data, start, end):
                    to = _clean(data, start, end, index, bits, out, at)
                    begin, to = _strip(out, at, to, index, bits)
                    again = False
                    for q in range(begin, to):
                        if begin != at:
                            out[at + q - begin] = out[q]
                    to = at + to - begin
                    for q in range(at, to):
                        again |= out[q] == 0x5B and _citation(out, q, to, index, bits) > 0
                    if again or to == at:
                        continue
                else:
                    for q in range(start, end):
                        out[at + q - start] = data[q]
                    to = at + end - start
                if not _ends_well(out, at, to, end_marks, mark_cuts):
                    continue
                words, _, seen, _ = _scan(out, at, to, index, bits, delta, after)
                if words < max(min_words, 1) or seen & (_SCRIPT | _NOTICE):
                    continue
                if place > first:
                    out[place] = _LF
                place = to
        bounds[d + 1] = place
    return place


@njit(cache=True, nogil=True, _nrt=False)
def _step(kind: Any, first: bool, state: int) -> Any:
    """The state after a token, and whether it begins a sentence. States: 0 before any token of a sentence, 1 in it, 2 behind
    an end mark."""
    if state == 2 and kind & _GAP and not first:
        state = 0  # spaCy's white space token, which begins the next sentence
    begins = state == 0 or (state == 2 and not kind & (_PUNCTUATION | _END))
    if begins:
        state = 1
    if kind & _END:
        state = 2
    return state, begins


@njit(cache=True, nogil=True, _nrt=False)
def _sentences(tokens: Any, kinds: Any, bounds: Any, starts: Any, ends: Any, lines: Any, out: Any) -> None:
    for d in range(len(bounds) - 1):
        t = bounds[d]
        for k in range(lines[d], lines[d + 1]):
            while t < bounds[d + 1] and tokens[t] < starts[k]:
                t += 1
            state, first = 0, True
            while t < bounds[d + 1] and tokens[t] < ends[k]:
                state, begins = _step(kinds[t], first, state)
                out[d] += begins
                first = False
                t += 1


@njit(cache=True, nogil=True, _nrt=False)
def _of_cleaned(kinds: Any, bounds: Any, documents: Any, out: Any) -> None:
    for k in range(len(documents)):
        state, first = 0, True
        for t in range(bounds[k], bounds[k + 1]):
            state, begins = _step(kinds[t], first, state)
            out[documents[k]] += begins
            first = False
