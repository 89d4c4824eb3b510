"""The crawl's process: a `Plan` on the first line of stdin, what happens as lines of JSON on stdout."""

from __future__ import annotations

import os
import sys
import threading

from scrapy.crawler import CrawlerProcess

from curate.io.crawl import Plan
from curate.io.crawl.spider import BreadthFirst

PARTS = "curate.io.crawl.middleware"


def settings(plan: Plan) -> dict[str, object]:
    """Scrapy's settings for a plan."""
    retried = [408, 429, 500, 502, 503, 504, 522, 524]
    return {
        "USER_AGENT": plan.user_agent,
        "ROBOTSTXT_OBEY": True,
        "COOKIES_ENABLED": False,
        "CONCURRENT_REQUESTS": 1,
        "DOWNLOAD_DELAY": plan.delay,
        "RANDOMIZE_DOWNLOAD_DELAY": False,
        "AUTOTHROTTLE_ENABLED": plan.delay > 0,
        "AUTOTHROTTLE_START_DELAY": plan.delay,
        "DOWNLOAD_TIMEOUT": plan.timeout,
        "DOWNLOAD_MAXSIZE": plan.max_page_bytes,
        "DOWNLOAD_WARNSIZE": 0,
        "RETRY_TIMES": plan.retries,
        "RETRY_HTTP_CODES": retried,
        "HTTPERROR_ALLOW_ALL": True,  # the spider books them
        "HTTPCACHE_ENABLED": True,
        "HTTPCACHE_STORAGE": f"{PARTS}.PageStorage",
        "HTTPCACHE_IGNORE_HTTP_CODES": retried,
        "DOWNLOAD_HANDLERS": {"http": f"{PARTS}.ConnectTo", "https": f"{PARTS}.ConnectTo"},
        "DOWNLOADER_MIDDLEWARES": {
            "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware": None,  # same_host is stricter: ports and subdomains
            f"{PARTS}.Rules": 50,
            "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware": None,
            f"{PARTS}.Robots": 100,
            # Nearer to the server than the cache (900), which so keeps bodies decoded.
            "scrapy.downloadermiddlewares.httpcompression.HttpCompressionMiddleware": 950,
        },
        "TELNETCONSOLE_ENABLED": False,
        "LOG_LEVEL": "ERROR",
    }


def end_with_parent() -> None:
    """End this process when stdin does. Nothing is lost: pages are stored whole or not at all."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def main() -> int:
    """Crawl; 0 when the crawl came to its own end."""
    plan = Plan.model_validate_json(sys.stdin.readline())
    threading.Thread(target=end_with_parent, daemon=True).start()
    process = CrawlerProcess(settings(plan))
    crawler = process.create_crawler(BreadthFirst)
    process.crawl(crawler, plan=plan)
    process.start(install_signal_handlers=False)
    return 0 if crawler.spider is not None and crawler.spider.done else 1


if __name__ == "__main__":
    sys.exit(main())
