"""Models side by side on the same prompts: rewards and win rates, held-out loss and bits per byte, lm-eval's tasks."""

from __future__ import annotations

import importlib.util
import math
from typing import Any

from train import model as models
from train.append import in_windows
from train.config import Batch, EvaluateStage
from train.data import Rows, open_shards
from train.errors import DataError
from train.evaluate import Loss, answer, heldout_loss
from train.groups import outside
from train.intervals import bootstrap
from train.policy import Speaker, open_speaker
from train.prompts import Prompt, read_prompts, spread
from train.rewards import open_judges
from train.rows import fingerprint, list_files
from train.sample import prompt_member
from train.stage import Context, Outcome
from train.tokenizer import same_ids

__all__ = ["inputs", "run"]

WINDOW = 64
MOST = 64
"""Rows of text computed at once, where there is memory for so many."""


def inputs(stage: EvaluateStage) -> str:
    """Digest of the data of `stage` that no earlier stage writes."""
    named = outside(stage.data)
    rows = fingerprint(list_files(named)) if named else ""
    return rows + (open_shards(stage.text).fingerprint if stage.text else "")


def run(stage: EvaluateStage, context: Context) -> Outcome:
    """Compare, and leave data/rows.jsonl: each prompt with the answer of every model and its reward.

    Every model answers the same prompts with the same seed. Raises DataError for unusable rows, models or shards.
    """
    from train.reinforce import rewarded

    judges = open_judges(stage.rewards, context, stage.max_length, stage.precision)
    found: list[dict[str, Any]] = []
    answered: list[list[dict[str, Any]]] = []
    prompts: list[Prompt] = []
    said_of_prompts: dict[str, list[str]] = {}
    for name, label in zip(stage.models, _labels(stage, context), strict=True):
        speaker = open_speaker(context.source(name), context.device, stage.precision, stage.max_length)
        room = min(stage.max_length, speaker.model.config.max_position_embeddings)
        here = read_prompts(context.rows(stage.data), speaker.renderer, room - stage.max_new_tokens, split=stage.split)
        chosen = spread(here.train, 4 if context.check else stage.prompts)
        if prompts and [one.turns for one in chosen] != [one.turns for one in prompts]:
            raise DataError(f"{name}: its tokenizer leaves out other prompts than the first model's; lower max_new_tokens")
        prompts = chosen
        answers = speaker.answers([one.ids for one in chosen], stage.max_new_tokens, stage.temperature, context.recipe.seed)
        rewards = rewarded(speaker, chosen, answers, judges, stage.cut_penalty)
        one = {
            "model": label,
            "reward": math.fsum(rewards) / len(rewards),
            "ended": sum(map(speaker.ended, answers)) / len(answers),
            "length": sum(map(len, answers)) / len(answers),
            **_text_loss(stage, context, speaker, name),
        }
        if found:
            wins = [
                (mine > first["reward"]) + 0.5 * (mine == first["reward"])
                for mine, first in zip(rewards, answered[0], strict=True)
            ]
            one |= {"win_rate": math.fsum(wins) / len(wins), "interval": list(bootstrap(wins, context.recipe.seed))}
        one |= _lm_eval(stage, context, name)
        said_of_prompts[label] = _samples(context, speaker)
        found.append(one)
        answered.append(
            [
                {"text": speaker.text(said), "model": label, "reward": reward}
                for said, reward in zip(answers, rewards, strict=True)
            ]
        )
    rows = [{**prompt_member(p.turns), "answers": list(said)} for p, *said in zip(prompts, *answered, strict=True)]
    in_windows(context.folder / "data" / "rows.jsonl", rows, WINDOW, lambda _, batch: batch, context)
    (context.folder / "data" / "rows.json").unlink(missing_ok=True)
    samples = [
        {"prompt": prompt, "answers": {label: said[i] for label, said in said_of_prompts.items()}}
        for i, prompt in enumerate(context.recipe.prompts)
    ]
    summary: dict[str, Any] = {"prompts": len(prompts), "compared": found, "samples": samples}
    if len(found) > 1:
        summary["measure"] = {
            "name": f"win rate of {found[-1]['model']} against {found[0]['model']}",
            "before": 0.5,
            "after": found[-1]["win_rate"],
            "better": "higher",
        }
    return Outcome(summary, "")


def _samples(context: Context, speaker: Speaker) -> list[str]:
    """What the model answers to the prompts of the recipe, as `train.chain` has every stage answer them."""
    recipe = context.recipe
    options: dict[str, Any] = {"max_new_tokens": recipe.max_new_tokens, "temperature": recipe.temperature, "seed": recipe.seed}
    return [answer(speaker.model, speaker.renderer, prompt, **options)["answer"] for prompt in recipe.prompts]


def _labels(stage: EvaluateStage, context: Context) -> list[str]:
    """Short names of the models: of the stage that left each, or of its folder, unless two would be called the same."""
    folders = [context.source(name) for name in stage.models]
    short = [folder.parent.name if folder.name == "model" else folder.name for folder in folders]
    return short if len(set(short)) == len(short) else [f"{name} ({i})" for i, name in enumerate(short, 1)]


def _text_loss(stage: EvaluateStage, context: Context, speaker: Speaker, name: str) -> dict[str, Any]:
    """Loss and bits per byte on the validation split of the shards; nothing without shards."""
    import torch

    if not stage.text:
        return {}
    shards = open_shards(stage.text)
    if not same_ids(models.load_tokenizer(shards.tokenizer), speaker.renderer.tokenizer):
        raise DataError(f"{stage.text}: was written with another tokenizer than that of {name}; the ids mean other tokens")
    sequence = min(stage.max_length, speaker.model.config.max_position_embeddings)
    split = shards.split("validation", 2 if shards.sequence else sequence + 1)
    rows = Rows(split, sequence, shards.vocab_size, 0, False)
    micro = context.device.micro(Batch(sequences=MOST), sequence)
    arrays = [torch.from_numpy(array) for array in rows.spread(stage.prompts).arrays]
    batches = zip(*(torch.split(array, micro) for array in arrays), strict=True)
    loss = heldout_loss(speaker.model, batches, context.device, stage.precision).per_token
    fits = bool(split.bytes) and split.trained is None
    return {"loss": loss, "bits_per_byte": Loss(loss, 1).bits_per_byte(split.tokens, split.bytes) if fits else None}


def _lm_eval(stage: EvaluateStage, context: Context, name: str) -> dict[str, Any]:
    """Scores of lm-eval's tasks, task and metric in one name; a line instead where it is not installed."""
    if not stage.lm_eval:
        return {}
    if importlib.util.find_spec("lm_eval") is None:
        context.warn("lm_eval is not installed, its tasks are left out; pip install lm-eval")
        return {}
    import lm_eval

    arguments = f"pretrained={context.source(name)}"
    done = lm_eval.simple_evaluate(model="hf", model_args=arguments, tasks=stage.lm_eval, device=context.device.type)
    scores = {
        f"{task} {metric.removesuffix(',none')}": value
        for task, results in done["results"].items()
        for metric, value in results.items()
        if isinstance(value, float) and "stderr" not in metric
    }
    return {"lm_eval": scores}
