"""The main text that each engine finds: `python -m benchmarks.extraction PAGES.jsonl [LIMIT]`.

PAGES.jsonl holds `url`, `html` or `html_base64`, and the segments that the main text must hold (`with`) and must not
(`without`). A segment of the first kind is right where it is found, one of the second wrong; precision, recall and F1 come
from the sums, for all pages and for the two halves that they fall in by host. Engines take turns in one process and one
thread, twice; pages a second are those of the best round, with the decoding of the bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlparse

import polars as pl

from curate.declare import Batch
from curate.steps.extract import ExtractHtml, PageText

ROUNDS = 2


def measured(pages: list[dict[str, Any]], texts: list[str]) -> tuple[float, float, float]:
    """Precision, recall, F1."""
    found = missed = wrong = 0
    for page, text in zip(pages, texts, strict=True):
        hits = sum(segment in text for segment in page["with"])
        found, missed = found + hits, missed + len(page["with"]) - hits
        wrong += sum(segment in text for segment in page["without"])
    return found / max(found + wrong, 1), found / max(found + missed, 1), 2 * found / max(2 * found + missed + wrong, 1)


def half_of(page: dict[str, Any]) -> int:
    """0 or 1, by host."""
    return hashlib.md5((urlparse(page["url"] or "").netloc or page["id"]).encode()).digest()[0] & 1


def main(source: str, limit: str = "0") -> None:
    pages = [json.loads(line) for line in Path(source).read_bytes().splitlines()]
    pages = pages[: int(limit) or len(pages)]
    html = [page["html"].encode() if "html" in page else base64.b64decode(page["html_base64"]) for page in pages]
    size = sum(map(len, html)) / 1e6
    frame = pl.DataFrame(
        {
            "id": [page["id"] for page in pages],
            "html": html,
            "content_type": [None] * len(html),
            "url": [p["url"] for p in pages],
        },
        schema_overrides={"html": pl.Binary, "content_type": pl.String},
    )
    rows = pl.Series([""] * len(html), dtype=pl.String)
    # Batches as the job makes them.
    batches = [
        Batch(frame[k : k + 64], rows[k : k + 64], pl.Series(range(k, min(k + 64, len(html))), dtype=pl.Int64))
        for k in range(0, len(html), 64)
    ]
    engines = get_args(PageText.model_fields["engine"].annotation)
    runs = {engine: ExtractHtml(engine=engine).bind() for engine in engines}
    for run in runs.values():
        run(batches[0])  # compiles, imports
    best = dict.fromkeys(engines, float("inf"))
    texts: dict[str, list[str]] = {}
    for _ in range(ROUNDS):
        for engine, run in runs.items():
            began = time.perf_counter()
            made = [run(batch) for batch in batches]
            best[engine] = min(best[engine], time.perf_counter() - began)
            texts[engine] = [""] * len(html)
            for start, part in enumerate(made):
                for parent, text in part.select("parent", "text").iter_rows():
                    texts[engine][start * 64 + parent] = text or ""
    halves = [half_of(page) for page in pages]
    for engine in engines:
        line = f"{engine:12} {len(html) / best[engine]:7.0f} pages/s {size / best[engine]:6.1f} MB/s"
        for name, which in (("all", (0, 1)), ("half 0", (0,)), ("half 1", (1,))):
            chosen = [k for k, half in enumerate(halves) if half in which]
            values = measured([pages[k] for k in chosen], [texts[engine][k] for k in chosen])
            line += f"  {name}: P {values[0]:.3f} R {values[1]:.3f} F1 {values[2]:.4f}"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
