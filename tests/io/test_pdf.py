"""PDF files: reading order, paragraphs, what repeats, what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.io import pdf
from curate.io.pdf_layout import Words, lines_of, text_of
from curate.io.sandbox import Sandbox
from tests.io.pdfs import Put, column, file_of, pdf_of
from tests.reading import read_all

LEFT = [
    "The rain that falls upon the hills runs down",
    "into the brooks, and the brooks run into the",
    "rivers, which carry it through the plains and",
    "past the towns until it comes to the estuary.",
]
RIGHT = [
    "Where the water is salt the river ends, but its",
    "sediment goes on, and settles on the bed of the",
    "sea. There it lies in layers that tell those who",
    "drill for them what the weather was like before.",
]


def text(tmp_path: Path, *pages: list[Put], extra: str = "") -> str:
    (tmp_path / "a.pdf").write_bytes(pdf_of(*pages, extra=extra))
    found = read_all(tmp_path / "a.pdf")
    assert found.rejects == []
    made: str = found.rows[0]["text"]
    return made


def test_columns_are_read_one_after_the_other(tmp_path: Path) -> None:
    title = Put(72, 750, "On Rivers and on the Sea That They Run Into, a Treatise", 16)
    # Row by row, as many programs write them.
    rows = [put for pair in zip(column(LEFT), column(RIGHT, x=320), strict=True) for put in pair]
    foot = Put(72, 600, "This remark stands below both columns and is as wide as the two of them are together, so it seems.")
    wanted = f"{title.text}\n\n{' '.join(LEFT)}\n\n{' '.join(RIGHT)}\n\n{foot.text}"
    assert text(tmp_path, [title, *rows, foot]) == wanted


def test_three_columns_and_a_figure_that_parts_them(tmp_path: Path) -> None:
    def three(top: float) -> list[Put]:
        texts = [[f"{name} {line} of the text" for line in range(4)] for name in ("left", "middle", "right")]
        found = [column(lines, x=72 + 170 * i, top=top) for i, lines in enumerate(texts)]
        return [put for row in zip(*found, strict=True) for put in row]

    wide = Put(72, 600, "Figure 1: what this line says is above the columns below it and below those that are above it")
    made = text(tmp_path, [*three(700), wide, *three(560)])
    once = "\n\n".join(" ".join(f"{name} {line} of the text" for line in range(4)) for name in ("left", "middle", "right"))
    words = f"{once}\n\n{wide.text}\n\n{once}".split()
    assert made.split() == words


def test_tables_are_read_by_rows(tmp_path: Path) -> None:
    rows = [
        ("Nile", "6650 km", "Africa"),
        ("Amazon", "6400 km", "America"),
        ("Yangtze", "6300 km", "Asia"),
        ("Ob", "5410 km", "Asia"),
    ]
    puts = [Put(72 + 150 * j, 700 - 14 * i, cell) for i, row in enumerate(rows) for j, cell in enumerate(row)]
    assert text(tmp_path, puts) == "\n".join(" ".join(row) for row in rows)


def test_paragraphs_are_told_by_blanks_indents_sizes_and_ends(tmp_path: Path) -> None:
    lines = [
        *LEFT,
        "",
        *RIGHT,
        "  An indent begins another paragraph, as in",
        "most books, and this one ends early.",
        "The next has neither an indent nor a blank, but",
        "the one before it ends in the middle of its line.",
    ]
    made = text(tmp_path, [Put(72, 720, "A heading", 18), *column(lines)])
    assert made.split("\n\n") == [
        "A heading",
        " ".join(LEFT),
        " ".join(RIGHT),
        "An indent begins another paragraph, as in most books, and this one ends early.",
        " ".join(lines[-2:]),
    ]


def test_items_stand_on_lines_of_their_own(tmp_path: Path) -> None:
    made = text(tmp_path, [*column(["There are three:", "1. brooks,", "2. rivers that run to the", "sea, and", "3. lakes."])])
    assert made == "There are three:\n1. brooks,\n2. rivers that run to the sea, and\n3. lakes."


def test_words_broken_at_line_ends_are_mended(tmp_path: Path) -> None:
    lines = [
        "A well-known river is an exam-",
        "ple of what is known as a well-",
        "known one, in the years 1990-",
        "2000, and of the North-",
        "South divide.",
    ]
    assert text(tmp_path, column(lines)) == (
        "A well-known river is an example of what is known as a well-known one, in the years 1990- 2000, and of the North- "
        "South divide."
    )


def test_sentences_go_on_over_columns_and_pages(tmp_path: Path) -> None:
    first = column([*LEFT[:3], "past the towns and at the end of its long jour-"])
    second = column(["ney it meets the sea. And there it stays.", *RIGHT])
    made = text(tmp_path, first, second)
    assert "at the end of its long journey it meets the sea." in made
    assert text(tmp_path, column(LEFT), column(RIGHT)) == f"{' '.join(LEFT)}\n\n{' '.join(RIGHT)}"


def test_headers_footers_and_page_numbers_go(tmp_path: Path) -> None:
    pages = []
    for number in range(1, 9):
        head = Put(72, 760, "Annals of Rivers, 1921") if number % 2 else Put(300, 760, "M. Writer: On Rivers")
        foot = Put(300, 30, f"Page {number} of 8") if number > 1 else Put(300, 30, "Received in March")
        body = column([f"{'abcdefgh'[number - 1]} {LEFT[0]}", *LEFT[1:], f"of {'abcdefgh'[number - 1]}."], top=700 - number)
        pages.append([head, *body, foot, Put(500, 30, "xiv" if number == 3 else str(number))])
    made = text(tmp_path, *pages)
    assert "Annals" not in made
    assert "Writer" not in made
    assert "of 8" not in made
    assert "xiv" not in made
    assert "Received in March" in made
    assert made.count(LEFT[1]) == 8, "lines that repeat within pages stay"


def test_headers_of_chapters_and_numbers_on_some_pages_go(tmp_path: Path) -> None:
    pages = []
    for number in range(20):
        first = number % 5 == 0
        head = (
            []
            if first
            else [Put(72, 760, f"Chapter {number // 5}: {'BCDE'[number // 5]}rooks"), Put(500, 760, str(number + 3))]
        )
        foot = [Put(300, 30, str(number + 3))] if first else []
        pages.append([*head, *column([f"{'abcdefghijklmnopqrst'[number]} {line}" for line in LEFT]), *foot])
    made = text(tmp_path, *pages)
    assert "uilding" not in made
    assert not any(sign.isdecimal() for sign in made)


def test_two_pages_are_too_few_to_tell_a_header(tmp_path: Path) -> None:
    page = [Put(72, 760, "Annals"), *column(LEFT)]
    assert text(tmp_path, page, page).count("Annals") == 2


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_text_that_is_turned_is_read_in_its_own_order(tmp_path: Path, turn: int) -> None:
    x, y, dx, dy = {1: (100, 100, 12, 0), 2: (500, 100, 0, 12), 3: (500, 600, -12, 0)}[turn]
    turned = [Put(x + i * dx, y + i * dy, line, turn=turn) for i, line in enumerate(LEFT)]
    assert text(tmp_path, turned) == " ".join(LEFT)
    stamp = Put(30, 200, "arXiv of a day in May", turn=1)
    assert text(tmp_path, [stamp, *column(LEFT)]) == f"{' '.join(LEFT)}\n\n{stamp.text}"


def test_pages_without_text(tmp_path: Path) -> None:
    assert text(tmp_path, [], column(["Alone"]), []) == "Alone"
    assert text(tmp_path, []) == ""


def test_ligatures_become_letters() -> None:
    boxes = [0, 30, 70], [0, 0, 0], [20, 60, 80], [10, 10, 10], [2, 2, 2]
    words = Words(["ﬁne", "eﬄuent", "a\u00ad"], *(np.array(values, np.float64) for values in boxes))
    assert text_of([lines_of(words)]) == "fine effluent a-"


def rejected(tmp_path: Path, content: bytes) -> str:
    (tmp_path / "a.pdf").write_bytes(content)
    found = read_all(tmp_path / "a.pdf")
    assert found.rows == []
    (reject,) = found.rejects
    assert reject.file == "a.pdf"
    return reject.error


def test_what_is_no_pdf_is_rejected_and_says_why(tmp_path: Path) -> None:
    assert rejected(tmp_path, b"%PDF-1.4\nnonsense").startswith("not a readable PDF: ")
    assert rejected(tmp_path, b"").startswith("not a readable PDF: ")
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"]
    key = b"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <" + b"42" * 32 + b"> /U <" + b"43" * 32 + b"> >>"
    assert rejected(tmp_path, file_of(objects, key)) == "not a readable PDF: it is encrypted with a password"


@pytest.fixture
def small_box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Limits that are met soon."""
    box = Sandbox(pdf.reader, "{}", 0.5, 128 << 20)
    monkeypatch.setattr(pdf, "sandbox", lambda *_: box)
    yield box
    box.close()


def test_hostile_files_stop_nothing(tmp_path: Path, small_box: Sandbox) -> None:
    catalog = b"<< /Type /Catalog /Pages 2 0 R >>"
    endless = [catalog, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000 >>"]
    deep = [*endless, b"<< /A " * 100_000 + b"1" + b" >>" * 100_000]
    form = b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /X 4 0 R >> >> /Length 12 >>"
    itself = [
        catalog,
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << /XObject << /X 4 0 R >> >> >>",
        form + b"\nstream\n/X Do /X Do \nendstream",
    ]
    for name, objects in (("deep", deep), ("endless", endless), ("itself", itself)):
        (tmp_path / f"{name}.pdf").write_bytes(file_of(objects))
    (tmp_path / "long.pdf").write_bytes(pdf_of(*[column(LEFT * 15)] * 500))
    (tmp_path / "z.pdf").write_bytes(pdf_of(column(["Last"])))
    found = read_all(tmp_path)
    assert [row["text"] for row in found.rows] == ["Last"]
    assert {reject.file: reject.error.partition(":")[0] for reject in found.rejects if reject.file != "itself.pdf"} == {
        "deep.pdf": "not a readable PDF",
        "endless.pdf": "not a readable PDF",
        "long.pdf": "the PDF takes too long to read",
    }
    (error,) = [reject.error for reject in found.rejects if reject.file == "itself.pdf"]
    assert error.startswith("the PDF takes too "), "too long or too much memory, which of them depends on the machine"


@settings(max_examples=200)
@given(st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 2, st.floats(0, 500), st.floats(0, 100)), max_size=40))
def test_every_word_is_there_once_wherever_it_stands(boxes: list[tuple[float, float, float, float]]) -> None:
    box = np.array(boxes, np.float64).reshape(-1, 4)
    text = [f"w{i}x" for i in range(len(boxes))]
    lines = lines_of(Words(text, box[:, 0], box[:, 1], box[:, 0] + box[:, 2], box[:, 1] + box[:, 3], box[:, 1]))
    assert sorted(word for line in lines for word in line.text.split()) == sorted(text)
    assert sorted(text_of([lines]).split()) == sorted(text)
