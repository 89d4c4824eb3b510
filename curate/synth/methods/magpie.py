"""Magpie: an aligned model, shown its template up to where the user speaks, says what a user would (Xu et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, together

__all__ = ["BLOCKS", "Magpie"]

BLOCKS = {"question": ("about",), "answer": ("about", "instruction")}


@dataclass(frozen=True)
class Magpie:
    """Draws `count` instructions for each item, whose text is the system prompt, and answers them.

    The prompts are raw: they must be the chat template of the model. `stop`: strings that end what is said; `first_line`: take
    an instruction up to its first line break only, as the published runs may.
    """

    speaker: Speaker
    prompts: Prompts
    count: int = 1
    stop: tuple[str, ...] = ()
    first_line: bool = False

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        return (yield from together([self._one(item, sample) for sample in range(self.count)]))

    def _one(self, item: Item, sample: int) -> Session[Made | Gone]:
        desk = Desk(self.speaker, self.prompts)
        stop = (*self.stop, "\n") if self.first_line else self.stop
        raw = self.prompts.raw("question", about=item.text)
        (reply,) = yield [desk.question(prompt=raw, sample=sample, stop=stop)]
        instruction = desk.usable(reply)
        if isinstance(instruction, Gone):
            return instruction
        raw = self.prompts.raw("answer", about=item.text, instruction=instruction)
        (reply,) = yield [desk.question(prompt=raw, stop=self.stop)]
        answer = desk.usable(reply)
        if isinstance(answer, Gone):
            return answer
        return desk.made({"instruction": instruction, "output": answer}, item)
