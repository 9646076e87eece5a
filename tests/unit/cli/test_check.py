"""The pieces of `scenarist check`: the `[check]` table, the forms of a finding."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.app.findings import Finding
from runtime.errors import UsageError
from workers.cli.blueprints import inner_pointer
from workers.cli.check import CheckSettings, fails, github_line, read_check_table
from workers.cli.health import is_running, running_mark


@pytest.mark.parametrize(
    ("severity", "strict", "failed"),
    [("error", False, True), ("warning", False, False), ("warning", True, True), ("info", True, False)],
)
def test_what_fails_a_check(severity: str, strict: bool, failed: bool) -> None:
    """An error always, a warning only with --strict."""
    finding = Finding(severity, "X1", "m")  # type: ignore[arg-type]  a parameter of the test

    assert fails([finding], strict=strict) is failed


def test_the_github_form_escapes_what_ends_a_field() -> None:
    """Escapes, commas and colons of data cannot make a second command or attribute."""
    finding = Finding("warning", "M401", "a%0A::error::b", file="x,y.json", line=3, column=4, component="module m")

    assert github_line(finding) == "::warning file=x%2Cy.json,line=3,col=4,title=M401::module m: a%250A::error::b"


def test_the_check_table_is_read_and_nothing_else(tmp_path: Path) -> None:
    """`strict` and `ignore`; other tables of that file do not count."""
    (tmp_path / "scenarist.toml").write_text('redis_url = "redis://evil"\n[check]\nstrict = true\nignore = ["M401"]\n')

    assert read_check_table(tmp_path) == CheckSettings(strict=True, ignore=frozenset({"M401"}))
    assert read_check_table(tmp_path / "none") == CheckSettings()


def test_codes_have_the_severity_of_the_table(tmp_path: Path) -> None:
    """A code can count more, less or not at all; why an app cannot be loaded is said all the same."""
    (tmp_path / "scenarist.toml").write_text('[check.severity]\nM411 = "error"\nA301 = "info"\nP312 = "off"\n')
    settings = read_check_table(tmp_path)
    given = [Finding("info", "M411", "m"), Finding("error", "A301", "m"), Finding("info", "P312", "m")]

    changed = [(item.code, item.severity) for item in settings.applied(given, loaded=True)]
    refused = [(item.code, item.severity) for item in settings.applied(given, loaded=False)]

    assert changed == [("M411", "error"), ("A301", "info")]
    assert refused == [("M411", "error"), ("A301", "error")]


@pytest.mark.parametrize(
    "text", ["[check", "[check]\nstrict = 1", "[check]\nother = 1", "check = 5", "[check.severity]\nM411 = 1"]
)
def test_a_wrong_check_table_is_named(tmp_path: Path, text: str) -> None:
    """Wrong use, with the file's name."""
    (tmp_path / "scenarist.toml").write_text(text)

    with pytest.raises(UsageError, match=r"scenarist\.toml"):
        read_check_table(tmp_path)


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ('{"flow": []}', ""),
        ('{"response": {"blueprint": {"flow": []}}}', "/response/blueprint"),
        ('{"blueprint": {"flow": []}}', "/blueprint"),
        ('{"blueprint": "{}"}', None),
        ("no JSON", None),
    ],
)
def test_where_a_blueprint_begins_in_its_file(text: str, pointer: str | None) -> None:
    """Positions of findings count from there; text inside of text has none."""
    assert inner_pointer(text.encode()) == pointer


def test_a_mark_lives_as_long_as_its_process(tmp_path: Path) -> None:
    """`worker --check` sees a running worker, any number of them, and no ended one."""
    assert not is_running(tmp_path, "worker")
    with running_mark(tmp_path, "worker"), running_mark(tmp_path, "worker", "scheduler"):
        assert is_running(tmp_path, "worker")
        assert is_running(tmp_path, "scheduler")
    assert not is_running(tmp_path, "worker")
