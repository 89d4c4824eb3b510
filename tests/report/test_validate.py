"""`curate validate` as a person runs it: files that are good, odd, and broken in every way. Never a traceback."""

import contextlib
import io
import json
import subprocess
from pathlib import Path

import pytest

from curate.api import run as run_job
from curate.catalog import parse_job
from curate.cli import run
from curate.report.page import write_page
from tests.command import arguments, curate, environment

GOOD = [
    {"instruction": "Which plant is tea?", "output": "Camellia sinensis."},
    {"instruction": "And mate?", "output": "A holly."},
]
LINES = "".join(json.dumps(row) + "\n" for row in GOOD)


def put(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def called(*given: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command, run in this process: one of its own takes a second."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["validate", *map(str, given), "--workers", "1"])
    return code, out.getvalue(), err.getvalue()


def found(*given: str | Path) -> tuple[int, dict[str, list[str]], dict[str, object]]:
    """Exit code; where each problem is first, by code; all of it."""
    code, out, err = called(*given, "--json")
    assert err == ""
    content = json.loads(out)
    places = {one["code"]: [place.rpartition("/")[2] for place in one["places"]] for one in content["findings"]}
    return code, places, content


def test_good_rows_leave_nothing_behind(tmp_path):
    put(tmp_path / "in.jsonl", LINES)
    done = curate("validate", "in.jsonl", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "0 kinds of errors, 0 of warnings; 2 rows could be read in 1 file (2 instruction)\n"
    assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]


def test_a_table_what_to_do_and_a_page(tmp_path):
    put(
        tmp_path / "in.jsonl",
        LINES + '{"instruction": "<b>a</b>", "output": " <i>x</i>"}\n{"instruction": "b", "output": ""}\n',
    )
    done = curate("validate", "in.jsonl", "--report", "page.html", cwd=tmp_path)
    assert done.returncode == 1
    error, warning = (line for line in done.stdout.splitlines() if line.startswith((" error", " warning")))
    assert error.split()[:4] == ["error", "empty_output", "1", "in.jsonl:4"]
    assert warning.split()[:4] == ["warning", "outer_space", "1", "in.jsonl:3"]
    assert "outer_space: an answer with white space at its start or end. strip it" in done.stdout
    page = (tmp_path / "page.html").read_text()
    assert "empty_output" in page
    assert "&lt;i&gt;x&lt;/i&gt;" in page
    assert "<i>x</i>" not in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "page.html"]


def test_rows_without_errors_go_to_the_output(tmp_path):
    put(tmp_path / "in.jsonl", LINES + '{"instruction": "b", "output": ""}\n')
    done = curate("validate", "in.jsonl", "-o", "out.jsonl", cwd=tmp_path)
    assert done.returncode == 1
    assert (tmp_path / "out.jsonl").read_text() == LINES


BROKEN = {
    "truncated": (LINES + '{"instruction": "a", "outp', {"truncated_line": ["in.jsonl:3"]}),
    "nan": (LINES + '{"instruction": "a", "output": "b", "score": NaN}\n', {"not_a_number": ["in.jsonl:3"]}),
    "scalars": (LINES + '5\n"s"\nnull\n', {"not_a_row": ["in.jsonl:3", "in.jsonl:4", "in.jsonl:5"]}),
    "words": ("these are words\n" + LINES, {"invalid_json": ["in.jsonl:1"]}),
    "only words": ("these are words\n", {"invalid_json": ["in.jsonl:1"]}),
    "deep": (LINES + "[" * 100_000 + "\n", {"invalid_json": ["in.jsonl:3"]}),
    "nul": (LINES + '{"instruction": "a\0", "output": "b"}\n', {"invalid_json": ["in.jsonl:3"]}),
    "nulls": (LINES + '{"instruction": null, "output": "b"}\n', {"schema": ["in.jsonl:3"]}),
    "numbers": (
        LINES + '{"instruction": 5, "output": "b"}\n',
        {"schema": ["in.jsonl:3"], "mixed_types": ["in.jsonl:3"]},
    ),
    "nested": (
        LINES + '{"instruction": [["a"]], "output": "b"}\n',
        {"schema": ["in.jsonl:3"], "mixed_types": ["in.jsonl:3"]},
    ),
    "list of lists": (
        '[["a"], ["b"]]\n',
        {"json_array": ["in.jsonl:1"], "schema": ["in.jsonl:1"], "bare_array_chat": ["in.jsonl:1"]},
    ),
    "duplicate keys": (LINES + '{"instruction": "a", "output": "b", "output": "c"}\n', {"duplicate_key": ["in.jsonl:3"]}),
    "mixed": (LINES + '{"text": "a"}\n', {"mixed_formats": ["in.jsonl:3"]}),
    "unknown": ('{"q": "a"}\n', {"unknown_format": ["in.jsonl:1"]}),
    "utf-8": (LINES.encode() + b'{"instruction": "\xff", "output": "b"}\n', {"invalid_utf8": ["in.jsonl:3"]}),
    "utf-16": (LINES.encode("utf-16"), {"not_utf8": ["in.jsonl:1"]}),
    "cp932": (
        '{"instruction": "\u304a\u8336\u306f", "output": "\u690d\u7269"}\n'.encode("cp932") * 3,
        {"not_utf8": ["in.jsonl:1"]},
    ),
    "bom": (
        "\ufeff" + LINES + "{'instruction': 'a', 'output': 'b'}\n",
        {"byte_order_mark": ["in.jsonl:1"], "python_literal": ["in.jsonl:3"]},
    ),
    "pretty": ("\n".join(json.dumps(row, indent=2) for row in GOOD), {"pretty_printed": ["in.jsonl:1"]}),
    "array": (json.dumps(GOOD, indent=2), {"json_array": ["in.jsonl:1"]}),
    "surrogate": ('{"instruction": "a", "output": "\\ud800"}\n', {"not_text": ["in.jsonl:1"]}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_told_with_its_line(tmp_path, name):
    data, problems = BROKEN[name]
    code, places, content = found(put(tmp_path / "in.jsonl", data))
    assert code == 1
    expected = {code: places[code] for code in places if code in ("duplicate", "contradiction")}
    assert places == {**expected, **problems}
    assert all(one["what"] and one["fix"] and one["example"] for one in content["findings"])


def test_a_chat_of_a_thousand_turns(tmp_path):
    turns = [{"role": role, "content": f"{role} {i}"} for i in range(500) for role in ("user", "assistant")]
    assert found(put(tmp_path / "in.jsonl", json.dumps({"messages": turns})))[:2] == (0, {})
    turns[500]["role"] = "assistant"
    code, places, _ = found(put(tmp_path / "in.jsonl", json.dumps({"messages": turns})))
    assert (code, places) == (1, {"roles_do_not_alternate": ["in.jsonl:1"]})


@pytest.mark.slow
def test_a_line_of_50_mb(tmp_path):
    long = json.dumps({"instruction": "a", "output": "word " * 10_000_000 + "end"})
    assert found(put(tmp_path / "in.jsonl", LINES + long + "\n"))[:2] == (0, {})
    code, places, _ = found(put(tmp_path / "in.jsonl", LINES + long[:-1] + "\n"))
    assert (code, places) == (1, {"truncated_line": ["in.jsonl:3"]})


def test_repairs_are_listed_and_what_they_made_is_checked(tmp_path):
    source = put(tmp_path / "in.jsonl", "\ufeff" + LINES.replace("}", ",}") + "{'instruction': 'a', 'output': 'b'}\n{broken\n")
    code, places, content = found(source, "--fix", tmp_path / "out.jsonl")
    assert (code, places) == (1, {"invalid_json": ["out.jsonl:4"]})
    (repairs,) = content["repairs"]
    assert repairs["repairs"] == {"byte_order_mark": 1, "trailing_comma": 2, "python_literal": 1}
    assert (repairs["lines"], repairs["rows"], repairs["left"]) == (4, 4, 1)
    assert (tmp_path / "out.jsonl").read_text().startswith(LINES)
    assert Path(repairs["log"]).read_text().count("\n") == 5
    assert source.read_bytes().startswith(b"\xef\xbb\xbf")
    assert found(put(tmp_path / "array.jsonl", json.dumps(GOOD, indent=1)), "--fix", tmp_path / "o.jsonl")[:2] == (0, {})


def test_several_files_are_repaired_into_a_folder(tmp_path):
    one, two = put(tmp_path / "a.jsonl", json.dumps(GOOD)), put(tmp_path / "valid.json", json.dumps(GOOD[:1], indent=1))
    code, places, _ = found(one, two, "--fix", tmp_path / "fixed")
    assert (code, places) == (1, {"leakage": ["valid.jsonl:1"]})
    assert (tmp_path / "fixed" / "a.jsonl").read_text() == LINES


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ((), 2, "name what to read"),
        (("no.jsonl",), 1, "no.jsonl: no such file or folder"),
        (("empty.jsonl",), 1, "empty.jsonl: empty, there is nothing to read"),
        (("in.jsonl", "--fix", "in.jsonl"), 2, "would overwrite the input"),
        (("in.jsonl", "--fix", "out.csv"), 2, "name a file that ends in .jsonl"),
        (("in.jsonl", "other.jsonl", "--fix", "out.jsonl"), 2, "name a folder"),
        (("in.csv", "--fix", "out.jsonl"), 2, "only JSON and JSON Lines can be repaired"),
        (("in.jsonl", "--max-length", "5"), 2, "give both"),
        (("in.jsonl", "--max-length", "5", "--tokenizer", "none"), 1, "no such tokenizer"),
        (("in.jsonl", "--formatt", "text"), 2, "--formatt"),
        (("in.jsonl", "--report", "in.jsonl/x.html"), 1, "in.jsonl"),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, given, code, message):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "in.jsonl", LINES)
    put(tmp_path / "other.jsonl", LINES)
    put(tmp_path / "empty.jsonl", "")
    put(tmp_path / "in.csv", "text\na\n")
    returned, _, err = called(*given)
    assert returned == code
    assert message in err
    assert err.count("\n") == 1


def test_other_kinds_of_files(tmp_path):
    put(tmp_path / "in.csv", 'instruction,output\na,b\nc,""\n')
    assert found(tmp_path / "in.csv")[1] == {"empty_output": ["in.csv:2"]}
    put(tmp_path / "in.json", json.dumps([*GOOD, {"instruction": "a", "output": ""}], indent=1))
    assert found(tmp_path / "in.json")[1] == {"empty_output": ["in.json:3"]}


def test_output_that_is_cut_off_is_no_bug(tmp_path):
    put(tmp_path / "in.jsonl", '{"instruction": "a", "output": ""}\n')
    command = f"{' '.join(arguments('validate', tmp_path / 'in.jsonl'))} | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment(), timeout=60, check=False)
    assert "Traceback" not in done.stderr


def test_the_report_of_a_run_shows_what_was_found(tmp_path):
    put(tmp_path / "in.jsonl", LINES + '{"instruction": "b", "output": ""}\n')
    called(tmp_path / "in.jsonl", "-o", tmp_path / "out", "--quiet")
    stats = json.loads((tmp_path / "out" / "stats.json").read_text())
    assert stats["results"]["findings"]["with_errors"] == 1
    job = parse_job({"job": "validate", "input": [str(tmp_path / "in.jsonl")]})
    page = write_page(run_job(job, output=tmp_path / "other")).read_text()
    assert "empty_output" in page
    assert "An answer says nothing. Take the row out: a model learns to stop at once." in page
