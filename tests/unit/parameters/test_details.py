"""The rest of the parameters: schemas, map mode, prohibited expressions, domains of options, failures as data."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runtime.errors import BundleValidationError, error_from_json
from runtime.parameters import expressions_of, joined, parse_fields, resolve
from runtime.parameters.json_schema import schema_fault
from runtime.values import ERASE, FORCED_EMPTY, UNDEFINED, Buffer


def run(fields: list[Any], config: dict[str, Any], **settings: Any) -> Any:
    """The resolved values of these fields."""
    return resolve(parse_fields(fields), config, **settings)


def failures(fields: list[Any], config: dict[str, Any], **settings: Any) -> list[dict[str, str]]:
    """What failed, as data."""
    with pytest.raises(BundleValidationError) as caught:
        run(fields, config, **settings)
    return caught.value.external["parameters"]


# JSON Schema ---------------------------------------------------------------------------------------------------------

NESTED = {
    "type": "object",
    "required": ["name", "rows"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "rows": {"type": "array", "minItems": 1, "maxItems": 2, "uniqueItems": True, "items": {"$ref": "#/$defs/row"}},
        "level": {"type": ["integer", "null"], "minimum": 1, "exclusiveMaximum": 5, "multipleOf": 2},
        "kind": {"enum": ["a", "b"]},
        "one": {"oneOf": [{"type": "string"}, {"type": "number"}]},
        "any": {"anyOf": [{"const": 1}, {"const": 2}]},
        "all": {"allOf": [{"minimum": 1}, {"maximum": 2}]},
        "no": {"not": {"type": "string"}},
    },
    "$defs": {"row": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}},
}
GOOD: dict[str, Any] = {"name": "abc", "rows": [{"id": 1}]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"level": None}, None),
        ({"level": 2, "kind": "b", "one": 1, "any": 2, "all": 1.5, "no": 3}, None),
        ({"name": 5}, "name must be of type string"),
        ({"name": "a"}, "name must have at least 2 characters"),
        ({"name": "abcde"}, "name must have at most 4 characters"),
        ({"name": "AB"}, "name must match"),
        ({"rows": []}, "rows must have at least 1 items"),
        ({"rows": [{"id": 1}] * 2}, "rows has an item twice"),
        ({"rows": [{"id": "x"}]}, "rows[0].id must be of type integer"),
        ({"rows": [{}]}, "rows[0].id is missing"),
        ({"level": 0}, "level must be at least 1"),
        ({"level": 3}, "level must be a multiple of 2"),
        ({"level": 6}, "level must be less than 5"),
        ({"level": True}, "level must be of type integer or null"),
        ({"kind": "c"}, "kind must be one of the allowed values"),
        ({"one": True}, "one fits none of the allowed forms"),
        ({"any": 3}, "any fits none"),
        ({"all": 3}, "all must be at most 2"),
        ({"no": "x"}, "no has a form that is not allowed"),
        ({"more": 1}, "more is not allowed"),
    ],
)
def test_the_subset_of_json_schema(change: dict[str, Any], words: str | None) -> None:
    """Each keyword that is listed works; the first fault is named with its path."""
    fault = schema_fault(NESTED, {**GOOD, **change})

    assert (fault is None) if words is None else (fault is not None and words in fault)


@pytest.mark.parametrize("schema", [{}, True, [], "x", {"$ref": "#"}, {"$ref": "#/no"}, {"type": 5}, {"items": [1]}])
def test_schemas_that_make_no_sense_refuse_nothing(schema: Any) -> None:
    """Nor does one that refers to itself go on for ever."""
    assert schema_fault(schema, {"a": [1]}) is None


def test_a_json_parameter_is_judged_by_its_schema() -> None:
    """In its parsed form; the value stays as it came. A schema may be written as a text."""
    field = {"name": "x", "type": "json", "schema": {"type": "object", "required": ["id"]}}
    text = {**field, "schema": json.dumps(field["schema"])}

    assert run([field], {"x": '{"id": 1}'}).values == {"x": '{"id": 1}'}
    assert run([text], {"x": {"id": 1}}).values == {"x": {"id": 1}}
    for each in (field, text):
        (failure,) = failures([each], {"x": "{}"})
        assert failure["message"] == "Invalid JSON in parameter 'x'."
        assert failure["expected"] == "valid JSON: id is missing"


# Expressions ---------------------------------------------------------------------------------------------------------


def test_expressions_of_a_mapper() -> None:
    """Paths are written as in error texts."""
    found = expressions_of({"a": "{{1.x}}", "b": "x {{1.y}}", "c": [{"d": " {{1.z}} "}], "e": {"f": "plain"}, "g": 5})

    assert found.whole == {"a", "c[0].d"}
    assert found.some == {"a", "b", "c[0].d"}


def test_a_field_that_cannot_be_mapped_refuses_expressions() -> None:
    """At run time too, in collections too; what was not an expression passes, whatever it looks like."""
    fixed = {"name": "x", "type": "text", "mappable": False}
    helped = {**fixed, "mappable": {"help": "better not"}}
    inside = {"name": "c", "type": "collection", "spec": [fixed]}
    text = "Value of parameter 'x' contains prohibited IML expression."

    assert failures([fixed], {"x": "value"}, evaluated={"x"})[0]["message"] == text
    assert "'c.x' contains prohibited" in failures([inside], {"c": {"x": "v"}}, evaluated={"c.x"})[0]["message"]
    assert run([fixed], {"x": "{{not one}}"}).values == {"x": "{{not one}}"}
    assert run([helped], {"x": "value"}, evaluated={"x"}).values == {"x": "value"}


def test_a_mapped_select_has_elements_of_its_spec() -> None:
    """Where the options are unknown, `spec` describes what an expression gives (modules.md 2.2)."""
    typed = {"name": "x", "type": "select", "multiple": True, "options": "rpc://o", "spec": {"type": "number"}}
    listed = {**typed, "spec": [{"name": "id", "type": "number"}]}

    assert run([typed], {"x": ["1", 2]}, expressions={"x"}).values == {"x": [1, 2]}
    assert run([typed], {"x": ["1", 2]}).values == {"x": ["1", 2]}
    assert run([listed], {"x": [{"id": "7", "more": 1}]}, expressions={"x"}).values == {"x": [{"id": 7, "more": 1}]}
    assert "x" in failures([typed], {"x": ["one"]}, expressions={"x"})[0]["message"]


# Domains, options, filters, paths ------------------------------------------------------------------------------------


def test_options_open_fields_of_the_other_list() -> None:
    """`{store, domain}` works in an option, in `options.nested` and in the placeholder."""
    nested = {"store": [{"name": "m", "type": "text"}], "domain": "expect"}
    own = {"name": "s", "type": "select", "options": [{"value": "a", "nested": nested}, {"value": "b"}]}
    common = {"name": "s", "type": "select", "options": {"store": [{"value": "a"}], "nested": nested}}
    empty = {"name": "s", "type": "select", "options": {"store": [{"value": "a"}], "placeholder": {"nested": nested}}}

    for field, config in ((own, {"s": "a"}), (common, {"s": "a"}), (empty, {})):
        resolved = run([field], {**config, "m": "x"}, mode="static")
        assert [item.name for item in resolved.moved["expect"]] == ["m"], field
        assert "m" not in resolved.values
    assert run([own], {"s": "b"}, mode="static").moved == {}
    assert run([own], {"s": "a", "m": "x"}).values == {"s": "a", "m": "x"}


@pytest.mark.parametrize(
    ("field", "value", "good"),
    [
        ({"logic": "and"}, [{"a": "x", "o": "exist"}], True),
        ({"logic": "and"}, [[{"a": "x", "o": "exist"}]], False),
        ({"logic": "reverse"}, [[{"a": "x", "o": "exist"}], [{"a": "y", "o": "text:equal:ci", "b": 1}]], True),
        ({"logic": "reverse"}, [{"a": "x", "o": "exist"}], False),
        (
            {"options": {"operators": [{"label": "G", "options": [{"value": "mine"}]}]}},
            [[{"a": "x", "o": "mine"}]],
            True,
        ),
        ({"options": {"operators": [{"value": "mine"}]}}, [[{"a": "x", "o": "exist"}]], False),
        ({"options": {"operators": "rpc://operators"}}, [[{"a": "x", "o": "whatever"}]], True),
        ({"options": {"operators": "rpc://operators"}}, [[{"a": "x", "o": ""}]], False),
    ],
)
def test_filters_of_every_kind(field: dict[str, Any], value: Any, good: bool) -> None:
    """Logic, own operators in groups, operators from an RPC."""
    fields = [{"name": "f", "type": "filter", **field}]

    if good:
        assert run(fields, {"f": value}).values == {"f": value}
    else:
        assert failures(fields, {"f": value})[0]["message"] == "Invalid filter in parameter 'f'."


@pytest.mark.parametrize(
    ("kind", "options", "value", "good"),
    [
        ("file", {}, "/a/b.txt", True),
        ("file", {}, "/a/", False),
        ("file", {}, "a", False),
        ("file", {"showRoot": False}, "a/b", True),
        ("folder", {}, "/", True),
        ("folder", {"singleLevel": True}, "/a", True),
        ("folder", {"singleLevel": True}, "/a/b", False),
    ],
)
def test_paths_of_files_and_folders(kind: str, options: dict[str, Any], value: str, good: bool) -> None:
    """Syntax only: nothing is asked of the service at run time (modules.md 2.8)."""
    fields = [{"name": "p", "type": kind, "options": {"store": "rpc://level", **options}}]

    if good:
        assert run(fields, {"p": value}).values == {"p": value}
    else:
        assert failures(fields, {"p": value})[0]["message"] == f"Invalid {kind} in parameter 'p'."


# Failures as data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ({"type": "integer", "validate": {"min": 1, "max": 9}}, 10, "a whole number, at least 1, at most 9"),
        ({"type": "text", "validate": {"min": 3}}, "a", "a text, at least 3 characters"),
        ({"type": "text", "validate": {"pattern": "^a$"}}, "b", "a text, matching ^a$"),
        ({"type": "select", "options": [{"value": "a"}, {"value": 2}]}, "c", "one of: a, 2"),
        ({"type": "array", "validate": {"maxItems": 1}}, [1, 2], "an array, at most 1 items"),
        ({"type": "date"}, "soon", "a date such as 2026-01-31T12:00:00Z"),
        ({"type": "filename", "extension": ["png", ".jpg"]}, "a.gif", "a file name, ending in .png or .jpg"),
        ({"type": "text", "validate": {"enum": ["a", "b"]}}, "c", "a text, one of: a, b"),
    ],
)
def test_failures_say_what_would_be_accepted(field: dict[str, Any], value: Any, wanted: str) -> None:
    """Path, text, label and what is expected, for each failure."""
    (failure,) = failures([{"name": "x", "label": "The X", **field}], {"x": value})

    assert failure["parameter"] == "x"
    assert failure["label"] == "The X"
    assert failure["expected"] == wanted


def test_failures_survive_a_process_boundary() -> None:
    """As JSON and back; the failures of two lists are joined in their order."""
    errors: list[BundleValidationError] = []
    for name in ("a", "b"):
        with pytest.raises(BundleValidationError) as caught:
            run([{"name": name, "type": "number", "label": name.upper()}], {name: "x"})
        errors.append(caught.value)
    both = joined(errors)

    assert error_from_json(json.loads(json.dumps(both.to_json()))) == both
    assert both.message.startswith("Validation failed for 2 parameter(s).\n - Invalid number in parameter 'a'.")
    assert [item["label"] for item in both.external["parameters"]] == ["A", "B"]


def test_a_failed_secret_is_not_repeated() -> None:
    """The data say what is expected, never what was given."""
    fields = [{"name": "k", "type": "pkey"}, {"name": "p", "type": "password", "validate": {"min": 99}}]

    assert "hunter22" not in json.dumps(failures(fields, {"k": "hunter22", "p": "hunter22"}))


# Any value -----------------------------------------------------------------------------------------------------------

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=8),
    st.sampled_from([
        UNDEFINED, ERASE, FORCED_EMPTY, "{{x}}", "2026-01-02", "a@b.c", "/a/b", "1e400", "#fff", "12:30", "[[",
        '{"a": 1}', Buffer(b"x", codepage="binary"), Buffer(b"\xff", codepage="utf8"), datetime(2026, 1, 2, tzinfo=UTC),
    ]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "o", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = (
    "any", "array", "boolean", "buffer", "cert", "collection", "color", "date", "email", "file", "filename", "filter",
    "folder", "hidden", "integer", "json", "number", "password", "path", "pkey", "port", "select", "text", "time",
    "timestamp", "timezone", "udt", "uinteger", "url", "uuid", "banner", "nonsense",
)  # fmt: skip


@st.composite
def parameter(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    """A parameter of any kind with anything in its keys."""
    kind = draw(st.sampled_from(KINDS))
    made: dict[str, Any] = {"name": draw(st.sampled_from(["a", "b", "x", ""])), "type": kind}
    if draw(st.booleans()):
        made["required"] = draw(st.booleans())
    inner = st.lists(parameter(depth=depth + 1), max_size=2) if depth < 2 else st.just([])
    extras: dict[str, Any] = {
        "spec": inner,
        "nested": inner,
        "multiple": st.booleans(),
        "default": VALUES.filter(lambda value: value is not UNDEFINED and value is not ERASE),
        "options": st.lists(st.fixed_dictionaries({"value": LEAVES}), max_size=2) | LEAVES,
        "validate": st.fixed_dictionaries({"min": LEAVES, "max": LEAVES, "enum": st.lists(LEAVES, max_size=2)})
        | LEAVES,
        "mappable": st.booleans(),
    }
    for name in draw(st.sets(st.sampled_from(sorted(extras)), max_size=3)):
        made[name] = draw(extras[name])
    return made


@settings(max_examples=150, deadline=None)
@given(
    fields=st.lists(parameter(), max_size=3),
    config=st.dictionaries(st.sampled_from(["a", "b", "x"]), VALUES, max_size=3),
    mode=st.sampled_from(["mapped", "static", "form"]),
)
def test_any_list_with_any_values_resolves_or_is_refused_in_words(fields: Any, config: Any, mode: Any) -> None:
    """Nothing but a `BundleValidationError` is raised, each failure of it has its words, and no mark gets through."""
    try:
        resolved = run(fields, config, mode=mode)
    except BundleValidationError as error:
        assert error.suberrors
        assert all(text.endswith(".") or ":" in text for text in error.suberrors)
        return
    assert ERASE not in list(_leaves(resolved.values))


def _leaves(value: Any) -> Any:
    if isinstance(value, dict):
        for member in value.values():
            yield from _leaves(member)
    elif isinstance(value, list):
        for element in value:
            yield from _leaves(element)
    else:
        yield value


#: Types whose resolved value means the same when it is given again; a `timestamp` in seconds does not.
STABLE = tuple(kind for kind in KINDS if kind not in ("banner", "nonsense"))


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(STABLE),
    value=VALUES.filter(lambda value: value is not ERASE and value is not FORCED_EMPTY),
    extra=st.sampled_from([{}, {"required": True}, {"validate": {"max": 5}}, {"time": False}, {"multiple": True}]),
)
def test_resolved_values_resolve_to_themselves(kind: str, value: Any, extra: dict[str, Any]) -> None:
    """What a module was given is accepted when it is given again, and comes out equal."""
    fields = [{"name": "x", "type": kind, **extra}]
    try:
        once = run(fields, {"x": value}).values
    except BundleValidationError:
        return
    # An empty list in a text is the text of no elements: an empty one, which given again is no value. A collection
    # whose expression gave nothing is left out, and one that is left out is a collection of empties.
    assume(once != {"x": ""} and not (kind == "collection" and not once))

    assert run(fields, once).values == once
