"""The ledger's server: what it promises about data, its clock, and the broker of the messages."""

from __future__ import annotations

import time
from typing import Any, cast

from redis.exceptions import ResponseError

from workers.doctor.finding import Finding, Place, error, many, ok, size, warning
from workers.server import Server

#: Differences of clocks in seconds. `now` and the ends of tokens are this machine's, leases and wake-ups the server's.
SOME_SKEW, MUCH_SKEW = 2.0, 60.0
#: Share of its memory limit at which a server is called nearly full.
NEARLY_FULL = 0.85


def check_server(at: Place) -> list[Finding]:
    """That it is there, what it is, and whether it is nearly full."""
    info = _info(at.server)
    which = "embedded" if at.server.embedded else "your own"
    name = "Valkey" if info.get("server_name") == "valkey" else "Redis"
    version = info.get("valkey_version") or at.server.version
    text = f"{name} {version} ({which}), data under the prefix {at.settings.prefix!r}."
    found = [ok("server", text)]
    if info.get("role") == "slave":
        advice = "Give the address of the primary, or of the sentinels (redis+sentinel://), which know it."
        found.append(error("server", "The server is a replica: it cannot be written to.", advice))
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most and used > NEARLY_FULL * most:
        advice = "Raise its maxmemory, or lower SCENARIST_KEEP_BYTES and SCENARIST_KEEP_DAYS. When it is full, "
        advice += "nothing more is accepted."
        found.append(warning("server", f"It uses {size(used)} of at most {size(most)} of memory.", advice))
    replicas = int(info.get("connected_slaves", 0))
    if replicas and str(_setting(at.server, "min-replicas-to-write") or "0") == "0":
        advice = "Set min-replicas-to-write to 1 on it: otherwise what it has accepted last may be lost when a "
        advice += "replica takes over (docs/operating.md)."
        found.append(warning("server", f"{many(replicas, 'replica')} may take over without the last writes.", advice))
    return found


def check_persistence(at: Place) -> list[Finding]:
    """Accepted means on disk: append-only file, its syncing, eviction, and whether the last writes worked."""
    info, found = _info(at.server), list[Finding]()
    if not info.get("aof_enabled"):
        advice = "Set appendonly yes on the at.server. Until then accepted runs are lost when it stops."
        found.append(error("persistence", "The server keeps no append-only file.", advice))
    elif info.get("aof_last_write_status", "ok") != "ok":
        advice = "Look at its disk and its log: it refuses writes, or they are not kept."
        found.append(error("persistence", "The last write to the append-only file failed.", advice))
    elif info.get("aof_last_bgrewrite_status", "ok") != "ok":
        advice = "Look at its disk and its log: the file grows until a rewrite works."
        found.append(warning("persistence", "The last rewrite of the append-only file failed.", advice))
    sync = _setting(at.server, "appendfsync") if info.get("aof_enabled") else None
    if sync == "no":
        advice = "Set appendfsync to always, or to everysec if a lost second is bearable."
        found.append(error("persistence", "The server never syncs its append-only file.", advice))
    elif sync == "everysec" and not (at.server.embedded and at.settings.fsync == "everysec"):
        advice = "Set appendfsync to always if a lost second at a power failure is not bearable."
        found.append(warning("persistence", "Writes are synced once a second.", advice))
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        advice = "Set maxmemory-policy noeviction: otherwise runs and connections vanish when memory is short."
        level = error if int(info.get("maxmemory", 0)) else warning
        found.append(level("persistence", f"The server may evict keys ({policy}).", advice))
    told = "sync unknown: it hides its settings" if sync is None else f"sync {sync}"
    return found or [ok("persistence", f"Append-only file on, {told}, nothing is evicted.")]


def check_clock(at: Place) -> list[Finding]:
    """How far the clocks of this machine and of the server are apart."""
    best = None
    for _ in range(3):
        before = time.time()
        seconds, micros = at.server.client.time()
        after = time.time()
        if best is None or after - before < best[0]:
            best = (after - before, seconds + micros / 1e6 - (before + after) / 2)
    assert best is not None  # noqa: S101  for the type checker
    apart = abs(best[1])
    text = f"The clocks of this machine and of the server are {apart:.1f} s apart."
    if apart < SOME_SKEW:
        return [ok("clock", text)]
    advice = (
        "Synchronize both (NTP). Schedules follow the server; dates in expressions and ends of tokens this machine."
    )
    return [error("clock", text, advice) if apart >= MUCH_SKEW else warning("clock", text, advice)]


def check_broker(at: Place) -> list[Finding]:
    """That messages can be sent, and how many wait."""
    from workers.celery_app import make_app, waiting

    number = waiting(make_app(at.settings, at.server), at.settings, at.server)
    which = "SCENARIST_BROKER_URL" if at.settings.broker_url else "the server"
    if number is None:
        advice = "Start the broker or correct SCENARIST_BROKER_URL; until then runs wait, and none is lost."
        return [error("broker", "The broker of the messages cannot be reached.", advice)]
    return [ok("broker", f"{many(number, 'message')} wait on {which}.")]


def _info(server: Server) -> dict[str, Any]:
    return server.client.info()


def _setting(server: Server, name: str) -> str | None:
    try:
        found = cast("dict[str, str]", server.client.config_get(name))
    except ResponseError:
        return None
    return found.get(name)
