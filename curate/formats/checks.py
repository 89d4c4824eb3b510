"""What can be wrong with a data set, told by name: how bad it is, what it is, and what to do about it.

An **error** makes training fail or silently learn something else; a **warning** is worth a look. The codes are stable: scripts
may rely on them. Sources: the checks of the OpenAI cookbook, FastChat's and AlpacaDataCleaned's cleaning rules, and the issue
trackers of TRL, axolotl and LLaMA-Factory, where each of these cost somebody a run.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["ACROSS", "FILE", "PROBLEMS", "ROW", "SUSPICIONS", "Problem", "Severity"]

Severity = Literal["error", "warning"]


class Problem(NamedTuple):
    """One kind of problem."""

    severity: Severity
    what: str
    """What it is, in a few words."""
    fix: str
    """What to do about it."""


def _error(what: str, fix: str) -> Problem:
    return Problem("error", what, fix)


def _warning(what: str, fix: str) -> Problem:
    return Problem("warning", what, fix)


_FIX = "`curate validate FILE --fix OUT` repairs it"

FILE = {
    "not_utf8": _error(
        "the file is text in another encoding than UTF-8", _FIX + ", where the encoding is certain; else re-encode it"
    ),
    "json_array": _error("a JSON array where one row a line belongs", _FIX),
    "pretty_printed": _error("rows that go over several lines", _FIX),
    "concatenated": _error("several objects on one line", _FIX),
    "byte_order_mark": _warning("a byte order mark at the start of the file", _FIX),
    "crlf": _warning("lines that end in \\r\\n", _FIX + "; harmless to most readers"),
    "trailing_comma": _error("a comma before a closing bracket, or after a row", _FIX),
    "control_character": _error("a raw tab or other control character inside a string", _FIX),
    "python_literal": _error("Python's way of writing: single quotes, True, None", _FIX + "; write rows with json.dumps"),
    "invalid_json": _error("a line that is not JSON", "look at the line; nothing can be guessed safely"),
    "truncated_line": _error("a line that ends inside its value", "the file was cut off: copy or download it again"),
    "not_a_number": _error("NaN or Infinity, which JSON has not", "write null, or leave the member out"),
    "invalid_utf8": _error("bytes that are not UTF-8", "re-encode the file; the bytes are lost if you replace them"),
    "not_a_row": _error("a line that is a bare string, number or null", "every line is an object, or an array of messages"),
    "unreadable": _error("a file or row that cannot be read", "see the message"),
}
"""What keeps a file or a line from being read."""

ROW = {
    "not_text": _error("half of a surrogate pair in a string, which no UTF-8 can hold", "take the \\ud8xx escape out"),
    "duplicate_key": _error("a member that is there twice; the last one wins silently", "keep one of them"),
    "unknown_format": _error(
        "its members are those of none of the four formats",
        "`curate convert` reads other layouts; or name the text with --text-column",
    ),
    "unknown_role": _error(
        "a role that is not one of system, developer, user, assistant, tool",
        "rename it; `curate convert` knows the usual other names",
    ),
    "empty_text": _error("the text says nothing", "take the row out"),
    "empty_instruction": _error("nothing is asked", "take the row out, or ask (an `input` may hold what belongs here)"),
    "empty_output": _error("an answer says nothing", "take the row out: a model learns to stop at once"),
    "empty_content": _error("a turn says nothing", "take the row out; --fix drops such a turn at the end of a chat"),
    "schema": _error("not what the JSON Schema of the format demands", "see the path in the message"),
    "chosen_equals_rejected": _error("both answers are the same", "take the row out: its loss cannot fall below ln 2"),
    "system_not_first": _error("a system turn after another turn", "move it to the start: most templates refuse it elsewhere"),
    "no_user_turn": _error("nobody asks", "take the row out"),
    "no_assistant_turn": _error("nobody answers", "take the row out: nothing is learned from it"),
    "roles_do_not_alternate": _error(
        "the user or the assistant speaks twice in a row, or the assistant first",
        "join the turns, or cut the chat there: many templates refuse it",
    ),
    "last_not_assistant": _error("the last turn is not an answer", "cut the chat after its last answer"),
    "tool_without_call": _error("a tool's turn that follows no call", "give the call, or take the turn out"),
    "call_not_answered": _error("a tool call that no tool's turn answers before the talk goes on", "give the tool's answer"),
    "call_id_unknown": _error("a tool's turn whose tool_call_id is none of the calls before it", "write the id of the call"),
    "arguments_not_json": _error(
        "arguments of a call that are not an object, nor the JSON text of one", "write them with json.dumps, once"
    ),
    "role_marker_in_content": _error(
        "marks of a chat template inside a text", "take them out: they end a turn early, or teach the other side"
    ),
}
"""What makes a row unfit; a row is dropped for the first that it has, in this order."""

SUSPICIONS = {
    "bare_array_chat": _warning(
        "a chat as a bare array, which `datasets.load_dataset` cannot read",
        'write {"messages": [...]}: `curate convert --to chat --wrap`',
    ),
    "input_not_read": _warning(
        "a member `input` or `context` that says something, which is no part of the format",
        "`curate convert` joins it with the instruction",
    ),
    "special_token": _warning(
        "a special token of some model inside a text", "take it out: tokenizers turn it into the real token"
    ),
    "prompt_in_output": _warning("the answer repeats the whole prompt", "cut the prompt out of the answer"),
    "refusal": _warning(
        "the answer opens with a refusal or 'As an AI language model'", "keep it only if the model is to refuse"
    ),
    "boilerplate_opening": _warning(
        "the answer opens with a phrase like 'Certainly!'", "cut the phrase if the model is not to learn it"
    ),
    "names_a_model": _warning(
        "the answer says that it is another maker's assistant", "take the row out, or write your own name"
    ),
    "placeholder": _warning("a text that stands for another: N/A, {{name}}, lorem ipsum", "fill it in, or take the row out"),
    "encoding_damage": _warning(
        "text that was decoded wrongly (mojibake), or U+FFFD",
        "the step `unicode` of `curate clean` repairs mojibake; U+FFFD is lost",
    ),
    "escaped_text": _warning(
        "escapes that are part of the text: \\u00e9, \\n written out, &quot;",
        "undo one level of escaping before you write JSON",
    ),
    "outer_space": _warning(
        "an answer with white space at its start or end", "strip it: it splits into other tokens than at generation"
    ),
    "open_code_fence": _warning("a ``` that is never closed: the answer may be cut off", "look at the end of the answer"),
    "too_long": _warning(
        "more tokens than --max-length: training would cut the row", "split or drop the row, or train with more context"
    ),
    "answer_cut": _error(
        "so long a prompt that nothing of the answer is left within --max-length", "drop or split the row: its loss is NaN or 0"
    ),
}
"""What is told of a row by itself, beside `ROW`; only `answer_cut` is an error."""

ACROSS = {
    "mixed_formats": _error(
        "rows of several formats; TRL takes the kind of the whole set from its first row", "split the file by format"
    ),
    "mixed_chats": _error(
        "some chats are bare arrays, some are objects with `messages`",
        "write all in one way: `curate convert --to chat --wrap`",
    ),
    "mixed_types": _error("a member whose type differs between rows, which Arrow and `datasets` refuse", "give it one type"),
    "think_tags_differ": _warning("some answers have <think>, others have none", "make all of one kind, or train them apart"),
    "duplicate": _warning("the same row again", "`curate dedupe` keeps one"),
    "contradiction": _warning("the same prompt with another answer", "keep the better one, if there is one right answer"),
    "preference_cycle": _error(
        "an answer chosen in one row and rejected in another, for the same prompt", "keep one of the two judgements"
    ),
    "leakage": _error(
        "a prompt of a held-out file that is in another file, too", "take it out of one of them: the measure is worthless"
    ),
    "in_several_files": _warning("a prompt that is in several files", "fine for parts of one set; not for held-out data"),
}
"""What only many rows tell."""

PROBLEMS: dict[str, Problem] = {**FILE, **ROW, **SUSPICIONS, **ACROSS}
"""All kinds, in the order in which they are shown within a severity."""
