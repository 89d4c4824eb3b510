"""Dialects whose rows are members of text: something asked, perhaps with an input to it, and the answer.

One table of names serves all. The input follows the instruction after a blank line; an instruction that is empty beside an
input is the input. An answer that is a list of texts makes a row of each.

| dialect        | names                                                                                                |
|----------------|------------------------------------------------------------------------------------------------------|
| alpaca         | `instruction`, `input`, `output` (and AlpacaEval's); `response` in GPTeacher, both in code_alpaca;     |
|                | `system`, and `history` ([[user, assistant], ...]) in LLaMA-Factory; our own instruction format       |
| dolly          | `instruction`, `context`, `response`                                                                  |
| openorca       | `system_prompt`, `question`, `response`                                                               |
| query_response | `system`, `history`, `query`, `response` (Swift)                                                      |
| qa             | `question`, `context`, and `answer` (GSM8K) or `answers`, texts or SQuAD's {`text`: [...]}             |
| explain_choice | `question`, `choices`; `solution` and `explanation` are the answer                                    |
| reflection     | `instruction`, `input`; `corrected` is the answer, the first one and the reflection on it are extra   |
| metharme       | `prompt`, `generation`                                                                                |
| prompt_response | `system`, `prompt`, `response`                                                                       |
| oasst_instruct | `INSTRUCTION`, `RESPONSE`                                                                             |
| camel          | `message_1`, `message_2`                                                                              |
| summary        | `article`, `summary`                                                                                  |
| input_output   | `input`, `output`                                                                                     |

https://github.com/tatsu-lab/stanford_alpaca, https://github.com/databrickslabs/dolly,
https://docs.axolotl.ai/docs/dataset-formats/inst_tune.html, https://github.com/hiyouga/LLaMA-Factory/blob/main/data/README.md
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.formats.alpaca import asked, given
from curate.formats.decode import Members, decode
from curate.formats.plain import nothing
from curate.formats.turns import blank, first_problem, turn

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.json_turns import Turns

__all__ = ["TEXTS", "Texts"]


@dataclass(frozen=True)
class Texts:
    """The names that a dialect's texts go by; of several for one text, a row has one, or the same in each."""

    instruction: str
    output: tuple[str, ...]
    input: str | None = None
    system: str | None = None
    history: str | None = None
    ends: str | None = None
    """A text that follows the answer after a blank line."""
    listed: bool = False
    """Whether the input is a list of texts, one a line."""

    def names(self) -> tuple[str, ...]:
        """All of them."""
        others = (self.input, self.system, self.history, self.ends)
        return (self.instruction, *self.output, *(name for name in others if name is not None))

    def read(self, record: pl.Series) -> pl.DataFrame:
        """Rows as turns: system and history where there are any, then what is asked and the answer; a line an answer."""
        import numpy as np
        import polars as pl

        members = Members(record, self.names())
        read = np.asarray(members.scan.error) == 0
        none = pl.Series([None], dtype=pl.String).new_from_index(0, len(record))

        def texts(name: str | None) -> pl.Series:
            """The texts of an answer as a list; another member as it is, if it is a text."""
            nonlocal read
            if name is None:
                return none
            several = name in self.output or (self.listed and name == self.input)
            column = _several(members, name) if several else members.strings(name)
            read &= nothing(members, name) | column.is_not_null().to_numpy()
            return column.list.join("\n") if several and name not in self.output else column

        rows = pl.DataFrame(
            {
                **{f"output{i}": texts(name) for i, name in enumerate(self.output)},
                "instruction": texts(self.instruction),
                "input": texts(self.input),
                "system": texts(self.system),
                "ends": texts(self.ends),
            }
        )
        history = none.cast(pl.List(pl.List(pl.String)))
        if self.history is not None:
            # CSV has it as text.
            text = members.strings(self.history)
            raw = members.raw(self.history).zip_with(text.is_null(), text)
            history = decode(raw, pl.List(pl.List(pl.String)))
            silent = (text.str.strip_chars() == "").fill_null(False).to_numpy()
            read &= nothing(members, self.history) | silent | history.is_not_null().to_numpy()
        outputs = [f"output{i}" for i in range(len(self.output))]
        differ = [pl.col(outputs[0]).ne(pl.col(name)) for name in outputs[1:]]
        said = pl.element().list
        pairs = pl.Series("history", history).list.eval((said.len() == 2).fill_null(False)).list.all().fill_null(True)
        read &= pairs.to_numpy()
        exchange = pl.concat_list(
            pl.struct(pl.lit(role).alias("role"), said.get(i, null_on_oob=True).alias("content"))
            for i, role in enumerate(("user", "assistant"))
        )
        rows = rows.with_columns(
            pl.Series("read", read),
            pl.Series("history", history).fill_null([]).list.eval(exchange.explode(empty_as_null=False)),
            pl.any_horizontal(pl.lit(False), *differ).fill_null(False).alias("differ"),
            pl.coalesce(outputs).alias("output"),
            asked().alias("asked"),
            pl.int_range(pl.len()).alias("parent"),
        )
        rows = rows.explode("output", empty_as_null=True, keep_nulls=True).with_columns(
            pl.concat_str("output", pl.when(~blank(pl.col("ends"))).then("ends"), separator="\n\n", ignore_nulls=True)
            if self.ends
            else pl.col("output")
        )
        return rows.select(
            "parent",
            pl.concat_list(
                turn("system", pl.col("system")),
                "history",
                turn("user", pl.col("asked")),
                turn("assistant", pl.col("output")),
            )
            .list.drop_nulls()
            .alias("turns"),
            first_problem(
                unreadable=~pl.col("read"),
                answers_differ=pl.col("differ"),
                empty_instruction=blank(pl.col("asked")),
                empty_output=blank(pl.col("output")),
                empty_content=pl.col("history").list.eval(blank(pl.element().struct.field("content"))).list.any(),
            ),
        )

    def plain(self, members: Members) -> Turns:
        """Turns of the plain rows: an instruction and one answer that surely say something, perhaps an input or a system."""
        import numpy as np

        from curate.kernels import json_turns
        from curate.kernels.json_lines import STRING

        scan = members.scan
        none = np.zeros(len(scan.error), np.bool_)

        def says(name: str) -> NDArray[np.bool_]:
            at = members.names.index(name)
            strings = scan.kind[:, at] == STRING
            return json_turns.said(members.data, scan.value_start[:, at], scan.value_end[:, at], strings)

        def silent(name: str) -> NDArray[np.bool_]:
            """Nothing there, or an empty text or list."""
            at = members.names.index(name)
            empty: NDArray[np.bool_] = scan.value_end[:, at] - scan.value_start[:, at] == 2
            return nothing(members, name) | empty

        plain = says(self.instruction)
        parts: list[tuple[int, str, NDArray[np.bool_]]] = []
        if self.system is not None:
            there = says(self.system)
            plain &= there | silent(self.system)
            parts.append((json_turns.ROLES.index("system"), self.system, there))
        parts.append((json_turns.ROLES.index("user"), self.instruction, ~none))
        if self.input is not None:
            text = members.strings(self.input)
            there = text.to_frame("input").select(given().fill_null(False)).to_series().to_numpy()
            plain &= nothing(members, self.input) | text.is_not_null().to_numpy()
            parts.append((json_turns.MORE, self.input, there))
        one = none
        for name in self.output:
            alone = says(name) & nothing(members, *(other for other in self.output if other != name))
            one = one | alone
            parts.append((json_turns.ROLES.index("assistant"), name, alone))
        plain &= one
        for other in (self.history, self.ends):
            plain &= silent(other) if other is not None else True
        used = np.stack([there & plain for _, _, there in parts], axis=1)
        columns = [members.names.index(name) for _, name, _ in parts]
        rows = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
        code = np.broadcast_to(np.array([code for code, _, _ in parts], np.uint8), used.shape)
        return json_turns.Turns(plain, rows, code[used], scan.value_start[:, columns][used], scan.value_end[:, columns][used])


def _several(members: Members, name: str) -> pl.Series:
    """A member that is a text, a list of texts, or {`text`: texts}, as a list without repeats; null where it is neither."""
    import polars as pl

    from curate.kernels.json_lines import ARRAY, OBJECT

    text, kind, raw = members.strings(name), members.kind(name), members.raw(name)
    one = text.to_frame("t").select(pl.when(pl.col("t").is_not_null()).then(pl.concat_list("t"))).to_series()
    if not ((kind == ARRAY) | (kind == OBJECT)).any():
        return one
    lists = decode(raw.set(pl.Series(kind != ARRAY), None), pl.List(pl.String))
    inner = decode(raw.set(pl.Series(kind != OBJECT), None), pl.Struct({"text": pl.List(pl.String)})).struct.field("text")
    return pl.select(pl.coalesce(one, lists, inner).list.unique(maintain_order=True)).to_series()


TEXTS: dict[str, Texts] = {
    "reflection": Texts("instruction", ("corrected",), input="input"),
    "dolly": Texts("instruction", ("response",), input="context"),
    "alpaca": Texts("instruction", ("output", "response"), input="input", system="system", history="history"),
    "openorca": Texts("question", ("response",), system="system_prompt"),
    "explain_choice": Texts("question", ("solution",), input="choices", ends="explanation", listed=True),
    "qa": Texts("question", ("answer", "answers"), input="context"),
    "query_response": Texts("query", ("response",), system="system", history="history"),
    "metharme": Texts("prompt", ("generation",)),
    "prompt_response": Texts("prompt", ("response",), system="system"),
    "oasst_instruct": Texts("INSTRUCTION", ("RESPONSE",)),
    "camel": Texts("message_1", ("message_2",)),
    "summary": Texts("article", ("summary",)),
    "input_output": Texts("input", ("output",)),
}
"""The dialects, the one that asks for most members first where one row could be of two."""
