import json

import polars as pl
import pytest

from curate.declare import Batch
from curate.formats.convert import convert
from curate.formats.problems import PROBLEMS
from curate.formats.targets import COLUMNS
from curate.steps.convert import Convert, Signatures

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
def test_every_row_is_made_or_given_up(to):
    rows = batch("record", [json.dumps(row) for row in ROWS])
    step = Convert(to=to)
    made = step.bind()(rows)
    right = made.filter(pl.col("reason").is_null())
    gone = made.filter(pl.col("reason").is_not_null())
    problems = convert(rows.frame["record"], to)["problem"]
    assert right["parent"].to_list() == problems.is_null().arg_true().to_list()
    assert gone["parent"].to_list() == problems.is_not_null().arg_true().to_list()
    assert right.select(COLUMNS[to]).null_count().sum_horizontal().item() == 0
    assert set(gone["reason"]) <= set(PROBLEMS) == set(step.gives_up)
    assert step.makes_format() == to


def test_counts_are_told_once():
    bound = Convert(to="chat").bind()
    bound(batch("record", [json.dumps(row) for row in ROWS]))
    assert bound.counts() == {"read as alpaca": 1, "read as none": 1, "read as sharegpt": 1, "read as dpo": 1}
    assert bound.counts() == {}


def test_extra():
    made = Convert(to="chat", keep_extra=True).bind()(batch("record", [json.dumps(row) for row in ROWS]))
    assert made.filter(pl.col("reason").is_null())["_rest"].to_list() == ['"n":1', '"source":"s"', ""]


def test_signatures_read_the_text():
    made = Signatures().bind()(batch("text", ["nothing", "f(x)\nDoes this and that.\n\ng(x)\nUndoes it all again."]))
    assert made["parent"].to_list() == [1, 1]
    assert made["output"].to_list() == ["Does this and that.", "Undoes it all again."]
    assert Signatures(text_column="body", keep_extra=True).drops() == ("body",)
    assert Signatures().drops() is None
