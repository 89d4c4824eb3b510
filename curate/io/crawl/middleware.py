"""Parts that Scrapy is configured with: the store of pages, the rules, and where connections go."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.exceptions import IgnoreRequest
from scrapy.http import Headers, Request, Response
from scrapy.responsetypes import responsetypes
from scrapy.utils.request import fingerprint

from curate.errors import CurateError
from curate.io.crawl.pages import Page, load, store

if TYPE_CHECKING:
    from curate.io.crawl.spider import BreadthFirst

__all__ = ["ConnectTo", "Denied", "PageStorage", "Robots", "Rules", "file_of"]


def file_of(request: Request) -> str:
    """Name of the file of a request's answer."""
    name = fingerprint(request).hex()
    return f"{name[:2]}/{name[2:]}"


class Denied(IgnoreRequest):  # type: ignore[misc]
    """An address that is not asked for, by the rule `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class PageStorage:
    """Scrapy's HTTP cache as files of `pages`: an answer that was stored is never asked for again, however old."""

    def __init__(self, settings: Any) -> None:
        self.folder = Path()

    def open_spider(self, spider: BreadthFirst) -> None:
        self.folder = spider.plan.pages

    def close_spider(self, spider: BreadthFirst) -> None:
        """Nothing is open between pages."""

    def retrieve_response(self, spider: BreadthFirst, request: Request) -> Response | None:
        page = load(self.folder / file_of(request))
        if page is None:
            return None
        headers = Headers()
        for name, value in page.headers:
            headers.appendlist(name, value.encode("latin-1"))
        kind = responsetypes.from_args(headers=headers, url=page.url, body=page.body)
        return kind(page.url, page.status, headers, page.body)

    def store_response(self, spider: BreadthFirst, request: Request, response: Response) -> None:
        headers = [(n.decode("latin-1"), v.decode("latin-1")) for n, values in response.headers.items() for v in values]
        fetched = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            store(self.folder / file_of(request), Page(response.url, response.status, fetched, headers, response.body))
        except CurateError as error:  # Scrapy would take it for a failure of the page, and go on
            spider.tell(fatal=str(error))
            os._exit(1)


class Rules:
    """The plan's rules for where redirects lead; links are judged when they are found. A seed's redirect names its host."""

    def __init__(self, crawler: Any) -> None:
        self.crawler = crawler

    @classmethod
    def from_crawler(cls, crawler: Any) -> Rules:
        return cls(crawler)

    def process_request(self, request: Request) -> None:
        spider: BreadthFirst = self.crawler.spider
        if "redirect_urls" in request.meta and "link" in request.meta:
            if request.meta["link"].depth == 0:
                spider.hosts.add(urlsplit(request.url).netloc)
            elif reason := spider.unwanted(request.url):
                raise Denied(reason)


class Robots(RobotsTxtMiddleware):  # type: ignore[misc]
    """Scrapy's, with a name for its refusal."""

    async def process_request(self, request: Request) -> None:
        try:
            await super().process_request(request)
        except IgnoreRequest as error:
            raise Denied("robots") from error


class ConnectTo(HTTP11DownloadHandler):  # type: ignore[misc]
    """Asks another server for the addresses of a host that `connect` names, as curl's --connect-to does."""

    async def download_request(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        host = f"{parts.scheme}://{parts.netloc}"
        connect: dict[str, str] = self.crawler.spider.plan.connect
        if host not in connect:
            return await super().download_request(request)
        asked = request.replace(url=connect[host] + request.url.removeprefix(host))
        return (await super().download_request(asked)).replace(url=request.url)
