"""Reading answers strictly: an answer has the shape that was asked for, or it is `NotParsed`. Nothing is guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from curate.synth.sessions import NotParsed

__all__ = ["Pair", "instances", "json_object", "numbered", "pairs", "score_schema", "scores", "verdict", "yes_or_no"]

_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_NUMBERED = re.compile(r"(\d+)[.)][ \t]+(\S.*)\Z")


class Pair(NamedTuple):
    """A question, its answer, and the words of the passage that it rests on (empty: not said)."""

    question: str
    answer: str
    quote: str


def json_object(text: str, members: Sequence[str]) -> dict[str, Any]:
    """The answer as a JSON object with these members and no other; it may stand alone in a code fence."""
    fenced = _FENCE.match(text.strip())
    try:
        value = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError) as error:
        raise NotParsed(f"it is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise NotParsed("it is not a JSON object")
    if set(value) != set(members):
        raise NotParsed(f"its members are {', '.join(map(repr, value)) or 'none'}, not {', '.join(map(repr, members))}")
    return value


def score_schema(criteria: Sequence[str], low: int, high: int) -> dict[str, Any]:
    """JSON Schema of what `scores` reads."""
    whole = {"type": "integer", "minimum": low, "maximum": high}
    properties = {"reason": {"type": "string"}, **dict.fromkeys(criteria, whole)}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def scores(text: str, criteria: Sequence[str], low: int, high: int) -> dict[str, int]:
    """A whole number from `low` to `high` for each criterion, beside a `reason`."""
    value = json_object(text, ("reason", *criteria))
    for name in criteria:
        score = value[name]
        if isinstance(score, bool) or not isinstance(score, int) or not low <= score <= high:
            raise NotParsed(f"'{name}' is {json.dumps(score)[:40]}, not a whole number from {low} to {high}")
    return {name: value[name] for name in criteria}


def verdict(text: str) -> str:
    """`first`, `second` or `tie`, as member `better` beside a `reason`."""
    better = json_object(text, ("reason", "better"))["better"]
    if better not in ("first", "second", "tie"):
        raise NotParsed(f"'better' is {json.dumps(better)[:40]}, not first, second or tie")
    return str(better)


def yes_or_no(text: str) -> bool:
    """An answer that is the word yes or no, a full stop allowed."""
    word = text.strip().rstrip(".").lower()
    if word not in ("yes", "no"):
        raise NotParsed("it is not yes or no")
    return word == "yes"


def numbered(text: str, first: int) -> list[str]:
    """Lines `N. text` and nothing else but blank ones; N counts up by one from `first` or from 1."""
    found: list[str] = []
    start = None
    for line in text.splitlines():
        if not line.strip():
            continue
        match = _NUMBERED.match(line.strip())
        if match is None:
            raise NotParsed(f"a line has no number: {line.strip()[:60]!r}")
        number = int(match.group(1)[:9])
        if start is None:
            start = number
            if start not in (1, first):
                raise NotParsed(f"it begins with number {number}, not {first}")
        if number != start + len(found):
            raise NotParsed(f"number {number} follows {start + len(found) - 1}")
        found.append(match.group(2).strip())
    if not found:
        raise NotParsed("it has no line")
    return found


def pairs(text: str, count: int, quoted: bool) -> list[Pair]:
    """`count` times `Q:`, `A:` and, when quoted, `FROM:`, each with what it says to the next; nothing before the first."""
    found = _labelled(text, ("Q", "A", "FROM"), 3 if quoted else 2, count)
    return [Pair(one[0], one[1], one[2].strip("\"'“”„«»「」 ") if quoted else "") for one in found]


def instances(text: str, count: int, output_first: bool) -> list[tuple[str, str]]:
    """`count` times `Input:` and `Output:`, or the other way round: (input, output); the input is empty where it says none."""
    found = _labelled(text, ("Output", "Input") if output_first else ("Input", "Output"), 2, count)
    both = [(one[1], one[0]) if output_first else (one[0], one[1]) for one in found]
    return [("" if given.rstrip(".").lower() == "none" else given, output) for given, output in both]


def _labelled(text: str, labels: tuple[str, ...], size: int, count: int) -> list[list[str]]:
    """`count` times the first `size` labels, in order, each followed by a colon and its text, which is not empty. A line that
    begins with another of the labels is one too many."""
    label = re.compile(rf"({'|'.join(labels)}):[ \t]*(.*)\Z")
    labels = labels[:size]
    parts: list[tuple[str, list[str]]] = []
    for line in text.strip().splitlines():
        match = label.match(line.strip())
        if match:
            parts.append((match.group(1), [match.group(2)]))
        elif parts:
            parts[-1][1].append(line)
        elif line.strip():
            raise NotParsed(f"it begins with {line.strip()[:60]!r}, not with '{labels[0]}:'")
    names = [name for name, _ in parts]
    if names != [*labels] * count:
        shape = " ".join(f"{name}:" for name in labels)
        raise NotParsed(f"it has {' '.join(names) or 'no label'}, not {count} times {shape}")
    texts = ["\n".join(lines).strip() for _, lines in parts]
    if not all(texts):
        raise NotParsed(f"'{names[texts.index('')]}:' is empty")
    return [texts[i : i + size] for i in range(0, len(texts), size)]
