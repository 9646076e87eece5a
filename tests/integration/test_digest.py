"""Digest authentication: the examples of RFC 7616, and the exchange with a server that checks on its own."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from connections.job import ConnectionJob
from connections.types import authorize
from runtime.communication import Kind, Scope, compile_communication, run_communication
from runtime.effects import Conceal, DigestCredentials, HttpRequest, Warn, drive
from runtime.errors import ModuleError
from runtime.http import HttpPerformer, NetworkPolicy
from runtime.http.digest import Challenge, authorization, challenge_of
from tests.integration.test_connections import ENVIRONMENT
from tests.servers import Answer, Received, ScriptServer
from tests.unit.connections.test_basic import app_with

RFC = {
    "realm": "http-auth@example.org",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
}
MUFASA = DigestCredentials("Mufasa", "Circle of Life")


@pytest.fixture(scope="module")
def http() -> Iterator[HttpPerformer]:
    with HttpPerformer(NetworkPolicy(allow_nets=(ip_network("127.0.0.0/8"),))) as performer:
        yield performer


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_examples(algorithm: str, response: str) -> None:
    """Section 3.9.1."""
    value = authorization(
        Challenge(algorithm=algorithm, qop=True, **RFC),
        MUFASA,
        method="GET",
        target="/dir/index.html",
        count=1,
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )

    assert f'response="{response}"' in value
    assert "qop=auth, nc=00000001" in value
    assert f'opaque="{RFC["opaque"]}"' in value


def test_strongest_challenge_is_answered() -> None:
    """Of several the best known algorithm; unknown ones, `auth-int` alone and other schemes are passed over."""
    headers = [
        ("WWW-Authenticate", 'Basic realm="x", Digest realm="a, b", nonce="n1", qop="auth,auth-int", algorithm=MD5'),
        ("www-authenticate", 'Digest realm="a", nonce="n2", qop="auth", algorithm=SHA-256-sess'),
        ("www-authenticate", 'Digest realm="a", nonce="n3", qop="auth", algorithm=SHA-512-256'),
    ]
    found = challenge_of(headers)

    assert found == Challenge("a", "n2", "SHA-256", session=True, qop=True)
    assert challenge_of(headers[:1]) == Challenge("a, b", "n1", "MD5", qop=True)
    assert challenge_of([("WWW-Authenticate", 'Digest realm="a", nonce="n", qop="auth-int"')]) is None
    assert challenge_of([("WWW-Authenticate", "Basic")]) is None


class DigestServer:
    """Checks digests on its own; `answers` counts the good ones by nonce."""

    def __init__(self, algorithm: str = "MD5", *, qop: bool = True) -> None:
        self.algorithm, self.qop = algorithm, qop
        self.nonce = secrets.token_hex(8)
        self.counts: list[int] = []
        self.stale = False
        self.other: str | None = None

    def __call__(self, request: Received) -> Answer:
        if request.target == "/away" and self.other:
            return Answer(302, (("Location", f"{self.other}/in"),))
        given = dict(re.findall(r'(\w+)="?([^",]*)"?', request.header("authorization") or ""))
        if given.get("nonce") != self.nonce or given.get("response") != self.expected(request, given):
            stale = ", stale=true" if self.stale else ""
            qop = ', qop="auth"' if self.qop else ""
            value = f'Digest realm="r", nonce="{self.nonce}", algorithm={self.algorithm}{qop}{stale}'
            return Answer(401, (("WWW-Authenticate", value),), b"no")
        self.counts.append(int(given.get("nc", "0"), 16))
        return Answer(200, (("Content-Type", "application/json"),), b'{"ok": true}')

    def expected(self, request: Received, given: dict[str, str]) -> str:
        digest = hashlib.sha256 if "256" in self.algorithm else hashlib.md5

        def h(text: str) -> str:
            return digest(text.encode()).hexdigest()

        first = h("ann:r:pa:ss")
        if self.algorithm.endswith("sess"):
            first = h(f"{first}:{self.nonce}:{given.get('cnonce')}")
        second = h(f"{request.method}:{request.target}")
        middle = f"{self.nonce}:{given.get('nc')}:{given.get('cnonce')}:auth" if self.qop else self.nonce
        return h(f"{first}:{middle}:{second}")


@pytest.fixture
def service() -> Iterator[tuple[ScriptServer, DigestServer]]:
    with ScriptServer() as server:
        rules = DigestServer()
        server.script.handler = rules
        yield server, rules


def ask(
    http: HttpPerformer, url: str, *, password: str = "pa:ss", method: str = "GET", body: bytes | None = None
) -> Any:
    return http.send(HttpRequest(method, url, body=body, digest=DigestCredentials("ann", password)))


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
def test_nonce_is_reused_with_a_growing_count(
    http: HttpPerformer, service: tuple[ScriptServer, DigestServer], algorithm: str
) -> None:
    """One challenge serves many requests, bodies included; a new nonce is taken up at once."""
    server, rules = service
    rules.algorithm = algorithm
    for number in range(3):
        assert ask(http, f"{server.url}/a?n={number}", method="POST", body=b"x").status == 200
    assert rules.counts == [1, 2, 3]
    assert len(server.received) == 4
    rules.nonce, rules.stale = secrets.token_hex(8), True
    assert ask(http, f"{server.url}/b").status == 200
    assert rules.counts == [1, 2, 3, 1]


def test_service_without_qop(http: HttpPerformer, service: tuple[ScriptServer, DigestServer]) -> None:
    """The form of RFC 2069."""
    server, rules = service
    rules.qop = False
    assert ask(http, f"{server.url}/").status == 200


def test_second_refusal_is_the_answer(http: HttpPerformer, service: tuple[ScriptServer, DigestServer]) -> None:
    """A wrong password is tried once."""
    server, _ = service

    assert ask(http, f"{server.url}/", password="wrong").status == 401
    assert len(server.received) == 2


def test_nothing_goes_to_another_origin(http: HttpPerformer, service: tuple[ScriptServer, DigestServer]) -> None:
    """A redirect to another origin that asks for the same account gets no answer to its challenge."""
    server, rules = service
    with ScriptServer() as other:
        other.script.handler = DigestServer()
        rules.other = other.url
        assert ask(http, f"{server.url}/away").status == 401
        assert [request.header("authorization") for request in other.received] == [None]


def perform(http: HttpPerformer) -> Any:
    return lambda effect: None if isinstance(effect, (Conceal, Warn)) else http.send(effect)


def test_directive_in_connection_and_module(http: HttpPerformer, service: tuple[ScriptServer, DigestServer]) -> None:
    """Within the one request of a basic connection, and in a module through Base; a second 401 is the app's error."""
    server, rules = service
    digest = {"username": "{{connection.user}}", "password": "{{connection.password}}"}
    communication = {"url": f"{server.url}/login", "digest": digest, "response": {"error": "no: {{statusCode}}"}}
    inputs = [{"name": "user", "type": "text"}, {"name": "password", "type": "password"}]
    app = app_with(communication, inputs)
    grant = drive(
        authorize(ConnectionJob(app, app.connections["acc"], ENVIRONMENT, {"user": "ann", "password": "pa:ss"})),
        perform(http),
    )
    plan = compile_communication(
        {"url": "/items", "response": {"output": "{{body}}"}},
        base={"baseUrl": server.url, "digest": digest},
        kind=Kind.ACTION,
        component="module x",
    )
    result = drive(run_communication(plan, Scope({"connection": grant.data}, ENVIRONMENT)), perform(http))

    assert result.output == {"ok": True}
    assert len(rules.counts) == 2
    wrong = ConnectionJob(app, app.connections["acc"], ENVIRONMENT, {"user": "ann", "password": "x"})
    with pytest.raises(ModuleError, match="no: 401"):
        drive(authorize(wrong), perform(http))
