"""Prompts that ship can be said; those of a user run in a sandbox, and mistakes in them are told before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.catalog import JOBS
from curate.errors import InputError, UsageError
from curate.synth.job import SynthJob
from curate.synth.prompts import Prompts, copy_prompts, load_prompts, shipped
from tests.command import curate

METHODS = [job for job in JOBS if issubclass(job, SynthJob)]
SAY = {"system": (), "say": ("text",)}


def test_every_method_has_its_prompts() -> None:
    assert {f"{job.method}.jinja" for job in METHODS} | {"principles.yaml"} == set(shipped())
    assert all(shipped().values())


@pytest.mark.parametrize("job", METHODS, ids=lambda job: job.method)
def test_what_ships_can_be_said(job: type[SynthJob]) -> None:
    prompts = load_prompts(job.method, None, job.blocks)
    for block, names in job.blocks.items():
        if block == "system":
            continue
        values = {name: f"<{name}>" for name in names} | {n: ["a", "b"] for n in names if n in ("tasks", "criteria")}
        values |= {name: 3 for name in names if name in ("count", "low", "high")}
        messages = prompts.messages(block, **values)
        assert "{{" not in messages[-1]["content"]
        for name in names:
            if name not in ("tasks", "criteria", "count", "low", "high", "grounded", "instances") and block not in (
                "unknown",
                "assistant",
                "open",
            ):
                assert f"<{name}>" in messages[-1]["content"] or name == "name", (block, name)


def own(source: str) -> Prompts:
    return Prompts("own", source, "own.jinja", SAY)


def test_braces_of_a_text_are_text() -> None:
    prompts = own("{% block system %}Be {{ 'brief' }}.{% endblock %}{% block say %}{{ text }}{% endblock %}")
    told = prompts.messages("say", text="{{ 7 * 7 }} {% if %} {x} <b>&")
    assert told == ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{ 7 * 7 }} {% if %} {x} <b>&"})


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% block say %}{{ text }", "own.jinja:1: "),
        ("{% block sai %}{{ text }}{% endblock %}", "no block 'say'; it has: sai"),
        ("{{ text }}", "no block 'say'; it has: none"),
        ("{% block say %}{{ tetx }}{% endblock %}", "nothing is called 'tetx' in it; did you mean 'text'"),
    ],
)
def test_mistakes_are_told_before_anything_is_asked(source: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        own(source)


@pytest.mark.parametrize(
    "expression",
    [
        "text.__class__.__mro__[1].__subclasses__()",
        "text.nothing.more",
        "1 / 0",
        "range(10 ** 9) | list",
        "'%s' | format(text.__init__.__globals__)",
    ],
)
def test_a_template_can_do_no_harm(expression: str) -> None:
    prompts = own("{% block say %}{{ " + expression + " }}{% endblock %}")
    with pytest.raises(UsageError, match=r"own\.jinja: block 'say'"):
        prompts.text("say", text="x")


def test_a_template_reads_no_other_file() -> None:
    with pytest.raises(UsageError, match=r"own\.jinja"):
        own("{% block say %}{% include '/etc/passwd' %}{{ text }}{% endblock %}").text("say", text="x")


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match="curate synth prompts cp"):
        load_prompts("qa", "/nowhere/qa.jinja", {})


def test_copies(tmp_path: Path) -> None:
    assert copy_prompts(["qa", "principles.yaml"], tmp_path) == [tmp_path / "qa.jinja", tmp_path / "principles.yaml"]
    with pytest.raises(UsageError, match="there already"):
        copy_prompts(["evol", "qa"], tmp_path)
    assert not (tmp_path / "evol.jinja").exists()
    with pytest.raises(UsageError, match="did you mean 'persona'"):
        copy_prompts(["persna"], tmp_path)


def test_commands(tmp_path: Path) -> None:
    listed = curate("synth", "prompts", "ls").stdout
    assert all(name in listed for name in shipped())
    done = curate("synth", "prompts", "cp", "evol", "-o", tmp_path / "mine")
    assert done.stdout == f"{tmp_path / 'mine' / 'evol.jinja'}\n"
    blocks = next(job for job in METHODS if job.method == "evol").blocks
    copy = load_prompts("evol", str(tmp_path / "mine" / "evol.jinja"), blocks)
    assert (copy.name, copy.digest) == ("evol.jinja", load_prompts("evol", None, blocks).digest)
