from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import schemas
from train.config import schema_text
from train.errors import RecipeError
from train.recipe import check_recipe, load_recipe

GOOD: dict[str, Any] = {
    "out": "x",
    "stages": [{"stage": "pretrain", "data": "d"}, {"stage": "sft", "data": "f"}],
}


@pytest.mark.parametrize(
    ("place", "key", "value", "message"),
    [
        ((), "ouput", 1, "r.yaml: ouput: unknown key; did you mean 'out'?"),
        (("stages", 0), "stpes", 1, "r.yaml: stages.0.stpes: unknown key; did you mean 'steps'?"),
        (("stages", 1), "max_lenght", 1, "r.yaml: stages.1.max_lenght: unknown key; did you mean 'max_length'?"),
        (("stages", 0), "model", {"layrs": 2}, "r.yaml: stages.0.model.layrs: unknown key; did you mean 'layers'?"),
        (("stages", 1), "optimizer", {"LR": 1}, "r.yaml: stages.1.optimizer.LR: unknown key; valid here: "),
        (
            ("stages", 0),
            "stage",
            "pretrian",
            "r.yaml: stages.0.stage: no stage of kind 'pretrian'; did you mean 'pretrain'?",
        ),
        (("stages", 0), "steps", 0, "r.yaml: stages.0.steps: Input should be greater than or equal to 1, not 0"),
        (("stages", 0), "model", "previous", "r.yaml: stages.0: the first stage has no previous model"),
        (("stages", 1), "name", "pretrain", "r.yaml: stages.1: there is a stage called 'pretrain' already"),
        (
            ("stages", 0),
            "batch",
            {"sequences": 6, "micro": 4},
            "r.yaml: stages.0.batch: micro 4 must divide sequences 6",
        ),
        (("stages", 0), "sequence", 512, "r.yaml: stages.0: sequence 512 is longer than model.context 256"),
    ],
)
def test_a_mistake_is_named_with_its_place(place: tuple[Any, ...], key: str, value: Any, message: str) -> None:
    content = copy.deepcopy(GOOD)
    inside: Any = content
    for part in place:
        inside = inside[part]
    inside[key] = value
    with pytest.raises(RecipeError) as caught:
        check_recipe(content, where="r.yaml")
    assert str(caught.value).startswith(message)


def test_a_recipe_of_jobs_is_told_from_one_of_stages() -> None:
    with pytest.raises(RecipeError, match=r"^r: holds jobs, which `curate run` runs; a training recipe has stages$"):
        check_recipe({"name": "x", "jobs": [{"job": "train"}]}, where="r")


def test_required_fields_are_named() -> None:
    with pytest.raises(RecipeError, match=r"^r: stages\.0\.data: is required$"):
        check_recipe({"out": "x", "stages": [{"stage": "pretrain"}]}, where="r")
    kinds = "dpo, evaluate, grpo, kto, pretrain, reward, rloo, sample, score, sft"
    with pytest.raises(RecipeError, match=rf"^r: stages\.0\.stage: is required; valid here: {kinds}$"):
        check_recipe({"out": "x", "stages": [{"data": "d"}]}, where="r")


def test_overrides_reach_into_lists(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("out: x\nstages:\n- {stage: pretrain, data: d}\n")
    recipe = load_recipe(file, ["stages.0.optimizer.lr=3e-4", "seed=7", "stages.0.model={layers: 2}"])
    assert recipe.seed == 7
    assert recipe.stages[0].optimizer.lr == 3e-4
    assert recipe.stages[0].model_dump()["model"]["layers"] == 2
    for override, message in [
        ("seed", "--set: 'seed' is not of the form a.b=c"),
        ("stages.3.steps=1", "--set: stages.3.steps: stages has 1 entries"),
        ("out.a=1", "--set: out.a: out is a value"),
        ("sed=1", "sed: unknown key; did you mean 'seed'?"),
    ]:
        with pytest.raises(RecipeError) as caught:
            load_recipe(file, [override])
        assert message in str(caught.value)


def test_unreadable_recipes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "none.yaml")
    file = tmp_path / "r.yaml"
    for text, message in [("a: [", "neither YAML nor JSON"), ("- 1", "must be a mapping")]:
        file.write_text(text)
        with pytest.raises(RecipeError, match=message) as caught:
            load_recipe(file)
        assert "\n" not in str(caught.value)


def test_every_field_is_described() -> None:
    import json

    schema = json.loads(schema_text())
    for model in [schema, *schema["$defs"].values()]:
        for name, field in model["properties"].items():
            assert field.get("description"), f"{model['title']}.{name}"
        assert model["additionalProperties"] is False


def test_the_schema_file_is_fresh() -> None:
    file = Path(schemas.__file__).parent / "train.json"
    assert file.read_text(encoding="utf-8") == schema_text(), "python -P -m train --schema > schemas/train.json"


def test_checking_a_recipe_imports_nothing_heavy() -> None:
    code = (
        "import sys, train.config, train.recipe\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'trl', 'curate'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
