"""The names that the HTML kernels know: tags, attributes, metadata fields, words of class names, character references.

Tables only, made once a process and handed to the kernels as arrays: numba's cache of a kernel does not see a constant
change in another file.
"""

from __future__ import annotations

import functools
import html.entities
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["MARKS", "TAGS", "WORDS", "Names", "fnv", "names"]

_FNV_OFFSET, _FNV_PRIME = 0xCBF29CE484222325, 0x100000001B3

# What an element does (bits of `Names.tag_does`). The kernel has the same numbers.
_BLOCK, _VOID, _RAW, _SKIP, _CLOSES_P, _SPECIAL, _SCOPE = 1, 2, 4, 8, 16, 32, 64


def _list(names: str) -> list[str]:
    return names.split()


_ALL_BLOCKS = _list(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption figure footer form "
    "frameset h1 h2 h3 h4 h5 h6 header hgroup hr html legend li listing main menu nav ol p plaintext pre search section "
    "summary table tbody td tfoot th thead tr ul xmp caption button optgroup option noframes"
)
_VOIDS = _list("area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr")
_RAWS = _list("script style textarea title xmp iframe noembed noframes")
_SKIPS = _list(
    "script style textarea title iframe noembed noframes noscript template select svg canvas audio video object datalist rt rp"
)
_CLOSING_P = _list(
    "address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form h1 h2 h3 h4 h5 "
    "h6 header hgroup hr listing main menu nav ol p pre search section summary table ul xmp plaintext li dd dt"
)
_SCOPES = _list("applet caption html table td th marquee object template")
_INLINE = _list(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label map mark math meter nobr output picture "
    "progress q rp rt ruby s samp small span strike strong sub sup time tt u var annotation applet marquee head colgroup"
)

TAGS = ("", *sorted({*_ALL_BLOCKS, *_VOIDS, *_RAWS, *_SKIPS, *_CLOSING_P, *_SCOPES, *_INLINE}))
"""Tag names by number; 0 stands for every other."""

_ATTRIBUTES = (
    "", "class", "id", "role", "itemprop", "style", "hidden", "aria-hidden", "href", "rel", "property", "name", "content",
    "lang", "datetime", "type", "http-equiv", "xml:lang", "pubdate",
)  # fmt: skip

# Fields of metadata -> 16 * slot + how much it is trusted (higher wins, then the first).
_TITLE, _CANONICAL, _DATE, _LANGUAGE = 0, 1, 2, 3
_FIELDS = {
    "og:title": _TITLE * 16 + 3,
    "twitter:title": _TITLE * 16 + 2,
    "dc.title": _TITLE * 16 + 2,
    "og:url": _CANONICAL * 16 + 1,
    "article:published_time": _DATE * 16 + 9,
    "og:article:published_time": _DATE * 16 + 9,
    "datepublished": _DATE * 16 + 8,
    "publishdate": _DATE * 16 + 7,
    "pubdate": _DATE * 16 + 7,
    "publish_date": _DATE * 16 + 7,
    "publish-date": _DATE * 16 + 7,
    "parsely-pub-date": _DATE * 16 + 7,
    "sailthru.date": _DATE * 16 + 7,
    "cxenseparse:recs:publishtime": _DATE * 16 + 7,
    "citation_publication_date": _DATE * 16 + 7,
    "dcterms.created": _DATE * 16 + 6,
    "dc.date.issued": _DATE * 16 + 6,
    "dc.date.created": _DATE * 16 + 6,
    "dc.date": _DATE * 16 + 6,
    "dcterms.date": _DATE * 16 + 6,
    "date": _DATE * 16 + 5,
    "og:locale": _LANGUAGE * 16 + 1,
    "content-language": _LANGUAGE * 16 + 2,
    "language": _LANGUAGE * 16 + 1,
}

# Words that stand in class names, ids and roles, by what they say about the element. `#` is a border: anything but a
# letter, or a change from lower to upper case; other words are found anywhere. Collected from the conventions of the
# common publishing systems and frameworks; what each is worth is learnt (see html_rank).
WORDS: dict[str, str] = {
    "body": "article#body articlebody article#text articletext article#content articlecontent post#content postcontent "
    "post#body postbody post#text entry#content entrycontent entry#text entry#body story#body storybody story#content "
    "content#body body#text bodytext body#content main#content maincontent content#main rich#text richtext text#content "
    "textcontent article#main blog#post #prose# #markdown mw#content mw#parser #hentry content#text page#content "
    "news#text newstext #copy# #fulltext #field#body#",
    "content": "content #inhalt# #contenido# #contenu#",
    "article": "article #story# #post# #entry# #posts# #blog# #artikel #news#",
    "main": "#main#",
    "text": "#text# #paragraph #wysiwyg #copytext",
    "nav": "nav menu #tabs# #tab# sitemap",
    "crumb": "crumb pager pagination paginat #paging #next# #prev# #previous# #jump #backlink",
    "side": "sidebar side#bar #side# #rail# right#col rightcol left#col leftcol #secondary# complementary #marginal "
    "col#right #aside",
    "foot": "footer #foot# bottom copyright imprint impressum #legal# disclaimer contentinfo #fuss",
    "head": "header #head# banner masthead #top# topbar #logo",
    "comment": "comment disqus respond #reply #replies discussion kommentar trackback pingback #reviews# guestbook",
    "related": "related recommend similar #also# popular trending most#read outbrain taboola plista crosssell upsell "
    "cross#sell further#reading #suggest #mehr#",
    "teaser": "teaser #card# #cards# carousel slider slick swiper #tile readmore read#more #more# #latest #recent #archive",
    "share": "share sharing social facebook twitter whatsapp pinterest #follow# addthis #like# sharing sharedaddy shariff "
    "bookmark addtoany",
    "ad": "#ad# #ads# advert sponsor promo #adv# werbung anzeige affiliate #adsense #dfp #commercial",
    "meta": "meta byline author #date# timestamp dateline #tags# #tag# #tagged categor #posted# published #credit "
    "#source# #info# #postinfo #details#",
    "widget": "widget #module# plugin toolbar #tools# #tool# #utility #print# #noprint# #toc# table#of",
    "form": "#form# login signin register subscribe newsletter search signup captcha rating #vote #poll# #feedback #contact# "
    "#abo#",
    "legal": "cookie consent gdpr dsgvo privacy #cmp cmplz borlabs onetrust usercentrics "
    "popup modal overlay lightbox dialog dropdown notice alert tooltip noscript",
    "unseen": "#hidden# #hide# screen#reader #sr#only #visually #invisible #d#none #offscreen #accessib",
    "caption": "caption gallery #image# #img# #photo# #bild #media# video #player #figure #thumb",
    "shop": "product price #cart #basket #shop# warenkorb checkout",
    "list": "#list# #items# #item# #grid# #listing #overview #results# #feed#",
    "title": "#title# headline #heading subtitle",
    "lead": "#lead# #intro #summary #abstract #excerpt standfirst #vorspann #teasertext",
}

# Marks that an element's name gives (bits from 0), then those of WORDS (bits from 32).
MARKS = _list(
    "article main nav header footer aside form table li blockquote pre figure heading p dl control hidden link_block "
    "cell details"
)
_TAG_MARKS = {
    "article": "article", "main": "main", "nav": "nav", "header": "header", "footer": "footer", "aside": "aside",
    "form": "form", "fieldset": "form", "table": "table", "li": "li", "blockquote": "blockquote", "pre": "pre",
    "listing": "pre", "xmp": "pre", "plaintext": "pre", "figure": "figure", "figcaption": "figure", "h1": "heading",
    "h2": "heading", "h3": "heading", "h4": "heading", "h5": "heading", "h6": "heading", "p": "p", "dl": "dl",
    "button": "control", "label": "control", "legend": "control", "option": "control", "optgroup": "control",
    "menu": "nav", "search": "form", "td": "cell", "th": "cell", "caption": "table", "details": "details", "dialog": "aside",
}  # fmt: skip
WORD_BIT = 32


class Names(NamedTuple):
    """The tables. A hash table has a power of two of slots, is probed one by one, and holds 0 where it is empty."""

    tag_hash: npt.NDArray[Any]  # uint64[slots]: FNV-1a of the name in lower case
    tag_id: npt.NDArray[Any]  # int64[slots]
    tag_does: npt.NDArray[Any]  # int64[tags]
    tag_mark: npt.NDArray[Any]  # int64[tags]: bits of MARKS
    attribute_hash: npt.NDArray[Any]
    attribute_id: npt.NDArray[Any]
    field_hash: npt.NDArray[Any]
    field_id: npt.NDArray[Any]
    entity_hash: npt.NDArray[Any]
    entity_value: npt.NDArray[Any]  # uint64[slots]: up to 7 bytes of UTF-8, the first lowest; their number in the top byte
    word_next: npt.NDArray[Any]  # int16[states, 28]: the automaton over `#a-z` and others
    word_marks: npt.NDArray[Any]  # int64[states]
    char_class: npt.NDArray[Any]  # uint8[256]


def fnv(name: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = _FNV_OFFSET
    for byte in name:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value


@functools.cache
def names() -> Names:
    """The tables, about 300 KB."""
    numbers = {name: number for number, name in enumerate(TAGS)}
    does, mark = np.zeros(len(TAGS), np.int64), np.zeros(len(TAGS), np.int64)
    groups = (
        (_ALL_BLOCKS, _BLOCK),
        (_VOIDS, _VOID),
        (_RAWS, _RAW),
        (_SKIPS, _SKIP),
        (_CLOSING_P, _CLOSES_P),
        ([*_ALL_BLOCKS, *_RAWS, *_SKIPS, *_SCOPES, "head"], _SPECIAL),
        (_SCOPES, _SCOPE),
    )
    for members, bit in groups:
        for name in members:
            does[numbers[name]] |= bit
    for name, kind in _TAG_MARKS.items():
        mark[numbers[name]] |= 1 << MARKS.index(kind)
    tags = _table({fnv(name.encode()): number for name, number in numbers.items() if number})
    attributes = _table({fnv(name.encode()): number for number, name in enumerate(_ATTRIBUTES) if number})
    fields = _table({fnv(name.encode()): number + 1 for name, number in _FIELDS.items()})
    entities = _table({fnv(name.encode()): _packed(value) for name, value in html.entities.html5.items()})
    made = (*tags, does, mark, *attributes, *fields, entities[0], entities[1].view(np.uint64), *_automaton(), _classes())
    for array in made:
        array.flags.writeable = False
    return Names(*made)


def _packed(text: str) -> int:
    data = text.encode()
    value = int.from_bytes(data, "little") | len(data) << 56
    return value - (1 << 64) if value >> 63 else value


def _table(entries: dict[int, int]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    slots = 1 << (4 * len(entries) - 1).bit_length()
    keys, values = np.zeros(slots, np.uint64), np.zeros(slots, np.int64)
    for key, value in entries.items():
        at = key & (slots - 1)
        while keys[at]:
            at = (at + 1) & (slots - 1)
        keys[at], values[at] = key, value
    return keys, values


def _automaton() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The Aho-Corasick automaton of WORDS (Aho and Corasick 1975), as a full table of transitions.

    Symbol 0 is a border, 1 to 26 are letters. State 0 is the start.
    """
    children: list[dict[int, int]] = [{}]
    marks = [0]
    for number, words in enumerate(WORDS.values()):
        for word in words.split():
            state = 0
            for char in word:
                symbol = 0 if char == "#" else ord(char) - 96
                if symbol not in children[state]:
                    children[state][symbol] = len(children)
                    children.append({})
                    marks.append(0)
                state = children[state][symbol]
            marks[state] |= 1 << (WORD_BIT + number)
    table = np.zeros((len(children), 27), np.int16)
    fail = [0] * len(children)
    queue = [0]
    for state in queue:
        for symbol in range(27):
            to = children[state].get(symbol)
            if to is None:
                table[state, symbol] = table[fail[state], symbol] if state else 0
                continue
            fail[to] = int(table[fail[state], symbol]) if state else 0
            marks[to] |= marks[fail[to]]
            table[state, symbol] = to
            queue.append(to)
    return table, np.array(marks, np.int64)


def _classes() -> npt.NDArray[Any]:
    """What each byte of text is. 0: continues a character; 1: small letter or other; 2: capital; 3: digit; 4: comma, colon,
    semicolon; 5: full stop, `!`, `?`; 6: other sign; 7: begins a CJK character; 8: may begin a sign beyond ASCII; 9: white
    space; 10: control; 11: `&`; 12: `<`; 13: as 8, or may begin a character that shows nothing or a space."""
    kinds = np.ones(256, np.uint8)
    kinds[:0x20] = 10
    kinds[0x7F] = 10
    kinds[[0x09, 0x0A, 0x0C, 0x0D, 0x20]] = 9
    kinds[0x80:0xC0] = 0
    kinds[0xE3:0xEE] = 7
    for chars, kind in (("0123456789", 3), (",;:", 4), (".!?", 5), ("\"#$%'()*+-/=>@[\\]^_`{|}~", 6), ("&", 11), ("<", 12)):
        kinds[[ord(char) for char in chars]] = kind
    kinds[ord("A") : ord("Z") + 1] = 2
    kinds[[0xD8, 0xE0]] = 8
    kinds[[0xC2, 0xE2, 0xE3, 0xEF]] = 13
    return kinds
