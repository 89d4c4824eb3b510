"""Self-Instruct: from seed instructions to many, in rounds that show the model what it has (Wang et al. 2023).

Unlike the other methods it works on all seeds together: what is asked of the model depends on what it said before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from curate.synth.drive import Answers, drive
from curate.synth.methods.turns import instruction_of
from curate.synth.novelty import Novelty
from curate.synth.parse import instances, numbered, yes_or_no
from curate.synth.prompts import Prompts
from curate.synth.sessions import Desk, Gone, Item, Made, Session, Speaker, draw

__all__ = ["BLOCKS", "IN_CONTEXT", "MACHINE", "SelfInstruct", "published_filter"]

BLOCKS = {
    "system": (),
    "instructions": ("tasks", "count", "instances"),
    "answer": ("instruction",),
    "classification": ("instruction",),
    "input_first": ("instruction", "count"),
    "output_first": ("instruction", "count"),
    "correction": ("problem",),
}

IN_CONTEXT, MACHINE = 8, 2
"""Instructions that the model is shown, and how many of them are its own where there are enough (section 2.2 there)."""

BARREN_ROUNDS = 5
"""Rounds in a row that bring nothing before it is given up."""

# What text alone cannot do, after the list of the reference implementation (yizhongw/self-instruct,
# bootstrap_instructions.py); its rule that an instruction begin with an ASCII character would take whole languages.
_CANNOT = re.compile(
    r"\b(images?|graphs?|pictures?|files?|maps?|draw|plot|go to|video|audio|music|flowchart|diagram)\b", re.IGNORECASE
)


def published_filter(instruction: str) -> str | None:
    """What of the published filters takes an instruction: too few (3 or less) or too many (more than 150) words, a task that
    text alone cannot do, "Write a program ...", or punctuation at its head. None: it stays. Where words are written without
    blanks their number is not judged by blanks: 2 characters count as a word."""
    text = instruction.strip()
    words = len(text.split())
    if words <= 3 and not text.isascii():
        words = max(words, len(text) // 2)
    if words <= 3 or words > 150:
        return f"{words} words"
    if match := _CANNOT.search(text):
        return match.group()
    if text.startswith("Write a program"):
        return "Write a program"
    if not text[0].isalnum():
        return text[0]
    return None


@dataclass
class SelfInstruct:
    """Asks for instructions, `prompts_a_round` prompts beside one another, then for the answers of those that are new, or, as
    published, whether each is a task of classification, and for `instances` of it: of classification the label before the
    input (or nearly all would have the same label), of others the input before the output (section 2.2 there).

    What the prompts of a round show is drawn by the seed from the instructions and from what earlier rounds brought, so that
    it does not depend on which answers come first. A row's parent is the first seed that its prompt showed.

    An instruction is new when no seed and no instruction before it is more similar than `novelty` allows. The published
    filters of instances hold: no output is empty, or repeats its input (without one: the instruction), neither ends with a
    colon, and of an instruction with two outputs to one input nothing stays.
    """

    speaker: Speaker
    prompts: Prompts
    count: int
    prompts_a_round: int
    instructions_a_prompt: int
    seed: int
    novelty: Novelty
    gate: Callable[[Made | Gone, str], Session[Made | Gone]]
    """Judges each row that is made, and may ask."""
    instances: int = 0
    """Of each instruction; 0: an instruction is complete, and answered."""
    pool: list[tuple[str, int]] = field(default_factory=list)
    """Instructions that the model made and that stand, with their generation."""

    def run(
        self, seeds: Sequence[Item], askers: Sequence[Answers], tell: Callable[[int, int], None]
    ) -> Iterator[tuple[Item, list[Made | Gone]]]:
        """What the seeds brought, round by round. tell: called with rows and rounds after each."""
        shown = [instruction_of(seed) for seed in seeds]
        for text in shown:
            self.novelty.add(text)
        generation = barren = rows = 0
        while rows < self.count and barren < BARREN_ROUNDS:
            generation += 1
            prompts = [Item(0, n, f"{generation}.{n}", "", {}) for n in range(self.prompts_a_round)]
            drawn = {item.id: self._draw(len(seeds), generation, item.row) for item in prompts}
            ask = partial(self._ask, shown, drawn)
            fresh: dict[int, tuple[Item, Desk, list[Item]]] = {}
            for item, (desk, found) in drive(prompts, ask, askers):
                parents = [seeds[i] for i in drawn[item.id][0]]
                if isinstance(found, Gone):
                    yield parents[0], [found]
                    continue
                for instruction in found:
                    gone = self._new(instruction)
                    if gone is not None:
                        yield parents[0], [gone]
                    else:
                        one = parents[0]._replace(text=instruction, columns={"number": len(fresh)})
                        fresh[len(fresh)] = (one, desk, parents)
            answer = partial(self._answer, fresh, generation)
            answers = drive([item for item, _, _ in fresh.values()], answer, askers)
            before = rows
            for item, lines in answers:
                made = [line for line in lines if isinstance(line, Made)][: self.count - rows]
                rows += len(made)
                if made:
                    self.pool.append((item.text, generation))
                yield item, [*made, *(line for line in lines if isinstance(line, Gone))]
            barren = barren + 1 if rows == before else 0
            tell(rows, generation)

    def round(self, seeds: Sequence[Item]) -> Iterator[Session[Any]]:
        """The sessions that open a first round, with seeds in place of the instructions that it would bring: for a plan."""
        shown = [instruction_of(seed) for seed in seeds]
        prompts = [Item(0, n, f"1.{n}", "", {}) for n in range(self.prompts_a_round)]
        drawn = {item.id: self._draw(len(seeds), 1, item.row) for item in prompts}
        for item in prompts:
            yield self._ask(shown, drawn, item)
            for n in range(self.instructions_a_prompt):
                stand_in = shown[(item.row * self.instructions_a_prompt + n) % len(shown)]
                desk = Desk(self.speaker, self.prompts)
                if not self.instances:
                    yield desk.say("answer", instruction=stand_in)
                else:
                    yield desk.say("classification", instruction=stand_in)
                    yield desk.say("input_first", instruction=stand_in, count=self.instances)

    def _draw(self, seeds: int, generation: int, number: int) -> tuple[list[int], list[int]]:
        """Seeds and own instructions that a prompt shows, by their places."""
        chance = draw(self.seed, "self-instruct", generation, number)
        own = chance.sample(range(len(self.pool)), min(MACHINE, len(self.pool)))
        return chance.sample(range(seeds), min(IN_CONTEXT - len(own), seeds)), own

    def _ask(
        self, shown: list[str], drawn: dict[str, tuple[list[int], list[int]]], item: Item
    ) -> Session[tuple[Desk, list[str] | Gone]]:
        of_seeds, own = drawn[item.id]
        tasks = [shown[i] for i in of_seeds] + [self.pool[i][0] for i in own]
        tasks = [" ".join(task.split()) for task in tasks]
        draw(self.seed, "order", item.id).shuffle(tasks)
        desk = Desk(self.speaker, self.prompts)
        parse = partial(numbered, first=len(tasks) + 1)
        told: dict[str, Any] = {"count": self.instructions_a_prompt, "instances": self.instances}
        # The prompt's number as sample: two that happen to show the same are two requests.
        found = yield from desk.parsed("instructions", parse, item.row, None, tasks=tasks, **told)
        return desk, found

    def _new(self, instruction: str) -> Gone | None:
        if (why := published_filter(instruction)) is not None:
            return Gone("published_filter", why, instruction)
        similar = self.novelty.add_if_new(instruction)
        return None if similar is None else Gone("not_new", f"{similar.f:.3f}: {similar.text}", instruction)

    def _answer(
        self, fresh: dict[int, tuple[Item, Desk, list[Item]]], generation: int, item: Item
    ) -> Session[list[Made | Gone]]:
        _, asked, parents = fresh[item.columns["number"]]
        desk = Desk(self.speaker, self.prompts, list(asked.requests))
        found = yield from self._instances(desk, item.text) if self.instances else self._whole(desk, item.text)
        if isinstance(found, Gone):
            return [found]
        ids = tuple(parent.id for parent in parents)
        lines: list[Made | Gone] = []
        for given, output in found:
            columns = {"instruction": f"{item.text}\n\n{given}" if given else item.text, "output": output}
            if (why := _invalid(given, output)) is not None:
                lines.append(Gone("published_filter", why, output))
            else:
                made = Made(columns, tuple(desk.requests), ids, generation, self.speaker.name)
                lines.append((yield from self.gate(made, "")))
        return lines

    def _whole(self, desk: Desk, instruction: str) -> Session[list[tuple[str, str]] | Gone]:
        """The answer to an instruction, without an input of its own."""
        answer = yield from desk.say("answer", instruction=instruction)
        return answer if isinstance(answer, Gone) else [("", answer)]

    def _instances(self, desk: Desk, instruction: str) -> Session[list[tuple[str, str]] | Gone]:
        """Inputs and outputs."""
        labels = yield from desk.parsed("classification", yes_or_no, instruction=instruction)
        if isinstance(labels, Gone):
            return labels
        parse = partial(instances, count=self.instances, output_first=labels)
        block = "output_first" if labels else "input_first"
        found = yield from desk.parsed(block, parse, instruction=instruction, count=self.instances)
        if isinstance(found, Gone):
            return found
        outputs: dict[str, str] = {}
        for given, output in found:
            if given and outputs.setdefault(given, output) != output:
                return Gone("published_filter", "two outputs to one input", given)
        return list(dict.fromkeys(found))


def _invalid(given: str, output: str) -> str | None:
    """What of the published filters takes an instance; None: it stays."""
    if output == given:
        return "repeats its input"
    return "ends with a colon" if output.endswith(":") or given.endswith(":") else None
