"""The main text of web pages: markup taken apart, each block scored by learnt trees, the best written as text."""

from __future__ import annotations

import functools
import html as markup
import re
from collections.abc import Iterable
from importlib import resources
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.html_tokens import Tokens
    from curate.kernels.html_tree import Pages

__all__ = ["COLUMNS", "Trees", "extract_pages", "read_trees"]

COLUMNS = ("title", "text", "canonical_url", "published", "declared_language")
"""The columns that `extract_pages` makes."""

REFERENCE = re.compile(r"&[^\s&;]{1,32};")
PIECE = 4 << 20
"""Bytes of pages that are worked on at once."""
DAY = r"((?:19|20)\d\d)[-/.]?(0[1-9]|1[0-2])[-/.]?(0[1-9]|[12]\d|3[01])(?:\D|$)"
DAY_IN_URL = r"/((?:19|20)\d\d)[-/](0?[1-9]|1[0-2])[-/](0?[1-9]|[12]\d|3[01])(?:\D|$)"


class Trees(NamedTuple):
    """Trees of decisions, as `curate.kernels.html_rank.score` takes them."""

    splits: NDArray[np.float64]
    leaves: NDArray[np.float64]


def read_trees(lines: Iterable[str]) -> Trees:
    """Trees from text, one a line: splits as `feature:threshold:left:right`, the first at the top, then the values of leaves.

    Left, up to the threshold, and right lead to a split, or to leaf `-1 - x`. Lines that begin with `#` say something else.
    """
    import numpy as np

    trees = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    splits = [[[float(part) for part in word.split(":")] for word in tree if ":" in word] for tree in trees]
    leaves = [[float(word) for word in tree if ":" not in word] for tree in trees]
    made = Trees(np.zeros((len(trees), max(map(len, splits)), 4)), np.zeros((len(trees), max(map(len, leaves)))))
    for number, (nodes, values) in enumerate(zip(splits, leaves, strict=True)):
        # A tree without a split has one leaf, on both sides.
        made.splits[number, : max(len(nodes), 1)] = nodes or [[0, 0, -1, -1]]
        made.leaves[number, : len(values)] = values
    return made


@functools.cache
def learnt_trees() -> Trees:
    """The trees that come with the package."""
    return read_trees(resources.files("curate.pages").joinpath("main_text.trees").read_text(encoding="utf-8").splitlines())


def extract_pages(
    html: pl.Series, url: pl.Series | None = None, *, main_content: bool = True, tables: bool = True, links: bool = False
) -> pl.DataFrame:
    """COLUMNS for a series of pages (strings): what cannot be found is null, text of a page without any is empty.

    `title` is what `og:title`, `<title>` or the first `h1` say, the first that does; `canonical_url` an absolute address;
    `published` a day (YYYY-MM-DD) from metadata, JSON-LD or `time`, else out of the address; `declared_language` as
    the page names it (`de-AT`). `main_content` false takes all that the page shows; `tables` false leaves out cells of tables
    with several columns; `links` true writes addresses in brackets behind their links.

    O(bytes): about 2 ms a page of 145 kB on one core; memory about ten times PIECE or the largest page, 40 times
    where a page is all tags.
    """
    import polars as pl

    from curate.analysis import text_buffers
    from curate.kernels.columns import strings
    from curate.kernels.html_features import features
    from curate.kernels.html_lines import cells, lines
    from curate.kernels.html_rank import choose, score, seen
    from curate.kernels.html_references import resolve
    from curate.kernels.html_tokens import tokenize
    from curate.kernels.html_tree import scan

    all_offsets, all_data = text_buffers(html)
    made = []
    for first, last in _pieces(all_offsets):
        offsets = all_offsets[first : last + 1] - all_offsets[first]
        data = all_data[all_offsets[first] : all_offsets[last]]
        tokens = tokenize(offsets, data)
        pages = scan(*resolve(data, tokens), links)
        keep = choose(pages, score(features(pages), *learnt_trees())) if main_content else seen(pages)
        if not tables:
            keep &= ~cells(pages)
        text = pl.Series("text", strings(*lines(pages, keep)), dtype=pl.String)
        address = url[first:last] if url is not None else None
        made.append(_facts(data, tokens, pages, address).with_columns(text).select(COLUMNS))
    return pl.concat(made)


def _pieces(offsets: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Runs of pages of about PIECE bytes: first, and the one behind the last. At least one, maybe of no page."""
    import numpy as np

    pieces: list[tuple[int, int]] = []
    first, count = 0, len(offsets) - 1
    while first < count or not pieces:
        last = int(np.searchsorted(offsets, offsets[first] + PIECE, side="right")) - 1
        last = min(max(last, first + 1), count)
        pieces.append((first, last))
        first = last
    return pieces


def _facts(data: NDArray[np.uint8], tokens: Tokens, pages: Pages, url: pl.Series | None) -> pl.DataFrame:
    """What pages say about themselves."""
    import polars as pl

    named = ("title", "canonical_url", "published", "declared_language")
    frame = pl.DataFrame({name: _said(data, tokens.facts[:, k, :2]) for k, name in enumerate(named)})
    address = pl.col("url") if url is not None else pl.lit(None, pl.String)
    address = pl.coalesce(address, "canonical_url")
    columns = [frame[name] for name in named]
    first = pl.Series("first", _headings(pages), dtype=pl.String)
    frame = pl.DataFrame([*columns, first, *([url.alias("url")] if url is not None else [])])
    day = "{}-{}-{}"
    return frame.with_columns(pl.coalesce("title", "first").alias("title")).select(
        "title",
        pl.when(pl.col("canonical_url").str.contains(r"(?i)^https?://")).then("canonical_url"),
        pl.coalesce(_day(pl.col("published"), "^" + DAY, day), _day(address, DAY_IN_URL, day)).alias("published"),
        pl.col("declared_language").str.extract(r"^([A-Za-z]{2,8}(?:[-_][A-Za-z0-9]{1,8})*)$").str.replace_all("_", "-"),
    )


def _day(text: pl.Expr, pattern: str, form: str) -> pl.Expr:
    import polars as pl

    parts = text.str.extract_groups(pattern)
    day = pl.format(form, *(parts.struct.field(str(k)).str.zfill(4 if k == 1 else 2) for k in (1, 2, 3)))
    return day.str.to_date("%Y-%m-%d", strict=False).dt.to_string("%Y-%m-%d")


def _said(data: NDArray[np.uint8], bounds: NDArray[np.int64]) -> pl.Series:
    """Pieces of the pages as text, with their references resolved and white space as single spaces; null where empty."""
    import numpy as np
    import polars as pl

    from curate.kernels.columns import strings

    starts, sizes = bounds[:, 0], bounds[:, 1] - bounds[:, 0]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], sizes)
    texts = pl.Series(strings(offsets, data[places]), dtype=pl.String)
    marked = texts.str.contains("&", literal=True)
    if marked.any():
        # A call for each of the few texts that hold a reference.
        plain = texts.filter(marked).map_elements(_unescaped, return_dtype=pl.String)
        texts = texts.scatter(marked.arg_true(), plain)
    texts = texts.str.replace_all(r"[\s\x00-\x1f\x7f\u00a0]+", " ").str.strip_chars(" ")
    return texts.to_frame("x").select(pl.when(pl.col("x") != "").then("x")).to_series()


def _unescaped(text: str) -> str:
    return REFERENCE.sub(lambda found: markup.unescape(found[0]), text)


def _headings(pages: Pages) -> pl.Series:
    """The first h1 of each page, or null."""
    import numpy as np

    from curate.kernels.html_names import TAGS

    found = np.flatnonzero(pages.nodes[pages.blocks[:, 2], 1] == TAGS.index("h1"))
    bounds = np.zeros((len(pages.page_blocks) - 1, 2), np.int64)
    page = np.searchsorted(pages.page_blocks, found, side="right") - 1
    which, first = np.unique(page, return_index=True)
    bounds[which] = pages.blocks[found[first], :2]
    return _said(pages.text, bounds)
