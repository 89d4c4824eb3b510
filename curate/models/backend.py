"""What answers requests: an endpoint, a model folder or a batch file, all alike."""

from __future__ import annotations

from typing import Protocol

from curate.models.ask import Answer, Ask, Failed

__all__ = ["Backend", "Postponed"]


class Postponed(Exception):
    """Raised by `Backend.answer`: the request is written down, and is answered in a later run. The message says what to do."""


class Backend(Protocol):
    """One source of answers."""

    @property
    def endpoint(self) -> str:
        """What it is in the keys of a cache: an address, or the digest of a model. Never holds a secret."""
        ...

    @property
    def raw(self) -> bool:
        """Whether it takes raw prompts. An HTTP endpoint is taken to until it says that it does not."""
        ...

    async def answer(self, ask: Ask) -> Answer | Failed:
        """One try. Raises nothing but Postponed and CurateError; a failure is returned, with its kind."""
        ...

    async def close(self) -> None:
        """Close connections, stop threads."""
        ...
