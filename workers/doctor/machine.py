"""This machine: settings, the data folder's disk, addresses."""

from __future__ import annotations

import difflib
import ipaddress
import shutil
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from runtime.errors import SettingsError
from workers.doctor.finding import Finding, Place, error, many, ok, size, warning
from workers.options import OPTIONS
from workers.settings import KNOWN, Settings
from workers.status import metrics_address

#: Less free disk than this is an error, less than that a warning.
FEW_BYTES, SOME_BYTES = 256 << 20, 2 << 30


def check_settings(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """Names that nothing reads: mostly typing errors, which otherwise do nothing at all."""
    found: list[Finding] = []
    known = {*KNOWN, *OPTIONS}
    for name in sorted(settings.options):
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, 1, 0.75)
        variable = f"SCENARIST_{name.upper().replace('.', '__')}"
        shown = variable if variable in environment else name
        meant = f"; did you mean {near[0]}?" if near else "."
        found.append(warning("settings", f"The setting {shown} is not known{meant}", "Correct its name or remove it."))
    for problem in (metrics_address,):
        try:
            problem(settings)
        except SettingsError as wrong:
            found.append(error("settings", wrong.message, "Correct this setting."))
    source = f"the environment and {settings.file}" if settings.file else "the environment"
    return found or [ok("settings", f"Read from {source}; data folder {settings.home}.")]


def check_space(settings: Settings) -> list[Finding]:
    """Free disk where the data folder is: the embedded server's data lie there."""
    free = shutil.disk_usage(settings.home).free
    text = f"{size(free)} free where the data folder {settings.home} is."
    if free >= SOME_BYTES:
        return [ok("disk", text)]
    if settings.redis_url is not None:
        advice = "Make room: cassettes and logs lie there. The ledger is on your own server."
        return [warning("disk", text, advice)]
    advice = "Make room: when the disk is full nothing can be accepted. SCENARIST_KEEP_BYTES limits the history."
    return [error("disk", text, advice) if free < FEW_BYTES else warning("disk", text, advice)]


def check_urls(at: Place) -> list[Finding]:
    """Addresses: what providers and senders of webhooks have to reach, and what should not be reached."""
    found: list[Finding] = []
    client = at.server.client
    ids = sorted(item.decode() for item in cast("set[bytes]", client.smembers(at.keys.connections)))
    with client.pipeline(transaction=False) as pipeline:
        for connection in ids:
            pipeline.hget(at.keys.connection(connection), "type")
        oauth = sum(1 for kind in pipeline.execute() if kind and kind.startswith(b"oauth"))
    hooks = client.zcard(at.keys.hooks)
    if at.settings.public_url is None and (oauth or hooks):
        what = " and ".join(
            text for text in (oauth and many(oauth, "OAuth connection"), hooks and many(hooks, "webhook")) if text
        )
        advice = "Set SCENARIST_PUBLIC_URL to the https address under which the gateway is reached."
        found.append(warning("address", f"No public address is set, and there is {what}.", advice))
    parts = urlsplit(at.settings.public_url or "")
    if parts.scheme == "http" and not _local(parts.hostname or ""):
        advice = "Put a proxy with https in front of the gateway: hook addresses and OAuth codes travel in the clear."
        found.append(warning("address", "SCENARIST_PUBLIC_URL is not https.", advice))
    if at.settings.public_url and at.settings.metrics_token is None and at.settings.options.get("metrics_port") is None:
        advice = "Set SCENARIST_METRICS_TOKEN, or SCENARIST_METRICS_PORT to give the metrics a port of their own."
        found.append(warning("address", "The gateway shows /metrics to whoever reaches it.", advice))
    return found or [ok("address", f"The gateway is reached as {at.settings.public_url or 'this machine only'}.")]


def _local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_private
