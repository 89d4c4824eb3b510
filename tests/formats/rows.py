"""Rows as JSON text, and what becomes of one."""

import json

import polars as pl

from curate.formats.convert import convert
from curate.formats.how import How
from curate.formats.targets import TARGETS


def rows(*values):
    return pl.Series("record", [value if isinstance(value, str) else json.dumps(value) for value in values], dtype=pl.String)


def lines(value, to, how=None, dialect="auto"):
    """The lines that a row becomes: the columns of the target, or the problem."""
    out = convert(rows(value), to, dialect, how or How())
    assert set(out["parent"]) == {0}
    found = []
    for line in out.iter_rows(named=True):
        said = [line[name] for name in TARGETS[to].columns]
        if line["problem"] is not None:
            assert not any(said)
            found.append(line["problem"])
        elif to in ("chat", "trl_dpo", "trl_reward", "trl_kto", "openai_preference"):
            found.append(json.loads(said[0]))
        else:
            found.append(tuple(said))
    return found


def about(value, to, dialect="auto"):
    """What is said of the answers of each line that was made."""
    out = convert(rows(value), to, dialect).filter(pl.col("problem").is_null())
    return [json.loads(f"{{{text}}}") for text in out["about"]]


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}
