"""An index of earlier runs: their keys, sets, ids and winners, so that new rows are compared with theirs without reading them.

    generation-00001/about.json      number, digests of the options and of the rows, shards, rows; written with the rest
    generation-00001/shards/00000/   as `curate.grouping.keys` says; `rows.parquet` with a column `kept`, the id that stayed

Each run adds one generation, whole or not at all (it is written beside, and renamed). Nothing that is there is changed. A run
over the very rows of a generation compares them with the generations before that one alone, and adds none: so a run that is
repeated, or goes on after it was killed, gives what it gave. One run at a time may use an index: the engine holds it locked
(`Job.grows`), and a lock ends with its process.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Index", "digest_of"]

LAYOUT = 2
"""Changes when what is written does, or how keys are made."""

START_OVER = "run the same command into a new output, or remove the unfinished one first"


class Index:
    """The generations under a folder. options: whatever decides which rows are equal or similar."""

    def __init__(self, folder: Path, options: dict[str, Any]) -> None:
        self.folder = folder
        self._options = {"layout": LAYOUT, **options}

    def earlier(self, rows: str) -> list[Path]:
        """The shards of the generations to compare with, oldest first. rows: digest of the rows of this run.

        Raises UsageError when a generation was made with other options.
        """
        shards: list[Path] = []
        for generation, about in self._generations():
            if about["rows"] == rows:
                break
            other = sorted(
                name for name in {*about["options"], *self._options} if about["options"].get(name) != self._json(name)
            )
            if other:
                was = ", ".join(f"{name}={about['options'].get(name)}" for name in other)
                raise UsageError(f"{self.folder}: the index was made with {was}: use the same options, or another folder")
            shards += [generation / "shards" / f"{i:05d}" for i in range(about["shards"])]
        return shards

    def add(self, rows: str, earlier: Sequence[Path], shards: Sequence[Path], kept: Sequence[pl.Series]) -> bool:
        """Add a generation with these shards, unless it is there already. kept: for each row the id that stays for it.

        earlier: the shards of the index that the rows were compared with. Raises UsageError when others have come since, which
        only happens between two halves of a run that was stopped.
        """
        import polars as pl

        from curate.io.files import atomic, writing

        generations = self._generations()
        if any(about["rows"] == rows for _, about in generations):
            return False
        if self.earlier(rows) != list(earlier):
            raise UsageError(f"{self.folder}: another run added to the index while this one was stopped; {START_OVER}")
        number = len(generations) + 1
        place = self.folder / f".generation-{number:05d}.tmp"
        with writing(self.folder):
            shutil.rmtree(place, ignore_errors=True)
            for i, (shard, winners) in enumerate(zip(shards, kept, strict=True)):
                target = place / "shards" / f"{i:05d}"
                target.mkdir(parents=True)
                for name in ("keys.bin", "edges.bin", "bounds.bin", "sets.bin"):
                    _link(shard / name, target / name)
                table = pl.read_parquet(shard / "rows.parquet", columns=["id"])
                with atomic(target / "rows.parquet") as handle:
                    table.with_columns(winners.alias("kept")).write_parquet(handle)
            about = {"number": number, "rows": rows, "options": self._options, "shards": len(shards)}
            with atomic(place / "about.json") as handle:
                handle.write(json.dumps(about, indent=1).encode())
            place.rename(self.folder / f"generation-{number:05d}")
        return True

    def _json(self, name: str) -> Any:
        return json.loads(json.dumps(self._options.get(name)))

    def _generations(self) -> list[tuple[Path, dict[str, Any]]]:
        found = sorted(self.folder.glob("generation-*")) if self.folder.is_dir() else []
        if self.folder.is_dir() and not found:
            foreign = [path.name for path in self.folder.iterdir() if not path.name.startswith(".")]
            if foreign:
                raise UsageError(f"{self.folder}: holds '{foreign[0]}', which is no index of dedupe: name another folder")
        return [(path, json.loads((path / "about.json").read_bytes())) for path in found]


def digest_of(parts: Sequence[str]) -> str:
    """One digest of the digests of shards."""
    return hashlib.blake2b("".join(parts).encode(), digest_size=16).hexdigest()


def _link(source: Path, target: Path) -> None:
    """The file under another name too; a copy where the file system gives it none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
