"""The libraries that take the text out of pages, each as the work of a sandbox: (html, content type) -> (title, text).

They work page by page, and hold the whole tree of one in memory. Sources: resiliparse 2 (Bevendorff et al., ECIR 2018),
trafilatura 2 (Barbaresi, ACL 2021).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from curate.io.sandbox import Fields
from curate.pages.encoding import decode

__all__ = ["resiliparse", "trafilatura"]

Extract = Callable[[str], tuple[str | None, str | None]]


def resiliparse(main_content: bool, tables: bool, links: bool) -> Callable[[Fields], Fields]:
    """About 60 MB of HTML a second on one core."""
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    options: dict[str, Any] = {"main_content": main_content, "links": links, "alt_texts": False}
    if not tables:
        options["skip_elements"] = ["table"]

    def extract(html: str) -> tuple[str | None, str | None]:
        tree = HTMLTree.parse(html)
        return _title(tree), extract_plain_text(tree, preserve_formatting=True, **options)

    return _work(extract)


def trafilatura(tables: bool, links: bool) -> Callable[[Fields], Fields]:
    """About 7 MB of HTML a second on one core."""
    import trafilatura as library
    from resiliparse.parse.html import HTMLTree

    # It logs every page without text; those are counted and kept with their reason by the run.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)

    def extract(html: str) -> tuple[str | None, str | None]:
        text = library.extract(html, include_comments=False, include_tables=tables, include_links=links)
        return _title(HTMLTree.parse(html)), text

    return _work(extract)


def _title(tree: Any) -> str | None:
    return " ".join((tree.title or "").split()) or None


def _work(extract: Extract) -> Callable[[Fields], Fields]:
    def work(page: Fields) -> Fields:
        html, kind = page
        if not html:
            return None, None
        made = extract(decode(html, kind.decode("utf-8", "replace") if kind is not None else None))
        return [None if text is None else text.encode("utf-8", "replace") for text in made]

    return work
