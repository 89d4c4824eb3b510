"""`--tag`: every row is written, with why it would go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate import cli
from curate.engine.chain import run_command
from curate.errors import CurateError
from curate.jobs.clean import Clean
from curate.report.watch import Silent
from tests.command import stats
from tests.contract.texts import PROSE, TEXTS
from tests.engine.test_filters_together import filters, frame_of, through

STEPS: list[dict[str, Any]] = [
    {"step": "whitespace"},
    {"step": "length", "min_words": 4},
    {"step": "gopher_quality"},
    {"step": "gopher_repetition"},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows: list[dict[str, Any]] = [{"text": text, "n": i} for i, text in enumerate([*TEXTS, *(PROSE * i for i in range(9))])]
    rows[3]["dropped_by"] = "of before"
    rows.append({"id": "none", "text": None})
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def clean(source: Path, out: Path, **options: Any) -> dict[str, Any]:
    run_command(Clean.model_validate({"input": [str(source)], **options}), str(out), workers=1, watcher=Silent())
    return stats(Path(f"{out}.run"))


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pl.read_parquet(path).to_dicts()
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def without_nulls(path: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if value is not None} for row in rows_of(path)]


def dropped_of(out: Path) -> dict[str, tuple[str, str]]:
    folder = Path(f"{out}.run") / "dropped"
    frames = [pl.read_ndjson(path) for path in sorted(folder.glob("*.zst"))]
    return {row["id"]: (f"{row['step']}.{row['reason']}", row["value"]) for frame in frames for row in frame.to_dicts()}


def test_every_row_has_the_reason_for_which_it_would_go(source: Path, tmp_path: Path) -> None:
    plain = clean(source, tmp_path / "plain.jsonl", steps=STEPS)
    tagged = clean(source, tmp_path / "tagged.jsonl", steps=STEPS, tag=True)
    rows, kept = rows_of(tmp_path / "tagged.jsonl"), rows_of(tmp_path / "plain.jsonl")
    assert [row["n"] for row in rows] == list(range(len(rows)))
    assert (tagged["kept"], tagged["dropped"], tagged["rejected"]) == (len(rows), {"read.no_text": 1}, 0)
    assert tagged["tagged"] == {reason: n for reason, n in sorted(plain["dropped"].items()) if reason != "read.no_text"}
    gone = {row["id"]: row["dropped_by"] for row in rows if "dropped_by" in row}
    assert gone == {id: why for id, (why, _) in dropped_of(tmp_path / "plain.jsonl").items() if id != "none"}
    stay = [{key: row[key] for key in row if key != "dropped_by"} for row in rows if "dropped_by" not in row]
    assert [row for row in stay if row["n"] != 3] == [row for row in kept if row["n"] != 3]
    # Rewrites go on for rows that would be gone.
    assert {row["text"] for row in rows if "blank lines" in row["text"]} == {"trailing\n  leading\n\nblank lines"}
    assert "tagged" not in plain


def test_scores_of_tagged_rows_are_complete(source: Path, tmp_path: Path) -> None:
    done = clean(source, tmp_path / "tagged.parquet", steps=STEPS, tag=True, keep_scores=True)
    rows = rows_of(tmp_path / "tagged.parquet")
    assert all(row["gopher_quality.words"] is not None for row in rows)
    assert [entry["rows"] for entry in done["filters"]] == [len(rows)] * 3
    sums = {f"{f['step']}.{rule['reason']}": rule["decided"] for f in done["filters"] for rule in f["rules"]}
    assert {reason: n for reason, n in sums.items() if n} == done["tagged"]


def test_the_first_reason_stays_and_failing_rows_are_rejected() -> None:
    data = [{"a": 0, "b": 9}, {"a": 5, "b": 9}, {"a": 0, "b": "boom"}, {"a": 5, "b": 5}]
    rows, dropped, rejected, counts = through(list(filters[:2]), frame_of([json.dumps(row) for row in data]), 2, tag=True)
    assert rows["dropped_by"].to_list() == ["a.low", "b.high", None]
    assert (dropped, [row["id"] for row in rejected]) == ([], ["r2"])
    assert counts["1"]["rules"] == {"low": {"fails": 0, "decided": 0}, "high": {"fails": 2, "decided": 1}}


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
@pytest.mark.parametrize(
    "moved",
    [
        {"step": "gopher_quality", "min_words": 20, "min_stop_words": 1},
        {"step": "gopher_quality", "min_words": 200},
        {"step": "gopher_repetition", "max_top_2gram": 0.05, "max_duplicate_lines": None},
        {"step": "length", "min_chars": 1, "min_words": 60},
    ],
    ids=str,
)
def test_a_limit_moved_over_kept_scores_is_a_full_run(source: Path, tmp_path: Path, ending: str, moved: dict[str, Any]) -> None:
    scored = tmp_path / f"scored.{ending}"
    clean(source, scored, steps=STEPS, tag=True, keep_scores=True)
    again = clean(scored, tmp_path / "again.jsonl", steps=[{**moved, "from_scores": True}])
    # The whole run works on the same texts: those after the rewrite.
    whole = clean(scored, tmp_path / "whole.jsonl", steps=[moved])
    assert without_nulls(tmp_path / "again.jsonl") == without_nulls(tmp_path / "whole.jsonl")
    assert dropped_of(tmp_path / "again.jsonl") == dropped_of(tmp_path / "whole.jsonl")
    assert (again["kept"], again["dropped"]) == (whole["kept"], whole["dropped"])
    assert 0 < again["kept"] < again["rows_in"]
    kept = clean(scored, tmp_path / "kept.jsonl", steps=[{**moved, "from_scores": True}], keep_scores=True)
    assert kept["rows_out"] == again["rows_out"]
    assert (tmp_path / "kept.jsonl").read_bytes() == (tmp_path / "again.jsonl").read_bytes()


def test_nothing_is_lost_between_a_score_and_its_column(tmp_path: Path) -> None:
    """NaN fails a limit and null does not: both come back as they were."""
    data = [{"a": value} for value in (0, 5, None, "nan", 1e-300, 0.1 + 0.2, 9)]
    frame = frame_of([json.dumps(row) for row in data])
    from curate.engine.pipeline import Pipeline
    from curate.formats.readings import pick
    from curate.io.files import cut, resolve
    from curate.io.read import read
    from curate.io.rows import Take
    from curate.io.write import json_lines

    steps = [filters[0].model_copy(update={"from_scores": True})]
    tagged = Pipeline(filters[:1], pick("text"), keep_scores=True, tag=True).run(frame, 0, 0).frame
    columns = filters[0].score_columns()
    (tmp_path / "in.jsonl").write_bytes(json_lines(tagged, scores=columns))
    take = Take(columns=("text",), also=columns, needed=columns)
    (chunk,) = read(cut(resolve([str(tmp_path / "in.jsonl")])[0])[0], take)
    assert chunk.rejects == []
    again = Pipeline(steps, pick("text")).run(chunk.frame, 0, 0)
    whole = Pipeline(filters[:1], pick("text")).run(frame, 0, 0)
    assert again.frame["id"].to_list() == whole.frame["id"].to_list() == ["r1", "r2"]
    assert [d.drop("text").rows() for d in again.dropped] == [d.drop("text").rows() for d in whole.dropped]


LENGTH = {"step": "length", "min_words": 2, "from_scores": True}


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"length.chars": 3}, "in.jsonl: has no column 'length.words'; step 'length' reads it with from_scores: write it with"),
        (
            {"length.chars": 3, "length.words": "few"},
            "in.jsonl: column 'length.words' holds 'few', not a number; step 'length'",
        ),
        ({"length.chars": True, "length.words": 1}, "column 'length.chars' holds True, not a number"),
    ],
)
def test_scores_that_are_not_there_are_one_line(tmp_path: Path, row: dict[str, Any], error: str) -> None:
    (tmp_path / "in.jsonl").write_text(json.dumps({"text": "a", **row}) + "\n")
    with pytest.raises(CurateError) as raised:
        clean(tmp_path / "in.jsonl", tmp_path / "out.jsonl", steps=[LENGTH])
    assert error in str(raised.value)
    assert "curate clean --keep-scores" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_later_rows_without_the_scores_are_rejected_each(tmp_path: Path) -> None:
    rows = [{"length.chars": 1, "length.words": 2}, {"length.chars": 1}, {"length.chars": 1, "length.words": [3]}]
    rows += [{"length.chars": None, "length.words": None}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": "a b", **row}) + "\n" for row in rows))
    done = clean(tmp_path / "in.jsonl", tmp_path / "out.jsonl", steps=[LENGTH], max_errors=2)
    assert (done["kept"], done["rejected"]) == (2, 2)
    said = (tmp_path / "out.jsonl.run" / "rejected" / "00000-0000.jsonl").read_text()
    assert "length.words: missing" in said
    assert "'length.words' holds '[3]', which is no number" in said
    (tmp_path / "b.csv").write_text("text,length.chars\na,1\n")
    with pytest.raises(CurateError, match=r"b.csv: has no column 'length.words'"):
        clean(tmp_path / "b.csv", tmp_path / "b.jsonl", steps=[LENGTH])


def test_a_chat_as_a_bare_array_makes_room_for_its_tag(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('[{"role": "user", "content": "hi"}]\n')
    clean(tmp_path / "in.jsonl", tmp_path / "out.jsonl", steps=[{"step": "length", "min_words": 2}], tag=True)
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert row["messages"] == [{"role": "user", "content": "hi"}]
    assert row["dropped_by"] == "length.too_few_words"


def test_steps_of_a_command_may_be_mappings(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.jsonl"
    assert cli.run(["clean", str(source), "-o", str(out), "--tag", "--quiet", "--steps", "{step: length, min_words: 4}"]) == 0
    assert "length.too_few_words" in out.read_text()
    assert cli.run(["clean", str(source), "--steps", "{step: length"]) == 2
    assert "--steps {step: length: not YAML" in capsys.readouterr().err
    assert cli.run(["clean", str(source), "--steps", "{step: lenght}"]) == 2
    assert "did you mean 'length'?" in capsys.readouterr().err
