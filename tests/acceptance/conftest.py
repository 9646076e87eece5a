"""Fixtures for tests that use the command line as a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.helpdesk import sample_api
from tests.spine import Scenarist


@pytest.fixture
def cli(tmp_path: Path) -> Scenarist:
    """The program with a data folder of its own."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Scenarist(home)


@pytest.fixture
def api() -> Iterator[Any]:
    """The sample API of the examples, served from this process."""
    with sample_api() as running:
        yield running
