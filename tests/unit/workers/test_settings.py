"""Settings come from the environment over one file, and say by name what is wrong."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from pathlib import Path

import pytest

from runtime.errors import SettingsError
from workers.settings import default_home, load_settings


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A data folder."""
    return tmp_path / "home"


def write(home: Path, text: str) -> None:
    """Write the file of the data folder."""
    home.mkdir(exist_ok=True)
    (home / "scenarist.toml").write_text(text)


def test_defaults(home: Path) -> None:
    """Without any setting the values of the design hold, and the data folder is private."""
    settings = load_settings({"SCENARIST_HOME": str(home)})

    assert (settings.redis_url, settings.fsync, settings.timezone) == (None, "always", "UTC")
    assert (settings.keep, settings.keep_bytes, settings.run_bytes) == (timedelta(days=30), 1 << 30, 512 << 20)
    assert home.stat().st_mode & 0o777 == 0o700


def test_environment_wins_over_the_file(home: Path) -> None:
    """A variable replaces the file's value; what it does not name stays the file's."""
    write(home, 'timezone = "Europe/Prague"\nrun_bytes = "1MiB"\n')

    settings = load_settings({"SCENARIST_HOME": str(home), "SCENARIST_TIMEZONE": "Europe/Berlin"})

    assert (settings.timezone, settings.run_bytes) == ("Europe/Berlin", 1 << 20)


def test_named_file_replaces_that_of_the_data_folder(home: Path, tmp_path: Path) -> None:
    """`SCENARIST_CONFIG` names the one file that is read."""
    write(home, "run_bytes = 1\n")
    other = tmp_path / "other.toml"
    other.write_text("keep_days = 2\n")

    settings = load_settings({"SCENARIST_HOME": str(home), "SCENARIST_CONFIG": str(other)})

    assert (settings.run_bytes, settings.keep) == (512 << 20, timedelta(days=2))


def test_current_folder_is_never_read(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `scenarist.toml` in an app's folder changes nothing."""
    (tmp_path / "scenarist.toml").write_text('redis_url = "redis://evil"\n')
    monkeypatch.chdir(tmp_path)

    assert load_settings({"SCENARIST_HOME": str(home)}).redis_url is None


def test_settings_of_the_specifications(home: Path) -> None:
    """A setting that a specification names is a key of the file or a variable, dots as `__`, of the default's type."""
    write(home, "repeat_max = 7\n[compat]\nqs_replaces_url_query = true\n[check]\nstrict = 1\n")

    settings = load_settings({"SCENARIST_HOME": str(home), "SCENARIST_COMPAT__OTHER": "off"})

    assert settings.option("repeat_max", 1000) == 7
    assert settings.option("compat.qs_replaces_url_query", False) is True
    assert settings.option("compat.other", True) is False
    assert settings.option("nothing", 3) == 3
    assert "check.strict" not in settings.options


def test_networks(home: Path) -> None:
    """Networks are a comma-separated list."""
    settings = load_settings({"SCENARIST_HOME": str(home), "SCENARIST_ALLOW_NETS": "10.0.0.0/8, ::1/128"})

    assert settings.allow_nets == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REDIS_URL", "http://user:hunter22@host"),
        ("ALLOW_NETS", "10.0.0.1/8"),
        ("PUBLIC_URL", "example.com"),
        ("TIMEZONE", "Mars/Olympus"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("KEEP_DAYS", "-1"),
        ("KEEP_BYTES", "much"),
        ("RUN_BYTES", "1.5"),
        ("FSYNC", "never"),
        ("PREFIX", "a b"),
        ("HOME", "relative/folder"),
    ],
)
def test_wrong_value_is_named(home: Path, name: str, value: str) -> None:
    """An unusable value gives an error that names the setting, and never shows a password."""
    with pytest.raises(SettingsError, match=f"SCENARIST_{name}") as caught:
        load_settings({"SCENARIST_HOME": str(home), f"SCENARIST_{name}": value})

    assert "hunter22" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [("a = ", "not valid TOML"), ('home = "/x"', "SCENARIST_HOME"), ("timezone = 1", "SCENARIST_TIMEZONE")],
)
def test_wrong_file_is_named(home: Path, text: str, message: str) -> None:
    """A file that cannot be used gives an error, not a default."""
    write(home, text)

    with pytest.raises(SettingsError, match=message):
        load_settings({"SCENARIST_HOME": str(home)})


def test_named_file_must_exist(home: Path) -> None:
    """A file that was asked for by name and is not there is an error."""
    with pytest.raises(SettingsError, match="SCENARIST_CONFIG"):
        load_settings({"SCENARIST_HOME": str(home), "SCENARIST_CONFIG": "/nothing/here.toml"})


def test_option_of_a_wrong_type_is_named(home: Path) -> None:
    """A setting of a specification says its name when its value does not fit."""
    settings = load_settings({"SCENARIST_HOME": str(home), "SCENARIST_REPEAT_MAX": "many"})

    with pytest.raises(SettingsError, match="repeat_max"):
        settings.option("repeat_max", 1000)


def test_secrets_are_not_shown(home: Path) -> None:
    """Printing the settings shows neither keys nor the server's address with its password."""
    settings = load_settings(
        {"SCENARIST_HOME": str(home), "SCENARIST_REDIS_URL": "redis://:hunter22@host/0", "SCENARIST_KEYS": "k:hunter33"}
    )

    assert "hunter" not in repr(settings)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_DATA_HOME": "/data", "HOME": "/home/a"}, "/data/scenarist"),
        ({"XDG_DATA_HOME": "relative", "HOME": "/home/a"}, "/home/a/.local/share/scenarist"),
        ({"HOME": "/home/a"}, "/home/a/.local/share/scenarist"),
    ],
)
def test_default_data_folder(environment: dict[str, str], expected: str) -> None:
    """The data folder is the platform's folder for a user's data."""
    assert default_home(environment) == Path(expected)
