"""Filter operators: spec/scenarios.md 2.6."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.errors import ImlError
from runtime.scenario.filters import OPERATORS, canonical
from runtime.values import UNDEFINED, Buffer

DATE = datetime(2024, 5, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("a", "operator", "b", "expected"),
    [
        (UNDEFINED, "exist", None, False),
        ("", "exist", None, False),
        ([], "exist", None, True),
        (0, "notexist", None, False),
        (None, "text:equal", "", True),
        (["x", 2], "text:equal", "x, 2", True),
        (DATE, "text:startwith", "2024-05-10T12", True),
        ("Hello", "text:contain:ci", "HELL", True),
        ("Hello", "text:notcontain:ci", "HELL", False),
        ("Hello", "text:notendwith", "lo", False),
        ("a1b", "text:pattern", r"\d", True),
        ("a1b", "text:notpattern", r"^\d", True),
        ("ABC", "text:pattern:ci", "b", True),
        ("10", "number:equal", 10, True),
        ("1,5", "number:equal", 1.5, False),
        ("", "number:lessorequal", 1, False),
        (None, "number:notequal", 1, True),
        (True, "number:equal", 1, False),
        (["3"], "number:equal", 3, False),
        ("2024-05-10T14:00:00+02:00", "date:equal", DATE, True),
        ("soon", "date:less", DATE, False),
        ("soon", "date:notequal", DATE, True),
        ("08:30", "time:less", "09:00:01", True),
        ("25:00", "time:less", "26:00", False),
        (DATE, "time:equal", "12:00", True),
        ("v1.10.0", "semver:greater", "1.9.9", True),
        ("2.0.0-beta.2", "semver:less", "2.0.0-beta.10", True),
        ("2.0.0-beta", "semver:less", "2.0.0", True),
        ("1.0.0-alpha", "semver:less", "1.0.0-alpha.1", True),
        ("1.0.0-1", "semver:less", "1.0.0-alpha", True),
        ("1.0.0+build", "semver:equal", "1.0.0", True),
        ("1.0", "semver:equal", "1.0.0", False),
        (0, "boolean:equal", True, True),
        ("FALSE", "boolean:equal", False, True),
        (Buffer(b""), "boolean:equal", True, True),
        (UNDEFINED, "boolean:notequal", "", False),
        ([1, 2], "array:contain", "2", True),
        ("x", "array:contain", "x", True),
        (None, "array:notcontain", "", True),
        (["A"], "array:contain:ci", "a", True),
        ([1, 2, 3], "array:greater", "2", True),
        ("", "array:equal", "0", True),
        ([1], "array:equal", "one", False),
        ([1], "array:notequal", "one", True),
    ],
)
def test_what_an_operator_says(a: Any, operator: str, b: Any, expected: bool) -> None:
    """Both sides are converted by the family; what cannot be converted is false, for the negative operator true."""
    assert OPERATORS[operator](a, b, "UTC") is expected


def test_time_is_the_time_of_day_in_the_scenarios_zone() -> None:
    """A date is shown in that zone first."""
    assert OPERATORS["time:equal"](DATE, "14:00", "Europe/Prague")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("text:startswith", "text:startwith"),
        ("text:endswith:ci", "text:endwith:ci"),
        ("text:notEqual", "text:notequal"),
        ("date:before", "date:less"),
        ("date:after", "date:greater"),
        ("string:contain", "text:contain"),
        ("number:greaterThan", "number:greater"),
        ("notexists", "notexist"),
        ("exists", "exist"),
        ("text:equal", "text:equal"),
        ("text:like", None),
        ("", None),
        ("color:equal", None),
        ("number:contain", None),
    ],
)
def test_names_of_generated_files_are_read(given: str, expected: str | None) -> None:
    """Known misspellings mean the real operator; anything else is none."""
    assert canonical(given) == expected


def test_patterns_are_ecmascript() -> None:
    """Named groups, look-behind, characters beyond the basic plane; a broken pattern raises."""
    pattern = OPERATORS["text:pattern"]

    assert pattern("price: 12 €", r"(?<=price: )(?<n>\d+) €", "UTC")
    assert pattern("x 😀 y", "😀", "UTC")
    assert not pattern("abc", r"^\p{Lu}", "UTC")
    with pytest.raises(ImlError):
        pattern("abc", "(", "UTC")
