"""`validate.pattern` in JavaScript's dialect (spec/modules.md 2.2)."""

from __future__ import annotations

import pytest

from runtime.parameters.patterns import is_pattern, matches


@pytest.mark.parametrize(
    ("pattern", "text", "expect"),
    [
        pytest.param(r"^\d+$", "12", True, id="translated"),
        pytest.param(r"^\d+$", "1x", False, id="translated, no match"),
        pytest.param(r"^(?<n>a)\k<n>$", "aa", True, id="named group"),
        pytest.param(r"^(?<n>a)\k<n>$", "ab", False, id="named group, no match"),
        pytest.param(r"^(?:(a)|b)+\1$", "ab", True, id="a repetition resets its groups"),
        pytest.param(r"(?<=(x))y", "xy", True, id="group in a look-behind"),
        pytest.param("(", "anything", True, id="no pattern fails no value"),
        pytest.param(r"^(?:a|a)*(?:(b)|\1)*$", "a" * 60 + "!", True, id="out of time fails no value"),
    ],
)
def test_pattern(pattern: str, text: str, expect: bool) -> None:
    """What cannot be translated exactly is matched by the JavaScript engine; what cannot be used fails no value."""
    assert matches(pattern, text) is expect


def test_usable_patterns_are_told_from_broken_ones() -> None:
    """The checker asks this."""
    assert is_pattern(r"(?<n>a)\k<n>")
    assert not is_pattern("(?<n>a")
