"""Every paragraph of spec/scenarios.md sections 2 and 3 has a test, and every such test a paragraph (issue point 2)."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.conformance.scenario_spec import FILE, SHOWN, Paragraph, paragraphs

for _file in sorted(Path(__file__).parent.glob("test_scenario_spec_*.py")):
    if _file.stem != Path(__file__).stem:
        importlib.import_module(f"tests.conformance.{_file.stem}")

#: Paragraphs about live hooks: their tests stand with those.
ELSEWHERE = {
    ("3.7", "Recursion guard [dec]"): "needs a live hook",
}

pytestmark = pytest.mark.skipif(not FILE.is_file(), reason="the folder `shared` does not lie beside this checkout")


def _paragraphs() -> list[Paragraph]:
    return paragraphs(FILE.read_text("utf-8")) if FILE.is_file() else []


def _known(item: Paragraph) -> list[str]:
    return [
        name
        for (section, words), names in SHOWN.items()
        if section == item.section and item.text.startswith(words)
        for name in names
    ]


@pytest.mark.parametrize("item", [pytest.param(item, id=f"{item.section} {item.text[:40]}") for item in _paragraphs()])
def test_paragraph_has_a_test(item: Paragraph) -> None:
    """At least one, or it says where else."""
    elsewhere = any(item.section == section and item.text.startswith(words) for section, words in ELSEWHERE)

    assert bool(_known(item)) is not elsewhere


def test_every_test_names_a_paragraph_of_the_specification() -> None:
    """Words that begin exactly one paragraph of their section."""
    found = _paragraphs()

    for section, words in (*SHOWN, *ELSEWHERE):
        assert sum(item.section == section and item.text.startswith(words) for item in found) == 1, (section, words)
