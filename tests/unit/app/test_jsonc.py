"""JSON with comments: what is accepted, what is refused, and where things stand."""

from __future__ import annotations

import pytest

from runtime.app.jsonc import MAX_NESTING, parse_jsonc
from runtime.app.positions import child_pointer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param('{"a": 1}', {"a": 1}, id="plain"),
        pytest.param('{"a": 1,}', {"a": 1}, id="trailing comma in an object"),
        pytest.param("[1, 2, ]", [1, 2], id="trailing comma in an array"),
        pytest.param('// first\n{"a": /* two */ 1} // last', {"a": 1}, id="comments"),
        pytest.param('{"u": "http://x/*y*/"} // c', {"u": "http://x/*y*/"}, id="comment marks in a text"),
        pytest.param('{"a": "q\\" // no"} /**/', {"a": 'q" // no'}, id="escaped quote"),
        pytest.param('{"a": "x,]"} //', {"a": "x,]"}, id="comma and bracket in a text"),
        pytest.param("[1, // one\n]", [1], id="comment behind a trailing comma"),
        pytest.param('\ufeff{"a":1}', {"a": 1}, id="byte order mark"),
        pytest.param('{\r\n\t"a": 1,\r\n}', {"a": 1}, id="CRLF and tabs"),
        pytest.param(b'\xef\xbb\xbf{"a": "\xc3\xa9"}', {"a": "é"}, id="bytes with a mark"),
        pytest.param('/***/{"a":1}/* ** */', {"a": 1}, id="stars in comments"),
    ],
)
def test_lenient_json_is_read(text: str | bytes, value: object) -> None:
    """Comments, trailing commas, marks and line ends do not matter; texts stay as they are."""
    document = parse_jsonc(text, "x.json")

    assert value == document.value
    assert document.findings == ()


@pytest.mark.parametrize("text", ["", "  \n", "// all\n// out", "/* {} */"])
def test_a_file_of_comments_is_empty(text: str) -> None:
    """Nothing but blanks and comments is the empty content, not a fault."""
    document = parse_jsonc(text, "x.json")

    assert document.empty
    assert document.findings == ()


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        pytest.param("{'a': 1}", "J501", 1, 2, id="single quotes"),
        pytest.param("{a: 1}", "J501", 1, 2, id="bare key"),
        pytest.param('{"a":\n  tru}', "J501", 2, 3, id="word"),
        pytest.param('// c\n{"a": 1 "b": 2}', "J501", 2, 9, id="missing comma behind a comment"),
        pytest.param('{"a": 1}\n}', "J501", 2, 1, id="too much"),
        pytest.param('{"a": "x}', "J501", 1, 7, id="open string"),
        pytest.param('{"a": 1} /* x', "J501", 1, 10, id="open comment"),
        pytest.param('{"a": [NaN]}', "J501", 1, 8, id="NaN"),
        pytest.param('{"a": -Infinity}', "J501", 1, 7, id="infinity"),
        pytest.param("[1,,2]", "J501", 1, 4, id="two commas"),
        pytest.param("[" * 201 + "]" * 201, "J503", 1, MAX_NESTING + 1, id="too deep"),
        pytest.param("[" + "9" * 5000 + "]", "J501", 1, 1, id="endless number"),
        pytest.param('{"a": 1}'.encode("utf-16"), "J502", 1, 1, id="UTF-16"),
        pytest.param(b'{"a":\n "\xff"}', "J502", 2, 3, id="no UTF-8"),
    ],
)
def test_bad_json_has_its_place(text: str | bytes, code: str, line: int, column: int) -> None:
    """A fault gives one error with code, line and column; never an exception."""
    document = parse_jsonc(text, "x.json")

    assert document.broken
    assert document.value is None
    assert [(code, line, column)] == [(f.code, f.line, f.column) for f in document.findings]


def test_a_file_over_the_limit_is_refused() -> None:
    """5 MiB is the most."""
    assert parse_jsonc(b" " * (5 * 1024 * 1024 + 1), "x.json").findings[0].code == "J503"
    assert parse_jsonc(b" " * (5 * 1024 * 1024 - 2) + b"[]", "x.json").value == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param('{"a": "x\ty"}', {"a": "x\ty"}, id="tab"),
        pytest.param('{"a": "x // y\n z"}', {"a": "x // y\n z"}, id="line end and comment marks"),
    ],
)
def test_raw_control_characters_are_taken_with_a_warning(text: str, value: object) -> None:
    """They are no JSON and real files have them."""
    document = parse_jsonc(text, "x.json")

    assert value == document.value
    assert [(f.severity, f.code) for f in document.findings] == [("warning", "J505")]


def test_a_key_that_stands_twice_is_named_with_both_lines() -> None:
    """The last one counts, as in JSON, and the warning stands at it."""
    document = parse_jsonc('{\n "o": {\n  "a": 1,\n  "b": 2,\n  "a": 3\n }\n}', "x.json")
    finding = document.findings[0]

    assert document.value == {"o": {"a": 3, "b": 2}}
    assert (finding.code, finding.line, finding.column) == ("J504", 5, 3)
    assert "lines 3 and 5" in finding.message


TEXT = """// head
{
  "a": [1, {"b": "x"}, [true]],  // c
  /* skip
  */ "c/d": {"~": null},
  "": "e",
  "t": "{{one}} \\u00e9 \\n{{two}}"
}"""


@pytest.mark.parametrize(
    ("pointer", "place"),
    [
        ("", (2, 1)),
        ("/a", (3, 8)),
        ("/a/0", (3, 9)),
        ("/a/1/b", (3, 18)),
        ("/a/2/0", (3, 25)),
        ("/c~1d", (5, 13)),
        ("/c~1d/~0", (5, 19)),
        ("/", (6, 7)),
        ("/a/9", (3, 8)),
        ("/none/x/y", (2, 1)),
    ],
)
def test_every_value_has_its_line_and_column(pointer: str, place: tuple[int, int]) -> None:
    """Positions are those of the file, comments and all; a missing value has the place of what is around it."""
    assert place == parse_jsonc(TEXT, "x.json").locate(pointer)


def test_keys_and_characters_of_texts_have_places_too() -> None:
    """A finding may mean a key, or a character of a text behind escapes."""
    document = parse_jsonc(TEXT, "x.json")
    text = document.value["t"]

    assert document.locate_key("/a") == (3, 3)
    assert document.locate("/t", text.index("{{two}}")) == (7, 26)


def test_positions_of_a_hostile_file_do_not_exhaust_memory() -> None:
    """A long key over many values would make a pointer of that length for each."""
    document = parse_jsonc('{"' + "k" * 100_000 + '": [' + "1," * 50_000 + "1]}", "x.json")

    assert document.locate(child_pointer(child_pointer("", "k" * 100_000), 49_999)) == (1, 200_005)


@pytest.mark.parametrize("text", ['"' + '\\"' * 400_000, "/*" * 400_000, "," * 400_000 + "]", "[" * 400_000])
def test_hostile_text_is_read_in_one_pass(text: str) -> None:
    """Unclosed strings, comments and brackets cost time in proportion to their length."""
    assert parse_jsonc(text, "x.json").broken


def test_ignore_comments_work_on_their_line_and_the_next() -> None:
    """`// check-ignore CODE` silences one line; above the whole document it silences the file."""
    near = parse_jsonc('{\n // check-ignore M401, M402\n "a": 1,\n "b": 2\n}', "x.json")
    head = parse_jsonc("// check-ignore M401 because\n\n\n{}", "x.json")

    assert near.ignored("M401", 3)
    assert near.ignored("M402", 2)
    assert not near.ignored("M401", 4)
    assert not near.ignored("M403", 3)
    assert head.ignored("M401", 400)
