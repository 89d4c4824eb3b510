"""`python -m benchmarks.agreement CORPUS.jsonl DECISIONS.json`: our quality filters and another tool's decisions, by rule.

CORPUS: JSON Lines with `id`, `text` and, for the share of English, `lang`. DECISIONS: what datatrove 0.10 decided, as
`{"decisions": [{"id": ..., "gopher_quality": {"keep": true, "reason": null}, ...}, ...]}`, each filter by itself on the whole
text. Prints a table for each filter and writes the documents on which the two differ, with our scores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from curate.declare import Batch, Filter
from curate.steps.c4 import C4Quality
from curate.steps.fineweb import FinewebQuality
from curate.steps.gopher import GopherQuality, GopherRepetition

REASONS = {
    "gopher_quality": {
        "gopher_short_doc": "too_few_words",
        "gopher_long_doc": "too_many_words",
        "gopher_below_avg_threshold": "short_words",
        "gopher_above_avg_threshold": "long_words",
        "gopher_too_many_hashes": "hashes",
        "gopher_too_many_ellipsis": "ellipses",
        "gopher_too_many_bullets": "bullet_lines",
        "gopher_too_many_end_ellipsis": "ellipsis_lines",
        "gopher_below_alpha_threshold": "few_alphabetic_words",
        "gopher_enough_stop_words": "few_stop_words",
    },
    "gopher_repetition": {
        "empty": "empty",
        "dup_para_frac": "duplicate_paragraphs",
        "dup_para_char_frac": "duplicate_paragraph_chars",
        "dup_line_frac": "duplicate_lines",
        "dup_line_char_frac": "duplicate_line_chars",
        **{f"top_{n}_gram": f"top_{n}gram" for n in (2, 3, 4)},
        **{f"duplicated_{n}_n_grams": f"duplicate_{n}grams" for n in range(5, 11)},
    },
    "c4_quality": {
        "lorem_ipsum": "lorem_ipsum",
        "curly_bracket": "curly_brackets",
        "too_few_sentences": "too_few_sentences",
    },
    "fineweb_quality": {
        "empty": "no_lines",
        "line_punct_ratio": "few_line_ends",
        "short_line_ratio": "short_lines",
        "char_dup_ratio": "duplicate_lines",
        "list_ratio": "many_newlines",
    },
}
"""datatrove's reasons and ours, for each filter, in the order of the rules."""
KEPT = "kept"
BATCH = 400


def decide(step: Filter, corpus: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any]]]:
    """Our reason for each document (`kept` without one), and its scores."""
    measure = step.bind()
    rules = [rule for rule in step.rules() if rule.on]
    for start in range(0, corpus.height, BATCH):
        part = corpus.slice(start, BATCH)
        scores = measure(Batch(part, part["text"], pl.int_range(part.height, eager=True)))
        for row in scores.iter_rows(named=True):
            yield next((rule.reason for rule in rules if _fails(row[rule.score], rule.min, rule.max)), KEPT), row


def _fails(value: float | None, least: float | None, most: float | None) -> bool:
    return value is not None and ((least is not None and value < least) or (most is not None and value > most))


def compare(
    step: Filter, corpus: pl.DataFrame, theirs: dict[str, str], write: Any
) -> tuple[Counter[tuple[str, str, bool]], list[dict[str, Any]]]:
    """Documents by (their reason in our words, ours, English or not), and those that differ."""
    names = REASONS[step.step]
    english = (corpus["lang"] == "en").fill_null(False).to_list() if "lang" in corpus.columns else [False] * corpus.height
    counts: Counter[tuple[str, str, bool]] = Counter()
    differ = []
    for id, is_english, (ours, scores) in zip(corpus["id"].to_list(), english, decide(step, corpus), strict=True):
        other = names[theirs[id]] if theirs[id] != KEPT else KEPT
        counts[other, ours, is_english] += 1
        if other != ours:
            differ.append(
                {"id": id, "filter": step.step, "theirs": other, "ours": ours, "english": is_english, "scores": scores}
            )
    write(f"\n{step.step} ({step.model_dump()['variant']}, splitter {step.model_dump()['splitter']})\n")
    write(f"  {'rule':26}{'theirs':>8}{'same':>8}{'other':>8}{'ours':>8}{'extra':>8}\n")
    for rule in (*names.values(), KEPT):
        their = sum(n for (a, _, _), n in counts.items() if a == rule)
        our = sum(n for (_, b, _), n in counts.items() if b == rule)
        same = sum(n for (a, b, _), n in counts.items() if a == b == rule)
        write(f"  {rule:26}{their:8}{same:8}{their - same:8}{our:8}{our - same:8}\n")
    for label, wanted in (("all", (True, False)), ("English", (True,))):
        total = sum(n for (_, _, e), n in counts.items() if e in wanted)
        same = sum(n for (a, b, e), n in counts.items() if e in wanted and a == b)
        decision = sum(n for (a, b, e), n in counts.items() if e in wanted and (a == KEPT) == (b == KEPT))
        if total:
            write(
                f"  {label}: {total} documents, same decision {100 * decision / total:.2f} %, "
                f"and reason {100 * same / total:.2f} %\n"
            )
    return counts, differ


def main() -> None:
    """Compare all four filters."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agreement", description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("decisions", type=Path)
    parser.add_argument("--splitter", choices=["tokens", "spacy", "unicode", "whitespace"], default="tokens")
    parser.add_argument(
        "--out", type=Path, default=Path("disagreements.jsonl"), help="where the documents that differ are listed"
    )
    options = parser.parse_args()
    corpus = pl.read_ndjson(options.corpus)
    decisions = json.loads(options.decisions.read_bytes())["decisions"]
    listed = []
    for kind in (GopherQuality, GopherRepetition, C4Quality, FinewebQuality):
        name = kind.model_fields["step"].default
        theirs = {row["id"]: row[name]["reason"] or KEPT for row in decisions}
        splitter = options.splitter if kind is not C4Quality or options.splitter == "spacy" else "tokens"
        listed += compare(kind.model_validate({"splitter": splitter}), corpus, theirs, sys.stdout.write)[1]
    with open(options.out, "w", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in listed)
    sys.stdout.write(f"\n{len(listed)} differences, listed in {options.out}\n")


if __name__ == "__main__":
    main()
