"""
No secret of any kind of connection, in any of its phases, leaves the runtime: OAuth 1.0, OAuth 2.0 with every grant,
digest, signed tokens, callbacks at the gateway and its access log; each phase refused once by a service that repeats
everything it was sent (issue S4, "What must be shown" 4).
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from runtime.errors import ScenaristError
from runtime.logs import configure_logging
from runtime.sanitize import Secrets
from tests.acceptance.test_oauth_cli import gateway, reached
from tests.canaries import Canaries, processes, watched
from tests.hostile import Hostile
from tests.spine import Scenarist, blueprint, step
from tests.unit.iml.test_jws_vectors import pem, private_key
from tests.worker_kit import until
from workers.authorizing import Waiting
from workers.service import Service, open_service
from workers.settings import load_settings

__all__ = ["gateway"]


class Person:
    """Authorizes connections, answers providers' pages, and keeps what the commands would print."""

    def __init__(self, service: Service, hostile: Hostile, address: str, apps: dict[str, Path]) -> None:
        self.service, self.hostile, self.address, self.apps = service, hostile, address, apps
        self.canaries = hostile.canaries
        self.said: list[str] = []
        self.inputs: dict[str, dict[str, Any]] = {}

    @contextmanager
    def refused(self, path: str) -> Iterator[None]:
        """What is done inside fails, since the service refuses this path; the error is printed as commands do."""
        self.hostile.failing = {path}
        try:
            with pytest.raises(ScenaristError) as caught:
                yield
        finally:
            self.hostile.failing = set()
        said = self.service.secrets.redact_text(caught.value.message)
        assert "the service says" in said
        self.said.append(said)

    def connect(self, app: str, **more: Any) -> None:
        """Authorize a connection of the app's name, at the gateway where it has a page."""
        begun = self.service.connections.begin(
            app, "acc", name=app, parameters=self.inputs.get(app, {}),
            redirect_uri=f"{self.address}/oauth/cb/{app}/acc", **more,
        )  # fmt: skip
        if isinstance(begun, Waiting):
            query = dict(parse_qsl(urlsplit(begun.url).query))
            self.canaries.values[f"state {len(self.canaries.values)}"] = begun.state
            number = len(self.canaries.values)
            answer = {"state": begun.state, "code": self.canaries(f"code {number}")}
            if "oauth_token" in query:
                answer = {"oauth_token": query["oauth_token"], "oauth_verifier": self.canaries(f"verifier {number}")}
            page = httpx.get(
                f"{self.address}/oauth/cb/{app}/acc", params=answer, trust_env=False, verify=False, timeout=30
            )
            self.said.append(page.text)
            self.service.connections.wait(begun)

    def use(self, app: str) -> None:
        """Run the app's module as `module run --trace` does."""
        report = self.service.local.module(str(self.apps[app]), "whoami", parameters={}, connection=app)
        self.said.append(json.dumps(report.to_json(trace=True), default=str))

    def phases(self, app: str, *paths: str) -> None:
        """Each of these phases refused once, then the connection made, used, and its module refused."""
        for path in paths:
            with self.refused(path):
                self.connect(app)
        self.connect(app)
        self.use(app)
        self.hostile.failing = {"/items", "/locked"}
        self.use(app)
        self.hostile.failing = set()


def scenario(*apps: str) -> dict[str, Any]:
    """A scenario whose modules use one connection each."""
    steps = [step(n, f"{app}:whoami", parameters={"__IMTCONN__": n}) for n, app in enumerate(apps, start=1)]
    return blueprint("all", *steps)


def test_no_canary_of_a_connection_leaves_the_runtime(cli: Scenarist, tmp_path: Path, gateway: str) -> None:
    """Authorize, refuse, renew, use on a worker, fail there, revoke: nothing secret is kept in clear or shown."""
    canaries, logs = Canaries(), io.StringIO()
    with ExitStack() as stack:
        hostile = stack.enter_context(Hostile(canaries).running())
        apps = hostile.write_apps(tmp_path)
        looked = stack.enter_context(watched(cli))
        service = stack.enter_context(open_service(load_settings(cli.variables())))
        configure_logging("json", "debug", service.secrets, logs)
        stack.callback(configure_logging, "console", "warning", Secrets())
        person = Person(service, hostile, gateway, apps)
        person.inputs = {
            "robot": {"clientId": "robot", "clientSecret": canaries("client secret")},
            "human": {
                "clientId": "h", "clientSecret": canaries("other secret"), "username": "ann",
                "password": canaries("password"),
            },
            "digester": {"secret": canaries("digest password")},
            "signer": {"secret": canaries("signing secret")},
            "keyed": {"secret": canaries("subject"), "key": pem(private_key())},
        }  # fmt: skip
        canaries.values["private key"] = person.inputs["keyed"]["key"].splitlines()[3]
        for app in ("photos", "oldphotos", "mailer"):
            common = {"clientId": "us", "clientSecret": canaries(f"client secret of {app}")}
            service.apps.set_common(str(apps[app]), common)
        for folder in apps.values():
            added = service.apps.add(folder)
            assert added.row is not None, added.findings
        roles = (("gateway",), ("worker", "--processes", "1"), ("scheduler",))
        for role in roles:
            stack.enter_context(cli.process(*role))
        until(lambda: reached(f"{gateway}/ready"), "the gateway is ready")

        for app in ("photos", "oldphotos"):
            person.phases(app, "/request_token", "/access_token", "/api")
        person.phases("mailer", "/register", "/token", "/api")
        for app in ("robot", "human"):
            person.phases(app, "/token")
        person.phases("digester", "/login")
        for app in ("signer", "keyed"):
            person.phases(app, "/jwt")
        with person.refused("/api"):
            service.connections.test("photos")
        service.connections.renew("mailer")
        with person.refused("/token"):
            service.connections.renew("robot")
        person.connect("robot", stored=service.runner.vault.find("robot").id)

        (tmp_path / "flow.json").write_text(json.dumps(scenario(*apps)))
        bindings = [part for n, app in enumerate(apps, start=1) for part in ("--connection", f"{n}={app}")]
        cli("scenario", "import", str(tmp_path / "flow.json"), *bindings)
        assert cli.json("run", "all", "--wait", "--timeout", "60")["status"] == "success"
        record = service.runner.vault.find("mailer")
        service.runner.vault.update(replace(record, data={**record.data, "expires": datetime.now(UTC)}))
        hostile.failing = {"/token"}
        failed = cli.json("run", "all", "--wait", "--timeout", "60", exit_code=1)
        assert failed["error"]["type"] == "InvalidAccessTokenError"
        cli("runs", "show", failed["run"])
        hostile.failing = {"/revoke"}
        person.said.append(str(service.connections.remove("mailer", force=True)))
        cli("connection", "list")
        arguments = processes()

    shown = "\n".join([*person.said, *cli.seen, logs.getvalue()])
    assert len(canaries.values) > 60
    assert '"path":"/oauth/cb/photos/acc"' in shown
    canaries.assert_absent("output and logs", shown.encode())
    canaries.assert_absent("values on the server", looked[0])
    canaries.assert_absent("arguments of processes", arguments)
    for file in cli.home.rglob("*"):
        if file.is_file():
            canaries.assert_absent(str(file), file.read_bytes())
