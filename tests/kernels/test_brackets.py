from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from curate.kernels.brackets import brackets
from curate.kernels.line_kinds import code_lines
from curate.kernels.lines import lines
from tests.kernels.texts import column

_PIECES = ["[1]", "[edit]", "[", "]", "[]", "a", " ", "  ", "\t", "(", ":", ".", ",", "`", "``", "~", "\\", "\n",
    "é", "\u0301", "_", "=", ";", "..", "]", "'", "[" + "x" * 41 + "]", "\r"]  # fmt: skip
rows_of_brackets = st.lists(st.lists(st.sampled_from(_PIECES), max_size=25).map("".join), max_size=4)
RUN = re.compile(r"(?:\[[^\[\]]{1,40}\])+")


def index(before: str, rest: str) -> bool:
    bare = before.rstrip(" \t")
    if rest.startswith("_"):
        return True
    if bare != before:
        return bare == ".." or bare.endswith((":", "="))
    word = re.search(r"[^ \t\]]*$", before)[0]  # type: ignore[index]
    if before.endswith(("]", "_")):
        return True
    if not re.search(r"[0-9A-Za-z]$", word):
        return False
    return rest.startswith((":", ";", "=")) or bool(re.search(r"[^0-9A-Za-z\x80-\U0010ffff'-]", word))


def twin(line: str) -> list[tuple[str, str, bool]]:
    """The runs of a line of ASCII brackets: the brackets, what is cut with them, and whether nothing stands before."""
    runs: list[tuple[str, str, bool]] = []
    i = depth = 0
    ticks = ""
    while i < len(line):
        if line[i] == "`":
            run = re.match("`+", line[i:])[0]  # type: ignore[index]
            ticks = run if not ticks else "" if ticks == run else ticks
            i += len(run)
            continue
        match = RUN.match(line, i)
        if not match:
            depth = depth + 1 if line[i] == "[" else max(depth - (line[i] == "]"), 0)
            i += 1
            continue
        before, rest = line[:i], line[match.end() :]
        leads = not before.strip(" \t")
        link = rest.startswith(("(", "[", "\u0301")) or before.endswith("\\") or ticks or depth
        if not link and not (leads and (rest.startswith(":") or rest.lstrip(" \t").startswith(("`", "~")))):
            cut = match[0]
            if leads:
                cut += rest[: len(rest) - len(rest.lstrip(" \t"))]
            elif not rest or rest[0] in " \t\r,.:;!?)":
                cut = before[len(before.rstrip(" \t")) :] + cut
            runs.append((match[0], cut, leads or index(before, rest)))
        i = match.end()
    return runs


@settings(max_examples=500)
@given(rows_of_brackets)
def test_equals_twin(rows: list[str]) -> None:
    offsets, data = column(rows)
    found = lines(offsets, data)
    code = code_lines(found, data)
    runs = brackets(found, data, code)
    expected = [
        run
        for line, skip in zip((x for row in rows for x in row.split("\n")), code, strict=True)
        if not skip
        for run in twin(line)
    ]
    text = bytes(data)
    assert [(text[a:b].decode(), text[c:d].decode(), bool(leads)) for a, b, c, d, leads in zip(*runs, strict=True)] == expected
