"""`python -m benchmarks [CASE ...] [--runs N] [--megabytes N]`: measure, print, and write `.bench/results.json`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from benchmarks.data import corpus
from benchmarks.environments import python_of
from benchmarks.measure import Figures, in_turn, median

FOLDER = Path(".bench").absolute()
PEERS = Path(__file__).parent / "peers"
Result = dict[str, list[Figures]]


def clean_against_polars(runs: int, megabytes: int) -> Result:
    """JSONL -> clean (white space) -> JSONL, against a bare polars scan and write of the same file; all cores each."""
    source = corpus(FOLDER / "data", megabytes)
    peer = python_of("polars", (f"polars=={version('polars')}",), FOLDER)
    ours = [sys.executable, "-m", "curate.cli", "clean", str(source), "-o", "ours.jsonl", "--steps", "whitespace", "--quiet"]
    again = ["sh", "-c", 'rm -rf ours.jsonl ours.jsonl.run; exec "$@"', "sh", *ours]
    theirs = [peer, str(PEERS / "polars_copy.py"), str(source), "theirs.jsonl"]
    place = FOLDER / "out"
    place.mkdir(parents=True, exist_ok=True)
    environment = {"PYTHONPATH": str(Path.cwd())}
    first, second = in_turn([(again, place, environment), (theirs, place, {})], runs)
    return {"curate clean": first, "polars copy": second}


def memory_of_ten(runs: int, megabytes: int) -> Result:
    """The same command on a file ten times larger: peak memory must stay."""
    place = FOLDER / "out"
    place.mkdir(parents=True, exist_ok=True)
    environment = {"PYTHONPATH": str(Path.cwd())}
    commands = []
    for size in (megabytes, 10 * megabytes):
        source = corpus(FOLDER / "data", size)
        ours = [
            sys.executable,
            "-m",
            "curate.cli",
            "clean",
            str(source),
            "-o",
            "ours.jsonl",
            "--steps",
            "whitespace",
            "--quiet",
        ]
        commands.append((["sh", "-c", 'rm -rf ours.jsonl ours.jsonl.run; exec "$@"', "sh", *ours], place, environment))
    small, large = in_turn(commands, runs)
    return {f"{10 * megabytes} MB": large, f"{megabytes} MB": small}


CASES: dict[str, Callable[[int, int], Result]] = {"clean": clean_against_polars, "memory": memory_of_ten}


def main() -> None:
    """Run the cases and print medians, and the ratios of the first command to the second."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", choices=[*CASES, []], help="which; default: all")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=330)
    options = parser.parse_args()
    write = sys.stdout.write
    write(f"{platform.machine()}, {platform.python_implementation()} {platform.python_version()}\n")
    results = {}
    for name in options.case or CASES:
        found = CASES[name](options.runs, options.megabytes)
        results[name] = {label: [asdict(f) for f in figures] for label, figures in found.items()}
        write(f"\n{name}: {CASES[name].__doc__}\n")
        for label, figures in found.items():
            wall, cpu, memory = (median(figures, part) for part in ("wall", "cpu", "memory"))
            spread = f"{min(f.wall for f in figures):.2f}-{max(f.wall for f in figures):.2f}"
            write(f"  {label:16} wall {wall:.2f} s ({spread}), cpu {cpu:.2f} s, peak {memory / 1e6:.0f} MB\n")
        first, second = found.values()
        ratios = {part: median(first, part) / median(second, part) for part in ("wall", "cpu", "memory")}
        write("  ratio            " + ", ".join(f"{part} {ratio:.2f}" for part, ratio in ratios.items()) + "\n")
    (FOLDER / "results.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
