"""A transformers model in a folder, such as `train/` makes: batches of requests, in a thread of its own."""

from __future__ import annotations

import asyncio
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError, MissingExtra
from curate.models.ask import Answer, Ask, Failed, tell_schema
from curate.models.reply import split_reasoning
from curate.models.sampling import End, Sample, random_of
from curate.models.shaped import Held, Run, Shape, Vocabulary, shape_of

if TYPE_CHECKING:
    import torch

__all__ = ["LocalBackend", "first_line"]

WEIGHTS = ("*.safetensors", "*.bin")
DECIDES = ("config.json", "generation_config.json", "tokenizer*", "chat_template*", "special_tokens_map.json", *WEIGHTS)
"""Files that decide what a model answers."""


@dataclass(eq=False)
class _Wanted:
    """A request that waits, as token ids."""

    ask: Ask
    ids: list[int]
    most: int
    """Tokens that the answer may have, within the context too."""
    shape: Shape | None
    """What the answer is held to."""
    done: asyncio.Future[Answer | Failed]


class LocalBackend:
    """Answers with a model of this machine: on its GPU, else on its CPUs. The weights are loaded with the first request.

    What waits is answered in batches of rows of like length. Each row has a random sequence of its own, from everything that
    is in its request, so that answers do not depend on what else is in the batch, but for rounding: sums of other shapes round
    differently, and once in very many tokens that decides.

    Where a request has a schema, the model is told it, and held to it where `shaped` can: byte-level tokenizers, small objects.

    endpoint: a digest of the folder's files, so that a model keeps its cache wherever it lies, and loses it when it is trained
    on. Reading the weights for it takes about a second for each GB.
    """

    raw = True

    def __init__(self, folder: Path, *, rows: int | None = None, device: str | None = None) -> None:
        """rows: most requests in a batch (64 on a GPU, 16 otherwise). Raises InputError for a folder that holds no model,
        MissingExtra without torch and transformers."""
        if not (folder / "config.json").is_file() or not any(True for kind in WEIGHTS for _ in folder.glob(kind)):
            kind = "has no config.json and weights" if folder.is_dir() else "no such folder"
            raise InputError(f"{folder}: {kind}; a model folder is what `curate train` or transformers writes")
        try:
            import torch
            import transformers  # noqa: F401 - so that it is known before the first request
        except ImportError:
            raise MissingExtra("a local model", "train") from None
        self.folder = folder
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._rows = rows or (64 if self._device.startswith("cuda") else 16)
        self._thread = ThreadPoolExecutor(1, "model")
        self._waiting: list[_Wanted] = []
        self._running: asyncio.Task[None] | None = None
        self._ended = False

    @cached_property
    def endpoint(self) -> str:
        """What the model is in the keys of a cache."""
        digest = hashlib.blake2b(digest_size=16)
        for file in sorted({file for kind in DECIDES for file in self.folder.glob(kind) if file.is_file()}):
            digest.update(file.name.encode() + b"\0")
            with file.open("rb") as stream:
                while part := stream.read(1 << 22):
                    digest.update(part)
        return f"folder:{digest.hexdigest()}"

    async def answer(self, ask: Ask) -> Answer | Failed:
        """One answer. A prompt that fills the context is `too_long`; chat without a chat template is `wrong_request`."""
        loop = asyncio.get_running_loop()
        shape = None if ask.schema is None else shape_of(ask.schema)
        if ask.schema is not None:
            ask = tell_schema(ask)
        ids = await loop.run_in_executor(self._thread, self._encode, ask)
        if isinstance(ids, Failed):
            return ids
        room = self._context - len(ids)
        if room < 1:
            return Failed("too_long", f"the prompt has {len(ids):,} tokens, and the model's context {self._context:,}")
        wanted = _Wanted(ask, ids, min(ask.max_tokens, room), shape, loop.create_future())
        self._waiting.append(wanted)
        if self._running is None:
            self._running = loop.create_task(self._run())
        try:
            return await wanted.done
        finally:
            if wanted in self._waiting:
                self._waiting.remove(wanted)

    async def _run(self) -> None:
        """Batch after batch: the request that has waited longest, and those of the nearest length."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                first = self._waiting[0]
                near = sorted(self._waiting, key=lambda wanted: abs(len(wanted.ids) - len(first.ids)))[: self._rows]
                self._waiting = [wanted for wanted in self._waiting if wanted not in near]
                try:
                    results = await loop.run_in_executor(self._thread, self._generate, near)
                except Exception as error:  # noqa: BLE001 - each request is told, and raises it to its caller
                    for wanted in near:
                        if not wanted.done.done():
                            wanted.done.set_exception(error)
                    continue
                for wanted, result in zip(near, results, strict=True):
                    if not wanted.done.done():
                        wanted.done.set_result(result)
        finally:
            self._running = None

    async def close(self) -> None:
        """End after the token that is being made."""
        self._ended = True
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    # What follows runs in the model's thread.

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise InputError(f"{self.folder}: its tokenizer cannot be loaded ({first_line(error)})") from error
        return tokenizer

    @cached_property
    def _model(self) -> Any:
        from safetensors import SafetensorError
        from transformers import AutoModelForCausalLM
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        try:
            model = AutoModelForCausalLM.from_pretrained(self.folder, dtype="auto", local_files_only=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise InputError(f"{self.folder}: the model cannot be loaded ({first_line(error)})") from error
        return model.to(self._device).eval()

    @cached_property
    def _context(self) -> int:
        config = json.loads((self.folder / "config.json").read_bytes())
        return int(config.get("max_position_embeddings") or config.get("n_positions") or 1 << 30)

    @cached_property
    def _ends(self) -> list[int]:
        """Ids that end an answer."""
        named = self._model.generation_config.eos_token_id
        found = set(named if isinstance(named, list) else [named]) | {self._tokenizer.eos_token_id}
        return sorted(id for id in found if id is not None)

    @cached_property
    def _vocabulary(self) -> Vocabulary | None:
        """What holds answers to a schema; None where the tokenizer, or a model whose answers never end, does not allow it."""
        try:
            return Vocabulary(self._tokenizer) if self._ends else None
        except ValueError:
            return None

    def _encode(self, ask: Ask) -> list[int] | Failed:
        tokenizer = self._tokenizer
        if ask.prompt is not None:
            opened = tokenizer.bos_token is not None and ask.prompt.startswith(tokenizer.bos_token)
            raw: list[int] = tokenizer(ask.prompt, add_special_tokens=not opened)["input_ids"]
            return raw or Failed("wrong_request", "an empty prompt, and the tokenizer begins with no token of its own")
        return self._templated(ask, prompted=True)

    def _templated(self, ask: Ask, prompted: bool) -> list[int] | Failed:
        """Messages under the chat template. prompted: the model is to speak next."""
        tokenizer = self._tokenizer
        if not tokenizer.chat_template:
            return Failed(
                "wrong_request",
                f"{self.folder} has no chat template, so it takes no chat: use a model that was trained on chats",
                hopeless=True,
            )
        try:
            text = tokenizer.apply_chat_template(list(ask.messages), tokenize=False, add_generation_prompt=prompted)
        except Exception as error:  # noqa: BLE001 - a template may raise anything, and says so of roles that it does not know
            return Failed("wrong_request", f"the chat template refuses the messages ({first_line(error)})")
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _generate(self, batch: list[_Wanted]) -> list[Answer | Failed]:
        import torch

        try:
            return self._generate_at_once(batch)
        except torch.OutOfMemoryError as error:
            if len(batch) == 1:
                return [Failed("too_long", f"the prompt does not fit the memory of the device ({first_line(error)})")]
        torch.cuda.empty_cache()
        self._rows = max(1, len(batch) // 2)
        half = len(batch) // 2
        return self._generate(batch[:half]) + self._generate(batch[half:])

    def _generate_at_once(self, batch: list[_Wanted]) -> list[Answer | Failed]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        model, tokenizer, ends = self._model, self._tokenizer, self._ends
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (ends[0] if ends else 0)
        longest = max(len(wanted.ids) for wanted in batch)
        # Left, so that all rows go on from the same place.
        ids = torch.tensor([[pad] * (longest - len(wanted.ids)) + wanted.ids for wanted in batch])
        mask = torch.tensor([[0] * (longest - len(wanted.ids)) + [1] * len(wanted.ids) for wanted in batch])
        end = End(
            tokenizer, longest, [wanted.most for wanted in batch], [wanted.ask.stop for wanted in batch], ends, self._is_ended
        )
        config = GenerationConfig(
            max_new_tokens=max(wanted.most for wanted in batch), do_sample=False, pad_token_id=pad, eos_token_id=ends or None
        )
        runs = [
            Run(self._vocabulary, w.shape, w.most, ends) if w.shape is not None and self._vocabulary is not None else None
            for w in batch
        ]
        with torch.inference_mode():
            made: torch.Tensor = model.generate(
                ids.to(self._device),
                attention_mask=mask.to(self._device),
                generation_config=config,
                logits_processor=LogitsProcessorList(
                    [
                        *([Held(runs, longest)] if any(runs) else []),
                        Sample([(w.ask.temperature, w.ask.top_p, random_of(w.ask)) for w in batch]),
                    ]
                ),
                stopping_criteria=StoppingCriteriaList([end]),
            )
        return [self._read(wanted, made[row, longest:].tolist()) for row, wanted in enumerate(batch)]

    def _is_ended(self) -> bool:
        return self._ended

    def _read(self, wanted: _Wanted, made: list[int]) -> Answer | Failed:
        made = made[: wanted.most]
        finish = "length"
        for place, id in enumerate(made):
            if id in self._ends:
                made, finish = made[:place], "stop"
                break
        text: str = self._tokenizer.decode(made, skip_special_tokens=True)
        found = min((place for stop in wanted.ask.stop if (place := text.find(stop)) >= 0), default=None)
        if found is not None:
            text, finish = text[:found], "stop"
        reasoning: str | None = None
        if wanted.ask.prompt is None:
            text, reasoning = split_reasoning(text)
        return Answer(text, reasoning, finish, len(wanted.ids), len(made))


def first_line(error: Exception) -> str:
    """What an error says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
