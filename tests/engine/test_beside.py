"""Jobs that read addresses beside their input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import pytest

from curate.declare import Batch, InputJob, Rows, Shards, Stage, Work
from curate.engine.plan import make_plan
from curate.engine.worker import unit_count
from curate.errors import InputError
from curate.io import files


class Compare(InputJob):
    """A job of two sides; never run."""

    job: Literal["compare"] = "compare"
    others: tuple[str, ...] = ()

    def beside(self) -> tuple[str, ...]:
        return self.others

    def stages(self) -> tuple[Stage, ...]:
        return Shards("look", self.look), Rows(())

    def look(self, work: Work) -> dict[str, list[Batch]]:
        return {}


def write(path: Path, count: int, row: dict[str, str]) -> str:
    path.write_text("".join(json.dumps({**row, "n": i}) + "\n" for i in range(count)))
    return str(path)


def test_shards_of_either_side_hold_rows_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SHARD_BYTES", 500)
    mine = write(tmp_path / "a.jsonl", 40, {"text": "some text"})
    theirs = [write(tmp_path / f"{name}.jsonl", 20, {"instruction": "say", "output": "it"}) for name in "bc"]
    job = Compare(input=(mine,), others=tuple(theirs))
    plan = make_plan(job, tmp_path / "out")
    sides = [{piece.source.address for piece in shard.pieces} for shard in plan.shards]
    assert 1 < plan.own_shards < len(plan.shards) - 1
    assert set.union(*sides[: plan.own_shards]) == {mine}
    assert set.union(*sides[plan.own_shards :]) == set(theirs)
    assert [shard.index for shard in plan.shards] == list(range(len(plan.shards)))
    readings = [plan.how(i)[0] for i in range(len(plan.shards))]
    assert readings == ["text"] * plan.own_shards + ["instruction"] * (len(plan.shards) - plan.own_shards)
    assert [unit_count(plan, stage) for stage in job.stages()] == [len(plan.shards), plan.own_shards]
    assert plan.digest != make_plan(Compare(input=(mine,)), tmp_path / "out").digest


def test_a_change_of_the_other_side_is_another_job(tmp_path: Path) -> None:
    job = Compare(
        input=(write(tmp_path / "a.jsonl", 2, {"text": "x"}),), others=(write(tmp_path / "b.jsonl", 2, {"text": "y"}),)
    )
    before = make_plan(job, tmp_path / "out").digest
    write(tmp_path / "b.jsonl", 3, {"text": "y"})
    assert make_plan(job, tmp_path / "out").digest != before


def test_no_file_stands_on_both_sides(tmp_path: Path) -> None:
    mine = write(tmp_path / "a.jsonl", 2, {"text": "x"})
    with pytest.raises(InputError, match="named on both sides"):
        make_plan(Compare(input=(mine,), others=(mine,)), tmp_path / "out")
