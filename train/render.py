"""Rows to token ids and labels: the only place where that happens, for training, held-out loss and answers alike.

A label is the token itself where the model is trained to say it, and IGNORE elsewhere. Chat and instruction rows go
through the tokenizer's chat template, whose {% generation %} blocks mark what the assistant says and the token that
ends its turn; text rows count whole, with the end token. Without a template, an instruction row is instruction, blank
line, output, and output and end token count. A preference row is its prompt and what each of two answers adds to it.

Needs the tokenizer's library, and no torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from train.errors import DataError
from train.rows import Row

__all__ = ["IGNORE", "Choice", "Pair", "Rendered", "Renderer"]

IGNORE = -100
"""The label that torch's cross entropy leaves out."""


@dataclass(frozen=True)
class Rendered:
    """Token ids and labels of one row, or why it is dropped."""

    ids: list[int]
    labels: list[int]
    dropped: str | None = None
    """too_long, special_token (its text spells a special token), nothing_trained; None: kept."""
    cut: bool = False

    @property
    def trained(self) -> int:
        """Tokens that are trained on. The first of a row is never one: nothing comes before it."""
        return sum(label != IGNORE for label in self.labels[1:])


@dataclass(frozen=True)
class Pair:
    """A preference row: the ids of its prompt, and those that each answer adds, or why it is dropped.

    Prompt and answer, one after the other, are the ids of the whole chat. An answer's labels are those of the chat.
    """

    prompt: list[int]
    chosen: Rendered
    rejected: Rendered
    dropped: str | None = None
    """As of `Rendered`; also same_answers (nothing to prefer), prompt_differs (the template puts the prompt differently once
    it is answered)."""


@dataclass(frozen=True)
class Choice:
    """The ids of a prompt, and those that each answer to it adds, labelled as in the whole chat; or why it is dropped."""

    prompt: list[int]
    answers: list[Rendered]
    dropped: str | None = None


class Renderer:
    """Renders rows of one format with one tokenizer. `stop_ids` are the tokens that end an answer.

    Raises DataError when the tokenizer's chat template is missing where chat rows need one, marks no assistant text,
    or leaves the end of the turn out of it.
    """

    def __init__(self, tokenizer: Any, format: str, *, max_length: int, too_long: str) -> None:
        self.tokenizer = tokenizer
        self.format = format
        self.max_length = max_length
        self.too_long = too_long
        self.stop_ids: list[int] = [tokenizer.eos_token_id]
        self._special = re.compile("|".join(re.escape(token) for token in tokenizer.all_special_tokens))
        template = tokenizer.chat_template
        self.templated = bool(template) and format != "text"
        if format == "chat" and not template:
            raise DataError(f"{tokenizer.name_or_path}: chat rows need a chat template, and this tokenizer has none")
        if self.templated:
            if not re.search(r"{%-?\s*generation\b", str(template)):
                raise DataError(f"{tokenizer.name_or_path}: the chat template marks no assistant text with {{% generation %}}")
            end = self._end_of_turn()
            self.stop_ids = sorted({end, tokenizer.eos_token_id})

    def render(self, row: Row) -> Rendered:
        """The row as ids and labels, at most `max_length` of them. Raises DataError for a row of the wrong shape."""
        texts, messages = self._texts(row)
        if any(self._special.search(text) for text in texts):
            return Rendered([], [], dropped="special_token")
        ids, labels = self._templated(row.where, messages) if self.templated else self._plain(texts)
        self._check_start(row.where, ids)
        return self.fit(row.where, ids, labels)

    def fit(self, where: str, ids: list[int], labels: list[int]) -> Rendered:
        """Ids and labels, at most `max_length` of them, by the rule `too_long`. Raises DataError where that is an error."""
        cut = False
        if len(ids) > self.max_length:
            if self.too_long == "error":
                raise DataError(f"{where}: has {len(ids)} tokens, max_length is {self.max_length}; raise it, or set too_long")
            if self.too_long == "drop":
                return Rendered([], [], dropped="too_long")
            ids, labels, cut = ids[: self.max_length], labels[: self.max_length], True
        rendered = Rendered(ids, labels, cut=cut)
        return rendered if rendered.trained else Rendered([], [], dropped="nothing_trained")

    def render_pair(self, row: Row) -> Pair:
        """A preference row as ids, prompt and longer answer at most `max_length` of them; longer pairs are dropped.

        Raises DataError for a row of the wrong shape.
        """
        question, *texts = [self._string(row, key) for key in ("instruction", "chosen", "rejected")]
        choice = self.render_answers(row.where, [{"role": "user", "content": question}], texts)
        dropped = choice.dropped or next((answer.dropped for answer in choice.answers if answer.dropped), None)
        if dropped:
            return Pair([], Rendered([], []), Rendered([], []), dropped)
        chosen, rejected = choice.answers
        if chosen.ids == rejected.ids:
            return Pair([], Rendered([], []), Rendered([], []), "same_answers")
        return Pair(choice.prompt, chosen, rejected)

    def render_answers(self, where: str, turns: list[dict[str, str]], texts: list[str]) -> Choice:
        """A prompt and several answers to it as ids, prompt and answer at most `max_length` of them.

        An answer that is longer, trains nothing or spells a special token says so in `dropped`; so does the whole where
        the prompt does. Raises DataError for a prompt that the tokenizer has no template for.
        """
        if any(self._special.search(turn["content"]) for turn in turns):
            return Choice([], [], "special_token")
        prompt = self.prompt_of(where, turns)
        if len(prompt) >= self.max_length:
            return Choice([], [], "too_long")
        answers: list[Rendered] = []
        for text in texts:
            if self._special.search(text):
                answers.append(Rendered([], [], dropped="special_token"))
                continue
            said = [*turns, {"role": "assistant", "content": text}]
            ids, labels = self._templated(where, said) if self.templated else self._answered(prompt, text)
            if ids[: len(prompt)] != prompt:
                return Choice([], [], "prompt_differs")
            self._check_start(where, ids)
            answer = Rendered(ids[len(prompt) :], labels[len(prompt) :])
            if len(ids) > self.max_length:
                answer = Rendered([], [], dropped="too_long")
            elif set(answer.labels) <= {IGNORE}:
                answer = Rendered([], [], dropped="nothing_trained")
            answers.append(answer)
        return Choice(prompt, answers)

    def prompt_of(self, where: str, turns: list[dict[str, str]]) -> list[int]:
        """A conversation as ids up to where the model answers. Raises DataError where that needs a template."""
        import jinja2

        if self.templated:
            try:
                ids: list[int] = self._apply(turns, add_generation_prompt=True)["input_ids"]
            except jinja2.TemplateError as error:
                raise DataError(f"{where}: the chat template refuses the row ({error})") from error
            return ids
        if len(turns) != 1:
            raise DataError(f"{where}: a prompt of {len(turns)} messages needs a chat template, and this tokenizer has none")
        return self.prompt(turns[0]["content"])

    def prompt(self, text: str) -> list[int]:
        """A prompt as ids, exactly as the model sees it in training up to where it answers."""
        if self.templated:
            return self.prompt_of("the prompt", [{"role": "user", "content": text}])
        return self._open(text if self.format == "text" else f"{text}\n\n")

    def prefix_stable(self, row: Row) -> bool:
        """Whether the row's ids start with those of its prompt: what is trained is what is asked later.

        True where there is nothing to compare (text rows, rows that do not end with the assistant).
        """
        _, messages = self._texts(row)
        if not self.templated or not messages or messages[-1]["role"] != "assistant":
            return True
        asked = self._apply(messages[:-1], add_generation_prompt=True)["input_ids"]
        return bool(self._apply(messages)["input_ids"][: len(asked)] == asked)

    def marked(self, rendered: Rendered) -> str:
        """The row as text, what is trained on between ⟦ and ⟧."""
        out: list[str] = []
        start = 0
        for i in range(1, len(rendered.ids) + 1):
            trained = rendered.labels[start] != IGNORE
            if i == len(rendered.ids) or (rendered.labels[i] != IGNORE) != trained:
                text = self.tokenizer.decode(rendered.ids[start:i])
                out.append(f"⟦{text}⟧" if trained else text)
                start = i
        return "".join(out)

    def _texts(self, row: Row) -> tuple[list[str], list[dict[str, str]]]:
        """The strings of a row in order, and the row as messages."""
        if self.format == "text":
            return [self._string(row, "text")], []
        if self.format == "instruction":
            question, answer = self._string(row, "instruction"), self._string(row, "output")
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            return [question, answer], turns
        messages = row.value.get("messages")
        if not isinstance(messages, list) or not messages:
            raise DataError(f"{row.where}: messages is no array of messages")
        for i, message in enumerate(messages):
            if not isinstance(message, dict) or not all(isinstance(message.get(k), str) for k in ("role", "content")):
                raise DataError(f"{row.where}: messages.{i}: a message has a role and a content, both strings")
        return [message["content"] for message in messages], messages

    @staticmethod
    def _string(row: Row, key: str) -> str:
        value = row.value.get(key)
        if not isinstance(value, str):
            raise DataError(f"{row.where}: {key} must be a string, not {type(value).__name__}")
        return value

    def _plain(self, texts: list[str]) -> tuple[list[int], list[int]]:
        eos = self.tokenizer.eos_token_id
        if self.format == "text":
            ids = [*self._open(texts[0]), eos]
            return ids, list(ids)
        # Instruction and output are tokenised apart: merged over the boundary, a token would belong to both.
        return self._answered(self._open(f"{texts[0]}\n\n"), texts[1])

    def _answered(self, asked: list[int], text: str) -> tuple[list[int], list[int]]:
        """Ids and labels of a prompt and the answer to it, without a template."""
        answer = [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.tokenizer.eos_token_id]
        return asked + answer, [IGNORE] * len(asked) + answer

    def _open(self, text: str) -> list[int]:
        """Ids of a text that starts a row: with the tokenizer's own start token if it has one, without an end token."""
        ids: list[int] = self.tokenizer(text)["input_ids"]
        while ids and ids[-1] == self.tokenizer.eos_token_id:
            ids = ids[:-1]
        return ids

    def _templated(self, where: str, messages: list[dict[str, str]]) -> tuple[list[int], list[int]]:
        import jinja2

        try:
            out = self._apply(messages, return_assistant_tokens_mask=True)
        except jinja2.TemplateError as error:
            raise DataError(f"{where}: the chat template refuses the row ({error})") from error
        ids: list[int] = out["input_ids"]
        return ids, [token if said else IGNORE for token, said in zip(ids, out["assistant_masks"], strict=True)]

    def _check_start(self, where: str, ids: list[int]) -> None:
        bos = self.tokenizer.bos_token_id
        if bos is not None and bos not in self.stop_ids and ids.count(bos) > 1:
            raise DataError(
                f"{where}: renders with {ids.count(bos)} {self.tokenizer.bos_token} tokens; the chat template or "
                "the tokenizer's post-processor adds one too many"
            )

    def _apply(self, messages: list[dict[str, str]], **options: Any) -> Any:
        return self.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, **options)

    def _end_of_turn(self) -> int:
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
        _, labels = self._templated("a two-turn chat", turns)
        special = set(self.tokenizer.all_special_ids)
        ends = [label for label in labels if label in special]
        if not ends:
            raise DataError(
                f"{self.tokenizer.name_or_path}: the chat template leaves the end of the assistant's turn out of its "
                "{% generation %} block; a model trained with it never stops"
            )
        return ends[-1]
