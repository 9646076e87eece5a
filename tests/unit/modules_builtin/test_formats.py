"""csv, xml, json with structures, markdown, math, archive: spec/scenarios.md 4.4, 4.10."""

from __future__ import annotations

import gzip
import io
import zipfile
from typing import Any

import pytest

from modules.builtin.archive import MAX_BYTES
from modules.builtin.csv_app import read_rows
from modules.builtin.job import BuiltinJob
from modules.builtin.math_app import evaluate
from modules.builtin.xml_app import element
from runtime.effects import Emit
from runtime.errors import BundleValidationError, MaxFileSizeExceededError
from runtime.scenario.testing import NOW
from runtime.values import Buffer, Bundle
from tests.unit.modules_builtin.test_builtins import outputs
from tests.unit.scenario.helpers import module, run, scenario, start


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param("a", [["a"]], id="one cell"),
        pytest.param("a,b\r\nc,d\r\n", [["a", "b"], ["c", "d"]], id="crlf, final line end"),
        pytest.param('"a,b","c""d"', [["a,b", 'c"d']], id="quotes"),
        pytest.param('"a\nb",c', [["a\nb", "c"]], id="line end inside quotes"),
        pytest.param("a,\n,b", [["a", ""], ["", "b"]], id="empty cells"),
        pytest.param('a"b,c', [['a"b', "c"]], id="quote inside a cell"),
        pytest.param("\n", [[""]], id="empty line"),
        pytest.param('""', [[""]], id="empty quoted cell"),
    ],
)
def test_rows_of_a_csv_text(text: str, expected: list[list[str]]) -> None:
    """Quoting as in RFC 4180; a final line end adds no row."""
    assert list(read_rows(text, ",")) == expected


def test_csv_rows_may_be_ragged() -> None:
    """Missing columns are absent, further ones left out; the delimiter and quotes are settings."""
    given = {"t": 'a;b;c\nd\n"e"'}
    settings = {"columns": 2, "hasHeaders": False, "delimiterType": "other", "delimiter": ";"}

    assert outputs("csv:ParseCSV", {"csv": "{{1.t}}"}, given=given, parameters=settings) == [
        {"col1": "a", "col2": "b"},
        {"col1": "d"},
        {"col1": "e"},
    ]
    kept = outputs("csv:ParseCSV", {"csv": "{{1.t}}", "preserveQuotes": True}, given=given, parameters=settings)
    assert kept[-1] == {"col1": '"e"'}
    wrong = outputs("csv:ParseCSV", {"csv": "{{1.t}}"}, given=given, parameters=settings | {"delimiter": ";;"})
    assert wrong == "BundleValidationError"


def test_create_csv_quotes_every_cell() -> None:
    """Columns in the order of the mapper; nested values are JSON text."""
    aggregator = module(
        2,
        "csv:CreateCSV",
        {"b": "{{1.b}}", "a": "{{1.a}}"},
        parameters={"feeder": 1, "includeHeaders": True, "delimiterType": "comma"},
    )
    result = run(scenario(start({"a": 'x"y', "b": [1]}, {"a": 2}), aggregator)).outputs()

    assert result[1][1][0]["csv"] == '"b","a"\n"[1]","x""y"\n"","2"'


def parsed(xml: str, **parameters: Any) -> Any:
    """What Parse XML gives."""
    return outputs("xml:ParseXML", {"xml": "{{1.t}}"}, given={"t": xml}, parameters=parameters)


def test_parse_xml() -> None:
    """Single children are values, repeated ones arrays; settings change both; faults are the bundle's."""
    text = "<r><a>1</a><b><c>x</c><c/></b></r>"

    assert parsed(text) == [{"r": {"a": "1", "b": {"c": ["x", ""]}}}]
    assert parsed(text, preserveNumbersAsText=False) == [{"r": {"a": 1, "b": {"c": ["x", ""]}}}]
    assert parsed(text, alwaysArray=True) == [{"r": {"a": ["1"], "b": [{"c": ["x", ""]}]}}]
    assert parsed("<r>") == "BundleValidationError"
    assert parsed('<!DOCTYPE r [<!ENTITY e "x">]><r>&e;</r>') == "BundleValidationError"


def test_create_xml() -> None:
    """Attributes, text beside them, arrays; names are checked and text is escaped."""
    value = {"n": "a<b", "i": [{"_attributes": {"q": 'x"'}, "_value": "p"}, {"_attributes": {"q": "y"}}]}

    assert element("o", value) == '<o><n>a&lt;b</n><i q=\'x"\'>p</i><i q="y"/></o>'
    with pytest.raises(BundleValidationError):
        element("a b", "x")
    made = outputs("xml:TransformToXML", {"a": "{{1.a}}"}, given={"a": 1}, parameters={"rootName": "top"})
    assert made == [{"xml": '<?xml version="1.0" encoding="UTF-8"?><top><a>1</a></top>'}]
    assert outputs("json:JSONToXML", {"json": "{{1.t}}"}, given={"t": '{"r":{"a":[1,2]}}'}) == [
        {"xml": "<r><a>1</a><a>2</a></r>"}
    ]


def test_create_json_follows_the_structure() -> None:
    """Order and types of the structure; nothing is left out, further keys are dropped; without one all stay."""
    expect = [{"name": "n", "type": "number"}, {"name": "t", "type": "text"}, {"name": "e", "type": "text"}]
    mapper = {"t": "{{1.t}}", "n": "{{1.n}}", "e": "{{1.none}}", "more": "x"}
    given = {"t": "5", "n": "0.4"}

    typed = outputs("json:CreateJSON", mapper, given=given, parameters={"type": 1}, metadata={"expect": expect})
    free = outputs("json:CreateJSON", mapper, given=given, parameters={"type": 1, "space": "2"})
    wrong = outputs("json:CreateJSON", {"n": "x"}, parameters={"type": 1}, metadata={"expect": expect})

    assert typed == [{"json": '{"n":0.4,"t":"5"}'}]
    assert free == [{"json": '{\n  "t": "5",\n  "n": "0.4",\n  "more": "x"\n}'}]
    assert wrong == "BundleValidationError"


def test_json_aggregates_follow_the_structure() -> None:
    """Each collected item gets the types of the structure."""
    expect = [{"name": "n", "type": "number"}]
    aggregator = module(
        2, "json:AggregateToJSON", {"n": "{{1.n}}"}, parameters={"feeder": 1, "type": 1}, metadata={"expect": expect}
    )

    result = run(scenario(start({"n": "1"}, {"n": "2"}), aggregator)).outputs()

    assert result[1][1][0]["json"] == '[{"n":1},{"n":2}]'


def test_parse_json_with_a_structure_converts() -> None:
    """Types come from the module's interface, null stays; without a structure nothing is converted."""
    interface = [{"name": "d", "type": "date"}, {"name": "n", "type": "number"}]
    given = {"t": '{"x":1,"n":"5","d":"2026-01-02T03:04:05.000Z","z":null}'}

    def parse(kind: Any) -> Any:
        return outputs("json:ParseJSON", {"json": "{{1.t}}"}, given=given, parameters={"type": kind},
                       metadata={"interface": interface})  # fmt: skip

    assert parse(7) == [{"x": 1, "n": 5, "d": NOW, "z": None}]
    assert parse("")[0]["n"] == "5"


def test_markdown() -> None:
    """GitHub's tables and a switch that shows HTML instead of passing it on."""
    text = "**a** <b>x</b>\n\n|h|\n|-|\n|~~1~~|"
    plain = outputs("markdown:Compile", {"data": "{{1.t}}"}, given={"t": text}, version=2)
    rich = outputs("markdown:Compile", {"data": "{{1.t}}", "gfm": True, "sanitize": True}, given={"t": text}, version=2)

    assert plain[0]["html"] == "<p><strong>a</strong> <b>x</b></p>\n<p>|h|\n|-|\n|~~1~~|</p>\n"
    assert "<table>" in rich[0]["html"]
    assert "<s>1</s>" in rich[0]["html"]
    assert "&lt;b&gt;" in rich[0]["html"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7), ("-2 ^ 2", -4), ("2 ^ 3 ^ 2", 512), ("(1 + 2) / 4", 0.75), ("-7 % 3", 2), ("5!", 120),
        ("round(2.5)", 3), ("round(1.005 * 100) / 100", 1), ("max(1, 2, 3) - min(4, 5)", -1), ("sqrt(16)", 4),
        ("2 > 1", True), ("log(8, 2)", 3), ("mean(1, 2)", 1.5), ("1e3", 1000), ("pi > 3", True),
    ],
)  # fmt: skip
def test_math(text: str, expected: float) -> None:
    """Arithmetic with the usual precedence."""
    assert evaluate(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "1 +", "1 / 0", "x", "f(1)", "1 2", "((1)", "sqrt(-1)", "10 ^ 400", "'a'", "a = 1", "(" * 200 + "1"]
)
def test_what_is_no_expression_is_refused(text: str) -> None:
    """No value, unknown names, assignments, texts, too deep."""
    with pytest.raises(BundleValidationError):
        evaluate(text)


def unpack(data: bytes, name: str = "a.zip") -> list[Bundle]:
    """The bundles of Extract, run by hand since a template cannot hold bytes."""
    from modules.builtin import BUILTIN_MODULES
    from runtime.iml import Environment

    job = BuiltinJob({"data": Buffer(data), "fileName": name}, Environment(now=NOW))
    entry = BUILTIN_MODULES["archive:Extract"]
    assert entry.run is not None
    return [bundle for effect in entry.run(job) if isinstance(effect, Emit) for bundle in effect.bundles]


@pytest.mark.parametrize("kind", ["zip", "tar", "gzip"])
def test_archives_come_back(kind: str) -> None:
    """What was packed is extracted; names never lead out of the archive."""
    aggregator = module(
        2,
        "archive:PackAggregator",
        {"fileName": "{{1.n}}", "data": "{{1.d}}"},
        parameters={"feeder": 1, "type": kind, "archiveName": "all"},
    )
    result = run(scenario(start({"n": "../b/a.txt", "d": "x"}, {"n": "c.txt", "d": "é"}), aggregator)).outputs()
    packed = result[1][1][0]

    files = [(file["filePath"], file["data"].data, file["size"]) for file in unpack(packed["data"].data)]

    assert packed["fileName"].startswith("all.")
    assert files == [("b/a.txt", b"x", 1), ("c.txt", "é".encode(), 2)]


def test_a_small_archive_cannot_hold_a_huge_file() -> None:
    """Reading stops at the limit, whatever size the archive claims."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("big", b"\0" * (MAX_BYTES + 1))

    with pytest.raises(MaxFileSizeExceededError):
        unpack(stream.getvalue())
    with pytest.raises(MaxFileSizeExceededError):
        unpack(gzip.compress(b"\0" * (MAX_BYTES + 1)))
    with pytest.raises(BundleValidationError):
        unpack(b"no archive")
