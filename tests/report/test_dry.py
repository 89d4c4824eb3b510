"""`--dry-run`: says what would run, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curate.engine.chain import run_command, run_recipe
from curate.errors import InputError
from curate.jobs.clean import Clean
from curate.recipe import Recipe, check
from curate.report.dry import dry_run
from curate.report.watch import Silent


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"text": f"text {i}"}) + "\n" for i in range(10)))
    return path


def _recipe(rows: Path, out: Path, **options: Any) -> Recipe:
    first = {"job": "clean", "input": [str(rows)], "steps": [{"step": "replace", "pattern": "a"}], **options}
    return check({"name": "r", "out": str(out), "jobs": [first, {"job": "dedupe", "methods": ["exact"]}]}, "r")


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(folder.rglob("*"))}


def _shown(recipe: Recipe, capsys: pytest.CaptureFixture[str], **options: Any) -> str:
    capsys.readouterr()
    assert dry_run(recipe, 2, **options) == 0
    return " ".join(capsys.readouterr().out.split())


def test_a_recipe_before_and_after_it_ran(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = _recipe(rows, tmp_path / "run")
    before = _files(tmp_path)
    shown = _shown(recipe, capsys)
    assert _files(tmp_path) == before
    assert "1 clean state would start reads" in shown
    assert "in.jsonl: 1 file, 190 B, 1 unit of work, as text steps replace stages rows" in shown
    assert "about 10 rows" in shown
    assert "2 dedupe state would start when its input is there reads what clean writes" in shown

    run_recipe(recipe, workers=1, watcher=Silent())
    before = _files(tmp_path)
    assert _shown(recipe, capsys).count("done already, would be kept") == 2
    changed = _recipe(rows, tmp_path / "run", steps=[])
    shown = _shown(changed, capsys)
    assert "would start over: the options or the input changed" in shown
    assert "what clean writes" in shown
    assert _files(tmp_path) == before


def test_a_stopped_job_would_go_on(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = _recipe(rows, tmp_path / "run")
    run_recipe(recipe, workers=1, watcher=Silent())
    # What a kill between the last part and the end leaves.
    (tmp_path / "run" / "01-clean" / "stats.json").unlink()
    assert "would go on where it stopped, after 0 finished parts" in _shown(recipe, capsys)


def test_a_command_is_shown_with_its_own_folder(rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.jsonl"
    job = Clean(input=(str(rows),))
    recipe = Recipe(name="clean", out=str(target), jobs=(job,))
    shown = _shown(recipe, capsys, command=True)
    assert f"writes {target}, the rest in {target}.run (jsonl)" in shown
    assert "1 worker;" in shown
    assert not target.exists()
    run_command(job, str(target), workers=1, watcher=Silent())
    assert "done already" in _shown(recipe, capsys, command=True)


def test_missing_input_is_told_as_the_run_would(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        dry_run(_recipe(tmp_path / "none.jsonl", tmp_path / "run"), 1)
    assert list(tmp_path.iterdir()) == []


def test_disk_is_estimated_by_the_kind_of_file(rows: Path) -> None:
    sizes = [Clean(input=(str(rows),), save_as=kind).disk(1000) for kind in ("jsonl", "jsonl.zst", "parquet")]
    assert sizes == [1000, 330, 370]
