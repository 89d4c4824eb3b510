"""`curate extract`: the text of web pages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from curate.declare import Reading, Rows, RowsJob, Stage
from curate.io.rows import MAX_PAGE_BYTES
from curate.steps.extract import ExtractHtml, PageSize, PageText

__all__ = ["Extract"]


class Extract(PageText, RowsJob):
    """Take the main text of web pages: WARC or HTML files, or rows with a column `html`, become rows with `text` and `title`.

    Menus, footers and advertisements are left out; pages without text are dropped with a reason, and so are pages too large
    to take apart, or on which the engine takes too long, too much memory, or crashes. `url`, and from WARC `date`, stay with
    the row. Records of a WARC that are no page (requests, images, other statuses than 200) are counted by kind.

    Cost: about 85 MB of HTML a second on a core (curate, resiliparse), 7 (trafilatura); memory a few chunks of 8 MB and ten
    times the largest page (40 times one that is all tags), with the libraries 27 times, at most `page_memory`. At 10^9 pages of
    60 kB: 200 core hours, with trafilatura 2,400.
    """

    job: Literal["extract"] = "extract"
    # Pages are in no format of ours and have no text yet: there is nothing to choose here.
    format: Literal["auto"] = "auto"
    text_column: Literal["text"] = "text"
    max_page_bytes: int = Field(16 << 20, ge=1, le=MAX_PAGE_BYTES, description="Larger pages are dropped.")

    def reading(self) -> Reading:
        return "html"

    def peak_memory(self, bytes: int, rows: int) -> int | None:
        """A worker's, and that of its engine on the worst page that is allowed."""
        return (super().peak_memory(bytes, rows) or 0) + self.page_memory

    def stages(self) -> tuple[Stage, ...]:
        extract = ExtractHtml(**{name: getattr(self, name) for name in PageText.model_fields})
        return (Rows((PageSize(max_bytes=self.max_page_bytes), extract)),)
