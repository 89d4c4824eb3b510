"""Rows against one another by hash: duplicates, contradictions, preferences that go in a circle, prompts in several files.

For each row three XXH64 hashes are kept (what is asked, the answer, the rejected answer), the number of its file and its line:
44 bytes, on disk, in `PARTITIONS` parts by what is asked. One part is held at a time. Two different texts share a hash with
probability n^2 / 2^65 among n: 0.03 % at 10^8 rows. Texts are compared without white space around them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.formats.findings import FIRST, Place, Tally
from curate.formats.validity import Examined
from curate.io.rows import PLACE

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PARTITIONS", "compare", "held_out", "keys", "write_keys"]

PARTITIONS = 8
"""Parts that the rows are compared in."""

_HELD_OUT = re.compile(r"(?:^|[^a-z])(?:valid|validation|val|dev|eval|evaluation|test|heldout|held[-_]out|holdout)(?:[^a-z]|$)")


def held_out(name: str) -> bool:
    """Whether a file's name says that it is kept from training."""
    return _HELD_OUT.search(name.lower()) is not None


def keys(examined: Examined, places: pl.DataFrame, files: Sequence[str]) -> pl.DataFrame:
    """Hashes and places of the rows that ask something; `files`: the names that the numbers stand for. O(bytes)."""
    import polars as pl

    rows = examined.rows
    whole = pl.select(pl.coalesce(rows["prompt"], rows["answer"])).to_series()
    file, start, line = PLACE
    found = pl.DataFrame(
        [
            _hashed(whole).alias("asked"),
            _hashed(rows["answer"].set(rows["prompt"].is_null(), None)).alias("answer"),
            _hashed(rows["rejected"]).alias("rejected"),
            places[file].replace_strict(list(files), list(range(len(files))), return_dtype=pl.Int32).alias("file"),
            places[start].alias("start"),
            places[line].alias("line"),
        ]
    )
    return found.filter(pl.col("asked").is_not_null())


def _hashed(text: pl.Series) -> pl.Series:
    """uint64, null where the text is null or says nothing."""
    import polars as pl

    from curate.analysis import text_buffers
    from curate.kernels.hashing import hash_strings

    bare = text.str.strip_chars()
    says = (bare.str.len_bytes() > 0).fill_null(False)
    if not says.any():
        return pl.Series([None], dtype=pl.UInt64).new_from_index(0, len(text))
    hashes = pl.Series(hash_strings(*text_buffers(bare.fill_null(""))))
    return hashes.set(~says, None)


def write_keys(folder: Path, shard: int, found: Sequence[pl.DataFrame]) -> None:
    """Leave a shard's keys where `compare` finds them."""
    import polars as pl

    if not found:
        return
    parts = pl.concat(found).with_columns((pl.col("asked") % PARTITIONS).cast(pl.Int32).alias("part"))
    for (part,), group in parts.group_by("part", maintain_order=True):
        path = folder / f"{part:02d}" / f"{shard:06d}.arrow"
        path.parent.mkdir(parents=True, exist_ok=True)
        group.drop("part").write_ipc(path)


def compare(folder: Path, part: int, files: Sequence[str]) -> Tally:
    """What the rows of a part are to one another. O(rows log rows); memory: the keys of the part, a few times."""
    import polars as pl

    tally = Tally()
    paths = sorted((folder / f"{part:02d}").glob("*.arrow"))
    if not paths:
        return tally
    rows = pl.concat([pl.read_ipc(path) for path in paths]).sort("file", "start", "line")
    held = pl.col("file").is_in([number for number, name in enumerate(files) if held_out(name)])
    rows = rows.with_columns(held.alias("held"))
    row = ["asked", "answer", "rejected"]

    again = rows.filter(~pl.struct(*row, "file").is_first_distinct())
    _tell(tally, "duplicate", again, rows, [*row, "file"], files)

    single = rows.filter(pl.col("rejected").is_null(), pl.col("answer").is_not_null())
    other = single.filter(pl.struct("asked", "answer").is_first_distinct(), ~pl.col("asked").is_first_distinct())
    _tell(tally, "contradiction", other, single, ["asked"], files)

    pairs = rows.filter(pl.col("rejected").is_not_null(), pl.col("answer") != pl.col("rejected"))
    turned = pairs.drop("answer").rename({"rejected": "answer"})
    both = pairs.join(turned.select("asked", "answer"), on=["asked", "answer"], how="semi", maintain_order="left")
    _tell(tally, "preference_cycle", both, turned, ["asked", "answer"], files)

    spread = rows.filter(pl.col("file").n_unique().over("asked") > 1)
    kept_apart = pl.col("held").any().over("asked")
    leaked = spread.filter(kept_apart, "held")
    open_rows = spread.filter(~pl.col("held"))
    _tell(tally, "leakage", leaked, pl.concat([open_rows, spread.filter("held")]), ["asked"], files, elsewhere=True)
    several = spread.filter(~kept_apart).filter(pl.col("file") != pl.col("file").first().over("asked"))
    _tell(tally, "in_several_files", several, spread, ["asked"], files, elsewhere=True)
    return tally


def _tell(
    tally: Tally,
    name: str,
    found: pl.DataFrame,
    among: pl.DataFrame,
    on: list[str],
    files: Sequence[str],
    *,
    elsewhere: bool = False,
) -> None:
    """Count the rows that were found; with the first of them goes the first row of `among` that is the same in `on`."""
    import polars as pl

    if not found.height:
        return
    first: list[dict[str, Any]] = []
    for row in found.head(FIRST).iter_rows(named=True):
        same = pl.all_horizontal(pl.col(column).eq_missing(pl.lit(row[column], among.schema[column])) for column in on)
        partner = among.filter(same, pl.col("file") != row["file"] if elsewhere else pl.lit(True)).head(1).to_dicts()
        entry = {"place": _place(row, files), "text": None}
        first.append(entry | ({"also": _place(partner[0], files)} if partner else {}))
    tally.add(name, found.height, first)


def _place(row: dict[str, Any], files: Sequence[str]) -> Place:
    return Place(files[row["file"]], row["start"], row["line"])
