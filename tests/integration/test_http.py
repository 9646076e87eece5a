"""`HttpPerformer` on real sockets: what goes out, what comes back, which fault is which class (communication.md 15)."""

from __future__ import annotations

import gzip
import ipaddress
import socket
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from runtime.effects import HttpRequest
from runtime.errors import (
    DataError,
    InvalidConfigurationError,
    MaxFileSizeExceededError,
    ModuleError,
    ModuleRuntimeError,
    ModuleTimeoutError,
    ServiceConnectionError,
)
from runtime.http import HttpPerformer, NetworkPolicy
from tests.servers import Answer, Script, ScriptServer

#: 50 kB that become 50 MB.
BOMB = gzip.compress(b"\0" * 50_000_000)
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.fixture(name="http")
def http_fixture():
    """A performer that may reach loopback and reads at most 100 kB."""
    with HttpPerformer(NetworkPolicy(allow_nets=LOOPBACK, max_response_bytes=100_000)) as performer:
        yield performer


def test_a_request_goes_out_exactly_as_built(http):
    """Target, header spelling and order, and body bytes are those of the request; nothing of httpx is added."""
    with ScriptServer([Answer(201, (("X-Reply", "é"), ("X-Reply", "2")), b"\x00ok")]) as server:
        request = HttpRequest(
            "PATCH", server.url + "/a//%2F/../b?x=%27&y", (("X-B", "1"), ("x-A", "žluť"), ("X-B", "2")), b"\xff\x00"
        )

        response = http.send(request)

    got = server.received[0]
    assert (got.method, got.target, got.body) == ("PATCH", "/a//%2F/../b?x=%27&y", b"\xff\x00")
    assert [
        ("Host", f"127.0.0.1:{server.port}"),
        ("X-B", "1"),
        ("x-A", "žluť"),
        ("X-B", "2"),
        ("Content-Length", "2"),
    ] == list(got.headers)
    assert (response.status, response.body) == (201, b"\x00ok")
    assert list(response.headers[:2]) == [("X-Reply", "é"), ("X-Reply", "2")]


def test_connections_are_kept_for_the_next_request(http):
    """Two requests to one service use one connection."""
    with ScriptServer([Answer(), Answer()]) as server:
        http.send(HttpRequest("GET", server.url + "/1"))
        http.send(HttpRequest("GET", server.url + "/2"))

    assert [request.connection for request in server.received] == [1, 1]


def test_a_kept_connection_that_was_closed_is_retried_once(http):
    """A request on a kept connection that ends before any byte is sent again on a new one."""
    with ScriptServer([Answer(), Answer(close=True), Answer(body=b"again")]) as server:
        http.send(HttpRequest("GET", server.url + "/1"))
        response = http.send(HttpRequest("POST", server.url + "/2", body=b"x"))

    assert response.body == b"again"
    assert [request.target for request in server.received] == ["/1", "/2", "/2"]


def test_a_new_connection_that_is_closed_is_not_retried(http):
    """A service that closes without an answer is a connection error; the request was sent once."""
    with (
        ScriptServer([Answer(close=True)]) as server,
        pytest.raises(ServiceConnectionError, match="Connection failed: the service closed the connection"),
    ):
        http.send(HttpRequest("GET", server.url + "/"))

    assert len(server.received) == 1


def test_a_refused_connection_is_a_connection_error(http):
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(ServiceConnectionError, match="Connection failed: connection refused"):
        http.send(HttpRequest("GET", f"http://127.0.0.1:{port}/"))


def test_an_unknown_host_is_a_connection_error(http):
    """A name without an address; `.invalid` never has one."""
    with pytest.raises(ServiceConnectionError, match="Connection failed"):
        http.send(HttpRequest("GET", "http://nobody.invalid/"))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(hold=30), id="no answer"),
        pytest.param(Answer(pieces=(b"x",) * 100, gap=0.05), id="a body that trickles"),
    ],
)
def test_the_deadline_counts_for_the_whole_exchange(http, answer):
    """An answer that is not complete in time is a time-out, however often a byte comes."""
    with ScriptServer([answer]) as server, pytest.raises(ModuleTimeoutError, match="Timed out after 1500 ms"):
        http.send(HttpRequest("GET", server.url + "/", timeout=timedelta(milliseconds=1_500)))


def test_redirects_share_the_deadline(http):
    """The time of the hops counts together."""
    hop = Answer(302, (("Location", "/next"),), hold=0.4)
    with ScriptServer([hop] * 10) as server, pytest.raises(ModuleTimeoutError):
        http.send(HttpRequest("GET", server.url + "/", timeout=timedelta(milliseconds=1_600)))

    assert len(server.received) < 10


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(body=b"x" * 100_001), id="announced length"),
        pytest.param(Answer(headers=(("Connection", "close"), ("Transfer-Encoding", "chunked")),
                            body=b"186A1\r\n" + b"x" * 100_001 + b"\r\n0\r\n\r\n", end=True), id="chunked"),
        pytest.param(Answer(headers=(("Content-Encoding", "gzip"),), body=BOMB), id="gzip bomb"),
        pytest.param(Answer(headers=(("Content-Encoding", "gzip, gzip"),),
                            body=gzip.compress(gzip.compress(b"\0" * 50_000_000))), id="gzip in gzip"),
    ],
)  # fmt: skip
def test_an_answer_over_the_size_limit_is_refused(http, answer):
    """The limit counts announced, received and decompressed bytes."""
    with ScriptServer([answer]) as server, pytest.raises(MaxFileSizeExceededError, match="larger than 100000 bytes"):
        http.send(HttpRequest("GET", server.url + "/"))


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", gzip.compress(b"hello"), id="gzip"),
        pytest.param("x-gzip", gzip.compress(b"hel") + gzip.compress(b"lo"), id="two gzip members"),
        pytest.param("deflate", zlib.compress(b"hello"), id="deflate"),
        pytest.param("deflate", zlib.compress(b"hello")[2:-4], id="raw deflate"),
        pytest.param("deflate, gzip", gzip.compress(zlib.compress(b"hello")), id="two layers"),
        pytest.param("identity", b"hello", id="identity"),
    ],
)
def test_compressed_answers_are_decoded(http, encoding, body):
    """A compressed answer is decoded whether or not it was asked for."""
    with ScriptServer([Answer(headers=(("Content-Encoding", encoding),), body=body)]) as server:
        response = http.send(HttpRequest("GET", server.url + "/"))

    assert response.body == b"hello"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("gzip", b"not gzip", id="damaged"),
        pytest.param("gzip", gzip.compress(b"hello" * 100)[:-20], id="incomplete"),
        pytest.param("br", b"x", id="unknown"),
    ],
)
def test_undecodable_answers_are_data_errors(http, encoding, body):
    """What cannot be decompressed is bad data."""
    with (
        ScriptServer([Answer(headers=(("Content-Encoding", encoding),), body=body)]) as server,
        pytest.raises(DataError),
    ):
        http.send(HttpRequest("GET", server.url + "/"))


def test_an_incomplete_answer_is_a_connection_error(http):
    """A body shorter than announced."""
    with (
        ScriptServer([Answer(headers=(("Content-Length", "10"),), body=b"x", end=True)]) as server,
        pytest.raises(ServiceConnectionError),
    ):
        http.send(HttpRequest("GET", server.url + "/"))


def test_cookies_are_not_kept(http):
    """The client shares no cookies between requests."""
    with ScriptServer([Answer(headers=(("Set-Cookie", "sid=1; Path=/"),)), Answer()]) as server:
        http.send(HttpRequest("GET", server.url + "/"))
        http.send(HttpRequest("GET", server.url + "/"))

    assert server.received[1].header("cookie") is None


@pytest.mark.parametrize(
    ("field", "value"),
    [pytest.param("ca", "no pem", id="ca"), pytest.param("verify_tls", False, id="no verification")],
)
def test_unusable_tls_settings_are_configuration_errors(http, field, value):
    """A `ca` that is no certificate, and insecure TLS that the operator has not allowed."""
    with pytest.raises(InvalidConfigurationError):
        http.send(HttpRequest("GET", "https://127.0.0.1:1/", **{field: value}))


def test_tls_with_a_service_that_speaks_none_is_a_runtime_error(http):
    """A handshake that fails names the host and is not retried by anybody."""
    with ScriptServer([Answer()]) as server, pytest.raises(ModuleError) as caught:
        http.send(HttpRequest("GET", server.url.replace("http:", "https:") + "/"))

    assert isinstance(caught.value, (ModuleRuntimeError, ServiceConnectionError))


def test_threads_share_a_performer(http):
    """Each thread has its own deadline and its own answer; connections are shared."""
    script = Script(
        handler=lambda request: Answer(body=request.target.encode(), hold=30 if "slow" in request.target else 0)
    )

    def fetch(number: int) -> str:
        slow = number % 8 == 0
        timeout = timedelta(milliseconds=2_000 if slow else 30_000)
        try:
            return http.send(
                HttpRequest("GET", f"{server.url}/{'slow' if slow else number}", timeout=timeout)
            ).body.decode()
        except ModuleTimeoutError:
            return "timed out"

    with ScriptServer(script) as server, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(fetch, range(64)))

    assert results == ["timed out" if number % 8 == 0 else f"/{number}" for number in range(64)]


def test_a_resolver_that_does_not_answer_ends_at_the_deadline(http, monkeypatch):
    """The system's resolver knows no deadline; the exchange has one."""
    released = threading.Event()
    monkeypatch.setattr("runtime.http.policy.socket.getaddrinfo", lambda *_, **__: released.wait(30) and [])

    with pytest.raises(ServiceConnectionError, match="timed out while connecting"):
        http.send(HttpRequest("GET", "http://slow.test/", timeout=timedelta(milliseconds=100)))
    released.set()
