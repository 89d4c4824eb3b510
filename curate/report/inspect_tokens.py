"""`curate inspect` on token shards, in whatever layout: how many, how long, which tokens, and documents decoded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import InputError, UsageError, nearest
from curate.io.layouts import RECORD, open_layout, read_record, verify_files
from curate.io.token_shards import HEADER, Documents, blocks, read, read_header
from curate.report.bins import histogram
from curate.report.books import excerpt
from curate.report.tables import bytes_text, print_table
from schemas import tokenizer_digest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["show_document", "show_tokens", "token_folder"]

TOP = 10
"""Tokens that are shown, the most frequent first."""

TOP_TOKENS = 20_000_000
"""Tokens of a split that are counted by id: a tenth of a second."""

Decode = Callable[[list[int]], str]


class _Opened(NamedTuple):
    """Shards in any layout."""

    folder: Path
    name: str
    """Of the file that tells of them."""
    header: dict[str, Any]
    facts: dict[str, dict[str, Any]]
    """Of each split: files, documents, tokens, bytes."""

    def documents(self, split: str) -> Documents:
        if self.name == HEADER:
            return Documents.of(self.folder, self.header, split)
        return open_layout(self.folder, self.header, split)

    def verify(self, split: str) -> None:
        """Raises InputError when a file is not what was written."""
        if self.name == RECORD:
            verify_files(self.folder, self.header, split)
            return
        for entry in self.header["splits"][split]:
            read(self.folder, entry, self.header["dtype"], check=True)


def token_folder(path: Path) -> Path | None:
    """The folder of token shards that a path means: itself, its `data/`, or where its tokens.json lies. None: it means none."""
    if path.name in (HEADER, RECORD) and path.is_file():
        return path.parent
    places = (place for place in (path, path / "data") for name in (HEADER, RECORD) if (place / name).is_file())
    return next(places, None)


def show_tokens(console: Any, folder: Path, rows: int, *, verify: bool = False) -> None:
    """Print splits and sizes, how long documents are, the most frequent tokens, and `rows` documents of each split decoded.

    `verify` reads all files: checksums, ids, and the tokenizer beside them. Else the lengths of all documents are read, and the
    first 20 million tokens of each split. Raises InputError for shards that are broken.
    """
    opened = _open(folder)
    header = opened.header
    console.print(
        f"Token shards: {header.get('layout') or header['dtype']}, {header['vocab_size']:,} ids, "
        f"a document ends with id {header['eos_id']}"
    )
    table = []
    for split, facts in opened.facts.items():
        tokens, documents, size = (facts[key] for key in ("tokens", "documents", "bytes"))
        # The token that ends each document stands for no byte of it.
        per_token = f"{size / (tokens - documents):.3f}" if tokens > documents else ""
        cells = [f"{facts['files']:,}", f"{documents:,}", f"{tokens:,}", bytes_text(size), per_token]
        table.append([split, *cells])
    print_table(console, ["split", "shards", "documents", "tokens", "text", "bytes/token"], table)
    decode, why = _decoder(opened)
    if why:
        console.print(why, soft_wrap=True)
    for split in opened.facts:
        documents = opened.documents(split)
        _show_lengths(console, split, documents)
        _show_top(console, split, documents, decode)
        for i in range(min(rows, len(documents))):
            ids = documents[i]
            # An excerpt of 300 characters needs no more ids than that, plus those inside a character.
            text = excerpt(_text(decode, ids[:1200]))
            console.print(f"{split} {i + 1} ({len(ids):,} tokens): {text}", soft_wrap=True)
    if verify:
        _verify(console, opened)


def show_document(console: Any, folder: Path, number: int, split: str | None) -> None:
    """Print document `number` of a split, counted from 1, whole: its ids, and what they decode to.

    `split`: the first if None. Raises UsageError for a split or a document that is not there.
    """
    opened = _open(folder)
    split = split if split is not None else next(iter(opened.facts))
    if split not in opened.facts:
        raise UsageError(f"--split {split}: there is no such split{nearest(split, opened.facts)}")
    documents = opened.documents(split)
    if not 1 <= number <= len(documents):
        raise UsageError(f"--document {number}: the split {split} has documents 1 to {len(documents):,}")
    ids = documents[number - 1]
    decode, why = _decoder(opened)
    console.print(f"{split} {number}: {len(ids):,} tokens")
    console.print(" ".join(map(str, ids.tolist())), soft_wrap=True)
    if why:
        console.print(why, soft_wrap=True)
    if decode is not None:
        lines = decode(ids.tolist()).splitlines() or [""]
        console.print("\n".join(excerpt(line, len(line)) for line in lines), soft_wrap=True)


def _open(folder: Path) -> _Opened:
    if (folder / HEADER).is_file():
        header = read_header(folder)
        facts = {
            split: {"files": len(entries), **{key: sum(e[key] for e in entries) for key in ("tokens", "documents", "bytes")}}
            for split, entries in header["splits"].items()
        }
        return _Opened(folder, HEADER, header, facts)
    record = read_record(folder)
    return _Opened(
        folder, RECORD, record, {name: {**split, "files": len(split["files"])} for name, split in record["splits"].items()}
    )


def _decoder(opened: _Opened) -> tuple[Decode | None, str]:
    """ids -> text, special tokens shown, and what a person should know of the tokenizer; None where there is none to use."""
    folder = opened.folder / opened.header["tokenizer"]
    if not (folder / "tokenizer.json").is_file():
        return None, f"{folder}: no tokenizer.json in it, so documents are shown as their ids"
    from curate.io.encoder import load_tokenizer

    tokenizer = load_tokenizer(folder / "tokenizer.json")
    try:
        _check_tokenizer(opened, tokenizer)
    except InputError as error:
        return None, f"{error}; documents are shown as their ids"
    return lambda ids: str(tokenizer.decode(ids, skip_special_tokens=False)), ""


def _check_tokenizer(opened: _Opened, tokenizer: Any) -> None:
    """Raises InputError when it has fewer ids than the shards need, or is not the one that wrote them."""
    file = opened.folder / opened.header["tokenizer"] / "tokenizer.json"
    ids = max(tokenizer.get_vocab().values(), default=-1) + 1
    if ids < opened.header["vocab_size"]:
        raise InputError(f"{file}: has {ids:,} ids, and the shards need {opened.header['vocab_size']:,}")
    digest = opened.header.get("tokenizer_blake2b")
    if digest is not None and digest != tokenizer_digest(json.loads(tokenizer.to_str())):
        raise InputError(f"{file}: is not the tokenizer that wrote the shards")


def _text(decode: Decode | None, ids: NDArray[Any]) -> str:
    return decode(ids.tolist()) if decode is not None else " ".join(map(str, ids[:40].tolist()))


def _show_lengths(console: Any, split: str, documents: Documents) -> None:
    """How many tokens documents have: quantiles and a histogram."""
    import numpy as np

    counts: Counter[int] = Counter()
    for i in range(documents.parts):
        values, numbers = np.unique(documents.part(i).lengths(), return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    if not counts:
        return
    lengths = sorted(counts)
    reached = np.cumsum([counts[length] for length in lengths])
    # The least length that so many documents do not exceed.
    marks = [lengths[int(reached.searchsorted(share * reached[-1]))] for share in (0.05, 0.25, 0.5, 0.75, 0.95)]
    header = [f"{split}: tokens a document", "least", "5 %", "25 %", "median", "75 %", "95 %", "greatest"]
    print_table(console, header, [["", *(f"{mark:,}" for mark in (lengths[0], *marks, lengths[-1]))]])
    bars = histogram({str(length): n for length, n in counts.items()})
    if bars is not None:
        console.print(f"{bars.low:,.0f} {bars.line()} {bars.high:,.0f}{' (logarithmic)' if bars.log else ''}")


def _show_top(console: Any, split: str, documents: Documents, decode: Decode | None) -> None:
    """The most frequent tokens among the first of a split."""
    import numpy as np

    found: NDArray[np.int64] = np.zeros(0, np.int64)
    looked = 0
    for i in range(documents.parts):
        for _, _, ids in blocks(documents.part(i)):
            counted = np.bincount(ids[: TOP_TOKENS - looked].astype(np.int64), minlength=len(found))
            counted[: len(found)] += found
            found, looked = counted, looked + min(len(ids), TOP_TOKENS - looked)
            if looked == TOP_TOKENS:
                break
        if looked == TOP_TOKENS:
            break
    if not looked:
        return
    top = [int(id) for id in np.argsort(-found, kind="stable")[:TOP] if found[id]]
    shown = (f"{excerpt(decode([id])) if decode else id!r} {100 * found[id] / looked:.1f} %" for id in top)
    among = f" of the first {looked:,}" if looked == TOP_TOKENS else ""
    console.print(f"{split}: most frequent tokens{among}: {', '.join(shown)}", soft_wrap=True)


def _verify(console: Any, opened: _Opened) -> None:
    """Read everything. Raises InputError at the first thing that is wrong."""
    from curate.io.encoder import load_tokenizer

    for split in opened.facts:
        opened.verify(split)
        documents = opened.documents(split)
        facts, limit = opened.facts[split], opened.header["vocab_size"]
        tokens = 0
        for i in range(documents.parts):
            for _, _, ids in blocks(documents.part(i)):
                tokens += len(ids)
                if len(ids) and (most := int(ids.max())) >= limit:
                    raise InputError(f"{opened.folder}: id {most} in the split {split} is not below vocab_size {limit}")
        if (tokens, len(documents)) != (facts["tokens"], facts["documents"]):
            raise InputError(
                f"{opened.folder}: the split {split} has {tokens:,} tokens in {len(documents):,} documents, "
                f"{opened.name} says {facts['tokens']:,} in {facts['documents']:,}"
            )
    file = opened.folder / opened.header["tokenizer"] / "tokenizer.json"
    if file.is_file():
        _check_tokenizer(opened, load_tokenizer(file))
    console.print("verified: checksums, counts, ids" + (", tokenizer" if file.is_file() else ""))
