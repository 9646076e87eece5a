"""Bodies of the API that are made to break what reads them: each gets an answer, none is half accepted (issue S6)."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from tests.integration.test_api import returning
from tests.security.conftest import Attacked
from workers.callbacks import Callbacks
from workers.gateway.api.endpoints import ENDPOINTS
from workers.gateway.api.serving import BODY_BYTES

_NUMBERS = count(1)


def nested(depth: int, opening: str, closing: str) -> str:
    return opening * depth + "1" + closing * depth


BOMBS = {
    "not a number": '{"data":{"n":NaN}}',
    "infinity": '{"data":{"n":Infinity}}',
    "minus infinity": '{"data":{"n":-Infinity}}',
    "beyond every number": '{"data":{"n":1e999}}',
    "digits without end": '{"data":{"n":' + "9" * 100_000 + "}}",
    "an array in the depth": '{"data":{"n":' + nested(100_000, "[", "]") + "}}",
    "an object in the depth": '{"data":{"n":' + nested(50_000, '{"a":', "}") + "}}",
    "half of a character": '{"data":{"n":"\\ud800"}}',
    "half of a character as name": '{"data":{"\\udfff":1,"n":1}, "\\ud800":2}',
    "no text": b'{"data":{"n":"\xff\xfe"}}',
    "UTF-16": '{"data":{"n":"x"}}'.encode("utf-16"),
    "not closed": '{"data":{"n":1}',
    "two values": '{"data":{"n":1}}{"data":{"n":2}}',
    "a list": '[{"data":{"n":1}}]',
    "a text": '"data"',
    "null": "null",
    "number": "1",
    "single quotes": "{'data':{'n':1}}",
    "a comment": '{"data":{"n":1}} // x',
    "the same name twice": '{"data":{"n":1},"data":{"n":2}}',
    "the same name twice below": '{"data":{"n":1,"n":2}}',
    "too many bytes": '{"data":{"n":1,"x":"' + "x" * BODY_BYTES + '"}}',
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_and_nothing_is_recorded(gate: Attacked, bomb: str) -> None:
    token, scenario = gate.token("all"), returning(gate)
    body = BOMBS[bomb]
    answer = gate.ask("POST", f"/scenarios/{scenario}/run", token, content=body)
    assert answer.status_code in (400, 413), answer.text[:300]
    assert set(answer.json()["error"]) >= {"type", "message"}
    assert len(answer.content) < 10_000
    assert not gate.runner.runs.list(scenario=scenario)


@pytest.mark.parametrize("depth", [50, 150, 250, 400, 600, 900])
def test_depth_that_can_be_read_breaks_nothing(gate: Attacked, depth: int) -> None:
    """Either it is accepted and can be shown, or it is refused: nothing between."""
    token, store = gate.token("all"), f"deep {depth}"
    body = '{"records":{"k":{"v":' + nested(depth, "[", "]") + "}}}"
    answer = gate.ask("PUT", f"/stores/{store}", token, content=body)
    assert answer.status_code in (200, 400), answer.text[:300]
    shown = gate.ask("GET", f"/stores/{store}", token)
    assert shown.status_code == (200 if answer.status_code == 200 else 404), shown.text[:300]


@pytest.mark.parametrize(
    "record",
    ['{"v":NaN}', '{"v":1e400}', '{"v":"\\ud800"}', '{"\\ud800":1}', '{"$date":"x"}', '{"v":{"$buffer":"%%"}}',
     '{"v":{"$date":"+999999-01-01T00:00:00Z"}}', '{"v":{"$number":"1"}}', '{"v":' + "9" * 4000 + "}"],
)  # fmt: skip
def test_a_record_that_cannot_be_kept_replaces_nothing(gate: Attacked, record: str) -> None:
    """What is accepted can be read again; what is not leaves the old records."""
    token, store = gate.token("all"), f"kept {next(_NUMBERS)}"
    old = {"records": {"a": {"x": 1}}}
    assert gate.ask("PUT", f"/stores/{store}", token, json=old).status_code == 200
    answer = gate.ask("PUT", f"/stores/{store}", token, content='{"records":{"k":' + record + "}}")
    assert answer.status_code in (200, 400), answer.text[:300]
    shown = gate.ask("GET", f"/stores/{store}", token)
    assert shown.status_code == 200
    if answer.status_code == 400:
        assert shown.json() == old


UNKNOWN: tuple[dict[str, Any], ...] = (
    {"id": "x"}, {"run": "x"}, {"kind": "manual"}, {"scenario": "x"}, {"token": "x"}, {"scopes": ["all"]},
    {"__class__": "x"}, {"constructor": {}}, {"model_config": {}}, {"data.n": 1}, {"Data": {}}, {"callback": "x"},
)  # fmt: skip


@pytest.mark.parametrize("member", UNKNOWN, ids=lambda member: next(iter(member)))
def test_members_that_nobody_knows_are_refused_everywhere(gate: Attacked, member: dict[str, Any]) -> None:
    token = gate.token("all")
    for endpoint in ENDPOINTS:
        if endpoint.body is None:
            continue
        path = endpoint.path.replace("{scenario}", "x").replace("{run}", "x").replace("{hook}", "x")
        needed = {"records": {}} if endpoint.method == "PUT" else {}
        answer = gate.ask(endpoint.method, path.replace("{store}", "none"), token, json={**needed, **member})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "InvalidRequest"), path


def test_queries_that_nobody_knows_are_refused(gate: Attacked) -> None:
    token = gate.token("all")
    for query in ("limit=1e3", "limit=-1", "limit=999999999999999999999", "since=x", "status=*", "status[]=queued",
                  "before=" + "9" * 400, "__proto__=1", "limit=1&limit=x", "scenario=%00&x=1"):  # fmt: skip
        answer = gate.ask("GET", f"/runs?{query}", token)
        assert answer.status_code == 400, (query, answer.text)


def test_values_that_a_run_may_hold_do_not_break_its_callback(gate: Attacked) -> None:
    """The end of a run is told or given up; it never stops the process that tells."""
    token, scenario = gate.token("all"), returning(gate)
    body = {"data": {"n": 1}, "callbackUrl": f"http://127.0.0.1:{gate.peer.port}/told"}
    run = gate.ask("POST", f"/scenarios/{scenario}/run", token, json=body).json()["executionId"]
    gate.place.service.runs.cancel(run)
    assert Callbacks(gate.runner).step() == 1
    assert gate.peer.count("/told") == 1
    assert json.loads(json.dumps(run)) == run
