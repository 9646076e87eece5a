"""Fixtures for all tests."""

from pathlib import Path

import pytest

from tests.paths import SHARED


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the specification's cases and the corpus; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the folder `shared` does not lie beside this checkout")
    return SHARED
