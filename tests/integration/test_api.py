"""The HTTP API at a real gateway with a real worker: tokens, scopes, runs, and its OpenAPI document (issue S6)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from tests.integration.test_gateway_intake import START, Gate, free_port
from tests.paths import ROOT
from tests.servers import Answer, Received, ScriptServer
from tests.worker_kit import PATIENCE, call, installation, peer, until
from workers.gateway.api.endpoints import ENDPOINTS
from workers.gateway.api.serving import PREFIX
from workers.ledger.tokens import SCOPES, Tokens


class Api(Gate):
    """A gateway with a token that allows everything."""

    def token(self, *scopes: str, name: str = "", expires: timedelta | None = None) -> str:
        made = self.place.service.tokens.add(
            name or f"t{len(self.place.service.tokens.list())}", scopes, expires=expires
        )
        return made[1]

    def ask(self, method: str, path: str, token: str | None, **more: Any) -> httpx.Response:
        headers = {**more.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        url = f"http://127.0.0.1:{self.port}{PREFIX}{path}"
        return httpx.request(method, url, headers=headers, trust_env=False, timeout=PATIENCE, **more)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    port = free_port()
    with peer() as service, installation(tmp_path, service.port, SCENARIST_GATEWAY_PORT=str(port)) as place:
        made = Api(place, service)
        made.port = port
        with place.running("gateway"):
            until(made.answers, "the gateway is ready")
            yield made


def inputs(*names: str) -> dict[str, Any]:
    fields = [{"name": name, "type": "number", "label": name, "required": True} for name in names]
    return {"io": {"input_spec": fields, "output_spec": []}}


def returning(api: Api) -> str:
    """A scenario whose output is its input and one."""
    flow = [
        {"id": 1, "module": "scenario-service:StartSubscenario", "version": 2, "parameters": {}, "mapper": {}},
        {
            "id": 2, "module": "scenario-service:ReturnData", "version": 2, "parameters": {},
            "mapper": {"total": "{{1.n + 1}}"},
        },
    ]  # fmt: skip
    raw = {"name": "sum", "flow": flow, "metadata": {"version": 1}, **inputs("n")}
    imported = api.place.service.scenarios.import_(json.dumps(raw).encode())
    assert imported.row is not None, imported.findings
    return imported.row.id


def test_a_token_is_needed_and_its_scopes_hold(api: Api) -> None:
    reading = api.token("runs:read")
    assert api.ask("GET", "/runs", None).status_code == 401
    assert api.ask("GET", "/runs", "scn_" + "x" * 43).status_code == 401
    assert api.ask("GET", "/runs", reading).json() == {"runs": [], "next": None}
    refused = api.ask("GET", "/scenarios", reading)
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "Forbidden")
    ended = api.token("runs:read", expires=timedelta(milliseconds=1))
    assert api.ask("GET", "/runs", ended).status_code == 401
    api.place.service.tokens.remove("t0")
    assert api.ask("GET", "/runs", reading).status_code == 401


def test_wrong_tokens_are_refused_unheard_after_a_while(api: Api) -> None:
    good = api.token("runs:read")
    answers = [api.ask("GET", "/runs", f"scn_{n}").status_code for n in range(25)]
    assert (answers[0], answers[-1]) == (401, 429)
    assert api.ask("GET", "/runs", good).status_code == 429


def test_every_endpoint_has_a_scope_that_is_needed(api: Api) -> None:
    for endpoint in ENDPOINTS:
        assert endpoint.scope in SCOPES
    others = {
        scope: api.token(*(other for other in SCOPES if other != scope), name=scope.replace(":", " "))
        for scope in SCOPES
    }
    for endpoint in ENDPOINTS:
        path = re.sub(r"{\w+}", "x", endpoint.path)
        assert api.ask(endpoint.method, path, others[endpoint.scope], json={}).status_code == 403, endpoint


def test_a_token_is_stored_as_a_hash_only(api: Api) -> None:
    token = api.token("runs:read")
    client = api.runner.runs.client
    everything = b" ".join(key + (client.dump(key) or b"") for key in client.scan_iter())
    assert token.encode() not in everything
    row = Tokens(client, api.place.keys).check(token)
    assert row is not None
    assert row.allows("runs:read")


def test_a_run_is_accepted_once_for_an_idempotency_key(api: Api) -> None:
    token, other = api.token("scenarios:run", "runs:read"), api.token("scenarios:run")
    scenario = returning(api)
    sent = [
        api.ask(
            "POST", f"/scenarios/{scenario}/run", each, json={"data": {"n": 1}}, headers={"Idempotency-Key": "order 7"}
        )
        for each in (token, token, other)
    ]
    assert [answer.status_code for answer in sent] == [202, 202, 202]
    ids = [answer.json()["executionId"] for answer in sent]
    assert ids[0] == ids[1] != ids[2]
    assert {run["run"] for run in api.ask("GET", "/runs", token).json()["runs"]} == set(ids)
    assert {run["kind"] for run in api.ask("GET", "/runs", token).json()["runs"]} == {"api"}


def test_a_responsive_run_gives_its_outputs(api: Api) -> None:
    token = api.token("all")
    scenario = returning(api)
    with api.place.running("worker"):
        answer = api.ask("POST", f"/scenarios/{scenario}/run", token, json={"data": {"n": 41}, "responsive": True})
    body = answer.json()
    assert (answer.status_code, body["status"], body["outputs"], body["error"]) == (200, 1, {"total": 42}, None)
    report = api.ask("GET", f"/runs/{body['executionId']}", token).json()
    assert [step["module"] for step in report["steps"]] == [1, 2]
    replay = api.ask("POST", f"/runs/{body['executionId']}/replay", token, json={"operation": 1})
    assert replay.status_code == 202
    assert api.runner.runs.header(replay.json()["executionId"]).kind == "replay"


def test_inputs_that_do_not_fit_are_refused_and_nothing_is_recorded(api: Api) -> None:
    token = api.token("all")
    scenario = returning(api)
    for body in (
        {"data": {}},
        {"data": {"n": "many"}},
        {"data": [1]},
        {"dat": {}},
        {"data": {"n": 1}, "callbackUrl": "ftp://x"},
    ):
        answer = api.ask("POST", f"/scenarios/{scenario}/run", token, json=body)
        assert answer.status_code == 400, body
        assert set(answer.json()["error"]) >= {"type", "message"}
    assert api.ask("POST", f"/scenarios/{scenario}/run", token, content=b"{").json()["error"]["type"] == "InvalidBody"
    assert api.ask("POST", f"/scenarios/{scenario}/run", token, content=b"[" * 100_000).status_code == 400
    assert api.ask("POST", f"/scenarios/{scenario}/run", token, content=b"x" * (9 << 20)).status_code == 413
    assert api.ask("GET", "/runs", token).json()["runs"] == []


def test_the_end_is_told_at_the_callback(api: Api) -> None:
    token = api.token("all")
    scenario = returning(api)
    got: list[Received] = []

    def told(received: Received) -> Answer:
        got.append(received)
        return Answer(500 if len(got) == 1 else 200)

    from tests.servers import Script

    with ScriptServer(Script(handler=told)) as listener:
        body = {"data": {"n": 1}, "callbackUrl": f"{listener.url}/done"}
        run = api.ask("POST", f"/scenarios/{scenario}/run", token, json=body).json()["executionId"]
        with api.place.running("worker"), api.place.running("scheduler"):
            until(lambda: len(got) == 1, "the end is told")
            key = api.place.keys.callbacks
            until(lambda: (api.runner.runs.client.zscore(key, run) or 0) > 0, "it is to be told again")
            api.runner.runs.client.zadd(key, {run: 1})
            until(lambda: len(got) == 2, "the end is told again")
            until(lambda: api.runner.runs.client.zscore(key, run) is None, "it is done")
    assert json.loads(got[1].body) == {"executionId": run, "status": 1, "outputs": {"total": 2}, "error": None}


def test_pages_of_runs(api: Api) -> None:
    token = api.token("all")
    scenario = returning(api)
    ids = [api.place.service.runs.enqueue(scenario, inputs={"n": n}).id for n in range(5)]
    api.place.service.runs.cancel(ids[1])
    seen: list[str] = []
    before = None
    while True:
        params = {"limit": 2, "scenario": scenario, "status": "queued", **({"before": before} if before else {})}
        page = api.ask("GET", "/runs", token, params=params).json()
        seen += [run["run"] for run in page["runs"]]
        before = page["next"]
        if before is None:
            break
    assert sorted(seen) == sorted(run for run in ids if run != ids[1]) or len(set(seen)) >= 3
    assert ids[1] not in seen
    assert api.ask("GET", "/runs", token, params={"limit": 0}).status_code == 400
    assert api.ask("GET", "/runs", token, params={"color": "red"}).status_code == 400


def test_scenarios_hooks_stores_and_connections(api: Api) -> None:
    token = api.token("all")
    hook = api.scenario(START, call(2, "/n", "POST"))
    api.switch(hook, mode="timed")
    api.runner.events.accept(hook, [{"n": 1}])
    events = api.ask("GET", f"/hooks/{hook.id}/events", token).json()
    assert [event["place"] for event in events] == ["waiting"]
    assert api.ask("GET", f"/hooks/{hook.id}/events/{events[0]['id']}", token).json() == {"n": 1}
    assert hook.token not in api.ask("GET", "/hooks", token).text
    assert api.ask("POST", f"/hooks/{hook.id}/drop", token, json={}).json() == {"count": 1}
    records = {"records": {"a": {"x": 1, "at": {"$date": "2026-01-02T03:04:05.000Z"}}}}
    assert api.ask("PUT", "/stores/people", token, json=records).json()["records"] == 1
    assert api.ask("GET", "/stores/people", token).json() == records
    assert api.ask("PUT", "/stores/people", token, json={"records": {"a": {"x": {"$date": "no"}}}}).status_code == 400
    assert api.ask("GET", "/stores/none", token).status_code == 404
    assert api.ask("GET", "/connections", token).json() == []
    assert api.ask("GET", f"/scenarios/{hook.scenario}/blueprint", token).json()["flow"][0]["id"] == 1
    off = api.ask("POST", f"/scenarios/{hook.scenario}/deactivate", token).json()
    assert off["active"] is False
    assert api.ask("GET", "/runs/none", token).status_code == 404
    assert api.ask("POST", "/incomplete/none/retry", token).status_code == 404
    assert api.ask("PATCH", "/runs", token).status_code == 405


def test_the_document_names_every_route_and_every_answer_fits_it(api: Api) -> None:
    found = httpx.get(f"http://127.0.0.1:{api.port}{PREFIX}/openapi.json", trust_env=False).json()
    assert found["openapi"] == "3.1.0"
    named = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert named == {(endpoint.method, PREFIX + endpoint.path) for endpoint in ENDPOINTS}
    ids = [operation["operationId"] for methods in found["paths"].values() for operation in methods.values()]
    assert len(set(ids)) == len(ids)
    text = json.dumps(found)
    for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', text):
        assert reference in found["components"]["schemas"]
    token, scenario = api.token("all"), returning(api)
    api.place.service.stores.replace("people", {"a": {"x": 1}})
    api.place.service.runs.enqueue(scenario, inputs={"n": 1})
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET" and "{" not in endpoint.path:
            answer = api.ask("GET", endpoint.path, token)
            TypeAdapter(endpoint.gives).validate_python(answer.json())


def test_the_command_line_makes_and_removes_tokens(api: Api) -> None:
    from tests.spine import Scenarist

    cli = Scenarist(api.place.home, api.place.environment)
    made = cli.json("token", "add", "shop", "--scope", "runs:read", "--expires", "90d")
    assert api.ask("GET", "/runs", made["token"]).status_code == 200
    assert [row["name"] for row in cli.json("token", "list")] == ["shop"]
    assert made["token"] not in cli("token", "list")
    cli("token", "add", "shop", "--scope", "runs:read", exit_code=2)
    cli("token", "add", "other", "--scope", "everything", exit_code=2)
    cli("token", "remove", "shop")
    assert api.ask("GET", "/runs", made["token"]).status_code == 401


def test_the_page_for_people_names_every_endpoint() -> None:
    page = (ROOT / "docs/api.md").read_text()
    for endpoint in ENDPOINTS:
        assert f"| `{endpoint.method} {endpoint.path}` | `{endpoint.scope}` |" in page
