"""What the filters of a job measured, for people: how each score is spread, its limits, and how many rows fail them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curate.report.bins import Histogram, histogram
from curate.report.books import excerpt

__all__ = ["RuleView", "ScoreView", "chart", "limit_text", "print_scores", "score_views", "value_text"]


@dataclass(frozen=True)
class RuleView:
    """A rule: reason, limits as text, the rows that fail it taken alone and those for which it was the reason; shares."""

    reason: str
    limit: str
    fails: int
    decided: int
    share: float


@dataclass(frozen=True)
class ScoreView:
    """A score of a filter and the rules that judge it."""

    step: str
    score: str
    rows: int
    null: int
    nan: int
    rules: list[RuleView]
    spread: Histogram | None
    """How numbers are spread; None for strings, or when there are none."""
    low: float | None
    high: float | None
    least: str
    greatest: str
    names: list[tuple[str, int, float, bool]]
    """The most frequent strings: name, rows, share of the most frequent, and whether the rule lets it pass."""


def score_views(filters: Sequence[dict[str, Any]]) -> list[list[ScoreView]]:
    """For each filter the scores that a rule judges, from a job's stats (`curate.engine.scores.summary`).

    Scores without a number or name are left out, and where a score has many rules those that no row breaks.
    """
    return [views for entry in filters if (views := _views(entry))]


def _views(entry: dict[str, Any]) -> list[ScoreView]:
    views = []
    for score in dict.fromkeys(rule["score"] for rule in entry["rules"]):
        rules = [rule for rule in entry["rules"] if rule["score"] == score]
        counts = entry["scores"].get(score, {})
        numbers = {value: n for value, n in counts.get("numbers", {}).items() if n}
        low = max((rule["min"] for rule in rules if rule["min"] is not None), default=None)
        high = min((rule["max"] for rule in rules if rule["max"] is not None), default=None)
        if not numbers and not counts.get("names"):
            continue  # evidence, or nothing but nulls: there is nothing to see that the dropped rows do not say
        if len(rules) > 2:
            rules = [rule for rule in rules if rule["fails"]] or rules[:1]
        ends = [value_text(float(value)) for value in (list(numbers)[:1] + list(numbers)[-1:])] or ["", ""]
        views.append(
            ScoreView(
                step=entry["step"],
                score=score,
                rows=entry["rows"],
                null=counts.get("null", 0),
                nan=counts.get("nan", 0),
                rules=[_rule(rule, entry["rows"]) for rule in rules],
                spread=histogram(numbers, low, high),
                low=low,
                high=high,
                least=ends[0],
                greatest=ends[1],
                names=_names(counts, rules),
            )
        )
    return views


def _rule(rule: dict[str, Any], rows: int) -> RuleView:
    share = rule["fails"] / rows if rows else 0.0
    return RuleView(rule["reason"], limit_text(rule), rule["fails"], rule["decided"], share)


def _names(counts: dict[str, Any], rules: list[dict[str, Any]]) -> list[tuple[str, int, float, bool]]:
    found: dict[str, int] = counts.get("names", {})
    top = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:12]
    passes = [name for name, _ in top if all(rule["among"] is None or name in rule["among"] for rule in rules)]
    return [(excerpt(name, 40), n, n / top[0][1], name in passes) for name, n in top]


def limit_text(rule: dict[str, Any]) -> str:
    """A rule's limits as people write them: `≥ 50`, `one of en, fr`, `none` for evidence."""
    parts = [f"{sign} {value_text(rule[key])}" for key, sign in (("min", "≥"), ("max", "≤")) if rule[key] is not None]
    if rule["among"] is not None:
        parts.append(excerpt(f"one of {', '.join(rule['among'])}", 60) if rule["among"] else "none")
    return " and ".join(parts)


def value_text(value: float) -> str:
    """A score as people read it: four digits that matter, whole numbers as they are."""
    if value == value and abs(value) < 1e15 and value == int(value):
        return f"{int(value):,}"
    return f"{value:,.4g}"


def chart(view: ScoreView) -> dict[str, Any]:
    """The histogram of a score as boxes and lines of a drawing 400 wide and 80 high, rows outside the limits on top."""
    spread = view.spread
    assert spread is not None
    width, height = 400, 80
    wide = width / len(spread.bars)
    boxes = []
    for i, (tall, (inside, outside)) in enumerate(zip(spread.heights(), spread.bars, strict=True)):
        total = inside + outside
        tall = max(tall * (height - 4), 1.5)
        top = height - tall
        span = _end(spread, i) if spread.unit else f"{_end(spread, i)} to {_end(spread, i + 1)}"
        title = f"{span}: {total:,} rows"
        for kind, n in (("out", outside), ("in", inside)):
            if n:
                size = tall * n / total
                box = {"x": i * wide + 0.5, "y": top, "width": max(wide - 1, 0.5), "height": size}
                boxes.append({key: f"{value:.2f}" for key, value in box.items()} | {"kind": kind, "title": title})
                top += size
    lines = [f"{min(max(place * width, 0.5), width - 0.5):.2f}" for place in spread.cuts(view.low, view.high)]
    ends = {"low": _end(spread, 0), "high": _end(spread, len(spread.bars) - spread.unit)}
    return {"width": width, "height": height, "boxes": boxes, "lines": lines, **ends}


def _end(spread: Histogram, i: int) -> str:
    """The value between two bars."""
    share = i / len(spread.bars)
    if not spread.log:
        value = spread.low + share * (spread.high - spread.low)
    elif spread.zero and i == 0:
        value = 0.0
    else:
        own = len(spread.bars) - spread.zero
        value = spread.low * (spread.high / spread.low) ** ((i - spread.zero) / own)
    return value_text(float(f"{value:.3g}"))


def print_scores(console: Any, filters: Sequence[dict[str, Any]]) -> None:
    """Print for each score how it is spread, with `│` at the limits, and below it for each rule how many rows fail."""
    groups = score_views(filters)
    views = [view for group in groups for view in group]
    if not views:
        return
    width = max(len(view.score) for view in views)
    limits = max(len(rule.limit) for view in views for rule in view.rules)
    for view in views:
        if any(view is group[0] for group in groups):
            console.print(f"{view.step}: {view.rows:,} rows")
        nulls = ", ".join(f"{n:,} {what}" for n, what in ((view.null, "null"), (view.nan, "NaN")) if n)
        notes = ", ".join(part for part in ("log scale" if view.spread and view.spread.log else "", nulls) if part)
        spread = view.spread.line(view.low, view.high) if view.spread else _few(view)
        line = f"  {view.score:{width}}  {view.least:>8} {spread} {view.greatest}" + (f"  ({notes})" if notes else "")
        console.print(line.rstrip(), soft_wrap=True)
        for rule in view.rules:
            share = f"{100 * rule.share:5.1f} % fail, {rule.decided:,} first"
            console.print(f"  {'':{width}}  {rule.limit:>{max(limits, 8)}} {share}: {rule.reason}", soft_wrap=True)
    console.print("fail: rows beyond the limit, by this rule alone; first: those that no rule before it drops", soft_wrap=True)


def _few(view: ScoreView) -> str:
    return ", ".join(f"{name} {n:,}" for name, n, _, _ in view.names[:4])
