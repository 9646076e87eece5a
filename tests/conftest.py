"""Fixtures for all tests."""

from pathlib import Path

import pytest

from tests.paths import SHARED
from tests.spine import Scenarist


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the specification's cases and the corpus; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder `shared` does not lie beside this checkout")
    return SHARED


@pytest.fixture
def cli(tmp_path: Path) -> Scenarist:
    """The program with a data folder of its own."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Scenarist(home)
