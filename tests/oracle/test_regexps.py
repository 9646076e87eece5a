"""Translated regular expressions against the JavaScript engine: same matches, same groups, same refusals."""

from __future__ import annotations

import os
from typing import Any

import pytest
import regex
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtime.errors import ImlError
from runtime.iml.evaluation import FunctionFailed
from runtime.iml.javascript import RegexRefused, RegexTimedOut, function_host, js_matches, js_replace
from runtime.iml.regexps import NotExact, compile_literal, to_units
from tests.unit.iml.helpers import render

EXAMPLES = int(os.environ.get("SCENARIST_ORACLE_EXAMPLES", "400"))

ATOMS = st.sampled_from([
    *"abcAB1_ -.", "é", "É", "ß", "ſ", "K", "😀", "\n", "\u2028", ",", "{", "}", "]", ":", "=", "a{", "x{1", "{,2}",
    r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\b", r"\B", "^", "$", r"\.", r"\/", r"\n", r"\t", r"\x41", r"\u0041",
    r"\u{61}", r"\cA", r"\c", r"\0", r"\1", r"\2", r"\12", r"\8", r"\-", r"\e", r"\k", r"\p{Lu}", r"\P{L}", r"\u00e9",
    r"\ud83d\ude00", r"\ud83d", "[abc]", "[^a]", "[a-c]", "[^]", "[]", r"[\d-z]", r"[\w-]", r"[\b]", "[a-]", r"[^\D]",
    "[é-ü]", "[A-z]", "[😀]", r"[\p{Lu}1]", "[[]", r"[\]]", "[^\\n]",
])  # fmt: skip
QUANTIFIERS = st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,}", "{2,1}", "{0}", "{1,2}?", "**"])
GROUPS = st.sampled_from(["(", "(", "(", "(?:", "(?=", "(?!", "(?<=", "(?<!"])


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.tuples(inner, QUANTIFIERS).map("".join),
        st.tuples(GROUPS, inner).map(lambda made: f"{made[0]}{made[1]})"),
        st.tuples(GROUPS, inner, QUANTIFIERS).map(lambda made: f"{made[0]}{made[1]}){made[2]}"),
        st.lists(inner, min_size=2, max_size=3).map("|".join),
    )


PATTERNS = st.recursive(ATOMS, compound, max_leaves=8)
BROKEN = st.sampled_from(["(", ")", "[", "*a", "a{2,1}", "(?a)", "(?<n>a)", "\\", "[b-a]", "(?<=a)*"])
TEXTS = st.text(st.sampled_from(list("abcABkKsS1_ -.,{}]x:\nzéÉß\u017f\u212a\u2028\u00a0😀\ud83d")), max_size=12)
FLAGS = st.sets(st.sampled_from("gimsuy")).map(sorted).map("".join)


def ours(pattern: str, flags: str, text: str) -> list[Any]:
    compiled = compile_literal(pattern, flags)
    units = text if compiled.unicode else to_units(text)
    found: list[Any] = []
    position = 0
    while position <= len(units):
        run = compiled.pattern.match if compiled.sticky else compiled.pattern.search
        match = run(units, position, timeout=2)
        if match is None:
            break
        groups = [None if number in compiled.uncertain else match[number] for number in range(1, compiled.groups + 1)]
        found.append([to_units(match[0]), [None if group is None else to_units(group) for group in groups]])
        if not compiled.everywhere:
            break
        position = match.end() + (match.end() == match.start())
    return found


def theirs(pattern: str, flags: str, text: str, uncertain: frozenset[int]) -> list[Any]:
    return [
        [
            to_units(found["match"]),
            [
                None if number in uncertain or group is None else to_units(group)
                for number, group in enumerate(found["groups"], 1)
            ],
        ]
        for found in js_matches(text, pattern, flags)
    ]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pattern=st.one_of(PATTERNS, PATTERNS, PATTERNS, st.tuples(PATTERNS, BROKEN).map("".join)), flags=FLAGS, text=TEXTS
)
@example(pattern="(?:(a)|b)*", flags="g", text="aab")
@example(pattern="(?=(a))*", flags="", text="ab")
@example(pattern="[sk]", flags="gi", text="\u017f\u212aKS")
def test_translation_and_engine_agree(pattern: str, flags: str, text: str) -> None:
    """What is translated matches as in JavaScript; what is called invalid is invalid there too."""
    try:
        compiled = compile_literal(pattern, flags)
    except NotExact:
        return  # the engine itself takes these
    except FunctionFailed:
        if "(?<" in pattern.replace("(?<=", "").replace("(?<!", ""):
            return  # named groups are refused by rule
        with pytest.raises(RegexRefused):
            js_matches(text, pattern, flags)
        return
    try:
        expected = theirs(pattern, flags, text, compiled.uncertain)
    except RegexTimedOut:
        return

    assert ours(pattern, flags, text) == expected


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(pattern=PATTERNS, flags=FLAGS, text=TEXTS, replacement=st.text(st.sampled_from(list("$&12`'<n>x0")), max_size=6))
def test_replace_agrees_with_the_engine(pattern: str, flags: str, text: str, replacement: str) -> None:
    """`replace` gives what JavaScript gives, whoever evaluates it, but for two forms without meaning."""
    plain = replacement.replace("$`", "").replace("$'", "").replace("`", "").replace("'", "")
    try:
        expected = js_replace(text, pattern, flags, plain)
    except (RegexRefused, RegexTimedOut):
        return
    context = {"t": text, "s": f"/{pattern}/{flags}", "r": plain}
    try:
        given_back = render("{{replace(t; s; r)}}", context)
    except ImlError as error:
        assert "too" in str(error) or "longer" in str(error), str(error)
        return

    assert to_units(given_back) == to_units(expected)


def test_the_engine_is_that_of_the_child() -> None:
    """The comparison is against a real JavaScript engine, not against the package that the translation uses."""
    assert js_matches("aa", "(?<x>a)\\k<x>")[0]["named"] == {"x": "a"}
    assert regex.__name__ == "regex"
    assert function_host().pool.pids()
