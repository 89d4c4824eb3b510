"""HTML sheets: one file an annotator, which works without a network, keeps work in the browser, and gives votes as JSON lines.

A sheet is the page that `curate rank serve` serves, with its style and script inside, and a script in place of the server.
Answers are hostile input: they travel as trees of a few elements (`curate.rank.page.render`), in JSON in which `<` is escaped.
The sheet's policy (Content-Security-Policy) allows its own scripts and style, by their digests, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from curate.rank.campaign import Campaign, Task, shown_order
from curate.rank.page.render import render

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
        shown = [{"answer": name, **_trees(texts[name])} for name in shown_order(campaign, task, annotator)]
        prompt = [{"role": message["role"], **_trees(message["content"])} for message in task.prompt]
        found.append({"task": task.task, "prompt": prompt, "answers": shown})
    names = json.dumps([campaign.seed, annotator, [task.task for task in tasks]])
    data = {
        # Work is kept under this name: another sheet, or other tasks, have another.
        "sheet": hashlib.blake2b(names.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
        "annotator": annotator,
        "criteria": campaign.criteria,
        "instructions": _trees(campaign.instructions)["trees"],
        "tasks": found,
    }
    static = files("curate.rank.page") / "static"
    style, ranking = ((static / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    own = (files("curate.rank.sheets") / "sheet.js").read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(own)} {_digest(ranking)}; form-action 'none'; "
        "base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    head = f"""<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<style>{style}</style>
</head>"""
    shell = re.sub(r"<link [^>]*>\n|<script [^>]*></script>\n", "", (static / "rank.html").read_text(encoding="utf-8"))
    start, end = shell.replace("</head>", head).split("</body>")
    text = json.dumps(data, ensure_ascii=False)
    escaped = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    content = f'<script type="application/json" id="data">{escaped}</script>'
    return f"{start}{content}\n<script>{own}</script>\n<script>{ranking}</script>\n</body>{end}"


@lru_cache(4096)
def _trees(text: str) -> dict[str, Any]:
    """A text as the page shows it; every annotator's sheet has it."""
    trees, remark = render(text)
    return {"trees": trees, "remark": remark}


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
