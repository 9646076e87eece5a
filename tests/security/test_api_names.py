"""Ids and names in paths lead to what they name and to no other key of the server (issue S6)."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.integration.test_api import returning
from tests.integration.test_hook_runs import START
from tests.security.conftest import Attacked
from tests.worker_kit import call
from workers.gateway.api.endpoints import ENDPOINTS

ODD = (
    "*", "?", "[a-z]*", "a\nb", "a\r\nSET x 1\r\n", "a\0b", "\0", " ", "...", "-", "'", '"', "`id`", "$(id)",
    "{x}", "%", "%00", "%2e%2e%2f", "a/b", "../runs", "..%2fruns", "é", "𝔸", "\u202e", "x" * 10_000, "0", "-1",
    "None", "null", "__proto__", "; FLUSHALL", "KEYS[1]", "a:b", ":", "::", "due", "queued",
)  # fmt: skip


def paths(name: str) -> list[tuple[str, str]]:
    """Every endpoint with this name in each of its places."""
    found: list[tuple[str, str]] = []
    for endpoint in ENDPOINTS:
        if "{" in endpoint.path:
            path = endpoint.path
            for place in ("scenario", "run", "hook", "event", "connection", "store", "record"):
                path = path.replace(f"{{{place}}}", quote(name, safe=""))
            found.append((endpoint.method, path))
    return found


#: Members that the bodies of endpoints need.
BODIES = {"PUT": {"records": {"k": {"v": 1}}}}


@pytest.mark.parametrize("name", ODD, ids=lambda name: repr(name)[:24])
def test_an_odd_name_finds_nothing_and_changes_nothing(gate: Attacked, name: str) -> None:
    token = gate.token("all")
    gate.place.service.stores.replace("people", {"a": {"x": 1}})
    before = gate.everything()
    for method, path in paths(name):
        if method == "PUT":
            continue
        answer = gate.ask(method, path, token, json={})
        assert answer.status_code in (400, 404, 405), (method, path[:80], answer.status_code, answer.text[:300])
    assert gate.everything() == before


def test_a_part_of_a_key_is_no_name(gate: Attacked) -> None:
    """Keys below a run, webhook, scenario or connection have names with colons; none of them is a run by itself."""
    token = gate.token("all", name="parts")
    hook = gate.scenario(START, call(2, "/n", "POST"))
    gate.switch(hook, mode="timed")
    gate.runner.events.accept(hook, [{"n": 1}])
    scenario = returning(gate)
    run = gate.place.service.runs.enqueue(scenario, inputs={"n": 1}).id
    gate.place.service.stores.replace("people", {"a": {"x": 1}})
    before = gate.everything()
    prefix = gate.place.keys.prefix
    ids = (run, hook.id, hook.scenario, scenario)
    known = (key.decode().removeprefix(f"{prefix}:").partition(":")[2] for key in before)
    below = {tail for tail in known if tail.partition(":")[0] in ids and ":" in tail}
    names = {*below, f"{run}:journal", f"{run}:bundles", f"run:{run}", f"x:run:{run}"}
    assert len(names) >= 6
    for name in sorted(names):
        for method, path in paths(name):
            if method == "PUT":
                continue
            answer = gate.ask(method, path, token, json={})
            assert answer.status_code == 404, (method, path, answer.status_code, answer.text[:300])
    assert gate.everything() == before


@pytest.mark.parametrize("name", ["a:b", "*", "a\nb", "a\0b", "x" * 10_000, "...", " ", "é\u202e"])
def test_no_store_is_made_with_an_odd_name(gate: Attacked, name: str) -> None:
    token = gate.token("all")
    gate.place.service.stores.replace("people", {"a": {"x": 1}})
    before = {key for key in gate.everything() if b":store" not in key}
    answer = gate.ask("PUT", f"/stores/{quote(name, safe='')}", token, json=BODIES["PUT"])
    assert answer.status_code in (200, 400, 404, 405), answer.text[:200]
    assert {key for key in gate.everything() if b":store" not in key} == before
    assert gate.ask("GET", "/stores/people", token).json() == {"records": {"a": {"x": 1}}}


def test_a_path_forges_no_line_of_the_log(gate: Attacked) -> None:
    """Whatever is in a path, one request is one line of the log."""
    gate.ask("GET", "/runs/a%0a%7b%22event%22%3a%22forged%22%7d%0d%1b[2Jx", None)
    lines = gate.log().splitlines()
    assert not [line for line in lines if line.startswith('{"event":"forged"')]
    assert all("\x1b" not in line for line in lines)
