"""Sets of characters by code point, and the two-stage tables through which kernels look characters up."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from curate.kernels.columns import frozen

__all__ = ["LINE_ENDS", "PLANES", "SYMBOLS", "among", "categories", "codes", "ranges", "two_stage"]

PLANES = (range(0x40000), range(0xE0000, 0xE1000))
"""Where characters are. Unassigned planes hold none; a test holds that this is so for the running Unicode version."""

# TERMINAL_PUNCTUATION of datatrove 0.10 (`utils/text.py`), what ends a line in FineWeb's rules: nearly Unicode's
# Sentence_Terminal.
_LINE_ENDS = """
21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e 1735-1736 17d4-17d6 17d9-17da
1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b 1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002
a4ff a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52 fe56-fe57 ff01 ff0e ff1f ff61
10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6 111cd 111de-111df 11238-11239
1123b-1123c 112a9 1144b-1144c 115c2-115c3 115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c
11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88
"""
# PUNCTUATION_SET of datatrove 0.10 is these and the line ends: a token made of nothing else is a symbol, not a word.
_SYMBOLS = """
0-8 b-1f 21-2f 3a-40 5b-60 7b-9f ab b4 bb 2013-2014 2019 201c-201e 2026 2236 2501 25ba 3001-3002 3008-300d 3010-3011 ff05
ff08-ff09 ff0c ff11 ff1a-ff1b ff5e
"""


def ranges(text: str) -> list[int]:
    """The code points of hexadecimal numbers and ranges (`21 2e-2f`)."""
    found: list[int] = []
    for part in text.split():
        first, _, last = part.partition("-")
        found.extend(range(int(first, 16), int(last or first, 16) + 1))
    return found


LINE_ENDS = "".join(map(chr, ranges(_LINE_ENDS)))
"""The characters that end a sentence at the end of a line, as datatrove 0.10 has them; of ASCII these are `!.?`."""
SYMBOLS = "".join(map(chr, ranges(_SYMBOLS))) + LINE_ENDS
"""The characters that datatrove 0.10 takes for punctuation: ASCII's, controls, some of other scripts."""


@functools.cache
def codes() -> npt.NDArray[np.int64]:
    """int64[n]: every code point of `PLANES`, in order."""
    return np.concatenate([np.arange(plane.start, plane.stop) for plane in PLANES])


@functools.cache
def categories() -> npt.NDArray[np.bytes_]:
    """S2[n]: Unicode's general category of each of `codes`: a quarter million calls of unicodedata, 0.05 s."""
    kinds = [unicodedata.category(chr(code)) for code in codes().tolist()]
    return np.frombuffer("".join(kinds).encode(), "S2")


def among(chars: Iterable[str]) -> npt.NDArray[np.bool_]:
    """bool[n]: which of `codes` are among the characters."""
    return np.isin(codes(), [ord(char) for char in chars])


def two_stage(values: npt.NDArray[Any], other: int) -> tuple[npt.NDArray[np.uint16], npt.NDArray[Any]]:
    """Values of `codes` as a table of all code points: `blocks[index[code >> 8] << 8 | code & 255]`; `other` off the planes."""
    blocks = {np.full(256, other, values.dtype).tobytes(): 0}
    index = np.zeros(0x1100, np.uint16)
    for i, first in enumerate(codes()[::256].tolist()):
        index[first >> 8] = blocks.setdefault(values[i * 256 : (i + 1) * 256].tobytes(), len(blocks))
    return frozen(index, np.uint16), frozen(np.frombuffer(b"".join(blocks), values.dtype), values.dtype.type)
