"""DPO and KTO with TRL's trainers, on ids that `train.render` made: no template and no tokenising of TRL's comes near them."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from train import model as models
from train.choices import Choices, Ranking, all_pairs, read_choices, renderer_of
from train.config import DpoStage, KtoStage
from train.errors import DataError
from train.groups import outside
from train.lora import adapted, merged
from train.policy import Speaker, check_reference, divergence, log_likelihoods
from train.rows import fingerprint, list_files
from train.stage import Context, Outcome

if TYPE_CHECKING:
    from train.follow import Watch

__all__ = ["inputs", "run"]

CHECKED = 8
"""Answers whose likelihood is compared between policy and reference before the first step."""

PROMPTS = 32
"""Held-out prompts that are answered to estimate the divergence from the reference."""

ANSWER = 64
"""Longest of these answers, in tokens."""

Rows = list[tuple["array[int]", "array[int]"]]


def inputs(stage: DpoStage | KtoStage) -> str:
    """Digest of the data of `stage` that no earlier stage writes."""
    named = outside(stage.data)
    return fingerprint(list_files(named)) if named else ""


def run(stage: DpoStage | KtoStage, context: Context) -> Outcome:
    """Tune, and leave the model in `context.folder / "model"`. The reference is a frozen copy of the model it starts from.

    An interrupted run goes on from its last checkpoint. Raises DataError for unusable rows or models, TrainError when the loss
    is no number or the reference is another model, Interrupted when stopped.
    """
    source = context.source(stage.model)
    tokenizer = models.load_tokenizer(source)
    reference = models.load(source).to(context.device.type).eval().requires_grad_(False)
    model = models.load(source).to(context.device.type)
    room = model.config.max_position_embeddings
    if stage.max_length > room:
        raise DataError(f"{source}: is made for {room} positions, max_length is {stage.max_length}")
    labels = isinstance(stage, KtoStage)
    data = read_choices(context.rows(stage.data), stage.heldout, renderer_of(tokenizer, stage.max_length), labels=labels)
    context.note(data.told())
    if context.check:
        for text in data.shown:
            context.report.emit("example", name=context.name, message=text)
    if labels:
        _both_labels(stage, data)
    held = _Heldout(stage, context, data.heldout, reference)
    check_reference(model, reference, held.rows[:CHECKED], context.device, stage.precision)
    watch, model = _train(stage, context, data, model, reference, tokenizer, lambda some: held.measure(some)["loss"])
    models.save(model, tokenizer, context.folder / "model", data.renderer.stop_ids)
    saved = models.load(context.folder / "model").to(context.device.type).eval()
    after = held.measure(saved)
    speaker = Speaker(saved, data.renderer, context.device, stage.precision)
    asked = [one.prompt for one in data.heldout[:PROMPTS] if len(one.prompt) < room]
    said = speaker.answers(asked, min(ANSWER, room - max(map(len, asked))), 1.0, context.recipe.seed)
    answered = list(zip(asked, said, strict=True))
    summary = {
        "measure": {
            "name": "held-out accuracy of the implicit reward",
            # Policy and reference are one model: all implicit rewards are 0, and a tie is half right.
            "before": 0.5,
            "after": after["accuracy"],
            "better": "higher",
        },
        "loss_before": held.measure(reference)["loss"],
        "loss_after": after["loss"],
        "implicit_reward_accuracy": after["accuracy"],
        "implicit_reward_good": after["good"],
        "implicit_reward_bad": after["bad"],
        "kl": divergence(saved, reference, answered, context.device, stage.precision),
        "steps": watch.step,
        "tokens": watch.tokens,
        "seconds": round(watch.seconds, 3),
        "tokens_per_second": round(watch.tokens / watch.seconds, 1),
        **data.counts(),
    }
    return Outcome(summary, "chat" if data.renderer.templated else "instruction")


def _both_labels(stage: DpoStage | KtoStage, data: Choices) -> None:
    """Raises DataError unless there are good and bad answers on both sides."""
    for side, rankings in (("train on", data.train), ("hold out", data.heldout)):
        for label, wanted in ((True, "good"), (False, "bad")):
            if not any(label in one.labels for one in rankings):
                raise DataError(f"{stage.data}: there is no {wanted} answer to {side}; KTO learns from both kinds")


class _Heldout:
    """Answers held out of training, and how likely the reference finds them."""

    def __init__(self, stage: DpoStage | KtoStage, context: Context, rankings: list[Ranking], reference: Any) -> None:
        self.stage, self.context = stage, context
        self.rows: Rows = [(one.prompt, answer) for one in rankings for answer in one.answers]
        self.good: list[int] = []
        self.bad: list[int] = []
        self.pairs: list[tuple[int, int]] = []
        first = 0
        for one in rankings:
            self.pairs += [(first + i, first + j) for i, j in one.pairs()]
            self.good += [first + i for i, label in enumerate(one.labels) if label]
            self.bad += [first + i for i, label in enumerate(one.labels) if label is False]
            first += len(one.answers)
        self.reference = log_likelihoods(reference, self.rows, context.device, stage.precision)

    def measure(self, model: Any) -> dict[str, float]:
        """Loss, accuracy of the implicit reward beta log(policy / reference), and its mean for good and bad answers.

        KTO's loss is taken without its KL term (as if policy and reference were level), and its accuracy is over all pairs of
        a good and a bad answer, whatever their prompts.
        """
        stage, now = self.stage, log_likelihoods(model, self.rows, self.context.device, self.stage.precision)
        reward = [stage.beta * (one - other) for one, other in zip(now, self.reference, strict=True)]
        if isinstance(stage, KtoStage):
            good, bad = ([reward[i] for i in side] for side in (self.good, self.bad))
            loss = math.fsum(_sigmoid(-r) for r in good) * stage.desirable_weight
            loss += math.fsum(_sigmoid(r) for r in bad) * stage.undesirable_weight
            loss, right = loss / len(reward), [_right(g - b) for g in good for b in bad]
        else:
            good, bad = ([reward[pair[side]] for pair in self.pairs] for side in (0, 1))
            right = [_right(g - b) for g, b in zip(good, bad, strict=True)]
            loss = math.fsum(self._pair_loss(*pair, reward) for pair in self.pairs) / len(self.pairs)
        return {"loss": loss, "accuracy": _mean(right), "good": _mean(good), "bad": _mean(bad)}

    def _pair_loss(self, better: int, worse: int, reward: list[float]) -> float:
        stage = self.stage
        assert isinstance(stage, DpoStage)
        difference = reward[better] - reward[worse]
        match stage.loss:
            case "sigmoid":
                return max(0.0, -difference) + math.log1p(math.exp(-abs(difference)))
            case "hinge":
                return max(0.0, 1 - difference)
            case "ipo":
                each = (reward[i] / stage.beta / len(self.rows[i][1]) for i in (better, worse))
                return (next(each) - next(each) - 1 / (2 * stage.beta)) ** 2


def _train(
    stage: DpoStage | KtoStage,
    context: Context,
    data: Choices,
    model: Any,
    reference: Any,
    tokenizer: Any,
    evaluate: Callable[[Any], float],
) -> tuple[Watch, Any]:
    """Train. Returns how it went, and the model, adapters merged into it."""
    from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer

    from train.tune import Tuning

    class Pairs(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            """The rows are ids already."""
            return dataset

    class Labels(KTOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            """The rows are ids already."""
            return dataset

    kto = isinstance(stage, KtoStage)
    columns = _labels(data, context.recipe.seed) if isinstance(stage, KtoStage) else _pairs(data)
    count = len(columns["prompt_ids"])
    micro = context.device.micro(stage.batch, stage.max_length * 2)
    steps = stage.steps or math.ceil(stage.epochs * math.ceil(count / stage.batch.sequences))
    lora = stage.lora if isinstance(stage, DpoStage) else None
    if lora:
        model = adapted(model, lora, context.recipe.seed)
    tuning = Tuning(stage, context, model, steps, evaluate)
    common = {
        **tuning.arguments(micro, stage.batch.sequences // micro),
        "max_length": stage.max_length,
        "beta": stage.beta,
    }
    if isinstance(stage, KtoStage):
        weights = {"desirable_weight": stage.desirable_weight, "undesirable_weight": stage.undesirable_weight}
        # The rows were shuffled when they were paired with answers to other prompts.
        args: Any = KTOConfig(**common, **weights, train_sampling_strategy="sequential")
    else:
        args = DPOConfig(**common, loss_type=[stage.loss])
    trainer = (Labels if kto else Pairs)(
        model=model,
        # With adapters the reference is the model without them.
        ref_model=None if lora else reference,
        args=args,
        train_dataset=_dataset(columns),
        processing_class=tokenizer,
        optimizers=tuning.optimizers,
        callbacks=[tuning.watch],
    )
    watch = tuning.run(trainer)
    return watch, merged(model) if lora else model


def _pairs(data: Choices) -> dict[str, list[Any]]:
    rows = list(all_pairs(data.train))
    return {name: [row[i] for row in rows] for i, name in enumerate(("prompt_ids", "chosen_ids", "rejected_ids"))}


def _labels(data: Choices, seed: int) -> dict[str, list[Any]]:
    """Answers with labels in an order drawn with `seed`, and beside each an answer to another prompt: that of the row before,
    from which the KL term is estimated."""
    rows = [(one.prompt, answer, label) for one in data.train for answer, label in zip(one.answers, one.labels, strict=True)]
    random.Random(seed).shuffle(rows)
    answers = [row[1] for row in rows]
    return {
        "prompt_ids": [row[0] for row in rows],
        "completion_ids": answers,
        "KL_completion_ids": answers[-1:] + answers[:-1],
        "label": [row[2] for row in rows],
    }


def _dataset(columns: dict[str, list[Any]]) -> Any:
    """Columns of ids and labels as a datasets.Dataset in memory."""
    import datasets
    import numpy as np
    import pyarrow as pa

    def column(values: list[Any]) -> pa.Array:
        if not isinstance(values[0], array):
            return pa.array(values)
        ends = pa.array(np.cumsum([0, *map(len, values)]))
        return pa.LargeListArray.from_arrays(ends, pa.array(np.concatenate([np.frombuffer(v, np.int32) for v in values])))

    return datasets.Dataset(pa.table({name: column(values) for name, values in columns.items()}))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def _right(difference: float) -> float:
    return 0.5 if difference == 0 else float(difference > 0)


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
