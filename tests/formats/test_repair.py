import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.formats.repair import fix_file, fix_line, look

ROWS = [{"text": "a, b}", "n": None}, {"text": 'it\'s "so"', "more": [1, True]}]


@pytest.mark.parametrize(
    ("line", "rows", "repairs"),
    [
        ('{"a": 1,}', ['{"a": 1}'], ["trailing_comma"]),
        ('{"a": [1, 2, ], }', ['{"a": [1, 2 ] }'], ["trailing_comma"]),
        ('{"a": ",}"},', ['{"a": ",}"}'], ["trailing_comma"]),
        ("{'a': None, 'b': \"it's\"}", ['{"a": null, "b": "it\'s"}'], ["python_literal"]),
        ("[{'role': 'user', 'content': True}]", ['[{"role": "user", "content": true}]'], ["python_literal"]),
        ('{"a": "b\tc\x1b"}', ['{"a": "b\\u0009c\\u001b"}'], ["control_character"]),
        ('{"a": 1}{"b": 2}', ['{"a": 1}', '{"b": 2}'], ["concatenated"]),
        ('{"a": 1}, {"b": 2},', ['{"a": 1}', '{"b": 2}'], ["concatenated", "trailing_comma"]),
    ],
)
def test_a_line_with_one_right_repair(line, rows, repairs):
    assert fix_line(line) == (rows, repairs)


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1',
        '{"a": "b" "c"}',
        "{'a': 'b' 'c'}",
        '{"a": NaN}',
        "{'a': {1, 2}}",
        "{'a': 1j}",
        "{1: 2}",
        '{"a" 1}',
        '{a: "b"}',
        '{"a": 1} x',
        "words",
        '"a"',
        "[" * 5000,
        "{'a': '\\ud800'}",
        "",
    ],
)
def test_a_line_that_could_mean_several_things_is_left(line):
    assert fix_line(line) is None


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab'\"\\,}]:", max_size=3), inner, max_size=3),
    max_leaves=8,
)
objects = st.lists(st.dictionaries(st.text("ab'\"\\,}]{:", max_size=3), values, min_size=1, max_size=3), min_size=1, max_size=4)


@settings(deadline=None, max_examples=150)
@given(objects, st.booleans())
def test_a_line_becomes_what_its_writer_meant(rows, ascii):
    for row in rows:
        text = json.dumps(row, ensure_ascii=ascii)
        fixed = fix_line(text + ",")
        assert fixed is not None
        assert [json.loads(one) for one in fixed[0]] == [row]
        if (fixed := fix_line(repr(row))) is not None:
            assert [json.loads(one) for one in fixed[0]] == [row]
    fixed = fix_line(" ".join(json.dumps(row, ensure_ascii=ascii) for row in rows))
    assert fixed is not None
    assert [json.loads(one) for one in fixed[0]] == rows


def write(folder: Path, data: str | bytes) -> str:
    path = folder / "in.jsonl"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def fixed(folder: Path, data: str | bytes) -> tuple[list[object], dict[str, int], int]:
    out = folder / "out.jsonl"
    done = fix_file(write(folder, data), out)
    lines = out.read_text(encoding="utf-8").splitlines()
    assert done.rows == len(lines)
    log = [json.loads(line) for line in (folder / "out.jsonl.repairs.jsonl").read_text().splitlines()]
    assert sum("left" in entry for entry in log) == done.left
    return [json.loads(line) for line in lines], dict(done.done), done.left


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    ("data", "repairs"),
    [
        (LINES, {}),
        (LINES.rstrip("\n"), {}),
        ("\n" + LINES + "\n\n", {}),
        ("\ufeff" + LINES, {"byte_order_mark": 1}),
        (LINES.replace("\n", "\r\n"), {"crlf": 2}),
        (json.dumps(ROWS), {"json_array": 1}),
        (json.dumps(ROWS, indent=2), {"json_array": 1}),
        ("\ufeff" + json.dumps(ROWS, indent="\t"), {"byte_order_mark": 1, "json_array": 1}),
        (json.dumps(ROWS, indent=2).replace("\n  }", ",\n  }"), {"json_array": 1, "trailing_comma": 2}),
        (json.dumps(ROWS, indent=2)[:-1], {"json_array": 1}),
        ("\n".join(json.dumps(row, indent=2) for row in ROWS), {"pretty_printed": 1}),
        ("".join(json.dumps(row) for row in ROWS), {"concatenated": 1}),
        ("\n".join(map(repr, ROWS)), {"python_literal": 2}),
        (repr(ROWS), {"json_array": 1, "python_literal": 2}),
        (LINES.encode("utf-16"), {"not_utf8": 1}),
        (LINES.encode("utf-16-be"), {"not_utf8": 1}),
        (LINES.encode("utf-32"), {"not_utf8": 1}),
        (json.dumps(ROWS, indent=1).encode("utf-16"), {"not_utf8": 1}),
    ],
)
def test_a_file_of_another_layout(tmp_path, data, repairs):
    assert fixed(tmp_path, data) == (ROWS, repairs, 0)


def test_raw_line_breaks_in_a_pretty_printed_row_stay_line_breaks(tmp_path):
    assert fixed(tmp_path, '{\n "text": "a\nb\r\nc",\n "n": 1\n}\n') == (
        [{"text": "a\nb\nc", "n": 1}],
        {"crlf": 1, "pretty_printed": 1, "raw_line_break": 2},
        0,
    )


def test_rows_that_need_nothing_keep_their_bytes(tmp_path):
    odd = '{"text":  "\\u00e9 \u0301e",  "n": 1.50, "n": 1E5}'
    fix_file(write(tmp_path, odd + "\n" + '{"a": 1,}\n'), tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text(encoding="utf-8") == odd + '\n{"a": 1}\n'


def test_what_cannot_be_repaired_is_written_as_it_is(tmp_path):
    data = b'{"a": 1}\n{"a": "\xff"}\n{"a": \n{"b": 2}\n'
    done = fix_file(write(tmp_path, data), tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == data.replace(b'{"a": \n', b'{"a": \n')
    assert (done.lines, done.rows, done.left) == (4, 4, 2)
    assert [entry["line"] for entry in done.log] == [2, 3]


def chat(*turns):
    return [{"role": role, "content": content} for role, content in turns]


def test_turns_that_say_nothing_go_where_there_is_one_way(tmp_path):
    good = chat(("user", "a"), ("assistant", "b"))
    rows = [
        [*good, *chat(("user", " \n"))],
        {"messages": [*chat(("system", "")), *good], "n": 1},
        [*good, *chat(("user", ""), ("assistant", "c"))],
        chat(("user", "a"), ("assistant", " ")),
    ]
    data = "".join(json.dumps(row) + "\n" for row in rows)
    assert fixed(tmp_path, data) == ([good, {"messages": good, "n": 1}, *rows[2:]], {"empty_content": 2}, 0)


@pytest.mark.parametrize(
    ("data", "problems", "encoding"),
    [
        (LINES.encode(), set(), "utf-8"),
        (b"", set(), "utf-8"),
        (b'[{"role": "user", "content": "a"}]\n' * 2, set(), "utf-8"),
        (b'[{"role": "user", "content": "a"}]', set(), "utf-8"),
        (b'[{"text": "a"}]', {"json_array"}, "utf-8"),
        (b'[\n{"text": "a"}\n]', {"json_array"}, "utf-8"),
        (b'[\n {\n  "role": "user",', {"pretty_printed"}, "utf-8"),
        (b'{\n "text": "a"\n}', {"pretty_printed"}, "utf-8"),
        (b'{"text": "a\n{"text": "b"}\n', set(), "utf-8"),
        (b'{"text": 5\r\n', {"crlf"}, "utf-8"),
        ('{"text": "\u65e5\u672c\u8a9e"}\n'.encode("cp932") * 3, {"not_utf8"}, "cp932?"),
        ('{"text": "\u00e9"}\n'.encode() * 3 + b'{"text": "\xe9"}\n', set(), "utf-8"),
        (b'{"text": "one byte \xff"}\n', set(), "utf-8"),
        (LINES.encode("utf-16-le"), {"not_utf8"}, "utf-16-le"),
    ],
)
def test_a_look_tells_what_a_file_is(data, problems, encoding):
    seen = look(data)
    assert (set(seen.problems), seen.encoding) == (problems, encoding)


def test_an_array_is_what_a_json_file_may_be():
    assert look(b'[\n{"text": "a"}\n]', array=True).problems == {}
    assert set(look(b'{\n "text": "a"\n}', array=True).problems) == {"pretty_printed"}
