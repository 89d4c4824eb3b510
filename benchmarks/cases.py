"""The measured cases: each runs whole commands in turn, ours first, and gives their figures."""

from __future__ import annotations

import gzip
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks.data import corpus
from benchmarks.environments import python_of
from benchmarks.measure import Figures, in_turn

__all__ = ["CASES", "Case", "Result"]

FOLDER = Path(".bench").absolute()
PEERS = Path(__file__).parent.absolute() / "peers"
FILTERS = ("gopher_repetition", "gopher_quality", "c4_lines", "c4_quality", "fineweb_quality")
ONE_CORE = ("taskset", "-c", "0")

Result = dict[str, list[Figures]]
Case = Callable[[int, int, Path | None], Result]
"""Runs, megabytes of the corpus made on the spot, and the file to take instead."""

Command = tuple[list[str], Path, dict[str, str]]


def clean_against_polars(runs: int, megabytes: int, file: Path | None) -> Result:
    """JSONL -> clean (white space) -> JSONL, against a bare polars scan and write of the same file; all cores each."""
    source = file or corpus(FOLDER / "data", megabytes)
    peer = python_of("polars", (f"polars=={version('polars')}",), FOLDER)
    ours = curate("clean", source, steps=("whitespace",))
    theirs = command(peer, str(PEERS / "polars_copy.py"), str(source), "theirs.jsonl")
    return named(("curate clean", "polars copy"), in_turn((ours, theirs), runs))


def memory_of_ten(runs: int, megabytes: int, file: Path | None) -> Result:
    """The same command on a file ten times larger: peak memory must stay."""
    small, large = once_and_ten_times(file or corpus(FOLDER / "data", megabytes))
    commands = [curate("clean", source, steps=("unicode", "whitespace", *FILTERS)) for source in (large, small)]
    return named(("ten times", "once"), in_turn(commands, runs))


def two_workers(runs: int, megabytes: int, file: Path | None) -> Result:
    """The quality filters on one worker and on two."""
    source = file or corpus(FOLDER / "data", megabytes)
    commands = [curate("clean", source, steps=FILTERS, workers=n) for n in (1, 2)]
    return named(("one worker", "two workers"), in_turn(commands, runs))


def filters_against_datatrove(runs: int, megabytes: int, file: Path | None) -> Result:
    """Gopher repetition and quality, C4, FineWeb, whole commands on one core each; datatrove 0.10.1."""
    source = file or corpus(FOLDER / "data", megabytes)
    peer = python_of("datatrove", ("datatrove[io,processing]==0.10.1", "spacy", "orjson"), FOLDER)
    ours = curate("clean", source, steps=FILTERS, workers=1, prefix=ONE_CORE)
    theirs = command(*ONE_CORE, peer, str(PEERS / "datatrove_filters.py"), str(source), "datatrove")
    return named(("curate clean", "datatrove"), in_turn((ours, theirs), runs))


def filters_against_dolma(runs: int, megabytes: int, file: Path | None) -> Result:
    """Gopher repetition and quality, C4, FineWeb against dolma 1.2.1's taggers gopher_v2 and c4_v2, one core each."""
    source = file or corpus(FOLDER / "data", megabytes)
    peer = python_of("dolma", ("dolma==1.2.1", "numpy<2"), FOLDER)
    ours = curate("clean", source, steps=FILTERS, workers=1, prefix=ONE_CORE)
    dolma = str(Path(peer).with_name("dolma"))
    theirs = command(*ONE_CORE, "sh", str(PEERS / "dolma_filters.sh"), dolma, str(dolma_documents(source)))
    return named(("curate clean", "dolma tag"), in_turn((ours, theirs), runs))


def extract_against_libraries(runs: int, megabytes: int, file: Path | None) -> Result:
    """`curate extract` on a JSONL file with pages (`--file`), against trafilatura and resiliparse alone, one core each."""
    if file is None:
        raise SystemExit("the case extract needs --file: a JSONL file with a column html")
    peer = python_of("html", ("trafilatura==2.3.1", "resiliparse==2.0.1", "lxml_html_clean"), FOLDER)
    ours = curate("extract", file, workers=1, prefix=ONE_CORE)
    theirs = [
        command(*ONE_CORE, peer, str(PEERS / "html_engine.py"), engine, str(file), f"{engine}.jsonl")
        for engine in ("trafilatura", "resiliparse")
    ]
    return named(("curate extract", "trafilatura", "resiliparse"), in_turn((ours, *theirs), runs))


def dedupe_against_datatrove(runs: int, megabytes: int, file: Path | None) -> Result:
    """Exact and near duplicates against datatrove 0.10.1's MinHash, defaults, whole commands on one core each."""
    source = file or corpus(FOLDER / "data", megabytes)
    peer = python_of("datatrove", ("datatrove[io,processing]==0.10.1", "spacy", "orjson"), FOLDER)
    ours = curate("dedupe", source, workers=1, prefix=ONE_CORE)
    theirs = command(*ONE_CORE, peer, str(PEERS / "datatrove_dedupe.py"), str(source), "datatrove-dedupe")
    return named(("curate dedupe", "datatrove"), in_turn((ours, theirs), runs))


def dedupe_against_rensa(runs: int, megabytes: int, file: Path | None) -> Result:
    """Exact and near duplicates against rensa 0.5.0 on word 5-grams, whole commands on one core each."""
    source = file or corpus(FOLDER / "data", megabytes)
    peer = python_of("rensa", ("rensa==0.5.0", "orjson"), FOLDER)
    ours = curate("dedupe", source, workers=1, prefix=ONE_CORE)
    theirs = command(*ONE_CORE, peer, str(PEERS / "rensa_dedupe.py"), str(source), "rensa.jsonl")
    return named(("curate dedupe", "rensa"), in_turn((ours, theirs), runs))


def dedupe_against_dolma(runs: int, megabytes: int, file: Path | None) -> Result:
    """Equal documents, then equal paragraphs, against dolma 1.2.1's Bloom filter, which only tags; one core each."""
    source = file or corpus(FOLDER / "data", megabytes)
    peer = python_of("dolma", ("dolma==1.2.1", "numpy<2"), FOLDER)
    commands = []
    for method, kind in (("exact", "documents"), ("paragraph", "paragraphs")):
        commands.append(curate("dedupe", source, "--methods", method, workers=1, prefix=ONE_CORE))
        words = (str(Path(peer).with_name("dolma")), str(dolma_documents(source)), kind)
        commands.append(command(*ONE_CORE, "sh", str(PEERS / "dolma_dedupe.sh"), *words))
    return named(("exact", "dolma documents", "paragraph", "dolma paragraphs"), in_turn(commands, runs))


def dedupe_with_two_workers(runs: int, megabytes: int, file: Path | None) -> Result:
    """Exact and near duplicates on one worker and on two."""
    source = file or corpus(FOLDER / "data", megabytes)
    return named(("one worker", "two workers"), in_turn([curate("dedupe", source, workers=n) for n in (1, 2)], runs))


def dedupe_memory_of_ten(runs: int, megabytes: int, file: Path | None) -> Result:
    """Exact and near duplicates of a file ten times larger, one worker: memory for 33 bytes a row more may be taken."""
    small, large = once_and_ten_times(file or corpus(FOLDER / "data", megabytes))
    return named(("ten times", "once"), in_turn([curate("dedupe", source, workers=1) for source in (large, small)], runs))


CASES: dict[str, Case] = {
    "clean": clean_against_polars,
    "memory": memory_of_ten,
    "workers": two_workers,
    "datatrove": filters_against_datatrove,
    "dolma": filters_against_dolma,
    "extract": extract_against_libraries,
    "dedupe-datatrove": dedupe_against_datatrove,
    "dedupe-rensa": dedupe_against_rensa,
    "dedupe-dolma": dedupe_against_dolma,
    "dedupe-workers": dedupe_with_two_workers,
    "dedupe-memory": dedupe_memory_of_ten,
}


def curate(
    job: str, source: Path, *options: str, steps: tuple[str, ...] = (), workers: int = 0, prefix: tuple[str, ...] = ()
) -> Command:
    """One of our commands, which begins anew each time."""
    chosen = [word for step in steps for word in ("--steps", step)]
    run = [sys.executable, "-m", "curate.cli", job, str(source), "-o", "ours.jsonl", *options, *chosen]
    run += ["--workers", str(workers), "--quiet"]
    again = ["sh", "-c", 'rm -rf ours.jsonl ours.jsonl.run; exec "$@"', "sh", *prefix, *run]
    return again, place(), {"PYTHONPATH": str(Path.cwd())}


def command(*words: str) -> Command:
    """A peer's command."""
    return list(words), place(), {}


def place() -> Path:
    """The folder that commands run in."""
    folder = FOLDER / "out"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def named(names: tuple[str, ...], figures: list[list[Figures]]) -> Result:
    """Figures by name, in order."""
    return dict(zip(names, figures, strict=True))


def once_and_ten_times(small: Path) -> tuple[Path, Path]:
    """A file, and one that holds it ten times."""
    large = FOLDER / "data" / f"{small.stem}-times-10.jsonl"
    if not large.exists():
        large.parent.mkdir(parents=True, exist_ok=True)
        with open(large, "wb") as out:
            for _ in range(10):
                with open(small, "rb") as part:
                    shutil.copyfileobj(part, out)
    return small, large


def dolma_documents(source: Path) -> Path:
    """The folder in which dolma finds the file's rows: in `documents`, packed."""
    folder = FOLDER / "data" / f"dolma-{source.stem}"
    documents = folder / "documents" / "0.jsonl.gz"
    if not documents.exists():
        documents.parent.mkdir(parents=True, exist_ok=True)
        with open(source, "rb") as plain, gzip.open(documents, "wb", 1) as out:
            shutil.copyfileobj(plain, out)
    return folder
