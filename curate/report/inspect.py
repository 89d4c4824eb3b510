"""`curate inspect`: what is in a file or folder of rows, a run, or token shards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from curate.declare import Filter, Job, Rows, RowsJob
from curate.errors import UsageError
from curate.report.books import excerpt, read_json
from curate.report.tables import bytes_text, print_table

__all__ = ["inspect_path", "try_steps"]


def inspect_path(path: str, rows: int) -> int:
    """Print what is at `path`, with `rows` examples. Returns the exit code 0.

    A folder with `run.json` or `stats.json` is a run or one of its jobs, a folder with `tokens.json` (or whose `data/` has
    it) is token shards, anything else rows. Reads everything once, as a stream. Raises InputError.
    """
    console = _console()
    folder = Path(path)
    run, stats = read_json(folder / "run.json"), read_json(folder / "stats.json")
    tokens = [place for place in (folder, folder / "data") if (place / "tokens.json").is_file()]
    is_run = run is not None and "jobs" in run
    is_job = stats is not None and {"job", "digest"} <= stats.keys()
    if is_run or is_job:
        from curate.report.inspect_run import show_run

        show_run(console, folder, run if run is not None and is_run else {"jobs": [stats]}, rows)
    if tokens:
        _show_tokens(console, tokens[0], rows)
    elif not is_run and not is_job:
        from curate.report.inspect_rows import show_rows

        show_rows(console, path, rows)
    return 0


def try_steps(job: Job, rows: int, sample: int, html: Path | None) -> int:
    """Print what the steps of a job would do to a sample of its input; see `curate.report.look`. Returns the exit code 0."""
    from curate.report.look import look

    steps = [stage.steps for stage in job.stages() if isinstance(stage, Rows)]
    if not isinstance(job, RowsJob) or not any(isinstance(step, Filter) for some in steps for step in some):
        raise UsageError(f"{job.label()}: has no filters to look at; name some with --steps, or a job that has them")
    return look(_console(), job, rows, sample, html)


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 120)


def _show_tokens(console: Any, folder: Path, rows: int) -> None:
    """Splits and shards of a folder of token shards, and a few documents decoded."""
    from curate.io.token_shards import read, read_header

    header = read_header(folder)
    console.print(
        f"Token shards: {header['dtype']}, {header['vocab_size']:,} ids, a document ends with id {header['eos_id']}",
        markup=False,
    )
    table = []
    for split, entries in header["splits"].items():
        tokens, documents, size = (sum(entry[key] for entry in entries) for key in ("tokens", "documents", "bytes"))
        # The token that ends each document stands for no byte of it.
        per_token = f"{size / (tokens - documents):.3f}" if tokens > documents else ""
        table.append([split, f"{len(entries):,}", f"{documents:,}", f"{tokens:,}", bytes_text(size), per_token])
    print_table(console, ["split", "shards", "documents", "tokens", "text", "bytes/token"], table)
    decode = _decoder(folder / header["tokenizer"])
    if decode is None:
        console.print(f"{folder / header['tokenizer']}: no tokenizer.json in it, so documents are shown as their ids")
    for split, entries in header["splits"].items():
        entry = next((entry for entry in entries if entry["documents"]), None)
        if entry is None:
            continue
        ids, positions = read(folder, entry, header["dtype"])
        for i in range(min(rows, entry["documents"])):
            document = [int(token) for token in ids[int(positions[i]) : int(positions[i + 1])]]
            # An excerpt of 300 characters needs no more ids than that, plus those inside a character.
            text = excerpt(decode(document[:1200])) if decode else " ".join(map(str, document[:40]))
            console.print(f"{split} {i + 1} ({len(document):,} tokens): {text}", soft_wrap=True)


def _decoder(folder: Path) -> Any:
    """ids -> text, special tokens shown; None when the tokenizer's file is not there."""
    if not (folder / "tokenizer.json").is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return lambda ids: tokenizer.decode(ids, skip_special_tokens=False)
