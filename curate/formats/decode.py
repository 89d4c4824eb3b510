"""Rows of JSON text as columns: the members that a dialect knows, null where a row does not have them as they should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from curate.kernels.json_lines import Scan

__all__ = ["Members", "decode", "frame_of", "has_half", "message_list"]

# Escaped backslashes and whole pairs are taken out first, so that what is left stands alone.
_WHOLE = r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_HALF = r"\\u[dD][89a-fA-F]"


def message_list() -> pl.DataType:
    """The type of a list of messages."""
    import polars as pl

    return pl.List(pl.Struct({"role": pl.String, "content": pl.String}))


class Members:
    """Top-level members of rows of JSON text, found by one scan. `array_as`: the name that a row which is an array goes by."""

    def __init__(self, record: pl.Series, names: Sequence[str], array_as: str | None = None) -> None:
        import numpy as np

        from curate.analysis import text_buffers
        from curate.kernels import columns, json_lines, json_write

        self.data: NDArray[np.uint8] = columns.frozen(json_write.join_values(*text_buffers(record)), np.uint8)
        """The rows, each ended by a newline."""
        self.names = tuple(names)
        self.scan: Scan = json_lines.scan(self.data, self.names, array_as)
        if len(self.scan.line) != len(record) or (len(record) and self.scan.line[-1] != len(record) - 1):
            raise ValueError("every record must be one line that is not blank")

    def kind(self, name: str) -> NDArray[np.uint8]:
        """What the member is in each row: one of the kinds of `kernels.json_lines`."""
        return self.scan.kind[:, self.names.index(name)]

    def there(self, name: str) -> pl.Series:
        """Rows that have the member, and not as null."""
        import polars as pl

        from curate.kernels.json_lines import ABSENT, NULL

        return pl.Series(name, (self.kind(name) != ABSENT) & (self.kind(name) != NULL))

    def strings(self, name: str) -> pl.Series:
        """The member where it is a string, else null."""
        from curate.io.jsonl import series
        from curate.kernels import json_lines

        return series(*json_lines.strings(self.data, self.scan, self.names.index(name))).rename(name)

    def raw(self, name: str) -> pl.Series:
        """The member as it is written; null where there is none."""
        from curate.io.jsonl import series
        from curate.kernels import json_lines

        return series(*json_lines.raw(self.data, self.scan, self.names.index(name))).rename(name)

    def literals(self, start: NDArray[np.int64], end: NDArray[np.int64], ok: NDArray[np.bool_]) -> pl.Series:
        """The string literals that stand at spans of `data`, unescaped; null where not `ok`."""
        import numpy as np

        from curate.io.jsonl import series
        from curate.kernels.json_scan import take_strings

        offsets = np.zeros(len(ok) + 1, np.int64)
        text = np.empty(int(np.sum((end - start)[ok])), np.uint8)
        take_strings(self.data, start, end, ok, offsets, text)
        return series(offsets, text[: offsets[-1]], ok)

    def rest(self) -> pl.Series:
        """All other members as they are written, without braces; empty where there is none."""
        from curate.io.jsonl import series

        return series(self.scan.rest_offsets, self.scan.rest)


def has_half(text: pl.Series) -> pl.Series:
    """JSON text with half of a surrogate pair in it (`\\ud800`): a string that no UTF-8 can hold."""
    half = text.str.contains(_HALF).fill_null(False)
    return text.str.replace_all(_WHOLE, " ").str.contains(_HALF).fill_null(False) if half.any() else half


def decode(text: pl.Series, dtype: pl.DataType) -> pl.Series:
    """JSON text as `dtype`. A row of another shape is null; numbers where text belongs become their JSON text.

    O(bytes) for rows of the right shape; each row of a wrong one costs O(log rows) calls more, as polars gives up on a column
    whole and the rows at fault are found by halving.
    """
    import polars as pl

    # polars would read half a surrogate pair as U+0000.
    text = text.set(has_half(text), None)
    try:
        value = text.str.json_decode(dtype)
        # A blank text gives no row.
        if len(value) == len(text):
            return value
    except pl.exceptions.ComputeError:
        pass
    if len(text) == 1:
        return pl.Series(text.name, [None], dtype=dtype)
    middle = len(text) // 2
    return pl.concat([decode(text[:middle], dtype), decode(text[middle:], dtype)])


def frame_of(record: pl.Series, texts: Sequence[str], nested: Mapping[str, pl.DataType] | None = None) -> pl.DataFrame:
    """The members called `texts` as strings, those of `nested` decoded, and `read`: whether all are what they should be.

    A member may be absent or null. One that is in both may be either; its decoded form is the column `<name>_nested`.
    """
    import numpy as np
    import polars as pl

    from curate.kernels import json_lines as json

    nested = nested or {}
    members = Members(record, tuple(dict.fromkeys((*texts, *nested))))
    columns = [members.strings(name) for name in texts]
    read = np.asarray(members.scan.error) == 0
    for name in members.names:
        kinds = [json.ABSENT, json.NULL]
        kinds += [json.STRING] if name in texts else []
        kinds += [json.ARRAY, json.OBJECT] if name in nested else []
        read &= np.isin(members.kind(name), kinds)
    for name, dtype in nested.items():
        deep = np.isin(members.kind(name), [json.ARRAY, json.OBJECT])
        value = decode(members.raw(name).set(pl.Series(~deep), None), dtype)
        read &= ~deep | value.is_not_null().to_numpy()
        columns.append(value.rename(f"{name}_nested" if name in texts else name))
    return pl.DataFrame([*columns, pl.Series("read", read)])
