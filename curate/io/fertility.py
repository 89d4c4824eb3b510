"""What a tokenizer makes of text, by language and source: bytes a token and fertility."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from curate.io.encoder import Encoder

__all__ = ["counts", "report", "table"]

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"
"""Letters of scripts that put no space between words."""

_SUMS = ("documents", "bytes", "characters", "words", "letters", "unspaced", "tokens")


def counts(frames: Iterable[pl.DataFrame], encoder: Encoder) -> pl.DataFrame:
    """Sums over rows of `text`, `lang` and `source`, one row for each pair of the last two in their order: documents, bytes,
    characters, words (what stands between white space), letters, letters of scripts without spaces, and tokens."""
    import polars as pl

    names: dict[str, type[pl.DataType]] = {"lang": pl.String, "source": pl.String, **dict.fromkeys(_SUMS, pl.Int64)}
    found = [pl.DataFrame(schema=names)]
    for frame in frames:
        text = pl.col("text")
        counted = frame.select(
            "lang",
            "source",
            documents=pl.lit(1),
            bytes=text.str.len_bytes(),
            characters=text.str.len_chars(),
            words=text.str.count_matches(r"\S+"),
            letters=text.str.count_matches(r"\p{L}"),
            unspaced=text.str.count_matches(_UNSPACED),
            # Less the one that ends each text.
            tokens=pl.Series(encoder.encode(frame["text"])[1] - 1),
        )
        found.append(_added(counted.cast(pl.Schema(names)), ("lang", "source")))
    return _added(pl.concat(found), ("lang", "source"))


def report(sample: pl.DataFrame, held_out: pl.DataFrame) -> dict[str, Any]:
    """The rates of two frames of `counts`, and those of the second by `lang` and by `source`."""
    import polars as pl

    found: dict[str, Any] = {"sample": _rates(_total(sample)), "held_out": _rates(_total(held_out))}
    for column in ("lang", "source"):
        groups = _added(held_out.filter(pl.col(column).is_not_null()), (column,))
        found[column] = {row[column]: _rates(row) for row in groups.iter_rows(named=True)}
    return found


def table(found: dict[str, Any], most: int) -> list[str]:
    """Lines that say what a `report` holds, of languages and of sources the `most` that have the most bytes."""
    rows = [("the sample", found["sample"]), ("held out", found["held_out"])]
    left = []
    for column in ("lang", "source"):
        groups = sorted(found[column].items(), key=lambda group: (-group[1]["bytes"], group[0]))
        rows += [(f"{column} {name}", rates) for name, rates in groups[:most]]
        if len(groups) > most:
            left.append(f"{len(groups) - most:,} more by {column} are in held_out.json")
    width = max(len(what) for what, _ in rows)
    heads = ("bytes/token", "tokens/word", "tokens/character", "     MB")
    lines = [f"{'':{width}}  {'  '.join(heads)}"]
    for what, rates in rows:
        numbers = [rates["bytes_per_token"], rates["tokens_per_word"], rates["tokens_per_character"], rates["bytes"] / 1e6]
        cells = ["-" if number is None else f"{number:.3f}" for number in numbers]
        lines.append(f"{what:{width}}  {'  '.join(f'{cell:>{len(head)}}' for cell, head in zip(cells, heads, strict=True))}")
    return lines + left


def _added(frame: pl.DataFrame, by: tuple[str, ...]) -> pl.DataFrame:
    import polars as pl

    return frame.group_by(by).agg(pl.col(_SUMS).sum()).sort(by)


def _total(frame: pl.DataFrame) -> dict[str, Any]:
    return frame.select(_SUMS).sum().row(0, named=True)


def _rates(row: dict[str, Any]) -> dict[str, Any]:
    """Of one row of sums: its counts; bytes a token; fertility, tokens a word (Rust et al. 2021,
    https://arxiv.org/abs/2012.15613); and tokens a character. Where more than half of the letters are of a script without
    spaces there is no telling words apart, and tokens a word is null."""
    unspaced = 2 * row["unspaced"] > row["letters"]
    words = 0 if unspaced else row["words"]
    return {
        **{name: row[name] for name in ("documents", "bytes", "tokens")},
        "bytes_per_token": round(row["bytes"] / row["tokens"], 4) if row["tokens"] else None,
        "tokens_per_word": round(row["tokens"] / words, 4) if words else None,
        "tokens_per_character": round(row["tokens"] / row["characters"], 4) if row["characters"] else None,
    }
