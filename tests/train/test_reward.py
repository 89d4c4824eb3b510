from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.train.conftest import ranked, write_jsonl
from tests.train.test_pretrain import Ending
from train.errors import DataError, Interrupted
from train.stage import Interrupts

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def ranking(base: str, tmp_path: Path) -> dict[str, Any]:
    """A recipe for a reward model from 80 rankings of three."""
    stage = {
        "stage": "reward",
        "model": base,
        "data": str(write_jsonl(tmp_path / "ranked.jsonl", ranked(80, 5))),
        "heldout": 0.2,
        "max_length": 64,
        "batch": {"sequences": 8},
        "optimizer": {"lr": 3e-3},
        "epochs": 2.0,
    }
    return {"out": str(tmp_path / "out"), "threads": 1, "device": "cpu", "stages": [stage]}


def with_rows(recipe: dict[str, Any], tmp_path: Path, rows: list[Any], **options: Any) -> dict[str, Any]:
    stage = recipe["stages"][0] | {"data": str(write_jsonl(tmp_path / "other.jsonl", rows))} | options
    return recipe | {"stages": [stage], "out": str(tmp_path / "other")}


def pairs_of(rows: list[dict[str, Any]], first: str = "instruction") -> list[dict[str, Any]]:
    made = []
    for row in rows:
        best, _, worst = sorted(row["answers"], key=lambda a: a["rank"])
        made.append({first: row["instruction"], "chosen": best["answer"], "rejected": worst["answer"]})
    return made


def test_it_learns_the_order_and_scores_alike_once_loaded(run: Run, ranking: dict[str, Any]) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    stage = run(ranking)["stages"][0]
    assert stage["measure"]["after"] == stage["accuracy"] > 0.9 > stage["measure"]["before"]
    assert stage["loss_after"] < stage["loss_before"]
    assert stage["rows_in"] == 80 == stage["rows_trained"] + stage["rows_heldout"]
    assert stage["pairs_trained"] == 3 * stage["rows_trained"]
    assert sum(part["pairs"] for part in stage["accuracy_by_length"].values()) == stage["pairs_heldout"]
    assert 0 <= stage["calibration_error"] <= 0.5
    folder = Path(ranking["out"]) / "reward" / "model"
    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.num_labels == 1

    def score(answer: str) -> float:
        turns = [{"role": "user", "content": "what does the cow say 900 times"}, {"role": "assistant", "content": answer}]
        inputs = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
        return float(model(**inputs).logits[0, 0])

    assert score("the cow says moo thanks") > score("the cow says moo") > score("moo moo")
    lines = [json.loads(line) for line in (folder.parent / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "accuracy", "score_mean", "score_std", "tokens"} <= set(lines[-1])


@pytest.mark.parametrize(("killed", "goes_on_at"), [(False, 9), (True, 8)])
def test_a_broken_off_run_goes_on_with_the_same_losses(
    run: Run, ranking: dict[str, Any], tmp_path: Path, killed: bool, goes_on_at: int
) -> None:
    ranking["stages"][0] |= {"save": {"every": 4}, "eval": {"every": 9}, "steps": 12}
    whole = copy.deepcopy(ranking) | {"out": str(tmp_path / "whole")}
    one = run(whole)["stages"][0]
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt if killed else Interrupted):
        run(ranking, Ending(interrupts, killed), interrupts=interrupts)
    events: list[dict[str, Any]] = []
    two = run(ranking, events)["stages"][0]
    assert next(e for e in events if e["event"] == "start")["resumed_at"] == goes_on_at
    clocks = {"seconds", "tokens_per_second"}
    assert {k: v for k, v in one.items() if k not in clocks} == {k: v for k, v in two.items() if k not in clocks}


def test_the_micro_batch_does_not_matter(run: Run, ranking: dict[str, Any], tmp_path: Path) -> None:
    losses = []
    for micro in (1, 8):
        ranking["stages"][0] |= {"steps": 4, "batch": {"sequences": 8, "micro": micro}}
        losses.append(run(ranking | {"out": str(tmp_path / str(micro))})["stages"][0]["loss_after"])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_the_loss_is_that_of_instructgpt() -> None:
    import torch

    from train.reward import ranking_loss

    draw = random.Random(3)
    for ranks, margin, center in (([1, 2, 3, 4], 0.0, 0.0), ([1, 1, 2], 0.0, 0.1), ([2, 1], 0.5, 0.0)):
        scores = [draw.gauss(0, 2) for _ in ranks]
        pairs = [(i, j) for i in range(len(ranks)) for j in range(len(ranks)) if ranks[i] < ranks[j]]
        each = [
            -math.log(1 / (1 + math.exp(-(scores[i] - scores[j] - margin)))) + center * (scores[i] + scores[j]) ** 2
            for i, j in pairs
        ]
        # Twice the same prompt: the losses of prompts do not mix.
        index = torch.tensor(pairs + [(i + len(ranks), j + len(ranks)) for i, j in pairs])
        group = torch.tensor([0] * len(pairs) + [1] * len(pairs))
        found = ranking_loss(torch.tensor(scores * 2), group, index, torch.full((len(index),), margin), center)
        assert found.tolist() == pytest.approx([sum(each) / len(each)] * 2, rel=1e-5)


def test_pairs_are_rankings_of_two_in_any_layout(run: Run, ranking: dict[str, Any], tmp_path: Path) -> None:
    rows = pairs_of(ranked(40, 5))
    chats = [
        {
            "prompt": [{"role": "user", "content": row["instruction"]}],
            "chosen": [{"role": "assistant", "content": row["chosen"]}],
            "rejected": [{"role": "assistant", "content": row["rejected"]}],
        }
        for row in rows
    ]
    inside = [{"chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]} for row in chats]
    singles = [
        {"group_id": i, "prompt": row["instruction"], "output": row[side], "score": score}
        for i, row in enumerate(rows)
        for side, score in (("chosen", 3), ("rejected", 1.5))
    ]
    found = []
    for name, layout in (("a", rows), ("b", chats), ("c", inside), ("d", singles)):
        recipe = with_rows(ranking, tmp_path, layout, steps=2) | {"out": str(tmp_path / name)}
        found.append(run(recipe)["stages"][0])
    for other in found[1:]:
        assert {k: other[k] for k in ("loss_after", "accuracy", "rows_heldout")} == {
            k: found[0][k] for k in ("loss_after", "accuracy", "rows_heldout")
        }


def test_margins_ask_for_more_and_must_be_there(run: Run, ranking: dict[str, Any], tmp_path: Path) -> None:
    rows = [row | {"margin": 2.0} for row in pairs_of(ranked(40, 5))]
    plain = run(with_rows(ranking, tmp_path, rows, steps=1))["stages"][0]
    wide = run(with_rows(ranking, tmp_path, rows, steps=1, margins=True))["stages"][0]
    assert wide["loss_before"] > plain["loss_before"] + 1
    with pytest.raises(DataError, match="neither a margin nor scores"):
        run(with_rows(ranking, tmp_path, pairs_of(ranked(40, 5)), margins=True))


def test_groups_that_teach_nothing_are_counted(run: Run, ranking: dict[str, Any], tmp_path: Path) -> None:
    rows = ranked(20, 5)
    rows += [
        {"instruction": "one", "answers": [{"answer": "a", "rank": 1}]},
        {"instruction": "tied", "answers": [{"answer": "a", "rank": 1}, {"answer": "b", "rank": 1}]},
        {"instruction": "same", "chosen": "a", "rejected": "a"},
        {"instruction": "long " * 80, "chosen": "a", "rejected": "b"},
        {"instruction": "long answer", "chosen": "a " * 80, "rejected": "b"},
        {"instruction": "spells", "chosen": "a<|end|>", "rejected": "b"},
    ]
    stage = run(with_rows(ranking, tmp_path, rows, steps=1))["stages"][0]
    assert stage["rows_dropped"] == {"all_tied": 1, "one_answer": 1, "same_answers": 1, "special_token": 1, "too_long": 2}
    assert stage["answers_dropped"] == {"same_answers": 1, "special_token": 1, "too_long": 1}
    assert stage["rows_in"] == 26 == stage["rows_trained"] + stage["rows_heldout"] + 6


BAD = [
    ([{"instruction": "a", "answers": ["b", "c"]}], "other.jsonl:1: its answers have no rank or score"),
    ([{"instruction": "a", "chosen": "b", "rejected": "c", "margin": math.nan}], "margin is nan, which is no finite number"),
    ([{"chosen": "b", "rejected": "c"}], "other.jsonl:1: has no prompt"),
    ([{"instruction": "a", "chosen": "b", "rejected": 3}], "rejected is neither a text nor an array"),
    ([{"instruction": "a", "answers": [{"answer": "b", "rank": "x"}]}], "rank is 'x'"),
    ([{"group_id": 1, "prompt": p, "output": "b", "rank": 1} for p in "ab"], "stands beside another prompt"),
    ([{"prompt": "a", "input": "b", "chosen": "b", "rejected": "c"}], "has an 'input'"),
    (ranked(3, 1), "no prompt left to"),
]


@pytest.mark.parametrize(("rows", "message"), BAD)
def test_rows_that_cannot_be_ranked_are_one_line(
    run: Run, ranking: dict[str, Any], tmp_path: Path, rows: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        run(with_rows(ranking, tmp_path, rows, heldout=0.01))
    assert "\n" not in str(caught.value)


def test_calibration_by_hand() -> None:
    from train.judging import calibration_error

    sure = math.log(0.99 / 0.01)
    assert calibration_error([sure] * 99 + [-sure]) == pytest.approx(0, abs=1e-9)
    assert calibration_error([sure, -sure]) == pytest.approx(0.49)
    assert calibration_error([0.0, 0.0]) == 0
    assert calibration_error([1e9]) == 0
