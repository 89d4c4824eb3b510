"""What an option `variant` sets, and how it is written down."""

from __future__ import annotations

import yaml

from curate.recipe import Recipe, recipe_yaml
from curate.steps.c4 import C4Quality
from curate.steps.gopher import GopherQuality


def test_what_is_given_stands_and_is_written_where_it_is_the_declared_default() -> None:
    steps = [{"step": "c4_quality", "variant": "c4-code", "min_sentences": 5}, {"step": "gopher_quality", "variant": "dclm"}]
    jobs = [{"job": "clean", "input": ["x.jsonl"], "steps": steps}]
    recipe = Recipe.model_validate({"out": "runs/x", "name": "x", "jobs": jobs})
    again = Recipe.model_validate(yaml.safe_load(recipe_yaml(recipe)))
    assert again == recipe
    code, dclm = again.jobs[0].steps  # type: ignore[union-attr]
    assert isinstance(code, C4Quality)
    assert (code.min_words, code.min_sentences) == (5, 5)
    assert isinstance(dclm, GopherQuality)
    assert (dclm.splitter, dclm.bullets) == ("whitespace", "●•*-")
