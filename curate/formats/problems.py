"""Why a row, or a part of one, cannot be converted."""

from __future__ import annotations

__all__ = ["PROBLEMS"]

PROBLEMS = {
    "unknown_dialect": "its members are those of no dialect",
    "unreadable": "a member is not of the type that the dialect has there",
    "empty": "no message at all",
    "empty_instruction": "nothing is asked",
    "empty_output": "an answer says nothing",
    "empty_content": "a turn says nothing",
    "unknown_role": "a role that no format names",
    "not_an_answer": "what was chosen or rejected is no turn of the assistant",
    "bad_answer": "the row's own label says that the answer is a bad one",
    "deleted": "somebody deleted the message",
    "failed_review": "those who reviewed the message turned it down",
    "unanswered": "a user's message without a reply",
    "too_deep": "a tree of more levels than can be read",
    "roles_do_not_alternate": "two turns of one speaker in a row, in a transcript",
    "bad_call": "a function call that is not JSON with a name",
    "bad_tools": "tools that are no list of objects",
    "answers_differ": "two answers in one row that are not the same",
    "prompts_differ": "the two answers are not to the same prompt",
    "unscored": "an answer, and nothing that says how good it is",
    "uneven": "not as many scores as answers",
    "scores_disagree": "the scores of two answers say that the rejected one is better",
    "one_answer": "a single answer, which nothing can be compared with",
    "tie": "two answers of the same score",
    "small_margin": "two answers whose scores differ by less than `min_margin`",
    "more_than_text": "a tool call, or content in parts, which the target cannot hold",
    "more_than_openai": "a message has members that OpenAI's files do not have",
    "more_than_system": "a system prompt, which the target cannot hold (`lose` system)",
    "more_than_one_turn": "further turns, which the target cannot hold (`lose` earlier_turns)",
    "not_answered": "the last turn is not an answer",
    "no_label": "nothing says whether the answer is a good one",
    "template_refuses": "the chat template does not take the chat",
    "no_such_target": "this kind of row cannot become the target without making words up",
}
"""The problems by name."""
