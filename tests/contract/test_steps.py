"""What every step of the catalog must do. A new step is covered as soon as it is listed; one with options that have no
default needs a line in `CASES`."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from curate.catalog import STEPS, AnyStep
from curate.declare import Batch, Expand, Filter, Map, Rewrite, Step
from curate.engine.pipeline import Outcome, Pipeline
from curate.formats.readings import pick
from tests.contract.texts import PROSE, TEXTS, texts
from tests.models import fasttext_model, perplexity_model, quality_model

FUNCTIONS = "tests.steps.functions"
LISTS = Path(__file__).parents[1] / "steps" / "lists"
LIMITS = str(LISTS.parent / "limits")

CASES: dict[str, list[dict[str, Any]]] = {
    "replace": [{"pattern": r"\s+$"}, {"pattern": r"(?m)^#.*\n?", "value": ""}],
    "length": [{}, {"min_chars": None}, {"min_words": 5, "max_words": 100, "max_chars": 10_000, "max_bytes": 20_000}],
    "unicode": [{}, {"normalization": "nfkc"}, {"normalization": "none", "remove": ["bidi_controls", "private_use", "tags"]}],
    "citations": [{}, {"numbers": False}],
    "boilerplate_lines": [{}, {"languages": ["en"], "max_words": 5}],
    "repeated_lines": [{}, {"min_chars": 3, "consecutive": True}, {"min_chars": 3}],
    "redact": [{}, {"kinds": ["email", "phone"], "replacements": {"email": ["a", "b"]}, "private_addresses": True}],
    "language": [{}, {"allow": ["en"], "min_confidence": 0.5}],
    "c4_lines": [{}, {"variant": "c4-code"}, {"variant": "paper", "end_marks": []}],
    "c4_quality": [{}, {"variant": "c4-code"}, {"splitter": "spacy"}],
    "gopher_quality": [{}, {"variant": "paper"}, {"variant": "dclm"}, {"splitter": "spacy"}],
    "gopher_repetition": [{}, {"variant": "paper"}, {"variant": "dclm"}],
    "fineweb_quality": [{}, {"variant": "fineweb-v1"}],
    "split": [{}, {"validation": 0.5, "seed": 7}],
    "fineweb2_quality": [
        {"thresholds": LIMITS, "language": "aaa_Latn"},
        {"thresholds": LIMITS, "language_column": "lang", "names": {"lang 3": "bbb_Latn"}, "unknown_language": "drop"},
    ],
    "code_quality": [{}, {"min_alphabetic": 0.3, "generated": [], "drop_xml": False, "max_encoded": None}],
    "madlad_quality": [{}, {"criteria": ["list_case", "cursed"], "min_sentences": None}],
    "python": [{"function": f"{FUNCTIONS}:long_enough"}, {"function": f"{FUNCTIONS}:length", "min": 5, "columns": ["extra"]}],
    "word_list": [{"words": ["timetable", "the same line", "文章", "Straße"]}, {"words": ["a"], "match": "substring"}],
    "url": [{"lists": [f"{LISTS}/ut1"], "hard_words": f"{LISTS}/hard.txt", "soft_words": f"{LISTS}/soft.txt"}],
    "quality": [{"model": quality_model()}],
    "perplexity": [{"model": perplexity_model()}, {"model": perplexity_model(), "max_perplexity": 100}],
    "fasttext": [{"model": fasttext_model(), "label": "__label__hq"}],
}
"""Options to try each step with; `{}` where a step is not named here."""

BY_NAME = {step.model_fields["step"].default: step for step in STEPS}
ALL = [
    pytest.param(step, options, id=f"{name}{i or ''}")
    for name, step in BY_NAME.items()
    for i, options in enumerate(CASES.get(name, [{}]))
]


def build(kind: type[Step], options: dict[str, Any]) -> Step:
    try:
        return kind(**options)
    except ValidationError as error:
        pytest.fail(f"step '{kind.model_fields['step'].default}' needs options: add a case to {__name__}.CASES ({error})")


def frame_of(rows: list[str], step: Step, start: int = 0) -> pl.DataFrame:
    more = {name: [None if i % 3 else f"{name} {i}" for i in range(start, start + len(rows))] for name in step.needs()}
    columns = {"id": [f"r{start + i}" for i in range(len(rows))], "text": rows, **more}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).with_columns(
        keep=pl.int_range(start, start + len(rows))
    )


def batch_of(rows: list[str], step: Step) -> Batch:
    frame = frame_of(rows, step)
    return Batch(frame, frame["text"], pl.int_range(frame.height, eager=True))


def through(step: Step, frames: list[pl.DataFrame]) -> Outcome:
    """The frames through one pipeline, one after another, and what became of all."""
    pipeline = Pipeline([step], pick("text"), keep_scores=True)
    first = 0
    outcomes = []
    for frame in frames:
        outcomes.append(pipeline.run(frame, first, 0))
        first += frame.height
    whole = [o for o in outcomes if o.frame.height] or outcomes[:1]
    result = Outcome(pl.concat([o.frame for o in whole], how="diagonal_relaxed"))
    result.rows_in = sum(o.rows_in for o in outcomes)
    result.kept = sum(o.kept for o in outcomes)
    result.dropped = [d for o in outcomes for d in o.dropped]
    result.rejected = [r for o in outcomes for r in o.rejected]
    return result


def dropped(outcome: Outcome) -> list[dict[str, Any]]:
    return [row for frame in outcome.dropped for row in frame.to_dicts()]


def same(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> bool:
    def one(x: Any, y: Any) -> bool:
        return x == y or (isinstance(x, float) and isinstance(y, float) and math.isnan(x) and math.isnan(y))

    return len(a) == len(b) and all(p.keys() == q.keys() and all(one(p[k], q[k]) for k in p) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("kind", STEPS, ids=lambda kind: kind.model_fields["step"].default)
def test_declaration(kind: type[Step]) -> None:
    name = kind.model_fields["step"].default
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert kind.__doc__
    assert kind.__doc__ != Step.__doc__
    assert kind.model_config["frozen"]
    for field, info in kind.model_fields.items():
        if field != "step":
            assert info.description, f"{name}.{field} says what it is"
            assert info.description[0].isupper() or not info.description[0].isalpha()
            assert info.description.endswith((".", ")")), f"{name}.{field}: a sentence"
    assert len([k for k in (Filter, Rewrite, Map, Expand) if issubclass(kind, k)]) == 1


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_options_travel_as_json(kind: type[Step], options: dict[str, Any]) -> None:
    step = build(kind, options)
    adapter: TypeAdapter[Step] = TypeAdapter(AnyStep)
    assert adapter.validate_json(step.model_dump_json()) == step
    assert adapter.validate_python(step.model_dump(mode="json")) == step
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        kind(**options, no_such_option=1)
    with pytest.raises(ValidationError):
        kind(**{**options, "step": "another"})
    with pytest.raises(ValidationError, match="frozen"):
        step.step = "changed"


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_declared_columns_and_rules(kind: type[Step], options: dict[str, Any]) -> None:
    step = build(kind, options)
    if isinstance(step, Filter):
        rules = step.rules()
        assert rules
        reasons = [rule.reason for rule in rules]
        assert len(set(reasons)) == len(reasons)
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for rule in rules for name in (rule.reason, rule.score))
    if isinstance(step, Map):
        assert step.adds()
        assert "id" not in step.adds()
    if isinstance(step, Expand):
        assert step.reason
        assert step.makes()
        assert step.makes_format()


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_no_rows_and_one_row(kind: type[Step], options: dict[str, Any]) -> None:
    step = build(kind, options)
    if isinstance(step, Rewrite):
        empty = step.bind()(pl.Series([], dtype=pl.String))
        assert (empty.len(), empty.dtype) == (0, pl.String)
    else:
        assert step.bind()(batch_of([], step)).height == 0
    for text in ("", PROSE):
        outcome = through(step, [frame_of([text], step)])
        assert outcome.rejected == []
        assert outcome.rows_in == 1 == outcome.kept + len(dropped(outcome))


@pytest.mark.parametrize(("kind", "options"), ALL)
def test_rows_keep_ids_order_and_columns(kind: type[Step], options: dict[str, Any]) -> None:
    step = build(kind, options)
    frame = frame_of(list(TEXTS), step)
    outcome = through(step, [frame])
    assert outcome.rejected == []
    gone = dropped(outcome)
    assert outcome.rows_in == len(TEXTS) == outcome.kept + len(gone)
    ids = frame["id"].to_list()
    source = "parent_id" if "parent_id" in outcome.frame.columns else "id"
    kept = list(dict.fromkeys(outcome.frame[source].to_list()))
    assert kept == [i for i in ids if i in set(kept)]
    assert sorted(kept + [row["id"] for row in gone], key=ids.index) == ids
    # Other columns pass untouched, each with its row.
    numbers = {i: n for i, n in zip(ids, frame["keep"], strict=True)}
    if not isinstance(step, Expand) or step.drops() is not None:
        assert outcome.frame["keep"].to_list() == [numbers[i] for i in outcome.frame[source]]
    if isinstance(step, Filter):
        reasons = {rule.reason: rule.score for rule in step.rules()}
        assert {row["step"] for row in gone} <= {step.step}
        assert all(reasons[row["reason"]] == row["score"] and row["value"] is not None for row in gone)
        assert outcome.frame["text"].to_list() == [TEXTS[ids.index(i)] for i in outcome.frame["id"]]


@pytest.mark.parametrize(("kind", "options"), ALL)
@pytest.mark.parametrize("size", [1, 7])
def test_batches_do_not_matter(kind: type[Step], options: dict[str, Any], size: int) -> None:
    step = build(kind, options)
    frame = frame_of(list(TEXTS), step)
    whole = through(step, [frame])
    split = through(step, [frame.slice(i, size) for i in range(0, frame.height, size)])
    assert same(split.frame.to_dicts(), whole.frame.to_dicts())
    assert same(dropped(split), dropped(whole))


@pytest.mark.parametrize(("kind", "options"), [p for p in ALL if issubclass(p.values[0], Filter)])
def test_scores_do_not_depend_on_the_neighbours(kind: type[Filter], options: dict[str, Any]) -> None:
    step = build(kind, options)
    function = step.bind()
    frame = frame_of(list(TEXTS), step).reverse()
    backward = Batch(frame, frame["text"], pl.int_range(frame.height, eager=True))
    scores = function(batch_of(list(TEXTS), step))
    assert same(function(backward).reverse().to_dicts(), scores.to_dicts())
    assert same(function(batch_of(list(TEXTS), step)).to_dicts(), scores.to_dicts())


@pytest.mark.parametrize(("kind", "options"), [p for p in ALL if issubclass(p.values[0], Filter)])
def test_line_ends_do_not_matter(kind: type[Filter], options: dict[str, Any]) -> None:
    step = build(kind, options)
    rows = [text for text in TEXTS if "\r" not in text] + [f"{PROSE}\n\n{PROSE}\n- a list…\n"]
    windows = [text.replace("\n", "\r\n") for text in rows]
    unix, other = (through(step, [frame_of(texts, step)]) for texts in (rows, windows))
    assert same(other.frame.drop("text").to_dicts(), unix.frame.drop("text").to_dicts())
    assert [row["value"] for row in dropped(other)] == [row["value"] for row in dropped(unix)]
    assert {*other.frame["text"], *(row["text"] for row in dropped(other))} == set(windows), "what is written is as it was"


@pytest.mark.parametrize(("kind", "options"), [p for p in ALL if issubclass(p.values[0], Filter)])
def test_kept_scores_judge_as_computed_ones(kind: type[Filter], options: dict[str, Any]) -> None:
    step = build(kind, options)
    again = step.model_copy(update={"from_scores": True})
    assert isinstance(again, Filter)
    wanted = {again.score_column(rule.score) for rule in again.rules() if rule.on}
    assert set(again.reads()) == wanted
    assert step.reads() == step.needs()
    frame = frame_of(list(TEXTS), step)
    scored = Pipeline([step], pick("text"), keep_scores=True, tag=True).run(frame, 0, 0).frame
    whole, kept = through(step, [frame]), Pipeline([again], pick("text")).run(scored, 0, 0)
    assert kept.frame["id"].to_list() == whole.frame["id"].to_list()
    assert same(dropped(kept), dropped(whole))
    assert scored["dropped_by"].to_list() == [
        next((f"{row['step']}.{row['reason']}" for row in dropped(whole) if row["id"] == id), None) for id in frame["id"]
    ]


@pytest.mark.parametrize(("kind", "options"), [p for p in ALL if issubclass(p.values[0], Rewrite)])
def test_rewriting_twice_changes_nothing_more(kind: type[Rewrite], options: dict[str, Any]) -> None:
    step = build(kind, options)
    function = step.bind()

    @settings(max_examples=150)
    @given(st.lists(texts(), max_size=4))
    def check(rows: list[str]) -> None:
        before = pl.Series("text", rows, dtype=pl.String)
        once = function(before)
        assert (once.len(), once.null_count(), once.dtype) == (len(rows), 0, pl.String)
        assert before.to_list() == rows
        assert function(once).to_list() == once.to_list()
        assert [function(pl.Series([row], dtype=pl.String))[0] for row in rows] == once.to_list()

    check()


def test_bare_names_and_wrong_names() -> None:
    adapter: TypeAdapter[Step] = TypeAdapter(AnyStep)
    assert adapter.validate_python("whitespace") == BY_NAME["whitespace"]()
    with pytest.raises(ValidationError):
        adapter.validate_python("no_such_step")
    assert set(CASES) <= set(BY_NAME), "CASES names a step that is not in the catalog"
