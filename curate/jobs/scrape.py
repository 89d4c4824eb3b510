"""`curate scrape`: web pages into WARC files."""

from __future__ import annotations

import ipaddress
import json
import re
from collections import Counter
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

import curate
from curate.declare import Job, Result, Single, Stage, Work
from curate.errors import InputError, TooManyErrors
from curate.io.files import atomic
from curate.io.pydoc_source import PydocSource, Site

__all__ = ["Scrape"]

PART_BYTES = 256 << 20
"""Size of a WARC file: what a worker reads at a time, and what can be copied again when a copy fails."""


def on_loopback(url: str) -> bool:
    """Whether the address is this machine's own, by its spelling."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Scrape(Job):
    """Fetch web pages, follow their links, and keep the HTML as WARC.

    Starts at the seed addresses and goes on breadth first, one request at a time. It asks each site's robots.txt first and
    always obeys it, waits `delay` seconds or more between requests to a host (more where a host answers slowly), and asks
    again after failures that pass. What cannot be fetched is listed in `rejected/pages.jsonl` with the reason; addresses
    that were left out by a rule are counted by rule.

    Stopped at any moment and started again, it goes on with what it has and asks for no page twice; the result is the one
    that an unbroken run gives (pages carry the time when they were fetched).

    Output: `pages-00000.warc.gz` ..., about 256 MB each, records in order of their address.
    Cost: disk for two copies of the pages while it runs (plain and compressed), memory 350 bytes for an address seen.
    """

    writes_rows: ClassVar[bool] = True

    job: Literal["scrape"] = "scrape"
    input: tuple[str, ...] = Field((), description="Addresses to start from: https://example.org/docs/")
    source: PydocSource | None = Field(
        None,
        description="A site to start on this machine and crawl, instead of addresses; {kind: pydoc}: Python's documentation.",
    )
    depth: int = Field(3, ge=0, description="How many links to follow from a seed; 0: the seeds alone.")
    max_pages: int = Field(1000, ge=1, description="Pages to keep at most.")
    delay: float = Field(
        1.0, ge=0, description="Seconds between two requests to a host, at least. 0 only for sites on this machine (localhost)."
    )
    allow: tuple[str, ...] = Field(
        (), description="Follow only links whose address one of these regular expressions is found in; none: any link."
    )
    deny: tuple[str, ...] = Field(
        (), description="Follow no link whose address one of these regular expressions is found in; goes before `allow`."
    )
    same_host: bool = Field(True, description="Stay on the hosts of the seeds (subdomains and other ports are other hosts).")
    user_agent: str = Field(
        f"curate/{curate.__version__}",
        min_length=1,
        description="How to introduce yourself to sites and their robots.txt; polite crawlers give a way to reach them.",
    )
    timeout: float = Field(30.0, gt=0, description="Seconds to wait for an answer.")
    retries: int = Field(2, ge=0, description="How often to ask again after a time-out, a broken connection, 429 or 5xx.")
    max_page_bytes: int = Field(16 << 20, ge=1, description="Pages with more bytes are given up.")
    max_errors: int | None = Field(
        None,
        ge=0,
        description="Addresses that may fail before the crawl stops as failed; default: any number, as no site is without "
        "broken links. What robots.txt forbids does not count.",
    )

    @field_validator("input")
    @classmethod
    def _are_web_addresses(cls, seeds: tuple[str, ...]) -> tuple[str, ...]:
        for seed in seeds:
            parts = urlsplit(seed)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                hint = "" if "://" in seed else f"; write https://{seed.lstrip('/')}"
                raise ValueError(f"'{seed}' is not a web address{hint}")
        return seeds

    @field_validator("allow", "deny")
    @classmethod
    def _are_expressions(cls, rules: tuple[str, ...]) -> tuple[str, ...]:
        for rule in rules:
            try:
                re.compile(rule)
            except re.error as error:
                raise ValueError(f"'{rule}' is not a regular expression: {error}") from None
        return rules

    @model_validator(mode="after")
    def _has_one_start(self) -> Scrape:
        if bool(self.input) == (self.source is not None):
            raise ValueError("give addresses to start from, or a source, and not both")
        for seed in self.input:
            if self.delay == 0 and not on_loopback(seed):
                raise ValueError(f"delay 0 is for sites on this machine only; {seed} needs a delay (1 second is polite)")
        return self

    def stages(self) -> tuple[Stage, ...]:
        return (Single("scrape", self._scrape),)

    def _scrape(self, work: Work) -> Result:
        from curate.io.crawl import Plan, crawl
        from curate.io.crawl.warc import write_warcs

        pages = work.folder / "work" / "pages"
        kept: dict[str, str] = {}
        failed: list[dict[str, Any]] = []
        left: Counter[str] = Counter()
        first_left = ""
        end: dict[str, Any] = {}
        started = self.source.serve() if self.source else nullcontext(Site(self.input, {}, ()))
        with started as site:
            shared = {name: getattr(self, name) for name in Plan.model_fields if name in Scrape.model_fields}
            plan = Plan(**{**shared, "deny": self.deny + site.deny}, seeds=site.seeds, pages=pages, connect=site.connect)
            with closing(crawl(plan, work.folder / "work" / "crawl.log")) as events:
                for event in events:
                    if "page" in event:
                        kept[event["page"]] = event["file"]
                        work.progress(1, event["bytes"])
                    elif "failed" in event:
                        failed.append(event)
                    elif "left" in event:
                        left[event["reason"]] += 1
                        first_left = first_left or f"{event['left']}: {event['reason']}"
                    else:
                        end = event
        _write_rejected(work.folder / "rejected" / "pages.jsonl", failed)
        errors = Counter(event["error"] for event in failed)
        if end["stopped"] == "max_errors":
            raise TooManyErrors(
                f"{sum(errors.values()) - errors['robots']} addresses failed, more than max_errors={self.max_errors}: "
                f"{_counts(errors)}; see {work.folder / 'rejected' / 'pages.jsonl'}"
            )
        if not kept:
            first = f"{failed[0]['failed']}: {failed[0]['error']} {failed[0]['detail']}".strip() if failed else first_left
            raise InputError(f"no page could be fetched from {', '.join(site.seeds)}; first failure: {first}")
        if end["stopped"] == "max_pages":
            work.say(f"stopped at max_pages={self.max_pages}; {end['waiting']} addresses were waiting")
        if failed:
            work.say(f"{len(failed)} addresses could not be had: {_counts(errors)}")
        written = write_warcs((pages / kept[url] for url in sorted(kept)), work.folder / "data", PART_BYTES)
        return {
            "rows_out": len(kept),
            "bytes_out": written,
            "rejected": len(failed),
            "errors": dict(sorted(errors.items())),
            "left_out": dict(sorted(left.items())),
            "waiting": end["waiting"],
        }


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _write_rejected(path: Path, failed: list[dict[str, Any]]) -> None:
    """A line for every address that could not be had; no file where there is none."""
    if not failed:
        path.unlink(missing_ok=True)
        return
    with atomic(path) as file:
        for event in failed:
            line = {"url": event["failed"], **{name: event[name] for name in ("error", "detail", "referrer") if event[name]}}
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
