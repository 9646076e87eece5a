"""The app `regexp`: spec/scenarios.md 4.9."""

from __future__ import annotations

from typing import Any

import pytest

from modules.builtin.html_text import html_to_text
from tests.unit.modules_builtin.test_builtins import outputs

SWITCHES = {"global": True, "sensitive": True, "multiline": False, "singleline": False}


def parse(pattern: str, text: Any, **switches: Any) -> Any:
    """What the advanced parser finds."""
    return outputs("regexp:AdvancedParser", {"pattern": "{{1.p}}", "text": "{{1.t}}"}, given={"p": pattern, "t": text},
                   parameters=SWITCHES | switches)  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "text", "switches", "expected"),
    [
        pytest.param("(\\d)", "1 2", {"global": False}, [{"i": 1, "$1": "1", "__IMTMATCH__": "1"}], id="first only"),
        pytest.param("b", "aBb", {"sensitive": False, "global": False}, [{"i": 1, "__IMTMATCH__": "B"}], id="any case"),
        pytest.param("B", "b", {}, [], id="case-sensitive"),
        pytest.param("^b$", "a\nb", {"multiline": True}, [{"i": 1, "__IMTMATCH__": "b"}], id="multiline"),
        pytest.param("a.b", "a\nb", {}, [], id="dot stops at a line end"),
        pytest.param("a.b", "a\nb", {"singleline": True}, [{"i": 1, "__IMTMATCH__": "a\nb"}], id="singleline"),
        pytest.param(
            "(?<y>\\d{4})(-x)?", "2026", {}, [{"i": 1, "$1": "2026", "y": "2026", "__IMTMATCH__": "2026"}], id="named"
        ),
        pytest.param("(?<=\\$)\\d+", "$5", {}, [{"i": 1, "__IMTMATCH__": "5"}], id="look-behind"),
        pytest.param("x", "a", {"continueWhenNoRes": True}, [{"__IMTLENGTH__": 0}], id="marker"),
        pytest.param("x", None, {}, "BundleValidationError", id="no text"),
    ],
)
def test_matches(pattern: str, text: Any, switches: dict[str, Any], expected: Any) -> None:
    """One bundle per match; a group that took no part is left out."""
    assert parse(pattern, text, **switches) == expected


def test_matches_of_length_zero_end() -> None:
    """The search goes one character on each time."""
    assert [bundle["i"] for bundle in parse("x*", "ab")] == [1, 2, 3]


def test_a_broken_pattern_is_the_bundles_fault() -> None:
    """It fails as a validation error, which handlers and storing know."""
    assert parse("(", "a") == "BundleValidationError"


@pytest.mark.parametrize(
    ("pattern", "value", "switches", "expected"),
    [
        pytest.param("(\\w+) (\\w+)", "$2 $1", {}, "b a c", id="groups"),
        pytest.param("[abc]", "<$&>", {}, "<a> <b> <c>", id="whole match"),
        pytest.param("(?<x>a)", "$<x>$<x>", {}, "aa b c", id="named group"),
        pytest.param("[abc]", "", {}, "  ", id="empty value"),
        pytest.param("[ABC]", "x", {"global": False, "sensitive": False}, "x b c", id="first, any case"),
    ],
)
def test_replace(pattern: str, value: str, switches: dict[str, Any], expected: str) -> None:
    """`$1`, `$&` and `$<name>` work in the new value."""
    given = {"p": pattern, "v": value, "t": "a b c"}
    mapper = {"pattern": "{{1.p}}", "value": "{{1.v}}", "text": "{{1.t}}"} | SWITCHES | switches

    assert outputs("regexp:Replace", mapper, given=given) == [{"text": expected}]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        pytest.param("<p>One</p><p>Two</p>", "One\n\nTwo", id="paragraphs"),
        pytest.param("a<br>b<br/>c", "a\nb\nc", id="breaks"),
        pytest.param('<a href="http://x/y">here</a>!', "here [http://x/y]!", id="link"),
        pytest.param("<ul><li>a</li><li>b</li></ul>", " * a\n * b", id="list"),
        pytest.param("<ol><li>a</li><li>b</li></ol>", " 1. a\n 2. b", id="numbered list"),
        pytest.param("<table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table>", "1 2\n3", id="table"),
        pytest.param("a &amp; b&nbsp;&lt;", "a & b\xa0<", id="entities"),
        pytest.param("<style>x{}</style><script>y</script>z", "z", id="hidden"),
        pytest.param("  a \n  b  ", "a b", id="blanks"),
        pytest.param("<b>a</b><i>b</i> <i>c</i>", "ab c", id="inline"),
        pytest.param("<pre>a\n  b</pre>", "a\n  b", id="preformatted"),
        pytest.param("", "", id="nothing"),
        pytest.param("a < b", "a < b", id="no tag"),
    ],
)
def test_html_to_text(html: str, expected: str) -> None:
    """Tags are gone; blocks stand on lines of their own."""
    assert html_to_text(html) == expected


def test_headings_in_capitals_and_other_line_ends() -> None:
    """`uppercaseHeadings` takes the link's address along; `crlf` writes CR LF."""
    mapper = {"html": "{{1.h}}", "newline": "crlf", "uppercaseHeadings": True}
    html = '<h1>Hi <a href="http://x">there</a></h1><p>text</p>'

    assert outputs("regexp:HTMLToText", mapper, given={"h": html}) == [{"text": "HI THERE [HTTP://X]\r\n\r\ntext"}]


def test_elements_of_text_and_html() -> None:
    """Ready-made patterns; duplicates can be left out; attributes of elements."""
    text = {"text": "{{1.t}}"}
    unique = {"type": "email", "ignoreDuplicates": True}
    found = outputs("regexp:GetElementsFromText", text, given={"t": "a@b.cz, a@b.cz c@d.de"}, parameters=unique)
    html = '<img src="/a.png" alt="A"><a href="/x">x</a>'
    images = outputs("regexp:GetElementsFromHTML", {"html": "{{1.t}}"}, given={"t": html}, parameters={"type": "image"})
    nothing = outputs("regexp:GetElementsFromText", text, given={"t": "-"}, parameters={"continueWhenNoRes": True})

    assert found == [{"match": "a@b.cz"}, {"match": "c@d.de"}]
    assert images == [{"src": "/a.png", "alt": "A"}]
    assert nothing == [{"__IMTLENGTH__": 0}]
