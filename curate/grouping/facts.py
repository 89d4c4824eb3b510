"""What is asked of a row before rows are compared: the text that counts, its normal form, its address, its worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from curate.declare import Batch
from curate.errors import InputError, UsageError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Compare", "Keep", "Normalize", "canonical_urls", "compared", "letters", "simplified", "wanted"]

Compare = Literal["row", "instruction", "answers"]
Normalize = Literal["strip", "letters"]
Keep = Literal["first", "longest", "newest", "best", "source"]

_URL = r"^\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#@]*@)?(?P<host>[^/?#\s]+)(?P<path>[^?#\s]*)(?:\?(?P<query>[^#\s]*))?"
_PUNCTUATION = (
    r"[!/—”:％１〈&(、━\\【#%「」，】；+^\]~“《„';’{|∶´\[=\-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"
    r"\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_DATE = (
    r"^\s*(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2}(?:\.\d+)?))?\s*(?P<zone>Z|[+-]\d{2}:?\d{2})?)?\s*$"
)


def compared(batch: Batch, compare: Compare) -> Batch:
    """The batch with what is compared of each row as its text; empty where a row has nothing of the kind.

    `instruction`: what is asked (the instruction; the user's turns of a chat). `answers`: what is answered (the output; both
    answers of a preference; the assistant's turns). Raises UsageError for the text format, which has neither.
    """
    import polars as pl

    if compare == "row":
        return batch
    frame = batch.frame
    if "messages" in frame.columns:
        text = _turns(frame["messages"], "user" if compare == "instruction" else "assistant")
    elif "instruction" in frame.columns:
        answers = ["chosen", "rejected"] if "chosen" in frame.columns else ["output"]
        columns = ["instruction"] if compare == "instruction" else answers
        text = frame.select(pl.concat_str([pl.col(c) for c in columns], separator="\n\n").fill_null("")).to_series()
    else:
        raise UsageError(f"dedupe: compare {compare} asks for rows of instructions, chats or preferences: these are texts")
    return Batch(frame, text.rename("text"), batch.row, batch.shard)


def _turns(messages: pl.Series, role: str) -> pl.Series:
    """The contents of the turns of a role, blank lines between."""
    import polars as pl

    from curate.formats.messages import read_turns

    turn = pl.element()
    said = turn.filter(turn.struct.field("role") == role).struct.field("content")
    return read_turns(messages).list.eval(said).list.join("\n\n", ignore_nulls=True).fill_null("")


def letters(text: pl.Series) -> pl.Series:
    """Texts as those who only read the letters see them: lower case, NFC, runs of punctuation and white space as one space.

    A text of nothing else stays as it is, stripped. O(bytes).
    """
    import polars as pl

    folded = text.str.to_lowercase().str.normalize("NFC").str.replace_all(r"[\p{P}\s]+", " ").str.strip_chars()
    return pl.select(pl.when(folded.str.len_bytes() > 0).then(folded).otherwise(text.str.strip_chars())).to_series()


def simplified(text: pl.Series) -> pl.Series:
    """Texts as FineWeb compares them: lower case, numbers as 0, punctuation as space, one space each, no accents.

    datatrove 0.10, `utils/text.py`, `simplify_text` and the characters of `PUNCTUATION`. O(bytes).
    """
    text = text.str.to_lowercase().str.replace_all(r"\p{Nd}+(?:[.,،٫⎖⎗⎘]\p{Nd}+)?", "0").str.replace_all(_PUNCTUATION, " ")
    text = text.str.replace_all(r"\s+", " ").str.strip_chars()
    return text.str.normalize("NFD").str.replace_all(r"\p{Mn}", "").str.strip_chars()


def canonical_urls(urls: pl.Series) -> pl.Series:
    """One form for the addresses of one page; null where there is none.

    Left out: scheme and user (http and https are one), ports 80 and 443, the fragment, a slash at the end, parameters
    `utm_*`. The host is in lower case, the parameters are sorted. Paths keep their case. O(bytes).
    """
    import polars as pl

    part = pl.col("part").struct
    host = part.field("host").str.to_lowercase().str.replace(r":(80|443)?$", "").str.strip_chars_end(".")
    parameters = part.field("query").fill_null("").str.split("&")
    chosen = pl.element().filter(~pl.element().str.contains("^(?i:utm_)") & (pl.element() != ""))
    query = parameters.list.eval(chosen).list.sort().list.join("&")
    found = urls.cast(pl.String).alias("url").to_frame().select(pl.col("url").str.extract_groups(_URL).alias("part"))
    path = part.field("path").fill_null("").str.strip_chars_end("/")
    made = found.select(pl.when(host.str.len_bytes() > 0).then(pl.concat_str(host, path, pl.lit("?"), query)).alias("url"))
    return made.to_series()


def wanted(batch: Batch, keep: Keep, column: str, sources: Sequence[str]) -> pl.Series:
    """float64: how much each row is wanted, most first; null is wanted least. `batch` has the text that is compared.

    column: where date, score or source stands. sources: most wanted first, those not named last.
    Raises InputError when a date or a score cannot be read.
    """
    import polars as pl

    frame = batch.frame
    if keep == "longest":
        return batch.text.str.len_chars().cast(pl.Float64)
    if column not in frame.columns:
        return pl.Series([None], dtype=pl.Float64).new_from_index(0, frame.height)
    values = frame[column]
    if keep == "source":
        order = {name: -float(i) for i, name in enumerate(sources)}
        return values.cast(pl.String).replace_strict(order, default=None, return_dtype=pl.Float64)
    found = _times(values) if keep == "newest" else values.cast(pl.Float64, strict=False).fill_nan(None)
    odd = found.is_null() & values.is_not_null()
    if odd.any():
        kind = "date (like 2024-05-31 or 2024-05-31T12:00:00Z)" if keep == "newest" else "number"
        raise InputError(f"dedupe: row {frame['id'].filter(odd)[0]}: '{column}' is {values.filter(odd)[0]!r}, no {kind}")
    return found


def _times(values: pl.Series) -> pl.Series:
    """Seconds since 1970 of dates: ISO 8601 text (UTC where no zone is named), times of Parquet, numbers as they are."""
    import polars as pl

    if values.dtype.is_numeric():
        return values.cast(pl.Float64)
    if values.dtype.is_temporal():
        return values.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / 1e6
    part = pl.col("part").struct

    def number(name: str) -> pl.Expr:
        return part.field(name).cast(pl.Float64).fill_null(0.0)

    day = pl.concat_str(part.field("year"), part.field("month"), part.field("day")).str.to_date("%Y%m%d", strict=False)
    zone = part.field("zone").str.replace(":", "").str.replace("Z", "+0000").fill_null("+0000")
    minutes = zone.str.slice(1, 2).cast(pl.Float64) * 60 + zone.str.slice(3, 2).cast(pl.Float64)
    offset = pl.when(zone.str.starts_with("-")).then(-minutes).otherwise(minutes) * 60
    seconds = number("hour") * 3600 + number("minute") * 60 + number("second")
    found = values.cast(pl.String).alias("date").to_frame().select(pl.col("date").str.extract_groups(_DATE).alias("part"))
    return found.select((day.dt.epoch("d").cast(pl.Float64) * 86400 + seconds - offset).alias("date")).to_series()
