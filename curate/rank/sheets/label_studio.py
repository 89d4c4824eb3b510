"""Tasks for Label Studio, and the labelling configuration that shows them: https://labelstud.io/tags/ranker.

Answers are dragged into buckets `rank_1` to `rank_K`, so that ties and answers that nobody ranked can be said. No name may
stand twice in a configuration: buckets of the Nth criterion, from the second on, are `rank_1-N` to `rank_K-N`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from curate.rank.campaign import Campaign, Task, shown_order
from curate.rank.sheets.table import LETTERS, most_answers, plain_prompt

__all__ = ["write", "write_config"]


def write(path: Path, campaign: Campaign, tasks: Sequence[Task], annotator: str) -> None:
    """Write tasks to import there. Raises OutputError."""
    from curate.io.files import atomic

    found = []
    for task in tasks:
        order = shown_order(campaign, task, annotator)
        texts = {answer.answer: answer.text for answer in task.answers}
        items = [{"id": name, "title": letter, "body": texts[name]} for letter, name in zip(LETTERS, order, strict=False)]
        found.append({"data": {"task": task.task, "annotator": annotator, "prompt": plain_prompt(task), "items": items}})
    with atomic(path) as out:
        out.write(json.dumps(found, ensure_ascii=False, indent=1).encode("utf-8", "replace"))


def write_config(folder: Path, campaign: Campaign, tasks: Sequence[Task]) -> None:
    """Write the labelling configuration. Names of its parts: `rank-N` for the Nth criterion. Raises OutputError."""
    from curate.io.files import atomic

    lines = ["<View>", '  <Text name="prompt" value="$prompt"/>']
    for number, criterion in enumerate(campaign.criteria, 1):
        title = quoteattr(criterion)
        lines += [f"  <Header value={title}/>", f'  <List name="items-{number}" value="$items" title={title}/>']
        lines.append(f'  <Ranker name="rank-{number}" toName="items-{number}">')
        for rank in range(1, most_answers(tasks) + 1):
            bucket = f"rank_{rank}" if number == 1 else f"rank_{rank}-{number}"
            lines.append(f'    <Bucket name="{bucket}" title="{rank}{" (best)" if rank == 1 else ""}"/>')
        lines.append("  </Ranker>")
    lines.append('  <Choices name="all_bad" toName="prompt" choice="multiple"><Choice value="all bad"/></Choices>')
    lines += ['  <TextArea name="comment" toName="prompt" placeholder="Comment" maxSubmissions="1"/>', "</View>"]
    with atomic(folder / "config.xml") as out:
        out.write(("\n".join(lines) + "\n").encode())
