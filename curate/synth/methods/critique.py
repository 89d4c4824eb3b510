"""Critique and revision under written principles; answer and revision are a preference pair (Bai et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.errors import InputError
from curate.synth.methods.turns import answers_of, instruction_of
from curate.synth.prompts import FOLDER, Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, draw

__all__ = ["BLOCKS", "Critique", "read_principles"]

_TOLD = ("instruction", "answer", "name", "principle")
BLOCKS = {"system": (), "answer": ("instruction",), "critique": _TOLD, "revise": (*_TOLD, "critique")}


@dataclass(frozen=True)
class Critique:
    """The row's own answer (else one that is asked for) is judged by a principle and revised, `rounds` times.

    Each round draws its principle by the seed, none twice before all were. The last revision is chosen, the first answer
    rejected. The row keeps the principles and the critiques.
    """

    speaker: Speaker
    prompts: Prompts
    principles: Mapping[str, str]
    rounds: int = 1
    seed: int = 0

    def __call__(self, item: Item) -> Session[list[Made | Gone]]:
        desk = Desk(self.speaker, self.prompts)
        instruction = instruction_of(item)
        answers = answers_of(item)
        answer: str | Gone = answers[0] if answers else (yield from desk.say("answer", instruction=instruction))
        if isinstance(answer, Gone):
            return [answer]
        names = list(self.principles)
        draw(self.seed, "critique", item.id).shuffle(names)
        said, critiques = answer, []
        used = [names[i % len(names)] for i in range(self.rounds)]
        for sample, name in enumerate(used):
            told = {"instruction": instruction, "answer": said, "name": name, "principle": self.principles[name]}
            critique = yield from desk.say("critique", sample=sample, **told)
            if isinstance(critique, Gone):
                return [critique]
            revised = yield from desk.say("revise", sample=sample, critique=critique, **told)
            if isinstance(revised, Gone):
                return [revised]
            said = revised
            critiques.append(critique)
        if said.split() == answer.split():
            return [Gone("unchanged", ", ".join(used), said)]
        columns = {"instruction": instruction, "chosen": said, "rejected": answer, "principles": used, "critiques": critiques}
        return [desk.made(columns, item)]


def read_principles(file: str | None) -> dict[str, str]:
    """Principles by name: ours (helpful, honest, harmless), or those of a YAML file. Raises InputError."""
    import yaml

    path = FOLDER / "principles.yaml" if file is None else Path(file)
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: {' '.join(str(error).split())}") from error
    texts = isinstance(value, dict) and all(isinstance(text, str) and text.strip() for pair in value.items() for text in pair)
    if not value or not texts:
        raise InputError(f"{path}: not a mapping of names to texts, such as `honest: Say what is true.`")
    return {name: text.strip() for name, text in value.items()}
