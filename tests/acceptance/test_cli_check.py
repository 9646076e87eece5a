"""`scenarist check` as a process: exit codes, forms, and no traceback whatever it is given."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.acceptance.helpdesk import APP, BLUEPRINT
from tests.spine import Scenarist


def test_the_examples_have_no_finding(cli: Scenarist) -> None:
    """What we show to others passes its own checker, hints included."""
    assert cli.json("check", str(APP), str(BLUEPRINT), "--strict") == []


def test_a_broken_link_is_found_at_its_place(cli: Scenarist, tmp_path: Path) -> None:
    """An error has exit code 1 and names file, line and column in all three forms."""
    shutil.copytree(APP, tmp_path / "app")
    manifest = tmp_path / "app/makecomapp.json"
    text = manifest.read_text().replace('"connection": "helpdesk"', '"connection": "helpdesc"', 1)
    manifest.write_text(text)

    (finding,) = [item for item in cli.json("check", str(tmp_path / "app"), exit_code=1) if item["severity"] == "error"]
    assert finding["code"] == "A301"
    assert "helpdesc" in text.splitlines()[finding["line"] - 1]
    assert finding["file"].endswith("makecomapp.json")

    shown = cli("check", str(tmp_path / "app"), exit_code=1)
    assert f"error A301 {finding['file']}:{finding['line']}:{finding['column']}" in shown
    annotation = cli("check", str(tmp_path / "app"), "--format", "github", exit_code=1)
    assert f"::error file={finding['file']},line={finding['line']},col={finding['column']},title=A301::" in annotation


def test_a_syntax_error_is_shown_with_a_caret(cli: Scenarist, tmp_path: Path) -> None:
    """Below the finding stand the expression's text and a caret under the place; other forms stay one line."""
    shutil.copytree(APP, tmp_path / "app")
    path = next((tmp_path / "app/modules/get-ticket").glob("*comm*"), None) or next(
        file for file in (tmp_path / "app/modules/get-ticket").iterdir() if "{{" in file.read_text()
    )
    path.write_text(path.read_text().replace("{{", "{{upper(]", 1))

    lines = cli("check", str(tmp_path / "app"), exit_code=1).splitlines()

    (at,) = [number for number, line in enumerate(lines) if line.startswith("error I601")]
    assert "{{upper(]" in lines[at + 1]
    assert lines[at + 1][lines[at + 2].index("^")] == "]"
    assert "^" not in cli("check", str(tmp_path / "app"), "--format", "github", exit_code=1)


def test_a_warning_fails_only_a_strict_check(cli: Scenarist, tmp_path: Path) -> None:
    """Exit code 0 without --strict and 1 with it; a `[check]` table may say the same or leave a code out."""
    shutil.copytree(APP, tmp_path / "app")
    base = tmp_path / "app/general/base.iml.json"
    base.write_text(base.read_text().replace('"sanitize":', '"santize":'))
    codes = {item["code"] for item in cli.json("check", str(tmp_path / "app")) if item["severity"] == "warning"}
    assert codes

    cli("check", str(tmp_path / "app"), "--strict", exit_code=1)
    settings = tmp_path / "app/scenarist.toml"
    settings.write_text("[check]\nstrict = true\n")
    cli("check", str(tmp_path / "app"), exit_code=1)
    settings.write_text(f"[check]\nstrict = true\nignore = {json.dumps(sorted(codes))}\n")
    cli("check", str(tmp_path / "app"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("garbage.bin", os.urandom(4096), id="garbage"),
        pytest.param("empty.json", b"", id="empty file"),
        pytest.param("list.json", b"[1, 2]", id="a list"),
        pytest.param("deep.json", b"[" * 100_000, id="too deep"),
        pytest.param("flow.json", b'{"flow": 5}', id="flow is no list"),
        pytest.param("flow.json", b'{"flow": [{"id": 1}, null, "x"]}', id="modules that are none"),
        pytest.param("makecomapp.json", b"\xff\xfe\x00", id="manifest that is no text"),
        pytest.param("makecomapp.json", b"{}", id="manifest without components"),
        pytest.param("makecomapp.json", b'{"fileVersion": 1, "components": {"module": [1]}}', id="lists"),
    ],
)
def test_what_is_no_app_and_no_blueprint_is_an_error_not_a_crash(
    cli: Scenarist, tmp_path: Path, name: str, content: bytes
) -> None:
    """Exit code 1 and at least one finding of severity error."""
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / name).write_bytes(content)

    findings = cli.json("check", str(folder / name), exit_code=1)
    assert [item for item in findings if item["severity"] == "error"]


def test_a_folder_without_a_manifest_is_an_error(cli: Scenarist, tmp_path: Path) -> None:
    """A100, exit code 1."""
    (tmp_path / "empty").mkdir()

    (finding,) = cli.json("check", str(tmp_path / "empty"), exit_code=1)
    assert finding["code"] == "A100"
    assert finding["file"].endswith("empty")


def test_a_file_that_may_not_be_read_is_an_error(cli: Scenarist, tmp_path: Path) -> None:
    """A linked file without read permission, or a directory in its place, is a finding with its path."""
    shutil.copytree(APP, tmp_path / "app")
    base = tmp_path / "app/general/base.iml.json"
    base.unlink()
    base.mkdir()

    findings = cli.json("check", str(tmp_path / "app"), exit_code=1)
    assert any("base.iml.json" in item["message"] + item["file"] for item in findings if item["severity"] == "error")


def test_no_such_path_is_wrong_use(cli: Scenarist, tmp_path: Path) -> None:
    """Exit code 2, nothing on standard output."""
    assert cli("check", str(tmp_path / "none"), exit_code=2) == ""
    assert "no such file or folder" in cli.seen[-1]
    cli("check", "", exit_code=2)
    cli("check", exit_code=2)
    cli("check", str(APP), "--format", "xml", exit_code=2)
