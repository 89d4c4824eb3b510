"""`python -m benchmarks.tokenizer_train FILE [--megabytes N] [--vocab-size N] [--runs N] [--threads 1 2]`: BPE, trained.

`curate tokenizer train`, the whole command with its report, against a script that gives the same texts to the trainer of the
tokenizers library, whole processes in turn, with as many workers as threads. Vocabulary and merges must be the same.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.__main__ import FOLDER
from benchmarks.measure import Figures, median, run_once
from curate.io.bpe import SPLIT_PATTERNS
from curate.jobs.tokenizer import TrainTokenizer

ROOT = Path(__file__).parent.parent.absolute()
PEER = ROOT / "benchmarks" / "peers" / "tokenizers_train.py"
HELD_OUT = 100
"""Every so many rows one is held out: with a validation split the command trains on all others."""


def main() -> None:
    """Measure and print seconds, MB/s and peak memory: medians, and the ratio of the times."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenizer_train", description=__doc__)
    parser.add_argument("file", type=Path, help="JSONL with a column text")
    parser.add_argument("--megabytes", type=float, default=100, help="how much text to train on")
    parser.add_argument("--vocab-size", type=int, default=32_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        size = _rows(options.file, folder / "rows.jsonl", options.megabytes * 1e6)
        _rows(options.file, folder / "few.jsonl", 1e5)
        vocab = str(options.vocab_size)

        def ours(rows: str, threads: int) -> list[str]:
            shutil.rmtree(folder / "ours", ignore_errors=True)
            command = [sys.executable, "-m", "curate.cli", "tokenizer", "train", str(folder / rows), "--vocab-size", vocab]
            return [*command, "--sample-bytes", "1000000000000", "--workers", str(threads), "-o", str(folder / "ours")]

        peer = [sys.executable, str(PEER), str(folder / "rows.jsonl"), str(folder / "theirs.json"), SPLIT_PATTERNS["llama3"]]
        peer += [vocab, *TrainTokenizer().specials()]
        path = {"PYTHONPATH": str(ROOT)}
        # Kernels are compiled once a machine.
        run_once(ours("few.jsonl", 1), folder, path)
        for threads in options.threads:
            found: dict[str, list[Figures]] = {"curate": [], "tokenizers": []}
            environment = {**path, "RAYON_NUM_THREADS": str(threads)}
            for _ in range(options.runs):
                found["curate"].append(run_once(ours("rows.jsonl", threads), folder, environment))
                found["tokenizers"].append(run_once(peer, folder, environment))
                mine, theirs = _model(folder / "ours" / "data" / "tokenizer.json"), _model(folder / "theirs.json")
                if mine != theirs:
                    parser.error("vocabulary or merges are not the same, which is a bug of curate")
            for name, figures in found.items():
                wall, memory = median(figures, "wall"), median(figures, "memory")
                walls = [figure.wall for figure in figures]
                spread = f"({min(walls):.1f}-{max(walls):.1f})"
                line = f"{threads} threads, {name:10} {wall:6.1f} s {spread}, {median(figures, 'cpu'):6.1f} s of CPU"
                sys.stdout.write(f"{line}, {size / 1e6 / wall:5.2f} MB/s, {memory / 1e6:,.0f} MB\n")
            ratio, cpu = (median(found["tokenizers"], what) / median(found["curate"], what) for what in ("wall", "cpu"))
            sys.stdout.write(
                f"{threads} threads: {ratio:.2f} x as fast, {cpu:.2f} x less CPU; the same vocabulary and merges\n"
            )
            sys.stdout.flush()


def _rows(source: Path, target: Path, most: float) -> int:
    """Write the first rows, about so many bytes of text; how many bytes there are to train on."""
    trained = every = 0
    with source.open("rb") as lines, target.open("w", encoding="utf-8") as out:
        for i, line in enumerate(lines):
            text = json.loads(line)["text"]
            split = "train" if i % HELD_OUT else "validation"
            out.write(json.dumps({"id": str(i), "text": text, "split": split}, ensure_ascii=False) + "\n")
            size = len(text.encode())
            every += size
            trained += size if i % HELD_OUT else 0
            if every >= most:
                break
    return trained


def _model(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))["model"]


if __name__ == "__main__":
    main()
