"""HTML sheets: one file an annotator, which works without a network, keeps work in the browser, and gives votes as JSON lines.

Answers are hostile input: they travel as JSON in which `<` is escaped, and the page shows them as text nodes alone. Its policy
(Content-Security-Policy) allows its own script and style, by their digests, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from curate.rank.campaign import Campaign, Task, shown_order

__all__ = ["write"]


def write(path: Path, campaign: Campaign, tasks: Sequence[Task], annotator: str) -> None:
    """Write a sheet. Raises OutputError."""
    from curate.io.files import atomic

    with atomic(path) as out:
        out.write(page(campaign, tasks, annotator).encode("utf-8", "replace"))


def page(campaign: Campaign, tasks: Sequence[Task], annotator: str) -> str:
    """The sheet as text. O(bytes of the tasks)."""
    found = []
    for task in tasks:
        texts = {answer.answer: answer.text for answer in task.answers}
        shown = [{"answer": name, "text": texts[name]} for name in shown_order(campaign, task, annotator)]
        found.append({"task": task.task, "prompt": task.prompt, "answers": shown})
    names = json.dumps([campaign.seed, annotator, [task.task for task in tasks]])
    data = {
        # Work is kept under this name: another sheet, or other tasks, have another.
        "sheet": hashlib.blake2b(names.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
        "annotator": annotator,
        "criteria": campaign.criteria,
        "instructions": campaign.instructions,
        "tasks": found,
    }
    template = (Path(__file__).parent / "sheet.html").read_text(encoding="utf-8")
    style, script = (_inside(template, tag) for tag in ("<style>", "<script>"))
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
        "img-src 'none'; connect-src 'none'; form-action 'none'; base-uri 'none'"
    )
    escaped = (
        json.dumps(data, ensure_ascii=False).replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    )
    # The data comes last: what stands in it is never looked through for a place to fill.
    return template.replace("{{policy}}", policy).replace("{{data}}", escaped)


def _inside(template: str, tag: str) -> str:
    return re.split(rf"</{tag[1:]}", template.split(tag, 1)[1])[0]


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
