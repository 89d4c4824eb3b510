"""Answers of a local model held to a JSON Schema: which tokens may come next, by the bytes that the schema still allows.

For objects whose members are all required and are texts, whole numbers within limits, or one of several texts: the schemas that
judges are asked with. Members come in the order of the schema, so that a reason comes before the scores. An answer is always
whole: when no more tokens are left than the rest has bytes, a text is closed and the shortest way to the end is taken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

__all__ = ["Held", "Run", "Shape", "State", "Vocabulary", "advance", "rest", "shape_of"]

ESCAPED = frozenset(b'"\\/bfnrt')
"""What may follow a backslash. Without `u`: half of a surrogate pair would be no text."""

Shape = tuple[tuple[bytes, ...] | None, ...]
"""Parts one after the other: one of several byte strings, none the beginning of another; None: a text and its closing quote."""


class State(NamedTuple):
    """A place in a shape: the number of the part, and what was said of it; in a text only a backslash just before."""

    part: int = 0
    said: bytes = b""


def shape_of(schema: dict[str, Any]) -> Shape | None:
    """The shape of a schema's answers; None for a schema of another kind."""
    members = schema.get("properties")
    if schema.get("type") != "object" or not members or set(schema.get("required", ())) != set(members):
        return None
    parts: list[tuple[bytes, ...] | None] = []
    taken = 0
    for number, (name, member) in enumerate(members.items()):
        parts.append((f"{', ' if number else '{'}{json.dumps(name)}: ".encode()[taken:],))
        taken = 0
        if "enum" in member and all(isinstance(value, str) for value in member["enum"]):
            parts.append(tuple(dict.fromkeys(json.dumps(value).encode() for value in member["enum"])))
        elif member.get("type") == "integer" and 0 <= member.get("maximum", -1) - member.get("minimum", 0) <= 1000:
            # With the byte that follows, or 1 would be the beginning of 10.
            end = "}" if number == len(members) - 1 else ","
            parts.append(tuple(f"{value}{end}".encode() for value in range(member["minimum"], member["maximum"] + 1)))
            taken = 1
        elif member == {"type": "string"}:
            parts += [(b'"',), None]
        else:
            return None
    parts.append((b"}"[taken:],))
    return tuple(part for part in parts if part != (b"",))


def advance(shape: Shape, state: State, byte: int) -> State | None:
    """The place after one more byte; None where the shape does not allow it."""
    if state.part == len(shape):
        return None
    part = shape[state.part]
    if part is None:
        if state.said:
            return State(state.part) if byte in ESCAPED else None
        if byte == ord('"'):
            return State(state.part + 1)
        if byte == ord("\\"):
            return State(state.part, b"\\")
        return state if byte >= 0x20 else None
    said = state.said + bytes((byte,))
    if said in part:
        return State(state.part + 1)
    return State(state.part, said) if any(option.startswith(said) for option in part) else None


def rest(shape: Shape, state: State) -> int:
    """The fewest bytes that lead to the end."""
    count = 0
    for number in range(state.part, len(shape)):
        part, said = shape[number], state.said if number == state.part else b""
        if part is None:
            count += 1 + len(said)
        else:
            count += min(len(option) for option in part if option.startswith(said)) - len(said)
    return count


class Vocabulary:
    """The bytes of each token of a byte-level tokenizer, and which tokens may come at a place of a shape.

    O(bytes of the vocabulary) for each place that is met, of which a shape has about as many as bytes; what is found is kept.
    """

    def __init__(self, tokenizer: Any) -> None:
        """Raises ValueError where tokens are not made of bytes."""
        from transformers.convert_slow_tokenizer import bytes_to_unicode

        if json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder", {}).get("type") != "ByteLevel":
            raise ValueError("the tokenizer is not of byte level")
        byte_of = {letter: byte for byte, letter in bytes_to_unicode().items()}
        special = set(tokenizer.all_special_ids)
        self.spelled: dict[int, bytes] = {}
        for token, id in tokenizer.get_vocab().items():
            if id not in special and token and all(letter in byte_of for letter in token):
                self.spelled[id] = bytes(byte_of[letter] for letter in token)
        self._found: dict[tuple[Shape, State], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def after(self, shape: Shape, state: State) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The tokens that may come, and the fewest bytes from after each to the end."""
        import numpy as np

        if (shape, state) not in self._found:
            ids, bytes_left = [], []
            first = [advance(shape, state, byte) is not None for byte in range(256)]
            for id, spelled in self.spelled.items():
                if first[spelled[0]] and (place := self.follow(shape, state, spelled)) is not None:
                    ids.append(id)
                    bytes_left.append(rest(shape, place))
            self._found[shape, state] = np.array(ids, np.int64), np.array(bytes_left, np.int64)
        return self._found[shape, state]

    @staticmethod
    def follow(shape: Shape, state: State | None, spelled: bytes) -> State | None:
        """The place after all these bytes."""
        for byte in spelled:
            if state is None:
                break
            state = advance(shape, state, byte)
        return state


class Run:
    """One answer on its way: its shape, where it is, and how many tokens it may still have."""

    def __init__(self, vocabulary: Vocabulary, shape: Shape, most: int, ends: Sequence[int]) -> None:
        self._vocabulary, self._shape, self._left, self._ends = vocabulary, shape, most, list(ends)
        self._state = State()

    def take(self, token: int) -> None:
        """The token that was drawn."""
        self._left -= 1
        self._state = self._vocabulary.follow(self._shape, self._state, self._vocabulary.spelled.get(token, b"")) or self._state

    def allowed(self) -> list[int]:
        """Tokens that may come next: those after which the tokens that are left can reach the end."""
        if self._state.part == len(self._shape):
            return self._ends
        ids, bytes_left = self._vocabulary.after(self._shape, self._state)
        # This token and the one that ends the answer aside; where the answer is too short for any, the nearest way.
        within: list[int] = ids[bytes_left <= max(self._left - 2, int(bytes_left.min()))].tolist()
        return within


class Held:
    """A logits processor: rows with a run are held to its tokens. start: where answers begin. To be put before the draw."""

    def __init__(self, runs: Sequence[Run | None], start: int) -> None:
        self._runs, self._start = runs, start

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        import torch

        held = scores.clone()
        for row, run in enumerate(self._runs):
            if run is None:
                continue
            if ids.shape[1] > self._start:
                run.take(int(ids[row, -1]))
            allowed = torch.tensor(run.allowed(), device=scores.device)
            held[row] = float("-inf")
            held[row, allowed] = scores[row, allowed]
        return held
