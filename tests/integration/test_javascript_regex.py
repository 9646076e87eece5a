"""Regular expressions in the JavaScript dialect, in the real child process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from runtime.iml.javascript import FunctionHost, RegexRefused, RegexTimedOut, js_matches, js_replace

SHORT = timedelta(milliseconds=100)


@pytest.fixture(scope="module")
def host() -> Iterator[FunctionHost]:
    """A pool with one child at work at a time."""
    host = FunctionHost(threads=1)
    yield host
    host.close()


def found(index: int, match: str, *groups: str | None, **named: str | None) -> dict[str, Any]:
    """A match as `js_matches` gives it."""
    return {"index": index, "match": match, "groups": list(groups), "named": named}


@pytest.mark.parametrize(
    ("text", "pattern", "flags", "expected"),
    [
        pytest.param("a1b22", r"\d+", "", [found(1, "1")], id="first only"),
        pytest.param("a1b22", r"\d+", "g", [found(1, "1"), found(3, "22")], id="all"),
        pytest.param("none", r"\d+", "g", [], id="none"),
        pytest.param("24-05", r"(?<y>\d+)-(?<m>\d+)", "", [found(0, "24-05", "24", "05", y="24", m="05")], id="named"),
        pytest.param("ac", "a(b)?(?<x>d)?c", "", [found(0, "ac", None, None, x=None)], id="groups without part"),
        pytest.param("€5 $7", r"(?<=\$)\d", "g", [found(4, "7")], id="look-behind"),
        pytest.param("abab", "(a)(b)\\1\\2", "", [found(0, "abab", "a", "b")], id="back reference"),
        pytest.param("xx", r"(?<n>x)\k<n>", "", [found(0, "xx", "x", n="x")], id="named back reference"),
        pytest.param("aab", "a", "gy", [found(0, "a"), found(1, "a")], id="sticky and global"),
        pytest.param("ba", "a", "y", [], id="sticky"),
        pytest.param("a\nb", "a.b", "s", [found(0, "a\nb")], id="dot matches all"),
        pytest.param("a\nb", "^b", "m", [found(2, "b")], id="multiline"),
        pytest.param("É", "é", "i", [found(0, "É")], id="case"),
        pytest.param("ab", "", "g", [found(0, ""), found(1, ""), found(2, "")], id="empty matches"),
        pytest.param("a😀", "", "gu", [found(0, ""), found(1, ""), found(3, "")], id="empty matches by characters"),
        pytest.param("x😀y", "y", "", [found(3, "y")], id="positions in UTF-16 units"),
        pytest.param("😀", "[^]", "g", [found(0, "\ud83d"), found(1, "\ude00")], id="halves of a character"),
        pytest.param("žluť", r"\p{L}+", "u", [found(0, "žluť")], id="property"),
        pytest.param("a/b", r"\/", "", [found(1, "/")], id="escaped slash"),
    ],
)  # fmt: skip
def test_matches_are_those_of_javascript(
    text: str, pattern: str, flags: str, expected: list[dict[str, Any]], host: FunctionHost
):
    """
    Index, text, numbered and named groups of each match.
    """
    assert js_matches(text, pattern, flags, host=host) == expected


def test_group_names_cannot_forge_anything(host: FunctionHost):
    """
    A group may be called `__proto__` or `$`.
    """
    [match] = js_matches("ab", "(?<__proto__>a)(?<$>b)", "", host=host)

    assert match["named"] == {"__proto__": "a", "$": "b"}


def test_the_number_of_matches_can_be_limited(host: FunctionHost):
    """
    No more than `limit` matches are looked for.
    """
    assert len(js_matches("a" * 1000, "a", "g", limit=3, host=host)) == 3


@pytest.mark.parametrize(
    ("text", "pattern", "flags", "replacement", "expected"),
    [
        ("a1b2", r"\d", "", "-", "a-b2"),
        ("a1b2", r"\d", "g", "[$&]", "a[1]b[2]"),
        ("John Smith", r"(\w+) (\w+)", "", "$2 $1 $3 $$", "Smith John $3 $"),
        ("2024-05", r"(?<y>\d+)-(?<m>\d+)", "", "$<m>/$<y>$<z>", "05/2024"),
        ("x\ud800y", "x", "", "\udfff", "\udfff\ud800y"),
    ],
)
def test_replacing_follows_javascript(
    text: str, pattern: str, flags: str, replacement: str, expected: str, host: FunctionHost
):
    """
    `$1`, `$&`, `$<name>` and `$$` in the replacement are expanded.
    """
    assert js_replace(text, pattern, flags, replacement, host=host) == expected


@pytest.mark.parametrize(
    ("pattern", "flags"), [("(", ""), ("a", "gg"), ("a", "q"), ("[b-a]", ""), ("(?<n>a)(?<n>b)", ""), ("\\u{1", "u")]
)
def test_an_invalid_pattern_or_flag_is_refused(pattern: str, flags: str, host: FunctionHost):
    """
    The engine's reason stands in the message.
    """
    with pytest.raises(RegexRefused, match=r"Invalid regular expression: ."):
        js_matches("x", pattern, flags, host=host)


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("a" * 40 + "b", "^(a+)+$"),
        ("a" * 40, "(a|a)*b"),
        ("a" * 40, "(a*)*b"),
        ("x" * 30_000, "(x+x+)+y"),
        (" " * 200_000 + "x", "\\s+$"),
        ("a" * 5000, "(.*)(.*)(.*)(.*)(.*)[^a]"),
    ],
    ids=["nested", "alternatives", "stars", "pairs", "trailing space", "wildcards"],
)
def test_a_pattern_that_takes_for_ever_is_stopped(text: str, pattern: str, host: FunctionHost):
    """
    The time limit ends it, and the next one is served.
    """
    with pytest.raises(RegexTimedOut, match="took too long"):
        js_matches(text, pattern, "", timeout=SHORT, host=host)

    assert js_replace("a", "a", "", "b", host=host) == "b"


def test_results_that_do_not_fit_are_an_error(host: FunctionHost):
    """
    A replacement that blows the text up meets the memory limit.
    """
    with pytest.raises(RegexTimedOut, match="too large"):
        js_replace("x" * 1_000_000, "x", "g", "y" * 1000, timeout=timedelta(seconds=20), host=host)

    assert js_replace("a", "a", "", "b", host=host) == "b"


def test_a_mebibyte_of_text_is_no_special_case(host: FunctionHost):
    """
    Large texts with many matches come back whole.
    """
    text = "word 12, " * 100_000

    assert js_replace(text, r"\d+", "g", "n", timeout=timedelta(seconds=20), host=host) == "word n, " * 100_000


def test_threads_get_their_own_matches(host: FunctionHost):
    """
    Expressions of several threads do not mix.
    """
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda n: js_matches(f"id {n}", r"\d+", "", host=host)[0]["match"], range(200)))

    assert results == [str(n) for n in range(200)]
