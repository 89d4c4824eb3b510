"""The options that say which model answers, and how it is asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from curate.declare import Options
from curate.errors import InputError, UsageError
from curate.models.backend import Backend
from curate.models.cache import Cache
from curate.models.limits import Limits
from curate.models.progress import Progress

if TYPE_CHECKING:
    from curate.models.asker import Asker

__all__ = ["Model"]


class Model(Options):
    """A model and where it is. The key itself is never an option: options are written to reports and to `run.json`."""

    model: str = Field("", description="Name of the model, as the endpoint knows it; a folder needs none.")
    endpoint: str = Field(
        min_length=1,
        description="Where the model answers: the address of an OpenAI-compatible server (`http://localhost:8000/v1`), a "
        "folder of a transformers model such as `curate train` makes, or `file:FOLDER` for batch files.",
    )
    key_env: str | None = Field(None, description="Environment variable that holds the key of the endpoint.")
    key_file: str | None = Field(None, description="File that holds the key of the endpoint, and nothing else.")
    prompt_price: float = Field(0.0, ge=0, description="Price of a million tokens of prompt.")
    completion_price: float = Field(0.0, ge=0, description="Price of a million tokens of answer, reasoning included.")
    concurrency: int = Field(
        64, ge=1, le=4096, description="Most requests at once; fewer while the endpoint refuses for its rate."
    )
    timeout: float = Field(300.0, gt=0, description="Seconds after which a try of a request is given up.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        remote = self.endpoint.startswith(("http://", "https://"))
        if remote:
            from curate.models.http import base_of

            try:
                base_of(self.endpoint)
            except UsageError as error:
                raise ValueError(str(error)) from error
        elif self.key_env is not None or self.key_file is not None:
            raise ValueError("key_env and key_file are for an endpoint that starts with http:// or https://")
        if self.key_env is not None and self.key_file is not None:
            raise ValueError("key_env and key_file are two ways to say one thing; leave one of them out")
        if not self.model and (remote or self.endpoint.startswith("file:")):
            raise ValueError("an endpoint needs the name of a model, `model`")
        return self

    def key(self) -> str | None:
        """The key; None where none is named. Raises UsageError or InputError where there is nothing under that name."""
        if self.key_env is not None:
            key = os.environ.get(self.key_env, "").strip()
            if not key:
                raise UsageError(f"key_env: the environment has no {self.key_env}, or it is empty")
            return key
        if self.key_file is not None:
            try:
                key = Path(self.key_file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{self.key_file}: the key cannot be read ({type(error).__name__})") from error
            if not key:
                raise InputError(f"{self.key_file}: no key in it")
            return key
        return None

    def backend(self) -> Backend:
        """What answers. Loads nothing and connects to nothing before the first request.

        Raises UsageError, InputError, and MissingExtra where an extra is not installed.
        """
        if self.endpoint.startswith("file:"):
            from curate.models.batch_file import BatchFolder

            return BatchFolder(Path(self.endpoint.removeprefix("file:")))
        if "://" in self.endpoint:
            from curate.models.http import HttpBackend

            return HttpBackend(self.endpoint, self.key(), self.timeout)
        from curate.models.local import LocalBackend
        from curate.models.reward import RewardBackend, is_reward_model

        folder = Path(self.endpoint)
        return RewardBackend(folder) if is_reward_model(folder) else LocalBackend(folder)

    def is_reward_model(self) -> bool:
        """Whether the endpoint is a folder of a model that scores rather than speaks."""
        from curate.models.reward import is_reward_model

        return is_reward_model(Path(self.endpoint))

    def limits(self, max_requests: int | None = None, max_tokens: int | None = None, max_cost: float | None = None) -> Limits:
        """Limits with the prices of this model."""
        return Limits(max_requests, max_tokens, max_cost, self.prompt_price, self.completion_price)

    def asker(
        self, cache: Cache | None = None, limits: Limits | None = None, watch: Callable[[Progress], None] | None = None
    ) -> Asker:
        """An asker of this model. What others spend under `limits` counts too, at their own prices."""
        from curate.models.asker import Asker

        own = (limits or Limits()).priced(self.prompt_price, self.completion_price)
        return Asker(self.backend(), cache, own, watch, concurrency=self.concurrency)
