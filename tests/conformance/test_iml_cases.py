"""Every case of the expression language's case file."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import ImlError
from runtime.iml import compile_document
from tests.conformance.iml_cases import decode, environment_of, load_cases, matches

#: Cases that we answer differently, with what we do instead; the reasons stand in disputed.md.
DISPUTED: dict[str, Any] = {}


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("case", [pytest.param(case, id=case["id"]) for case in load_cases()])
def test_case(case: dict[str, Any]) -> None:
    """A template renders to what its case expects."""
    try:
        result: Any = compile_document(case["template"]).render(decode(case["context"]), environment_of(case))
    except ImlError as error:
        result = error

    expected = DISPUTED.get(case["id"], case["expect"])
    assert matches(expected, result), f"{case['template']!r}: expected {expected!r}, got {result!r}"


def test_every_case_is_there(shared: Any) -> None:
    """The file has not shrunk, and no case is disputed without existing."""
    identities = {case["id"] for case in load_cases()}

    assert len(identities) >= 1254
    assert identities >= DISPUTED.keys()
