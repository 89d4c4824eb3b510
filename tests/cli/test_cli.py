"""The command line as a person meets it: help, mistakes in every place, and what is said about them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from curate import cli
from curate.catalog import JOBS
from curate.cli.jobs import flat
from curate.recipe import load_recipe
from tests.command import ROOT, arguments, curate, environment, stats, tree

COMMANDS = [str(job.model_fields["job"].default) for job in JOBS] + ["run", "inspect"]

LEFT_OUT = {
    "validate": {"--write", "--max-errors"},
    "rank export": {"--format", "--text-column"},
    "rank preferences": {"--format", "--text-column", "--wrap"},
}
"""Options of every job of its kind that would do nothing in this command."""

Said = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Said]:
    """A command in this process, in a folder of its own: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def go(*given: str | Path) -> Said:
        try:
            code = cli.run([*map(str, given)])
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return go


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    path.write_text('{"text": "one two three"}\n{"text": "four"}\n')
    return path


def one_line(said: str) -> bool:
    return said.startswith("curate: ") and said.count("\n") == 1 and said.endswith("\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_names_every_flag_once_with_what_it_does(run: Callable[..., Said], command: str) -> None:
    code, shown, said = run(*command.split(), "--help")
    assert (code, said) == (0, "")
    flat = re.sub(r"[│╭╮╰╯─\s]+", " ", shown)
    kind = next((job for job in JOBS if job.model_fields["job"].default == command), None)
    flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", flat)) - {"--set", "--help"}
    assert "--debug" in flags
    names = [n for n in (kind.model_fields if kind else ()) if n not in ("job", "name", "input")]
    declared = {f"--{n.replace('_', '-')}" for n in names} - LEFT_OUT.get(command, set())
    missing = {flag for flag in declared if flag not in flags and not nested(kind, flag)}
    assert missing == set()
    for flag in sorted(flags & declared):
        lines = [line for line in shown.splitlines() if re.match(rf"^[│ *]*{flag}(?![\w-])", line)]
        assert len(lines) == 1, flag


def nested(kind: type | None, flag: str) -> bool:
    """Whether an option holds options of its own: such are for recipes and --set."""
    info = kind.model_fields[flag[2:].replace("-", "_")]  # type: ignore[union-attr]
    return flat(info.annotation) is None


def test_help_and_version_of_the_whole(run: Callable[..., Said]) -> None:
    code, shown, _ = run("--help")
    assert code == 0
    assert all(command.split()[0] in shown for command in COMMANDS)
    assert run("--version")[1].strip() == "0.1.0"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (("clean", "in.jsonl", "--max-eror", "3"), "--max-eror"),
        (("clen", "in.jsonl"), "clean"),
        (("clean", "in.jsonl", "--workers", "many"), "--workers"),
        (("clean", "in.jsonl", "--workers", "-1"), "--workers -1: must be 0 (one a core) or more"),
        (("clean", "in.jsonl", "--max-errors", "-1"), "--max-errors"),
        (("clean", "in.jsonl", "--save-as", "xml"), "--save-as"),
        (("clean", "in.jsonl", "--steps", "gopher_qualty"), "did you mean 'gopher_quality'?"),
        (("clean", "in.jsonl", "--steps", "length", "--set", "steps.0.min_wrds=3"), "did you mean 'min_words'?"),
        (("clean", "in.jsonl", "--set", "nonsense"), "--set nonsense: write it as path.to.option=value"),
        (("clean", "in.jsonl", "--set", "=3"), "write it as"),
        (("clean", "in.jsonl", "--set", "steps.7.x=3"), "no entry '7'"),
        (("clean", "in.jsonl", "--set", "steps=[{"), "--set steps=[{"),
        (("clean",), "name what to read"),
        (("run",), "curate run --help"),
        (("convert", "in.jsonl"), "to"),
        (("clean", "in.jsonl", "--steps", "replace"), "pattern"),
    ],
)
def test_mistakes_in_commands(run: Callable[..., Said], rows: Path, given: tuple[str, ...], error: str) -> None:
    code, _, said = run(*given)
    assert error in said
    assert one_line(said), said
    assert code == 2
    assert sorted(path.name for path in rows.parent.iterdir()) == ["in.jsonl"]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (("clean", "inn.jsonl"), "inn.jsonl: no such file or folder; did you mean 'in.jsonl'?"),
        (("clean", "*.parquet"), "*.parquet: no file matches"),
        (("clean", "empty.jsonl"), "empty.jsonl: empty, there is nothing to read"),
        (("clean", "broken.jsonl"), "no row in it can be read"),
        (("clean", "other.jsonl"), "cannot tell the format; the first row holds: body"),
        (("run", "quickstart.yml"), "quickstart.yml: no such recipe"),
        (("inspect", "inn.jsonl"), "inn.jsonl"),
    ],
)
def test_inputs_that_are_not_there(run: Callable[..., Said], rows: Path, given: tuple[str, ...], error: str) -> None:
    (rows.parent / "empty.jsonl").write_text("")
    (rows.parent / "broken.jsonl").write_text("{\n")
    (rows.parent / "other.jsonl").write_text('{"body": "x"}\n')
    code, _, said = run(*given, *(() if given[0] in ("run", "inspect") else ("--quiet",)))
    assert error in said
    assert one_line(said), said
    assert code == 1


RECIPE = "name: r\njobs:\n- job: clean\n  input: [in.jsonl]\n  steps:\n  - {step: length, min_words: 2}\n"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("min_words", "min_wrds", "r.yaml: jobs.0.steps.0.min_wrds: unknown option 'min_wrds'; did you mean 'min_words'?"),
        ("length", "lenght", "r.yaml: jobs.0.steps.0.step: unknown step 'lenght'; did you mean 'length'?"),
        ("job: clean", "job: cleen", "r.yaml: jobs.0.job: unknown job 'cleen'; did you mean 'clean'?"),
        ("  steps:", "  stepps:", "r.yaml: jobs.0.stepps: unknown option 'stepps'; did you mean 'steps'?"),
        ("name: r", "nam: r", "r.yaml: "),
        ("min_words: 2", "min_words: two", "r.yaml: jobs.0.steps.0.min_words: "),
        ("min_words: 2", "min_words: -2", "r.yaml: jobs.0.steps.0.min_words: "),
        ("[in.jsonl]", "[job:crawl]", "r.yaml: jobs.0: no earlier job is called 'crawl'"),
        ("  input: [in.jsonl]\n", "", "r.yaml: jobs.0.input: the first job must say what it reads"),
        ("jobs:\n", "jobs: [\n", "r.yaml: line "),
        (RECIPE, "- a list\n", "r.yaml: a recipe is a mapping with `name` and `jobs`"),
        (RECIPE, "", "r.yaml: a recipe is a mapping with `name` and `jobs`"),
        ("- job: clean", "- {job: clean, input: [in.jsonl]}\n- job: clean", "r.yaml: jobs.1: two jobs are called 'clean'"),
        ("- {step: length, min_words: 2}", "- 5", "r.yaml: jobs.0.steps.0: "),
    ],
)
def test_mistakes_in_recipes(run: Callable[..., Said], rows: Path, old: str, new: str, error: str) -> None:
    (rows.parent / "r.yaml").write_text(RECIPE.replace(old, new))
    code, _, said = run("run", "r.yaml")
    assert said.startswith(f"curate: {error}"), said
    assert one_line(said), said
    assert code == 2
    assert not (rows.parent / "runs").exists()


def test_the_printed_recipe_is_the_command(run: Callable[..., Said], rows: Path) -> None:
    command = ("clean", "in.jsonl", "--steps", "whitespace", "--steps", "length", "--set", "steps.1.min_words=2", "--wrap")
    code, shown, _ = run(*command, "--print-recipe")
    assert code == 0
    path = rows.parent / "printed.yaml"
    path.write_text(shown)
    (job,) = load_recipe(path).jobs
    assert job.model_dump(mode="json")["steps"][1]["min_words"] == 2
    assert job.model_dump()["wrap"] is True
    assert run("run", "printed.yaml", "--print-recipe")[1] == shown
    assert run(*command, "-o", "one", "--workers", "1")[0] == 0
    assert run("run", "printed.yaml", "-o", "two", "--workers", "1")[0] == 0
    assert list(tree(rows.parent / "one" / "data").values()) == list(tree(rows.parent / "two" / "01-clean" / "data").values())


def test_required_options_of_a_step_can_be_set_from_the_command_line(run: Callable[..., Said], rows: Path) -> None:
    code, shown, _ = run("clean", "in.jsonl", "--steps", "replace", "--set", "steps.0.pattern=a+", "--print-recipe")
    assert code == 0
    assert "pattern: a+" in shown


def test_a_run_is_repeated_from_its_run_json(run: Callable[..., Said], rows: Path) -> None:
    (rows.parent / "r.yaml").write_text(RECIPE)
    assert run("run", "r.yaml", "--workers", "1", "--set", "jobs.clean.steps.length.min_words=3")[0] == 0
    folder = rows.parent / "runs" / "r"
    written = json.loads((folder / "run.json").read_bytes())
    assert written["recipe"]["jobs"][0]["steps"][0]["min_words"] == 3
    assert stats(folder / "01-clean")["kept"] == 1
    code, _, said = run("run", folder / "run.json", "--workers", "1")
    assert code == 0
    assert "done already" in said
    assert run("run", folder / "run.json", "--workers", "1", "-o", "again")[0] == 0
    assert stats(rows.parent / "again" / "01-clean")["kept"] == 1


def test_dry_runs_do_nothing(run: Callable[..., Said], rows: Path) -> None:
    code, shown, _ = run("clean", "in.jsonl", "--dry-run")
    assert code == 0
    assert shown.strip()
    (rows.parent / "r.yaml").write_text(RECIPE)
    assert run("run", "r.yaml", "--dry-run")[0] == 0
    assert sorted(path.name for path in rows.parent.iterdir()) == ["in.jsonl", "r.yaml"]


def test_too_many_rejects_are_exit_code_three(run: Callable[..., Said], rows: Path) -> None:
    rows.write_text('{"text": "a"}\n{"text": \n{"text": "b"}\n')
    code, _, said = run("clean", "in.jsonl", "-o", "out.jsonl", "--quiet")
    assert code == 3
    assert one_line(said)
    assert "1 rows were rejected, first: in.jsonl:2: " in said
    assert (rows.parent / "out.jsonl").read_text().count("\n") == 2
    assert run("clean", "in.jsonl", "-o", "out.jsonl", "--quiet", "--max-errors", "1")[0] == 0


def test_the_module_is_the_command(rows: Path) -> None:
    done = curate("clean", "in.jsonl", "-o", "out.jsonl", "--workers", "1", cwd=rows.parent)
    assert done.returncode == 0
    assert (rows.parent / "out.jsonl").exists()
    assert curate("clen", cwd=rows.parent).returncode == 2
    assert ROOT.is_dir()


def test_a_closed_pipe_is_no_drama(rows: Path) -> None:
    process = subprocess.Popen(
        arguments("clean", "--help"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=rows.parent,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.wait(30)
    assert "Traceback" not in said
    assert "BrokenPipe" not in said


def test_debug_shows_where(rows: Path) -> None:
    done = subprocess.run(
        [*arguments("clean", "none.jsonl", "--debug")],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=rows.parent,
        check=False,
    )
    assert "Traceback" in done.stderr
    assert done.returncode == 1
    assert sys.executable in arguments()
