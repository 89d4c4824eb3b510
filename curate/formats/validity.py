"""What is wrong with a row of one of the four formats: its schema, and what the schema cannot say.

A check gives a column, null where the row passes, else the evidence as a short text. What the schemas demand is decided by
`jsonschema` over `schemas/`; rows that a scan of their members proves right are not shown to it, as it takes about 30 us a row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.declare import FormatName
from curate.formats.calls import call_problems
from curate.formats.checks import ROW
from curate.formats.convert import detect_dialect
from curate.formats.decode import Members, has_half
from curate.formats.talk import OPENING, PART, talk
from curate.formats.targets import COLUMNS

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CHECKS", "MARKERS", "Examined", "checks", "examine", "schema_errors"]

_ROLES = ["system", "developer", "user", "assistant", "tool"]

MARKERS = (
    r"<\|(?:im_start|im_end|start_header_id|end_header_id|eot_id|begin_of_text|endoftext|end|user|assistant|system)\|>"
    r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|\n\n(?:Human|Assistant):|(?:^|[\n\x00])### (?:Instruction|Response):"
)
"""Marks of chat templates: inside a content they end a turn early, or teach the model to write the other side."""

_MARKER_PARTS = ["<|", "INST]", "SYS>>", "_of_turn>", "\n\nHuman:", "\n\nAssistant:", "### Instruction:", "### Response:"]
# One of these is in whatever the expression finds. Looking for them takes a tenth of the time.

CHECKS = {name: problem.what for name, problem in ROW.items()}
"""The checks in order of precedence, and what fails them."""


class Examined(NamedTuple):
    """What was found in n rows, and what they say, for whoever looks further."""

    found: pl.DataFrame
    """[n] a column for each of `CHECKS`; all null for a row that passes."""
    rows: pl.DataFrame
    """[n] `format`; `prompt` (null in the text format), `answer` and `rejected` (null where there is none): all that decides
    whether two rows are the same; `asked`: what the answer answers; `openings`: how each answer begins; `said`: every text."""

    members: Members
    """The members of the rows called `KNOWN`, and the text column."""


def schema_errors(record: pl.Series, format: FormatName, text_column: str = "text", sure: pl.Series | None = None) -> pl.Series:
    """What the schema of the format finds wrong with each row of JSON text, in one line; null where nothing. O(bytes).

    sure: rows that are known to obey it.
    """
    import jsonschema

    import schemas

    if sure is None:
        sure = _surely_valid(record, format, text_column)
    schema: dict[str, Any] = schemas.load(format)
    if format == "text" and text_column != "text":
        schema = {**schema, "required": [text_column], "properties": {text_column: schema["properties"]["text"]}}
    validator = jsonschema.Draft202012Validator(schema)
    return _told(~sure, record, lambda row: _error(validator, row)).rename("schema")


def _error(validator: Any, row: str) -> str | None:
    from jsonschema.exceptions import best_match

    try:
        error = best_match(validator.iter_errors(json.loads(row)))
    except (ValueError, RecursionError) as problem:
        return f"not JSON that can be read: {problem}"
    if error is None:
        return None
    message = error.message if len(error.message) <= 200 else f"{error.message[:120]} ... {error.message[-80:]}"
    return f"{error.json_path}: {message}"


def _surely_valid(record: pl.Series, format: FormatName, text_column: str) -> pl.Series:
    """Rows that certainly obey the schema. Never true of one that does not; others may."""
    if format == "chat":
        chats = talk(Members(record, ("messages",), "messages").raw("messages"))
        return chats["plain"] & ~chats["empty"] & _role_problems(chats)["unknown_role"].is_null()
    names = (text_column,) if format == "text" else COLUMNS[format]
    members = Members(record, names)
    return _all_there([members.strings(name) for name in names])


def _all_there(texts: list[pl.Series]) -> pl.Series:
    import polars as pl

    return pl.select(pl.all_horizontal((text.str.len_bytes() > 0).fill_null(False) for text in texts)).to_series()


def checks(record: pl.Series, format: FormatName | None, text_column: str = "text") -> pl.DataFrame:
    """Rows of JSON text against every check of their format, which each row's own members tell when it is None.

    A column for each of `CHECKS`; all null for a row that passes. The verdict on a row depends on that row alone. O(bytes).
    """
    return examine(record, format, text_column).found


def examine(record: pl.Series, format: FormatName | None, text_column: str = "text") -> Examined:
    """As `checks`, with the texts that the rows hold. O(bytes)."""
    import polars as pl

    names = tuple(dict.fromkeys((*KNOWN, text_column)))
    members = Members(record, names, "messages")
    told = _formats(members, text_column) if format is None else pl.Series([format]).new_from_index(0, len(record))
    done = [_frame(pl.Series("row", [], dtype=pl.Int64), None, {}, {})]
    for name in told.unique(maintain_order=True):
        among = told.is_null() if name is None else (told == name).fill_null(False)
        part = Part(record, members, None if among.all() else among)
        found, texts = _CHECKED[name](part, text_column) if name is not None else _unknown(part.record)
        row = pl.int_range(len(record), eager=True)
        done.append(_frame(row if part.among is None else row.filter(part.among), name, found, texts))
    whole = pl.concat(done).sort("row")
    half = has_half(record)
    if half.any():
        excerpt = pl.when(half.alias("half")).then(record.str.extract(r"(.{0,20}\\u[dD][89a-fA-F]..)"))
        whole = whole.with_columns(excerpt.alias("not_text"))
    return Examined(whole.select(*CHECKS), whole.select("format", *_TEXTS), members)


KNOWN = (
    "messages",
    "instruction",
    "output",
    "chosen",
    "rejected",
    "input",
    "context",
    "system",
    "tools",
    "history",
    "id",
    "label",
)
"""Members of the formats, and those that often stand beside them."""


class Part:
    """The rows of one format among those that were scanned together. among: which rows these are; None: all."""

    def __init__(self, record: pl.Series, members: Members, among: pl.Series | None) -> None:
        self.among = among
        self.record = self._mine(record)
        self._members = members

    def _mine(self, column: pl.Series) -> pl.Series:
        return column if self.among is None else column.filter(self.among)

    def strings(self, name: str) -> pl.Series:
        """A member where it is a string, else null."""
        return self._mine(self._members.strings(name))

    def raw(self, name: str) -> pl.Series:
        """A member as it is written; null where there is none."""
        return self._mine(self._members.raw(name))

    def twice(self, name: str) -> pl.Series:
        """Where a member may be there twice: its name stands well before the value that counts, which is the last."""
        import polars as pl

        quoted = f'"{name}"'
        scan = self._members.scan
        value = self._mine(pl.Series(scan.value_start[:, self._members.names.index(name)] - scan.start))
        first = self.record.str.find(quoted, literal=True).cast(pl.Int64)
        return (first + len(quoted.encode()) + 3 < value).fill_null(False)


_TEXTS = ("prompt", "answer", "rejected", "asked", "openings", "said")


def _frame(row: pl.Series, format: object, found: dict[str, pl.Series], texts: dict[str, pl.Series]) -> pl.DataFrame:
    """Columns for all that can be found and said, null where nothing is."""
    import polars as pl

    nothing = pl.Series("", [None], dtype=pl.String).new_from_index(0, len(row))
    columns = {"format": nothing if format is None else pl.Series("", [format], dtype=pl.String).new_from_index(0, len(row))}
    columns |= {name: found.get(name, nothing) for name in CHECKS} | {name: texts.get(name, nothing) for name in _TEXTS}
    return pl.DataFrame([row.rename("row"), *(column.alias(name) for name, column in columns.items())])


def _formats(members: Members, text_column: str) -> pl.Series:
    """The format of each row by its members, as `readings.detect` tells it; null where it is none."""
    import polars as pl

    from curate.kernels.json_lines import ABSENT, ARRAY

    there = pl.DataFrame([pl.Series(name, members.kind(name) != ABSENT) for name in members.names])
    chat = pl.Series(members.kind("messages") == ARRAY)
    return there.select(
        pl.when(chat)
        .then(pl.lit("chat"))
        .when(pl.all_horizontal("instruction", "chosen", "rejected"))
        .then(pl.lit("preference"))
        .when(pl.all_horizontal("instruction", "output"))
        .then(pl.lit("instruction"))
        .when(pl.col(text_column))
        .then(pl.lit("text"))
        .alias("format")
    ).to_series()


_Found = tuple[dict[str, "pl.Series"], dict[str, "pl.Series"]]
"""What is wrong, by check; what is said, by the names of `Examined.rows`."""


def _unknown(record: pl.Series) -> _Found:
    """Evidence: the names of the members that there are, and whose layout they are."""
    import polars as pl

    def names(row: str, dialect: str) -> str:
        value = json.loads(row)
        if not isinstance(value, dict):
            return f"a {type(value).__name__}"
        told = f"members: {', '.join(list(value)[:8])}"
        return told if dialect in ("none", "text", "unreadable") else f"{told} (the layout '{dialect}')"

    told = [names(row, dialect) for row, dialect in zip(record, detect_dialect(record), strict=True)]
    return {"unknown_format": pl.Series(told, dtype=pl.String)}, {}


def _blank(column: pl.Series) -> pl.Series:
    """Evidence where a text is there and says nothing: the text itself, quoted."""
    import polars as pl

    blank = ~column.str.contains(r"\S")
    if not blank.any():
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(column))
    quoted = pl.lit('"') + pl.col("text").str.head(20) + pl.lit('"')
    return pl.DataFrame({"text": column, "blank": blank}).select(pl.when("blank").then(quoted)).to_series()


def _twice(part: Part, names: Sequence[str]) -> pl.Series:
    """Which of the members stand more than once in a row; null where none does."""
    import polars as pl

    suspects = pl.select(pl.any_horizontal(part.twice(name) for name in names)).to_series()
    return _told(suspects, part.record, _repeated)


def _told(where: pl.Series, texts: pl.Series, tell: Callable[[str], str | None]) -> pl.Series:
    """What is told of each text that stands where it should be looked at, else null. A call a text."""
    import polars as pl

    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(texts))
    places = where.arg_true()
    return nothing.scatter(places, pl.Series(map(tell, texts.gather(places)), dtype=pl.String)) if len(places) else nothing


def _repeated(row: str) -> str | None:
    """The first member of an object of a row, at any depth, that is there twice."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            seen: set[str] = set()
            found.extend(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return members

    try:
        json.loads(row, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return None
    return found[0] if found else None


def _texts(
    format: FormatName,
    blank: dict[str, str],
    say: Callable[[list[pl.Series]], dict[str, pl.Series]],
    more: Callable[[list[pl.Series]], dict[str, pl.Series]] = lambda texts: {},
) -> Callable[[Part, str], _Found]:
    """The checks of a format whose texts are members.

    blank: the check that each member's emptiness fails. say: what the texts are, by the names of `Examined.rows`, `said` left
    out. more: checks of its own.
    """

    def check(part: Part, text_column: str) -> _Found:
        import polars as pl

        names = [text_column if name == "text" else name for name in blank]
        texts = [part.strings(name) for name in names]
        found: dict[str, pl.Series] = {"duplicate_key": _twice(part, names)}
        for text, reason in zip(texts, blank.values(), strict=True):
            empty = _blank(text)
            found[reason] = empty if reason not in found else found[reason].zip_with(found[reason].is_not_null(), empty)
        found["schema"] = schema_errors(part.record, format, text_column, _all_there(texts))
        said = pl.select(pl.concat_str(texts, separator=PART, ignore_nulls=True)).to_series() if len(texts) > 1 else texts[0]
        if format != "text":
            found["role_marker_in_content"] = _marker(said)
        spoken = {**say(texts), "said": said}
        if format != "text":
            spoken["prompt"] = _with_beside(part, texts[0])
        return {**found, **more(texts)}, spoken

    return check


def _with_beside(part: Part, prompt: pl.Series) -> pl.Series:
    """What is asked with what stands beside it: two rows with the same instruction and other inputs ask other things."""
    import polars as pl

    beside = [part.strings("input"), part.strings("context"), part.raw("system"), part.raw("history")]
    beside = [text for text in beside if text.null_count() < len(text)]
    if not beside:
        return prompt
    filled = [text.set((text.str.len_bytes() == 0).fill_null(False), None) for text in beside]
    return pl.select(pl.concat_str([prompt, *filled], separator=PART, ignore_nulls=True)).to_series()


def _marker(said: pl.Series) -> pl.Series:
    import polars as pl

    places = (
        pl.select(pl.any_horizontal(said.str.contains(part, literal=True) for part in _MARKER_PARTS)).to_series().arg_true()
    )
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(said))
    if not len(places):
        return nothing
    return nothing.scatter(places, said.gather(places).str.extract(f"({MARKERS})").str.strip_chars(" \n\r\t\x00"))


def _same_answers(texts: list[pl.Series]) -> dict[str, pl.Series]:
    import polars as pl

    chosen, rejected = texts[1], texts[2]
    same = chosen.str.strip_chars() == rejected.str.strip_chars()
    return {"chosen_equals_rejected": pl.select(pl.when(same).then(chosen.str.head(40))).to_series()}


def _asked_and_answered(texts: list[pl.Series]) -> dict[str, pl.Series]:
    found = {"prompt": texts[0], "asked": texts[0], "answer": texts[1], "openings": texts[1].str.head(OPENING)}
    return found if len(texts) == 2 else {**found, "rejected": texts[2]}


def _chat(part: Part, text_column: str) -> _Found:
    messages = part.raw("messages")
    chats = talk(messages)
    found = _role_problems(chats)
    good = chats["plain"] & ~chats["empty"] & found["unknown_role"].is_null()
    found["schema"] = schema_errors(part.record, "chat", sure=good)
    found["role_marker_in_content"] = _marker(chats["said"])
    found |= _calls(messages, chats["calls"])
    found["duplicate_key"] = _told(~chats["plain"] | part.twice("messages"), part.record, _repeated)
    return found, {name: chats[name] for name in ("prompt", "answer", "asked", "openings", "said")}


def _role_problems(flat: pl.DataFrame) -> dict[str, pl.Series]:
    """What is wrong with who speaks when. Chats have few sequences of roles, so each is judged once."""
    import polars as pl

    kinds = flat.select("roles").unique(maintain_order=True)
    spoken = pl.concat_str(pl.lit(" "), pl.col("roles"), pl.lit(" "))
    turns = pl.col("roles").str.split(" ")
    # Turns next to each other, told by looking for both roles and the space between.
    twice = spoken.str.contains(r" user user | assistant assistant ")
    late = r" (?:user|assistant|tool) (?:.* )?(?:system|developer) "
    conditions = {
        "system_not_first": spoken.str.contains(late),
        "no_user_turn": ~spoken.str.contains(" user ", literal=True),
        "no_assistant_turn": ~spoken.str.contains(" assistant ", literal=True),
        "roles_do_not_alternate": twice | spoken.str.contains(r"^(?: system| developer)* assistant "),
        "last_not_assistant": ~spoken.str.ends_with(" assistant "),
        "tool_after_talk": spoken.str.contains(r" (?:user|system|developer) tool |^ tool "),
        "tool": spoken.str.contains(" tool ", literal=True),
    }
    unknown = (
        turns.list.eval(pl.when(~pl.element().is_in([*_ROLES, "?", ""])).then(pl.element())).list.drop_nulls().list.first()
    )
    kinds = kinds.with_columns(
        unknown.alias("unknown_role"), *(condition.alias(name) for name, condition in conditions.items())
    )
    judged = flat.select("roles", "silent", "calls").join(
        kinds, on="roles", how="left", maintain_order="left", nulls_equal=True
    )
    judged = judged.with_columns(
        (pl.col("silent") & ~pl.col("calls")).alias("empty_content"),
        (pl.col("tool_after_talk") | (pl.col("tool") & ~pl.col("calls"))).alias("tool_without_call"),
    )
    names = ("empty_content", *[name for name in conditions if not name.startswith("tool")], "tool_without_call")
    holds = [pl.when(pl.col(name) & (pl.col("roles") != "")).then(pl.col("roles").str.head(200)).alias(name) for name in names]
    return {column.name: column for column in judged.select("unknown_role", *holds).get_columns()}


def _calls(messages: pl.Series, calls: pl.Series) -> dict[str, pl.Series]:
    """What is wrong with the calls of the chats that have some."""
    import polars as pl

    names = ("call_not_answered", "call_id_unknown", "arguments_not_json")
    places = calls.fill_null(False).arg_true()
    told: list[dict[str, str]] = []
    for text in messages.gather(places):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = []
        told.append(call_problems(value if isinstance(value, list) else []))
    # `scatter` writes into the series itself.
    found = {name: pl.Series([None], dtype=pl.String).new_from_index(0, len(messages)) for name in names}
    return {name: of.scatter(places, pl.Series([one.get(name) for one in told], dtype=pl.String)) for name, of in found.items()}


_CHECKED: dict[str, Callable[[Part, str], _Found]] = {
    "text": _texts("text", {"text": "empty_text"}, lambda texts: {"answer": texts[0]}),
    "instruction": _texts("instruction", {"instruction": "empty_instruction", "output": "empty_output"}, _asked_and_answered),
    "preference": _texts(
        "preference",
        {"instruction": "empty_instruction", "chosen": "empty_output", "rejected": "empty_output"},
        _asked_and_answered,
        _same_answers,
    ),
    "chat": _chat,
}
