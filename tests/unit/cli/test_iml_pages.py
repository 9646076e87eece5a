"""The pages about the expression language say what is true."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from runtime.iml.functions import FUNCTIONS
from tests.conformance.iml_cases import same
from tests.paths import ROOT
from tests.unit.iml.helpers import failure, render
from workers.cli import iml_notation
from workers.cli.iml_reference import page

REFERENCE = ROOT / "docs" / "iml-functions.md"
GUIDE = ROOT / "docs" / "iml.md"
CONTEXT: dict[str, Any] = {
    "order": {"customer": {"name": "Ada"}, "unit price": 9.5, "items": [{"sku": "A-1"}, {"sku": "B-2"}]}
}
ROW = re.compile(r"\| `(?P<tick>`?)(?P<expression>.+?)(?P=tick)` \| (?P<error>error: )?`(?P<result>.+)` \|")
ROWS = [
    match
    for table in GUIDE.read_text("utf-8").split("| expression | result |")[1:]
    for line in table.partition("\n\n")[0].splitlines()
    if (match := ROW.fullmatch(line))
]


def test_the_reference_is_the_table_of_functions() -> None:
    """Written anew, the page is the same: `python -m workers.cli.iml_reference docs/iml-functions.md` updates it."""
    assert page() == REFERENCE.read_text("utf-8")


def test_the_reference_has_every_function_with_an_example() -> None:
    """Nothing is left out by the generator."""
    sections = {section.partition("\n")[0]: section for section in REFERENCE.read_text("utf-8").split("\n### ")[1:]}

    assert sections.keys() == FUNCTIONS.keys()
    assert all("| `" in section and FUNCTIONS[name].signature in section for name, section in sections.items())


def test_the_guide_has_rows() -> None:
    """The pattern that finds them still fits the page."""
    assert len(ROWS) > 25


@pytest.mark.parametrize("row", [pytest.param(row, id=row["expression"]) for row in ROWS])
def test_a_row_of_the_guide_is_true(row: re.Match[str]) -> None:
    """What the guide shows is what comes out."""
    source = row["expression"].replace("\\|", "|")
    template = json.loads(source) if source.startswith('{"') else source
    if row["error"]:
        assert row["result"] in str(failure(template, CONTEXT))
    else:
        assert same(iml_notation.read(json.loads(row["result"])), render(template, CONTEXT))
