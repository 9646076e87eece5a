"""Splitting strings, tokens, the tree and syntax errors."""

from __future__ import annotations

import pytest

from runtime.errors import ImlSyntaxError
from runtime.iml import caret, compile_document
from runtime.iml.lexer import Expression, split
from runtime.iml.nodes import Call, Chain, Constant, Path
from runtime.iml.parser import parse
from tests.unit.iml.helpers import NOW, failure, render


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        pytest.param("plain", ["plain"], id="no expression"),
        pytest.param("a{{x}}b", ["a", "x", "b"], id="text around"),
        pytest.param('{"a":{{x}}}', ['{"a":', "x", "}"], id="one brace in front"),
        pytest.param("{{{x}}}", ["{", "x", "}"], id="three braces"),
        pytest.param("{{x", ["{{x"], id="never closed"),
        pytest.param("x}}", ["x}}"], id="never opened"),
        pytest.param('{{"}}"}}', ["}}"], id="braces in a text"),
        pytest.param("{{`}}`}}{{y}}", ["}}", "y"], id="braces in a quoted name"),
    ],
)
def test_a_string_is_split_into_texts_and_expressions(source: str, shape: list[str]) -> None:
    """Literal text and expressions take turns; braces inside literals end nothing."""
    parts = [part if isinstance(part, str) else part.tokens[0].value for part in split(source)]

    assert parts == shape


def test_tokens_carry_their_kind() -> None:
    """A hyphen joins names only when a name character follows; digits before a dot and a name are a module."""
    (expression,) = split("{{1.a-b - 5-3 and /x/g}}")

    assert isinstance(expression, Expression)
    assert [(token.kind, token.value) for token in expression.tokens] == [
        ("module", "1"),
        ("mark", "."),
        ("name", "a-b"),
        ("operator", "-"),
        ("number", "5"),
        ("operator", "-"),
        ("number", "3"),
        ("operator", "&"),
        ("string", "/x/g"),
        ("end", ""),
    ]


def test_the_tree_follows_precedence() -> None:
    """`*` binds tighter than `+`; a chain of one level is flat; calls hold their arguments."""
    (node,) = parse("{{a + 2 * f(x;) + 1}}").parts

    assert isinstance(node, Chain)
    assert [operator for operator, _, _ in node.rest] == ["+", "+"]
    product = node.rest[0][1]
    assert isinstance(product, Chain)
    called = product.rest[0][1]
    assert isinstance(called, Call)
    assert len(called.arguments) == 2
    assert isinstance(node.first, Path)
    assert isinstance(node.rest[1][1], Constant)


@pytest.mark.parametrize(
    ("source", "detail", "column"),
    [
        pytest.param("{{a b}}", "unexpected 'b'", 5, id="two words"),
        pytest.param("x {{1 +}}", "unexpected end", 8, id="operand missing"),
        pytest.param('{{parseDate(1.day; "YYYY"}}', "')' expected", 26, id="parenthesis open"),
        pytest.param('{{upper("abc)}}', "the text is not closed", 9, id="text open"),
        pytest.param("{{a[1}}", "']' expected", 6, id="bracket open"),
        pytest.param("{{5abc}}", "unexpected 'a' after a number", 4, id="name after number"),
        pytest.param("{{a ? b : c}}", "unexpected character '?'", 5, id="ternary"),
        pytest.param("{{ {a: 1 b: 2} }}", "unexpected 'b'", 10, id="comma missing"),
        pytest.param("{{/ab}}", "the regular expression is not closed", 3, id="regular expression open"),
        pytest.param("{{1.}}", "unexpected end", 5, id="path ends with a dot"),
    ],
)
def test_a_syntax_error_says_what_and_where(source: str, detail: str, column: int) -> None:
    """The message quotes the expression, `column` points into the template."""
    with pytest.raises(ImlSyntaxError) as caught:
        compile_document(source, on_error="raise")

    assert str(caught.value).startswith("Failed to parse expression '")
    assert str(caught.value).endswith(detail)
    assert (caught.value.column, caught.value.template) == (column, source)


def test_a_caret_points_at_the_place() -> None:
    """The line with the error and a caret below it; a long line is cut around the place."""
    (error,) = compile_document("first\n{{a b}}").errors
    assert caret(error.template, error.column) == ("{{a b}}", "    ^")

    (error,) = compile_document("x" * 500 + "{{a b}}").errors
    line, pointer = caret(error.template, error.column)
    assert line[len(pointer) - 1] == "b"


def test_a_caret_is_right_behind_tabs_and_line_ends() -> None:
    """Characters that would move the caret are shown as blanks; a cut line says so."""
    assert caret("\t{{a\tb}}", 6) == (" {{a b}}", "     ^")
    line, pointer = caret("y" * 200 + "{{a b}}" + "z" * 500, 205)
    assert line.startswith("...")
    assert line.endswith("...")
    assert line[len(pointer) - 1] == "b"
    assert caret("", 5) == ("", "^")


@pytest.mark.parametrize(
    ("template", "function", "argument"),
    [
        pytest.param('{{formatNumber("x"; 2)}}', "formatNumber", "number", id="first argument"),
        pytest.param('{{formatNumber(1; "two")}}', "formatNumber", "decimals", id="second argument"),
        pytest.param('{{addDays(d; "x")}}', "addDays", "number", id="variable before it"),
        pytest.param("{{join(5)}}", "join", "array", id="array"),
        pytest.param("{{upper(uper(1))}}", "uper", "", id="unknown function"),
        pytest.param('{{sum("x")}}', "sum", "", id="one of many"),
    ],
)
def test_an_error_names_function_and_argument_for_editors(template: str, function: str, argument: str) -> None:
    """Beside the specified message an error carries the function at fault and the parameter that was refused."""
    error = failure({"a": template}, {"d": NOW})

    assert (error.function, error.argument, error.pointer) == (function, argument, "/a")
    assert error.column > 2


def test_a_syntax_error_waits_for_its_string() -> None:
    """Compiling never raises by default; the string with the error does when it is rendered."""
    template = compile_document({"good": "{{1}}", "bad": "{{1 +}}"})

    assert [error.place for error in template.errors] == ["/bad, column 6"]
    assert failure({"bad": "{{1 +}}"}).place == "module x, /response/bad, column 6"


@pytest.mark.parametrize("depth", [150, 199])
def test_deep_nesting_works_up_to_the_limit(depth: int) -> None:
    """Nesting up to the limit of the language works; the interpreter's own limit does not show."""
    assert render("{{" + "(1 + " * depth + "1" + ")" * depth + "}}") == depth + 1
    assert render("{{" + "-" * depth + "1}}") == (-1) ** depth
    assert render("{{" + "lower(" * depth + "a" + ")" * depth + "}}", {"a": "A"}) == "a"


@pytest.mark.parametrize(
    "source",
    [
        "(" * 201 + ")" * 201,
        "-" * 201 + "1",
        "f(" * 201 + ")" * 201,
        "{a:" * 201 + "1" + "}" * 201,
        "a[" * 201 + "]" * 201,
    ],
)
def test_deeper_nesting_is_a_syntax_error(source: str) -> None:
    """One level more than the limit is refused."""
    assert "nested deeper than 200 levels" in str(failure("{{ " + source + " }}"))


def test_long_expressions_are_refused() -> None:
    """More than 100,000 characters are refused; long flat ones below work."""
    assert render("{{" + "1 + " * 20_000 + "1}}") == 20_001
    assert "100,000 characters" in str(failure("{{" + "1 + " * 30_000 + "1}}"))


def test_references_and_calls_are_listed() -> None:
    """A checker sees variables with their literal path, calls with their arguments, and where they stand."""
    template = compile_document({"a/b": ["x", "{{get(1.a.b[2].c[n]; q)}}"], "{{k}}": "v"})

    found = [(r.root, r.path, r.pointer, r.column) for r in template.references]
    assert found == [
        ("1", ("a", "b", 2, "c"), "/a~1b/1", 7),
        ("n", (), "/a~1b/1", 18),
        ("q", (), "/a~1b/1", 22),
        ("k", (), "/{{k}}", 3),
    ]
    assert [(c.name, c.arguments, c.pointer) for c in template.calls] == [("get", 2, "/a~1b/1")]
