"""The files that are measured on: real text, made on the spot, the same on every machine with the same Python."""

from __future__ import annotations

import json
import random
import sysconfig
from pathlib import Path

__all__ = ["corpus"]


def corpus(folder: Path, megabytes: int) -> Path:
    """A JSONL file of about so many MB: the sources of the standard library in pieces of 0.2 to 20 kB, with url and number.

    Pieces are drawn with a seed, as often as it takes; every row has another id.
    """
    path = folder / f"corpus-{megabytes}.jsonl"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    sources = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    texts = [p.read_text(encoding="utf-8", errors="replace") for p in sources if "site-packages" not in p.parts]
    draw = random.Random(0)
    temporary = path.with_suffix(".tmp")
    written = row = 0
    with open(temporary, "w", encoding="utf-8") as out:
        while written < megabytes * 1_000_000:
            text = draw.choice(texts)
            size = int(200 * 100 ** draw.random())
            at = draw.randrange(max(1, len(text) - size))
            content = {
                "id": f"doc-{row}",
                "text": text[at : at + size],
                "url": f"https://example.org/{row}",
                "score": draw.random(),
            }
            line = json.dumps(content, ensure_ascii=False) + "\n"
            out.write(line)
            written += len(line.encode())
            row += 1
    temporary.rename(path)
    return path
