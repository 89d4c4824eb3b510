"""PDF files written by hand: lines of Helvetica where one puts them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Put", "column", "file_of", "pdf_of"]


class Put(NamedTuple):
    """A line of text; x, y: where it begins, in points from the lower left corner; turn: quarters leftwards."""

    x: float
    y: float
    text: str
    size: float = 10
    turn: int = 0

    def drawn(self) -> bytes:
        a, b, c, d = ((1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0))[self.turn]
        text = self.text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        return f"BT /F1 {self.size} Tf {a} {b} {c} {d} {self.x} {self.y} Tm ({text}) Tj ET\n".encode("cp1252")


def column(lines: list[str], x: float = 72, top: float = 700, pitch: float = 12, size: float = 10) -> list[Put]:
    """Lines one below the other; an empty one leaves a blank, leading spaces an indent."""
    return [
        Put(x + 5 * (len(line) - len(line.lstrip())), top - i * pitch, line.strip(), size)
        for i, line in enumerate(lines)
        if line
    ]


def pdf_of(*pages: list[Put], extra: str = "") -> bytes:
    """A file of pages of 612 x 792 points. extra: entries of each page."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    for i, puts in enumerate(pages):
        content = b"".join(put.drawn() for put in puts)
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R {extra}"
        objects.append(f"{page} /Resources << /Font << /F1 3 0 R >> >> >>".encode())
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    return file_of(objects)


def file_of(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A file of numbered objects, the first of which is the catalog."""
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + b"".join(b"%010d 00000 n \n" % p for p in places)
    size = len(objects) + 1
    return out + b"trailer\n<< /Size %d /Root 1 0 R %b >>\nstartxref\n%d\n%%%%EOF\n" % (size, trailer, table)
