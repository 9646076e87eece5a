"""Redirects on real sockets (communication.md 23)."""

from __future__ import annotations

import ipaddress

import pytest

from runtime.effects import HttpRequest
from runtime.errors import ModuleRuntimeError
from runtime.http import HttpPerformer, NetworkPolicy
from tests.servers import Answer, Script, ScriptServer

SECRETS = (("Authorization", "a"), ("Cookie", "b"), ("X-Key", "c"), ("X-Plain", "d"), ("Content-Type", "text/plain"))


@pytest.fixture(name="http")
def http_fixture():
    """A performer that may reach loopback."""
    with HttpPerformer(NetworkPolicy(allow_nets=(ipaddress.ip_network("127.0.0.0/8"),))) as performer:
        yield performer


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        pytest.param("GET", 301, ("GET", b"")),
        pytest.param("POST", 301, ("GET", b"")),
        pytest.param("POST", 302, ("GET", b"")),
        pytest.param("POST", 303, ("GET", b"")),
        pytest.param("POST", 307, ("POST", b"body")),
        pytest.param("POST", 308, ("POST", b"body")),
        pytest.param("PUT", 302, ("PUT", b"body")),
        pytest.param("PUT", 303, ("GET", b"")),
        pytest.param("DELETE", 301, ("DELETE", b"body")),
        pytest.param("HEAD", 303, ("HEAD", b"")),
    ],
)
def test_which_redirects_become_a_get(http, method, status, expected):
    """303, and 301 or 302 after POST, go on as GET without body; all others repeat method and body."""
    body = b"body" if method not in ("GET", "HEAD") else None
    with ScriptServer([Answer(status, (("Location", "/next"),)), Answer(body=b"end")]) as server:
        http.send(HttpRequest(method, server.url + "/", (("Content-Type", "text/plain"),), body))

    second = server.received[1]
    assert expected == (second.method, second.body)
    became_get = method != "GET" and expected[0] == "GET"
    assert (second.header("content-type") is None) == became_get


def test_credentials_do_not_follow_to_another_host(http):
    """Authorization, Cookie and the headers named in sanitize stay behind when the host changes, for good."""
    script = Script()
    with ScriptServer(script) as first, ScriptServer(script, host="127.0.0.2") as second:
        script.reset(
            [
                Answer(302, (("Location", second.url + "/b"),)),
                Answer(302, (("Location", first.url + "/c"),)),
                Answer(),
            ]
        )
        http.send(HttpRequest("GET", first.url + "/a", SECRETS, sensitive_headers=frozenset({"x-key"})))

    names = [[name for name, _ in request.headers if name != "Host"] for request in script.received]
    assert names == [
        ["Authorization", "Cookie", "X-Key", "X-Plain", "Content-Type"],
        ["X-Plain", "Content-Type"],
        ["X-Plain", "Content-Type"],
    ]
    assert f"127.0.0.2:{second.port}" == script.received[1].header("host")


def test_credentials_follow_on_the_same_host(http):
    """A redirect within the service keeps all headers."""
    with ScriptServer([Answer(302, (("Location", "/b"),)), Answer()]) as server:
        http.send(HttpRequest("GET", server.url + "/a", SECRETS, sensitive_headers=frozenset({"x-key"})))

    assert server.received[1].header("authorization") == "a"
    assert server.received[1].header("x-key") == "c"


@pytest.mark.parametrize(
    ("method", "switches"),
    [
        pytest.param("GET", {"follow_redirects": False}),
        pytest.param("POST", {"follow_all_redirects": False}),
    ],
)
def test_switches_make_the_3xx_the_answer(http, method, switches):
    """followRedirects is for GET, followAllRedirects for the other methods."""
    with ScriptServer([Answer(302, (("Location", "/b"),))]) as server:
        response = http.send(HttpRequest(method, server.url + "/a", **switches))

    assert response.status == 302


def test_endless_redirects_end_in_an_error(http):
    """21 redirects are followed, the 22nd is an error."""
    with (
        ScriptServer(Script(handler=lambda _: Answer(302, (("Location", "/"),)))) as server,
        pytest.raises(ModuleRuntimeError, match="redirected more than 21 times"),
    ):
        http.send(HttpRequest("GET", server.url + "/"))

    assert len(server.received) == 22


def test_the_url_of_the_final_answer_is_known(http):
    """Relative addresses are resolved, fragments dropped, illegal characters escaped."""
    with ScriptServer([Answer(301, (("Location", "n?x=a b#frag"),)), Answer()]) as server:
        response = http.send(HttpRequest("GET", server.url + "/a/r"))

    assert server.url + "/a/n?x=a%20b" == response.url


def test_cookies_of_hops_are_shared_when_asked_for(http):
    """With shareCookies a hop's cookie goes to the next hop and is reported to the run."""
    with ScriptServer([Answer(302, (("Location", "/b"), ("Set-Cookie", "sid=1; Path=/"))), Answer()]) as server:
        response = http.send(HttpRequest("GET", server.url + "/a", share_cookies=True))

    assert server.received[1].header("cookie") == "sid=1"
    assert ("Set-Cookie", "sid=1; Path=/") in response.headers
