"""Limits: each ends in an ImlError that names the place, before memory or time is gone."""

from __future__ import annotations

import time
from typing import Any

import pytest

from runtime.errors import ImlError, ImlSyntaxError
from runtime.iml import Environment, compile_document
from tests.unit.iml.helpers import NOW, failure, render

BIG = "a" * (3 * 1024 * 1024)
MANY = list(range(400_000))


def grow(times: int) -> str:
    """Nested replacements, each of which makes the text ten times as long."""
    return "{{" + "replace(" * times + "a" + '; "a"; "aaaaaaaaaa")' * times + "}}"


@pytest.mark.parametrize(
    "source",
    [
        pytest.param(grow(9), id="nested replace"),
        pytest.param(
            "{{" + "replace(" * 9 + "a" + '; "/a/g"; "$&$&$&$&$&$&$&$&$&$&")' * 9 + "}}", id="nested regular expression"
        ),
        pytest.param("{{" + " + ".join(["b"] * 12) + "}}", id="addition"),
        pytest.param("{{b}}" * 12, id="concatenation"),
        pytest.param('{{join(split(b; "");"0123456789012")}}', id="split and join"),
        pytest.param("{{join(m; b)}}", id="join with a long separator"),
        pytest.param("{{encodeURL(e)}}{{encodeURL(e)}}", id="encoding"),
        pytest.param("{{escapeMarkdown(dots)}}", id="escaping"),
        pytest.param("{{merge(m; m; m)}}", id="merge"),
        pytest.param("{{sum(m; m; m)}}", id="statistics"),
        pytest.param("{{length(add(m; map(m; 1); sort(m); reverse(m)))}}", id="many passes"),
        pytest.param("{{flatten(deep; 99)}}", id="flatten"),
        pytest.param("{{replaceEmojiCharacters(smiles; b)}}", id="emoji"),
        pytest.param('{{replace(b; "/(a+)+$x/"; "")}}', id="backtracking"),
        pytest.param('{{replace(b; "/(a|aa)+b/"; "")}}', id="more backtracking"),
        pytest.param([f"{{{{b + {n}}}}}" for n in range(400)], id="many long texts"),
    ],
)
def test_amplification_is_stopped(source: Any) -> None:
    """Small templates cannot make huge results or endless work."""
    shared: list[Any] = [1] * 100
    for _ in range(6):
        shared = [shared] * 10
    context = {
        "a": "a",
        "b": BIG,
        "m": MANY,
        "e": "ž" * 3_000_000,
        "dots": "." * 8_000_000,
        "deep": shared,
        "smiles": "😀" * 9999,
    }

    error = failure(source, context)

    assert any(word in str(error) for word in ("longer than", "steps", "memory"))
    assert error.place is not None
    assert "column" in error.place


def test_limits_belong_to_the_environment() -> None:
    """A caller may set smaller budgets."""
    template = compile_document({"k": "{{sum(m)}}"})

    assert template.render({"m": [1, 2]}, Environment(now=NOW, max_steps=50)) == {"k": 3}
    assert "50 steps" in str(failure({"k": "{{sum(m)}}"}, {"m": [1] * 100}, max_steps=50))
    assert "300 characters" in str(failure({"k": "{{b + 1}}"}, {"b": BIG}, max_text=300))


def test_values_nested_too_deeply_are_an_error() -> None:
    """Printing or comparing data deeper than the interpreter follows is an error with a place."""
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    for source in ("x{{d}}", "{{createJSON(d)}}", "{{d = e}}", "{{deduplicate(d)}}"):
        error = failure({"k": source}, {"d": deep, "e": [[[]]] if "=" not in source else deep})
        assert "nested too deeply" in str(error)
        assert error.place is not None
        assert error.place.startswith("module x, /response/k")


def test_ordinary_sizes_pass() -> None:
    """The budgets leave room for real work."""
    records = [{"id": n, "name": f"n{n}"} for n in range(50_000)]

    assert len(render('{{map(records; "name")}}', {"records": records})) == 50_000
    assert len(render("{{b}}{{b}}", {"b": BIG})) == 2 * len(BIG)


LONG = 99_990


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("{{" + "a+" * (LONG // 2) + "a}}", id="additions"),
        pytest.param("{{" + "a&" * (LONG // 2) + "a}}", id="conjunctions"),
        pytest.param("{{" + "upper(a)+" * (LONG // 9) + "a}}", id="calls"),
        pytest.param("{{sum(" + "a;" * (LONG // 2 - 10) + "a)}}", id="arguments"),
        pytest.param("{{switch(a;" + "a;" * (LONG // 2 - 10) + "a)}}", id="cases"),
        pytest.param("{{a" + ".b" * (LONG // 2) + "}}", id="path"),
        pytest.param("{{a" + "[1]" * (LONG // 3) + "}}", id="indexes"),
        pytest.param("{{ {" + ",".join([f"a{n}:a" for n in range(LONG // 10)]) + "} }}", id="members"),
        pytest.param("{{a}}" * 10_000, id="expressions in a text"),
        pytest.param({str(n): "{{a.b}}" for n in range(20_000)}, id="texts in a document"),
    ],
)
def test_what_is_as_long_as_allowed_compiles_in_seconds(source: Any) -> None:
    """Nothing within the limits takes long to compile or to render; processor time, so that a busy machine passes."""
    started = time.process_time()
    try:
        compile_document(source).render({"a": 1}, Environment(now=NOW))
    except ImlError as error:
        assert error.place

    assert time.process_time() - started < 6


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        pytest.param("{{a}} " * 750_000, "a text may have 10,000 expressions", id="one text"),
        pytest.param(["{{a}} " * 9_000] * 400, "may have 150,000 parts in all", id="many long texts"),
        pytest.param(["{{a}}"] * 400_000, "may have 150,000 parts in all", id="many short texts"),
        pytest.param(
            ["{{a"] * 400_000 + ["{{a +}}"] * 400_000, "may have 150,000 parts in all", id="many broken texts"
        ),
        pytest.param({"{{a}}" + str(n): 1 for n in range(200_000)}, "may have 150,000 parts in all", id="many keys"),
        pytest.param("{{" + "a+" * 60_000 + "a}}", "may have 100,000 characters", id="one expression"),
    ],
)
def test_what_is_too_long_is_a_syntax_error_at_once(source: Any, detail: str) -> None:
    """A template of megabytes is refused when it is rendered, before it costs time or memory to compile."""
    started = time.process_time()
    template = compile_document(source)

    assert time.process_time() - started < 15
    assert detail in str(template.errors[0])
    with pytest.raises(ImlSyntaxError, match=detail):
        template.render({}, Environment(now=NOW))
