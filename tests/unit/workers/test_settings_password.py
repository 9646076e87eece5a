"""The server's password comes from a file, so that no environment and no argument holds it."""

from pathlib import Path

import pytest

from runtime.errors import SettingsError
from workers.settings import load_settings


def settings(home: Path, **more: str) -> str | None:
    return load_settings({"SCENARIST_HOME": str(home), **more}).redis_url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://server:6379/0", "redis://:p%40ss%2Fw%C3%B6rd@server:6379/0"),
        ("rediss://ann@server/1", "rediss://ann:p%40ss%2Fw%C3%B6rd@server/1"),
        ("redis://ann:old@server/1", "redis://ann:p%40ss%2Fw%C3%B6rd@server/1"),
    ],
)
def test_the_password_of_the_file_joins_the_address(tmp_path: Path, url: str, expected: str) -> None:
    """It is trimmed, escaped, and wins over one in the address."""
    file = tmp_path / "password"
    file.write_text("p@ss/wörd\n")

    assert settings(tmp_path / "home", SCENARIST_REDIS_URL=url, SCENARIST_REDIS_PASSWORD_FILE=str(file)) == expected


@pytest.mark.parametrize("content", [None, ""])
def test_a_file_without_a_password_is_refused_by_its_setting(tmp_path: Path, content: str | None) -> None:
    """A missing or empty file names the setting."""
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    with pytest.raises(SettingsError, match="SCENARIST_REDIS_PASSWORD_FILE"):
        settings(tmp_path / "h", SCENARIST_REDIS_URL="redis://s", SCENARIST_REDIS_PASSWORD_FILE=str(file))


def test_a_password_without_an_address_is_refused(tmp_path: Path) -> None:
    """The embedded server makes its own password."""
    (tmp_path / "password").write_text("x")
    with pytest.raises(SettingsError, match="SCENARIST_REDIS_URL"):
        settings(tmp_path / "home", SCENARIST_REDIS_PASSWORD_FILE=str(tmp_path / "password"))
