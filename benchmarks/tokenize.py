"""`python -m benchmarks.tokenize FILE --tokenizer T [--megabytes N] [--runs N]`: texts to ids, one thread each.

curate's fast path, cold (a new table of pieces) on the first megabytes and warm (the whole file, and the table of a first
pass over it), against the fastest calls of tokenizers and tiktoken on the same first megabytes, in turn. For a sentencepiece
`.model`, which has no fast path, curate's way to arrays against the library's to lists. Times are CPU seconds, which for one
thread are those of the clock on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.__main__ import FOLDER
from benchmarks.environments import python_of

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.io.bpe import ByteLevelBPE

PEER = Path(__file__).parent.absolute() / "peers" / "tiktoken_encode.py"
PEER_NEEDS = ("tiktoken==0.14.0",)


def main() -> None:
    """Measure and print MB/s and tokens/s: medians, and the ratios to the peers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tokenize", description=__doc__)
    parser.add_argument("file", type=Path, help="JSONL with a column text")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json that takes the fast path, or a .model")
    parser.add_argument("--megabytes", type=float, default=20, help="how much text is cold, and goes through the peers")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    # Read by the library when it starts.
    os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}

    import polars as pl
    from tokenizers import Tokenizer

    from curate.analysis import text_buffers
    from curate.io.bpe import read_bpe, split_regex

    with options.file.open("rb") as file:
        column = pl.Series([json.loads(line)["text"] for line in file], dtype=pl.String)
    sizes = column.str.len_bytes().cast(pl.Int64).cum_sum()
    first = column.filter(sizes <= options.megabytes * 1e6)
    texts = first.to_list()
    if options.tokenizer.suffix == ".model":
        sentencepiece_side(options.tokenizer, first, texts, options.runs)
        return
    tokenizer = Tokenizer.from_file(str(options.tokenizer))
    tokenizer.encode_special_tokens = True
    small, whole = text_buffers(first), text_buffers(column)
    found: dict[str, list[tuple[float, float, int]]] = {}

    def note(name: str, size: float, seconds: float, tokens: int) -> None:
        found.setdefault(name, []).append((size / 1e6, seconds, tokens))

    def ours(name: str, fast: ByteLevelBPE, offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> None:
        began = time.process_time()
        tokens, _ = fast.encode(offsets, data, 0)
        note(name, len(data), time.process_time() - began, len(tokens) - len(offsets) + 1)

    def new() -> ByteLevelBPE:
        read = read_bpe(tokenizer.to_str())
        if isinstance(read, str):
            parser.error(f"{options.tokenizer}: has no fast path: {read}")
        # Kernels are loaded, and the library is asked for letters and numbers, once.
        read.encode(small[0][:2], small[1], 0)
        return read

    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.jsonl"
        sample.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        warm = new()
        regex = split_regex(warm.pattern, warm.digits)
        command = [python_of("tiktoken", PEER_NEEDS, FOLDER), str(PEER), str(options.tokenizer), regex]
        ours("curate, first pass", warm, *whole)
        for _ in range(options.runs):
            ours("curate, cold", new(), *small)
            ours("curate, warm", warm, *whole)
            began = time.process_time()
            encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            note("tokenizers", len(small[1]), time.process_time() - began, sum(map(len, encoded)))
            del encoded
            printed = subprocess.run([*command, str(sample)], check=True, capture_output=True).stdout
            note("tiktoken", len(small[1]), *json.loads(printed))
    rates = {name: [size / seconds for size, seconds, _ in runs] for name, runs in found.items()}
    for name, runs in found.items():
        tokens_rate = statistics.median(tokens / seconds for _, seconds, tokens in runs) / 1e6
        rate, low, high = statistics.median(rates[name]), min(rates[name]), max(rates[name])
        line = f"{name:20} {runs[0][0]:6.1f} MB: {rate:7.1f} MB/s ({low:.1f}-{high:.1f}), {tokens_rate:6.2f} M tokens/s"
        peers = [f"{rate / statistics.median(rates[peer]):.1f} x {peer}" for peer in ("tokenizers", "tiktoken") if peer != name]
        sys.stdout.write(f"{line}; {', '.join(peers)}\n")


def sentencepiece_side(model: Path, column: pl.Series, texts: list[str], runs: int) -> None:
    """Print MB/s of `Encoder.encode` and of sentencepiece's own batch call, in turn, and the median of their ratios."""
    import sentencepiece

    from curate.io.encoder import Encoder

    encoder = Encoder.load(str(model), None, parallel=False)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    size = int(column.str.len_bytes().sum()) / 1e6
    rates: dict[str, list[float]] = {"curate": [], "sentencepiece": []}
    for _ in range(runs):
        began = time.process_time()
        tokens = len(encoder.encode(column)[0]) - len(texts)
        rates["curate"].append(size / (time.process_time() - began))
        began = time.process_time()
        listed = processor.encode(texts, out_type=int, num_threads=1)
        rates["sentencepiece"].append(size / (time.process_time() - began))
        if sum(map(len, listed)) != tokens:
            sys.exit(f"{model}: the library gave another number of tokens")
    ratio = statistics.median(a / b for a, b in zip(*rates.values(), strict=True))
    for name, found in rates.items():
        sys.stdout.write(
            f"{name:14} {size:6.1f} MB: {statistics.median(found):6.1f} MB/s ({min(found):.1f}-{max(found):.1f})\n"
        )
    sys.stdout.write(f"curate {ratio:.2f} x sentencepiece\n")


if __name__ == "__main__":
    main()
