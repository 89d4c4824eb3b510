"""Every schema is published as it should be, and passes on its own examples and on those that the guides show."""

from __future__ import annotations

import json
import re
import runpy
from typing import Any

import jsonschema
import pytest

import schemas
from curate.formats.readings import detect
from tests.command import ROOT

FORMATS = ("text", "instruction", "chat", "preference")
DRAFT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    if name != "recipe":
        return schemas.load(name)
    # Written from the code; tests/test_docs.py holds that the file is what is written.
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    found: dict[str, Any] = json.loads(pages[ROOT / "schemas" / "recipe.json"])
    return found


@pytest.mark.parametrize("name", schemas.names())
def test_published(name: str) -> None:
    schema = schema_of(name)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DRAFT
    assert schema["$id"] == f"urn:curate:schema:{name}:1"
    assert schema["title"]
    assert schema["description"].endswith(".")
    assert schema["examples"]
    for example in schema["examples"]:
        jsonschema.validate(example, schema, cls=jsonschema.Draft202012Validator)


def test_ids_differ() -> None:
    names = schemas.names()
    assert len({schema_of(name)["$id"] for name in names}) == len(names) >= 7


@pytest.mark.parametrize("name", FORMATS)
def test_examples_of_a_format_are_told_by_their_members(name: str) -> None:
    for example in schemas.load(name)["examples"]:
        assert detect(example) == name
        json.dumps(example)


def shown(path: str) -> list[Any]:
    """The JSON values that a page shows between backquotes, `...` standing for more."""
    text = (ROOT / path).read_text(encoding="utf-8")
    found = []
    for quoted in re.findall(r"`([\[{][^`\n]*[\]}])`", text):
        for value in (quoted, quoted.replace(", ...]", "]"), quoted.replace("[...]", '[{"role": "user", "content": "a"}]')):
            try:
                found.append(json.loads(value))
            except ValueError:
                continue
            break
    return found


def test_rows_that_the_guides_show_are_valid() -> None:
    rows = [row for path in ("README.md", "docs/guide.md") for row in shown(path) if detect(row) is not None]
    assert {detect(row) for row in rows} == set(FORMATS)
    for row in rows:
        jsonschema.validate(row, schemas.load(str(detect(row))))
