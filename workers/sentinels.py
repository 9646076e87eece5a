"""
A server behind sentinels: `redis+sentinel://[user:password@]host[:port][,host[:port]...]/MASTER[/DATABASE]`.

Sentinels name the server that is the primary now; after a failover each connection that breaks asks them again.
`?sentinel_password=...` (and `sentinel_username`) is for sentinels with a password of their own. `rediss+sentinel://`
speaks TLS with servers and sentinels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import redis
from redis.sentinel import Sentinel, SentinelManagedSSLConnection

from runtime.errors import SettingsError

#: Where a sentinel listens unless the address says otherwise.
PORT = 26379
_FORM = "SCENARIST_REDIS_URL: the form is redis+sentinel://:password@host:26379,host:26379/MASTER/0"


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The sentinels, and the server that they watch."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    database: int = 0
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    sentinel_username: str | None = None
    sentinel_password: str | None = field(default=None, repr=False)

    def client(self, options: Mapping[str, Any]) -> redis.Redis:
        """A client of whatever server is the primary."""
        given: dict[str, Any] = dict(options) | {
            "db": self.database, "username": self.username, "password": self.password, "ssl": self.tls,
        }  # fmt: skip
        watched = Sentinel(self.hosts, sentinel_kwargs=self._of_sentinels(), **given)
        return watched.master_for(self.master)

    def broker_url(self) -> str:
        """The same as kombu writes it."""
        login = ""
        if self.password is not None:
            login = f"{quote(self.username or '', safe='')}:{quote(self.password, safe='')}@"
        return ";".join(f"sentinel://{login}{_bracketed(host)}:{port}/{self.database}" for host, port in self.hosts)

    def broker_options(self) -> dict[str, Any]:
        """What kombu has to know beside the address."""
        options: dict[str, Any] = {"master_name": self.master, "sentinel_kwargs": self._of_sentinels()}
        if self.tls:
            options["connection_class"] = SentinelManagedSSLConnection
        return options

    def _of_sentinels(self) -> dict[str, Any]:
        own = {"username": self.sentinel_username, "password": self.sentinel_password}
        return {"socket_timeout": 1.0, "socket_connect_timeout": 1.0, "protocol": 2, "ssl": self.tls} | {
            name: value for name, value in own.items() if value is not None
        }


def parse(url: str) -> Sentinels:
    """
    The sentinels in an address.

    Raises:
        SettingsError: It has another form. The message does not repeat it: it may hold a password.
    """
    parts = urlsplit(url)
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    master, _, database = parts.path.strip("/").partition("/")
    query = parse_qs(parts.query)
    if (
        not hosts
        or not master
        or not (database or "0").isdigit()
        or query.keys() - {"sentinel_username", "sentinel_password"}
    ):
        raise SettingsError(_FORM)
    return Sentinels(
        tuple(_host(host) for host in hosts.split(",")),
        unquote(master),
        int(database or 0),
        parts.scheme.startswith("rediss"),
        unquote(username) or None,
        unquote(password) or None,
        query.get("sentinel_username", [None])[0],
        query.get("sentinel_password", [None])[0],
    )


def _host(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(PORT)
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingsError(_FORM)
    return host.strip("[]"), int(port)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
