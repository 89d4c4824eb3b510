"""Markdown as a tree that the page builds its elements of. Answers are hostile: no HTML is made anywhere.

A tree is text, or [element, attributes, children]. Elements and attributes are of a short list, here and again in the
page's script, which makes each by `createElement` and `createTextNode`. There are no links to follow and nothing is
loaded: of a link or picture the address is shown. CommonMark with tables and strikethrough, by markdown-it-py.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

__all__ = ["render"]

LONGEST_MARKDOWN = 30_000
"""Characters; a longer text is shown as it is, since its parsing would hold up the others."""

LONGEST = 400_000
"""Characters; what is beyond is not shown."""

Tree = list[Any]

ELEMENTS = {
    "p": "p", "blockquote": "blockquote", "ul": "ul", "ol": "ol", "li": "li", "pre": "pre", "code": "code", "em": "em",
    "strong": "strong", "s": "s", "hr": "hr", "table": "table", "thead": "thead", "tbody": "tbody", "tr": "tr", "th": "th",
    "td": "td", "h1": "h4", "h2": "h5", "h3": "h6", "h4": "h6", "h5": "h6", "h6": "h6",
}  # fmt: skip
"""Headings go below those of the page."""

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of the text around them, which can make it read as another."""


def render(text: str) -> tuple[list[Any], str]:
    """The trees of a text, and a remark to show with it ("" for none)."""
    text = text.encode("utf-8", "replace").decode()
    if len(text) <= LONGEST_MARKDOWN:
        return _Builder().build(_parser().parse(text)), ""
    remark = "Too long for formatting: shown as it is."
    if len(text) > LONGEST:
        remark = f"Too long: only the first {LONGEST:,} of {len(text):,} characters are shown."
    return [["pre", None, visible(text[:LONGEST])]], remark


def visible(text: str) -> list[Any]:
    """The text, with marks in place of characters that cannot be seen and change how the rest is read."""
    parts: list[Any] = []
    end = 0
    for found in UNSEEN.finditer(text):
        parts += [text[end : found.start()], ["mark", None, [f"U+{ord(found[0]):04X}"]]]
        end = found.end()
    parts.append(text[end:])
    return [part for part in parts if part != ""]


@cache
def _parser() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])


class _Builder:
    """Nests what markdown-it gives in a row."""

    def __init__(self) -> None:
        self.root: list[Any] = []
        self.stack: list[list[Any]] = [self.root]
        self.addresses: list[str] = []

    def build(self, tokens: list[Any]) -> list[Any]:
        for token in tokens:
            self.add(token)
        return self.root

    def add(self, token: Any) -> None:
        here = self.stack[-1]
        match token.type:
            case "inline":
                for child in token.children or []:
                    self.add(child)
            case "text" | "text_special":
                here.extend(visible(token.content))
            case "softbreak" | "hardbreak":
                here.append(["br", None, []])
            case "code_inline":
                here.append(["code", None, visible(token.content)])
            case "fence" | "code_block":
                language = token.info.split()[0][:30] if token.info.split() else ""
                here.append(["pre", {"lang": language} if language else None, visible(token.content.removesuffix("\n"))])
            case "image":
                here.extend(["[picture: ", *visible(token.content), " ", *_address(str(token.attrs.get("src", ""))), "]"])
            case "link_open":
                self.addresses.append(str(token.attrs.get("href", "")))
                self.open(["u", None, []])
            case "link_close":
                address = self.addresses.pop()
                self.stack.pop()
                shown = "".join(part for part in self.stack[-1][-1][2] if isinstance(part, str))
                if shown != address:
                    self.stack[-1].extend([" ", *_address(address)])
            case _:
                self.element(token)

    def element(self, token: Any) -> None:
        name = ELEMENTS.get(token.tag)
        if name is None or token.hidden:
            # The paragraphs of tight lists; whatever else the parser may learn is shown as its text.
            if token.nesting == 0 and token.content:
                self.stack[-1].extend(visible(token.content))
            return
        if token.nesting < 0:
            self.stack.pop()
            return
        start = token.attrs.get("start")
        node: list[Any] = [name, {"start": int(start)} if name == "ol" and start is not None else None, []]
        if token.nesting > 0:
            self.open(node)
        else:
            self.stack[-1].append(node)

    def open(self, node: list[Any]) -> None:
        self.stack[-1].append(node)
        self.stack.append(node[2])


def _address(address: str) -> list[Any]:
    return [["small", None, visible(f"({address[:300]})")]]
