from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from curate.errors import InputError
from curate.jobs.quality import _metrics
from tests.command import curate
from tests.models import trained, two_classes
from tests.work import rows


def header(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "model.json").read_bytes())
    return found


def parts(texts: list[str], start: int, cuts: int) -> list[pl.DataFrame]:
    size = -(-len(texts) // cuts)
    return [rows(texts[i : i + size], start + i) for i in range(0, len(texts), size)]


def test_tells_two_classes_apart(tmp_path: Path) -> None:
    good, bad = two_classes(300)
    # A third of each text of either class is words of the other.
    mixed_good = [f"{a} {b[: len(b) // 3]}" for a, b in zip(good, bad[7:] + bad[:7], strict=True)]
    mixed_bad = [f"{b} {a[: len(a) // 3]}" for a, b in zip(good[5:] + good[:5], bad, strict=True)]
    model = header(trained(tmp_path, [rows(mixed_good)], [rows(mixed_bad, 1000)]))
    held_out = model["held_out"]
    assert held_out["auc"] > 0.95
    assert held_out["accuracy"] > 0.9
    assert 30 <= held_out["good"] + held_out["bad"] <= 120
    kept = [row["good_kept"] for row in held_out["thresholds"]]
    assert kept == sorted(kept, reverse=True)
    assert model["examples"]["good"] + model["examples"]["bad"] + held_out["good"] + held_out["bad"] == 600
    assert "bonus" in model["telling_words"]["bad"]
    assert {"timetable", "bus", "committee"} & set(model["telling_words"]["good"])


def test_the_model_does_not_depend_on_shards(tmp_path: Path) -> None:
    good, bad = two_classes(50)
    found = set()
    for cuts in (1, 3):
        data = trained(tmp_path / str(cuts), parts(good, 0, cuts), parts(bad, 1000, cuts), sample_bytes=8000)
        found.add(tuple(path.read_bytes() for path in sorted(data.iterdir())))
    assert len(found) == 1
    assert header(tmp_path / "1" / "data")["examples"]["good"] < 45


def test_another_seed_gives_another_model(tmp_path: Path) -> None:
    good, bad = two_classes(50)
    models = [trained(tmp_path / str(seed), [rows(good)], [rows(bad, 1000)], seed=seed) for seed in (0, 1)]
    assert models[0].joinpath("weights.npy").read_bytes() != models[1].joinpath("weights.npy").read_bytes()


@pytest.mark.parametrize(("good", "bad", "missing"), [(["...", ""], ["word"], "good"), (["word"], ["!"], "bad")])
def test_a_class_without_words_is_named(good: list[str], bad: list[str], missing: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"no {missing} example with a word in it"):
        trained(tmp_path, [rows(good)], [rows(bad, 9)])


def test_nothing_held_out_is_said_and_not_counted(tmp_path: Path) -> None:
    assert header(trained(tmp_path, [rows(["one text"])], [rows(["another"], 9)], validation=0))["held_out"] is None


def test_metrics_by_hand() -> None:
    labels = np.array([True, True, False, False, False])
    found = _metrics(labels, np.array([0.9, 0.5, 0.5, 0.2, 0.97]))
    assert found is not None
    # Pairs: 0.9 beats 0.5 and 0.2; 0.5 beats 0.2 and ties once; 0.97 beats both.
    assert found["auc"] == pytest.approx(3.5 / 6)
    assert found["accuracy"] == pytest.approx(3 / 5)
    assert found["precision"] == pytest.approx(2 / 4)
    assert found["recall"] == 1
    top = found["thresholds"][-1]
    assert top == {"threshold": 0.95, "good_kept": 0.0, "bad_kept": pytest.approx(1 / 3), "precision": 0.0}
    assert _metrics(labels[:2], np.array([0.1, 0.2])) is None


def test_from_two_formats_to_a_filter_in_two_commands(tmp_path: Path) -> None:
    """Good examples as instructions, bad ones as texts: each side is told on its own."""
    good, bad = two_classes(60)
    lines = [json.dumps({"instruction": text[:20], "output": text[20:]}) for text in good]
    (tmp_path / "good.jsonl").write_text("\n".join(lines))
    (tmp_path / "bad.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in bad))
    done = curate("quality", "train", "good.jsonl", "--bad", "bad.jsonl", "-o", "quality.model", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "AUC" in done.stderr
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in [good[0], bad[0]]))
    steps = "steps=[{step: quality, model: quality.model}]"
    done = curate("clean", "in.jsonl", "--set", steps, "-o", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [good[0]]


def test_trained_and_used_in_one_recipe(tmp_path: Path) -> None:
    good, bad = two_classes(60)
    for name, texts in (("good", good), ("bad", bad)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    train = {"job": "quality train", "name": "model", "input": ["good.jsonl"], "bad": ["bad.jsonl"]}
    clean = {"job": "clean", "input": ["bad.jsonl"], "steps": [{"step": "quality", "model": "job:model"}]}
    (tmp_path / "recipe.yaml").write_text(json.dumps({"name": "both", "jobs": [train, clean]}))
    done = curate("run", "recipe.yaml", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(next(tmp_path.glob("out/*clean*/stats.json")).read_bytes())
    assert found["dropped"] == {"quality.low_quality": 60}


def test_what_cannot_be_meant(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "some words"}\n')
    done = curate("quality", "train", "a.jsonl", "-o", "m", cwd=tmp_path)
    assert done.returncode == 2
    assert "bad" in done.stderr
    done = curate("quality", "train", "a.jsonl", "--bad", "a.jsonl", "-o", "m", cwd=tmp_path)
    assert (done.returncode, "a.jsonl: named on both sides" in done.stderr) == (1, True)
    done = curate("quality", "train", "a.jsonl", "--bad", "nothing.jsonl", "-o", "m", cwd=tmp_path)
    assert (done.returncode, "nothing.jsonl: no such file" in done.stderr) == (1, True)
