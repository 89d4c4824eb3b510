"""What every job of the catalog must do. A new job is covered as soon as it is listed and has a line in `cases.CASES`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from curate.catalog import JOBS, parse_job
from curate.declare import InputJob, Job, RowsJob
from curate.engine import rows
from curate.engine.chain import run_command
from curate.engine.plan import make_plan
from curate.errors import CurateError
from curate.io import files, jsonl
from curate.report.watch import Silent
from tests.command import results, stats
from tests.contract.cases import CASES, Case, served
from tests.contract.texts import PROSE

NAMES = [job.model_fields["job"].default for job in JOBS]
KINDS = dict(zip(NAMES, JOBS, strict=True))
CUT = [name for name in NAMES if name not in CASES or CASES[name].cut]


def case_of(name: str) -> Case:
    if name not in CASES:
        pytest.fail(f"job '{name}' has no case: add one to tests/contract/cases.py")
    return CASES[name]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Options of the cases that were asked for so far: an input is written once."""
    return {}


def options_of(name: str, made: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if name not in made:
        made[name] = {"job": name, **case_of(name).make(tmp_path_factory.mktemp(name.replace(" ", "-")))}
    return made[name]


def go(options: dict[str, Any], out: Path, workers: int = 1) -> dict[str, Any]:
    with served(options) as given:
        run_command(parse_job(given), str(out), workers=workers, watcher=Silent())
    return stats(out)


def test_every_case_is_of_a_job() -> None:
    assert set(CASES) <= set(NAMES), "cases.CASES names a job that is not in the catalog"
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_declaration(name: str) -> None:
    kind = KINDS[name]
    assert re.fullmatch(r"[a-z]+( [a-z]+(-[a-z]+)*)?", name)
    assert kind.__doc__
    assert kind.__doc__ != Job.__doc__
    assert kind.model_config["frozen"]
    assert kind.model_config["extra"] == "forbid"
    for field, info in kind.model_fields.items():
        if field != "job" and not str(info.annotation).startswith("typing.Literal['auto']") and field != "text_column":
            assert info.description, f"{name}.{field} says what it is"
            assert info.description.endswith((".", ")", "/")), f"{name}.{field}: a sentence"


@pytest.mark.parametrize("name", NAMES)
def test_options_travel_as_json(name: str, made: dict[str, dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    with served(options_of(name, made, tmp_path_factory)) as options:
        job = parse_job(options)
        assert parse_job(job.model_dump(mode="json")) == job
        assert type(job).model_validate_json(job.model_dump_json()) == job
        names = [stage.name for stage in job.stages()]
        assert len(set(names)) == len(names) > 0
        assert [stage.name for stage in parse_job(job.model_dump(mode="json")).stages()] == names
        with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
            parse_job({**options, "no_such_option": 1})
        with pytest.raises(ValidationError, match="frozen"):
            job.name = "changed"


@pytest.mark.parametrize("name", NAMES)
def test_two_workers_write_the_same_bytes(
    name: str,
    made: dict[str, dict[str, Any]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = options_of(name, made, tmp_path_factory)
    case = case_of(name)
    # Workers import the sizes afresh; shards are cut here.
    monkeypatch.setattr(files, "SHARD_BYTES", 4000)
    one = go(options, tmp_path / "one")
    assert (tmp_path / "one" / "data").is_dir()
    assert not (tmp_path / "one" / "work").exists()
    if "rows_in" in one:
        assert one["rows_in"] + one.get("made", 0) == one["kept"] + sum(one["dropped"].values()) + one["rejected"]
        assert one["rows_in"] > 0
    assert not case.cut or one["shards"] > 1
    result = case.compared(tmp_path / "one" / "data")
    assert result
    if not case.cut and not issubclass(KINDS[name], InputJob):
        go(options, tmp_path / "one")
        return
    two = go(options, tmp_path / "two", workers=2)
    assert case.compared(tmp_path / "two" / "data") == result
    if case.exact:
        assert results(tmp_path / "two") == results(tmp_path / "one")
    keys = [key for key in one if key not in ("seconds", "stage_seconds", "step_seconds", "digest")]
    assert {key: two[key] for key in keys} == {key: one[key] for key in keys}


@pytest.mark.parametrize("name", CUT)
def test_the_size_of_the_pieces_does_not_matter(
    name: str,
    made: dict[str, dict[str, Any]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = options_of(name, made, tmp_path_factory)
    case = case_of(name)
    whole = go(options, tmp_path / "whole")
    monkeypatch.setattr(files, "SHARD_BYTES", 2500)
    monkeypatch.setattr(jsonl, "BLOCK_BYTES", 700)
    monkeypatch.setattr(rows, "PART_BYTES", 1500)
    pieces = go(options, tmp_path / "pieces")
    assert pieces["shards"] > whole["shards"]
    assert case.compared(tmp_path / "pieces" / "data") == case.compared(tmp_path / "whole" / "data")
    for key in ("rows_in", "rows_out", "kept", "dropped", "rejected"):
        assert pieces.get(key) == whole.get(key)


@pytest.mark.parametrize("name", [name for name in CUT if issubclass(KINDS[name], InputJob)])
@pytest.mark.parametrize(
    "content", ["", '{"text": ""}\n', '{"text": null}\n', "broken\n", f'{{"text": "{PROSE.strip()}"}}\n'.replace("\n\n", " ")]
)
def test_little_or_nothing_to_read_is_no_bug(
    name: str, content: str, made: dict[str, dict[str, Any]], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (tmp_path / "in.jsonl").write_text(content)
    options = {**options_of(name, made, tmp_path_factory), "input": [str(tmp_path / "in.jsonl")]}
    said = ""
    try:
        done = go(options, tmp_path / "out")
    except CurateError as error:
        said = str(error)
        assert said
    else:
        job = parse_job(options)
        assert done.get("rows_in", 1) == 1 or (isinstance(job, InputJob) and job.beside())
    assert "\n" not in said


@pytest.mark.parametrize("name", [name for name in CUT if issubclass(KINDS[name], RowsJob)])
def test_a_plan_reads_and_writes_nothing(
    name: str, made: dict[str, dict[str, Any]], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    job = parse_job(options_of(name, made, tmp_path_factory))
    plan = make_plan(job, tmp_path / "out")
    assert plan.shards
    assert plan.digest == make_plan(job, tmp_path / "elsewhere").digest
    assert list(tmp_path.iterdir()) == []
