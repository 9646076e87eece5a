"""The compiler and the tree-walking oracle agree: on every case, and on programs made from the grammar."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runtime.errors import ImlError
from runtime.iml import Environment, compile_document
from runtime.iml.functions import FUNCTIONS
from runtime.values import UNDEFINED, Buffer
from tests.conformance.iml_cases import decode, environment_of, load_cases, same
from tests.oracle.evaluator import Oracle

#: Programs to make; the long form of this test sets it to 5,000.
EXAMPLES = int(os.environ.get("SCENARIST_ORACLE_EXAMPLES", "400"))
NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def outcome(run: Any) -> Any:
    """A result, or class and message of the error."""
    try:
        return run()
    except ImlError as error:
        return (type(error).__name__, str(error))


def both(source: Any, context: dict[str, Any], environment: Environment, *, marks: bool = False) -> tuple[Any, Any]:
    """What the compiler and what the oracle make of a document."""
    template = compile_document(source, marks=marks)
    ours = outcome(lambda: template.render(context, environment))
    return ours, outcome(lambda: Oracle(context, environment, marks=marks).render(source))


def agree(left: Any, right: Any) -> bool:
    return left == right if isinstance(left, tuple) or isinstance(right, tuple) else same(left, right)


@pytest.mark.usefixtures("shared")
def test_agreement_on_all_cases() -> None:
    """Both give the same value or the same error for every case that does not depend on chance."""
    for case in load_cases():
        if any(word in str(case["template"]) for word in ("random", "uuid", "shuffle")):
            continue
        ours, theirs = both(case["template"], decode(case["context"]), environment_of(case))

        assert agree(ours, theirs), f"{case['id']}: {ours!r} != {theirs!r}"


CONTEXT: dict[str, Any] = {
    "1": {
        "a": 5,
        "b": "text",
        "c": {"d": [1, "2", None], "k-x": True},
        "e": "",
        "n": None,
        "l": [{"k": 1}, {"k": "2"}],
    },
    "x": [3, 1, 2],
    "s": "Ahoj, světe 😀",
    "num": 1.5,
    "t": True,
    "f": False,
    "d": datetime(2020, 2, 29, 23, 30, tzinfo=UTC),
    "buf": Buffer(b"hi"),
    "o": {"p": {"q": {"r": 1}}, "z": 0, "5": "five"},
    "now": NOW,
    "timestamp": 1_600_000_000,
}
ATOMS = st.one_of(
    st.sampled_from(
        ["'x y'", '"a,b"', '"/[a-z]/g"', '"2020-01-05"', '"name"', "''", '"5"', "{a: 1, b: missing}", "{}"]
    ),
    st.sampled_from(
        [
            "0",
            "1",
            "2.5",
            "1e3",
            "true",
            "false",
            "null",
            "undefined",
            "emptystring",
            "erase",
            "ignore",
            "emptyarray",
            "space",
            "pi",
        ]
    ),
    st.sampled_from(
        [
            "1.a",
            "1.b",
            "1.c.d",
            "1.c.k-x",
            "1.e",
            "1.n",
            "1.l",
            "x",
            "s",
            "num",
            "t",
            "f",
            "d",
            "buf",
            "o",
            "o.p",
            "o.p.q.r",
            "o.p.q.zz",
            "o.z",
            "o.5",
            "x.1",
        ]
    ),
    st.sampled_from(
        [
            "missing",
            "missing.deep.er",
            "1.c.d[2]",
            "x[]",
            "x[-1]",
            'o["z"]',
            "1.l[1].k",
            "x[num]",
            "now",
            "timestamp",
            "`s`",
        ]
    ),
)
NAMES = [*sorted(set(FUNCTIONS) - {"shuffle", "jwt"}), "nope", "if", "ifempty", "switch", "if", "ifempty", "custom"]
OPERATORS = ["+", "-", "*", "/", "%", "mod", "=", "==", "!=", "<", "<=", ">", ">=", "&", "&&", "and", "|", "||", "or"]


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    call = st.tuples(st.sampled_from(NAMES), st.lists(inner, max_size=5), st.sampled_from(",;"))
    members = st.lists(st.tuples(st.sampled_from(["a", "b", '"c d"', "`e`"]), inner), max_size=3)
    return st.one_of(
        call.map(lambda c: f"{c[0]}({c[2].join(c[1])})"),
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda c: f"{c[0]} {c[1]} {c[2]}"),
        st.lists(inner, min_size=3, max_size=30).map(lambda c: " + ".join(c)),
        st.tuples(st.sampled_from("!-+"), inner).map(lambda c: f"{c[0]}({c[1]})"),
        inner.map(lambda c: f"({c})"),
        st.tuples(inner, st.sampled_from([".a", ".k", "[1]", "[]", ".`p`.q", "[x[]]"])).map(
            lambda c: f"({c[0]}){c[1]}"
        ),
        members.map(lambda c: "{" + ", ".join(f"{k}: {v}" for k, v in c) + "}"),
    )


EXPRESSIONS = st.recursive(ATOMS, compound, max_leaves=12)
STRINGS = st.one_of(
    EXPRESSIONS.map(lambda e: "{{ " + e + " }}"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(lambda c: f"a{{{{ {c[0]} }}}} b {{{{ {c[1]} }}}}"),
    st.text(alphabet="ab{}\"'`.;()1+ /[]", max_size=12).map(lambda t: "{{" + t + "}}"),
    st.just("plain"),
)
KEYS = st.one_of(st.sampled_from(["a", "b", "c", "{{...}}", "k{{1.a}}", "{{missing}}"]), STRINGS)
DOCUMENTS = st.recursive(
    st.one_of(STRINGS, st.none(), st.integers(-5, 5), st.booleans()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=6,
)


def custom(*arguments: Any) -> Any:
    """A custom function: fails for a text, gives its arguments otherwise."""
    if arguments and isinstance(arguments[0], str):
        raise ImlError("no texts, please")
    return [argument for argument in arguments if argument is not UNDEFINED]


def check(source: Any, marks: bool) -> None:
    for environment in (
        Environment(now=NOW, timezone="Europe/Prague"),
        Environment(now=NOW, functions={"custom": custom, "lower": custom, "if": custom}, strict_functions=True),
    ):
        ours, theirs = both(source, CONTEXT, environment, marks=marks)
        assert agree(ours, theirs), f"{source!r}: {ours!r} != {theirs!r}"


@pytest.mark.timeout(120 + EXAMPLES)
@given(DOCUMENTS, st.booleans())
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
def test_agreement_on_made_programs(source: Any, marks: bool) -> None:
    """Both give the same value or the same error for documents made from the grammar."""
    check(source, marks)
