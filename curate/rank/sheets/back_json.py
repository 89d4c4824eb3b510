"""Votes out of JSON: lines of votes, and what Label Studio and Argilla export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curate.errors import InputError
from curate.rank.importing import Came, Context, Refusal
from curate.rank.sheets.argilla import question
from curate.rank.sheets.table import LETTERS
from curate.rank.votes import Vote

__all__ = ["read", "utc"]


def utc(text: Any) -> str | None:
    """A time of ISO 8601 as votes have it; None where it is none. One without an offset is UTC."""
    try:
        found = datetime.fromisoformat(text)
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        return found.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except (TypeError, ValueError, OverflowError):
        return None


def read(path: Path, content: bytes, saved: str, context: Context) -> Came:
    """The votes of a JSON file, told by its members. Raises InputError where it is none of those known."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8: {error}") from error
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        whole = next((whole[name] for name in ("records", "items") if isinstance(whole.get(name), list)), whole)
    if isinstance(whole, dict) and "fields" in whole and "questions" in whole:
        return Came("argilla settings")
    if isinstance(whole, list) and whole and all(isinstance(one, dict) for one in whole):
        if any("data" in one for one in whole):
            return _label_studio(path, whole, saved, context)
        if any("fields" in one or "responses" in one for one in whole):
            return _argilla(path, whole, saved, context)
    first = text.lstrip().split("\n", 1)[0]
    if isinstance(whole, list) or '"task"' not in first or '"annotator"' not in first:
        raise InputError(f"{path}: neither lines of votes nor what Label Studio or Argilla export as JSON")
    return _lines(path, text, context)


def _lines(path: Path, text: str, context: Context) -> Came:
    """Lines of votes, such as votes.jsonl: a history, in which the last of several counts."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    from schemas import load

    came = Came("votes")
    check = Draft202012Validator(load("vote"))
    told: dict[tuple[str, str, str, str], str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            came.refused.append(Refusal(str(path), "", number, "", f"not JSON: {error}"))
            continue
        problem = best_match(check.iter_errors(row))
        at = utc(row["at"]) if problem is None else None
        if problem is not None or at is None:
            reason = f"{problem.json_path}: {problem.message[:200]}" if problem else f"at: {row['at']!r:.60} is no time"
            came.refused.append(Refusal(str(path), "", number, "", reason))
            continue
        row.pop("skipped", None)
        vote = Vote(**{"ranks": None, **row, "at": at, "shown": tuple(row.get("shown", ()))})
        key = (vote.task, vote.annotator, vote.criterion, vote.at)
        line = json.dumps(vote.row(), sort_keys=True)
        if key in told and told[key] != line:
            reason = f"{vote.annotator} said two things of task {vote.task} at the same time: keep one"
            came.refused.append(Refusal(str(path), "", number, "", reason))
        elif key not in told:
            told[key] = line
            came.add(context, vote, str(path), "", number, once=False)
    return came


def _whose(own: Any, sheet: Any, context: Context) -> str:
    """Whose vote it is: who made it, where the campaign knows the name or the sheet is nobody's; else the sheet's annotator."""
    name = own if isinstance(own, str) else "" if own is None else str(own)
    if name and (name in context.campaign.annotators or not sheet):
        return name
    return str(sheet or "") or context.annotator


def _label_studio(path: Path, tasks: list[Any], saved: str, context: Context) -> Came:
    """Label Studio's JSON: tasks with `annotations`, each by `completed_by`; `was_cancelled` is a skip."""
    came = Came("label-studio")
    for number, task in enumerate(tasks, 1):
        data = task.get("data") if isinstance(task.get("data"), dict) else {}
        done = task.get("annotations") or []
        if not isinstance(done, list) or not done:
            came.blank += 1
            continue
        for place, one in enumerate(done):
            column = f"annotations[{place}]"
            if not isinstance(one, dict):
                came.refused.append(Refusal(str(path), "", number, column, "not an object"))
                continue
            by = one.get("completed_by")
            by = by.get("email", by.get("id")) if isinstance(by, dict) else by
            by = f"label-studio-{by}" if isinstance(by, int) else by
            annotator = _whose(by, data.get("annotator"), context)
            try:
                votes = list(_annotation(one, data, annotator, saved, context))
            except (ValueError, TypeError, AttributeError) as error:
                came.refused.append(Refusal(str(path), "", number, column, str(error)))
                continue
            came.blank += not votes
            for vote in votes:
                came.add(context, vote, str(path), "", number, column, once=True)
    return came


def _annotation(one: dict[str, Any], data: dict[str, Any], annotator: str, saved: str, context: Context) -> Iterator[Vote]:
    """The votes of an annotation. Raises ValueError."""
    task = str(data.get("task", ""))
    at = utc(one.get("updated_at") or one.get("created_at")) or saved
    lead = one.get("lead_time")
    seconds = float(lead) if isinstance(lead, int | float) and lead >= 0 else None
    shown = tuple(str(item["id"]) for item in data.get("items") or () if isinstance(item, dict) and "id" in item)
    criteria = context.campaign.criteria
    ranks: dict[str, dict[str, int]] = {}
    bad, comment = False, ""
    for part in one.get("result") or []:
        value, name = part.get("value") or {}, str(part.get("from_name", ""))
        if part.get("type") == "ranker":
            number = int(name.removeprefix("rank-")) if re.fullmatch(r"rank-\d{1,3}", name) else 1
            if number > len(criteria):
                raise ValueError(f"{name}: the campaign has {len(criteria)} criteria")
            ranks[criteria[number - 1]] = _ranked(value.get("ranker"))
        elif part.get("type") == "choices":
            bad |= bool(value.get("choices"))
        elif part.get("type") == "textarea":
            said = value.get("text")
            comment = "\n".join(map(str, said)) if isinstance(said, list) else str(said or "")
    skipped = bool(one.get("was_cancelled"))
    first = True
    for criterion in criteria:
        given = ranks.get(criterion, {})
        if not given and not bad and not skipped:
            continue
        if not given and not skipped:
            given = dict.fromkeys(shown, 1)
        told = comment if first else ""
        first = False
        whole = None if skipped else given
        yield Vote(task, annotator, criterion, whole, at, bad and not skipped, told, shown, seconds, "label-studio")


def _ranked(value: Any) -> dict[str, int]:
    """Ranks of a Ranker: buckets `rank_N` (of later criteria `rank_N-2` ...), or one list in order. Raises ValueError."""
    if isinstance(value, dict):
        value = {name: ids for name, ids in value.items() if name != "_"}
        if all(re.fullmatch(r"rank_[1-9](-\d{1,3})?", name) for name in value):
            return {str(id): int(name[5]) for name, ids in value.items() for id in ids}
        if len(value) != 1:
            raise ValueError(f"buckets {', '.join(sorted(value))[:100]}: ranks are buckets rank_1, rank_2 ..., or one list")
        value = next(iter(value.values()))
    if not isinstance(value, list):
        raise ValueError("a ranker without a list or buckets")
    return {str(id): place for place, id in enumerate(value, 1)}


def _argilla(path: Path, records: list[Any], saved: str, context: Context) -> Came:
    """Argilla's JSON: records with `responses`, by user or by question; those submitted count, discarded ones are skips."""
    came = Came("argilla")
    for number, record in enumerate(records, 1):
        about = record.get("metadata") if isinstance(record.get("metadata"), dict) else {}
        task = str(about.get("task") or record.get("external_id") or record.get("id") or "")
        known = context.tasks.get(task)
        try:
            responses = list(_responses(record.get("responses")))
            whole = [response for response in responses if response["status"] in ("submitted", "discarded")]
            came.blank += not whole
            for response in whole:
                annotator = _whose(response["user"], about.get("annotator"), context)
                order = str(about.get("order") or "")
                if known is not None and sorted(order) != sorted(answer.answer for answer in known.answers):
                    raise ValueError(f"metadata.order: {order!r:.40} are not the names of the task's answers")
                for vote in _response(task, annotator, response, order, saved, context):
                    came.add(context, vote, str(path), "", number, "responses", once=True)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            came.refused.append(Refusal(str(path), "", number, "responses", f"{error}"))
    return came


def _responses(value: Any) -> Iterator[dict[str, Any]]:
    """Responses as user, status, time and values by question, from both ways that Argilla writes them."""
    if isinstance(value, list):
        for one in value:
            values = {name: v.get("value") if isinstance(v, dict) else v for name, v in (one.get("values") or {}).items()}
            user = one.get("user_id") or one.get("user")
            yield {"user": user, "status": one.get("status", "submitted"), "at": one.get("updated_at"), "values": values}
        return
    users: dict[str, dict[str, Any]] = {}
    for name, answers in (value or {}).items():
        for one in answers:
            user = one.get("user_id")
            entry = users.setdefault(
                str(user), {"user": user, "status": one.get("status") or "submitted", "at": None, "values": {}}
            )
            entry["values"][name] = one.get("value")
    yield from users.values()


def _response(
    task: str, annotator: str, response: Mapping[str, Any], order: str, saved: str, context: Context
) -> Iterator[Vote]:
    """The votes of a response. Ranks of values that the task has no answer for are left out, and the others closed up."""
    at = utc(response["at"]) or saved
    values = response["values"]
    skipped = response["status"] == "discarded"
    bad, comment = bool(values.get("all-bad")) and not skipped, str(values.get("comment") or "")
    first = True
    for number, criterion in enumerate(context.campaign.criteria, 1):
        given = {}
        for one in values.get(question(number)) or []:
            place = LETTERS.find(str(one["value"])) if len(str(one["value"])) == 1 else -1
            if place < 0:
                raise ValueError(f"{question(number)}: {one['value']!r:.40} is no answer")
            if place < len(order) and one.get("rank") is not None:
                given[order[place]] = int(one["rank"])
        closed = {rank: i for i, rank in enumerate(sorted(set(given.values())), 1)}
        ranks = {name: closed[rank] for name, rank in given.items()}
        if not ranks and not bad and not skipped:
            continue
        whole = None if skipped else ranks or dict.fromkeys(order, 1)
        yield Vote(task, annotator, criterion, whole, at, bad, comment if first else "", tuple(order), None, "argilla")
        first = False
