"""How commands print: aligned tables in a pipe, one line of JSON, no control characters from data."""

from __future__ import annotations

import json

import pytest

from workers.cli import output


def test_a_table_is_aligned_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns are as wide as their widest cell; nothing trails; None is a dash."""
    output.table(("NAME", "N"), [("a", 1), ("long name", None)], empty="nothing")

    assert capsys.readouterr().out == "NAME       N\na          1\nlong name  -\n"


def test_an_empty_table_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Instead of a bare head there is the sentence for no rows."""
    output.table(("NAME",), [], empty="No app is registered.")

    assert capsys.readouterr().out == "No app is registered.\n"


def test_text_from_outside_cannot_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences and bidirectional controls of data are shown as escapes."""
    output.say("a\x1b[2Jb\u202ec\td")

    assert capsys.readouterr().out == "a\\x1b[2Jb\\u202ec\td\n"


def test_json_in_a_pipe_is_one_line_with_any_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Non-ASCII text stays, half a surrogate pair is escaped, the line parses."""
    value = {"a": ["ž", "\ud800", 12345678901234567890]}
    output.print_json(value)
    shown = capsys.readouterr().out

    assert shown.count("\n") == 1
    assert "ž" in shown
    assert json.loads(shown) == value


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """Only a terminal sees progress."""
    output.progress("working ...")

    assert capsys.readouterr() == ("", "")


def test_instants_are_utc() -> None:
    """Milliseconds print as a date and time with their zone."""
    assert output.instant(1_000) == "1970-01-01 00:00:01Z"
    assert output.instant(None) == "-"
