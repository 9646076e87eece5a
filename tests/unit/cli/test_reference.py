"""`docs/cli.md` lists every command and option of the real command tree."""

from __future__ import annotations

from tests.paths import ROOT
from workers.cli.reference import commands, is_group, renewed

PAGE = ROOT / "docs" / "cli.md"


def test_the_page_is_the_command_tree() -> None:
    """Written anew, the generated part is the same: `python -m workers.cli.reference docs/cli.md` updates it."""
    text = PAGE.read_text("utf-8")

    assert renewed(text) == text


def test_the_page_names_every_command_and_option() -> None:
    """Nothing of the tree is left out by the generator."""
    text = PAGE.read_text("utf-8")

    for path, command in commands():
        section = text.partition(f"# scenarist {' '.join(path)}\n")[2].partition("\n## ")[0]
        assert section, path
        if not is_group(command):
            for parameter in command.params:
                shown = parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]
                assert shown.replace("|", "\\|") in section, (path, parameter.name)
