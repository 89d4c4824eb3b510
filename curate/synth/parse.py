"""Reading answers strictly: an answer has the shape that was asked for, or it is `NotParsed`. Nothing is guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from curate.synth.sessions import NotParsed

__all__ = ["Pair", "json_object", "numbered", "pairs", "score_schema", "scores", "verdict", "yes_or_no"]

_FENCE = re.compile(r"\A```(?:json)?[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_NUMBERED = re.compile(r"(\d+)[.)][ \t]+(\S.*)\Z")
_LABEL = re.compile(r"(Q|A|FROM):[ \t]*(.*)\Z")


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
    labels = ("Q", "A", "FROM") if quoted else ("Q", "A")
    parts: list[tuple[str, list[str]]] = []
    for line in text.strip().splitlines():
        match = _LABEL.match(line.strip())
        if match:
            parts.append((match.group(1), [match.group(2)]))
        elif parts:
            parts[-1][1].append(line)
        elif line.strip():
            raise NotParsed(f"it begins with {line.strip()[:60]!r}, not with 'Q:'")
    names = [name for name, _ in parts]
    if names != [*labels] * count:
        shape = " ".join(f"{name}:" for name in labels)
        raise NotParsed(f"it has {' '.join(names) or 'no label'}, not {count} times {shape}")
    texts = ["\n".join(lines).strip() for _, lines in parts]
    if not all(texts):
        raise NotParsed(f"'{names[texts.index('')]}:' is empty")
    step = len(labels)
    return [
        Pair(texts[i], texts[i + 1], texts[i + 2].strip("\"'“”„«»「」 ") if quoted else "") for i in range(0, len(texts), step)
    ]
