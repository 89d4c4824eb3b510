"""The house rules: which part may know which, what stays out of the command line's start, what never stands in a file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.recipe import load_recipe
from tests.command import ROOT, environment

TRACKED = [
    ROOT / name
    for name in subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\0"
    )
    if name and (ROOT / name).is_file()
]
PYTHON = [path for path in TRACKED if path.suffix == ".py"]
HOUSE = [path for path in PYTHON if path.relative_to(ROOT).parts[0] in ("curate", "train", "schemas")]

MAX_LINES = 500

# From the top floor down; a part may import those below it, and itself where it stands in ITSELF.
FLOORS = (
    ("cli", "api"),
    ("recipe", "engine", "report"),
    ("catalog",),
    ("jobs",),
    ("steps", "rank", "synth"),
    ("grouping", "formats", "analysis", "pages", "tokenizing"),
    ("kernels", "io", "models"),
    ("schemas",),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
NEIGHBOURS = {
    # Of one floor, and not each on its own.
    ("engine", "recipe"),
    ("report", "engine"),
    ("report", "recipe"),
    ("io", "kernels"),
    ("formats", "analysis"),
    ("grouping", "analysis"),
    ("pages", "analysis"),
    ("grouping", "formats"),
    ("models", "kernels"),
    ("tokenizing", "analysis"),
    # A reader hands its columns to kernels as buffers; see DESIGN 2 and 3.
    ("io", "analysis"),
    # What steps do to rows, they do to rows that were made.
    ("synth", "steps"),
}
ALONE = {"steps", "jobs"}
"""Parts whose modules do not import one another, but for the list in `__init__`."""

RENDERING = ("train.errors", "train.model", "train.render", "train.rows")
"""What of training `tokenizing` may use, so that there is one renderer of rows."""

HEAVY = (
    "torch", "ray", "numba", "datasets", "transformers", "polars", "numpy", "pyarrow", "scipy", "scrapy", "trl",
    "asyncio", "ssl", "urllib.request",
)  # fmt: skip


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a file imports, wherever in the file: types too."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                is_module = (ROOT / Path(*name.split("."))).with_suffix(".py").is_file() or (
                    ROOT / Path(*name.split("."))
                ).is_dir()
                yield node.lineno, name if is_module else base


def part_of(module: str) -> str:
    """`curate.io.files` -> `io`; `schemas` -> `schemas`."""
    top, _, below = module.partition(".")
    return below.split(".")[0] if top == "curate" and below else top


def test_there_is_something_to_check() -> None:
    assert len(HOUSE) > 60
    assert {"cli", "engine", "jobs", "steps", "io", "kernels", "formats"} <= {part_of(module_of(path)) for path in HOUSE}


@pytest.mark.parametrize("path", [p for p in HOUSE if p.parts[len(ROOT.parts)] == "curate"], ids=module_of)
def test_imports_go_one_way(path: Path) -> None:
    module = module_of(path)
    part = part_of(module)
    if part == "curate":
        return
    for line, name in imports(path):
        where = f"{path.relative_to(ROOT)}:{line}: imports {name}"
        target = part_of(name)
        if name.split(".")[0] == "train":
            # The options of a training stage are checked before a process for it starts. What a row looks like to a model
            # is known in one place, for shards as for training. Neither needs torch.
            assert name in (RENDERING if part == "tokenizing" else ("train.config",)), where
            assert part in ("jobs", "recipe", "catalog", "tokenizing"), where
        if target not in FLOOR or name.split(".")[0] not in ("curate", "schemas"):
            continue
        if target == part:
            alone = part in ALONE and path.name != "__init__.py" and name != f"curate.{part}"
            assert not alone or name == module, f"{where}: modules of {part} stand alone"
        elif FLOOR[target] == FLOOR[part]:
            assert (part, target) in NEIGHBOURS, f"{where}: beside it"
        else:
            assert FLOOR[target] > FLOOR[part] or (part, target) in NEIGHBOURS, f"{where}: above it"


@pytest.mark.parametrize("path", [p for p in HOUSE if p.parts[len(ROOT.parts)] in ("train", "schemas")], ids=module_of)
def test_training_knows_nothing_of_curate(path: Path) -> None:
    top = module_of(path).split(".")[0]
    for line, name in imports(path):
        where = f"{path.relative_to(ROOT)}:{line}: imports {name}"
        assert name.split(".")[0] != "curate", where
        assert top == "train" or name.split(".")[0] != "train", where


@pytest.mark.parametrize("path", HOUSE, ids=module_of)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    module = module_of(path)
    for line, name in imports(path):
        where = f"{path.relative_to(ROOT)}:{line}: imports {name}"
        match name.split(".")[0]:
            case "numba":
                assert module.startswith("curate.kernels"), where
            case "ray":
                assert module == "curate.engine.ray", where
            case "torch" | "trl" | "peft" | "accelerate":
                assert module.startswith(("curate.models", "train")), where


@pytest.mark.parametrize("modules", [("train.config",), RENDERING])
def test_what_is_used_outside_training_needs_no_torch(modules: tuple[str, ...]) -> None:
    heavy = "('torch', 'transformers', 'trl', 'numpy')"
    code = f"import sys, {', '.join(modules)}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= MAX_LINES


@pytest.mark.parametrize("path", HOUSE, ids=module_of)
def test_modules_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", TRACKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_unfinished_and_nothing_of_one_machine(path: Path) -> None:
    if path == Path(__file__) or path.name == "LICENSE":
        return
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return
    for pattern in (
        r"\bTODO\b",
        r"\bFIXME\b",
        r"\bXXX\b",
        r"NotImplementedError",
        r"/work/",
        r"/root/",
        r"/home/\w",
        r"/opt/pypi",
    ):
        assert not re.search(pattern, text), pattern
    # Where packages come from is the business of the machine that installs them.
    for pattern in (r"pypi\.org", r"pythonhosted", r"--index-url", r"--extra-index-url", r"--find-links", r"artifactory"):
        assert not re.search(pattern, text), pattern


def test_help_starts_light() -> None:
    code = "import sys; from curate.cli import run; run(['--help']); print(*sorted(sys.modules), file=sys.stderr)"
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True)
        seconds.append(time.perf_counter() - began)
    sys.stdout.write(f"curate --help: {min(seconds):.2f} s, best of {len(seconds)}\n")
    loaded = set(done.stderr.split())
    assert "curate.cli" in loaded
    assert "Commands" in done.stdout
    assert [name for name in HEAVY if name in loaded] == []


def test_every_recipe_loads() -> None:
    recipes = sorted((ROOT / "recipes").rglob("*.yaml"))
    assert recipes
    for path in recipes:
        recipe = load_recipe(path)
        assert recipe.jobs
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith("# "), f"{path.name} opens with what it is for"
