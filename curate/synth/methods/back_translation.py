"""Back-translation: a text that people wrote is the answer; a model writes the instruction to it (Li et al. 2023, Humpback)."""

from __future__ import annotations

from dataclasses import dataclass

from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker

__all__ = ["BLOCKS", "BackTranslation"]

BLOCKS = {"system": (), "instruction": ("text",)}


@dataclass(frozen=True)
class BackTranslation:
    """Of a text the whole is the answer; of an instruction row its output."""

    speaker: Speaker
    prompts: Prompts

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        desk = Desk(self.speaker, self.prompts)
        text = str(item.columns.get("output") or item.text)
        instruction = yield from desk.say("instruction", text=text)
        if isinstance(instruction, Gone):
            return [instruction]
        return [desk.made({"instruction": instruction, "output": text}, item)]
