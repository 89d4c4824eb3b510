"""The reference is what the declarations say, everything is described, and the guide's Python runs."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from curate.declare import Batch

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def generate() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "generate.py"))


def test_generated_files_are_fresh(generate: dict[str, Any]) -> None:
    stale = [path.name for path, text in generate["pages"]().items() if path.read_text(encoding="utf-8") != text]
    assert not stale, "run `make docs`"


def test_every_job_step_and_option_is_described(generate: dict[str, Any]) -> None:
    assert list(generate["undescribed"]()) == []


def test_recipe_schema_judges_recipes() -> None:
    import jsonschema

    from schemas import load

    recipe: dict[str, Any] = {"name": "x", "jobs": [{"job": "clean", "steps": [{"step": "replace", "pattern": "a"}]}]}
    jsonschema.validate(recipe, load("recipe"))
    recipe["jobs"][0]["colour"] = "red"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(recipe, load("recipe"))


def _guide(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "guide.md").read_text(encoding="utf-8"), re.DOTALL)


def test_python_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pages.jsonl").write_text('{"id": "a", "text": "one  "}\n')
    api, step = _guide("python")
    Path("api.py").write_text(api)
    runpy.run_path("api.py")
    assert capsys.readouterr().out == "1 1 {}\n"
    assert [json.loads(line) for line in Path("kept.jsonl").read_text().splitlines()] == [{"id": "a", "text": "one"}]

    Path("step.py").write_text(step)
    space = runpy.run_path("step.py")
    texts = pl.Series("text", ["12 34", "words", ""])
    batch = Batch(pl.DataFrame({"id": ["1", "2", "3"], "text": texts}), texts, pl.int_range(3, eager=True))
    digits = space["ShareOfDigits"]()
    assert digits.bind()(batch)["share"].to_list() == [0.8, 0.0, None]
    assert [rule.reason for rule in digits.rules()] == ["too_many_digits"]


def test_recipe_of_the_guide_is_valid(tmp_path: Path) -> None:
    from curate.recipe import load_recipe

    (recipe,) = _guide("yaml")
    (tmp_path / "quick.yaml").write_text(recipe)
    assert [job.job for job in load_recipe(tmp_path / "quick.yaml").jobs] == ["clean", "dedupe"]
