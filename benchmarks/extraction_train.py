"""How the trees of `curate extract` were learnt: `python -m benchmarks.extraction_train PAGES.jsonl OUT.trees`.

PAGES.jsonl is trafilatura's evaluation set: `url`, `html` or `html_base64`, and the segments that the main text must hold
(`with`) and must not (`without`). Blocks that hold a segment are labelled by it. All others are labelled by how often a
block was right on which trafilatura, readability-lxml and resiliparse said the same: they are the teachers. Each page is
taught a second time without the words of its class names, with less weight, so that structure alone has to do as well.

Trained twice, on the halves of the pages by host, the F1 on the other half is printed; then once more on all pages, for OUT.
Needs lightgbm and readability-lxml, which `curate` does not. About 5 minutes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import lightgbm  # type: ignore[import-not-found]
import numpy as np
import polars as pl
import readability  # type: ignore[import-not-found]
import trafilatura
from lxml import html as lxml_html  # type: ignore[import-untyped]
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import HTMLTree

from curate.analysis import text_buffers
from curate.kernels.html_features import FEATURES, features
from curate.kernels.html_rank import choose, score
from curate.kernels.html_references import resolve
from curate.kernels.html_tokens import tokenize
from curate.kernels.html_tree import Pages, scan
from curate.pages.main_text import read_trees

SEGMENT_WEIGHT, WORDLESS_WEIGHT = 5.0, 0.3
# What readers say is not main text, however good it is: taken off the log of the odds of what stands in comments.
COMMENTS = -1.5
SETTINGS: dict[str, Any] = {
    "objective": "cross_entropy", "n_estimators": 200, "num_leaves": 8, "learning_rate": 0.1, "min_child_samples": 200,
    "feature_fraction": 0.4, "bagging_fraction": 0.7, "bagging_freq": 1, "reg_lambda": 20.0, "verbose": -1, "n_jobs": 2,
    "deterministic": True, "force_row_wise": True,
}  # fmt: skip
HEADER = """\
# Which blocks of a web page are its main text: 200 trees of 8 leaves (gradient boosting of the logistic loss), one a line.
# A split is feature:threshold:left:right, the first is the top; up to the threshold it goes left; -1 - x is leaf x. Leaves
# follow. Features are numbered as in curate.kernels.html_features.FEATURES. The sum of the leaves is the log of the odds.
# The last one is not learnt: it leaves out comments of readers.
# Learnt by benchmarks/extraction_train.py from trafilatura's evaluation set (990 pages, Apache-2.0).
"""
WORD = re.compile(r"\w+")


def words(text: str) -> str:
    return " ".join(WORD.findall(text.lower()))


def taught(blocks: list[str], teacher: str, by_line: bool) -> list[bool]:
    """Which blocks are in a teacher's text; short ones have to be a line of it, where it has lines."""
    whole, lines, found = f" {words(teacher)} ", {words(line) for line in teacher.split("\n")}, []
    for block in map(words, blocks):
        said = block in lines if by_line and len(block) < 30 else f" {block} " in whole
        if not said and len(block) >= 60:
            parts = block.split()
            fours = [f" {' '.join(parts[i : i + 4])} " in whole for i in range(0, len(parts) - 3, 2)]
            said = bool(fours) and sum(fours) > 0.6 * len(fours)
        found.append(bool(block) and said)
    return found


def teachers(html: str, blocks: list[str]) -> list[int]:
    """For each block: 4 if trafilatura takes it, plus 2 for readability, plus 1 for resiliparse."""
    first = trafilatura.extract(html, include_comments=False) or ""
    try:
        second = " ".join(lxml_html.fromstring(readability.Document(html).summary(html_partial=True)).itertext())
    except (readability.readability.Unparseable, ValueError):
        second = ""
    third = extract_plain_text(HTMLTree.parse(html), main_content=True, preserve_formatting=True)
    votes = zip(taught(blocks, first, True), taught(blocks, second, False), taught(blocks, third, True), strict=True)
    return [4 * a + 2 * b + c for a, b, c in votes]


def segments(page: dict[str, Any], blocks: list[str], votes: list[int]) -> list[float]:
    """1 for blocks that hold a segment of the main text, 0 for those that hold another, else NaN."""
    labels, lines = [np.nan] * len(blocks), [" ".join(block.split()) for block in blocks]
    for kind, label in (("without", 0.0), ("with", 1.0)):
        for segment in page[kind]:
            hits = [k for k, line in enumerate(lines) if " ".join(segment.split()) in line]
            # A phrase of the main text may stand in a teaser too: then where two teachers take it.
            sure = [k for k in hits if label and votes[k].bit_count() >= 2]
            for k in sure or hits:
                labels[k] = label
    return labels


def fit(x: Any, y: Any, weight: Any) -> list[str]:
    """The trees, one a line: splits `feature:threshold:left:right`, then leaves."""
    blank = x.copy()
    blank[:, [name.startswith(("word ", "near word ")) for name in FEATURES]] = 0
    model = lightgbm.LGBMRegressor(**SETTINGS)
    model.fit(np.concatenate([x, blank]), np.tile(y, 2), sample_weight=np.concatenate([weight, WORDLESS_WEIGHT * weight]))
    lines = []
    for tree in model.booster_.dump_model()["tree_info"]:
        splits: list[str] = []
        leaves: list[str] = []

        def place(node: dict[str, Any], splits: list[str] = splits, leaves: list[str] = leaves) -> int:
            """The number of a split, or -1 - the number of a leaf."""
            if "leaf_value" in node:
                leaves.append(f"{node['leaf_value']:.4f}")
                return -len(leaves)
            splits.append("")
            here = len(splits) - 1
            left, right = place(node["left_child"]), place(node["right_child"])
            splits[here] = f"{node['split_feature']}:{node['threshold']:.6g}:{left}:{right}"
            return here

        place(tree["tree_structure"])
        lines.append(" ".join([*splits, *leaves]))
    return [*lines, f"{FEATURES.index('word comment')}:0.5:-1:-2 0 {COMMENTS}"]


def f1(data: list[dict[str, Any]], pages: Pages, texts: list[list[str]], keep: Any, which: Any) -> tuple[float, float, float]:
    tp = fp = fn = 0
    for number in np.flatnonzero(which):
        first, page = pages.page_blocks[number], data[number]
        text = "\n".join(block for k, block in enumerate(texts[number]) if keep[first + k])
        found = sum(segment in text for segment in page["with"])
        tp, fn = tp + found, fn + len(page["with"]) - found
        fp += sum(segment in text for segment in page["without"])
    return tp / (tp + fp), tp / (tp + fn), 2 * tp / (2 * tp + fp + fn)


def main(source: str, target: str) -> None:
    logging.disable(logging.CRITICAL)
    data = [json.loads(line) for line in Path(source).read_bytes().splitlines()]
    html = []
    for page in data:
        raw = page["html"].encode() if "html" in page else base64.b64decode(page["html_base64"])
        html.append(bytes_to_str(raw, detect_encoding(raw, from_html_meta=True) or "utf-8", errors="replace"))
    offsets, buffer = text_buffers(pl.Series(html))
    pages = scan(*resolve(buffer, tokenize(offsets, buffer)))
    bounds = list(zip(pages.page_blocks[:-1], pages.page_blocks[1:], strict=True))
    texts = [[bytes(pages.text[b[0] : b[1]]).decode() for b in pages.blocks[first:last]] for first, last in bounds]
    x = features(pages)
    voted = [teachers(page, blocks) for page, blocks in zip(html, texts, strict=True)]
    votes = np.concatenate([np.array(v, np.int64) for v in voted])
    gold = np.concatenate([segments(p, b, v) for p, b, v in zip(data, texts, voted, strict=True)])
    known = ~np.isnan(gold)
    right = np.array([(gold[known & (votes == v)].sum() + 1) / ((known & (votes == v)).sum() + 2) for v in range(8)])
    y = np.where(known, gold, right[votes])
    size = np.repeat(np.diff(pages.page_blocks), np.diff(pages.page_blocks))
    weight = np.sqrt(np.minimum(pages.blocks[:, 3], 1000) / size)
    weight = np.where(known, np.maximum(weight / weight.mean(), 1) * SEGMENT_WEIGHT, weight / weight.mean())
    hosts = [urlparse(page["url"] or "").netloc or page["id"] for page in data]
    half = np.array([hashlib.md5(host.encode()).digest()[0] & 1 for host in hosts])
    of_block = np.repeat(half, np.diff(pages.page_blocks))
    for held in (0, 1):
        trees = fit(x[of_block != held], y[of_block != held], weight[of_block != held])
        keep = choose(pages, score(x, *read_trees(trees)))
        values = f1(data, pages, texts, keep, half == held)
        sys.stdout.write(f"half {held}, not trained on: precision {values[0]:.3f} recall {values[1]:.3f} F1 {values[2]:.4f}\n")
    Path(target).write_text(HEADER + "\n".join(fit(x, y, weight)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
