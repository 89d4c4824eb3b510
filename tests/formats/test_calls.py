import json

import polars as pl
import pytest

from curate.formats.calls import call_problems
from curate.formats.validity import CHECKS, checks


def call(name="f", arguments="{}", id="1"):
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": id, "function": {"name": name, "arguments": arguments}}],
    }


ASK = {"role": "user", "content": "a"}
TOOL = {"role": "tool", "tool_call_id": "1", "content": "b"}
DONE = {"role": "assistant", "content": "c"}


@pytest.mark.parametrize(
    ("turns", "problems"),
    [
        ([ASK, call(), TOOL, DONE], {}),
        ([ASK, call()], {}),
        ([ASK, call(arguments={"x": 1}), {"role": "tool", "content": "b"}, DONE], {}),
        ([ASK, call(), DONE], {"call_not_answered": "1"}),
        (
            [ASK, {**call(), "tool_calls": call()["tool_calls"] + call(id="2")["tool_calls"]}, TOOL, DONE],
            {"call_not_answered": "2"},
        ),
        ([ASK, call(), {**TOOL, "tool_call_id": "9"}, DONE], {"call_id_unknown": "9"}),
        ([ASK, call(arguments="{x"), TOOL, DONE], {"arguments_not_json": "1: not JSON: {x"}),
        ([ASK, call(arguments=json.dumps("{}")), TOOL, DONE], {"arguments_not_json": '1: JSON text inside JSON text: "{}"'}),
        ([ASK, call(arguments="[]"), TOOL, DONE], {"arguments_not_json": "1: not an object: []"}),
        ([ASK, call(arguments=5), TOOL, DONE], {"arguments_not_json": "1: a int"}),
        ([5, {"role": "assistant", "tool_calls": 5}, {"role": "assistant", "tool_calls": [5, {"function": 5}]}], {}),
    ],
)
def test_calls(turns, problems):
    assert call_problems(turns) == problems
    record = pl.Series("record", [json.dumps({"messages": turns})])
    row = checks(record, None).row(0, named=True)
    assert {name: row[name] for name in ("call_not_answered", "call_id_unknown", "arguments_not_json") if row[name]} == problems
    assert set(problems) <= set(CHECKS)
