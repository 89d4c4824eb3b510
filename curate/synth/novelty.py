"""Whether a text says something new: by ROUGE-L against every text before it, as self-instruct has it (Wang et al. 2023)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Novelty", "Similar", "Splitter", "split"]

Splitter = Literal["unicode", "rouge"]
"""rouge: runs of a-z and 0-9 in lower case, as rouge_score cuts; other scripts have no word at all there. unicode: words of
every script, in lower case; of Chinese and Japanese each character. On ASCII without `_` the two are the same."""

_ROUGE = re.compile(r"[a-z0-9]+")


class Similar(NamedTuple):
    """The text before that is most alike."""

    text: str
    f: float


class Novelty:
    """Texts held against those that come: grows by one text at a time.

    A look-up costs some nanoseconds for every text held, plus a comparison for those that could be as similar as `threshold`.
    Memory: the texts, 4 bytes a word and 24 a text.
    """

    def __init__(self, threshold: float, splitter: Splitter = "unicode") -> None:
        import numpy as np

        self.threshold = threshold
        self.splitter: Splitter = splitter
        self._numbers: dict[str, int] = {}
        self._texts: list[str] = []
        self._tokens = np.empty(1024, np.int32)
        self._bounds = np.zeros(256, np.int64)
        self._signatures = np.empty((256, 2), np.uint64)
        self._place = np.zeros(1024, np.int32)

    def __len__(self) -> int:
        return len(self._texts)

    def tokens(self, text: str) -> NDArray[np.int32]:
        """The text's words as numbers."""
        import numpy as np

        numbers = self._numbers
        found = np.fromiter((numbers.setdefault(w, len(numbers)) for w in split(text, self.splitter)), dtype=np.int32)
        if len(numbers) > len(self._place):
            self._place = np.zeros(2 * len(numbers), np.int32)
        return found

    def similar(self, text: str) -> Similar | None:
        """The most similar of the texts held, where its ROUGE-L F is above the threshold; of equal ones the first."""
        return self._similar(self.tokens(text))

    def _similar(self, tokens: NDArray[np.int32]) -> Similar | None:
        from curate.kernels.lcs import most_similar

        at, f = most_similar(
            tokens, self._tokens, self._bounds, self._signatures, len(self._texts), self._place, self.threshold
        )
        return None if at < 0 else Similar(self._texts[at], f)

    def add(self, text: str) -> None:
        """Hold a text."""
        self._add(text, self.tokens(text))

    def add_if_new(self, text: str) -> Similar | None:
        """Hold a text unless one like it is held: then that one."""
        tokens = self.tokens(text)
        similar = self._similar(tokens)
        if similar is None:
            self._add(text, tokens)
        return similar

    def _add(self, text: str, tokens: NDArray[np.int32]) -> None:
        import numpy as np

        from curate.kernels.lcs import signature

        n = len(self._texts)
        end = int(self._bounds[n]) + len(tokens)
        if n + 1 == len(self._bounds):
            self._bounds = np.resize(self._bounds, 2 * (n + 1))
            self._signatures = np.resize(self._signatures, (2 * (n + 1), 2))
        if end > len(self._tokens):
            self._tokens = np.resize(self._tokens, 2 * end)
        self._tokens[end - len(tokens) : end] = tokens
        self._bounds[n + 1] = end
        self._signatures[n] = signature(tokens)
        self._texts.append(text)


def split(text: str, splitter: Splitter) -> Sequence[str]:
    """The words of a text."""
    if splitter == "rouge" or (text.isascii() and "_" not in text):
        return _ROUGE.findall(text.lower())
    import numpy as np

    from curate.kernels.words import words

    data = text.encode("utf-8", "replace")
    found = words(np.array([0, len(data)]), np.frombuffer(data, np.uint8))
    return [data[a:b].decode().lower() for a, b in zip(found.starts.tolist(), found.ends.tolist(), strict=True)]
