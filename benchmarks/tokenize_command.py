"""`python -m benchmarks.tokenize_command FILE --tokenizer T [--megabytes N] [--runs N] [--threads 1 2]`: texts to shards.

`curate tokenize` over the whole file and over its first megabytes, against scripts that read the same first megabytes and
write their ids with tokenizers and with tiktoken: whole processes, their start included, in turn, with as many workers as
threads. The number of tokens must be the same. On a busy machine compare the CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks.__main__ import FOLDER
from benchmarks.environments import python_of
from benchmarks.measure import Figures, median, run_once
from benchmarks.tokenize import PEER_NEEDS
from curate.io.bpe import read_bpe, split_regex

ROOT = Path(__file__).parent.parent.absolute()
PEERS = ROOT / "benchmarks" / "peers"


def main() -> None:
    """Measure and print MB/s of text by the clock and by CPU, peak memory, and the ratios to the peers: medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenize_command", description=__doc__)
    parser.add_argument("file", type=Path, help="JSONL with a column text")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json that takes the fast path")
    parser.add_argument("--megabytes", type=float, default=20, help="how much text goes through the peers, and is a cold start")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    fast = read_bpe(options.tokenizer.read_text(encoding="utf-8"))
    if isinstance(fast, str):
        parser.error(f"{options.tokenizer}: has no fast path: {fast}")
    regex = split_regex(fast.pattern, fast.digits)
    FOLDER.mkdir(parents=True, exist_ok=True)
    tiktoken = python_of("tiktoken-numpy", (*PEER_NEEDS, "numpy"), FOLDER)
    with tempfile.TemporaryDirectory(dir=FOLDER) as name:
        folder = Path(name)
        few = folder / "few.jsonl"
        sizes = {"whole": _copy(options.file, None, 1e15), "cold": _copy(options.file, few, options.megabytes * 1e6)}
        files = {"whole": str(options.file.absolute()), "cold": str(few)}
        tokenizer = str(options.tokenizer.absolute())

        def ours(which: str, threads: int) -> Figures:
            shutil.rmtree(folder / "ours", ignore_errors=True)
            command = [sys.executable, "-m", "curate.cli", "tokenize", files[which], "--tokenizer", tokenizer]
            command += ["--eos-token", "<|endoftext|>", "--workers", str(threads), "-o", str(folder / "ours")]
            return run_once(command, folder, {"PYTHONPATH": str(ROOT)})

        def tokens() -> int:
            header = json.loads((folder / "ours" / "data" / "tokens.json").read_bytes())
            return sum(int(entry["tokens"]) for entry in header["splits"]["train"])

        def theirs(peer: str, threads: int) -> Figures:
            script, out = str(PEERS / f"{peer}.py"), str(folder / "theirs")
            if peer == "tokenizers_encode":
                environment = {"RAYON_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": str(threads > 1).lower()}
                return run_once([sys.executable, script, tokenizer, str(few), out], folder, environment)
            return run_once([tiktoken, script, tokenizer, str(few), out, regex, str(threads)], folder, {})

        ours("cold", 1)  # Kernels are compiled once a machine.
        width = 2 if json.loads((folder / "ours" / "data" / "tokens.json").read_bytes())["dtype"] == "uint16" else 4
        for threads in options.threads:
            found: dict[str, list[Figures]] = {}
            for _ in range(options.runs):
                for which in ("whole", "cold"):
                    found.setdefault(f"curate, {which}", []).append(ours(which, threads))
                for peer in ("tokenizers_encode", "tiktoken_command"):
                    found.setdefault(peer.split("_")[0], []).append(theirs(peer, threads))
                    if (folder / "theirs").stat().st_size != width * tokens():
                        parser.error(f"{peer}: other tokens than curate, which is a bug of curate")
            for name, figures in found.items():
                size = sizes["whole" if name == "curate, whole" else "cold"] / 1e6
                rates = sorted(size / figure.wall for figure in figures)
                line = f"{threads} threads, {name:14} {size:6.1f} MB: {size / median(figures, 'wall'):6.2f} MB/s"
                line += f" ({rates[0]:.2f}-{rates[-1]:.2f}), {size / median(figures, 'cpu'):6.2f} MB a CPU second"
                sys.stdout.write(f"{line}, {median(figures, 'memory') / 1e6:,.0f} MB of memory\n")
            for which in ("whole", "cold"):
                for peer in ("tokenizers", "tiktoken"):
                    wall, cpu = (
                        sizes[which] / median(found[f"curate, {which}"], what) / (sizes["cold"] / median(found[peer], what))
                        for what in ("wall", "cpu")
                    )
                    sys.stdout.write(f"{threads} threads, {which}: {wall:.1f} x {peer} by the clock, {cpu:.1f} x by CPU\n")
            sys.stdout.flush()


def _copy(source: Path, target: Path | None, most: float) -> int:
    """Write the first rows, about so many bytes of text, or none; how many bytes of text they have."""
    size = 0
    with source.open("rb") as lines, (target or Path("/dev/null")).open("wb") as out:
        for line in lines:
            out.write(line)
            size += len(json.loads(line)["text"].encode())
            if size >= most:
                break
    return size


if __name__ == "__main__":
    main()
