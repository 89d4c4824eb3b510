"""Evol-Instruct: an instruction is made harder (depth) or brings another (breadth), step by step (Xu et al. 2023, WizardLM)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from curate.synth.methods.turns import instruction_of
from curate.synth.parse import yes_or_no
from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, draw

__all__ = ["BLOCKS", "OPERATIONS", "Evol"]

DEPTH = ("constraints", "deepen", "concretize", "reasoning")
OPERATIONS = (*DEPTH, "breadth")

BLOCKS = {
    "system": (),
    **dict.fromkeys(OPERATIONS, ("instruction",)),
    "equal": ("first", "second"),
    "answer": ("instruction",),
    "correction": ("problem",),
}

APOLOGY_WORDS = 80
"""An answer that says sorry and is shorter shows that the instruction is too hard for the model (section 3.2 there)."""

_COPIED = re.compile(r"\b(given|rewritten|created) prompt\b|#[A-Za-z ]*prompt#", re.IGNORECASE)

_STOP_WORDS = frozenset([
    "a", "about", "an", "and", "any", "are", "as", "at", "be", "but", "by", "can", "do", "does", "for", "from", "had",
    "has", "have", "he", "her", "his", "how", "i", "if", "in", "is", "it", "its", "me", "my", "no", "not", "of", "on", "or",
    "our", "she", "so", "some", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "to",
    "us", "was", "we", "were", "what", "when", "which", "who", "why", "will", "with", "you", "your",
])  # fmt: skip


@dataclass(frozen=True)
class Evol:
    """Evolves each instruction `generations` times, each time by an operation that the seed draws, and answers it.

    An evolved instruction is eliminated as the paper has it: it says nothing new (asked of the model: `equal`), its answer
    is an apology of fewer than 80 words or nothing but punctuation and stop words, or it copies words of the prompt. The next
    generation then starts from the one before it.
    """

    speaker: Speaker
    prompts: Prompts
    generations: int = 2
    operations: tuple[str, ...] = OPERATIONS
    seed: int = 0

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        lines: list[Made | Gone] = []
        current, generation = instruction_of(item), 0
        for step in range(self.generations):
            operation = draw(self.seed, "evol", item.id, step).choice(self.operations)
            result = yield from self._evolve(item, current, operation, generation + 1, step)
            lines.append(result)
            if isinstance(result, Made):
                current, generation = result.columns["instruction"], generation + 1
        return lines

    def _evolve(self, item: Item, current: str, operation: str, generation: int, step: int) -> Session[Made | Gone]:
        desk = Desk(self.speaker, self.prompts)
        # The step as sample: an elimination is followed by another try of the same text.
        evolved = yield from desk.say(operation, sample=step, instruction=current)
        if isinstance(evolved, Gone):
            return evolved
        if copied := _COPIED.search(evolved):
            return Gone("copied_prompt", copied.group(), evolved)
        equal = yield from desk.parsed("equal", yes_or_no, first=current, second=evolved)
        if isinstance(equal, Gone):
            return equal
        if equal:
            return Gone("no_information", current[:80], evolved)
        answer = yield from desk.say("answer", instruction=evolved)
        if isinstance(answer, Gone):
            return answer
        words = re.findall(r"\w+", answer.lower())
        if "sorry" in words and len(words) < APOLOGY_WORDS:
            return Gone("apology", answer[:80], evolved)
        if not any(word not in _STOP_WORDS for word in words):
            return Gone("only_stop_words", answer[:80], evolved)
        columns = {"instruction": evolved, "output": answer, "operation": operation}
        return desk.made(columns, item, generation)
