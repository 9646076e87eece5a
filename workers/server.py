"""The connection to the Redis-compatible server, embedded or one's own: client, broker address, checks at start."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast
from urllib.parse import parse_qs, quote, urlsplit

import redis
from redis.backoff import ExponentialBackoff
from redis.connection import UnixDomainSocketConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.retry import Retry

from runtime.errors import SettingsError
from workers import embedded as embedded_server
from workers import sentinels
from workers.settings import Settings

#: The newest commands that we use came with it (dependencies: Redis 6.2, and none newer than 7.0).
MIN_VERSION = (6, 2)
#: Number of the key layout under the prefix; another number means another release's data.
FORMAT = 1
#: Longer than any script takes; blocking reads set their own.
SOCKET_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server in use. `broker_url` may hold a password: it stays in memory, never in argv, a log or a message."""

    client: redis.Redis
    broker_url: str = field(repr=False)
    embedded: bool
    version: str
    #: What to warn about at start: persistence off, keys may be evicted.
    warnings: tuple[str, ...] = ()
    #: What kombu has to know beside the address. May hold the sentinels' password.
    broker_options: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


@contextmanager
def connect(settings: Settings) -> Generator[Server]:
    """
    Use the server that the settings name; starts the embedded one when there is none and leaves it at the end.

    Raises:
        SettingsError: It cannot be reached or started, or is older than 6.2. Names the setting.
    """
    if settings.redis_url is not None and "+sentinel://" in settings.redis_url:
        watched = sentinels.parse(settings.redis_url)
        client = watched.client(_options())
        try:
            made = _checked(settings, client, watched.broker_url(), embedded=False)
            yield replace(made, broker_options=watched.broker_options())
        finally:
            client.close()
        return
    if settings.redis_url is not None:
        client = _client(redis.ConnectionPool.from_url(settings.redis_url, **_options()))
        try:
            yield _checked(settings, client, broker_url(settings.redis_url), embedded=False)
        finally:
            client.close()
        return
    share = embedded_server.acquire(settings)
    try:
        pool = redis.ConnectionPool(
            connection_class=cast("Any", _embedded_connection(share)),
            path=share.socket,
            password=share.password,
            **_options(),
        )
        client = _client(pool)
        url = f"redis+socket://:{share.password}@{quote(share.socket)}?virtual_host=0"
        try:
            yield _checked(settings, client, url, embedded=True)
        finally:
            client.close()
    finally:
        share.close()


def reached(client: redis.Redis) -> bool:
    """Whether the server answers now."""
    try:
        return bool(client.ping())
    except RedisError:
        return False


def broker_url(redis_url: str) -> str:
    """The same server as Celery writes it: a Unix socket is `redis+socket://`, its database `virtual_host`."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    query = parse_qs(parts.query)
    password = parts.password or query.get("password", [""])[0]
    user = parts.username or query.get("username", [""])[0]
    login = f"{user}:{password}@" if password else ""
    return f"redis+socket://{login}{parts.path}?virtual_host={query.get('db', ['0'])[0]}"


def _options() -> dict[str, Any]:
    # Scripts that write are made so that a repetition changes nothing, hence a lost answer may be asked for again.
    return {
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": 5.0,
        "retry": Retry(ExponentialBackoff(cap=1.0, base=0.05), 6),
        "protocol": 2,
    }


def _client(pool: redis.ConnectionPool) -> redis.Redis:
    return redis.Redis(connection_pool=pool)


def _embedded_connection(share: embedded_server.Embedded) -> type[UnixDomainSocketConnection]:
    class EmbeddedConnection(UnixDomainSocketConnection):
        """A connection that has the server started again when it is gone."""

        def _connect(self) -> Any:
            try:
                return super()._connect()  # type: ignore[no-untyped-call]  # the library has no types here
            except OSError:
                share.ensure()
                return super()._connect()  # type: ignore[no-untyped-call]  # as above

    return EmbeddedConnection


def _checked(settings: Settings, client: redis.Redis, url: str, *, embedded: bool) -> Server:
    name = "the embedded server" if embedded else "SCENARIST_REDIS_URL"
    try:
        info = client.info()
    except AuthenticationError:
        raise SettingsError(f"{name}: the server refuses the password") from None
    except RedisError as error:
        # The library's texts name host and port, never the password.
        raise SettingsError(f"{name}: the server cannot be reached: {error}") from None
    version = str(info.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_VERSION:
        raise SettingsError(f"{name}: the server is version {version}; 6.2 or newer is needed")
    if info.get("cluster_enabled"):
        raise SettingsError(f"{name}: a cluster is not supported; give one server (with a replica if wanted)")
    warnings: list[str] = []
    if not embedded:
        if not info.get("aof_enabled"):
            warnings.append("the server keeps no append-only file: accepted runs may be lost when it stops")
        if info.get("maxmemory") and info.get("maxmemory_policy") != "noeviction":
            warnings.append("the server may evict keys: set its maxmemory-policy to noeviction")
    elif settings.fsync == "always" and _config(client, "appendfsync") != "always":
        # Another command with a weaker setting started it; the stronger promise wins.
        client.config_set("appendfsync", "always")
    key = f"{settings.prefix}:format"
    client.set(key, FORMAT, nx=True)
    found = cast("bytes", client.get(key))
    if found != str(FORMAT).encode():
        raise SettingsError(
            f"SCENARIST_PREFIX: the data under {settings.prefix!r} have format {found.decode()}, this release writes "
            f"format {FORMAT}. Use the release that wrote them, or another prefix."
        )
    return Server(client, url, embedded, version, tuple(warnings))


def _config(client: redis.Redis, name: str) -> str | None:
    try:
        found = cast("dict[str, str]", client.config_get(name))
    except ResponseError:
        return None
    return found.get(name)
