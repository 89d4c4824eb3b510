"""From web pages to their text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from curate.declare import Batch, Expand, Filter, FormatName, Options, Rule
from curate.io.rows import MAX_PAGE_BYTES
from curate.io.sandbox import Sandbox, Trouble, sandbox
from curate.pages.main_text import COLUMNS

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ExtractHtml", "PageSize", "PageText"]

GIVES_UP: dict[Trouble, str] = {
    "timed_out": "page_timed_out",
    "out_of_memory": "page_out_of_memory",
    "crashed": "extractor_crashed",
}


class PageText(Options):
    """Which text to take from a page: options of the step and of the job."""

    engine: Literal["curate", "resiliparse", "trafilatura"] = Field(
        "curate",
        description="curate: our own, with columns for address, day and language; resiliparse and trafilatura: the libraries "
        "of these names, a call a page.",
    )
    main_content: bool = Field(
        True, description="Take the main text alone; false: all that the page shows, menus and footers too (not trafilatura)."
    )
    tables: bool = Field(True, description="Keep the text of tables.")
    links: bool = Field(False, description="Write the address of each link next to its text.")
    page_seconds: float = Field(
        5.0, gt=0, description="Processor time that the engine may spend on a page; one that takes longer is dropped."
    )
    page_memory: int = Field(
        1 << 30, ge=64 << 20, description="Bytes of memory that the engine may take for a page; one that needs more is dropped."
    )
    keep_date: bool = Field(
        True,
        description="Keep the column `date`, the time of fetching; without it two crawls of a page give the same row.",
    )

    @model_validator(mode="after")
    def _engine_can(self) -> PageText:
        if self.engine == "trafilatura" and not self.main_content:
            raise ValueError("main_content: false is for the other engines; trafilatura takes main text only")
        return self


class PageSize(Filter):
    """Keep pages of at most `max_bytes`: the libraries build a tree of up to 27 times a page's size in memory (measured)."""

    step: Literal["page_size"] = "page_size"
    max_bytes: int = Field(16 << 20, ge=1, le=MAX_PAGE_BYTES, description="Bytes of HTML that a page may have.")

    def needs(self) -> tuple[str, ...]:
        return ("html",)

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("page_too_large", "bytes", max=self.max_bytes),)

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        """O(rows)."""
        return lambda batch: batch.frame.select(batch.frame["html"].bin.size().alias("bytes"))


class ExtractHtml(PageText, Expand):
    """Take the text of web pages: column `html` (bytes) becomes `text` and `title`, and with engine `curate` also
    `canonical_url`, `published` (the day, YYYY-MM-DD) and `declared_language`, null where a page does not say.

    Paragraphs, lists, tables and preformatted text keep their lines. Runs of blank lines become one, no-break spaces become
    spaces, and spaces at the ends of lines go. A page without text is dropped. Engine `curate` begins items of lists with `- `,
    puts a tab between the cells of a row, and leaves out comments of readers; it takes linear time and memory on any page.
    The libraries do not: a page on which one takes more than `page_seconds` of processor time or `page_memory` bytes, or
    crashes, is dropped. They run in a process of their own, which is killed then, and the run goes on with the next page.

    Segment F1 on trafilatura's evaluation set (990 pages, 143 MB): resiliparse 0.849 (precision 0.766, recall 0.953),
    trafilatura 0.924 (0.906, 0.942), curate 0.935 on each half of the hosts with trees learnt from the other half; the trees
    it comes with know these pages (0.949). Pages of 145 kB a second of processor time: curate about 590, resiliparse 640,
    trafilatura 47.
    Pages that are no article (shops, lists, start pages) are where all three are weakest.
    Sources: `curate.pages.main_text`; resiliparse 2 (Bevendorff et al., ECIR 2018), trafilatura 2 (Barbaresi, ACL 2021).
    """

    step: Literal["extract_html"] = "extract_html"
    reason: ClassVar[str] = "no_main_text"
    gives_up: ClassVar[tuple[str, ...]] = tuple(GIVES_UP.values())
    one_to_one: ClassVar[bool] = True

    def needs(self) -> tuple[str, ...]:
        return ("html", "content_type")

    def makes(self) -> tuple[str, ...]:
        return COLUMNS if self.engine == "curate" else ("title", "text")

    def makes_format(self) -> FormatName:
        return "text"

    def drops(self) -> tuple[str, ...]:
        return ("html", "content_type") if self.keep_date else ("html", "content_type", "date")

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        """O(bytes of HTML) a page; memory one page's tree. Raises WorkerError when the engine's process cannot start."""
        import polars as pl

        if self.engine == "curate":
            return self._curate
        box = self._sandbox()

        def run(batch: Batch) -> pl.DataFrame:
            pages = batch.frame.select("html", pl.col("content_type").cast(pl.Binary)).rows()
            made = [
                (*(answer.fields or (None, None)), GIVES_UP[answer.trouble] if answer.trouble else None, answer.detail)
                for answer in box.run(pages)
            ]
            schema = {"title": pl.Binary, "text": pl.Binary, "reason": pl.String, "value": pl.String}
            frame = pl.DataFrame(made, schema=schema, orient="row").with_columns(pl.col("title", "text").cast(pl.String))
            frame = frame.with_row_index("parent").with_columns(_tidy(pl.col("text")))
            return frame.filter((pl.col("text") != "") | pl.col("reason").is_not_null())

        return run

    def _curate(self, batch: Batch) -> pl.DataFrame:
        import polars as pl

        from curate.pages.encoding import decode_all
        from curate.pages.main_text import extract_pages

        url = batch.frame["url"] if "url" in batch.frame.columns else None
        pages = decode_all(batch.frame["html"], batch.frame["content_type"])
        made = extract_pages(pages, url, main_content=self.main_content, tables=self.tables, links=self.links)
        return made.with_row_index("parent").filter(pl.col("text") != "")

    def _sandbox(self) -> Sandbox:
        from curate.pages import engines

        options = {"tables": self.tables, "links": self.links}
        if self.engine == "trafilatura":
            return sandbox(engines.trafilatura, json.dumps(options), self.page_seconds, self.page_memory)
        options["main_content"] = self.main_content
        return sandbox(engines.resiliparse, json.dumps(options), self.page_seconds, self.page_memory)


def _tidy(text: pl.Expr) -> pl.Expr:
    """Spaces and lines as text has them."""
    return (
        text.str.replace_all("\u00a0", " ", literal=True)
        .str.replace_all(r"(?m)^(?: +\t\t)+", "")  # blank cells of a layout table before the line's text
        .str.replace_all(r"(?m)[ \t\r]+$", "")
        .str.replace_all(r"\n{3,}", "\n\n")
        .str.strip_chars("\n")
    )
