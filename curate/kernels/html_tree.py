"""HTML tokens put together: blocks of text, the elements around them, in the order of the page.

The tree follows the WHATWG HTML standard (section 13.2.6) in what decides the text: elements that end without an end
tag, tables and lists that close what is open in them, scopes. It leaves out what moves no text: formatting elements are
not reopened, nothing is fostered out of tables, and of foreign content only the way out of it is known.
"""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen
from curate.kernels.html_names import TAGS, names
from curate.kernels.html_tokens import Tokens

__all__ = ["Pages", "scan"]

_DEPTH = 512  # open elements; deeper ones are taken as their siblings, as browsers do
_MAX_NODES = 1 << 18  # elements and blocks of a page that are told apart; what follows joins the last

_NO_BREAK = 0x01  # of html_references
_DEEPEST = 64  # columns of indentation that are kept
_BLOCK, _VOID, _SKIP, _CLOSES_P, _SPECIAL, _SCOPE = 1, 2, 8, 16, 32, 64  # of html_names: what an element does
_OPENS, _CLOSES, _LINKED_TAG = 1, 2, 4  # of html_tokens
# Columns of a block, of a node, of the stack of open elements.
_START, _END, _NODE, _MASS, _LINKED, _WORDS, _COMMAS, _STOPS, _CAPITALS, _DIGITS, _LINKS, _BREAKS, _INLINE = range(13)
_PARENT, _TAG, _OWN, _FIRST, _LAST, _LI, _CELL, _ROW, _COLUMN, _LEVEL = range(10)
(_S_NAME, _S_TAG, _S_NODE, _S_INLINE, _S_SKIP, _S_LINK, _S_P, _S_LI, _S_DD, _S_CELL, _S_ROW, _S_PART, _S_TABLE,
 _S_PRE) = range(14)  # fmt: skip
# The state of a page: where to write, where the block starts, whether a space is due, whether a link is open, the mass at its
# start, links and mass in links, line breaks, marks that all text of the block has, blocks and nodes so far, those of the
# pages before, the top of the stack.
_W, _AT, _GAP, _OPEN, _FROM, _LN, _LM, _BR, _SHARED, _NB, _NN, _BASE_B, _BASE_N, _TOP = range(14)

_H = {name: number for number, name in enumerate(TAGS)}
_A, _P, _LI_TAG, _DD, _DT, _BR_TAG, _HR = (_H[n] for n in ("a", "p", "li", "dd", "dt", "br", "hr"))
_TABLE, _TR, _TD, _TH, _TBODY, _THEAD, _TFOOT = (_H[n] for n in ("table", "tr", "td", "th", "tbody", "thead", "tfoot"))
_HTML, _BODY, _HEAD, _SVG, _TEMPLATE = (_H[n] for n in ("html", "body", "head", "svg", "template"))
_PRE, _LISTING, _PLAINTEXT, _XMP = (_H[n] for n in ("pre", "listing", "plaintext", "xmp"))
_H1_TAG, _H6_TAG, _ADDRESS, _DIV = (_H[n] for n in ("h1", "h6", "address", "div"))


class Pages(NamedTuple):
    """n pages taken apart: blocks and nodes of all of them, one behind the other, in the order of the page."""

    text: npt.NDArray[np.uint8]
    blocks: npt.NDArray[np.int64]
    """[blocks, 13]: bytes from and to in `text`, node, mass, mass in links, words, commas, full stops, capitals, digits, links,
    line breaks, marks that inline elements give to all of it."""
    nodes: npt.NDArray[np.int64]
    """[nodes, 10]: parent (-1 for the page), tag, marks, first block and the one behind the last, list item, cell and row
    that it stands in (-1 for none), column, level. The first node of a page is the page."""
    page_blocks: npt.NDArray[np.int64]
    """[n + 1]: where the blocks of each page begin."""
    page_nodes: npt.NDArray[np.int64]
    """[n + 1]: where the nodes of each page begin."""


def scan(data: npt.NDArray[np.uint8], pages: Tokens, links: bool = False) -> Pages:
    """Put the tokens of n pages together: data and tokens as `html_references.resolve` gives them, of valid UTF-8.

    A block is a run of text between two borders of block elements, or two `<br>` in a row. Its white space is one space, as
    browsers show it, a newline for `<br>`, and as it stands within `pre`. Mass counts its letters and signs, a Chinese,
    Japanese or Korean character as three. Text in `select`, `svg`, `template`, `noscript` and the like makes no block.
    With `links`, the address of a link stands in brackets behind it, if it ends in the block that it began in.

    O(bytes) whatever the page, as the stack of open elements is bounded; memory a byte and a quarter for each of HTML, and
    at most 50 MB a page for blocks and nodes.
    """
    data, n = frozen(data, np.uint8), names()
    # Of text and addresses, with a byte for each block and line break, and three around each address.
    text = np.empty(len(data) + 4 * len(pages.tokens) + 64, np.uint8)
    count = len(pages.pages) - 1
    page_blocks, page_nodes = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    blocks, nodes = np.empty((1024, 13), np.int64), np.empty((1024, 10), np.int64)
    blocks, nodes, size = _scan(
        frozen(pages.tokens, np.int64), frozen(pages.pages, np.int64), data, n.tag_does,
        n.tag_mark, n.char_class, text, blocks, nodes, page_blocks, page_nodes, links,
    )  # fmt: skip
    return Pages(text[:size], blocks[: page_blocks[-1]], nodes[: page_nodes[-1]], page_blocks, page_nodes)


@njit(cache=True, nogil=True)
def _class(data: Any, i: Any, stop: Any) -> Any:
    """The class of the character at byte i, which its first byte leaves open: signs beyond ASCII are told by the others."""
    b = data[i]
    if b == 0x26 or b == 0x3C:
        return 6
    c = data[i + 1] if i + 1 < stop else np.uint8(0)
    d = data[i + 2] if i + 2 < stop else np.uint8(0)
    if b == 0xE2 and c == 0x80:  # general punctuation, with the ellipsis
        return 5 if d == 0xA6 else 6
    if b == 0xEF and c == 0xBC:  # full width
        return 4 if d == 0x8C or d == 0x9A or d == 0x9B else 5 if d == 0x81 or d == 0x9F else 1
    if b == 0xE3:  # ideographic comma and full stop
        return 4 if c == 0x80 and d == 0x81 else 5 if c == 0x80 and d == 0x82 else 7
    if b == 0xD8:  # Arabic comma, semicolon, question mark
        return 4 if c == 0x8C or c == 0x9B else 5 if c == 0x9F else 1
    return 5 if (b == 0xE0 and c == 0xA5 and d >> 1 == 0x52) or (b == 0xEF and c == 0xBD and d == 0xA1) else 1  # danda


@njit(cache=True, nogil=True)
def _line(s: Any, h: Any, out: Any) -> None:
    """A line break within a block; at most one line stays blank."""
    w = s[_W]
    while w > s[_AT] and (out[w - 1] == 0x20 or out[w - 1] == 0x09):
        w -= 1
    s[_GAP] = 0
    if w > s[_AT] and not (w > s[_AT] + 1 and out[w - 1] == 0x0A and out[w - 2] == 0x0A):
        out[w] = 0x0A
        w += 1
        h[9] += 1
    s[_W] = w


@njit(cache=True, nogil=True)
def _at_line_start(out: Any, first: Any, w: Any) -> Any:
    """Whether nothing but a little indentation stands in the last line of the block, which is not its first."""
    k = w
    while k > first and w - k < _DEEPEST and out[k - 1] == 0x20:
        k -= 1
    return k > first and out[k - 1] == 0x0A


@njit(cache=True, nogil=True)
def _text(data: Any, i: Any, stop: Any, classes: Any, s: Any, h: Any, out: Any, pre: bool) -> None:
    """Takes a piece of text in."""
    w = s[_W]
    while i < stop:
        b = data[i]
        kind = classes[b]
        if b == _NO_BREAK:
            if _at_line_start(out, s[_AT], w):
                out[w] = 0x20
                w += 1
            else:
                s[_GAP] = w > s[_AT]
        elif kind != 9:
            if kind > 7:
                kind = np.uint8(_class(data, i, stop))
            if s[_GAP]:
                out[w] = 0x20
                w += 1
                h[9] += 1
                s[_GAP] = 0
            out[w] = b
            w += 1
            h[kind] += 1
        elif not pre:
            s[_GAP] = w > s[_AT] and out[w - 1] != 0x0A
        elif b == 0x0A or b == 0x0D:
            if b == 0x0D and i + 1 < stop and data[i + 1] == 0x0A:
                i += 1
            s[_W] = w
            _line(s, h, out)
            w = s[_W]
        else:
            out[w] = 0x09 if b == 0x09 else 0x20
            w += 1
            h[9] += 1
        i += 1
    s[_W] = w


@njit(cache=True, nogil=True)
def _mass(h: Any) -> Any:
    return h[1] + h[2] + h[3] + h[4] + h[5] + h[6] + 3 * h[7]


@njit(cache=True, nogil=True)
def _flush(s: Any, h: Any, out: Any, st: Any, blocks: Any) -> None:
    """Ends the block, if there is text in it."""
    w = s[_W]
    while w > s[_AT] and (out[w - 1] == 0x20 or out[w - 1] == 0x0A or out[w - 1] == 0x09):
        w -= 1
    mass = _mass(h)
    if mass > 0:
        linked = s[_LM] + (mass - s[_FROM] if s[_OPEN] else 0)
        if s[_NB] - s[_BASE_B] < _MAX_NODES:
            b = blocks[s[_NB]]
            b[_START], b[_NODE] = s[_AT], st[s[_TOP], _S_NODE]
            b[_INLINE] = s[_SHARED]
            s[_NB] += 1
            b[_MASS] = b[_LINKED] = b[_WORDS] = b[_COMMAS] = b[_STOPS] = b[_CAPITALS] = b[_DIGITS] = b[_LINKS] = b[_BREAKS] = 0
        else:
            b = blocks[s[_NB] - 1]
        b[_END] = w
        b[_MASS] += mass
        b[_LINKED] += linked
        b[_WORDS] += h[9] + 1
        b[_COMMAS] += h[4]
        b[_STOPS] += h[5]
        b[_CAPITALS] += h[2]
        b[_DIGITS] += h[3]
        b[_LINKS] += s[_LN]
        b[_BREAKS] += s[_BR]
        # A byte between blocks, so that those which join past the limit stay lines.
        out[w] = 0x0A
        w += 1
    else:
        w = s[_AT]
    s[_W] = s[_AT] = w
    s[_GAP] = s[_BR] = s[_LN] = s[_LM] = s[_FROM] = 0
    s[_LN] = s[_OPEN]
    s[_SHARED] = -1
    h[:] = 0


@njit(cache=True, nogil=True)
def _pop(to: Any, s: Any, h: Any, out: Any, st: Any, does: Any, blocks: Any, nodes: Any) -> None:
    """Ends the open elements from place `to` up."""
    for k in range(to, s[_TOP] + 1):
        if does[st[k, _S_TAG]] & _BLOCK:
            _flush(s, h, out, st, blocks)
            break
    while s[_TOP] >= to:
        top = s[_TOP]
        if st[top, _S_LINK] and s[_OPEN]:
            s[_LM] += _mass(h) - s[_FROM]
            s[_OPEN] = 0
        s[_TOP] = top - 1
        if st[top, _S_NODE] != st[top - 1, _S_NODE]:
            nodes[st[top, _S_NODE], _LAST] = s[_NB]


@njit(cache=True, nogil=True)
def _end_link(s: Any, h: Any, out: Any, st: Any, does: Any, blocks: Any, nodes: Any) -> None:
    """Ends the open link; blocks that began in it go on."""
    k = s[_TOP]
    while k > 0 and not st[k, _S_LINK]:
        k -= 1
    if k == 0:
        return
    for above in range(k + 1, s[_TOP] + 1):
        if does[st[above, _S_TAG]] & _SPECIAL:
            st[k, _S_LINK] = 0
            if s[_OPEN]:
                s[_LM] += _mass(h) - s[_FROM]
                s[_OPEN] = 0
            return
    _pop(k, s, h, out, st, does, blocks, nodes)


@njit(cache=True, nogil=True)
def _end(tag: Any, name: Any, s: Any, h: Any, out: Any, st: Any, does: Any, blocks: Any, nodes: Any) -> None:
    """An end tag."""
    top = s[_TOP]
    if tag == _A:
        _end_link(s, h, out, st, does, blocks, nodes)
        return
    if tag == _BR_TAG:
        _break(s, h, out, st, blocks)
        return
    to = 0
    if tag == _P:
        to = st[top, _S_P]
        if to == 0:
            _flush(s, h, out, st, blocks)
    elif tag == _LI_TAG:
        to = st[top, _S_LI]
    elif tag in (_DD, _DT):
        to = st[top, _S_DD]
    elif tag in (_TD, _TH):
        to = st[top, _S_CELL]
    elif tag == _TR:
        to = st[top, _S_ROW]
    elif tag in (_TBODY, _THEAD, _TFOOT):
        to = st[top, _S_PART]
    elif tag == _TABLE:
        to = st[top, _S_TABLE]
    else:
        stops = _SCOPE if does[tag] & (_BLOCK | _SPECIAL) else _SPECIAL
        heading = _H1_TAG <= tag <= _H6_TAG
        k = top
        while k > 0:
            if st[k, _S_NAME] == name or (heading and _H1_TAG <= st[k, _S_TAG] <= _H6_TAG):
                to = k
                break
            if does[st[k, _S_TAG]] & stops:
                break
            k -= 1
    if to > 0:
        _pop(to, s, h, out, st, does, blocks, nodes)


@njit(cache=True, nogil=True)
def _break(s: Any, h: Any, out: Any, st: Any, blocks: Any) -> None:
    """`<br>`: a line break; the second in a row ends the block, but not within `pre`."""
    w = s[_W]
    if w > s[_AT] and out[w - 1] == 0x0A and not st[s[_TOP], _S_PRE]:
        _flush(s, h, out, st, blocks)
        return
    _line(s, h, out)
    s[_BR] += 1


@njit(cache=True, nogil=True)
def _begin(
    tag: Any, name: Any, link: Any, marks: Any, s: Any, h: Any, out: Any, st: Any, does: Any, tag_marks: Any, blocks: Any,
    nodes: Any,
) -> None:  # fmt: skip
    """A start tag."""
    kind = does[tag]
    if tag == _BR_TAG:
        _break(s, h, out, st, blocks)
        return
    if tag in (_HTML, _BODY, _HEAD):
        return
    if (kind & _CLOSES_P or tag in (_HR, _TABLE)) and st[s[_TOP], _S_P] > 0:
        _pop(st[s[_TOP], _S_P], s, h, out, st, does, blocks, nodes)
    if kind & _VOID:
        if tag == _HR:
            _flush(s, h, out, st, blocks)
        return
    if kind & _CLOSES_P and st[s[_TOP], _S_SKIP] == 2:
        # Out of foreign content.
        k = s[_TOP]
        while st[k - 1, _S_SKIP] == 2:
            k -= 1
        _pop(k, s, h, out, st, does, blocks, nodes)
    to = 0
    top = s[_TOP]
    if tag == _LI_TAG:
        to = st[top, _S_LI]
    elif tag in (_DD, _DT):
        to = st[top, _S_DD]
    elif tag in (_TD, _TH):
        to = st[top, _S_CELL]
    elif tag == _TR:
        to = st[top, _S_ROW]
    elif tag in (_TBODY, _THEAD, _TFOOT):
        to = st[top, _S_PART]
    elif _H1_TAG <= tag <= _H6_TAG and _H1_TAG <= st[top, _S_TAG] <= _H6_TAG:
        to = top
    elif tag == _A and s[_TOP] > 0:
        _end_link(s, h, out, st, does, blocks, nodes)
    if to > 0:
        _pop(to, s, h, out, st, does, blocks, nodes)
    if kind & _BLOCK:
        _flush(s, h, out, st, blocks)
    top = s[_TOP]
    if top + 1 >= _DEPTH:
        return
    new = st[top + 1]
    new[:] = st[top]
    new[_S_NAME], new[_S_TAG], new[_S_LINK] = name, tag, 0
    top += 1
    s[_TOP] = top
    if kind & _SKIP and new[_S_SKIP] == 0:
        new[_S_SKIP] = 2 if tag == _SVG else 1
    if link and new[_S_SKIP] == 0:
        new[_S_LINK] = 1
        s[_OPEN], s[_FROM] = 1, _mass(h)
        s[_LN] += 1
    if not kind & _BLOCK:
        new[_S_INLINE] |= marks | tag_marks[tag]
        if kind & _SCOPE:
            new[_S_P] = 0
        if tag == _TEMPLATE:
            new[_S_LI : _S_TABLE + 1] = 0
        return
    if s[_NN] - s[_BASE_N] < _MAX_NODES:
        here = s[_NN]
        node = nodes[here]
        above = nodes[new[_S_NODE]]
        node[_PARENT], node[_TAG], node[_OWN] = new[_S_NODE], tag, marks | tag_marks[tag] | new[_S_INLINE]
        node[_FIRST], node[_LAST] = s[_NB], -1
        node[_LI], node[_CELL], node[_ROW], node[_COLUMN] = above[_LI], above[_CELL], above[_ROW], 0
        node[_LEVEL] = above[_LEVEL] + 1
        if tag == _LI_TAG:
            node[_LI] = here
        elif tag in (_TD, _TH):
            node[_CELL] = here
            node[_ROW] = new[_S_NODE]
            node[_COLUMN] = above[_COLUMN]
            above[_COLUMN] += 1
        elif tag == _TABLE:
            node[_LI] = -1
        new[_S_NODE] = here
        s[_NN] += 1
    new[_S_INLINE] = 0
    if tag == _P:
        new[_S_P] = top
    elif kind & _SCOPE:
        new[_S_P] = 0
    # What a list item and a cell may close lies within the nearest list and table.
    if tag == _LI_TAG:
        new[_S_LI] = top
    elif tag in (_DD, _DT):
        new[_S_DD] = top
    elif tag == _TABLE:
        new[_S_LI : _S_TABLE + 1] = 0
        new[_S_TABLE] = top
    elif tag == _TR:
        new[_S_ROW], new[_S_CELL] = top, 0
    elif tag in (_TD, _TH):
        new[_S_CELL] = top
        new[_S_LI] = new[_S_DD] = 0
    elif tag in (_TBODY, _THEAD, _TFOOT):
        new[_S_PART], new[_S_ROW], new[_S_CELL] = top, 0, 0
    elif tag != _DIV and tag != _ADDRESS and tag != _P:
        new[_S_LI] = new[_S_DD] = 0
    if tag in (_PRE, _LISTING, _XMP, _PLAINTEXT):
        new[_S_PRE] = 1


@njit(cache=True, nogil=True)
def _scan(
    tokens: Any, token_pages: Any, data: Any, does: Any, tag_marks: Any, classes: Any,
    out: Any, blocks: Any, nodes: Any, page_blocks: Any, page_nodes: Any, links: Any,
) -> Any:  # fmt: skip
    s, h, st = np.zeros(14, np.int64), np.zeros(16, np.int64), np.zeros((_DEPTH, 14), np.int64)
    address = (np.int64(0), np.int64(0))
    for page in range(len(token_pages) - 1):
        need = token_pages[page + 1] - token_pages[page] + 4
        if s[_NB] + need > len(blocks):
            blocks = _grown(blocks, s[_NB], need)
        if s[_NN] + need > len(nodes):
            nodes = _grown(nodes, s[_NN], need)
        s[_BASE_B], s[_BASE_N] = s[_NB], s[_NN]
        root = s[_NN]
        nodes[root] = 0
        nodes[root, _PARENT] = nodes[root, _LI] = nodes[root, _CELL] = nodes[root, _ROW] = -1
        nodes[root, _FIRST] = s[_NB]
        s[_NN] += 1
        st[0] = 0
        st[0, _S_NODE] = root
        s[_TOP] = s[_GAP] = s[_OPEN] = s[_FROM] = s[_LN] = s[_LM] = s[_BR] = 0
        s[_AT], s[_SHARED] = s[_W], -1
        h[:] = 0
        for t in range(token_pages[page], token_pages[page + 1]):
            what = tokens[t, 0]
            tag = what >> 8 & 0xFF
            name = what >> 8
            if what & _CLOSES:
                was_open = s[_OPEN]
                _end(tag, name, s, h, out, st, does, blocks, nodes)
                if links and was_open and not s[_OPEN] and s[_W] > s[_AT]:
                    out[s[_W]], out[s[_W] + 1] = 0x20, 0x28
                    s[_W] += 2
                    for i in range(address[0], address[1]):
                        out[s[_W]] = data[i]
                        s[_W] += data[i] > 0x20
                    out[s[_W]] = 0x29
                    s[_W] += 1
            elif what & _OPENS:
                if what & _LINKED_TAG:
                    address = tokens[t, 1], tokens[t, 2]
                _begin(tag, name, what & _LINKED_TAG, tokens[t, 3], s, h, out, st, does, tag_marks, blocks, nodes)
            elif not st[s[_TOP], _S_SKIP]:
                before, pre = s[_W], st[s[_TOP], _S_PRE] != 0
                _text(data, tokens[t, 1], tokens[t, 2], classes, s, h, out, pre)
                if s[_W] > before:
                    s[_SHARED] &= st[s[_TOP], _S_INLINE]
        _pop(1, s, h, out, st, does, blocks, nodes)
        _flush(s, h, out, st, blocks)
        nodes[root, _LAST] = s[_NB]
        page_blocks[page + 1], page_nodes[page + 1] = s[_NB], s[_NN]
    return blocks, nodes, s[_W]


@njit(cache=True, nogil=True)
def _grown(rows: Any, used: Any, need: Any) -> Any:
    need = min(need, _MAX_NODES + 4)
    larger = np.empty((max(2 * len(rows), used + need), rows.shape[1]), np.int64)
    larger[:used] = rows[:used]
    return larger
