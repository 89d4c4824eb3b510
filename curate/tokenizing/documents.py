"""Rows as documents of token ids: texts whole, for pretraining; or examples, with a mask of what is trained on."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from curate.errors import InputError, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.declare import Batch, Reading
    from curate.io.encoder import Encoder
    from train.render import Renderer

__all__ = ["Documents", "Examples", "Long", "Texts", "pieces", "spans"]

Long = Literal["keep", "split", "drop"]

TOO_LONG = "too_long"
"""The reason of rows that hold more tokens than is allowed."""

_NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class Documents:
    """The documents of a batch, one after another, and the rows that make none.

    tokens:  uint32[t].
    mask:    uint8[t], 1 where a model is trained to say the token; None: everywhere.
    lengths: int64[d], tokens of each document.
    row:     int64[d], rising: the position in the batch of the row that each is of.
    long:    how many rows hold more tokens than the limit and are there all the same.
    dropped, reasons; rejected, errors: positions in the batch of the rows that are left out, and why.
    """

    tokens: NDArray[Any]
    mask: NDArray[np.uint8] | None
    lengths: NDArray[np.int64]
    row: NDArray[np.int64]
    long: int = 0
    dropped: Sequence[int] = ()
    reasons: Sequence[str] = ()
    rejected: Sequence[int] = ()
    errors: Sequence[str] = ()

    def by(self, names: pl.Series) -> Iterator[tuple[str, NDArray[np.bool_], Documents]]:
        """For each name that rows of the batch have, in order: which documents are of such rows, and these alone."""
        import numpy as np

        if not len(self.row):
            return
        if names.n_unique() == 1:
            yield names[0], np.ones(len(self.row), np.bool_), self
            return
        of = names.to_numpy()[self.row]
        for name in np.unique(of):
            mine = of == name
            tokens = np.repeat(mine, self.lengths)
            mask = None if self.mask is None else self.mask[tokens]
            yield name, mine, Documents(self.tokens[tokens], mask, self.lengths[mine], self.row[mine])


def pieces(lengths: NDArray[np.int64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Documents cut into pieces of `most` tokens and a rest: the document of each piece, and its length. O(pieces)."""
    import numpy as np

    count = -(-lengths // most)
    document = np.repeat(np.arange(len(lengths)), count)
    cut = np.full(len(document), most, np.int64)
    last = np.cumsum(count) - 1
    cut[last] = lengths - (count - 1) * most
    return document, cut


def spans(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64[sum of lengths]: the places start, start + 1, ... of each span, one span after another. O(places)."""
    import numpy as np

    ends = np.cumsum(lengths)
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(int(ends[-1]) if len(ends) else 0)


@dataclass(frozen=True)
class Texts:
    """Every row as the text it reads as: one document, all of it trained on. Empty texts make none.

    add_bos: open each document with the tokenizer's start token. Texts hold no special token, so there is never a second.
    most, long: what becomes of documents of more than `most` tokens, start and end token counted.
    """

    encoder: Encoder
    add_bos: bool = False
    most: int | None = None
    long: Long = "split"

    def __post_init__(self) -> None:
        encoder = self.encoder
        if self.add_bos and encoder.bos_id is None:
            raise InputError(f"{encoder.path}: names no bos_token, so add_bos has nothing to add")
        if self.add_bos and encoder.bos_id == encoder.eos_id:
            raise InputError(
                f"{encoder.path}: its bos_token is {encoder.eos_token} too, which closes the document before; leave out add_bos"
            )

    def __call__(self, batch: Batch) -> Documents:
        """The documents of a batch. Memory: 8 bytes a token, three times that where start tokens are added."""
        import numpy as np

        full = batch.text.str.len_bytes().to_numpy() > 0
        row = np.flatnonzero(full)
        tokens, lengths = self.encoder.encode(batch.text if full.all() else batch.text.filter(full))
        if self.add_bos:
            assert self.encoder.bos_id is not None
            tokens = np.insert(tokens, np.cumsum(lengths) - lengths, np.uint32(self.encoder.bos_id))
            lengths = lengths + 1
        over = lengths > (self.most or _NO_LIMIT)
        if not over.any() or self.long == "keep":
            return Documents(tokens, None, lengths, row, long=int(over.sum()))
        if self.long == "drop":
            dropped = row[over].tolist()
            reasons = [TOO_LONG] * len(dropped)
            tokens = tokens[np.repeat(~over, lengths)]
            return Documents(tokens, None, lengths[~over], row[~over], dropped=dropped, reasons=reasons)
        assert self.most is not None
        document, cut = pieces(lengths, self.most)
        return Documents(tokens, None, cut, row[document], long=int(over.sum()))


class Examples:
    """Every row as the example it is, through the tokenizer's chat template (`train.render`), with a mask of what is trained
    on.

    A row of instruction or chat is one document. A row of preference is three: prompt, what the better answer adds, what the
    worse one adds; an answer is trained on as it would be in a chat.

    Rows that the renderer leaves out are dropped for its reasons; rows that the template refuses are rejected. About half a
    million tokens a second and core (chats of 436 tokens): rows go through the template and the tokenizer's library one by
    one, and the library takes most of it.
    Raises InputError when the tokenizer or its template will not do, MissingExtra when the extra `train` is not installed.
    """

    def __init__(self, tokenizer: Path, reading: Reading, most: int | None = None, long: Long = "keep") -> None:
        if reading not in ("instruction", "chat", "preference"):
            raise InputError(f"tokenize: rows of {reading} are no examples; instruction, chat and preference rows are")
        if importlib.util.find_spec("transformers") is None:
            raise MissingExtra("rendering examples", "train")
        self.reading = reading
        self.most = most
        self.long = long
        with _explained():
            self.renderer = _renderer(tokenizer, reading, most if most is not None and long == "drop" else _NO_LIMIT)

    def __call__(self, batch: Batch) -> Documents:
        """The documents of a batch."""
        from array import array

        import numpy as np

        from train.errors import DataError
        from train.rows import Row

        tokens, mask, lengths, rows = array("I"), array("b"), array("q"), array("q")
        dropped: dict[int, str] = {}
        rejected: dict[int, str] = {}
        long = 0
        for i, (row_id, value) in enumerate(self._values(batch)):
            try:
                found, reason = self._documents(Row(row_id, value))
            except DataError as error:
                rejected[i] = str(error).removeprefix(f"{row_id}: ")
                continue
            if reason is not None:
                dropped[i] = reason
                continue
            # Of a preference row no example holds both answers.
            size = len(found[0][0]) + max((len(ids) for ids, _ in found[1:]), default=0)
            long += self.most is not None and size > self.most
            for ids, trained in found:
                tokens.extend(ids)
                mask.extend(trained)
                lengths.append(len(ids))
                rows.append(i)
        return Documents(
            np.frombuffer(tokens, np.uint32),
            np.frombuffer(mask, np.uint8),
            np.frombuffer(lengths, np.int64),
            np.frombuffer(rows, np.int64),
            long=long,
            dropped=list(dropped),
            reasons=list(dropped.values()),
            rejected=list(rejected),
            errors=list(rejected.values()),
        )

    def _documents(self, row: Any) -> tuple[list[tuple[list[int], list[bool]]], str | None]:
        """Ids and mask of each document of a row, or why it makes none."""
        from train.render import IGNORE

        if self.reading == "preference":
            pair = self.renderer.render_pair(row)
            answers = [(one.ids, [label != IGNORE for label in one.labels]) for one in (pair.chosen, pair.rejected)]
            return [(pair.prompt, [False] * len(pair.prompt)), *answers], pair.dropped
        rendered = self.renderer.render(row)
        return [(rendered.ids, [label != IGNORE for label in rendered.labels])], rendered.dropped

    def _values(self, batch: Batch) -> Iterator[tuple[str, dict[str, Any]]]:
        """Id and members of each row."""
        frame = batch.frame
        if self.reading == "chat":
            for row_id, messages in frame.select("id", "messages").iter_rows():
                yield row_id, {"messages": json.loads(messages)}
            return
        keys = ("instruction", "output") if self.reading == "instruction" else ("instruction", "chosen", "rejected")
        for row_id, *values in frame.select("id", *keys).iter_rows():
            yield row_id, dict(zip(keys, values, strict=True))


def _renderer(folder: Path, reading: str, most: int) -> Renderer:
    from train.model import load_tokenizer
    from train.render import Renderer

    return Renderer(load_tokenizer(folder), reading, max_length=most, too_long="drop")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """The renderer's errors are about the tokenizer that was given."""
    from train.errors import DataError

    try:
        yield
    except DataError as error:
        raise InputError(f"tokenize: {error}") from error
