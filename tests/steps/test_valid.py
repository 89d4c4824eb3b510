import json

import polars as pl

from curate.declare import Batch
from curate.steps.valid import Valid


def judge(step, rows):
    """The first rule that each row fails, as the engine applies them."""
    record = pl.Series("record", [json.dumps(row) for row in rows])
    frame = pl.DataFrame({"id": [str(i) for i in range(len(rows))], "record": record})
    batch = Batch(frame, pl.Series("text", [""] * len(rows)), pl.int_range(len(rows), eager=True))
    scores = step.bind()(batch)
    assert scores.height == len(rows)
    assert {rule.score for rule in step.rules()} <= set(scores.columns)
    reasons = []
    for row in scores.iter_rows(named=True):
        failed = (rule.reason for rule in step.rules() if row[rule.score] is not None and row[rule.score] not in rule.among)
        reasons.append(next(failed, None))
    return reasons


def test_reasons():
    rows = [
        {"instruction": "a", "output": "b"},
        {"instruction": "a", "output": ""},
        [{"role": "user", "content": "a"}],
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        {"instruction": "a", "chosen": "b", "rejected": "b"},
        {"x": 1},
    ]
    expected = [None, "empty_output", "no_assistant_turn", None, "chosen_equals_rejected", "unknown_format"]
    assert judge(Valid(), rows) == expected
    assert judge(Valid(format="instruction"), rows[:1] + rows[5:]) == [None, "schema"]


def test_text_column():
    rows = [{"body": "a"}, {"body": " "}, {"text": "a"}]
    assert judge(Valid(format="text", text_column="body"), rows) == [None, "empty_text", "schema"]
