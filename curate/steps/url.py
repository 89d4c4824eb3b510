"""Addresses: what the page's URL tells, by block lists and by the words in it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from curate.declare import Batch, Filter, Rule
from curate.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

__all__ = ["Url"]

_UT1 = ("domains", "urls")  # the lists in each category's folder of UT1; its other files are regular expressions and notes
_LINES = 200_000  # of a list at a time
_READING = threading.Lock()  # threads that start together read the lists once


class Url(Filter):
    """Drop pages by their address: listed domains and pages, and words in the address.

    The lists are the user's: none are shipped. UT1's (University of Toulouse, dsi.ut-capitole.fr/blacklists, unpacked) are
    what FineWeb and RefinedWeb used. A domain is listed when it or any domain above it is, as in squidGuard, for which
    those lists are made: `example.com` covers `a.b.example.com`, so a list must not hold `co.uk`. (datatrove 0.10 looks up
    the registered domain and the whole host, DCLM the whole host.) A page is listed when host, path and query are equal.

    Addresses and lists are compared without case, scheme, user, port, `www.` before a page's host, fragment and closing
    dots and slashes; international hosts as punycode (UTS 46). Words are what stands between characters that are no ASCII
    letters or digits, as in FineWeb (datatrove), but there capital letters hide a word. Substrings are looked for with `-` and
    `.` taken out of both, as in DCLM. A row without an address is kept.

    The scores `domain`, `page`, `hard_word` and `substring` are what was found, null for nothing.

    O(bytes of the address): 160,000 different addresses a second and core with all rules, 300,000 with lists alone. 8 bytes of
    memory for each entry, held once a process, told apart by 64-bit hashes (5 million entries and 10^10 look-ups make one wrong
    hit in 370 such runs); reading 5 million (111 MB) took 1.4 s and 420 MB at its peak.
    """

    step: Literal["url"] = "url"
    releases_gil: ClassVar[bool] = True
    column: str = Field("url", description="Column of the address.")
    lists: tuple[str, ...] = Field(
        (),
        description="Block lists: files with a domain or page a line (# starts a comment), folders of such files, or folders "
        "in UT1's layout (CATEGORY/domains, CATEGORY/urls).",
    )
    categories: tuple[str, ...] = Field((), description="Categories of UT1's layout to use, like adult; default: all.")
    allow_domains: tuple[str, ...] = Field(
        (), description="Domains that are kept, with all below them, whatever lists and words say."
    )
    hard_words: str | None = Field(None, description="File of words of which none may stand in the address, one a line.")
    soft_words: str | None = Field(None, description="File of words of which few may stand in the address.")
    max_soft_words: int = Field(1, ge=0, description="Most different soft words; FineWeb and DCLM drop at 2.")
    substrings: str | None = Field(None, description="File of strings that may stand nowhere in the address.")

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not (self.lists or self.hard_words or self.soft_words or self.substrings):
            raise ValueError("nothing to look for: give lists, hard_words, soft_words or substrings")
        return self

    def needs(self) -> tuple[str, ...]:
        return (self.column,)

    def rules(self) -> tuple[Rule, ...]:
        def none(on: object) -> tuple[str, ...] | None:
            return () if on else None  # no value is allowed, null is

        return (
            Rule("listed_domain", "domain", among=none(self.lists)),
            Rule("listed_page", "page", among=none(self.lists)),
            Rule("hard_word", "hard_word", among=none(self.hard_words)),
            Rule("soft_words", "soft_words", max=self.max_soft_words if self.soft_words else None),
            Rule("substring", "substring", among=none(self.substrings)),
        )

    def bind(self) -> Callable[[Batch], pl.DataFrame]:
        import polars as pl

        listed = _read_lists(self.lists, self.categories)
        hard, soft = _words(self.hard_words), _words(self.soft_words)
        substrings = [_squashed(pl.Series([entry]))[0] for entry in _entries([self.substrings] if self.substrings else [])]
        allowed = _hashes(_hosts(pl.Series(self.allow_domains, dtype=pl.String)))

        def measure(batch: Batch) -> pl.DataFrame:
            given = batch.frame[self.column].cast(pl.String).str.strip_chars()
            parts = _parts(given)
            free = given.is_null() | (given == "") | _suffix(parts["host"], allowed).is_not_null()
            scores: dict[str, pl.Series] = {}
            if self.lists:
                scores["domain"] = _suffix(parts["host"], listed.domains)
                scores["page"] = _among(parts["page"], listed.pages)
            if self.hard_words:
                scores["hard_word"] = _found_words(given, hard)["word"]
            if self.soft_words:
                scores["soft_words"] = _found_words(given, soft)["count"]
            if substrings:
                scores["substring"] = _squashed(given).str.extract_many(substrings).list.first()
            elif self.substrings:
                scores["substring"] = pl.repeat(None, len(batch), dtype=pl.String, eager=True)
            frame = pl.DataFrame(scores)
            return frame.select(pl.when(~free).then(pl.col(name)).alias(name) for name in frame.columns)

        return measure


class _Lists(NamedTuple):
    """Sorted hashes of the listed domains, and of the pages as host, path and query: uint64 each."""

    domains: NDArray[np.uint64]
    pages: NDArray[np.uint64]


def _parts(address: pl.Series) -> pl.DataFrame:
    """`host` of each address, in small letters and punycode, and `page`: the host without `www.`, with path and query."""
    import polars as pl

    rest = pl.col("rest")
    return (
        address.to_frame("rest")
        .lazy()
        .with_columns(rest.str.to_lowercase().str.replace(r"^(?:[a-z][a-z0-9+.-]*:)?//", ""))
        .with_columns(rest.str.replace(r"(?s)#.*$", ""))
        .select(
            authority=rest.str.extract(r"^([^/?\\]*)"),
            path=rest.str.replace(r"^[^/?\\]*", "").str.strip_chars_end("/"),
        )
        .with_columns(
            host=pl.col("authority").str.replace(r"^.*@", "").str.replace(r":\d*$", "").map_batches(_hosts, pl.String)
        )
        .select("host", page=pl.col("host").str.replace(r"^www\.", "") + pl.col("path"))
        .collect()
    )


def _hosts(hosts: pl.Series) -> pl.Series:
    """Hosts in small letters, without closing dots; those with other letters than ASCII's in punycode, where they have one."""
    import idna
    import polars as pl

    def punycode(host: str) -> str:
        try:
            return idna.encode(host, uts46=True).decode()
        except UnicodeError:  # of which idna's errors are: no valid host, so only equal to itself
            return host

    foreign = hosts.unique().drop_nulls()
    foreign = foreign.filter(foreign.str.contains(r"[^\x00-\x7f]"))
    if foreign.len():
        hosts = hosts.replace(foreign, pl.Series([punycode(host) for host in foreign], dtype=pl.String))
    return hosts.str.to_lowercase().str.strip_chars_end(".")


def _hashes(entries: pl.Series) -> NDArray[np.uint64]:
    """The sorted hashes of the entries."""
    import numpy as np

    return np.sort(_hash(entries))


def _hash(strings: pl.Series) -> NDArray[np.uint64]:
    from curate.analysis import text_buffers
    from curate.kernels.hashing import hash_strings

    return hash_strings(*text_buffers(strings.fill_null("")))


def _among(strings: pl.Series, hashes: NDArray[np.uint64]) -> pl.Series:
    """The strings that have one of the hashes; null for the others."""
    import numpy as np
    import polars as pl

    if not len(hashes):
        return pl.repeat(None, strings.len(), dtype=pl.String, eager=True)
    hashed = _hash(strings)
    at = np.minimum(np.searchsorted(hashes, hashed), len(hashes) - 1)
    hit = pl.Series(hashes[at] == hashed) & strings.is_not_null()
    return pl.select(pl.when(hit).then(strings)).to_series()


def _suffix(hosts: pl.Series, hashes: NDArray[np.uint64]) -> pl.Series:
    """The listed one of each host and the domains above it, the longest; null where none is."""
    import polars as pl

    rows = pl.DataFrame({"row": pl.int_range(hosts.len(), eager=True), "domain": hosts}).drop_nulls()
    found = []
    while rows.height and len(hashes):
        hit = _among(rows["domain"], hashes)
        found.append(rows.filter(hit.is_not_null()))
        # Those still without a hit lose their first label.
        rows = rows.filter(hit.is_null() & rows["domain"].str.contains(".", literal=True))
        rows = rows.with_columns(pl.col("domain").str.replace(r"^[^.]*\.", ""))
    result = pl.DataFrame({"row": pl.int_range(hosts.len(), eager=True)})
    hits = pl.concat([rows.clear(), *found])
    return result.join(hits, on="row", how="left", maintain_order="left")["domain"]


def _found_words(addresses: pl.Series, words: pl.DataFrame) -> pl.DataFrame:
    """For each address the first of the words in it, and how many different ones."""
    import polars as pl

    rows = pl.DataFrame({"row": pl.int_range(addresses.len(), eager=True), "word": addresses.str.extract_all(r"[a-zA-Z0-9]+")})
    cut = rows.explode("word").with_columns(pl.col("word").str.to_lowercase())
    hits = cut.join(words, on="word", how="semi", maintain_order="left").group_by("row")
    found = hits.agg(pl.col("word").first(), pl.col("word").n_unique().cast(pl.Float64).alias("count"))
    return (
        rows.select("row").join(found, on="row", how="left", maintain_order="left").with_columns(pl.col("count").fill_null(0))
    )


def _words(file: str | None) -> pl.DataFrame:
    """The words of a file, one a row; what is no ASCII letter or digit is taken out, as datatrove does."""
    import polars as pl

    words = pl.Series("word", list(_entries([file] if file else [])), dtype=pl.String)
    words = words.str.replace_all(r"[^a-zA-Z0-9]+", "").str.to_lowercase()
    return words.filter(words != "").unique().to_frame()


def _squashed(text: pl.Series) -> pl.Series:
    return text.str.to_lowercase().str.replace_all(r"[-.]", "")


def _entries(files: Iterable[str]) -> Iterable[str]:
    for file in files:
        for part in _lines(Path(file)):
            yield from part


def _lines(file: Path) -> Iterable[pl.Series]:
    """The first word of every line of a list, 200,000 lines at a time; no comments and blank lines."""
    import polars as pl

    try:
        whole = pl.read_lines(file)
    except pl.exceptions.NoDataError:
        return
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{file}: the list cannot be read: {error}") from error
    for part in whole.iter_slices(_LINES):
        lines = part.to_series().str.strip_chars()
        lines = lines.filter((lines != "") & ~lines.str.starts_with("#"))
        # A word and a comment are rare.
        more = lines.str.contains(r"\s")
        yield pl.select(pl.when(more).then(lines.str.extract(r"^(\S+)")).otherwise(lines)).to_series() if more.any() else lines


def _read_lists(paths: Iterable[str], categories: tuple[str, ...]) -> _Lists:
    """The block lists of these paths. Read once, and again when a file has changed."""
    files = [file for path in paths for file in _files(Path(path), categories)]
    with _READING:
        return _read_files(tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@functools.lru_cache(maxsize=4)
def _read_files(files: tuple[tuple[Path, int, int], ...]) -> _Lists:
    """The lists, told apart entry by entry: one with a path or query is a page, else it is a domain."""
    import numpy as np

    domains, pages = [np.empty(0, np.uint64)], [np.empty(0, np.uint64)]
    for file, _, _ in files:
        for entries in _lines(file):
            plain = entries.str.contains(r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$")  # most: nothing to take apart, ten times as fast
            domains.append(_hashes(entries.filter(plain)))
            parts = _parts(entries.filter(~plain).str.replace(r"^(?:\*?\.)+", ""))
            is_page = parts["page"] != parts["host"].str.replace(r"^www\.", "")
            domains.append(_hashes(parts["host"].filter(~is_page & (parts["host"] != ""))))
            pages.append(_hashes(parts["page"].filter(is_page)))
    return _Lists(np.sort(np.concatenate(domains)), np.sort(np.concatenate(pages)))


def _files(path: Path, categories: tuple[str, ...]) -> list[Path]:
    """The list files of a path: itself; UT1's of the wanted categories; else the files of the folder."""
    if not path.exists():
        raise InputError(f"{path}: no such block list")
    if path.is_file():
        return [path]
    ut1 = sorted(file for name in _UT1 for file in path.rglob(name) if file.is_file())
    if categories:
        ut1 = [file for file in ut1 if file.parent.name in categories]
        missing = set(categories) - {file.parent.name for file in ut1}
        if missing:
            raise InputError(f"{path}: holds no category {sorted(missing)} (a folder with a file `domains` or `urls`)")
    files = ut1 or sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    if not files:
        raise InputError(f"{path}: a folder without lists")
    return files
