"""A chain of stages: each starts from the model of the one before; finished ones are not run again."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

from train import model as models
from train.boards import need_boards
from train.config import (
    DpoStage,
    EvaluateStage,
    GrpoStage,
    KtoStage,
    PretrainStage,
    RewardStage,
    RlooStage,
    SampleStage,
    ScoreStage,
    Stage,
    SupervisedStage,
    TrainRecipe,
)
from train.device import open_device
from train.distributed import open_world
from train.errors import TrainError
from train.evaluate import answer
from train.references import REFERENCE, references
from train.render import Renderer
from train.report import Reporter, markdown, write_atomic, write_json
from train.rewards import function_fingerprint
from train.stage import Context, Interrupts

__all__ = ["checked", "run_chain"]


def run_chain(recipe: TrainRecipe, report: Reporter, interrupts: Interrupts, *, check: bool = False) -> dict[str, Any]:
    """Run the stages of `recipe` that are not done yet. Returns what it writes to out/summary.json.

    A stage is done when its folder holds done.json with the digest of its options, seed and inputs; the digest of its
    input model counts among these, so that a change in one stage runs all later ones again.
    Raises TrainError (and its kinds) with what is finished kept.
    """
    out = Path(recipe.out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainError(f"{out}: cannot be written ({error.strerror}); choose another out") from error
    device = open_device(recipe.device, recipe.threads)
    world = open_world(device.type)
    if recipe.log:
        need_boards(recipe.log)
    summaries: list[dict[str, Any]] = []
    answers: dict[str, list[dict[str, Any]]] = {}
    digests: dict[str, str] = {}
    previous: Path | None = None
    previous_digest = ""
    # All inputs first: a mistake in the last stage should not wait for the first to be trained.
    inputs = [_module(stage).inputs(stage) for stage in recipe.stages]
    for stage, data in zip(recipe.stages, inputs, strict=True):
        name = stage.name or stage.stage
        module = _module(stage)
        # What a file is called does not matter, what is in it does; nor does how often checkpoints are saved.
        options = stage.model_dump(mode="json", exclude={"save", "name", "data", "allow"})
        reads = [digests[of] for of in references(stage.model_dump(mode="json", include={"data"}))]
        digest = _digest([_pinned(options, previous_digest, digests), recipe.seed, device.type, data, reads])
        digests[name] = digest
        folder = out / name
        context = Context(recipe, name, folder, previous, digest, device, report, interrupts, check, world)
        summary, said = _run_stage(stage, module, context)
        summaries.append(summary)
        answers[name] = said
        if stage.speaks:
            previous, previous_digest = folder / "model", digest
    if not world.main:
        return {"stages": summaries}
    samples = [
        {"prompt": prompt, "answers": {name: said[i]["answer"] for name, said in answers.items() if said}}
        for i, prompt in enumerate(recipe.prompts)
    ]
    result = {"device": device.type, "stages": summaries, "samples": samples}
    write_json(out / "summary.json", result)
    write_atomic(out / "report.md", markdown(summaries, samples))
    report.emit("done", out=str(out), report=str(out / "report.md"))
    return result


def _module(stage: Stage) -> ModuleType:
    """The file that runs a kind of stage: `inputs(stage)` and `run(stage, context)`."""
    match stage:
        case PretrainStage():
            from train import pretrain

            return pretrain
        case SupervisedStage():
            from train import supervised

            return supervised
        case RewardStage():
            from train import reward

            return reward
        case DpoStage() | KtoStage():
            from train import preference

            return preference
        case GrpoStage() | RlooStage():
            from train import reinforce

            return reinforce
        case SampleStage():
            from train import sample

            return sample
        case ScoreStage():
            from train import score

            return score
        case EvaluateStage():
            from train import compare

            return compare


def _pinned(options: Any, previous: str, digests: dict[str, str]) -> Any:
    """Options with what models, functions and stages are in place of what they are called."""
    match options:
        case dict():
            return {key: _pinned_value(key, value, previous, digests) for key, value in options.items()}
        case list():
            return [_pinned(item, previous, digests) for item in options]
        case _:
            return options


def _pinned_value(key: str, value: Any, previous: str, digests: dict[str, str]) -> Any:
    if key == "models":
        return [_pinned_value("model", item, previous, digests) for item in value]
    if key == "function" and isinstance(value, str):
        return [function_fingerprint(value), value.rpartition(":")[2]]
    if key != "model" or not isinstance(value, str):
        return _pinned(value, previous, digests)
    if value == "previous":
        return previous
    return digests[value.removeprefix(REFERENCE)] if value.startswith(REFERENCE) else models.model_fingerprint(value)


def _run_stage(stage: Stage, module: ModuleType, context: Context) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary and the answers of a stage, run now or earlier."""
    folder = context.folder
    world = context.world
    done = world.agree(_read(folder / "done.json") if world.main else None)
    asked = _digest([context.recipe.prompts, context.recipe.max_new_tokens, context.recipe.temperature, context.recipe.seed])
    if done.get("digest") == context.digest:
        summary = _read(folder / "summary.json")
        context.note("done already, with the same options and inputs")
    else:
        if done:
            context.note("its options or inputs changed since it was done; it runs again")
        folder.mkdir(parents=True, exist_ok=True)
        if world.size > 1 and not isinstance(stage, PretrainStage):
            raise TrainError(f"{context.name}: runs in one process; run the recipe without torchrun, what is done stays done")
        if world.main:
            (folder / "done.json").unlink(missing_ok=True)
        outcome = module.run(stage, context)
        summary = {"stage": stage.stage, "name": context.name, "format": outcome.format, **outcome.summary}
        if not world.main:
            return summary, []
        write_json(folder / "summary.json", summary)
        write_json(folder / "done.json", {"digest": context.digest})
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    if not world.main:
        return summary, []
    if done.get("digest") != context.digest or done.get("samples") != asked:
        said = _answers(context, summary["format"], stage.speaks)
        write_atomic(folder / "samples.jsonl", "".join(json.dumps(s, ensure_ascii=False) + "\n" for s in said))
        write_json(folder / "done.json", {"digest": context.digest, "samples": asked})
        context.report.emit("stage_done", **summary)
    else:
        said = [json.loads(line) for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()]
    return summary, said


def _answers(context: Context, row_format: str, speaks: bool) -> list[dict[str, Any]]:
    """The recipe's prompts answered by the model as it was saved; none by a stage that leaves no model that answers."""
    recipe = context.recipe
    if not recipe.prompts or not speaks:
        return []
    folder = context.folder / "model"
    if row_format == "masked":
        from train.masked import fill_in

        encoder = models.load(folder, "AutoModelForMaskedLM").to(context.device.type).eval()
        return [fill_in(encoder, models.load_tokenizer(folder), prompt) for prompt in recipe.prompts]
    model = models.load(folder).to(context.device.type).eval()
    renderer = Renderer(models.load_tokenizer(folder), row_format, max_length=1, too_long="cut")
    return [
        answer(
            model,
            renderer,
            prompt,
            max_new_tokens=recipe.max_new_tokens,
            temperature=recipe.temperature,
            seed=recipe.seed,
        )
        for prompt in recipe.prompts
    ]


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _digest(content: list[Any]) -> str:
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()


def checked(recipe: TrainRecipe, folder: Path) -> TrainRecipe:
    """`recipe` with two steps a stage and one evaluation, written to `folder`: what `--check` runs."""
    limits: dict[str, Any] = {"steps": 2, "tokens": None, "minutes": None}
    # Pretraining stops by itself, and says how long all its steps would take.
    stages = [
        stage
        if isinstance(stage, PretrainStage)
        else stage.model_copy(update={key: value for key, value in limits.items() if key in type(stage).model_fields})
        for stage in recipe.stages
    ]
    return recipe.model_copy(update={"out": str(folder), "stages": stages})
