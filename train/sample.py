"""Answers drawn from a model, several to each prompt: what people or a reward model then rank."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from train.append import in_windows
from train.config import SampleStage
from train.groups import Turns, outside
from train.policy import open_speaker
from train.prompts import Prompt, read_prompts, spread
from train.rows import fingerprint, list_files
from train.stage import Context, Outcome

__all__ = ["about", "group_id", "inputs", "prompt_member", "run"]

WINDOW = 64
"""Prompts that are answered between two writes."""

CHECKED = 64
"""Prompts that `--check` answers: enough for later stages to have some to hold out."""

SAID = {
    "id", "text", "messages", "instruction", "prompt", "chosen", "rejected", "output", "answer", "answers", "completion",
    "label", "rank", "score", "margin", "group_id", "ended",
}  # fmt: skip
"""Members of a row that are its prompt or its answers; the others go with what is made of it."""


def inputs(stage: SampleStage) -> str:
    """Digest of the data of `stage` that no earlier stage writes."""
    named = outside(stage.data)
    return fingerprint(list_files(named)) if named else ""


def run(stage: SampleStage, context: Context) -> Outcome:
    """Answer, and leave data/rows.jsonl: group_id, instruction (or prompt, as messages), answers [{text, ended}], model, and
    the other members of the row that the prompt came from.

    What is drawn depends on the seed and the prompts. An interrupted run goes on after the prompts that are done. Raises
    DataError for unusable rows or models, Interrupted when stopped.
    """
    source = context.source(stage.model)
    speaker = open_speaker(source, context.device, stage.precision, stage.max_length)
    room = speaker.model.config.max_position_embeddings
    longest = min(stage.max_length, room) - stage.max_new_tokens
    prompts = read_prompts(context.rows(stage.data), speaker.renderer, longest, split=stage.split)
    context.note(prompts.told())
    model = source.parent.name if source.name == "model" else source.name

    def work(window: int, batch: list[Prompt]) -> list[Any]:
        asked = [one.ids for one in batch for _ in range(stage.answers)]
        seed = int.from_bytes(hashlib.blake2b(f"{context.recipe.seed} {window}".encode(), digest_size=4).digest(), "little")
        said = speaker.answers(asked, stage.max_new_tokens, stage.temperature, seed)
        answers = [{"text": speaker.text(one), "ended": speaker.ended(one)} for one in said]
        return [
            {
                "group_id": group_id(one.turns),
                **prompt_member(one.turns),
                "answers": answers[i * stage.answers : (i + 1) * stage.answers],
                "model": model,
                **about(one.row),
            }
            for i, one in enumerate(batch)
        ]

    most = stage.prompts or len(prompts.train)
    if context.check:
        most = min(most, CHECKED)
    file = context.folder / "data" / "rows.jsonl"
    count = in_windows(file, spread(prompts.train, most), WINDOW, work, context)
    file.with_suffix(".json").unlink(missing_ok=True)
    summary = {
        "rows_in": prompts.rows_in,
        "rows_dropped": dict(sorted(prompts.dropped.items())),
        "rows_out": count,
        "answers": count * stage.answers,
        "answers_ended": _ended(file) / (count * stage.answers),
    }
    return Outcome(summary, "")


def _ended(file: Path) -> int:
    """How many answers in `file` ended by themselves."""
    with file.open(encoding="utf-8") as stream:
        return sum(answer["ended"] for line in stream for answer in json.loads(line)["answers"])


def prompt_member(turns: Turns) -> dict[str, Any]:
    """A prompt as rows have it: `instruction` where it is one question, else `prompt`, as messages."""
    if len(turns) == 1 and turns[0]["role"] == "user":
        return {"instruction": turns[0]["content"]}
    return {"prompt": turns}


def group_id(turns: Turns) -> str:
    """A name for a prompt, of its content: 16 hexadecimal digits of BLAKE2b."""
    content = json.dumps(turns, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def about(row: dict[str, Any]) -> dict[str, Any]:
    """The members of a row that are neither its prompt nor its answers."""
    return {key: value for key, value in row.items() if key not in SAID}
