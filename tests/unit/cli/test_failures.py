"""Errors as sentences: what, where, what to do; and their exit codes."""

from __future__ import annotations

import json

import pytest
import typer

from runtime.errors import (
    BundleValidationError,
    DataError,
    ImlSyntaxError,
    ScenaristError,
    SettingsError,
    UsageError,
)
from runtime.parameters import parse_fields, resolve
from workers.cli import main
from workers.cli.failures import describe, exit_code_of, report


@pytest.mark.parametrize(
    ("error", "code"),
    [
        pytest.param(UsageError("x"), 2, id="wrong use"),
        pytest.param(SettingsError("x"), 2, id="setting"),
        pytest.param(DataError("x"), 1, id="module"),
        pytest.param(ScenaristError("x"), 1, id="other"),
        pytest.param(KeyError("x"), 1, id="a fault of ours"),
        pytest.param(typer.BadParameter("x"), 2, id="parser"),
        pytest.param(typer.Abort(), 2, id="input ended"),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    """2 for wrong use, 1 for what failed."""
    assert exit_code_of(error) == code


def test_a_syntax_error_points_into_the_template(capsys: pytest.CaptureFixture[str]) -> None:
    """The template stands below the message with a mark under the column."""
    report(ImlSyntaxError("')' expected", place="module x, /url", template="{{a(1}}", column=6), as_json=False)

    assert capsys.readouterr().err.splitlines() == [
        "error: ')' expected",
        "where: module x, /url",
        "  {{a(1}}",
        "       ^",
    ]


@pytest.mark.parametrize(
    ("template", "help_"),
    [
        pytest.param("{{uper(1)}}", "did you mean upper?", id="near name"),
        pytest.param("{{qqqq(1)}}", "scenarist iml --functions lists the functions", id="no near name"),
        pytest.param('{{abs("x")}}', "argument number of abs(number)", id="argument"),
    ],
)
def test_an_expression_error_helps_on(template: str, help_: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The message stays the language's own; template, caret and help stand below it."""
    assert main(["iml", template]) == 1
    lines = capsys.readouterr().err.splitlines()

    assert lines[2:] == [f"  {template}", "    ^", f"help:  {help_}"]


def test_a_fault_of_the_program_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of an unknown exception may hold anything, so only its class is named; details are for level debug."""
    monkeypatch.delenv("SCENARIST_LOG_LEVEL", raising=False)
    report(ValueError("token=abcdef"), as_json=False)
    shown = capsys.readouterr().err

    assert "ValueError" in shown
    assert "abcdef" not in shown
    assert "Traceback" not in shown
    assert "SCENARIST_LOG_LEVEL=debug" in shown


def test_an_error_of_a_module_names_its_details() -> None:
    """Sub-errors are listed; empty parts are left out."""
    assert describe(DataError("bad", suberrors=["a is missing"])) == {
        "type": "DataError",
        "message": "bad",
        "details": ["a is missing"],
    }


@pytest.mark.parametrize("arguments", [["no-such"], ["runs", "no-such"], ["run"], ["iml", "--no-such"], ["app", "add"]])
def test_wrong_use_is_exit_code_2_and_one_json_object(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With --json the error is one object on standard error; standard output stays empty."""
    assert main([*arguments, "--json"]) == 2
    shown = capsys.readouterr()

    assert shown.out == ""
    assert json.loads(shown.err)["error"]["type"] == "UsageError"


def test_an_unknown_command_gets_a_proposal(capsys: pytest.CaptureFixture[str]) -> None:
    """`scenarist rum` proposes `run`."""
    assert main(["rum"]) == 2
    assert "'run'" in capsys.readouterr().err


def test_refused_parameters_are_described_for_programs():
    """Path, text, label and what would be accepted stand beside the texts."""
    fields = parse_fields([{"name": "n", "type": "integer", "label": "How many", "validate": {"min": 1}}])
    with pytest.raises(BundleValidationError) as caught:
        resolve(fields, {"n": "0"})

    described = describe(caught.value)

    assert described["details"] == ["Value of parameter 'n' is too small. Minimum value is 1."]
    assert described["parameters"] == [
        {
            "parameter": "n",
            "message": "Value of parameter 'n' is too small. Minimum value is 1.",
            "label": "How many",
            "expected": "a whole number, at least 1",
        }
    ]
