import json

import polars as pl
import pytest

from curate.declare import Batch
from curate.formats.dialects import COLUMNS, PROBLEMS
from curate.steps.convert import Convert, Convertible, Signatures

ROWS = [
    {"instruction": "a", "output": "b", "n": 1},
    {"x": 1},
    {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "source": "s"},
    {"prompt": "a", "chosen": "b", "rejected": "c"},
]


def batch(column, values):
    frame = pl.DataFrame({"id": [str(i) for i in range(len(values))], column: values})
    text = frame[column] if column == "text" else pl.Series("text", [""] * len(values), dtype=pl.String)
    return Batch(frame, text, pl.int_range(len(values), eager=True))


@pytest.mark.parametrize("to", ["text", "instruction", "chat", "preference"])
def test_what_is_kept_is_what_is_converted(to):
    rows = batch("record", [json.dumps(row) for row in ROWS])
    filter, expand = Convertible(to=to), Convert(to=to)
    problems = filter.bind()(rows)["problem"]
    made = expand.bind()(rows)
    assert made["parent"].to_list() == problems.is_null().arg_true().to_list()
    assert set(made.columns) == {"parent", *expand.makes()}
    assert made.select(COLUMNS[to]).null_count().sum_horizontal().item() == 0
    assert expand.makes_format() == to


def test_each_problem_fails_its_own_rule():
    rules = {rule.reason: rule for rule in Convertible(to="chat").rules()}
    assert list(rules) == list(PROBLEMS)
    for problem in PROBLEMS:
        assert [name for name, rule in rules.items() if problem not in rule.among] == [problem]


def test_extra():
    made = Convert(to="chat", keep_extra=True).bind()(batch("record", [json.dumps(row) for row in ROWS]))
    assert made["_rest"].to_list() == ['"n":1', '"source":"s"', ""]


def test_signatures_read_the_text():
    made = Signatures().bind()(batch("text", ["nothing", "f(x)\nDoes this and that.\n\ng(x)\nUndoes it all again."]))
    assert made["parent"].to_list() == [1, 1]
    assert made["output"].to_list() == ["Does this and that.", "Undoes it all again."]
    assert Signatures(text_column="body", keep_extra=True).drops() == ("body",)
    assert Signatures().drops() is None
