"""`python -m benchmarks.convert ALPACA SHAREGPT [--megabytes N] [--peer-megabytes N] [--runs N]`: rows to chats and to pairs.

Three plain layouts (Alpaca, ShareGPT, messages), made of the rows of two files, repeated under ids of their own. In turn, in
one run: `curate convert` with one worker, its start-up (the same command on one row) taken off; the same in plain Python, row
by row with `json`; and, for ShareGPT, `datasets` with TRL's own `maybe_convert_to_chatml`, on fewer megabytes, being slow.
Times are CPU seconds of all threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure import run_once

ROLES = {"human": "user", "gpt": "assistant", "system": "system"}


def main() -> None:
    """Measure and print MB/s of CPU time: medians, and the ratios to the peers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.convert", description=__doc__)
    parser.add_argument("alpaca", type=Path, help="Alpaca rows, JSON or JSONL")
    parser.add_argument("sharegpt", type=Path, help="ShareGPT rows, JSON or JSONL")
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--peer-megabytes", type=float, default=20)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    alpaca, sharegpt = _rows(options.alpaca), _rows(options.sharegpt)
    layouts = {"alpaca": alpaca, "sharegpt": sharegpt, "messages": [{"messages": _chat(row)} for row in (*alpaca, *sharegpt)]}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for layout, rows in layouts.items():
            whole = _repeated(folder / f"{layout}.jsonl", rows, options.megabytes)
            part = _repeated(folder / f"{layout}_part.jsonl", rows, options.peer_megabytes)
            (folder / f"{layout}_one.jsonl").write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
            for to in ("chat", "instruction"):
                ours, plain, trl = [], [], []
                for _ in range(options.runs):
                    ours.append(_ours(folder, layout, to, whole))
                    plain.append(_speed(_plain_python, folder, layout, to, part))
                    if (layout, to) == ("sharegpt", "chat"):
                        trl.append(_speed(_trl, folder, layout, to, part))
                line = (
                    f"{layout} to {to}: curate {statistics.median(ours):.0f} MB/s, Python {statistics.median(plain):.0f} MB/s"
                )
                line += f" ({statistics.median(a / b for a, b in zip(ours, plain, strict=True)):.1f} times)"
                if trl:
                    line += f", datasets and TRL {statistics.median(trl):.1f} MB/s"
                    line += f" ({statistics.median(a / b for a, b in zip(ours, trl, strict=True)):.0f} times)"
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


def _rows(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text) if text.lstrip().startswith("[") else list(map(json.loads, text.splitlines()))
    return rows


def _repeated(path: Path, rows: list[dict[str, Any]], megabytes: float) -> int:
    """Write rows until the file is that large; its size."""
    size, number = 0, 0
    with path.open("wb") as file:
        while size < megabytes * 1e6:
            row = {**rows[number % len(rows)], "id": f"r{number}"}
            size += file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            number += 1
    return size


def _speed(work: Callable[[Path, str, Path], None], folder: Path, layout: str, to: str, size: int) -> float:
    began = time.process_time()
    work(folder / f"{layout}_part.jsonl", to, folder / "out.jsonl")
    return size / 1e6 / (time.process_time() - began)


def _ours(folder: Path, layout: str, to: str, size: int) -> float:
    def cpu(name: str) -> float:
        command = [sys.executable, "-m", "curate.cli", "convert", name, "--to", to, "--workers", "1"]
        with tempfile.TemporaryDirectory(dir=folder) as output:
            # polars threads wait for work by spinning, which would count.
            paths = {"POLARS_MAX_THREADS": "1", "PYTHONPATH": str(Path(__file__).parent.parent.absolute())}
            return run_once([*command, "--output", f"{output}/out.jsonl"], folder, paths).cpu

    return size / 1e6 / (cpu(f"{layout}.jsonl") - cpu(f"{layout}_one.jsonl"))


def _chat(row: dict[str, Any]) -> list[dict[str, str]]:
    """What a person would write to convert a row, without any check."""
    if "messages" in row:
        messages: list[dict[str, str]] = row["messages"]
        return messages
    if "conversations" in row:
        return [{"role": ROLES[turn["from"]], "content": turn["value"]} for turn in row["conversations"]]
    asked = f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"]
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": row["output"]}]


def _plain_python(source: Path, to: str, target: Path) -> None:
    with source.open(encoding="utf-8") as rows, target.open("w", encoding="utf-8") as out:
        for line in rows:
            chat: Any = _chat(json.loads(line))
            if to == "instruction":
                if [turn["role"] for turn in chat] != ["user", "assistant"]:
                    continue
                chat = {"instruction": chat[0]["content"], "output": chat[1]["content"]}
            out.write(json.dumps(chat, ensure_ascii=False) + "\n")


def _trl(source: Path, to: str, target: Path) -> None:
    import datasets
    from trl.data_utils import maybe_convert_to_chatml

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as cache:
        data = datasets.load_dataset("json", data_files=str(source), split="train", cache_dir=cache)
        data.map(maybe_convert_to_chatml).to_json(str(target))


if __name__ == "__main__":
    main()
