"""Personas: who would read this text, what such a person would ask, and an answer (Ge et al. 2024, Persona Hub)."""

from __future__ import annotations

from dataclasses import dataclass

from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, together

__all__ = ["BLOCKS", "Persona"]

BLOCKS = {"system": (), "persona": ("text",), "task": ("persona",), "answer": ("instruction",)}


@dataclass(frozen=True)
class Persona:
    """`count` personas of each item, a task of each, its answer. The row keeps the persona."""

    speaker: Speaker
    prompts: Prompts
    count: int = 1

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        return (yield from together([self._one(item, sample) for sample in range(self.count)]))

    def _one(self, item: Item, sample: int) -> Session[Made | Gone]:
        desk = Desk(self.speaker, self.prompts)
        persona = yield from desk.say("persona", sample=sample, text=item.text)
        if isinstance(persona, Gone):
            return persona
        task = yield from desk.say("task", sample=sample, persona=persona)
        if isinstance(task, Gone):
            return task
        answer = yield from desk.say("answer", instruction=task)
        if isinstance(answer, Gone):
            return answer
        return desk.made({"instruction": task, "output": answer, "persona": persona}, item)
