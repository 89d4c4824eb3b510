"""`python -m benchmarks.loader FOLDER [--split S] [--sequence N] [--rows N] [--runs N]`: tokens/s of the training loader alone.

One process, no model. Rows in the order of the documents and in the order of training (a seeded permutation), with attention
inside documents and without, and through the reading thread that training uses. The shards are read once before, so that they
come from memory if they fit there. A packed split fixes `--sequence` itself.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def main() -> None:
    """Measure and print million tokens a second, best of some runs in turn."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("folder", type=Path, help="token shards, as `curate tokenize` writes them")
    parser.add_argument("--split", default="train")
    parser.add_argument("--sequence", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=512, help="rows of a step")
    parser.add_argument("--steps", type=int, default=40, help="steps of a run, fewer where the split has fewer")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()

    from train.data import Rows, open_shards
    from train.loader import Loader

    shards = open_shards(options.folder)
    shards.verify()
    split = shards.split(options.split, 2)
    sequence = shards.sequence or options.sequence

    def rows(isolate: bool) -> Rows:
        return Rows(split, sequence, shards.vocab_size, 0, isolate)

    whole = rows(False)
    steps = min(options.steps, whole.count // options.rows)
    if not steps:
        parser.error(f"{options.folder}: {whole.count:,} rows are fewer than one step of {options.rows}")

    def in_order(isolate: bool) -> Iterator[object]:
        some = rows(isolate)
        for step in range(steps):
            yield some.take(list(range(step * options.rows, (step + 1) * options.rows)))

    def shuffled(isolate: bool) -> Iterator[object]:
        some = rows(isolate)
        for _ in range(steps):
            yield some.next(options.rows)

    def in_thread(isolate: bool) -> Iterator[object]:
        with Loader(rows(isolate), options.rows) as loader:
            for _ in range(steps):
                yield loader.next()

    ways: dict[str, Callable[[bool], Iterator[object]]] = {
        "in order": in_order,
        "shuffled": shuffled,
        "shuffled, in a thread": in_thread,
    }
    best: dict[str, float] = {}
    for _ in range(options.runs):
        for name, way in ways.items():
            for isolate in (False, True):
                began = time.perf_counter()
                for _ in way(isolate):
                    pass
                speed = steps * options.rows * sequence / (time.perf_counter() - began)
                label = f"{name}, isolated" if isolate else name
                best[label] = max(best.get(label, 0.0), speed)
    sys.stdout.write(f"{split.tokens:,} tokens, rows of {sequence}, {options.rows} a step, {steps} steps\n")
    for label, speed in best.items():
        sys.stdout.write(f"  {label:32} {speed / 1e6:8.1f} M tokens/s\n")


if __name__ == "__main__":
    main()
