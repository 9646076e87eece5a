"""
Canary secrets: values that nothing else holds, and every place where a copy of one could be found, in plain or encoded
form.
"""

from __future__ import annotations

import base64
import html
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from tests.spine import Scenarist
from workers.server import connect
from workers.settings import load_settings


def canary(name: str) -> str:
    """A value that nothing else holds, with characters that every encoding changes."""
    return f'cnry+{name}/{secrets.token_urlsafe(12)}=é&"{secrets.token_hex(4)}'


def forms(value: str) -> dict[str, bytes]:
    """The common encodings of a value; base64 at each of its three alignments, inner part only."""
    raw = value.encode()
    found = {
        "plain": raw,
        "json": json.dumps(value)[1:-1].encode(),
        "url": quote(value, safe="").encode(),
        "form": quote_plus(value).encode(),
        "url twice": quote(quote(value, safe=""), safe="").encode(),
        "hex": raw.hex().encode(),
        "html": html.escape(value).encode(),
        "html by number": "".join(f"&#{ord(letter)};" for letter in value).encode(),
        "json twice": json.dumps(json.dumps(value)[1:-1])[1:-1].encode(),
        "UTF-16": value.encode("utf-16-le"),
        "reversed": raw[::-1],
    }
    for shift in range(3):
        for name, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
            # The first and the last group mix with the neighbours.
            found[f"{name} at {shift}"] = encode(b"\0" * shift + raw).rstrip(b"=")[4:-4]
    return found


class Canaries:
    """The secrets by name."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        return self.values.setdefault(name, canary(name))

    def assert_absent(self, sink: str, data: bytes) -> None:
        hits = [
            (name, form) for name, value in self.values.items() for form, text in forms(value).items() if text in data
        ]
        assert hits == [], f"{sink}: {hits}"


def processes() -> bytes:
    """Arguments of every process on this machine that can be read."""
    lines: list[bytes] = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(file.read_bytes())
        except OSError:
            continue
    return b"\n".join(lines)


def environments(home: Path) -> bytes:
    """Environments of all processes that have this data folder in theirs, and of their children that have none."""
    found: list[bytes] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            variables, arguments = (folder / "environ").read_bytes(), (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(home).encode() in variables + arguments:
            found.append(variables)
    return b"\n".join(found)


def server_values(cli: Scenarist, stop: threading.Event) -> bytes:
    """Every value on the server, looked at again and again until `stop`: queue messages are there only for a moment."""
    seen: set[bytes] = set()
    with connect(load_settings(cli.variables())) as server:
        redis = server.client
        while True:
            last = stop.is_set()
            for key in redis.scan_iter(count=1000):
                seen.add(key if isinstance(key, bytes) else str(key).encode())
                try:
                    value = redis.dump(key)
                    seen.add(bytes(value) if value else b"")
                    seen.update(plain_values(redis, key))
                except Exception as error:
                    seen.add(repr(error).encode())
            if last:
                return b"\n".join(seen)
            # The processes that are watched need the processor too.
            stop.wait(0.005)


def plain_values(redis: Any, key: bytes) -> Iterator[bytes]:
    """The values of one key as they were written; a dump may hold them compressed."""
    kind = redis.type(key)
    kind = kind.decode() if isinstance(kind, bytes) else kind
    reads = {
        "string": lambda: [redis.get(key)],
        "hash": lambda: [part for pair in redis.hgetall(key).items() for part in pair],
        "list": lambda: redis.lrange(key, 0, -1),
        "set": lambda: list(redis.smembers(key)),
        "zset": lambda: redis.zrange(key, 0, -1),
        "stream": lambda: [part for _, fields in redis.xrange(key) for pair in fields.items() for part in pair],
    }
    for value in reads.get(kind, list)():
        yield value if isinstance(value, bytes) else str(value).encode()


@contextmanager
def watched(cli: Scenarist) -> Iterator[list[bytes]]:
    """Look at the server as long as the block runs; the list holds all that was ever there after it."""
    stop, looked = threading.Event(), list[bytes]()
    watcher = threading.Thread(target=lambda: looked.append(server_values(cli, stop)))
    watcher.start()
    try:
        yield looked
    finally:
        stop.set()
        watcher.join()
