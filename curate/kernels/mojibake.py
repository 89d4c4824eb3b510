"""Which documents may hold text that was decoded wrongly, so that the slow repair runs on those alone."""

# mypy: disable-error-code="untyped-decorator"
from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from curate.kernels.columns import frozen

__all__ = ["needs_repair"]

# Classes of the characters that UTF-8 turns into when it is read as a single-byte encoding (latin-1, windows-125x,
# MacRoman, cp437), and which class is suspicious after which. Together they cover every match of the `badness`
# expression of ftfy 6.3, which decides there whether an encoding is repaired at all; a test holds that they do.
_CLASSES = {
    "latin": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "space": " ",
    "letter": "Þ" + "".join(map(chr, (*range(0x386, 0x3D0), *range(0x400, 0x460)))),
    "upper": "ÀÁÄÅÆÇÈÉÊËÌÍÏÑÒÓÔÕÖÚÛÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŘŚŞŠŢŤŮŰŸŹŻŽҐŐŌŪŲ",
    "lower": "ßàáâãäåæçèéêëìíîïðñòóôõöøùúûüăąāćčďđęěēėğģįīķĺľłļńňņŕśşšťźżžґ\ufb01\ufb02",
    "lead": "ÂÃÎÐØÙ",
    "capital": "βВГРСΒΓΞΟ",
    "ligature": "Œœ",
    "common": "\xa0\xad·´–—―…’",
    "bad": "¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\ufffdªº√‚Ђ",
    "law": "¶§",
    "number": "¢£¥₧€²³¹±¼½¾×µ÷⁄∂∆∏∑∞∩∫≈≠≡≤≥№°",
    "open": "¡«¿©΄΅‘“„•‹\uf8ff",
    "close": "®»˝”›™",
    "box": "│┌┐┘├┤┬┼▀▄█▌▐░▒▓" + "".join(map(chr, range(0x2550, 0x256D))),
}
_AFTER = {
    "letter": "upper lead ligature bad",
    "upper": "bad number law open close box",
    "lower": "upper lead ligature bad number open close box",
    "lead": "space upper lower lead ligature common bad law number open close box",
    "capital": "upper lead ligature bad number open close",
    "ligature": "other space letter upper lower lead capital ligature common bad law number open close box",
    "bad": "upper lower lead ligature common bad law number open close box",
    "law": "bad box",
    "number": "upper lower lead ligature bad number open box",
    "open": "bad box",
    "close": "upper lower lead ligature bad number open box",
    "box": "upper lower lead ligature bad law number open close",
}
_ESCAPE, _AMPERSAND, _HASH, _SEMICOLON = 0x1B, 0x26, 0x23, 0x3B
_ENTITY = 24  # longest name of a character reference that ftfy looks for


def needs_repair(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """bool[n]: whether a document may hold mojibake, an HTML entity or a terminal escape.

    False is a promise: `ftfy.fix_text` gives back the same text with `uncurl_quotes`, `fix_latin_ligatures`,
    `fix_character_width`, `fix_line_breaks` and `remove_control_chars` off and `normalization=None` (these are matters
    of style, not of repair). True is a suspicion: a C1 control character, two neighbouring characters that often
    come from UTF-8 read as a single-byte encoding, `&name;`, or ESC. O(bytes); a table of 64 KB.
    """
    classes, pairs = _tables()
    out = np.zeros(len(offsets) - 1, np.bool_)
    _needs(frozen(offsets, np.int64), frozen(data, np.uint8), classes, pairs, out)
    return out


@functools.cache
def _tables() -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Class of each code point below 2^16 (0: any other), and the suspicious pairs of classes."""
    names = ["other", *_CLASSES]
    classes = np.zeros(0x10000, np.uint8)
    for number, chars in enumerate(_CLASSES.values(), 1):
        classes[[ord(char) for char in chars]] = number
    pairs = np.zeros((len(names), len(names)), np.bool_)
    for first, seconds in _AFTER.items():
        pairs[names.index(first), [names.index(second) for second in seconds.split()]] = True
    return frozen(classes, np.uint8), frozen(pairs, np.bool_)


@njit(cache=True, nogil=True)
def _entity(data: Any, i: int, stop: int) -> bool:
    """Whether `&` at byte i starts a character reference: `&`, perhaps `#`, up to 24 ASCII letters or digits, `;`."""
    i += 2 if i + 1 < stop and data[i + 1] == _HASH else 1
    for k in range(i, min(i + _ENTITY + 1, stop)):
        b = data[k]
        if b == _SEMICOLON:
            return k > i
        if not (0x30 <= b <= 0x39 or 0x41 <= (b & 0xDF) <= 0x5A):
            return False
    return False


@njit(cache=True, nogil=True)
def _needs(offsets: Any, data: Any, classes: Any, pairs: Any, out: Any) -> None:
    for d in range(len(out)):
        i, stop, before = offsets[d], offsets[d + 1], 0
        while i < stop:
            b = np.int64(data[i])
            if b < 0x80:
                kind = classes[b]
                if b == _ESCAPE or (b == _AMPERSAND and _entity(data, i, stop)):
                    out[d] = True
                    break
                i += 1
            elif b < 0xF0:
                code = (b & 0x1F) << 6 | (np.int64(data[i + 1]) & 0x3F)
                i += 2
                if b >= 0xE0:
                    code = (code << 6 | (np.int64(data[i]) & 0x3F)) & 0xFFFF
                    i += 1
                elif code < 0xA0:
                    out[d] = True
                    break
                kind = classes[code]
            else:
                kind = np.uint8(0)
                i += 4
            if pairs[before, kind]:
                out[d] = True
                break
            before = kind
