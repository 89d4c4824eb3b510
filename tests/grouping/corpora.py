"""Running `dedupe` on small corpora, and what plain Python finds in them."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import zstandard

from curate.engine.chain import run_command
from curate.jobs.dedupe import Dedupe
from curate.report.watch import Silent


def dedupe(folder: Path, given: list[dict[str, Any]], /, **options: Any) -> tuple[list[dict[str, Any]], Path]:
    """The rows that stay, and the job's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "in.jsonl"
    lines = "".join(json.dumps(row) + "\n" for row in given)
    if not source.is_file() or source.read_text() != lines:  # its time counts too
        source.write_text(lines)
    target = folder / "out.jsonl"
    run_command(Dedupe(input=(str(source),), **options), str(target), workers=1, watcher=Silent())
    (stats,) = (folder / "out.jsonl.run").glob("**/stats.json")
    return [json.loads(line) for line in target.read_text().splitlines()], stats.parent


def read_lines(folder: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(folder.glob("*.jsonl.zst")):
        content = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
        found += [json.loads(line) for line in content.splitlines()]
    return found


def shingles(text: str, ngram: int = 5) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + ngram]) for i in range(max(len(words) - ngram, 0) + 1)} if words else set()


def jaccard(a: set[Any], b: set[Any]) -> float:
    return len(a & b) / len(a | b) if a or b else 0.0


def versions(seed: int, originals: int, copies: int, length: int = 120) -> list[str]:
    """Texts, and copies of them with more and more words changed: similarities from 1 down to about 0.2."""
    draw = random.Random(seed)
    texts = []
    for _ in range(originals):
        words = [f"w{draw.randrange(10**6)}" for _ in range(length)]
        texts.append(" ".join(words))
        for n in range(copies):
            changed = list(words)
            for _ in range(n):
                changed[draw.randrange(length)] = f"v{draw.randrange(10**6)}"
            texts.append(" ".join(changed))
    draw.shuffle(texts)
    return texts


def expected(texts: list[str], threshold: float) -> list[int]:
    """Rows that no row before them resembles."""
    sets = [shingles(text) for text in texts]
    return [i for i, one in enumerate(sets) if not any(jaccard(one, other) >= threshold for other in sets[:i])]
