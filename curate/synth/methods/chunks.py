"""Documents in passages that fit a prompt: cut between paragraphs, else sentences, else words."""

from __future__ import annotations

import re

__all__ = ["chunks"]

_PARAGRAPH = re.compile(r"\n[ \t]*\n+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])")


def chunks(text: str, words: int) -> list[str]:
    """Passages of up to `words` words (runs of non-blanks; a character of a text without blanks counts as one), in order.

    Nothing is lost but white space at the cuts. O(characters).
    """
    found: list[str] = []
    held: list[str] = []
    size = 0
    for piece, length in _pieces(text, words):
        if held and size + length > words:
            found.append("".join(held).strip())
            held, size = [], 0
        held.append(piece)
        size += length
    if held:
        found.append("".join(held).strip())
    return [passage for passage in found if passage]


def _pieces(text: str, words: int) -> list[tuple[str, int]]:
    """Paragraphs with what follows them; of those too long sentences; of those too long runs of words."""
    found = []
    for paragraph in _cut(text, _PARAGRAPH):
        for sentence in _cut(paragraph, _SENTENCE) if _size(paragraph) > words else [paragraph]:
            if (size := _size(sentence)) <= words:
                found.append((sentence, size))
                continue
            tokens = re.findall(r"\s*\S{1,40}", sentence)
            for i in range(0, len(tokens), words):
                run = "".join(tokens[i : i + words])
                found.append((run, _size(run)))
    return found


def _cut(text: str, at: re.Pattern[str]) -> list[str]:
    """The parts between matches, each with the match after it."""
    ends = [match.end() for match in at.finditer(text)]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if a < b]


def _size(text: str) -> int:
    parts = text.split()
    return max(len(parts), sum(len(part) for part in parts) // 12)
