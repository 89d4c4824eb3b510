"""A reward model from rankings: one score a text, trained so that better answers to a prompt score higher.

The loss of a prompt is the mean over all pairs of its answers that the ranks tell apart (of K answers up to K(K-1)/2), of
-log sigmoid(better - worse - margin): one forward pass of the K answers, all pairs in one loss, as in InstructGPT (Ouyang et
al. 2022, arXiv 2203.02155, eq. 1), where pairs taken apart over-fitted. Margins as in Llama 2 (Touvron et al. 2023, arXiv
2307.09288, eq. 2). The centering penalty is the mean over pairs of (better + worse)^2 (Eisenstein et al. 2023, arXiv
2312.09244).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from train import model as models
from train.choices import Choices, Ranking, read_choices, renderer_of
from train.config import RewardStage
from train.errors import DataError, TrainError
from train.groups import outside
from train.judging import Judged, judge_rankings
from train.rows import fingerprint, list_files
from train.stage import Context, Outcome

if TYPE_CHECKING:
    import torch

    from train.follow import Watch

__all__ = ["collate", "inputs", "ranking_loss", "run"]

RELOADED = 8
"""Held-out prompts whose scores are compared before and after saving."""


def inputs(stage: RewardStage) -> str:
    """Digest of the data of `stage` that no earlier stage writes."""
    named = outside(stage.data)
    return fingerprint(list_files(named)) if named else ""


def run(stage: RewardStage, context: Context) -> Outcome:
    """Train, and leave the reward model in `context.folder / "model"`: AutoModelForSequenceClassification with one label.

    An interrupted run goes on from its last checkpoint. Raises DataError for unusable rows or models, TrainError when the loss
    is no number or the saved model scores otherwise than the trained one, Interrupted when stopped.
    """
    source = context.source(stage.model)
    tokenizer = models.load_tokenizer(source)
    model = models.load_reward(source, tokenizer, head=False, seed=context.recipe.seed).to(context.device.type)
    if stage.max_length > model.config.max_position_embeddings:
        raise DataError(
            f"{source}: is made for {model.config.max_position_embeddings} positions, max_length is {stage.max_length}"
        )
    data = read_choices(context.rows(stage.data), stage.heldout, renderer_of(tokenizer, stage.max_length))
    if stage.margins and any(one.scores is None for one in data.train):
        raise DataError(f"{stage.data}: margins: some rows have neither a margin nor scores")
    context.note(data.told())
    if context.check:
        for text in data.shown:
            context.report.emit("example", name=context.name, message=text)

    def judged(some: Any) -> Judged:
        return judge_rankings(some, data.heldout, context.device, stage.precision, stage.margins)

    before = judged(model)
    watch = _train(stage, context, data, model, tokenizer, lambda some: judged(some).loss)
    model.eval()
    kept = judge_rankings(model, data.heldout[:RELOADED], context.device, stage.precision, stage.margins)
    models.save(model, tokenizer, context.folder / "model", None)
    saved = models.load_reward(context.folder / "model", tokenizer, head=True).to(context.device.type).eval()
    again = judge_rankings(saved, data.heldout[:RELOADED], context.device, stage.precision, stage.margins)
    if max(abs(one - other) for one, other in zip(kept.scores, again.scores, strict=True)) > 1e-4:
        raise TrainError(
            f"{context.folder / 'model'}: scores otherwise than the model that was trained; its head was not saved"
        )
    after = judged(saved)
    summary = {
        "measure": {
            "name": "held-out accuracy of the order",
            "before": before.accuracy,
            "after": after.accuracy,
            "better": "higher",
        },
        "loss_before": before.loss,
        "loss_after": after.loss,
        **after.summary(),
        # How far the mean score moved, in standard deviations of the scores: the order does not depend on it.
        "score_drift": (after.mean - before.mean) / after.deviation if after.deviation else 0.0,
        "steps": watch.step,
        "tokens": watch.tokens,
        "seconds": round(watch.seconds, 3),
        "tokens_per_second": round(watch.tokens / watch.seconds, 1),
        **data.counts(),
        "pairs_trained": sum(len(one.pairs()) for one in data.train),
    }
    return Outcome(summary, "chat" if data.renderer.templated else "instruction")


def ranking_loss(scores: torch.Tensor, group: torch.Tensor, pairs: torch.Tensor, margins: torch.Tensor, center: float) -> Any:
    """Loss of each prompt, float[groups]: the mean over its pairs.

    scores: float[answers]; pairs: int[n, 2], better and worse answer; group: int[n], the prompt of each pair, every one from 0
    up having one; margins: float[n]. O(pairs).
    """
    import torch
    import torch.nn.functional as functional

    better, worse = scores[pairs[:, 0]], scores[pairs[:, 1]]
    each = -functional.logsigmoid(better - worse - margins)
    if center:
        each = each + center * (better + worse) ** 2
    count = torch.bincount(group)
    return torch.zeros(len(count), device=scores.device, dtype=each.dtype).index_add(0, group, each) / count


def collate(rankings: list[Ranking], pad: int, margins: bool) -> dict[str, Any]:
    """Prompts and all their answers as one batch: input_ids and attention_mask (answers, tokens), padded on the right; pairs,
    group and margins as `ranking_loss` takes them; labels: one zero a prompt, by which the trainer counts them."""
    import torch

    rows = [[*one.prompt, *answer] for one in rankings for answer in one.answers]
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad)
    mask = torch.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    pairs, group, margin, first = [], [], [], 0
    for number, one in enumerate(rankings):
        for i, j in one.pairs():
            pairs.append((first + i, first + j))
            group.append(number)
            margin.append(max(0.0, one.scores[i] - one.scores[j]) if margins and one.scores else 0.0)
        first += len(one.answers)
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "pairs": torch.tensor(pairs),
        "group": torch.tensor(group),
        "margins": torch.tensor(margin),
        "labels": torch.zeros(len(rankings), dtype=torch.long),
    }


def _train(
    stage: RewardStage, context: Context, data: Choices, model: Any, tokenizer: Any, evaluate: Callable[[Any], float]
) -> Watch:
    from transformers import TrainingArguments

    from train.tune import Tuning

    most = max(len(one.answers) for one in data.train)
    micro = context.device.micro(stage.batch, stage.max_length * most)
    steps = stage.steps or math.ceil(stage.epochs * math.ceil(len(data.train) / stage.batch.sequences))
    tuning = Tuning(stage, context, model, steps, evaluate)
    pad = tokenizer.pad_token_id
    trainer = _trainer()(
        center=stage.center,
        model=model,
        args=TrainingArguments(
            **tuning.arguments(micro, stage.batch.sequences // micro),
            remove_unused_columns=False,
            label_names=["labels"],
        ),
        train_dataset=data.train,
        data_collator=lambda rows: collate(rows, pad, stage.margins),
        optimizers=tuning.optimizers,
        callbacks=[tuning.watch],
    )
    return tuning.run(trainer)


def _trainer() -> Any:
    """transformers' Trainer with our loss. A function, because the library is imported late."""
    from transformers import Trainer

    class RankingTrainer(Trainer):  # type: ignore[misc]
        def __init__(self, center: float, **options: Any) -> None:
            super().__init__(**options)
            # Or the loss would be divided once more by the number of micro-batches.
            self.model_accepts_loss_kwargs = True
            self.center = center
            self.tokens = 0
            self.right = [0, 0]
            self.seen: list[torch.Tensor] = []

        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
            """The sum over the prompts here, over the prompts of the whole step: the micro-batch does not matter."""
            scores = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits[:, 0].float()
            losses = ranking_loss(scores, inputs["group"], inputs["pairs"], inputs["margins"], self.center)
            seen, pairs = scores.detach(), inputs["pairs"]
            self.tokens += int(inputs["attention_mask"].sum())
            self.right[0] += int((seen[pairs[:, 0]] > seen[pairs[:, 1]]).sum())
            self.right[1] += len(pairs)
            self.seen.append(seen)
            loss = losses.sum() / (len(losses) if num_items_in_batch is None else num_items_in_batch)
            return (loss, scores) if return_outputs else loss

        def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
            """Add what this step saw: share of pairs in the right order, mean and spread of the scores."""
            if "loss" in logs and self.seen:
                import torch

                seen = torch.cat(self.seen)
                logs |= {
                    "num_tokens": self.tokens,
                    "accuracy": self.right[0] / self.right[1],
                    "score_mean": float(seen.mean()),
                    "score_std": float(seen.std(correction=0)),
                }
                self.right, self.seen = [0, 0], []
            super().log(logs, *args, **options)

    return RankingTrainer
