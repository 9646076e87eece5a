"""The scripts of this folder, loaded once a server and called by hash. Each one changes everything or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, TypeAlias

import redis
from redis.exceptions import NoScriptError

Argument: TypeAlias = "str | bytes | int"


@cache
def source(name: str) -> str:
    """Text of `scripts/<name>.lua` behind the common helpers."""
    folder = files("workers.ledger") / "scripts"
    return (folder / "common.lua").read_text("utf-8") + (folder / f"{name}.lua").read_text("utf-8")


@cache
def _digest(name: str) -> str:
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


def call(client: redis.Redis, name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
    """Run a script by its hash; loads it where the server does not know it yet."""
    command = (_digest(name), len(keys), *keys, *arguments)
    try:
        return client.execute_command("EVALSHA", *command)
    except NoScriptError:
        client.script_load(source(name))
        return client.execute_command("EVALSHA", *command)
