"""`python -m benchmarks.rouge_novelty FILE [--count N] [--few N]`: novelty of instructions against all before them.

`curate.synth.novelty` against rouge_score 0.1.2 over a pool of processes, as the script of self-instruct runs it. The peer
would take a day for 52,000: it scores the last `few` of them against all that come before, and its time for all follows from
its pairs a second. Ours does all. Which ones are kept, and every F above the threshold, must be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.__main__ import FOLDER
from benchmarks.environments import python_of
from curate.synth.novelty import Novelty

PEER = Path(__file__).parent / "peers" / "rouge_novelty.py"
THRESHOLD = 0.7


def main() -> None:
    """Measure and print seconds, pairs a second, and the ratio; fails where the two do not agree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rouge_novelty", description=__doc__)
    parser.add_argument("file", type=Path, help="JSONL with a column text, whose sentences stand in for instructions")
    parser.add_argument("--count", type=int, default=52_000)
    parser.add_argument("--few", type=int, default=20, help="how many the peer scores against all before them")
    parser.add_argument("--agree", type=int, default=600, help="how many both do from the first on, to compare every F")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    python = python_of("rouge", ("rouge_score==0.1.2",), FOLDER)
    texts = _instructions(options.file, options.count)
    write = sys.stdout.write
    write(f"{len(texts):,} instructions, {sum(map(len, texts)) / len(texts):.0f} characters each\n")
    Novelty(THRESHOLD, "rouge").add_if_new(texts[0])  # kernels are compiled once a machine
    seconds, kept = [], 0
    for _ in range(3):
        held = Novelty(THRESHOLD, "rouge")
        began = time.perf_counter()
        for text in texts:
            held.add_if_new(text)
        seconds.append(time.perf_counter() - began)
        kept = len(held)
    write(f"curate: {min(seconds):.2f} s of one core, {kept:,} kept\n")
    first = _peer(python, texts[: options.agree], 0, options.processes)
    _agree(texts[: options.agree], first["best"])
    write(f"the same {options.agree} decisions, and every F to 1e-9\n")
    last = _peer(python, texts, len(texts) - options.few, options.processes)
    rate = last["pairs"] / last["seconds"]
    whole = kept * (kept - 1) / 2 + (len(texts) - kept) * kept / 2
    write(f"rouge_score, {options.processes} processes: {rate:,.0f} pairs/s, so {whole / rate:,.0f} s for all\n")
    write(f"ratio: {whole / rate / min(seconds):,.0f}\n")


def _instructions(file: Path, count: int) -> list[str]:
    """Sentences of 4 to 40 words; a tenth is one before it with a word changed."""
    rng = random.Random(0)
    found: list[str] = []
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            for sentence in re.split(r"(?<=[.?!])\s+", json.loads(line)["text"]):
                words = sentence.split()
                if sentence.isascii() and 4 <= len(words) <= 40:
                    found.append(" ".join(words))
                    if rng.random() < 0.1:
                        other = rng.choice(found).split()
                        other[rng.randrange(len(other))] = "something"
                        found.append(" ".join(other))
                if len(found) >= count:
                    return found[:count]
    return found


def _peer(python: str, texts: list[str], held: int, processes: int) -> dict[str, Any]:
    source, target = FOLDER / "rouge.json", FOLDER / "rouge.out.json"
    source.write_text(json.dumps(texts))
    subprocess.run([python, str(PEER), str(source), str(target), str(THRESHOLD), str(processes), str(held)], check=True)
    result: dict[str, Any] = json.loads(target.read_bytes())
    return result


def _agree(texts: list[str], best: list[float]) -> None:
    """Raise where a decision or a score differs. Ours looks for scores from 0 on, so that all can be compared."""
    held = Novelty(0.0, "rouge")
    for text, theirs in zip(texts, best, strict=True):
        similar = held.similar(text)
        mine = similar.f if similar else 0.0
        if abs(mine - theirs) > 1e-9 or (mine > THRESHOLD) != (theirs > THRESHOLD):
            raise SystemExit(f"{text!r}: F {mine} here, {theirs} of rouge_score")
        if mine <= THRESHOLD:
            held.add(text)


if __name__ == "__main__":
    main()
