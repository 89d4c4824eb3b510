"""The spider: breadth first, one request at a time, so that the order of pages depends on the sites alone."""

from __future__ import annotations

import json
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple
from urllib.parse import urldefrag, urlsplit

import scrapy
from scrapy import signals
from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
    StopDownload,
)
from scrapy.http import HtmlResponse, Request, Response
from scrapy.linkextractors import IGNORED_EXTENSIONS, LinkExtractor
from scrapy.utils.request import fingerprint
from scrapy.utils.url import url_has_any_extension

from curate.io.crawl import Plan
from curate.io.crawl.middleware import Denied, file_of

__all__ = ["BreadthFirst"]

ERRORS = {
    CannotResolveHostError: "no_such_host",
    DownloadCancelledError: "page_too_large",
    DownloadConnectionRefusedError: "connection_refused",
    DownloadTimeoutError: "timeout",
    ResponseDataLossError: "cut_off",
}
"""Kinds of failure that have a name; any other is `connection`."""

FILES = [f".{extension}" for extension in IGNORED_EXTENSIONS]
"""Names of files that are no pages: images, archives, programs ... Scrapy's list."""


class Link(NamedTuple):
    """An address to come to: how many links from a seed, and on which page it was found first."""

    url: str
    depth: int
    referrer: str | None


class BreadthFirst(scrapy.Spider):  # type: ignore[misc]
    """Crawls as the plan says, and prints what happens.

    The queue of addresses is the spider's own and only one request is ever on its way: with Scrapy's scheduler the order of
    pages, and so what a limit of pages leaves out, would depend on which answer came first.
    Memory: about 330 bytes for every address seen (measured at 20,000).
    """

    name = "curate"

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.hosts = {urlsplit(seed).netloc for seed in plan.seeds}
        self.allow = [re.compile(rule) for rule in plan.allow]
        self.deny = [re.compile(rule) for rule in plan.deny]
        self.links = LinkExtractor(deny_extensions=())
        self.queue: deque[Link] = deque()
        self.seen: set[bytes] = set()
        self.pages: set[bytes] = set()
        self.errors = 0
        self.done = False

    @classmethod
    def from_crawler(cls, crawler: Any, *args: Any, **kwargs: Any) -> BreadthFirst:
        spider: BreadthFirst = super().from_crawler(crawler, *args, **kwargs)
        crawler.signals.connect(spider.stop_unless_html, signals.headers_received)
        return spider

    def tell(self, **event: Any) -> None:
        """One event for the process that waits."""
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    def unwanted(self, url: str) -> str:
        """Why the address is not asked for: the name of the rule, or nothing."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return "not_http"
        if self.plan.same_host and parts.netloc not in self.hosts:
            return "other_host"
        if url_has_any_extension(url, FILES):
            return "not_html"
        if any(rule.search(url) for rule in self.deny) or (self.allow and not any(rule.search(url) for rule in self.allow)):
            return "denied"
        return ""

    async def start(self) -> AsyncIterator[Request]:
        for seed in self.plan.seeds:
            self.add(Link(urldefrag(seed).url, 0, None))
        for request in self.next():
            yield request

    def add(self, link: Link) -> None:
        """Put an address into the queue, unless it is there or was already; spellings of one address count as one."""
        key = fingerprint(Request(link.url))
        if key not in self.seen:
            self.seen.add(key)
            self.queue.append(link)

    def next(self) -> Iterator[Request]:
        """The next request, or the end."""
        stopped = ""
        if len(self.pages) >= self.plan.max_pages:
            stopped = "max_pages" if self.queue else ""
        elif self.plan.max_errors is not None and self.errors > self.plan.max_errors:
            stopped = "max_errors"
        else:
            while self.queue:
                link = self.queue.popleft()
                if fingerprint(Request(link.url)) in self.pages:  # a redirect led there meanwhile
                    continue
                yield Request(
                    link.url, self.parse, errback=self.failed, dont_filter=True, cb_kwargs={"link": link}, meta={"link": link}
                )
                return
        self.tell(stopped=stopped, waiting=len(self.queue))
        self.done = True

    def fail(self, link: Link, error: str, detail: str) -> None:
        """Book an address that could not be had. What robots.txt keeps for itself is told, but is no error."""
        self.errors += error != "robots"
        self.tell(failed=link.url, error=error, detail=detail, referrer=link.referrer)

    def stop_unless_html(self, headers: Any, request: Request, **_: Any) -> None:
        """Signal: break off answers that say that they are not HTML, before their body. robots.txt is no page."""
        kind = headers.get(b"Content-Type", b"").split(b";")[0].strip().lower()
        if "link" in request.meta and kind not in (b"", b"text/html", b"application/xhtml+xml"):
            raise StopDownload(fail=False)

    def parse(self, response: Response, link: Link) -> Iterator[Request]:
        """Book an answer, put its links into the queue, go on."""
        key = fingerprint(Request(response.url))
        if response.status != 200:
            self.fail(link, f"status_{response.status}", "")
        elif not isinstance(response, HtmlResponse):
            self.tell(left=link.url, reason="not_html")
        elif not response.body:
            self.fail(link, "empty_page", "")
        elif key not in self.pages:
            self.pages.add(key)
            self.seen.add(key)
            self.tell(page=response.url, file=file_of(response.request), bytes=len(response.body))
            self.follow_links(response, link.depth + 1)
        yield from self.next()

    def follow_links(self, response: HtmlResponse, depth: int) -> None:
        """Queue the page's links, in their order on the page."""
        for found in self.links.extract_links(response):
            url = urldefrag(found.url).url
            if reason := self.unwanted(url) or ("too_deep" if depth > self.plan.depth else ""):
                key = fingerprint(Request(url)) if reason != "not_http" else url.encode()
                if key not in self.seen:
                    self.seen.add(key)
                    self.tell(left=url, reason=reason)
            else:
                self.add(Link(url, depth, response.url))

    def failed(self, failure: Any) -> Iterator[Request]:
        """Book a request that got no answer, go on."""
        error, link = failure.value, failure.request.meta["link"]
        if isinstance(error, Denied):
            if error.reason == "robots":
                self.fail(link, "robots", "")
            else:
                self.tell(left=link.url, reason=error.reason)
        else:
            other = "refused_answer" if isinstance(error, IgnoreRequest) else "connection"
            kind = next((name for known, name in ERRORS.items() if isinstance(error, known)), other)
            self.fail(link, kind, " ".join(str(error).split()))
        yield from self.next()
