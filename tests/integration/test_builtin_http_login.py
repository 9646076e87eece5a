"""The http app's OAuth 2.0 connections and client certificates (spec/scenarios.md 4.5, connections.md 7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.effects import ClientCertificate, HttpRequest
from runtime.errors import InvalidConfigurationError, ModuleRuntimeError
from runtime.http import HttpPerformer, NetworkPolicy
from runtime.http import tls as tls_contexts
from tests.certificates import Authority, Issued
from tests.integration.test_http_tls import NETS
from tests.oauth_apps import agree
from tests.oauth_provider import CLIENT, SECRET, Provider
from tests.servers import Answer, ScriptServer
from tests.unit.scenario.helpers import module, scenario, start
from workers.authorizing import Waiting, callback_path
from workers.service import Service, open_service
from workers.settings import load_settings


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may reach loopback."""
    home = tmp_path_factory.mktemp("login")
    environment = {
        "SCENARIST_HOME": str(home), "SCENARIST_FSYNC": "everysec", "SCENARIST_ALLOW_NETS": "127.0.0.0/8",
    }  # fmt: skip
    with open_service(load_settings(environment)) as service:
        yield service


@pytest.fixture(name="provider")
def provider_fixture() -> Iterator[Provider]:
    with Provider().running() as running:
        yield running


@pytest.fixture(name="authority", scope="module")
def authority_fixture() -> Authority:
    return Authority()


@pytest.fixture(name="client", scope="module")
def client_fixture(authority: Authority) -> Issued:
    return authority.issue("client one")


def report(service: Service, *flow: Any, connections: Any = None) -> dict[str, Any]:
    """What a run prints."""
    raw = json.dumps(scenario(start({"a": 1}), *flow)).encode()
    return service.runs.inline(raw, bindings=connections or {}).to_json()


def outputs(shown: dict[str, Any]) -> list[Any]:
    """Of each step behind the start module: its first bundle, or its error."""
    return [step["error"] or step["output"][0] for step in shown["steps"][1:]]


# -- OAuth 2.0 ---------------------------------------------------------------------------------------------------------


def connect(service: Service, provider: Provider, name: str, **more: str) -> None:
    """Make a connection by the code flow, as a person in a browser does."""
    parameters = {
        "authorizeUri": f"{provider.url}/authorize", "tokenUri": f"{provider.url}/token", "scope": "mail me",
        "clientId": CLIENT, "clientSecret": SECRET, "placement": "header", **more,
    }  # fmt: skip
    redirect = f"http://127.0.0.1:9{callback_path('http', 'oauth2')}"
    waiting = service.connections.begin("http", "oauth2", name=name, parameters=parameters, redirect_uri=redirect)
    assert isinstance(waiting, Waiting)
    service.connections.finish(*agree(waiting))


def test_requests_carry_the_token(service: Service, provider: Provider) -> None:
    """Version 3 and 4 with a connection of the code flow; nothing of it is printed."""
    connect(service, provider, "code")
    url = f"{provider.url}/api"
    flow = (
        module(2, "http:ActionSendDataOAuth", {"url": url, "parseResponse": True}, version=3,
               parameters={"account": 7, "handleErrors": True}),
        module(3, "http:MakeRequest", {"url": url, "parseResponse": True, "stopOnHttpError": True}, version=4,
               parameters={"authenticationType": "oAuth", "oAuthAccount": 7}),
        module(4, "http:DownloadFile", {"url": url, "stopOnHttpError": True}, version=4,
               parameters={"authenticationType": "oAuth", "oAuthAccount": 7}),
    )  # fmt: skip

    shown = report(service, *flow, connections={"7": "code"})

    first, second, third = outputs(shown)
    assert first["data"] == second["data"] == {"id": 7, "email": "ann@example.com"}
    assert third["statusCode"] == 200
    page = next(seen for seen in provider.seen if seen.path == "/authorize")
    assert (page.query["scope"], page.query["code_challenge_method"]) == ("mail me", "S256")
    assert provider.count("/token") == 1
    assert not any(token in json.dumps(shown) for token in (*provider.grants.access, *provider.grants.refresh))


def test_a_refused_token_is_renewed_once(service: Service, provider: Provider) -> None:
    """A 401 renews the connection and repeats the request; the rotated refresh token is stored for the next time."""
    connect(service, provider, "renewed")
    step = module(2, "http:ActionSendDataOAuth", {"url": f"{provider.url}/api", "method": "post"}, version=3,
                  parameters={"account": 7, "handleErrors": True})  # fmt: skip
    for _ in range(2):
        provider.end_access_tokens()
        assert report(service, step, connections={"7": "renewed"})["status"] == "success"

    assert provider.count("/token", grant_type="refresh_token") == 2
    assert provider.reused == 0


def test_a_token_about_to_end_is_renewed_before(service: Service, provider: Provider) -> None:
    """The condition of `refresh`: no request goes out with a token that ends within the minute."""
    provider.lifetime = 30
    connect(service, provider, "short")
    provider.lifetime = 3600
    step = module(2, "http:ActionSendDataOAuth", {"url": f"{provider.url}/api"}, version=3, parameters={"account": 7})

    assert outputs(report(service, step, connections={"7": "short"}))[0]["statusCode"] == 200
    assert [seen.path for seen in provider.seen][-2:] == ["/token", "/api"]


def test_client_credentials_and_tokens_in_the_query(service: Service, provider: Provider) -> None:
    """The second kind of connection needs nobody; the token can go into the query; a later 401 fetches a new one."""
    parameters = {
        "tokenUri": f"{provider.url}/token", "clientId": CLIENT, "clientSecret": SECRET, "placement": "qs",
    }  # fmt: skip
    service.connections.add("http", "oauth2client", name="machine", parameters=parameters)
    step = module(2, "http:MakeRequest", {"url": f"{provider.url}/api"}, version=4,
                  parameters={"authenticationType": "oAuth", "oAuthAccount": 8})  # fmt: skip

    first = report(service, step, connections={"8": "machine"})
    with ScriptServer([Answer(401), Answer(200)]) as server:
        other = module(2, "http:MakeRequest", {"url": server.url}, version=4,
                       parameters={"authenticationType": "oAuth", "oAuthAccount": 8})  # fmt: skip
        again = report(service, other, connections={"8": "machine"})
        asked = [request.target for request in server.received]

    assert outputs(first)[0]["statusCode"] in (200, 401)
    api = next(seen for seen in provider.seen if seen.path == "/api")
    assert api.query["access_token"] in provider.grants.access
    assert "Authorization" not in api.headers
    assert outputs(again)[0]["statusCode"] == 200
    assert len(asked) == 2
    assert asked[0] != asked[1]
    assert all(target.startswith("/?access_token=") for target in asked)


def test_a_refusal_is_in_the_services_words(service: Service, provider: Provider) -> None:
    """A wrong secret makes no connection."""
    parameters = {
        "tokenUri": f"{provider.url}/token", "clientId": CLIENT, "clientSecret": "wrong-secret", "placement": "header",
    }  # fmt: skip

    with pytest.raises(Exception, match="invalid_client"):
        service.connections.add("http", "oauth2client", name="refused", parameters=parameters)


# -- client certificates -----------------------------------------------------------------------------------------------


def add_certificate(service: Service, name: str, client: Issued, **more: str) -> None:
    parameters = {"certificate": client.certificate, "key": client.key, **more}
    service.connections.add("http", "clientcertauth", name=name, parameters=parameters)


def test_modules_show_their_certificate(service: Service, authority: Authority, client: Issued, tmp_path: Path) -> None:
    """`useMtls`, `tlsType` and the module for it; the server refuses who shows none; the key is never printed."""
    add_certificate(service, "cert", client)
    add_certificate(service, "locked", Issued(client.certificate, client.locked, ""), passphrase="open sesame")
    bound = {"clientcertauth": "cert", "5": "locked", "6": "cert"}
    with ScriptServer([Answer(body=b"ok")] * 4, tls=authority.server(tmp_path, clients=True)) as server:
        settings = {"url": f"https://localhost:{server.port}/", "ca": authority.pem}
        shown = report(
            service,
            module(2, "http:ActionSendData", {**settings, "useMtls": True}, version=3),
            module(3, "http:ActionSendDataClientCertAuth", settings, version=3, parameters={"key": 5}),
            module(4, "http:MakeRequest", settings, version=4,
                   parameters={"authenticationType": "noAuth", "tlsType": "mTls"}),
            module(5, "http:MakeRequest", settings, version=4,
                   parameters={"authenticationType": "noAuth", "tlsType": "mTls", "tlsKeychain": 6}),
            connections=bound,
        )  # fmt: skip
        without = report(service, module(2, "http:ActionSendData", settings, version=3))

        assert [output["statusCode"] for output in outputs(shown)] == [200] * 4
        assert len(server.received) == 4
    assert outputs(without)[0]["type"] in ("RuntimeError", "ConnectionError")
    assert not any(line in json.dumps(shown) for line in client.key.splitlines()[1:-1])


def test_an_unbound_certificate_is_asked_for(service: Service, client: Issued) -> None:
    """The import names what has to be bound."""
    step = module(2, "http:ActionSendData", {"url": "https://localhost/", "useMtls": True}, version=3)

    refused = report(service, step)

    assert refused["error"]["type"] == "E-BIND"
    assert "clientcertauth" in json.dumps(refused)


def send(request: HttpRequest) -> bytes:
    with HttpPerformer(NetworkPolicy(allow_nets=NETS)) as http:
        return http.send(request).body


@pytest.mark.parametrize("in_memory", [True, False], ids=["memory", "file"])
def test_the_key_leaves_no_file(
    authority: Authority, client: Issued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    """The library reads keys from files: one in memory, or where there is no such thing one that is gone at once."""
    monkeypatch.setattr(tls_contexts.tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    if not in_memory:
        monkeypatch.delattr(tls_contexts.os, "memfd_create")
    shown = ClientCertificate(client.certificate.replace("\n", "\\n"), client.key)
    with ScriptServer([Answer(body=b"ok")], tls=authority.server(tmp_path, clients=True)) as server:
        assert send(HttpRequest("GET", f"https://localhost:{server.port}/", ca=authority.pem, client=shown)) == b"ok"

    assert list((tmp_path / "temp").iterdir()) == []
    assert client.key not in repr(shown)


def test_connections_are_not_shared_among_certificates(authority: Authority, client: Issued, tmp_path: Path) -> None:
    """A kept connection belongs to the certificate that opened it."""
    shown = ClientCertificate(client.certificate, client.key)
    with (
        ScriptServer([Answer(), Answer()], tls=authority.server(tmp_path, clients=True)) as server,
        HttpPerformer(NetworkPolicy(allow_nets=NETS)) as http,
    ):
        request = HttpRequest("GET", f"https://localhost:{server.port}/", ca=authority.pem, client=shown)
        http.send(request)
        with pytest.raises(Exception, match=r"TLS|closed|broke|network"):
            http.send(HttpRequest("GET", request.url, ca=authority.pem))
        http.send(request)

    assert [received.connection for received in server.received] == [1, 1]


def test_another_host_is_shown_nothing(authority: Authority, client: Issued, tmp_path: Path) -> None:
    """A redirect to another host goes without the certificate."""
    shown = ClientCertificate(client.certificate, client.key)
    open_server = ScriptServer([Answer(body=b"open")], tls=authority.server(tmp_path))
    closed_server = ScriptServer([Answer(body=b"closed")], tls=authority.server(tmp_path, clients=True))
    with open_server as plain, closed_server as closed:
        moved = Answer(302, (("Location", f"https://localhost:{closed.port}/"),))
        with ScriptServer([moved], tls=authority.server(tmp_path, clients=True)) as first:
            request = HttpRequest("GET", f"https://localhost:{first.port}/", ca=authority.pem, client=shown)
            with pytest.raises(Exception, match=r"TLS|closed|broke|network"):
                send(request)
        assert closed.received == []
        assert send(HttpRequest("GET", f"https://localhost:{plain.port}/", ca=authority.pem, client=shown)) == b"open"


@pytest.mark.parametrize(
    ("certificate", "key", "passphrase", "message"),
    [
        pytest.param("own", "other", "", "does not belong", id="another key"),
        pytest.param("own", "locked", "", "passphrase", id="no passphrase"),
        pytest.param("own", "locked", "wrong", "passphrase", id="wrong passphrase"),
        pytest.param("own", "nonsense", "", "PEM", id="no key"),
        pytest.param("nonsense", "own", "", "PEM", id="no certificate"),
        pytest.param("", "", "", "PEM", id="nothing"),
    ],
)
def test_what_is_no_certificate_is_said(
    authority: Authority, client: Issued, certificate: str, key: str, passphrase: str, message: str
) -> None:
    """Before anything is sent, and without a question at the terminal."""
    keys = {"own": client.key, "other": authority.issue("x").key, "locked": client.locked, "nonsense": "---", "": ""}
    text = client.certificate if certificate == "own" else certificate
    shown = ClientCertificate(text, keys[key], passphrase)

    with pytest.raises(InvalidConfigurationError, match=message):
        send(HttpRequest("GET", "https://localhost:9/", client=shown))


def test_a_server_that_trusts_another_authority(client: Issued, authority: Authority, tmp_path: Path) -> None:
    """The refusal of the service is an error of the request."""
    other = Authority("another authority")
    context = authority.server(tmp_path)
    context.verify_mode = 2
    context.load_verify_locations(cadata=other.pem)
    shown = ClientCertificate(client.certificate, client.key)
    with ScriptServer([Answer()], tls=context) as server, pytest.raises((ModuleRuntimeError, Exception)):
        send(HttpRequest("GET", f"https://localhost:{server.port}/", ca=authority.pem, client=shown))

    assert server.received == []
