"""HTML pages cut into tokens: tags with what their attributes say, text, and the fields that describe the page.

The tokenizer of the WHATWG HTML standard (section 13.2.5), over bytes.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.html_names import TAGS, fnv, names

__all__ = ["Tokens", "tokenize"]

_BLOCK, _RAW, _SKIP = 1, 4, 8  # of html_names: what an element does
_TEXT, _OPENS, _CLOSES = 0, 1, 2
_LINKS, _VERBATIM = 4, 8

_H = {name: number for number, name in enumerate(TAGS)}
_A, _TITLE, _META, _LINK, _TIME, _SCRIPT, _SVG, _HTML, _PLAINTEXT = (
    _H[name] for name in ["a", "title", "meta", "link", "time", "script", "svg", "html", "plaintext"]
)
(_CLASS, _ID, _ROLE, _ITEMPROP, _STYLE, _HIDDEN, _ARIA_HIDDEN, _HREF, _REL, _PROPERTY, _NAME, _CONTENT, _LANG, _DATETIME,
 _TYPE, _HTTP_EQUIV, _XML_LANG, _PUBDATE) = range(1, 19)  # fmt: skip
_ATTRIBUTES = 19
_HIDDEN_MARK = 1 << 16  # MARKS of html_names
_TITLE_FACT, _CANONICAL_FACT, _DATE_FACT, _LANGUAGE_FACT = range(4)

_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SCRIPT_HASH, _CANONICAL_HASH, _LD_HASH, _TRUE_HASH = (
    np.uint64(fnv(name)) for name in (b"script", b"canonical", b"application/ld+json", b"true")
)
_DATE_KEY = np.frombuffer(b'"datePublished"', np.uint8)
_NONE = np.frombuffer(b"display:none", np.uint8)


class Tokens(NamedTuple):
    """The tokens of n pages, one behind the other."""

    tokens: npt.NDArray[np.int64]
    """[tokens, 4]: what it is, bytes from and to in the data (of a link: those of its address), marks of its attributes
    (bits of html_names).

    What it is: bits 0 and 1 are 0 for text, 1 for a start tag, 2 for an end tag; bit 2 a link with an address; bit 3 text
    without character references; bits 8 to 15 the number of the tag; bits 32 to 62 a hash of its name."""
    pages: npt.NDArray[np.int64]
    """[n + 1]: where the tokens of each page begin."""
    facts: npt.NDArray[np.int64]
    """[n, 4, 3]: title, canonical address, date, language: bytes from and to in the data, and how far it is to be trusted
    (0: not found)."""


def tokenize(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> Tokens:
    """Cut n pages into tokens. Scripts, styles, text areas, frames and comments make none.

    O(bytes) whatever the page; memory 32 bytes for each token, of which a page has about one for 30 bytes and never more
    than one for 3.
    """
    offsets, data = frozen(offsets, np.int64), frozen(data, np.uint8)
    pages, facts = np.zeros(len(offsets), np.int64), np.zeros((len(offsets) - 1, 4, 3), np.int64)
    n = names()
    tokens = _tokenize(
        offsets, data, n.tag_hash, n.tag_id, n.tag_does, n.attribute_hash, n.attribute_id, n.field_hash, n.field_id,
        n.word_next, n.word_marks, pages, facts,
    )  # fmt: skip
    return Tokens(tokens[: pages[-1]], pages, facts)


@njit(cache=True, nogil=True)
def _space(b: Any) -> Any:
    return b == 0x20 or b == 0x0A or b == 0x09 or b == 0x0D or b == 0x0C


@njit(cache=True, nogil=True)
def _hash(data: Any, i: Any, end: Any) -> Any:
    """FNV-1a of the bytes, capital letters as small ones."""
    value = _OFFSET
    for k in range(i, end):
        b = data[k]
        value = (value ^ np.uint64(b | 0x20 if 0x41 <= b <= 0x5A else b)) * _PRIME
    return value


@njit(cache=True, nogil=True)
def _find(keys: Any, values: Any, key: Any) -> Any:
    """The value of a key, 0 when it is not there."""
    last = np.uint64(len(keys) - 1)
    at = key & last
    while keys[at] != 0:
        if keys[at] == key:
            return values[at]
        at = (at + np.uint64(1)) & last
    return 0


@njit(cache=True, nogil=True)
def _begins(data: Any, i: Any, stop: Any, word: Any) -> bool:
    """Whether a word of small letters and signs stands at byte i, in small letters or capitals."""
    if i + len(word) > stop:
        return False
    for k in range(len(word)):
        b = data[i + k]
        if (b | 0x20 if 0x41 <= b <= 0x5A else b) != word[k]:
            return False
    return True


@njit(cache=True, nogil=True)
def _marks(data: Any, i: Any, end: Any, steps: Any, marks: Any) -> Any:
    """The marks of the words in an attribute's value."""
    state, found = np.int64(steps[0, 0]), np.int64(0)
    small: Any = False
    for k in range(i, end):
        b = np.int64(data[k])
        letter = b | 0x20
        if 0x61 <= letter <= 0x7A:
            if b < 0x60 and small:
                state = np.int64(steps[state, 0])
                found |= marks[state]
            small = b > 0x60
            state = np.int64(steps[state, letter - 0x60])
        else:
            small = False
            state = np.int64(steps[state, 0])
        found |= marks[state]
    return found | marks[steps[state, 0]]


@njit(cache=True, nogil=True)
def _unseen(data: Any, i: Any, end: Any) -> Any:
    """Whether a style says `display: none`."""
    at = 0
    for k in range(i, end):
        b = data[k]
        if _space(b):
            continue
        b = b | 0x20 if 0x41 <= b <= 0x5A else b
        at = at + 1 if b == _NONE[at] else 1 if b == _NONE[0] else 0
        if at == len(_NONE):
            return True
    return False


@njit(cache=True, nogil=True)
def _comment(data: Any, i: Any, stop: Any) -> Any:
    """The byte behind a comment; i is behind its `<!--`."""
    if i < stop and data[i] == 0x3E:
        return i + 1
    if i + 1 < stop and data[i] == 0x2D and data[i + 1] == 0x3E:
        return i + 2
    while i < stop:
        if data[i] == 0x3E and data[i - 1] == 0x2D and data[i - 2] == 0x2D:
            return i + 1
        if data[i] == 0x3E and data[i - 1] == 0x21 and data[i - 2] == 0x2D and data[i - 3] == 0x2D:
            return i + 1
        i += 1
    return stop


@njit(cache=True, nogil=True)
def _raw_end(data: Any, i: Any, stop: Any, name: Any) -> Any:
    """The `<` of the end tag of a raw text element, or the end of the page. Scripts may hold `<!-- <script></script> -->`."""
    script, state = name == _SCRIPT_HASH, 0
    while i < stop:
        if data[i] != 0x3C:
            # The end of what hides scripts in a script.
            if state and data[i] == 0x3E and data[i - 1] == 0x2D and data[i - 2] == 0x2D:
                state = 0
            i += 1
            continue
        if script and i + 3 < stop and data[i + 1] == 0x21 and data[i + 2] == 0x2D and data[i + 3] == 0x2D:
            state = max(state, 1)
            i += 4
            continue
        close = i + 1 < stop and data[i + 1] == 0x2F
        if not close and state == 0:
            i += 1
            continue
        first = i + 2 if close else i + 1
        k = first
        while k < stop and k - first < 16 and 0x61 <= (data[k] | 0x20) <= 0x7A:
            k += 1
        if (k == stop or _space(data[k]) or data[k] == 0x2F or data[k] == 0x3E) and _hash(data, first, k) == name:
            if not close:
                state = 2
            elif state == 2:
                state = 1
            else:
                return i
        i = k
    return stop


@njit(cache=True, nogil=True)
def _date_in(data: Any, i: Any, stop: Any, fact: Any) -> None:
    """Takes the date out of JSON-LD, if it says one."""
    while i < stop:
        if data[i] == 0x22 and i + len(_DATE_KEY) < stop:
            k = 0
            while k < len(_DATE_KEY) and data[i + k] == _DATE_KEY[k]:
                k += 1
            if k == len(_DATE_KEY):
                k += i
                while k < stop and (_space(data[k]) or data[k] == 0x3A):
                    k += 1
                if k < stop and data[k] == 0x22:
                    end = k + 1
                    while end < stop and data[end] != 0x22:
                        end += 1
                    _fact(fact, k + 1, end, 8)
                    return
        i += 1


@njit(cache=True, nogil=True)
def _fact(fact: Any, start: Any, end: Any, trust: Any) -> None:
    if end > start and trust > fact[2]:
        fact[0], fact[1], fact[2] = start, end, trust


@njit(cache=True, nogil=True)
def _says(data: Any, tag: Any, at: Any, fields: Any, field_ids: Any, facts: Any) -> None:
    """What a tag of the page's head says about the page."""
    if tag == _META:
        for named in (_PROPERTY, _NAME, _ITEMPROP, _HTTP_EQUIV):
            if at[named, 1] > 0:
                field = _find(fields, field_ids, _hash(data, at[named, 0], at[named, 1])) - 1
                if field >= 0:
                    _fact(facts[field >> 4], at[_CONTENT, 0], at[_CONTENT, 1], field & 15)
    elif tag == _LINK:
        if at[_REL, 1] > 0 and _hash(data, at[_REL, 0], at[_REL, 1]) == _CANONICAL_HASH:
            _fact(facts[_CANONICAL_FACT], at[_HREF, 0], at[_HREF, 1], 2)
    elif tag == _TIME:
        field = _find(fields, field_ids, _hash(data, at[_ITEMPROP, 0], at[_ITEMPROP, 1])) - 1
        published = at[_PUBDATE, 1] > 0 or field >> 4 == _DATE_FACT
        _fact(facts[_DATE_FACT], at[_DATETIME, 0], at[_DATETIME, 1], 4 if published else 2)
    elif tag == _HTML:
        _fact(facts[_LANGUAGE_FACT], at[_LANG, 0], at[_LANG, 1], 4)
        _fact(facts[_LANGUAGE_FACT], at[_XML_LANG, 0], at[_XML_LANG, 1], 3)


@njit(cache=True, nogil=True)
def _attributes(data: Any, i: Any, stop: Any, hashes: Any, ids: Any, at: Any) -> tuple[Any, bool]:
    """Reads attributes up to the `>`, and notes where the values of the known ones are (end 0: not there).

    The byte behind the tag, or `stop + 1` where the page ends within it; whether it closes itself.
    """
    while True:
        while i < stop and (_space(data[i]) or data[i] == 0x2F):
            i += 1
        if i >= stop:
            return stop + 1, False
        if data[i] == 0x3E:
            return i + 1, data[i - 1] == 0x2F
        first = i
        value = _OFFSET
        while i < stop:
            b = data[i]
            # `=` begins a name, and ends it anywhere else.
            if b == 0x3E or b == 0x2F or _space(b) or (b == 0x3D and i > first):
                break
            value = (value ^ np.uint64(b | 0x20 if 0x41 <= b <= 0x5A else b)) * _PRIME
            i += 1
        known = _find(hashes, ids, value)
        end = i
        while i < stop and _space(data[i]):
            i += 1
        start = end
        if i < stop and data[i] == 0x3D:
            i += 1
            while i < stop and _space(data[i]):
                i += 1
            if i >= stop:
                return stop + 1, False
            quote = data[i]
            if quote == 0x22 or quote == 0x27:
                i += 1
                start = i
                while i < stop and data[i] != quote:
                    i += 1
                end = i
                i += 1
            else:
                start = i
                while i < stop and data[i] != 0x3E and not _space(data[i]):
                    i += 1
                end = i
            if i > stop:
                return stop + 1, False
        if known and at[known, 1] == 0:
            at[known, 0], at[known, 1] = start, max(end, 1)


@njit(cache=True, nogil=True)
def _room(tokens: Any, size: Any) -> Any:
    if size + 4 <= len(tokens):
        return tokens
    larger = np.empty((2 * len(tokens) + 4, 4), np.int64)
    larger[:size] = tokens[:size]
    return larger


@njit(cache=True, nogil=True)
def _put(tokens: Any, size: Any, what: Any, start: Any, end: Any, marks: Any) -> Any:
    tokens[size, 0], tokens[size, 1], tokens[size, 2], tokens[size, 3] = what, start, end, marks
    return size + 1


@njit(cache=True, nogil=True)
def _marked(data: Any, at: Any, steps: Any, word_marks: Any) -> Any:
    marks = np.int64(0)
    for named in (_CLASS, _ID, _ROLE, _ITEMPROP):
        if at[named, 1] > 0:
            marks |= _marks(data, at[named, 0], at[named, 1], steps, word_marks)
    if at[_HIDDEN, 1] or (at[_STYLE, 1] and _unseen(data, at[_STYLE, 0], at[_STYLE, 1])):
        marks |= _HIDDEN_MARK
    if at[_ARIA_HIDDEN, 1] and _hash(data, at[_ARIA_HIDDEN, 0], at[_ARIA_HIDDEN, 1]) == _TRUE_HASH:
        marks |= _HIDDEN_MARK
    return marks


@njit(cache=True, nogil=True)
def _tokenize(
    offsets: Any, data: Any, tag_hash: Any, tag_id: Any, does: Any, attribute_hash: Any, attribute_id: Any, field_hash: Any,
    field_id: Any, steps: Any, word_marks: Any, pages: Any, facts: Any,
) -> Any:  # fmt: skip
    size = 0
    tokens = np.empty((len(data) // 32 + 64, 4), np.int64)
    at = np.zeros((_ATTRIBUTES, 2), np.int64)
    for page in range(len(offsets) - 1):
        i, stop = offsets[page], offsets[page + 1]
        text, svg, titled = i, False, False
        while True:
            while i < stop and data[i] != 0x3C:
                i += 1
            tokens = _room(tokens, size)
            b = data[i + 1] if i + 1 < stop else np.uint8(0)
            if i < stop and not (0x61 <= (b | 0x20) <= 0x7A or b == 0x2F or b == 0x21 or b == 0x3F):
                i += 1  # a `<` that is text
                continue
            if i > text:
                size = _put(tokens, size, _TEXT, text, i, 0)
            if i >= stop:
                break
            closes = b == 0x2F
            first = i + 2 if closes else i + 1
            if first >= stop or not 0x61 <= (data[first] | 0x20) <= 0x7A:
                if b == 0x21 and i + 3 < stop and data[i + 2] == 0x2D and data[i + 3] == 0x2D:
                    i = _comment(data, i + 4, stop)
                else:  # declarations, instructions and what is none: up to the next `>`
                    while i < stop and data[i] != 0x3E:
                        i += 1
                    i = min(i + 1, stop)
                text = i
                continue
            i = first
            name = _OFFSET
            while i < stop:
                b = data[i]
                if b == 0x3E or b == 0x2F or _space(b):
                    break
                name = (name ^ np.uint64(b | 0x20 if 0x41 <= b <= 0x5A else b)) * _PRIME
                i += 1
            tag = _find(tag_hash, tag_id, name)
            what = tag << 8 | np.int64(name >> np.uint64(33)) << 32
            at[:] = 0
            i, alone = _attributes(data, i, stop, attribute_hash, attribute_id, at)
            if i > stop:
                text = i = stop
                continue
            text = i
            if closes:
                svg = svg and tag != _SVG
                size = _put(tokens, size, what | _CLOSES, first, i, 0)
                continue
            if tag in (_META, _LINK, _TIME, _HTML):
                _says(data, tag, at, field_hash, field_id, facts[page])
            if alone and (svg or tag == _SVG):
                continue
            svg = svg or tag == _SVG
            if not does[tag] & _RAW and tag != _PLAINTEXT:
                start, end = first, i
                if tag == _A and at[_HREF, 1]:
                    what |= _LINKS
                    start, end = at[_HREF, 0], at[_HREF, 1]
                size = _put(tokens, size, what | _OPENS, start, end, _marked(data, at, steps, word_marks))
                continue
            end = stop if tag == _PLAINTEXT else _raw_end(data, i, stop, name)
            if not does[tag] & _SKIP:
                size = _put(tokens, size, what | _OPENS, first, i, 0)
                size = _put(tokens, size, _TEXT | _VERBATIM, i, end, 0)
            elif tag == _TITLE and not svg and not titled:
                titled = True
                _fact(facts[page, _TITLE_FACT], i, end, 1)
            elif tag == _SCRIPT and at[_TYPE, 1] and _hash(data, at[_TYPE, 0], at[_TYPE, 1]) == _LD_HASH:
                _date_in(data, i, end, facts[page, _DATE_FACT])
            i = text = end
        pages[page + 1] = size
    return tokens
