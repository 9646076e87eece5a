"""JavaScript regular expressions, translated."""

from __future__ import annotations

import time

import pytest

from tests.unit.iml.helpers import failure, render


@pytest.mark.parametrize(
    ("text", "search", "replacement", "expect"),
    [
        pytest.param("abc", "/x*/g", "-", "-a-b-c-", id="empty matches"),
        pytest.param("xabc", "/x*/g", "-", "--a-b-c-", id="empty match behind a match"),
        pytest.param("ABC", "/b/i", "x", "AxC", id="i"),
        pytest.param("\u017f\u212a", "/[sk]/gi", "x", "\u017f\u212a", id="i without u folds as ECMAScript does"),
        pytest.param("Žž", "/ž/gi", "x", "xx", id="i beyond ASCII"),
        pytest.param("a\nb", "/a.b/", "x", "a\nb", id="dot stops at line ends"),
        pytest.param("a\nb", "/a.b/s", "x", "x", id="s"),
        pytest.param("a\n", "/a$/", "x", "a\n", id="dollar is the very end"),
        pytest.param("a\r\nb", "/^b$/m", "x", "a\r\nx", id="m"),
        pytest.param("٣3", r"/\d/g", "x", "٣x", id="digits are ASCII"),
        pytest.param("é_a", r"/\w/g", "x", "éxx", id="word characters are ASCII"),
        pytest.param("é a", r"/\ba/", "x", "é x", id="word edge"),
        pytest.param("a\u00a0\ufeffb", r"/\s+/", "x", "axb", id="white space"),
        pytest.param("a]b", "/[^]/g", "x", "xxx", id="any"),
        pytest.param("ab", "/[]/g", "x", "ab", id="none"),
        pytest.param("aXbX", "/(?<!b)X/", "-", "a-bX", id="look-behind"),
        pytest.param(
            "2020-01-02", r"/(\d+)-(\d+)-(\d+)/", "$3.$2.$1 $$ $& $9 $0", "02.01.2020 $ 2020-01-02 $9 $0", id="groups"
        ),
        pytest.param("ac", "/(b)?(a)c/", "[$1$2]", "[a]", id="absent group is empty"),
        pytest.param("aa bb ab", r"/(.)\1/g", "x", "x x ab", id="back reference"),
        pytest.param("b", r"/(a)?\1b/", "x", "x", id="back reference to an absent group"),
        pytest.param("a{b}", "/{/", "x", "axb}", id="lone brace"),
        pytest.param("a{,2}", "/a{,2}/", "x", "x", id="no repetition"),
        pytest.param("aaa", "/a{2}/", "x", "xa", id="repetition"),
        pytest.param("\u0001", r"/\1/", "x", "x", id="octal"),
        pytest.param("a/b", r"/a\/b/", "x", "x", id="escaped slash"),
        pytest.param("😀", "/./g", "x", "xx", id="units without u"),
        pytest.param("😀", "/./gu", "x", "x", id="characters with u"),
        pytest.param("😀", r"/\u{1F600}/u", "x", "x", id="code point escape"),
        pytest.param("aab", "/a/gy", "x", "xxb", id="sticky"),
        pytest.param("aEz", r"/\p{Lu}/u", "x", "axz", id="property"),
        pytest.param("a.b", r"/[\w.-]+/", "x", "x", id="class with a hyphen"),
        pytest.param("a-1", r"/[^\D]/", "x", "a-x", id="complement in a class"),
        pytest.param("a(?P<n>b)", r"/\(\?P/", "x", "ax<n>b)", id="escaped syntax"),
    ],
)
def test_translation(text: str, search: str, replacement: str, expect: str) -> None:
    """A pattern means what it means in JavaScript."""
    assert render("{{replace(t; s; r)}}", {"t": text, "s": search, "r": replacement}) == expect


@pytest.mark.parametrize(
    ("search", "fragment"),
    [
        pytest.param("/(?<n>a)/", "named groups are not supported", id="named group"),
        pytest.param("/(/", "a group is not closed", id="open group"),
        pytest.param("/a)/", "unmatched ')'", id="unmatched"),
        pytest.param("/*a/", "nothing to repeat", id="nothing to repeat"),
        pytest.param("/a**/", "nothing to repeat", id="repeated twice"),
        pytest.param("/[b-a]/", "range out of order", id="range"),
        pytest.param("/a{2,1}/", "numbers out of order", id="counts"),
        pytest.param("/[a/", "a class is not closed", id="open class"),
        pytest.param("/a/gg", "flags 'gg'", id="flag twice"),
        pytest.param("/(?i:a)/", "invalid group", id="other dialect"),
        pytest.param("/(?>a)/", "invalid group", id="atomic group"),
    ],
)
def test_refusal(search: str, fragment: str) -> None:
    """What is invalid or has no exact counterpart is an error that says so."""
    error = failure('{{replace("abc"; s; "x")}}', {"s": search})

    assert str(error).startswith("Function 'replace' finished with error! Invalid regular expression")
    assert fragment in str(error)


@pytest.mark.parametrize(
    ("text", "search", "replacement", "expect"),
    [
        pytest.param("ab", "/(?:(a)|b)+/", "[$1]", "[]", id="a repetition resets its groups"),
        pytest.param("abab", r"/(?:(a)|(b))*\1/", "x", "x", id="reference to a group that was reset"),
        pytest.param("aab", "/(?:|a)*/", "x", "xb", id="repetition of something that can be empty"),
        pytest.param("2024", r"/(?<=(\d))4/", "$1", "2022", id="group in a look-behind"),
        pytest.param("ſs", "/s/giu", "x", "xx", id="i and u together"),
        pytest.param("aβb", r"/\p{Script=Greek}/u", "x", "axb", id="property of a script"),
        pytest.param("aXb", "/(?=(X))*X/", "$`|$'|$$`", "a$`|$'|$`b", id="no other forms in the replacement"),
        pytest.param("ab", r"/(?:\1b|(a))+/", "[$1]", "[]", id="reference before its group"),
    ],
)
def test_what_cannot_be_translated_goes_to_the_engine(text: str, search: str, replacement: str, expect: str) -> None:
    """A pattern without an exact counterpart in Python means what it means in JavaScript all the same."""
    assert render("{{replace(t; s; r)}}", {"t": text, "s": search, "r": replacement}) == expect


def test_the_engine_has_a_time_limit_too() -> None:
    """A pattern that blows up in the engine ends with a sentence, like one that is translated."""
    search = r"/(?:(a)|\1|a?)*(?:a?a?a?a?)*c/"
    started = time.monotonic()
    error = failure('{{replace(t; s; "x")}}', {"t": "a" * 60, "s": search})

    assert "took too long" in str(error)
    assert time.monotonic() - started < 10


def test_named_groups_stay_refused() -> None:
    """Named groups are no part of `replace`, also where the engine would take the rest (spec/iml.md 7.2)."""
    for search in (r"/(?<=(\d))(?<n>4)/", "/(?<n>a)/iu", r"/(?:|a)*(?<year>\d)/"):
        assert "Invalid regular expression" in str(failure('{{replace("24"; s; "x")}}', {"s": search}))
    assert render('{{replace("(?<n>"; s; "x")}}', {"s": r"/[(?<n>]+\p{Script=Greek}?/u"}) == "x"
