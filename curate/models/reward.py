"""A reward model in a folder: a transformers sequence classifier with one output, which scores a chat by its last answer."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from curate.errors import InputError
from curate.models.ask import Answer, Ask, Failed
from curate.models.local import LocalBackend, first_line

__all__ = ["RewardBackend", "is_reward_model"]


def is_reward_model(folder: Path) -> bool:
    """Whether a folder holds a model that scores rather than speaks: its config names a sequence classifier."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return False
    names = config.get("architectures") if isinstance(config, dict) else None
    return isinstance(names, list) and any(str(name).endswith("ForSequenceClassification") for name in names)


class RewardBackend(LocalBackend):
    """Scores with a model of this machine. The messages of a request are a prompt and its answer, under the model's own chat
    template; the answer's text is the score, with four decimals.

    A text that spells a special token of the model is not scored, as training leaves it out (`filtered`).

    Batches, cache and failures are those of `LocalBackend`; nothing is generated, so temperature, tokens and the like do not
    matter. The score is the output at the last token that is no padding, as transformers has it and TRL trains it.
    """

    raw = False

    @cached_property
    def _model(self) -> Any:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModelForSequenceClassification
        from transformers.utils.logging import disable_progress_bar, set_verbosity_error

        disable_progress_bar()
        set_verbosity_error()
        # On CPUs short floats are no faster, and their rounding would differ with what else is in the batch.
        dtype = "auto" if self._device.startswith("cuda") else torch.float32
        try:
            model = AutoModelForSequenceClassification.from_pretrained(self.folder, dtype=dtype, local_files_only=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise InputError(f"{self.folder}: the model cannot be loaded ({first_line(error)})") from error
        if model.config.num_labels != 1:
            raise InputError(f"{self.folder}: gives {model.config.num_labels} outputs a text; a reward model gives one")
        model.config.pad_token_id = self._padding
        return model.to(self._device).eval()

    @cached_property
    def _padding(self) -> int:
        tokenizer = self._tokenizer
        found = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        return int(found) if found is not None else 0

    @cached_property
    def _specials(self) -> tuple[str, ...]:
        return tuple(self._tokenizer.all_special_tokens)

    def _encode(self, ask: Ask) -> list[int] | Failed:
        if not ask.messages or ask.messages[-1]["role"] != "assistant":
            return Failed("wrong_request", f"{self.folder} is a reward model: it scores answers, and gives none", hopeless=True)
        for message in ask.messages:
            if found := next((token for token in self._specials if token in message["content"]), None):
                return Failed("filtered", f"the text spells {found}, a mark of the chat template: it would speak for others")
        return self._templated(ask, prompted=False)

    def _generate_at_once(self, batch: list[Any]) -> list[Answer | Failed]:
        import torch

        longest = max(len(wanted.ids) for wanted in batch)
        model = self._model
        ids = torch.tensor([wanted.ids + [self._padding] * (longest - len(wanted.ids)) for wanted in batch])
        mask = torch.tensor([[1] * len(wanted.ids) + [0] * (longest - len(wanted.ids)) for wanted in batch])
        with torch.inference_mode():
            scores = model(input_ids=ids.to(self._device), attention_mask=mask.to(self._device)).logits[:, 0].float().tolist()
        return [self._scored(score, len(wanted.ids)) for score, wanted in zip(scores, batch, strict=True)]

    def _scored(self, score: float, tokens: int) -> Answer | Failed:
        if score != score or abs(score) == float("inf"):
            return Failed("not_parsed", f"{self.folder} gave {score} as a score")
        # No -0.0000.
        return Answer(f"{round(score, 4) + 0.0:.4f}", None, "stop", tokens, 0)
