"""GRPO and RLOO with TRL's trainers: answers drawn from the model, scored by our judges, likelier where they score well."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from train import model as models
from train.choices import renderer_of
from train.config import GrpoStage, RlooStage
from train.errors import DataError, TrainError
from train.groups import outside
from train.intervals import bootstrap
from train.policy import Speaker, check_reference, divergence
from train.prompts import Prompt, Prompts, read_prompts, spread
from train.rewards import Asked, Judge, open_judges, total
from train.rows import fingerprint, list_files
from train.stage import Context, Outcome

if TYPE_CHECKING:
    from train.follow import Watch

__all__ = ["inputs", "rewarded", "run"]


def inputs(stage: GrpoStage | RlooStage) -> str:
    """Digest of the data of `stage` that no earlier stage writes."""
    named = outside(stage.data)
    return fingerprint(list_files(named)) if named else ""


def run(stage: GrpoStage | RlooStage, context: Context) -> Outcome:
    """Tune, and leave the model in `context.folder / "model"`.

    An interrupted run goes on from its last checkpoint. Raises DataError for unusable rows, models or functions, TrainError
    when the loss or a reward is no number, Interrupted when stopped.
    """
    source = context.source(stage.model)
    tokenizer = models.load_tokenizer(source)
    model = models.load(source).to(context.device.type)
    room = model.config.max_position_embeddings
    if stage.max_length > room:
        raise DataError(f"{source}: is made for {room} positions, max_length is {stage.max_length}")
    renderer = renderer_of(tokenizer, stage.max_length)
    data = read_prompts(context.rows(stage.data), renderer, stage.max_length - stage.max_new_tokens, stage.heldout)
    context.note(data.told())
    asked = stage.batch.sequences // stage.group
    if len(data.train) < asked:
        raise DataError(f"{stage.data}: a step takes {asked} prompts and there are {len(data.train)}; lower batch.sequences")
    judges = open_judges(stage.rewards, context, stage.max_length, stage.precision)
    reference = models.load(source).to(context.device.type).eval().requires_grad_(False)
    chosen = spread(data.heldout, stage.eval.sequences)

    def measure(some: Any) -> _Answered:
        return _Answered(stage, context, Speaker(some, renderer, context.device, stage.precision), chosen, judges)

    before = measure(reference)
    watch = _train(stage, context, data, model, before, judges, renderer)
    models.save(model, tokenizer, context.folder / "model", renderer.stop_ids)
    saved = models.load(context.folder / "model").to(context.device.type).eval()
    after = measure(saved)
    gains = [one - other for one, other in zip(after.rewards, before.rewards, strict=True)]
    summary = {
        "measure": {
            "name": "mean reward on held-out prompts",
            "before": before.mean,
            "after": after.mean,
            "better": "higher",
        },
        "reward_gain_interval": list(bootstrap(gains, context.recipe.seed)),
        "kl": divergence(saved, reference, after.rows, context.device, stage.precision, stage.temperature),
        "ended_before": before.ended,
        "ended_after": after.ended,
        "length_before": before.length,
        "length_after": after.length,
        "steps": watch.step,
        "tokens": watch.tokens,
        "seconds": round(watch.seconds, 3),
        "tokens_per_second": round(watch.tokens / watch.seconds, 1),
        **data.counts(),
    }
    return Outcome(summary, "chat" if renderer.templated else "instruction")


class _Answered:
    """Held-out prompts answered and scored: the same prompts and seed whenever it is asked."""

    def __init__(
        self, stage: GrpoStage | RlooStage, context: Context, speaker: Speaker, prompts: list[Prompt], judges: list[Judge]
    ) -> None:
        answers = speaker.answers([one.ids for one in prompts], stage.max_new_tokens, stage.temperature, context.recipe.seed)
        self.rows = [(one.ids, said) for one, said in zip(prompts, answers, strict=True)]
        self.rewards = rewarded(speaker, prompts, answers, judges, stage.cut_penalty)
        self.mean = math.fsum(self.rewards) / len(self.rewards)
        self.ended = sum(map(speaker.ended, answers)) / len(answers)
        self.length = sum(map(len, answers)) / len(answers)


def rewarded(
    speaker: Speaker, prompts: list[Prompt], answers: list[list[int]], judges: list[Judge], cut_penalty: float
) -> list[float]:
    """The reward of each answer; what was cut before it ended pays `cut_penalty`. One that cannot be scored (it spells a
    special token, or is too long as the judge's tokenizer has it) counts as the worst beside it."""
    asked: list[Asked] = [(p.turns, speaker.text(said), p.row) for p, said in zip(prompts, answers, strict=True)]
    rewards = _known(total(judges, asked))
    return [r if speaker.ended(said) else r - cut_penalty for r, said in zip(rewards, answers, strict=True)]


def _known(rewards: list[float | None]) -> list[float]:
    known = [reward for reward in rewards if reward is not None]
    if not known:
        raise TrainError("no answer can be scored: all are longer than the reward model takes, or spell special tokens")
    return [min(known) if reward is None else reward for reward in rewards]


def _train(
    stage: GrpoStage | RlooStage,
    context: Context,
    data: Prompts,
    model: Any,
    before: _Answered,
    judges: list[Judge],
    renderer: Any,
) -> Watch:
    import datasets
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

    from train.tune import Tuning

    micro = context.device.micro(stage.batch, stage.max_length)
    steps = stage.steps or math.ceil(stage.epochs * len(data.train) * stage.group / stage.batch.sequences)
    tuning = Tuning(stage, context, model, steps, None)
    # The state that a checkpoint brings back has them counted.
    tuning.watch.forget_tokens()
    common = {
        **tuning.arguments(micro, stage.batch.sequences // micro),
        "num_generations": stage.group,
        "max_completion_length": stage.max_new_tokens,
        "temperature": stage.temperature,
        "beta": stage.beta,
        "reward_weights": [judge.weight for judge in judges] + [1.0],
    }
    model.generation_config.eos_token_id = renderer.stop_ids
    speaker = Speaker(model, renderer, context.device, stage.precision)
    grpo = isinstance(stage, GrpoStage)
    trainer = (GRPOTrainer if grpo else RLOOTrainer)(
        model=model,
        args=(GRPOConfig if grpo else RLOOConfig)(**common),
        reward_funcs=[_asked(judge, speaker, data.train) for judge in judges] + [_cut(speaker, stage.cut_penalty)],
        train_dataset=datasets.Dataset.from_dict(
            {"prompt": [_as_trl_takes_it(one, renderer) for one in data.train], "number": list(range(len(data.train)))}
        ),
        processing_class=renderer.tokenizer,
        optimizers=tuning.optimizers,
        callbacks=[tuning.watch],
    )
    ids = trainer._tokenize_prompts([_as_trl_takes_it(one, renderer) for one in data.train[:8]])[0]
    if ids != [one.ids for one in data.train[:8]]:
        raise TrainError(
            "TRL reads the prompts as other tokens than they are rendered to; is trl of another version than 1.16?"
        )
    if trainer.ref_model is not None:
        check_reference(model, trainer.ref_model, before.rows[:8], context.device, stage.precision)
    return tuning.run(trainer)


def _as_trl_takes_it(prompt: Prompt, renderer: Any) -> Any:
    """A prompt that TRL's trainer turns into the ids that it was rendered to."""
    return prompt.turns if renderer.templated else f"{prompt.turns[0]['content']}\n\n"


def _asked(judge: Judge, speaker: Speaker, prompts: list[Prompt]) -> Callable[..., list[float]]:
    """A judge as a reward function of TRL."""

    def score(completion_ids: list[list[int]], number: list[int], **_: Any) -> list[float]:
        asked = [(prompts[n].turns, speaker.text(said), prompts[n].row) for n, said in zip(number, completion_ids, strict=True)]
        return _known(judge.score(asked))

    score.__name__ = judge.name
    return score


def _cut(speaker: Speaker, penalty: float) -> Callable[..., list[float]]:
    """The penalty for answers that were cut, as a reward function of TRL."""

    def cut(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [0.0 if speaker.ended(said) else -penalty for said in completion_ids]

    return cut
