"""From configured values to `parameters`: types, empties, defaults, nested fields, options, content."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.errors import BundleValidationError
from runtime.parameters import Resolved, merge, parse_fields, resolve, secret_values
from runtime.values import ERASE, FORCED_EMPTY, UNDEFINED, Buffer, ForcedEmpty


def run(params: Any, config: dict[str, Any], **settings: Any) -> Resolved:
    """Resolve a raw parameter list."""
    return resolve(parse_fields(params, where="test"), config, **settings)


def value(field: dict[str, Any], given: Any, **settings: Any) -> Any:
    """The value of one field; UNDEFINED when it is not there."""
    return run([{"name": "x", **field}], {"x": given}, **settings).values.get("x", UNDEFINED)


def faults(params: Any, config: dict[str, Any], **settings: Any) -> tuple[str, ...]:
    """The suberrors of a list that fails."""
    with pytest.raises(BundleValidationError) as raised:
        run(params, config, **settings)
    return raised.value.suberrors


def fault(field: dict[str, Any], given: Any, **settings: Any) -> str:
    """The one error text of a field."""
    texts = faults([{"name": "x", **field}], {"x": given}, **settings)
    assert len(texts) == 1
    return texts[0]


DATE = datetime(2024, 5, 1, 10, 30, tzinfo=UTC)
PEM = "-----BEGIN CERTIFICATE-----\r\nAA==\r\n-----END CERTIFICATE-----"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nAA==\n-----END RSA PRIVATE KEY-----"
UUID = "01234567-89AB-cdef-0123-456789abcdef"


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        ("text", "a", "a"),
        ("text", 1.0, "1"),
        ("text", True, "true"),
        ("text", DATE, "2024-05-01T10:30:00.000Z"),
        ("text", Buffer(b"\xc3\xa9", "utf8"), "é"),
        ("text", ["a", 1, None, ["b"]], "a, 1, , b"),
        ("text", "  ", "  "),
        ("number", 1.5, 1.5),
        ("number", " -1.5e2 ", -150),
        ("number", "12345678901234567890", 12345678901234567890),
        ("integer", 3.0, 3),
        ("integer", "3.0", 3),
        ("uinteger", 0, 0),
        ("port", "65535", 65535),
        ("boolean", 0, True),
        ("boolean", "False", False),
        ("boolean", "no", True),
        ("boolean", [], True),
        ("date", DATE, DATE),
        ("date", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("date", "2024-02-03", datetime(2024, 2, 3, tzinfo=UTC)),
        ("date", "3.2.2024 10:00", datetime(2024, 2, 3, 10, tzinfo=UTC)),
        ("timestamp", 1714559400, DATE),
        ("timestamp", "1714559400", DATE),
        ("timestamp", 1714559400000, DATE),
        ("timestamp", "2024-05-01T10:30:00Z", DATE),
        ("time", "08:30", "08:30"),
        ("time", "23:59:59.999", "23:59:59.999"),
        ("time", DATE, DATE),
        ("buffer", "é", Buffer(b"\xc3\xa9", "utf8")),
        ("buffer", 12, Buffer(b"12", "utf8")),
        ("buffer", Buffer(b"x"), Buffer(b"x")),
        ("array", "a", ["a"]),
        ("array", ["a", "", {"b": 1}], ["a", None, {"b": 1}]),
        ("collection", {"a": 1, "b": None}, {"a": 1, "b": None}),
        ("email", "a.b@c.de", "a.b@c.de"),
        ("url", "HTTPS://a.test/b c?d={", "HTTPS://a.test/b c?d={"),
        ("uuid", UUID, UUID),
        ("color", "#aBc", "#aBc"),
        ("json", '{"a": [1]}', '{"a": [1]}'),
        ("json", {"a": 1}, {"a": 1}),
        ("filename", "a b.txt", "a b.txt"),
        ("path", "anything", "anything"),
        ("cert", PEM, PEM.replace("\r\n", "\n")),
        ("pkey", KEY, KEY),
        ("pkey", KEY.replace("\n", "\\n"), KEY),
        ("cert", PEM.replace("\r\n", "\\r\\n"), PEM.replace("\r\n", "\n")),
        ("timezone", "Europe/Prague", "Europe/Prague"),
        ("file", "/a/b.txt", "/a/b.txt"),
        ("folder", "/", "/"),
        ("hidden", {"a": [1]}, {"a": [1]}),
        ("any", [1, {"b": None}], [1, {"b": None}]),
        ("udt", 7, 7),
        ("frobnicate", {"a": 1}, {"a": 1}),
        ("TEXT", 1, "1"),
        ("checkbox", "x", True),
        ("account:acme", 12, 12),
        ("password", 123, "123"),
    ],
)
def test_a_value_becomes_the_type_of_its_field(kind: str, given: Any, expected: Any) -> None:
    """Each cell of the coercion table that gives a value."""
    found = value({"type": kind}, given)

    assert expected == found
    assert type(expected) is type(found)


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("text", {"a": 1}, "text"),
        ("text", Buffer(b"x"), "text"),
        ("text", ["a", {"b": 1}], "text"),
        ("number", True, "number"),
        ("number", DATE, "number"),
        ("number", "1,5", "number"),
        ("number", "12abc", "number"),
        ("number", "0x1f", "number"),
        ("number", float("nan"), "number"),
        ("number", "1e999", "number"),
        ("number", " ", "number"),
        ("integer", "x", "number"),
        ("integer", 3.5, "integer"),
        ("uinteger", -1, "integer"),
        ("port", 0, "port"),
        ("port", 70000, "port"),
        ("date", " ", "date"),
        ("date", "10:00", "date"),
        ("date", True, "date"),
        ("date", 1e30, "date"),
        ("timestamp", "soon", "timestamp"),
        ("time", "8:30", "time"),
        ("time", "24:00", "time"),
        ("time", 5, "time"),
        ("buffer", ["a"], "buffer"),
        ("collection", "a", "collection"),
        ("collection", ["a"], "collection"),
        ("email", "a@b", "email address"),
        ("email", "Name <a@b.cd>", "email address"),
        ("url", "a.test/b", "URL"),
        ("url", "javascript://x", "URL"),
        ("url", "https://", "URL"),
        ("uuid", "0123", "UUID"),
        ("color", "red", "color"),
        ("json", "{a", "JSON"),
        ("json", "NaN", "JSON"),
        ("filename", "a/b", "filename"),
        ("filename", "a\nb", "filename"),
        ("cert", "x", "certificate"),
        ("pkey", PEM, "private key"),
        ("timezone", "Mars/Base", "time zone"),
        ("file", "/a/", "file"),
        ("file", "a", "file"),
        ("filter", "x", "filter"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_the_documented_words(kind: str, given: Any, words: str) -> None:
    """Each cell of the coercion table that is an error."""
    assert fault({"type": kind}, given) == f"Invalid {words} in parameter 'x'."


def test_all_failures_are_counted_and_listed_in_the_order_of_the_fields() -> None:
    """One error for the bundle, one line for each parameter."""
    params = [
        {"name": "a", "type": "number", "required": True},
        {"name": "b", "type": "array", "spec": [{"name": "email", "type": "email"}]},
        {"name": "c", "type": "collection", "spec": [{"name": "d", "type": "date"}]},
    ]
    with pytest.raises(BundleValidationError) as raised:
        run(params, {"b": [{"email": "x"}, {"email": "a@b.cd"}, {"email": 1}], "c": {"d": "x"}})

    assert raised.value.message == (
        "Validation failed for 4 parameter(s).\n"
        " - Missing value of required parameter 'a'.\n"
        " - Invalid email address in parameter 'b[0].email'.\n"
        " - Invalid email address in parameter 'b[2].email'.\n"
        " - Invalid date in parameter 'c.d'."
    )
    assert len(raised.value.suberrors) == 4


SPEC = [{"name": "n", "type": "number"}, {"name": "l", "type": "array"}]


@pytest.mark.parametrize("empty", [UNDEFINED, None, ""])
@pytest.mark.parametrize("kind", ["text", "number", "boolean", "array", "select", "date", "buffer", "any", "filter"])
def test_empty_values_are_undefined(kind: str, empty: Any) -> None:
    """Nothing given is nothing stored, whatever the type."""
    assert value({"type": kind}, empty) is UNDEFINED


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "number"}, None),
        ({"type": "date"}, None),
        ({"type": "any"}, None),
        ({"type": "select", "options": [{"value": "a"}]}, None),
        ({"type": "boolean"}, UNDEFINED),
        ({"type": "array"}, []),
        ({"type": "filter"}, []),
        ({"type": "select", "multiple": True}, []),
        ({"type": "collection", "spec": SPEC}, {"n": None, "l": []}),
    ],
)
def test_erase_clears_its_target(field: dict[str, Any], expected: Any) -> None:
    """null for most, an empty list for lists, each member of a collection; a boolean has no such state."""
    assert expected == value(field, ERASE)


@pytest.mark.parametrize(
    ("field", "given", "expected"),
    [
        ({"type": "array"}, [], UNDEFINED),
        ({"type": "filter"}, [[]], UNDEFINED),
        ({"type": "text"}, FORCED_EMPTY, ""),
        ({"type": "number"}, FORCED_EMPTY, UNDEFINED),
        ({"type": "collection", "spec": SPEC}, {}, {}),
        ({"type": "collection", "spec": SPEC}, {"n": ERASE}, {"n": None}),
        ({"type": "collection", "spec": SPEC}, None, UNDEFINED),
        ({"type": "array", "spec": {"type": "number"}}, [1, "", None], [1, None, None]),
        ({"type": "array", "spec": SPEC}, [{"n": ""}, None], [{"l": UNDEFINED}, None]),
    ],
)
def test_the_rows_of_the_table_of_empties(field: dict[str, Any], given: Any, expected: Any) -> None:
    """Lists, collections and forced empties have rows of their own."""
    if isinstance(expected, list):
        expected = [
            {key: member for key, member in item.items() if member is not UNDEFINED} if isinstance(item, dict) else item
            for item in expected
        ]

    found = value(field, given)

    assert expected == found
    assert not isinstance(found, ForcedEmpty)


def test_no_mark_of_the_mapper_gets_through() -> None:
    """Inside of values without a definition `erase` is null and `emptystring` a text; untouched data stay the same."""
    data = {"a": [ERASE, {"b": FORCED_EMPTY}], "c": 1}

    for field in ({"type": "any"}, {"type": "collection"}, {"type": "json"}):
        found = value(field, data)
        assert found == {"a": [None, {"b": ""}], "c": 1}
        assert not isinstance(found["a"][1]["b"], ForcedEmpty)
    plain = {"a": [1]}
    assert value({"type": "any"}, plain) is plain


def test_required_fields() -> None:
    """Empty is missing, a forced empty text is not, a required boolean is a checkbox, a collection rarely."""
    assert fault({"required": True}, "") == "Missing value of required parameter 'x'."
    assert fault({"required": True}, ERASE) == "Missing value of required parameter 'x'."
    assert fault({"required": True, "type": "number"}, FORCED_EMPTY) == "Missing value of required parameter 'x'."
    assert value({"required": True}, FORCED_EMPTY) == ""
    assert run([{"name": "x", "type": "boolean", "required": True}], {}).values == {"x": False}
    collection = {"name": "x", "type": "collection", "required": True, "spec": SPEC}
    assert run([collection], {}).values == {"x": {}}
    assert faults([collection], {"x": None}) == ("Missing value of required parameter 'x'.",)


def test_defaults() -> None:
    """An absent key takes its default, a present empty one does not; the default is validated and evaluated."""
    assert run([{"name": "x", "default": "d"}], {}).values == {"x": "d"}
    assert run([{"name": "x", "default": "d"}], {"x": ""}).values == {}
    assert faults([{"name": "x", "type": "number", "default": "d"}], {}) == ("Invalid number in parameter 'x'.",)
    evaluated = run([{"name": "x", "type": "number", "default": "{{6 * 7}}"}], {}, evaluate_default=lambda _: 42)
    assert evaluated.values == {"x": 42}
    assert run([{"name": "x", "default": "{{a}}"}], {}, mode="static", evaluate_default=lambda _: 42).values == {
        "x": "{{a}}"
    }
    options = [{"value": "a", "default": True}, {"value": "b"}, {"value": "c", "default": True}]
    assert run([{"name": "x", "type": "select", "options": options}], {}).values == {"x": "a"}
    several = {"name": "x", "type": "select", "multiple": True, "options": options}
    assert run([several], {}).values == {"x": ["a", "c"]}


def test_a_static_text_with_an_expression_is_refused() -> None:
    """Static values are not evaluated; a form takes what it is given."""
    text = "Value of parameter 'x' contains prohibited IML expression."

    assert fault({}, "a {{1.b}}", mode="static") == text
    assert value({}, "{{1.b}}", mode="form") == "{{1.b}}"


def test_a_form_keeps_empties_as_given() -> None:
    """Connection, webhook and RPC forms are not touched by the table of empties."""
    params = [{"name": "a"}, {"name": "b", "type": "number"}, {"name": "c"}, {"name": "d", "type": "array"}]
    found = run(params, {"a": "", "b": None, "d": []}, mode="form")

    assert found.values == {"a": "", "b": None, "d": []}


NESTED = {
    "name": "kind",
    "type": "select",
    "nested": [{"name": "common"}],
    "options": {
        "placeholder": {"nested": [{"name": "none"}]},
        "store": [
            {"value": "a", "nested": [{"name": "pa"}, {"name": "both", "type": "number"}]},
            {"value": "b", "nested": [{"name": "both"}]},
            {"value": "c"},
        ],
    },
}
GIVEN = {"pa": "1", "both": "2", "common": "3", "none": "4"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("a", {"kind": "a", "pa": "1", "both": 2}),
        ("b", {"kind": "b", "both": "2"}),
        ("c", {"kind": "c", "common": "3"}),
        ("", {"none": "4"}),
    ],
)
def test_only_the_active_branch_is_there(kind: str, expected: dict[str, Any]) -> None:
    """Fields of a branch stand beside their parent; those of the others are dropped."""
    assert run([NESTED], {"kind": kind, **GIVEN}).values == expected


def test_nested_fields_of_other_parents() -> None:
    """A boolean opens its branch when true, others when not empty; the order is that of the definitions."""
    params = [
        {"name": "t", "nested": [{"name": "in_t"}]},
        {"name": "b", "type": "boolean", "nested": [{"name": "in_b"}]},
        {"name": "last"},
    ]
    given = {"last": "1", "in_b": "2", "in_t": "3"}

    assert list(run(params, {**given, "t": "x", "b": True}).values) == ["t", "in_t", "b", "in_b", "last"]
    assert list(run(params, {**given, "t": "", "b": False}).values) == ["b", "last"]


def test_a_multiple_select_opens_the_branches_of_all_chosen_options() -> None:
    """The union in the order of the options, the common branch first."""
    params = [{**NESTED, "multiple": True}]

    assert run(params, {"kind": ["b", "a"], **GIVEN}).values == {
        "kind": ["b", "a"],
        "common": "3",
        "pa": "1",
        "both": 2,
    }


def test_a_domain_moves_fields_to_the_other_list() -> None:
    """A static select can reveal mappable fields."""
    params = [{"name": "a", "nested": {"store": [{"name": "b"}], "domain": "expect"}}]
    found = run(params, {"a": "x", "b": "y"}, mode="static")

    assert found.values == {"a": "x"}
    assert [getattr(item, "name", "") for item in found.moved["expect"]] == ["b"]
    assert run(params, {"a": "x", "b": "y"}).values == {"a": "x", "b": "y"}


OPTIONS = [
    {"value": "a"},
    {"value": 5},
    {"value": True},
    {"label": "G", "options": [{"value": "g"}]},
    {"value": {"k": 1}},
]


@pytest.mark.parametrize(
    ("given", "expected"), [("a", "a"), ("5", 5), (5.0, 5), ("true", True), ("g", "g"), ({"k": 1}, {"k": 1})]
)
def test_an_option_is_found_by_value_or_by_its_text(given: Any, expected: Any) -> None:
    """Exact type first, then the text; the module sees the option's own value. Groups count."""
    found = value({"type": "select", "options": OPTIONS}, given)

    assert expected == found
    assert type(expected) is type(found)


def test_values_outside_of_the_options() -> None:
    """An error, unless the options are dynamic or come from an RPC; a text is never split."""
    field = {"type": "select", "options": OPTIONS}

    assert fault(field, "z") == "Value 'z' not found in options of parameter 'x'."
    assert value({**field, "dynamic": True}, "z") == "z"
    assert value({"type": "select", "options": "rpc://list"}, "z") == "z"
    assert value({"type": "select", "options": {"store": "rpc://list"}}, "z") == "z"
    assert value({**field, "multiple": True}, "a") == ["a"]
    assert fault({**field, "multiple": True}, "a,g") == "Value 'a,g' not found in options of parameter 'x'."


def test_labels_and_values_under_other_names() -> None:
    """`label` and `value` of the options object name the properties to read."""
    options = {"store": [{"id": 7, "title": "Seven"}], "label": "title", "value": "id"}

    assert value({"type": "select", "options": options}, "7") == 7


@pytest.mark.parametrize(
    ("field", "given", "text"),
    [
        ({"validate": {"min": 3}}, "ab", "Value of parameter 'x' must be at least 3 characters long."),
        ({"validate": {"max": 1}}, "ab", "Value of parameter 'x' exceeded maximum length of 1 characters."),
        ({"type": "number", "validate": {"min": 3}}, 2, "Value of parameter 'x' is too small. Minimum value is 3."),
        ({"type": "number", "validate": {"max": 1.5}}, 2, "Value of parameter 'x' is too big. Maximum value is 1.5."),
        ({"validate": {"enum": ["a", 1]}}, "c", "Value of parameter 'x' must be one of the following: a, 1"),
        ({"validate": {"pattern": "^a$"}}, "b", "Value of parameter 'x' doesn't match the pattern: ^a$"),
        ({"pattern": "^a$"}, "ab", "Value of parameter 'x' doesn't match the pattern: ^a$"),
        ({"type": "array", "validate": {"minItems": 2}}, ["a"], "Array 'x' has less than 2 items."),
        ({"type": "array", "validate": {"maxItems": 1}}, ["a", "b"], "Array 'x' has more than 1 items."),
        ({"type": "array", "validate": {"enum": ["a"]}}, ["a", "b"],
         "Value of parameter 'x[1]' must be one of the following: a"),
        ({"type": "select", "multiple": True, "validate": {"minItems": 2}}, ["a"],
         "Selected less than 2 items in parameter 'x'."),
        ({"type": "array", "spec": [{"name": "a"}]}, ["t"], "Array of objects expected in parameter 'x'."),
        ({"type": "filename", "extension": ["pdf"]}, "a.txt", "Invalid filename in parameter 'x'."),
    ],
)  # fmt: skip
def test_limits_have_their_sentences(field: dict[str, Any], given: Any, text: str) -> None:
    """Each limit of `validate` that is broken, word for word."""
    assert text == fault(field, given)


def test_validate_false_switches_the_own_check_off() -> None:
    """The type is still converted; only its own check is gone."""
    assert value({"type": "email", "validate": False}, "nobody") == "nobody"
    assert value({"type": "uinteger", "validate": False}, "-1.5") == -1.5


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"^\d+$", "12", "١"),
        (r"^[^\]]$", "a", "]"),
        (r"^\u0041\/$", "A/", "A"),
        (r"^(?<year>\d{4})$", "2024", "24"),
        (r"^[[&&a]$", "&", "b"),
        (r"[]", None, "a"),
        (r"^[^]$", "\n", "ab"),
        (r"^a$", "a", "a\n"),
        ("(", "anything", None),
        ("(a+)+$", "a" * 40, "a" * 40 + "b"),
    ],
)
def test_patterns_are_those_of_javascript(pattern: str, good: str | None, bad: str | None) -> None:
    """Classes are ASCII, `$` is the very end, sets are plain; what does not compile or end refuses nothing."""
    field = {"validate": {"pattern": pattern}}

    if good is not None:
        assert value(field, good) == good
    if bad is not None:
        assert "doesn't match the pattern" in fault(field, bad)


def test_tags() -> None:
    """`strip` removes tags, `stripall` unclosed ones too, `escape` writes entities."""
    assert value({"tags": "strip"}, "a<b>c</b> <i") == "ac <i"
    assert value({"tags": "stripall"}, "a<b>c</b> <i") == "ac "
    assert value({"tags": "escape"}, "<a&b>") == "&lt;a&amp;b&gt;"
    assert value({"tags": "strip"}, "<" * 200_000) == "<" * 200_000


def test_a_date_without_time_is_midnight_of_the_zone() -> None:
    """The documented day in Prague, and one whose midnight does not exist."""
    field = {"type": "date", "time": False}

    assert value(field, "17.09.2025", timezone="Europe/Prague") == datetime(2025, 9, 16, 22, tzinfo=UTC)
    assert value(field, "2025-09-17T20:00:00Z", timezone="Europe/Prague") == datetime(2025, 9, 16, 22, tzinfo=UTC)
    gap = value(field, "2024-03-31 12:00", timezone="Asia/Beirut")
    assert gap == datetime(2024, 3, 30, 22, tzinfo=UTC)


def test_keys_of_collections_without_a_field() -> None:
    """Kept without a spec or when one expression gives the whole collection, dropped otherwise."""
    field = {
        "name": "x",
        "type": "collection",
        "spec": [{"name": "b", "type": "text"}, {"name": "a", "type": "number"}],
    }
    given = {"x": {"z": 1, "a": "2", "b": 3}}

    assert run([field], given).values == {"x": {"b": "3", "a": 2}}
    whole = run([field], given, expressions={"x"}).values["x"]
    assert list(whole.items()) == [("z", 1), ("a", 2), ("b", "3")]
    ordered = run([{**field, "sequence": True}], given, expressions={"x"}).values["x"]
    assert list(ordered) == ["b", "a", "z"]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ({}, [[{"a": "e", "o": "text:equal", "b": "x"}], [{"a": "v", "o": "exist"}]]),
        ({"logic": "and"}, [{"a": "e", "o": "number:greater", "b": "1"}]),
        (
            {"options": {"store": [], "operators": [{"label": "G", "options": [{"value": "like"}]}]}},
            [[{"a": "e", "o": "like"}]],
        ),
    ],
)
def test_filters_pass_as_they_are(field: dict[str, Any], given: Any) -> None:
    """The module receives the structure."""
    assert value({"type": "filter", **field}, given) == given


@pytest.mark.parametrize(
    "given",
    [
        [{"a": "e", "o": "exist"}],
        [[{"o": "exist"}]],
        [[{"a": "", "o": "exist"}]],
        [[{"a": "e", "o": "near"}]],
        [[{"a": "e"}]],
        {"a": 1},
    ],
)
def test_filters_that_make_no_sense_are_refused(given: Any) -> None:
    """Left side and a known operator are needed, in groups."""
    assert fault({"type": "filter"}, given) == "Invalid filter in parameter 'x'."


def test_names_visual_fields_and_repeats() -> None:
    """No name: a warning. Visual: skipped. Twice: the first active definition counts."""
    params = [{"type": "banner", "name": "x"}, {"type": "text"}, {"name": "x", "type": "number"}, {"name": "x"}]
    found = run(params, {"x": "7"})

    assert found.values == {"x": 7}
    assert found.warnings == ["Object contains field with unknown name."]


def test_an_unresolved_rpc_lets_unknown_values_pass() -> None:
    """The fields may be in the list that was not read: unchanged, untyped, with a warning."""
    found = run(["rpc://fields", {"name": "x", "type": "number"}], {"x": "1", "y": {"z": 1}})

    assert found.values == {"x": 1, "y": {"z": 1}}
    assert len(found.warnings) == 1
    assert run([{"name": "x"}], {"x": "1", "y": "2"}, rpc_unresolved=True).values == {"x": "1", "y": "2"}


def test_merge_prefers_mapped_values() -> None:
    """A mappable value wins over a static one unless it is undefined."""
    assert merge({"a": 1, "b": 2}, {"b": 3, "a": UNDEFINED, "c": None}) == {"a": 1, "b": 3, "c": None}


def test_secrets_are_found_at_every_level() -> None:
    """Passwords, keys and certificates in branches, collections and arrays."""
    fields = parse_fields([
        {"name": "p", "type": "password"},
        {"name": "c", "type": "collection", "spec": [{"name": "k", "type": "pkey"}]},
        {"name": "l", "type": "array", "spec": {"type": "password"}},
        {"name": "s", "type": "select", "options": [{"value": 1, "nested": [{"name": "q", "type": "cert"}]}]},
        {"name": "t", "type": "text"},
    ])  # fmt: skip
    values = {"p": "s1", "c": {"k": "s2"}, "l": ["s3", ""], "s": 1, "q": "s4", "t": "open"}

    assert secret_values(fields, values) == {"s1", "s2", "s3", "s4"}


@pytest.mark.parametrize(
    "raw",
    [None, 7, "x", [None, 7, "x"], {"a": 1}, [[{"name": "y"}]], [{"name": 5, "spec": 7, "options": 3, "nested": 1}]],
)
def test_any_definition_is_read(raw: Any) -> None:
    """A list of nonsense is a list without fields; nothing is raised."""
    resolve(parse_fields(raw), {"x": 1})


def test_endless_nesting_is_cut() -> None:
    """Definitions deeper than any real one are left out."""
    raw: Any = [{"name": "n"}]
    for _ in range(180):
        raw = [{"name": "n", "type": "collection", "spec": raw}]

    assert run(raw, {}).values["n"] is not None
