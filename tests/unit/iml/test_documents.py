"""Whole documents: structure, types, marks, variants for custom functions, places of errors."""

from __future__ import annotations

import dis
from typing import Any

import pytest

from runtime.errors import ImlError, ImlFunctionError, ImlFunctionNotFound, ImlTypeError
from runtime.iml import Environment, Place, compile_document, compile_path
from runtime.values import ERASE, FORCED_EMPTY, UNDEFINED
from tests.unit.iml.helpers import NOW, failure, render


def test_structure_is_kept_and_undefined_members_are_dropped() -> None:
    """Keys stay in order, undefined members go, array items stay, null stays."""
    source = {"a": "{{x}}", "b": ["{{x}}", "{{y}}", 3], "c": {"d": "{{y}}"}, "e": None, "f": "{{null}}", "g": "t{{x}}"}

    assert render(source, {"x": 1}) == {
        "a": 1,
        "b": [1, UNDEFINED, 3],
        "c": {},
        "e": None,
        "f": None,
        "g": "t1",
    }
    assert list(render(source, {"x": 1})) == ["a", "b", "c", "e", "f", "g"]


def test_constant_parts_are_new_each_time() -> None:
    """Changing a result does not change the next one."""
    for source in ({"a": [1, {"b": []}]}, {"a": [{"n": n} for n in range(100)], "x": "{{y}}"}):
        template = compile_document(source)
        first = template.render({}, Environment(now=NOW))
        first["a"].append(1)

        assert template.render({}, Environment(now=NOW))["a"] == source["a"]


def test_constant_is_known() -> None:
    """A document without expressions says so."""
    assert compile_document({"a": "b {{ c"}).constant
    assert not compile_document({"a": "{{1}}"}).constant


def test_a_mapped_record_is_straight_code() -> None:
    """Paths of a record become dictionary reads: no helper is called while values have the expected types."""
    template = compile_document({"a": "{{1.x}}", "b": "text {{1.y}}"})
    run = template._plain.run  # type: ignore[attr-defined]  looking inside on purpose
    names = {str(i.argval) for i in dis.get_instructions(run) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}

    assert names <= {"type", "str", "dict", "len", "PRINT", "GETTER"}
    assert template.render({"1": {"x": 1, "y": "z"}}, Environment(now=NOW)) == {"a": 1, "b": "text z"}


def test_marks_live_in_tail_position_only() -> None:
    """A lone keyword, also as a result of `if`, `ifempty` and `switch`, is marked; an argument is not."""
    assert render("{{emptystring}}", marks=True) is FORCED_EMPTY
    assert render("{{erase}}", marks=True) is ERASE
    assert render("{{if(1; erase; 2)}}", marks=True) is ERASE
    assert render("{{if(x; emptystring; 2)}}", {"x": 1}, marks=True) is FORCED_EMPTY
    assert render("{{ifempty(x; switch(1; 1; erase))}}", marks=True) is ERASE
    assert type(render("{{upper(emptystring)}}", marks=True)) is str
    assert render("{{emptystring}}x", marks=True) == "x"
    assert render("{{add(emptyarray; erase)}}", marks=True) == [None]
    assert render("{{erase}}") is None
    assert type(render("{{emptystring}}")) is str


def test_custom_functions_win_and_are_eager() -> None:
    """A custom function takes the place of a built-in one; the same template without it uses the built-in one."""
    seen: list[Any] = []

    def custom(*arguments: Any) -> Any:
        seen.append(arguments)
        return "mine"

    template = compile_document("{{if(1; 2; nothing)}}")

    assert template.render({}, Environment(now=NOW, functions={"if": custom})) == "mine"
    assert seen == [(1, 2, UNDEFINED)]
    assert template.render({}, Environment(now=NOW)) == 2


def test_errors_of_custom_functions_are_wrapped_once() -> None:
    """A failure inside a custom function names it; one that is already wrapped passes."""

    def plain(*_: Any) -> Any:
        raise ImlError("bad luck")

    def wrapped(*_: Any) -> Any:
        raise ImlFunctionError("Function 'w' finished with error! done")

    functions = {"p": plain, "w": wrapped}

    assert str(failure("{{upper(p())}}", functions=functions)) == "Function 'p' finished with error! bad luck"
    error = failure("{{upper(w())}}", functions=functions)
    assert (str(error), error.place) == ("Function 'w' finished with error! done", "module x, /response, column 9")


def test_strict_functions_take_the_app_set_away() -> None:
    """`createJSON` and its like are unknown in a scenario mapper that asks for it."""
    assert render("{{createJSON(x)}}", {"x": [1]}) == "[1]"
    error = failure("{{createJSON(x)}}", {"x": [1]}, strict_functions=True)
    assert isinstance(error, ImlFunctionNotFound)


@pytest.mark.parametrize(
    ("source", "message", "place"),
    [
        pytest.param(
            {"a": ["{{1}}", "x{{lower(abs(q))}}"]}, "'abs' finished with error!", "/a/1, column 10", id="inner call"
        ),
        pytest.param({"{{...}}": "{{q}}"}, "'bad' is not a valid collection.", "/{{...}}, column 1", id="spread"),
        pytest.param({"k": {"{{nope()}}": 1}}, "Function 'nope' not found!", "/k/{{nope()}}, column 3", id="key"),
        pytest.param(
            {"k": "{{lower(nope())}}"}, "'lower' finished with error! Function 'nope'", "/k, column 9", id="unknown"
        ),
        pytest.param({"k": "{{1 +}}"}, "Failed to parse expression '1 +'", "/k, column 6", id="syntax"),
        pytest.param({"k": "{{if(1; abs(q))}}"}, "'abs' finished with error!", "/k, column 9", id="lazy branch"),
    ],
)
def test_an_error_names_component_pointer_and_column(source: Any, message: str, place: str) -> None:
    """`place` says where, the message stays as the specification has it."""
    error = failure(source, {"q": "bad"})

    assert message in str(error)
    assert error.place == f"module x, /response{place}"


def test_the_first_error_of_a_document_shows() -> None:
    """Evaluation goes in document order, also where members are built in several ways."""
    source = {"a": "x{{abs('1st')}}", "b": {"c": "{{q}}", "d": "{{abs('2nd')}}"}}

    assert "'1st' is not a valid number" in str(failure(source))
    assert isinstance(failure({"{{...}}": "text"}), ImlTypeError)


def test_a_path_needs_no_braces() -> None:
    """`iterate` may be given as a bare path; columns count in what was written."""
    assert compile_path("body.items[2]").render({"body": {"items": [1, 2]}}, Environment(now=NOW)) == 2
    assert compile_path("{{body}}").render({"body": 1}, Environment(now=NOW)) == 1
    assert compile_path("").render({}, Environment(now=NOW)) is UNDEFINED
    with pytest.raises(ImlError) as caught:
        compile_path("abs(x)", place=Place("rpc r")).render({"x": "?"}, Environment(now=NOW))
    assert caught.value.place == "rpc r, column 1"
    error = compile_path("a b").errors[0]
    assert (error.template, error.column) == ("a b", 3)


def test_keywords_come_from_the_environment_unless_the_context_has_them() -> None:
    """`now`, `timestamp`, `executionId`; `uuid` and `random` are new at every evaluation."""
    assert render("{{now}}") == NOW
    assert render("{{timestamp}}") == int(NOW.timestamp())
    assert render("{{now}}", {"now": 5}) == 5
    assert render("{{executionId}}", execution_id="e1") == "e1"
    first, second = render(["{{uuid}}", "{{uuid}}"])
    assert first != second
