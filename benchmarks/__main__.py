"""`python -m benchmarks [CASE ...] [--runs N] [--megabytes N] [--file F]`: measure, print, write `.bench/results.json`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.measure import median

FOLDER = Path(".bench").absolute()


def main() -> None:
    """Run the cases and print medians, and the ratios of each command to the first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="which; default: all that need no file")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=330, help="size of the corpus that is made on the spot")
    parser.add_argument("--file", type=lambda name: Path(name).absolute(), help="a JSONL file to measure on instead")
    options = parser.parse_args()
    write = sys.stdout.write
    write(f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}\n")
    results = {}
    for name in options.case or [case for case in CASES if case != "extract" or options.file]:
        found = CASES[name](options.runs, options.megabytes, options.file)
        results[name] = {label: [asdict(f) for f in figures] for label, figures in found.items()}
        write(f"\n{name}: {CASES[name].__doc__}\n")
        for label, figures in found.items():
            wall, cpu, memory = (median(figures, part) for part in ("wall", "cpu", "memory"))
            spread = f"{min(f.wall for f in figures):.2f}-{max(f.wall for f in figures):.2f}"
            write(f"  {label:16} wall {wall:.2f} s ({spread}), cpu {cpu:.2f} s, peak {memory / 1e6:.0f} MB\n")
        first, *others = found
        for other in others:
            ratios = {part: median(found[other], part) / median(found[first], part) for part in ("wall", "cpu", "memory")}
            write(f"  {other} to {first}: " + ", ".join(f"{part} {ratio:.2f}" for part, ratio in ratios.items()) + "\n")
        sys.stdout.flush()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
