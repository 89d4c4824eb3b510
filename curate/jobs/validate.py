"""validate: what is wrong with rows of the four formats, each by itself and all together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from curate.declare import Batch, Exchange, Reading, Rows, RowsJob, Shards, Single, Stage, Work
from curate.formats.sameness import PARTITIONS
from curate.io.rows import PLACE
from curate.steps.valid import Valid

if TYPE_CHECKING:
    import polars as pl

    from curate.formats.findings import Tally
    from curate.formats.validity import Examined

__all__ = ["Validate"]


class Validate(RowsJob):
    """Check rows of the four formats: the JSON Schema, and what no schema can say. Tells what it found as a table.

    Of each row: empty texts, roles out of order, unanswered tool calls, equal answers, marks of chat templates and special
    tokens, prompts in answers, refusals and stock phrases, encoding damage. Of all rows together: duplicates, the same prompt
    with other answers, preferences that go in a circle, rows of several kinds. Several files are compared with one another:
    a prompt of a held-out file (its name holds valid, dev, test or eval) that is in another file is an error. With `tokenizer`
    and `max_length`: rows that are too long, and how much of them training would cut.

    The command prints what it found, and exits with 1 when there are errors; it writes rows only to an `--output`: those
    without errors. In a recipe the rows without errors go on, and the others are dropped, each for the first check that it
    failed. With `format` auto each row is checked as what its own members say it is.

    Memory: a batch for each worker, and in the comparison the hashes of an eighth of the rows (44 bytes each, a few times).
    """

    job: Literal["validate"] = "validate"
    places: ClassVar[bool] = True

    tokenizer: str = Field(
        "", description="A tokenizer (folder, tokenizer.json or .model) to tell rows that are too long; with `max_length`."
    )
    max_length: int | None = Field(None, ge=2, description="Most tokens of a row that training keeps; with `tokenizer`.")
    write: bool = Field(True, description="Write the rows without errors; the command does where `--output` is given.")

    @model_validator(mode="after")
    def _both_or_none(self) -> Validate:
        if bool(self.tokenizer) != (self.max_length is not None):
            raise ValueError("tokenizer and max_length go together: give both")
        return self

    def reading(self) -> Reading:
        return "record"

    def stages(self) -> tuple[Stage, ...]:
        rows = (Rows(steps=(Valid(format=self.format, text_column=self.text_column),)),) if self.write else ()
        return (
            *rows,
            Shards("check", self._check),
            Exchange("compare", PARTITIONS, self._compare, releases_gil=True),
            Single("findings", _findings),
        )

    def _check(self, work: Work) -> dict[str, Any]:
        """Look at every row of a shard; leave what was found, and what the rows are compared by, in `work/`."""
        from curate.formats.findings import Tally
        from curate.formats.sameness import keys, write_keys

        found, facts = Tally(), Tally()
        files = list(work.files)
        compared: list[pl.DataFrame] = []
        totals = dict.fromkeys(("checked", "with_errors"), 0)
        measure = self._measure()
        for examined, record, places in self._examined(work):
            errors = self._tell(examined, record, places, found)
            totals["checked"] += len(record)
            totals["with_errors"] += errors
            for name, value in measure(examined, places, found).items():
                totals[name] = max(totals.get(name, 0), value) if name == "longest" else totals.get(name, 0) + value
            _facts(examined, record, places, facts)
            compared.append(keys(examined, places, files))
            work.progress(len(record), 0)
        write_keys(work.folder / "work" / "keys", work.index, compared)
        path = work.folder / "work" / f"checked-{work.index:06d}.json"
        path.write_text(json.dumps({"found": found.as_json(), "facts": facts.as_json(), "totals": totals}), encoding="utf-8")
        return {}

    def _examined(self, work: Work) -> Iterator[tuple[Examined, pl.Series, pl.DataFrame]]:
        from curate.formats.validity import examine

        name = None if self.format == "auto" else self.format
        for batch in work.batches():
            record = batch.frame["record"]
            yield examine(record, name, self.text_column), record, _places(batch)

    def _tell(self, examined: Examined, record: pl.Series, places: pl.DataFrame, found: Tally) -> int:
        """Count what is wrong with the rows, each by itself; how many have errors."""
        import polars as pl

        from curate.formats.suspicion import suspicions

        errors = examined.found
        others = pl.any_horizontal(pl.col(name).is_not_null() for name in errors.columns if name != "schema")
        # What a check has told by name, the schema says again.
        told = errors.with_columns(pl.when(~others).then("schema").alias("schema"))
        told = told.with_columns(
            pl.when(pl.col("no_assistant_turn").is_null()).then("last_not_assistant"),
            pl.when(pl.col("not_text").is_null()).then("unknown_format"),
        )
        found.add_columns(told, places)
        found.add_columns(suspicions(examined, record), places)
        return int(errors.select(pl.any_horizontal(pl.all().is_not_null()).sum()).item())

    def _measure(self) -> Any:
        """Tells the rows that are too long; does nothing without a tokenizer."""
        if self.max_length is None:
            return lambda examined, places, found: {}
        from curate.formats.budget import lengths
        from curate.io.encoder import Encoder

        encoder = Encoder.load(self.tokenizer, None, parallel=False)
        limit = self.max_length

        def measure(examined: Examined, places: pl.DataFrame, found: Tally) -> dict[str, int]:
            columns, totals = lengths(examined, encoder, limit)
            found.add_columns(columns, places)
            return totals

        return measure

    def _compare(self, work: Work) -> dict[str, Any]:
        """What the rows of one part are to one another."""
        from curate.formats.sameness import compare

        tally = compare(work.folder / "work" / "keys", work.index, list(work.files))
        path = work.folder / "work" / f"compared-{work.index:02d}.json"
        path.write_text(json.dumps(tally.as_json()), encoding="utf-8")
        return {}


def _places(batch: Batch) -> pl.DataFrame:
    return batch.frame.select(PLACE)


def _facts(examined: Examined, record: pl.Series, places: pl.DataFrame, facts: Tally) -> None:
    """Count what the rows are: see `verdict.across_rows`."""
    import polars as pl

    from curate.kernels import json_lines as json

    formats = examined.rows["format"]
    chat = formats == "chat"
    bare = record.str.starts_with("[")
    thinks = examined.rows["answer"].str.starts_with("<think>")
    asked = examined.rows["prompt"].is_not_null() & examined.rows["answer"].is_not_null()
    columns = {f"format.{name}": formats == name for name in formats.drop_nulls().unique(maintain_order=True)}
    columns |= {"chat.bare": chat & bare, "chat.object": chat & ~bare}
    columns |= {"think.yes": asked & thinks, "think.no": asked & ~thinks}
    kinds = {json.STRING: "string", json.NUMBER: "number", json.BOOLEAN: "boolean", json.OBJECT: "object", json.ARRAY: "array"}
    for member in examined.members.names:
        there = examined.members.kind(member)
        columns |= {f"kind.{member}.{kinds[k]}": pl.Series(there == k) for k in kinds if (there == k).any()}
    frame = pl.DataFrame([column.fill_null(False).alias(name) for name, column in columns.items()])
    facts.add_columns(frame.select(pl.when(name).then(pl.lit("")).alias(name) for name in columns), places)


def _findings(work: Work) -> dict[str, Any]:
    """All that was found, as one list: see `verdict.findings`. The counts of rows, errors and warnings stand beside it."""
    from curate.formats.findings import Tally
    from curate.formats.verdict import Locator, across_rows, file_problems, findings, unreadable

    found, facts = Tally(), Tally()
    totals: dict[str, int] = {}
    heads, hopeless = file_problems(work.files)
    found.merge(heads.as_json())
    found.merge(unreadable(work.folder / "rejected", hopeless).as_json())
    for path in sorted(Path(work.folder / "work").glob("checked-*.json")):
        shard = json.loads(path.read_text(encoding="utf-8"))
        found.merge(shard["found"])
        facts.merge(shard["facts"])
        for name, value in shard["totals"].items():
            totals[name] = max(totals.get(name, 0), value) if name == "longest" else totals.get(name, 0) + value
    found.merge(across_rows(facts).as_json())
    for path in sorted(Path(work.folder / "work").glob("compared-*.json")):
        found.merge(json.loads(path.read_text(encoding="utf-8")))
    listed = findings(found, Locator(work.files))
    severities = [finding["severity"] for finding in listed]
    formats = {name.removeprefix("format."): n for name, n in facts.counts.items() if name.startswith("format.")}
    return {
        "files": len(work.files),
        "formats": formats,
        **totals,
        "errors": severities.count("error"),
        "warnings": severities.count("warning"),
        "findings": listed,
    }
