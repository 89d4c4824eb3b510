"""The Python API: lazy names, jobs and recipes run from Python."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import curate
from curate.catalog import JOBS, STEPS
from curate.errors import InputError, UsageError


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps({"id": str(i), "text": f"row {i}"}) + "\n" for i in range(5)))
    return path


def test_a_job_runs_into_a_file(rows: Path, tmp_path: Path) -> None:
    from curate import Clean, Replace, run

    done = run(Clean(input=(str(rows),), steps=(Replace(pattern="row", value="line"),)), output=tmp_path / "out.jsonl")
    assert done.jobs[0]["rows_out"] == 5
    assert json.loads((tmp_path / "out.jsonl").read_text().splitlines()[3]) == {"id": "3", "text": "line 3"}


def test_a_recipe_runs_from_its_file_and_repeats_from_run_json(rows: Path, tmp_path: Path) -> None:
    from curate import Recipe, run

    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: r\njobs:\n- {{job: clean, input: ['{rows}']}}\n")
    first = run(recipe, output=tmp_path / "a")
    assert (first.folder, first.jobs[0]["rows_out"]) == (tmp_path / "a", 5)
    again = run(tmp_path / "a" / "run.json", output=tmp_path / "b")
    assert again.jobs[0]["rows_out"] == 5
    parsed = run(Recipe.model_validate(first.recipe | {"out": str(tmp_path / "c")}))
    assert parsed.folder == tmp_path / "c"


def test_errors_are_raised(tmp_path: Path) -> None:
    from curate import Clean, run

    with pytest.raises(InputError, match="no such file"):
        run(Clean(input=(str(tmp_path / "none.jsonl"),)), output=tmp_path / "o")
    with pytest.raises(UsageError, match="workers=0"):
        run(Clean(input=("x",)), workers=0)


def test_every_job_and_step_can_be_imported() -> None:
    kinds: tuple[type, ...] = (*JOBS, *STEPS)
    for kind in kinds:
        assert getattr(curate, kind.__name__) is kind
        assert kind.__name__ in dir(curate)
    with pytest.raises(AttributeError, match="Nonsense"):
        _ = curate.Nonsense


def test_importing_curate_imports_nothing_else() -> None:
    code = "import sys, curate; print([m for m in sys.modules if m.startswith(('curate.', 'pydantic', 'polars'))])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
