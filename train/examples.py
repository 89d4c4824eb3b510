"""Rows of a tuning stage as token ids and labels: read, rendered, split into training and held out."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.config import SupervisedStage
from train.errors import DataError
from train.render import IGNORE, Rendered, Renderer
from train.rows import Row, format_of, in_heldout, list_files, read_rows

if TYPE_CHECKING:
    import torch

__all__ = ["PREFIX_CHECKED", "Examples", "Side", "read_examples", "shards_of"]

SHOWN = 3
PREFIX_CHECKED = 64
"""Rows whose prompt is rendered a second time, to see that the template puts it the same way when asking."""


@dataclass
class Side:
    """Rendered rows of one side, flat: 8 bytes a token."""

    ids: array[int] = field(default_factory=lambda: array("i"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    ends: array[int] = field(default_factory=lambda: array("q", [0]))

    def __len__(self) -> int:
        return len(self.ends) - 1

    def add(self, ids: Iterable[int], labels: Iterable[int]) -> None:
        """Add a row at the end."""
        self.ids.extend(ids)
        self.labels.extend(labels)
        self.ends.append(len(self.ids))

    def only(self, rows: list[int]) -> Side:
        """These rows alone."""
        side = Side()
        for index in rows:
            side.add(*self.row(index))
        return side

    def row(self, index: int) -> tuple[array[int], array[int]]:
        """Ids and labels of a row."""
        place = slice(self.ends[index], self.ends[index + 1])
        return self.ids[place], self.labels[place]

    @property
    def trained(self) -> int:
        """Tokens that are trained on."""
        import numpy as np

        return int((np.frombuffer(self.labels, np.int32) != IGNORE).sum())

    def batches(self, most: int, micro: int, pad: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Inputs and targets, (micro, tokens), of at most `most` rows spread evenly over the side.

        Rows of like length come together, padded on the right with `pad`; what is not trained on is IGNORE.
        """
        import numpy as np
        import torch

        chosen = np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(np.int64)).tolist()
        chosen.sort(key=lambda i: self.ends[i + 1] - self.ends[i])
        for start in range(0, len(chosen), micro):
            rows = [self.row(i) for i in chosen[start : start + micro]]
            width = max(len(ids) for ids, _ in rows)
            ids = torch.full((len(rows), width), pad)
            labels = torch.full((len(rows), width), IGNORE)
            for i, (row_ids, row_labels) in enumerate(rows):
                ids[i, : len(row_ids)] = torch.tensor(row_ids)
                labels[i, : len(row_ids)] = torch.tensor(row_labels)
            yield ids[:, :-1], labels[:, 1:]

    def dataset(self) -> Any:
        """The rows as a datasets.Dataset in memory, without a copy of the ids."""
        import datasets
        import numpy as np
        import pyarrow as pa

        ends = pa.array(np.frombuffer(self.ends, np.int64).astype(np.int64))
        columns = {
            name: pa.LargeListArray.from_arrays(ends, pa.array(np.frombuffer(values, np.int32)))
            for name, values in (("input_ids", self.ids), ("labels", self.labels))
        }
        return datasets.Dataset(pa.table(columns))


@dataclass
class Examples:
    """What `read_examples` found, every row of it in train, heldout or dropped."""

    format: str
    renderer: Renderer
    train: Side = field(default_factory=Side)
    heldout: Side = field(default_factory=Side)
    rows_in: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Rows by why they are on neither side: the reasons of `Rendered.dropped`, and also_held_out."""
    cut: int = 0
    unstable: int = 0
    """Of the first PREFIX_CHECKED rows, those that start with other tokens than their prompt."""
    shown: list[str] = field(default_factory=list)
    """The first rows as text, what is trained on marked."""


def shards_of(data: str | list[str]) -> Path | None:
    """The folder of token shards that `data` names; None: it names rows."""
    folder = Path(data) if isinstance(data, str) else None
    return folder if folder is not None and (folder / "tokens.json").is_file() else None


def read_examples(stage: SupervisedStage, tokenizer: Any) -> Examples:
    """Read, render and split all rows, or take them rendered and split from token shards.

    Raises DataError for a row that does not belong, for shards of another tokenizer, or when a side is empty.
    """
    folder = shards_of(stage.data)
    data = _rendered(stage, tokenizer) if folder is None else _of_shards(stage, tokenizer, folder)
    # A row that is also held out would be tested on what it was taught.
    tested = {_key(*data.heldout.row(i)) for i in range(len(data.heldout))}
    kept = [i for i in range(len(data.train)) if _key(*data.train.row(i)) not in tested]
    if len(kept) < len(data.train):
        data.dropped["also_held_out"] = len(data.train) - len(kept)
        data.train = data.train.only(kept)
    if not len(data.train) or not len(data.heldout):
        side = "train on" if not len(data.train) else "hold out"
        drops = ", ".join(f"{n} {reason}" for reason, n in data.dropped.items()) or "none"
        raise DataError(
            f"{stage.data}: no row left to {side} of {data.rows_in} (dropped: {drops}); look at heldout and max_length"
        )
    return data


def _of_shards(stage: SupervisedStage, tokenizer: Any, folder: Path) -> Examples:
    """Examples that `curate tokenize` rendered, each a document; the split validation is held out."""
    import numpy as np

    from train.data import open_shards
    from train.model import load_tokenizer
    from train.tokenizer import same_ids

    shards = open_shards(folder)
    if shards.content != "examples" or shards.sequence is not None:
        what = f"packed {shards.content}" if shards.sequence is not None else shards.content
        raise DataError(f"{folder}: holds {what}; a supervised stage takes rows, or shards of examples that are not packed")
    theirs = load_tokenizer(shards.tokenizer)
    if not same_ids(theirs, tokenizer) or theirs.chat_template != tokenizer.chat_template:
        raise DataError(f"{folder}: was rendered with another tokenizer or chat template than the model's; tokenize again")
    format = "chat" if tokenizer.chat_template else "instruction"
    data = Examples(format, Renderer(tokenizer, format, max_length=stage.max_length, too_long=stage.too_long))
    for name, side in (("train", data.train), ("validation", data.heldout)):
        split = shards.split(name, 1)
        for i in range(len(split.documents) - 1):
            ids, mask = split.document(i)
            labels = np.where(mask, ids, IGNORE)
            data.rows_in += 1
            _keep(data, data.renderer.fit(f"{folder}: {name}: document {i}", ids.tolist(), labels.tolist()), side)
    return data


def _rendered(stage: SupervisedStage, tokenizer: Any) -> Examples:
    data: Examples | None = None
    by_column = False
    for file in list_files(stage.data):
        for row in read_rows(file):
            found = format_of(row, data.format if data else stage.format)
            if data is None:
                data = Examples(found, Renderer(tokenizer, found, max_length=stage.max_length, too_long=stage.too_long))
                by_column = "split" in row.value
            held = in_heldout(row, stage.heldout, by_column)
            _add(data, row, held)
    if data is None:
        raise DataError(f"{stage.data}: there is no row in it")
    return data


def _key(ids: array[int], labels: array[int]) -> bytes:
    return hashlib.blake2b(ids.tobytes() + labels.tobytes(), digest_size=16).digest()


def _add(data: Examples, row: Row, held: bool) -> None:
    data.rows_in += 1
    rendered = data.renderer.render(row)
    if not rendered.dropped and data.rows_in <= PREFIX_CHECKED and not data.renderer.prefix_stable(row):
        data.unstable += 1
    _keep(data, rendered, data.heldout if held else data.train)


def _keep(data: Examples, rendered: Rendered, side: Side) -> None:
    if rendered.dropped:
        data.dropped[rendered.dropped] += 1
        return
    data.cut += rendered.cut
    if len(data.shown) < SHOWN:
        data.shown.append(data.renderer.marked(rendered))
    side.add(rendered.ids, rendered.labels)
