"""A small case for every job of the catalog: its options, its input, and what of its result must never change."""

from __future__ import annotations

import gzip
import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import zstandard

from curate.jobs.tokenizer import TrainTokenizer
from tests.contract.texts import PROSE, TEXTS
from tests.grouping.embeddings import static_model
from tests.rank.votes_of import campaign
from tests.work import rows, run_job

Compared = Callable[[Path], Any]
"""What must be the same of a result's `data/`, however the work was cut."""


@dataclass(frozen=True)
class Case:
    """`make` writes the input into a folder and gives the job's options."""

    make: Callable[[Path], dict[str, Any]]
    compared: Compared
    exact: bool = True
    """Whether two runs over one input write the same bytes (a crawl's pages carry their time)."""
    cut: bool = True
    """Whether the job reads input that is cut into units."""


def written_rows(data: Path) -> list[Any]:
    """All rows of a folder of JSON lines, in order."""
    found = []
    for path in sorted(data.glob("*.jsonl.zst")):
        content = zstandard.ZstdDecompressor().stream_reader(path.read_bytes(), read_across_frames=True).read()
        found += [json.loads(line) for line in content.splitlines()]
    return found


def every_file(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in sorted(data.rglob("*")) if path.is_file()}


def tokens(data: Path) -> dict[str, list[int]]:
    """The documents' tokens of each split, one after another."""
    import numpy as np

    header = json.loads((data / "tokens.json").read_bytes())
    names = {split: sorted(data.glob(f"{split}-*.bin")) for split in header["splits"]}
    return {split: np.concatenate([np.fromfile(p, header["dtype"]) for p in files]).tolist() for split, files in names.items()}


def pages(data: Path) -> list[tuple[str, bytes]]:
    """Address and body of the pages of a folder of WARC files."""
    from fastwarc.warc import ArchiveIterator

    found = []
    for path in sorted(data.glob("*.warc.gz")):
        with gzip.open(path) as handle:
            for record in ArchiveIterator(handle, parse_http=True):
                if record.is_http:
                    found.append((record.headers["WARC-Target-URI"].rpartition("/")[2], record.reader.read()))
    return found


def write_lines(folder: Path, lines: list[Any], broken: int = 2) -> str:
    """Rows in two files, one plain and one compressed, with some lines that cannot be read; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    half = len(lines) // 2
    plain = [json.dumps(line, ensure_ascii=False) for line in lines[:half]] + ['{"text": broken'] * broken
    (folder / "a.jsonl").write_text("\n".join(plain) + "\n", encoding="utf-8", newline="")
    packed = "".join(json.dumps(line) + "\n" for line in lines[half:]).encode()
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(packed, mtime=0))
    return str(folder)


def texts_of(count: int) -> list[dict[str, Any]]:
    mixed = [*TEXTS, *(f"{PROSE} It was meeting number {i}, in room {i * 7 % 13}." for i in range(count))]
    return [{"text": text, "n": i} if i % 2 else {"id": f"own-{i}", "text": text} for i, text in enumerate(mixed)]


def clean(folder: Path) -> dict[str, Any]:
    steps = [
        "unicode",
        "whitespace",
        {"step": "length", "min_words": 3},
        "gopher_quality",
        {"step": "split", "validation": 0.3},
    ]
    return {"input": [write_lines(folder / "in", texts_of(60))], "steps": steps, "keep_scores": True, "max_errors": 2}


def dedupe(folder: Path) -> dict[str, Any]:
    lines = texts_of(40) + texts_of(20) + [{"text": f"Number {i}.\n{text}"} for i, text in enumerate(TEXTS)]
    inside = {"methods": ["exact", "near", "semantic", "line", "paragraph", "span"], "min_unit_words": 2, "span_words": 6}
    vectors = {str(i): [math.cos(i), math.sin(i), i / 9] for i in range(60)}
    meaning = {"embedding_model": str(static_model(folder / "model", vectors)), "semantic_groups": 3}
    return {"input": [write_lines(folder / "in", lines)], "max_errors": 2, **inside, **meaning}


def decontaminate(folder: Path) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    items = [{"question": PROSE, "answer": "none"}, {"question": "It was meeting number 7, in room 10."}]
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    lines = texts_of(60)
    for i, line in enumerate(lines):
        if i % 4:
            line["text"] = line["text"].replace(PROSE, "Nothing of it.")
    options = {"against": [str(folder / "items.jsonl")], "action": "tag", "max_errors": 2}
    return {"input": [write_lines(folder / "in", lines)], **options}


def mix(folder: Path) -> dict[str, Any]:
    lines = [{**line, "source": "ab"[i % 3 > 0], "cluster": i % 5 or None} for i, line in enumerate(texts_of(60))]
    options = {"weights": {"a": 2, "b": 1}, "unit": "words", "max_repeats": 2.5, "validation": 0.3, "max_errors": 2}
    return {"input": [write_lines(folder / "in", lines)], **options}


def extract(folder: Path) -> dict[str, Any]:
    from tests.io.archives import response

    page = (
        "<html><head><title>Page {}</title></head><body><nav><a href='/'>Home</a></nav>"
        "<main><h1>{}</h1><p>{}</p></main></body></html>"
    )
    bodies = [page.format(i, i, PROSE * (i % 4)).encode() for i in range(30)] + [b"", b"\xff\xfe\x00"]
    source = folder / "in"
    source.mkdir(parents=True)
    for name, part in (("a", bodies[:20]), ("b", bodies[20:])):
        packed = b"".join(gzip.compress(response(f"http://{name}/{i}", body), mtime=0) for i, body in enumerate(part))
        (source / f"{name}.warc.gz").write_bytes(packed)
    (source / "c.html").write_bytes(page.format("c", "c", PROSE).encode("latin-1"))
    return {"input": [str(source)]}


def convert(folder: Path) -> dict[str, Any]:
    lines: list[Any] = [{"instruction": f"Say {i}", "input": "", "output": f"{i}!"} for i in range(150)]
    lines += [{"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": f"Hello {i}"}]} for i in range(40)]
    return {"input": [write_lines(folder / "in", [*lines, {"instruction": "no answer"}])], "to": "chat", "max_errors": 2}


def validate(folder: Path) -> dict[str, Any]:
    lines: list[Any] = [{"id": str(i), "instruction": f"Say {i}", "output": f"{i}!" if i % 5 else ""} for i in range(200)]
    return {"input": [write_lines(folder / "in", [*lines, {"text": "x"}])], "format": "instruction", "max_errors": 2}


def tokenizer(folder: Path) -> dict[str, Any]:
    return {"input": [write_lines(folder / "in", texts_of(60), broken=0)], "vocab_size": 512}


def trained_tokenizer(folder: Path) -> str:
    run_job(TrainTokenizer(input=("memory",), vocab_size=512), folder / "tokenizer", [[rows([PROSE, *TEXTS])]])
    return str(folder / "tokenizer" / "data")


def tokenize(folder: Path) -> dict[str, Any]:
    source = write_lines(folder / "in", texts_of(60), broken=0)
    return {"input": [source], "tokenizer": trained_tokenizer(folder), "validation": 0.2}


def train(folder: Path) -> dict[str, Any]:
    from curate.catalog import parse_job
    from curate.engine.chain import run_command
    from curate.report.watch import Silent

    run_command(parse_job({"job": "tokenize", **tokenize(folder)}), str(folder / "tokens"), workers=1, watcher=Silent())
    model = {"layers": 1, "width": 32, "heads": 2, "context": 32}
    stage = {"stage": "pretrain", "model": model, "data": str(folder / "tokens" / "data"), "sequence": 32, "steps": 3}
    return {
        "chain": {"stages": [{**stage, "batch": {"sequences": 2}, "eval": {"sequences": 4}}], "device": "cpu", "threads": 1}
    }


def quality(folder: Path) -> dict[str, Any]:
    bad = [{"text": f"buy {row['text'][:40]} now {i}"} for i, row in enumerate(texts_of(40))]
    sides = [write_lines(folder / name, lines, broken=0) for name, lines in (("good", texts_of(60)), ("bad", bad))]
    return {"input": [sides[0]], "bad": [sides[1]], "bits": 18, "validation": 0.2}


def perplexity(folder: Path) -> dict[str, Any]:
    return {"input": [write_lines(folder / "in", texts_of(60), broken=0)], "validation": 0.2}


def ranked_answers(count: int) -> list[dict[str, Any]]:
    answers = [f"{PROSE} Room {i}." for i in range(11)]
    return [{"prompt": f"What of meeting {i}?", "responses": answers[: i % 12]} for i in range(count)]


def rank_export(folder: Path) -> dict[str, Any]:
    source = write_lines(folder / "in", ranked_answers(40))
    sheets = {"sheets": ["csv", "xlsx", "html", "label-studio", "argilla"], "annotators": ["ada", "bob", "eve"], "overlap": 2}
    return {"input": [source], "criteria": ["helpful", "harmless"], "max_errors": 2, **sheets}


def rank_import(folder: Path) -> dict[str, Any]:
    from curate.rank.campaign import Answer, Campaign, Key, Task, write_campaign

    task = Task("t1", ({"role": "user", "content": "Which?"},), (Answer("a", "this"), Answer("b", "that")))
    write_campaign(folder / "campaign", Campaign(), [task], [Key("t1")])
    folder.joinpath("votes.csv").write_text("task,order,rank_A,rank_B,annotator\nt_t1,ba,1,2,ada\nt_t1,ab,1,1,bob\n")
    return {"input": [str(folder / "votes.csv")], "campaign": str(folder / "campaign")}


def weights(data: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(data.rglob("*.safetensors"))]


def scrape(folder: Path) -> dict[str, Any]:
    site = folder / "site"
    site.mkdir(parents=True)
    for i in range(5):
        (site / f"{i}.html").write_text(f"<html><body><a href='{i + 1}.html'>next</a> page {i}</body></html>")
    return {"delay": 0, "site": str(site)}


@contextmanager
def served(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options, with the folder `site` behind a real server on loopback."""
    if "site" not in options:
        yield options
        return
    handler = partial(Quiet, directory=options["site"])
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        seed = f"http://127.0.0.1:{server.server_port}/0.html"
        yield {**{k: v for k, v in options.items() if k != "site"}, "input": [seed]}
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def synth(folder: Path, documents: bool = False, **options: Any) -> dict[str, Any]:
    from tests.synth.server import address, sentence

    asked = [{"instruction": f"Say {i} {sentence(i)}", "output": f"{i}! {sentence('answer', i)}"} for i in range(60)]
    lines = [{"text": f"{PROSE} {sentence(i)}"} for i in range(60)] if documents else asked
    model = {"endpoint": address(), "model": "rule", "concurrency": 16}
    return {"input": [write_lines(folder / "in", lines)], "max_errors": 2, **model, **options}


def ranked(folder: Path, tasks: int = 30, **options: Any) -> dict[str, Any]:
    return {"input": [campaign(folder / "in", tasks=tasks, gold_every=9)], **options}


def rank_vote(folder: Path) -> dict[str, Any]:
    from tests.synth.server import address

    return ranked(folder, tasks=6) | {"endpoint": address(), "model": "rule", "concurrency": 4}


def timeless_votes(data: Path) -> list[dict[str, Any]]:
    """Votes without when they were given."""
    lines = (json.loads(line) for line in (data / "votes.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name != "at"} for line in lines]


CASES: dict[str, Case] = {
    "scrape": Case(scrape, pages, exact=False, cut=False),
    "extract": Case(extract, written_rows),
    "clean": Case(clean, written_rows),
    "dedupe": Case(dedupe, written_rows),
    "decontaminate": Case(decontaminate, written_rows),
    "mix": Case(mix, written_rows),
    "tokenizer train": Case(tokenizer, every_file),
    "tokenize": Case(tokenize, tokens),
    "convert": Case(convert, written_rows),
    "validate": Case(validate, written_rows),
    "perplexity train": Case(perplexity, every_file),
    "quality train": Case(quality, every_file),
    "rank agreement": Case(partial(ranked, samples=50), every_file, cut=False),
    "rank leaderboard": Case(partial(ranked, samples=20), every_file, cut=False),
    "rank preferences": Case(partial(ranked, tasks=120, validation=0.3, min_margin=0.4), written_rows),
    "rank export": Case(rank_export, every_file),
    "rank vote": Case(rank_vote, timeless_votes, exact=False, cut=False),
    "rank import": Case(rank_import, every_file, cut=False),
    "train": Case(train, weights, exact=False, cut=False),
    "synth self-instruct": Case(partial(synth, count=30), written_rows),
    "synth evol": Case(partial(synth, steps=["whitespace", {"step": "length", "min_words": 4}]), written_rows),
    "synth magpie": Case(partial(synth, documents=True), written_rows),
    "synth qa": Case(partial(synth, documents=True, unanswerable=0.5), written_rows),
    "synth persona": Case(partial(synth, documents=True), written_rows),
    "synth back-translation": Case(partial(synth, documents=True, judge_floor=4), written_rows),
    "synth chat": Case(partial(synth, documents=True), written_rows),
    "synth best-of": Case(synth, written_rows),
    "synth critique": Case(synth, written_rows),
    "synth judge": Case(synth, written_rows),
}
