"""The scores of filters: how they are spread, counted batch by batch, and read back where an earlier run kept them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from curate.declare import Batch, Filter, Rule, Step
from curate.errors import InputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ScoreCounts", "check_scores", "judge", "read_scores", "summary"]

NAMES = 50
"""Different strings of a score whose rows are told apart in the end; the others are counted together."""

HELD_NAMES = 10_000
"""Different strings of a score that are counted in a part of a shard; past that the rarest are counted together."""

NAN = "nan"
REST = "\0rest"


def _fails(rule: Rule) -> pl.Expr:
    """Whether the score breaks the rule. Null breaks none; NaN breaks a limit, because it is no number within it."""
    import polars as pl

    score = pl.col(rule.score)
    broken = pl.lit(False)
    # polars orders NaN above every number.
    if rule.min is not None:
        broken = broken | (score < rule.min) | ~(score <= float("inf"))
    if rule.max is not None:
        broken = broken | (score > rule.max)
    if rule.among is not None:
        broken = broken | ~score.is_in(list(rule.among))
    return broken.fill_null(False)


def judge(step: Filter, scores: pl.DataFrame) -> pl.DataFrame:
    """A filter's scores with what its rules make of them: `!REASON`, whether a row breaks the rule of that reason, and
    `__reason`, the first rule broken; null where none is, or where the column `__in` says that the row is not to be judged."""
    import polars as pl

    rules = [rule for rule in step.rules() if rule.on]
    reason = pl.lit(None, pl.String)
    for rule in reversed(rules):
        reason = pl.when(f"!{rule.reason}").then(pl.lit(rule.reason)).otherwise(reason)
    broken = scores.with_columns(_fails(rule).alias(f"!{rule.reason}") for rule in rules)
    return broken.with_columns(pl.when("__in").then(reason).alias("__reason"))


class ScoreCounts:
    """What a shard's filters measured: for each score how often each value came, for each rule how many rows break it.

    Numbers are rounded to two significant digits, so that counts are exact, few, and add up over parts and shards. Cost: a
    rounding and a hash a row and score. Memory: a few hundred numbers a score.
    """

    def __init__(self) -> None:
        self._rows: Counter[str] = Counter()
        self._values: dict[tuple[str, str, str], Counter[Any]] = {}
        self._rules: dict[tuple[str, str, str], int] = {}

    def add(self, number: int, step: Filter, judged: pl.DataFrame) -> None:
        """Count what `judge` gave for rows that reached a filter, the step `number` of the run."""
        import polars as pl

        key = str(number)
        self._rows[key] += judged.height
        rules = step.rules()
        evidence = {rule.score for rule in rules if rule.among == ()}
        wanted = [score for score in dict.fromkeys(rule.score for rule in rules) if score in judged.columns]
        exprs = []
        for name in wanted:
            column, dtype = pl.col(name), judged.schema[name]
            if dtype.is_numeric() or dtype in (pl.Boolean, pl.Null):
                column, kind = column.cast(pl.Float64).round_sig_figs(2), "numbers"
            elif name in evidence:
                # Any evidence against a row breaks such a rule: the strings are all different, and say nothing together.
                column, kind = pl.when(column.is_not_null()).then(pl.lit("")), "evidence"
            else:
                column, kind = column.cast(pl.String), "names"
            exprs.append((name, kind, column.value_counts(name="__count").implode().alias(name)))
        if exprs and judged.height:
            found = judged.select(expr for _, _, expr in exprs)
            for name, kind, _ in exprs:
                counter = self._values.setdefault((key, name, kind), Counter())
                values, counts = found[name][0].struct.unnest().get_columns()
                for value, count in zip(values.to_list(), counts.to_list(), strict=True):
                    # A NaN is no key: it equals none, itself included.
                    counter[value if value == value else NAN] += count
                if len(counter) > HELD_NAMES:
                    self._values[key, name, kind] = _fewer(counter, HELD_NAMES // 2)
        decided = dict(judged["__reason"].drop_nulls().value_counts().iter_rows())
        broken = judged.select(pl.col(f"!{rule.reason}").sum() for rule in rules if rule.on)
        for reason in (rule.reason for rule in rules if rule.on):
            for what, n in (("fails", broken[f"!{reason}"][0]), ("decided", decided.get(reason, 0))):
                self._rules[key, reason, what] = self._rules.get((key, reason, what), 0) + n

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON whose numbers add up (`curate.engine.rows.total`), by the number of the step."""
        counts: dict[str, Any] = {key: {"rows": n, "scores": {}, "rules": {}} for key, n in self._rows.items()}
        for (key, name, kind), counter in self._values.items():
            counts[key]["scores"][name] = _as_json(kind, counter)
        for (key, reason, what), n in self._rules.items():
            counts[key]["rules"].setdefault(reason, {})[what] = n
        return counts


def _as_json(kind: str, counter: Counter[Any]) -> dict[str, Any]:
    null = counter.pop(None, 0)
    if kind == "evidence":
        return {"null": null, "present": counter.total()}
    if kind == "names":
        rest = counter.pop(REST, 0)
        return {"null": null, "names": dict(counter), "rest": rest}
    nan = counter.pop(NAN, 0)
    numbers: Counter[str] = Counter()
    for value, count in counter.items():
        numbers[f"{value + 0.0:.2g}"] += count  # + 0.0 makes -0.0 the zero that it is
    return {"null": null, "nan": nan, "numbers": dict(numbers)}


def _fewer(counter: Counter[Any], most: int) -> Counter[Any]:
    """The most frequent strings, ties in order of the strings; the others together."""
    special = {key: counter.pop(key) for key in (None, REST) if key in counter}
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    special[REST] = special.get(REST, 0) + sum(count for _, count in ranked[most:])
    return Counter(dict(ranked[:most]) | special)


def summary(steps: Sequence[Step], counts: dict[str, Any]) -> list[dict[str, Any]]:
    """What `stats.json` holds of the filters that judged rows, in their order: the scores' counts, the rules and their limits.

    rows: that reached the filter. scores: for each `numbers` (value in two digits -> rows) with `nan` and `null` apart;
    strings as `names`, the most frequent, and `rest`; evidence, which is different in every row, as `present`.
    rules: reason, score, limits; `fails` of the rows break the rule, for `decided` of them it was the reason.
    """
    found = []
    for number, step in enumerate(steps):
        mine = counts.get(str(number))
        if mine is None or not isinstance(step, Filter):
            continue
        rules = [_limits(rule) | mine["rules"][rule.reason] for rule in step.rules() if rule.on]
        scores = {name: _ordered(score) for name, score in mine["scores"].items()}
        found.append({"step": step.step, "rows": mine["rows"], "scores": scores, "rules": rules})
    return found


def _limits(rule: Rule) -> dict[str, Any]:
    return rule._asdict() | {"among": None if rule.among is None else list(rule.among)}


def _ordered(score: dict[str, Any]) -> dict[str, Any]:
    if "numbers" in score:
        return score | {"numbers": dict(sorted(score["numbers"].items(), key=lambda item: float(item[0])))}
    if "names" in score:
        ranked = sorted(score["names"].items(), key=lambda item: (-item[1], item[0]))
        rest = score["rest"] + sum(count for _, count in ranked[NAMES:])
        return score | {"names": dict(ranked[:NAMES]), "rest": rest}
    return score


def read_scores(step: Filter) -> Callable[[Batch], pl.DataFrame]:
    """What takes the place of `bind()` with `from_scores`: the scores from the columns that they were kept as.

    What it returns raises ValueError for a batch with a value of the wrong type.
    """
    import polars as pl

    kinds = {rule.score: pl.Float64 if rule.among is None else pl.String for rule in step.rules() if rule.on}

    def measure(batch: Batch) -> pl.DataFrame:
        scores = {}
        for score, kind in kinds.items():
            kept = batch.frame[step.score_column(score)]
            scores[score] = kept.cast(kind, strict=False)
            wrong = scores[score].is_null() & kept.is_not_null()
            if wrong.any():
                raise ValueError(f"'{kept.name}' holds {kept.filter(wrong)[0]!r}, which is no number")
        return pl.DataFrame(scores)

    return measure


def check_scores(step: Filter, row: Any, where: str) -> None:
    """That a row, decoded, holds the scores that a filter reads. Raises InputError that names the column and what to do."""
    if not step.from_scores:
        return
    todo = f"step '{step.step}' reads it with from_scores: write it with `curate clean --keep-scores`, with the same rules on"
    for rule in step.rules():
        if not rule.on:
            continue
        column = step.score_column(rule.score)
        if not isinstance(row, dict) or column not in row:
            raise InputError(f"{where}: has no column '{column}'; {todo}")
        value = row[column]
        if value is None or (rule.among is not None and isinstance(value, str)):
            continue
        if rule.among is not None or not _is_number(value):
            wanted = "a number" if rule.among is None else "a string"
            raise InputError(f"{where}: column '{column}' holds {value!r:.80}, not {wanted}; {todo}")


def _is_number(value: Any) -> bool:
    """Whether a value is a number, or the text of one: that is how JSON has NaN, and CSV all numbers."""
    if isinstance(value, bool):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
