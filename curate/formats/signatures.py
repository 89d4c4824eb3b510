"""Text that documents calls, as pydoc prints it, read as pairs: what does this signature do? and its own documentation.

No word is made up: the instruction is the signature as it stands in a fixed question, the output is the documentation that
follows it, whole paragraphs from its start. A line is a signature when it is nothing but `name(parameters)`, perhaps with
`-> type`, at the left edge (or, for the call of a class, right under its `class` line). Its documentation begins on the next
line and ends at the next signature or heading. Taken are only pairs that say something: see `_TRIVIAL`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["LONGEST", "pairs"]

LONGEST = 600
"""Characters of documentation to take at most, in whole paragraphs; a first paragraph that is longer is not taken at all."""

# name(parameters), or name( parameters ) as Python 3.13 sets long ones. A parameter starts as Python's do,
# with brackets nested once; then what pydoc adds: a return type, or
# where a class method comes from. `[` opens an optional parameter in the documentation of functions written in C.
_SIGNATURE = (
    r"^((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*\( ?(?:(?:[A-Za-z_*/\[]|\.\.\.)(?:[^()]|\((?:[^()]|\([^()]*\))*\))*)?\)"
    r"(?: ?-> ?[^\s\[\]]+(?:\[.*\])?)?)(?: from [\w.]+| method of [\w.]+ instance)?$"
)
_CLASS = r"^class (\w+)(?:\(.*\))?:?$"
_MODULE = r"^([a-z_]\w*(?:\.\w+)*)(?: \(version [^)]*\))?[ \t]+index$"
# Headings that pydoc sets over parts of a page and of a class.
_SECTION = (
    r"^(?:[A-Z][A-Za-z ]* (?:defined here|inherited from [\w.]+):|Method resolution order:|-{3,}|={3,}"
    r"|Package Contents|Modules|Classes|Functions|Data|Version|Date|Author|Credits|File|Related Topics)$"
)
# "__radd__ = __add__(self, other)": another name for a method, which has no documentation of its own.
_ALIAS = r"^\w+ = [\w.]+\(.*\)(?: from [\w.]+)?$"
_INHERITED = r" inherited from [\w.]+:$"
# What every object says of itself, and what is no documentation: comments, which pydoc shows for want of any.
_TRIVIAL = (
    r"(?i)See help\(type\(|^Helper for pickle|^Create and return a new object|^Initialize self\b|^#|^Internal\b|^Private\b"
)
# "ValueError(Exception)" with full names is how a class and its bases stand in a tree of classes.
_BASES = r"^[\w.]+\((?:\w+\.)+\w+(?:, ?(?:\w+\.)+\w+)*\)$"
# A default that prints as an address is another one on every run.
_ADDRESS = " at 0x"


def _lines(text: pl.Series) -> pl.DataFrame:
    """Every line: its document, what it says, and what it is."""
    import polars as pl

    lines = text.str.split("\n").rename("raw").to_frame().with_row_index("document").explode("raw", empty_as_null=True)
    lines = lines.with_columns(pl.col("raw").str.strip_chars().alias("line"))
    before = pl.col("line").shift(1, fill_value="").over("document")
    under_class = before.str.contains(_CLASS)
    at_edge = ~pl.col("raw").str.contains(r"^\s")
    # What an example prints can look like a call, but then no words follow it at once.
    after = pl.col("line").shift(-1, fill_value="").over("document")
    printed = before.str.contains(r"^(?:>>>|\.\.\.)") & ((after == "") | after.str.starts_with(">>>"))
    call = (at_edge | under_class) & ~printed
    return lines.with_columns(
        pl.when(call)
        .then(pl.col("line").str.extract(_SIGNATURE).str.replace("( ", "(", literal=True).str.replace(" )", ")", literal=True))
        .alias("signature"),
        under_class.alias("under_class"),
        pl.any_horizontal(
            pl.col("line").str.contains(_SECTION),
            pl.col("line").str.contains(_CLASS),
            at_edge & pl.col("line").str.contains(_ALIAS),
        ).alias("ends"),
        pl.col("line").str.contains(_SECTION).alias("section"),
        pl.col("line").str.contains(_INHERITED).alias("inherited"),
        pl.when(pl.col("line") == "Functions").then(pl.lit("")).otherwise(pl.col("line").str.extract(_CLASS)).alias("class"),
        pl.col("line").str.extract(_MODULE).alias("module"),
    )


def pairs(text: pl.Series) -> pl.DataFrame:
    """Pairs found in documents: `parent` (position of the document, UInt32), `instruction`, `output`; in order, none twice.

    O(bytes): the lines of all documents are one column, and blocks are told by running counts.
    """
    import polars as pl

    lines = _lines(text)
    # "D.keys() -> ..." right under "keys(self)" is how C functions document themselves, and no signature of its own.
    says_again = pl.col("signature").shift(1).over("document").is_not_null() & pl.col("signature").str.contains(
        r"\.\w*\(|^\w+\(.*->"
    )
    lines = lines.with_columns(pl.when(~says_again.fill_null(False)).then("signature").alias("signature"))
    starts = pl.col("signature").is_not_null() | pl.col("ends")
    blank = pl.col("line") == ""
    lines = lines.with_columns(
        starts.cum_sum().alias("block"),
        pl.col("class").forward_fill().over("document"),
        pl.col("module").forward_fill().over("document"),
        pl.when(pl.col("section")).then("inherited").forward_fill().over("document").fill_null(False).alias("inherited"),
    )
    head = lines.filter(pl.col("signature").is_not_null() & ~pl.col("inherited"))
    body = lines.filter(~starts).join(head.select("block", "document"), on=["block", "document"], how="semi")
    # Paragraphs of a block, told by the blank lines above them. The first must follow the signature at once, but for a class.
    body = body.with_columns(blank.cum_sum().over("block").alias("gaps"), blank.alias("blank"))
    paragraphs = (
        body.filter(~pl.col("blank"))
        .group_by("block", "gaps", maintain_order=True)
        .agg(pl.col("raw").str.join("\n").alias("paragraph"))
        .with_columns((pl.col("paragraph").str.len_chars() + 2).cum_sum().over("block").alias("length"))
    )
    outputs = (
        paragraphs.filter(pl.col("length") <= LONGEST + 2)
        .group_by("block", maintain_order=True)
        .agg(pl.col("paragraph").str.join("\n\n").str.strip_chars().alias("output"), pl.col("gaps").first())
    )
    found = head.join(outputs, on="block", how="inner", maintain_order="left")
    of = pl.concat_str(
        "module", pl.when(~pl.col("under_class") & (pl.col("class") != "")).then("class"), separator=".", ignore_nulls=True
    )
    name = pl.col("signature").str.extract(r"(\w+)\(")
    words = pl.col("output").str.count_matches(r"[A-Za-z]{2,}")
    # An operator of a type documents itself in a few words that say what the operator is: "Return self+value."
    enough = pl.when(name.str.starts_with("__")).then(6).otherwise(3)
    return (
        found.filter(
            (pl.col("gaps") == 0) | pl.col("under_class"),
            words >= enough,
            ~pl.col("output").str.contains(_TRIVIAL),
            ~pl.col("signature").str.contains(_ADDRESS, literal=True),
            ~pl.col("signature").str.contains(_BASES),
        )
        .select(
            pl.col("document").alias("parent"),
            pl.concat_str(
                pl.lit("What does `"),
                "signature",
                pl.when(of != "").then(pl.concat_str(pl.lit("` of `"), of)).otherwise(pl.lit("")),
                pl.lit("` do?"),
            ).alias("instruction"),
            "output",
        )
        .unique(["parent", "instruction"], keep="first", maintain_order=True)
    )
