"""`scenarist iml` as a process: one expression, a batch, the reference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.iml_cases import decode, load_cases, matches
from tests.spine import Scenarist


def test_one_expression_prints_its_value(cli: Scenarist, tmp_path: Path) -> None:
    """Text as it is, a number as IML prints it, a collection as JSON; --json wraps the value."""
    context = tmp_path / "context.json"
    context.write_text(json.dumps({"name": "Ada", "born": {"$date": "1815-12-10T00:00:00.000Z"}}))

    assert cli("iml", "{{upper(name)}}!", "--context", str(context)) == "ADA!\n"
    assert cli("iml", '{{formatDate(born; "YYYY")}}', "--context", "-", stdin=context.read_text()) == "1815\n"
    assert cli.json("iml", "{{1 + 2}}") == {"value": 3}
    assert cli.json("iml", "{{born}}", "--context", str(context)) == {"value": {"$date": "1815-12-10T00:00:00.000Z"}}
    assert cli.json("iml", "{{nothing}}") == {"value": {"$undefined": True}}


def test_the_time_zone_counts(cli: Scenarist) -> None:
    """Calendar functions use the zone that was given."""
    template = '{{formatDate(parseDate("2026-07-01T00:00:00Z"); "HH:mm")}}'

    assert cli("iml", template, "--timezone", "Europe/Prague") == "02:00\n"


def test_a_failing_expression_is_exit_code_1(cli: Scenarist) -> None:
    """The message is a sentence; a syntax error shows where."""
    cli("iml", "{{nope(1)}}", exit_code=1)
    assert "Function 'nope' not found!" in cli.seen[-1]
    cli("iml", "{{upper(1}}", exit_code=1)
    assert "{{upper(1}}" in cli.seen[-1]


def test_a_misspelt_variable_is_noted(cli: Scenarist) -> None:
    """A variable that is not there is undefined, as always; a person is told of one that is spelt nearly so."""
    assert cli("iml", "{{nmae}}!", "--context", "-", stdin='{"name": "Ada"}') == "!\n"
    assert 'did you mean "name"?' in cli.seen[-1]
    assert cli("iml", "{{name}}{{other}}", "--context", "-", stdin='{"name": "Ada"}') == "Ada\n"
    assert cli.seen[-1] == ""


def test_a_batch_gives_a_value_or_an_error_for_each_entry(cli: Scenarist) -> None:
    """One bad entry does not spoil the others; the exit code is 0, since each result says how it went."""
    entries = [
        {"template": "{{a + 1}}", "context": {"a": 1}},
        {"template": "{{nope()}}"},
        {"template": {"x": "{{a}}", "{{...}}": "{{b}}"}, "context": {"b": {"y": 1}}},
        {
            "template": "{{formatDate(d; 'HH')}}",
            "context": {"d": {"$date": "2026-01-01T00:00:00Z"}},
            "timezone": "Asia/Tokyo",
        },
    ]
    results = json.loads(cli("iml", "--batch", "-", stdin=json.dumps(entries)))

    assert results[0] == {"value": 2}
    assert results[1]["error"]["type"] == "ImlFunctionNotFound"
    assert results[2:] == [{"value": {"y": 1}}, {"value": "09"}]


def test_every_case_of_the_specification_through_the_batch(shared: Path, cli: Scenarist) -> None:
    """The whole case file in one process, in the file's own notation both ways: each entry is what its case expects."""
    cases = load_cases()

    results = json.loads(cli("iml", "--batch", str(shared / "spec/iml-cases.json")))

    assert len(results) == len(cases) >= 1254
    wrong = [
        f"{case['id']}: {case['template']!r} gave {result}"
        for case, result in zip(cases, results, strict=True)
        if not matches(case["expect"], _outcome(result))
    ]
    assert wrong == []


def _outcome(result: dict[str, Any]) -> Any:
    """A value, or an exception with the class name and the message that were printed."""
    if "value" in result:
        return decode(result["value"])
    return type(result["error"]["type"], (Exception,), {})(result["error"]["message"])


def test_the_reference_lists_functions_with_examples(cli: Scenarist) -> None:
    """All by family, or one with its examples; an unknown name gets a proposal."""
    assert {"upper", "formatDate", "ifempty"} <= {item["name"] for item in cli.json("iml", "--functions")}
    assert cli.json("iml", "--functions", "upper")["examples"]
    assert "upper(" in cli("iml", "--functions", "upper")
    cli("iml", "--functions", "uper", exit_code=2)
    assert "upper" in cli.seen[-1]


def test_wrong_use(cli: Scenarist, tmp_path: Path) -> None:
    """Nothing to evaluate, a batch of something else, a missing file, an unknown zone: exit code 2."""
    cli("iml", exit_code=2)
    cli("iml", "--batch", "-", stdin="{}", exit_code=2)
    cli("iml", "--batch", "-", stdin="[1]", exit_code=2)
    cli("iml", "x", "--batch", "-", stdin="[]", exit_code=2)
    cli("iml", "--functions", "--batch", "-", stdin="[]", exit_code=2)
    cli("iml", "x", "--context", str(tmp_path / "none"), exit_code=2)
    cli("iml", "x", "--timezone", "Mars/Base", exit_code=2)
