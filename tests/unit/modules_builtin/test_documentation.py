"""What is in the table is documented, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from modules.builtin import BUILTIN_MODULES

PAGE = Path(__file__).resolve().parents[3] / "docs" / "built-ins.md"


def test_every_built_in_has_a_heading_and_every_heading_a_built_in() -> None:
    """`docs/built-ins.md` and the table name the same modules, app by app."""
    text = PAGE.read_text("utf-8")

    assert sorted(re.findall(r"^### `(.+)`$", text, re.MULTILINE)) == sorted(BUILTIN_MODULES)
    for app, section in re.findall(r"^## (\S+)$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL):
        assert all(name.startswith(f"{app}:") for name in re.findall(r"^### `(.+)`$", section, re.MULTILINE))
