"""PDF files as the text of their pages, read by pypdfium2 in a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

from curate.io.files import Source
from curate.io.pdf_layout import HYPHEN, Words, lines_of, text_of
from curate.io.rows import Chunk, Reject, frame_of
from curate.io.sandbox import Fields, sandbox

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from curate.io.pdf_layout import Line

__all__ = ["pdf", "reader"]

SECONDS = 120.0
"""Processor time that a file may take: about 7,000 pages of 16 ms."""

MEMORY = 1 << 30
"""Bytes that reading a file may take."""

MAX_BYTES = 1 << 30
"""Bytes that a file may have."""

HYPHENS = frozenset((0x02, 0xFFFE))
"""What PDFium writes for a hyphen with which a line ends within a word."""

BREAKS = HYPHENS | {0xA0, 0x2028, 0x2029, 0xFFFF}

TROUBLES = {
    "timed_out": "the PDF takes too long to read",
    "out_of_memory": "the PDF takes too much memory to read",
    "crashed": "the PDF crashes its reader",
}


def pdf(source: Source, handle: IO[bytes]) -> Iterator[Chunk]:
    """A PDF: one row, its text in reading order, paragraphs with a blank line between (see `pdf_layout`).

    Headers, footers and page numbers that repeat are left out. Scanned pages have no text. One that is encrypted, damaged, or
    takes more than SECONDS or MEMORY, is rejected with the reason.
    """
    try:
        data = handle.read(MAX_BYTES + 1)
    except OSError as error:
        yield _reject(source, f"not a readable PDF: {error}")
        return
    if len(data) > MAX_BYTES:
        yield _reject(source, f"not a readable PDF: larger than {MAX_BYTES:,} bytes")
        return
    (answer,) = sandbox(reader, "{}", SECONDS, MEMORY).run([(data,)])
    if answer.trouble is not None:
        yield _reject(source, f"{TROUBLES[answer.trouble]}: {answer.detail}")
        return
    text, wrong = answer.fields
    if text is None:
        yield _reject(source, f"not a readable PDF: {(wrong or b'').decode()}")
        return
    yield Chunk(frame_of({"id": [source.name], "text": [text.decode()]}), bytes=len(data))


def _reject(source: Source, error: str) -> Chunk:
    return Chunk(frame_of({"id": []}), [Reject(source.name, 1, error, "")])


def reader() -> Callable[[Fields], Fields]:
    """The work of the sandbox: (PDF) -> (text, None), or (None, what is wrong)."""
    import pypdfium2

    def work(document: Fields) -> Fields:
        place = ""
        try:
            pdf = pypdfium2.PdfDocument(document[0] or b"")
            pages = []
            for number in range(len(pdf)):
                place = f"page {number + 1}: "
                pages.append(_lines(pdf[number]))
        except pypdfium2.PdfiumError as error:
            code = getattr(error, "err_code", None)
            why = "it is encrypted with a password" if code == pypdfium2.raw.FPDF_ERR_PASSWORD else str(error)
            return None, f"{place}{why}".encode()
        return text_of(pages).encode("utf-8", "replace"), None

    return work


def _lines(page: Any) -> list[Line]:
    """The lines of a page in reading order: of the direction that most of its words have first, then of the others."""
    import numpy as np

    textpage = page.get_textpage()
    text, box, turn = _words(textpage)
    textpage.close()
    page.close()
    lines: list[Line] = []
    for quarter in np.argsort(-np.bincount(turn, minlength=4), kind="stable"):
        which = turn == quarter
        own = [word for word, there in zip(text, which.tolist(), strict=True) if there]
        some = lines_of(Words(own, *_turned(box[which], int(quarter))))
        first = lines[-1].column + 1 if lines else 0
        lines += [line._replace(column=line.column + first) for line in some]
    return lines


def _words(textpage: Any) -> tuple[list[str], NDArray[np.float64], NDArray[np.int64]]:
    """The words of a page; their boxes (left, bottom, right, top) and where their first letters stand (x, y); their turns.

    A word is what stands between blanks, or before and after a break within a word. Its box is that of its first and last
    character, as high as their font: a call for every character would take as long as all the rest. Turns are the quarters
    by which it runs rightwards of level.
    """
    import ctypes

    import numpy as np
    from pypdfium2 import raw

    count = textpage.count_chars()
    codes = [raw.FPDFText_GetUnicode(textpage, i) for i in range(count)]
    text: list[str] = []
    boxes: list[tuple[float, ...]] = []
    turns: list[int] = []
    rect, x, y = raw.FS_RECTF(), ctypes.c_double(), ctypes.c_double()
    place = 0
    while place < count:
        begin = place
        while place < count and codes[place] > 32 and codes[place] not in BREAKS:
            place += 1
        if place > begin:
            corners = []
            for i in (begin, place - 1):
                raw.FPDFText_GetLooseCharBox(textpage, i, ctypes.byref(rect))
                corners.append((rect.left, rect.bottom, rect.right, rect.top))
            first, last = corners
            raw.FPDFText_GetCharOrigin(textpage, begin, ctypes.byref(x), ctypes.byref(y))
            low, high = map(min, first, last), map(max, first, last)
            boxes.append((*islice(low, 2), *islice(high, 2, None), x.value, y.value))
            word = "".join(map(_character, codes[begin:place]))
            word = word[:-1].replace(HYPHEN, "") + word[-1]
            text.append(word + HYPHEN if place < count and codes[place] in HYPHENS else word)
            turns.append(round(raw.FPDFText_GetCharAngle(textpage, begin) / (np.pi / 2)) % 4)
        place += 1
    return text, np.array(boxes, np.float64).reshape(-1, 6), np.array(turns, np.int64)


def _character(code: int) -> str:
    """The character, where there is one."""
    return chr(code) if code < 0xD800 or 0xE000 <= code < 0x110000 else "\ufffd"


def _turned(box: NDArray[np.float64], quarter: int) -> tuple[NDArray[np.float64], ...]:
    """Boxes turned back by so many quarters, so that words are level: left, bottom, right, top, what they stand on."""
    x0, y0, x1, y1, x, y = box.T
    match quarter:
        case 1:
            return -y1, x0, -y0, x1, x
        case 2:
            return -x1, -y1, -x0, -y0, -y
        case 3:
            return y0, -x1, y1, -x0, -x
        case _:
            return x0, y0, x1, y1, y
