"""What an answer is worth: the score of a reward model, what a Python function says, or a weighted sum of several.

The one place where answers are scored: held-out scores of the reward stage, RL, labelling and comparing all come here.
A reward model is given prompt and answer as its own tokenizer and template render them, exactly as it was trained.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train import model as models
from train.choices import renderer_of
from train.config import RewardSource
from train.device import Device
from train.errors import DataError, TrainError
from train.groups import Turns
from train.rows import fingerprint
from train.stage import Context

if TYPE_CHECKING:
    from train.render import Renderer

__all__ = ["Asked", "Judge", "function_fingerprint", "open_judges", "score_ids", "total"]

Asked = tuple[Turns, str, dict[str, Any]]
"""A prompt, an answer to it, and the row that the prompt came from."""

TOKENS = {"cpu": 4096, "cuda": 65536}
"""Tokens scored at once."""


class Judge:
    """One part of a reward. `score` gives a number for each answer, or None for one that cannot be scored (too long)."""

    def __init__(self, name: str, weight: float, score: Callable[[Sequence[Asked]], list[float | None]]) -> None:
        self.name, self.weight, self.score = name, weight, score


def total(judges: list[Judge], asked: Sequence[Asked]) -> list[float | None]:
    """The weighted sum of what the judges say of each answer; None where one of them cannot tell."""
    parts = [judge.score(asked) for judge in judges]
    weights = [judge.weight for judge in judges]
    return [
        None if None in said else math.fsum(w * s for w, s in zip(weights, said, strict=True) if s is not None)
        for said in zip(*parts, strict=True)
    ]


def open_judges(sources: list[RewardSource], context: Context, max_length: int, precision: str) -> list[Judge]:
    """The parts of a reward, ready to score. Raises DataError for a model or function that is not there."""
    judges = []
    for source in sources:
        if source.function is not None:
            judges.append(Judge(source.function, source.weight, _Function(source.function)))
        else:
            assert source.model is not None
            judges.append(Judge(source.model, source.weight, _Model(source.model, context, max_length, precision)))
    return judges


def function_fingerprint(function: str) -> str:
    """Digest of the file that `file.py:function` is in. Raises DataError when it is not there."""
    file = Path(function.rpartition(":")[0])
    if not file.is_file():
        raise DataError(f"{file}: no such file (a reward function is file.py:function)")
    return fingerprint([file])


class _Function:
    """`file.py:function`, called once for each answer."""

    def __init__(self, name: str) -> None:
        file, _, attribute = name.rpartition(":")
        function_fingerprint(name)
        spec = importlib.util.spec_from_file_location(f"reward_{Path(file).stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # whatever a person's file does when it is read
            raise DataError(f"{file}: cannot be imported ({type(error).__name__}: {error})") from error
        function = getattr(module, attribute, None)
        if not callable(function):
            raise DataError(f"{file}: has no function {attribute}")
        self._name, self._function = name, function

    def __call__(self, asked: Sequence[Asked]) -> list[float | None]:
        return [self._one(*one) for one in asked]

    def _one(self, turns: Turns, text: str, row: dict[str, Any]) -> float:
        shown = f"{text[:60]!r}"
        try:
            reward = self._function(turns, text, row)
        except Exception as error:  # whatever a person's function does
            raise TrainError(f"{self._name}: failed on the answer {shown} ({type(error).__name__}: {error})") from error
        if isinstance(reward, bool | int | float) and math.isfinite(reward):
            return float(reward)
        raise TrainError(f"{self._name}: gave {reward!r} for the answer {shown}; a reward is a finite number")


class _Model:
    """A folder that the reward stage wrote, or any AutoModelForSequenceClassification with one label."""

    def __init__(self, name: str, context: Context, max_length: int, precision: str) -> None:
        folder = context.source(name)
        tokenizer = models.load_tokenizer(folder)
        self._model = models.load_reward(folder, tokenizer, head=True).to(context.device.type).eval()
        room = self._model.config.max_position_embeddings
        self.renderer: Renderer = renderer_of(tokenizer, min(max_length, room))
        self._device, self._precision = context.device, precision

    def __call__(self, asked: Sequence[Asked]) -> list[float | None]:
        ids: list[list[int]] = []
        for turns, text, _ in asked:
            choice = self.renderer.render_answers("a row to score", turns, [text])
            dropped = choice.dropped or choice.answers[0].dropped
            ids.append([] if dropped else [*choice.prompt, *choice.answers[0].ids])
        scored = [i for i, one in enumerate(ids) if one]
        scores = score_ids(self._model, [ids[i] for i in scored], self._device, self._precision)
        found: list[float | None] = [None] * len(ids)
        for i, score in zip(scored, scores, strict=True):
            found[i] = score
        return found


def score_ids(model: Any, rows: Sequence[Sequence[int]], device: Device, precision: str) -> list[float]:
    """The scores of texts as ids, in order. Sorted by length inside, so that little is padded. O(rows log rows).

    Raises TrainError for a score that is no finite number.
    """
    import torch

    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    scores = [0.0] * len(rows)
    pad = model.config.pad_token_id
    with torch.no_grad(), device.autocast(precision):
        while order:
            width = len(rows[order[-1]])
            batch = order[-max(1, TOKENS[device.type] // width) :]
            del order[-len(batch) :]
            ids = torch.full((len(batch), width), pad)
            mask = torch.zeros_like(ids)
            for i, row in enumerate(batch):
                ids[i, : len(rows[row])] = torch.tensor(list(rows[row]))
                mask[i, : len(rows[row])] = 1
            logits = model(input_ids=device.move(ids), attention_mask=device.move(mask)).logits
            for row, score in zip(batch, logits[:, 0].float().tolist(), strict=True):
                scores[row] = score
    if not all(map(math.isfinite, scores)):
        where = model.config.name_or_path or "the reward model"
        raise TrainError(f"{where}: gives a score that is no finite number; its weights are broken, train it again")
    return scores
