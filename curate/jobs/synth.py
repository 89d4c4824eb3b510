"""`curate synth METHOD`: data from seeds or documents and a model. What all methods share is in `curate.synth.job`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from curate.declare import Batch, Work
from curate.errors import UsageError
from curate.models.options import Model
from curate.synth.job import Columns, Method, SynthJob, first_of
from curate.synth.methods import (
    back_translation,
    best_of,
    chat,
    critique,
    evol,
    judge,
    magpie,
    persona,
    qa,
    self_instruct,
    turns,
)
from curate.synth.methods.chunks import chunks
from curate.synth.sessions import Gone, Item, Made, Speaker

if TYPE_CHECKING:
    from curate.models.asker import Asker
    from curate.synth.gates import Guard
    from curate.synth.novelty import Novelty
    from curate.synth.prompts import Prompts

__all__ = [
    "QA",
    "BackTranslation",
    "BestOf",
    "Chat",
    "Critique",
    "Evol",
    "Judge",
    "Magpie",
    "Persona",
    "SelfInstruct",
]  # fmt: skip

NOVEL = 0.7
"""ROUGE-L F above which an instruction is one that is there already (Wang et al. 2023, section 2.2)."""


class SelfInstruct(SynthJob):
    """Self-Instruct: new instructions in the manner of seed instructions, and their answers (Wang et al. 2023).

    Each prompt shows 8 instructions, 6 seeds and 2 of the model's own where there are so many. Kept are those that pass the
    published filters (3 words or fewer, more than 150, what text alone cannot do, punctuation at the head) and resemble no seed
    and none before them. They are complete in themselves, and answered; with `instances` the model is asked, as published,
    whether each is a task of classification, and for inputs and outputs: of classification the label first, of others the
    input. Rows are instruction rows with parents; a seed that no row names first is dropped as `made_nothing`.

    Holds the seeds and all instructions in memory. Cost of novelty: some nanoseconds for every two instructions.
    """

    method: ClassVar[str] = "self-instruct"
    blocks = self_instruct.BLOCKS

    job: Literal["synth self-instruct"] = "synth self-instruct"
    count: int = Field(100, ge=1, description="Rows to make; fewer where five rounds in a row bring nothing.")
    prompts_a_round: int = Field(
        16, ge=1, description="Prompts beside one another; what they bring is shown from the next round on."
    )
    instructions_a_prompt: int = Field(8, ge=1, le=100, description="Instructions that each prompt asks for.")
    novelty: float | None = Field(
        NOVEL, ge=0, le=1, description="Drop an instruction whose ROUGE-L F with a seed or one before it is above this."
    )

    instances: int = Field(
        0,
        ge=0,
        le=20,
        description="Inputs and outputs of each instruction, made in a stage of their own as published; 0: instructions are "
        "complete in themselves, and answered.",
    )

    def columns(self) -> Columns:
        return Columns("instruction")

    def comes_to(self, sample: Batch, rows: int) -> str | None:
        """Of as many rounds as `count` rows take where every answer can be read and all instructions are new."""
        from curate.synth.gates import Gates, Guard
        from curate.synth.novelty import Novelty

        seeds = [item for item in self._of(sample) if turns.prompt_of(item)][: self.first]
        if not seeds:
            return None
        prompts = self._prompts()
        method = self._method(self._speakers([self.endpoint])[0], prompts, Novelty(1.0), Guard(Gates(prompts)))
        asks = [question.ask for session in method.round(seeds) for question in first_of(session)]
        brings = self.prompts_a_round * self.instructions_a_prompt * max(1, self.instances)
        return f"{self._plan(asks, -(-self.count // brings) * len(asks))}; more where answers are not new or cannot be read"

    def _method(self, speaker: Speaker, prompts: Prompts, novelty: Novelty, guard: Guard) -> self_instruct.SelfInstruct:
        return self_instruct.SelfInstruct(
            speaker=speaker,
            prompts=prompts,
            count=self.count,
            prompts_a_round=self.prompts_a_round,
            instructions_a_prompt=self.instructions_a_prompt,
            seed=self.seed,
            novelty=novelty,
            gate=guard.line,
            instances=self.instances,
        )

    def _results(self, work: Work, askers: Sequence[Asker], prompts: Prompts) -> Iterator[tuple[Item, list[Made | Gone]]]:
        from curate.synth.novelty import Novelty

        seeds = [item for item in self._items(work) if turns.prompt_of(item)][: self.first]
        if not seeds:
            raise UsageError("synth self-instruct: no seed asks anything; seeds are instruction, chat or text rows")
        speaker = self._speakers([asker.backend.endpoint for asker in askers])[0]
        novelty = Novelty(1.0 if self.novelty is None else self.novelty, self.splitter)
        method = self._method(speaker, prompts, novelty, self._guard(prompts, askers))
        found = method.run(
            seeds,
            [asker.answers for asker in askers],
            lambda rows, rounds: work.say(f"{rows:,} of {self.count:,} rows after {rounds:,} rounds", passing=True),
        )
        # Rows stand with their first parent, in the order of the input.
        yield from sorted(found, key=lambda result: (result[0].shard, result[0].row))


class Evol(SynthJob):
    """Evol-Instruct: instructions made harder (depth) or turned to another (breadth), step by step (Xu et al. 2023).

    Operations: constraints, deepen, concretize, reasoning, breadth. Eliminated are evolutions that add nothing, that the model
    can only apologise for, or that copy the prompt; the next generation then starts from the one before.
    """

    method: ClassVar[str] = "evol"
    blocks = evol.BLOCKS

    job: Literal["synth evol"] = "synth evol"
    generations: int = Field(2, ge=1, le=16, description="How often each instruction is evolved; every generation is a row.")
    operations: tuple[Literal["constraints", "deepen", "concretize", "reasoning", "breadth"], ...] = Field(
        ("constraints", "deepen", "concretize", "reasoning", "breadth"), min_length=1, description="What may be drawn."
    )

    def columns(self) -> Columns:
        return Columns("instruction", texts=("operation",))

    def calls(self, item: Item) -> int:
        return 3 * self.generations

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return evol.Evol(speakers[0], prompts, self.generations, self.operations, self.seed)


class Magpie(SynthJob):
    """Magpie: an aligned model is shown its chat template up to where the user speaks, and says what a user would (Xu et al.
    2024).

    The rows of the input are system prompts. Needs an endpoint with raw completions, and prompts that are the model's own
    template (`--prompts`; ours are ChatML).
    """

    method: ClassVar[str] = "magpie"
    blocks = magpie.BLOCKS

    job: Literal["synth magpie"] = "synth magpie"
    count: int = Field(1, ge=1, description="Instructions to draw for each row of the input.")
    stop: tuple[str, ...] = Field(
        ("<|im_end|>",), description="What ends an instruction and an answer, in the model's template."
    )
    first_line: bool = Field(False, description="Take an instruction up to its first line break.")
    novelty: float | None = Field(
        NOVEL, ge=0, le=1, description="Drop an instruction whose ROUGE-L F with one before it is above this."
    )

    def columns(self) -> Columns:
        return Columns("instruction")

    def calls(self, item: Item) -> int:
        return 2 * self.count

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return magpie.Magpie(speakers[0], prompts, self.count, self.stop, self.first_line)

    def _results(self, work: Work, askers: Sequence[Asker], prompts: Prompts) -> Iterator[tuple[Item, list[Made | Gone]]]:
        backend = askers[0].backend
        for result in super()._results(work, askers, prompts):
            # An endpoint is known to have none once it was asked.
            if not backend.raw:
                raise UsageError(
                    f"synth magpie: {backend.endpoint} has no raw completions, and magpie needs them: it lets the model speak "
                    "where its template has the user. Name a server with /completions, such as vLLM or llama.cpp, or a model "
                    "folder"
                )
            yield result


class QA(SynthJob):
    """Questions and answers from documents: pairs or chats that rest on words of the passage, and questions without an answer.

    Documents are cut into passages between paragraphs. With `grounded` each answer names the words that it rests on, and a pair
    whose words do not stand in the passage is dropped as `not_grounded`.
    """

    method: ClassVar[str] = "qa"
    blocks = qa.BLOCKS

    job: Literal["synth qa"] = "synth qa"
    count: int = Field(3, ge=1, le=50, description="Pairs of each passage; of chats one is made of each passage.")
    turns: int = Field(1, ge=1, le=20, description="More than 1: chats of so many questions that follow from one another.")
    grounded: bool = Field(True, description="Ask for the words of the passage that an answer rests on, and look for them.")
    unanswerable: float = Field(
        0.0, ge=0, le=1, description="Share of the passages that also make a question which they do not answer."
    )
    context: bool = Field(False, description="Put the passage before the question, for models that answer from what they get.")
    chunk_words: int = Field(600, ge=20, description="Most words of a passage.")
    novelty: float | None = Field(
        NOVEL, ge=0, le=1, description="Drop a row whose question has a ROUGE-L F above this with one before it."
    )

    def columns(self) -> Columns:
        return Columns("chat" if self.turns > 1 else "instruction", lists=("quotes",))

    def calls(self, item: Item) -> int:
        passages = len(chunks(item.text, self.chunk_words))
        return passages + round(2 * passages * self.unanswerable)

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return qa.QA(
            speakers[0], prompts, self.count, self.turns, self.grounded, self.unanswerable, self.context, self.chunk_words,
            self.seed,
        )  # fmt: skip


class Persona(SynthJob):
    """Personas: who would read a text, what such a person asks of an assistant, and the answer (Ge et al. 2024)."""

    method: ClassVar[str] = "persona"
    blocks = persona.BLOCKS

    job: Literal["synth persona"] = "synth persona"
    count: int = Field(1, ge=1, le=100, description="Personas of each row of the input.")
    novelty: float | None = Field(
        NOVEL, ge=0, le=1, description="Drop a row whose instruction has a ROUGE-L F above this with one before it."
    )

    def columns(self) -> Columns:
        return Columns("instruction", texts=("persona",))

    def calls(self, item: Item) -> int:
        return 3 * self.count

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return persona.Persona(speakers[0], prompts, self.count)


class BackTranslation(SynthJob):
    """Back-translation: texts that people wrote are the answers; the model writes the instruction to each (Li et al. 2023)."""

    method: ClassVar[str] = "back-translation"
    blocks = back_translation.BLOCKS

    job: Literal["synth back-translation"] = "synth back-translation"

    def columns(self) -> Columns:
        return Columns("instruction")

    def calls(self, item: Item) -> int:
        return 1

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return back_translation.BackTranslation(speakers[0], prompts)


class Chat(SynthJob):
    """Chats of two roles about what each row says: the model speaks as the user and as the assistant in turn."""

    method: ClassVar[str] = "chat"
    blocks = chat.BLOCKS

    job: Literal["synth chat"] = "synth chat"
    turns: int = Field(2, ge=1, le=50, description="Questions and answers of each chat.")

    def columns(self) -> Columns:
        return Columns("chat")

    def calls(self, item: Item) -> int:
        return 2 * self.turns

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return chat.Chat(speakers[0], prompts, self.turns)


class BestOf(SynthJob):
    """Best of K: several answers to each prompt, of several models or at several temperatures, to be ranked or judged.

    Rows are instruction rows: `output` is the first answer, `responses` are all that differ, `models` who said each. `curate
    synth judge` scores them, `curate rank export` gives them to people.
    """

    method: ClassVar[str] = "best-of"
    blocks = best_of.BLOCKS

    job: Literal["synth best-of"] = "synth best-of"
    count: int = Field(2, ge=1, le=64, description="Answers of each model at each temperature.")
    temperatures: tuple[float, ...] = Field((), description="Temperatures that answers are drawn at; default: the one.")
    others: tuple[Model, ...] = Field((), description="Further models that answer beside the one.")
    refusals: bool = Field(True, description="Keep answers that refuse or apologise for being a model.")

    def models(self) -> tuple[Model, ...]:
        return (*super().models(), *self.others)

    def columns(self) -> Columns:
        return Columns("instruction", lists=("responses", "models"))

    def calls(self, item: Item) -> int:
        return self.count * len(self.temperatures or (0,)) * len(self.models())

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return best_of.BestOf(speakers, prompts, self.count, self.temperatures or (self.temperature,))


class Critique(SynthJob):
    """Critique and revision under written principles: the revised answer is chosen, the first one rejected (Bai et al. 2022).

    Instruction rows have their own answer criticised; rows without one are answered first. The principles that ship say what
    helpful, honest and harmless mean; `curate synth prompts cp principles` copies them, to be edited.
    """

    method: ClassVar[str] = "critique"
    blocks = critique.BLOCKS

    job: Literal["synth critique"] = "synth critique"
    principles: str | None = Field(None, description="YAML file of principles by name; default: helpful, honest, harmless.")
    rounds: int = Field(1, ge=1, le=16, description="Critiques and revisions of each answer, each by a principle of its own.")

    def columns(self) -> Columns:
        return Columns("preference", lists=("principles", "critiques"))

    def calls(self, item: Item) -> int:
        return 2 * self.rounds + (not turns.answers_of(item))

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return critique.Critique(speakers[0], prompts, critique.read_principles(self.principles), self.rounds, self.seed)


class Judge(SynthJob):
    """A model judges answers: by a rubric from 1 to 10, or each two compared in both orders (Zheng et al. 2023).

    Reads rows with `responses`, preference rows, or instruction rows. A judge that changes its mind with the order has a tie. A
    judgement that cannot be read is no score. To `scores`: rows with `responses`, `scores` and the best as `output`. To
    `pairs`: preference rows of answers whose scores differ by `min_margin`; ties are dropped as `tie`.
    """

    method: ClassVar[str] = "judge"
    blocks = judge.BLOCKS

    job: Literal["synth judge"] = "synth judge"
    temperature: float = Field(0.0, ge=0, description="Temperature that judgements are drawn at.")
    by: judge.By = Field("rubric", description="How answers are judged.")
    to: judge.To = Field("scores", description="What is written.")
    min_margin: float = Field(
        0.0, ge=0, description="Least difference of a pair's scores: of means from 1 to 10, or of shares of comparisons won."
    )
    refusals: bool = Field(True, description="Keep answers that refuse or apologise for being a model.")

    @model_validator(mode="after")
    def _judges(self) -> Self:
        if self.judge_floor is not None:
            raise ValueError("judge_floor is for methods that make rows; here use min_margin, or filter by `score`")
        return self

    def columns(self) -> Columns:
        if self.to == "pairs":
            return Columns("preference", numbers=("margin",), number_lists=("scores",))
        return Columns("instruction", numbers=("score",), lists=("responses",), number_lists=("scores",))

    def calls(self, item: Item) -> int:
        answers = len(turns.answers_of(item))
        return answers if self.by == "rubric" else answers * (answers - 1)

    def work(self, speakers: Sequence[Speaker], prompts: Prompts) -> Method:
        return judge.Judge(speakers[0], prompts, self.by, self.to, self.judge_criteria, self.min_margin)
