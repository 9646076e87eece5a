"""Promises that the repository itself makes: the compose file, the lock, the files that tools read."""

import json
import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml

from tests.paths import ROOT

LOCKS = ["requirements.txt", "requirements-dev.txt"]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_addresses(lock: str) -> None:
    """Every pinned package carries a hash; no registry address stands in the file."""
    text = (ROOT / lock).read_text()
    pins = re.findall(r"^[a-z0-9][^\n]*==[^\n]*", text, flags=re.MULTILINE | re.IGNORECASE)

    assert pins
    assert all(pin.rstrip().endswith("\\") for pin in pins)
    assert "://" not in text
    assert "--index-url" not in text


def test_the_lock_of_the_provider_has_hashes_and_no_addresses() -> None:
    """The same for the npm package that tests talk to."""
    lock = json.loads((ROOT / "tests/openid/package-lock.json").read_text())
    packages = [package for name, package in lock["packages"].items() if name]

    assert packages
    assert all(package["integrity"].startswith("sha512-") and "resolved" not in package for package in packages)


def test_every_runtime_dependency_is_locked() -> None:
    """What pyproject.toml asks for is in both locks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r"[<>=!~;\[ ]", line)[0].lower() for line in project["dependencies"]}

    for lock in LOCKS:
        locked = set(re.findall(r"^([a-z0-9._-]+)(?:\[[^\]]*\])?==", (ROOT / lock).read_text(), flags=re.MULTILINE))
        assert wanted <= locked, lock


def test_compose_runs_server_worker_and_scheduler_with_health_checks(compose: dict[str, Any]) -> None:
    """The services exist, each restarts, each has a health check."""
    services = compose["services"]

    assert {"server", "worker", "scheduler", "gateway"} <= set(services)
    for service in services.values():
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"]


def test_compose_names_only_what_it_declares(compose: dict[str, Any]) -> None:
    """Volumes, networks, secrets and dependencies refer to things the file declares: what `config` would refuse."""
    services = compose["services"]

    for service in services.values():
        named = [volume.split(":")[0] for volume in service.get("volumes", []) if not volume.startswith((".", "/"))]
        assert set(named) <= set(compose["volumes"])
        assert set(service.get("networks", [])) <= set(compose["networks"])
        assert set(service.get("secrets", [])) <= set(compose["secrets"])
        assert set(service.get("depends_on", {})) <= set(services)


def test_compose_gives_secrets_by_file_only(compose: dict[str, Any]) -> None:
    """No environment value or argument holds a password; each secret is a file."""
    assert all(set(secret) == {"file"} for secret in compose["secrets"].values())
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("PASSWORD|KEYS|SECRET|TOKEN", name) or name.endswith("_FILE"), name
            assert "@" not in str(value)


def test_ci_runs_the_same_command_as_a_person() -> None:
    """`.ci/run` is executable and calls `make test`."""
    script = ROOT / ".ci" / "run"

    assert script.stat().st_mode & 0o111
    assert "make test" in script.read_text()


def test_no_file_names_a_machine() -> None:
    """No tracked text file carries a path of the machine it was written on."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    markers = [b"/" + word + b"/" for word in (b"work", b"root", b"home/" + b"runner")]

    hits = [
        name
        for name in listed.stdout.decode().split("\0")
        if name and (ROOT / name).is_file() and any(marker in (ROOT / name).read_bytes() for marker in markers)
    ]
    assert hits == []
