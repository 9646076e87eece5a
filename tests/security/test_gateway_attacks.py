"""Guessed addresses of webhooks, requests that mean two things, and clients that never finish (issue S6)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from urllib.parse import quote

import pytest

from tests.integration.test_gateway_intake import START, free_port
from tests.security.conftest import Attacked
from tests.worker_kit import PATIENCE, call, until
from workers.gateway.api.serving import PREFIX
from workers.ledger.hooks import HookRecord

#: Connections that are opened at once.
MANY = 100


@pytest.fixture(name="hook", scope="module")
def hook_fixture(gate: Attacked) -> HookRecord:
    """A webhook whose events wait."""
    made = gate.scenario(START, call(2, "/n", "POST"))
    gate.switch(made, mode="timed")
    return made


def guesses(hook: HookRecord) -> list[bytes]:
    """Paths that are not the webhook's, as bytes of a request line."""
    token = hook.token
    other = "A" if token[0] != "A" else "B"
    swapped = token.swapcase()
    paths = [
        "", token[:-1], token[:8], token[1:], token + "x", other + token[1:], token[:-1] + "*", "*", "?", "%00",
        token + "%00", token + "%0a", token + "/", token + "/.", token + "/..", token + "/../" + token,
        "../hook/" + token, "./" + token, token + "%2f", token + "%20", "%20" + token, token + ";a=b", token + "\\",
        quote("\u202e") + token, quote(token.replace(token[0], chr(0xFF21))), token + "%C0%80", token + "%FF",
        "%25" + token, token + "%2e%2e", hook.id, hook.name, "x" * 65, "x" * 60_000, "%41" * 5000, "0", "null",
        token + "@x", "[" + token + "]", token + "{}", "hook/" + token, "/" + token, "//" + token,
    ]  # fmt: skip
    if swapped != token:
        paths += [swapped, token.lower() if token != token.lower() else token.upper()]
    lines = [f"/hook/{path}".encode() for path in paths]
    odd = (f"/Hook/{token}", f"/hook\\{token}", f"/hook//{token}", f"/x/../hook/{token}", f"/hook/%2e/{token}")
    return [*lines, *map(str.encode, odd), f"/hook/{token}é".encode()]


def test_no_guess_reaches_a_webhook(gate: Attacked, hook: HookRecord) -> None:
    """Near misses of an address are as unknown as any other; nothing is stored and nothing of it is logged."""
    before = gate.queued(hook)
    for path in guesses(hook):
        got = gate.raw(b"POST " + path + b" HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        assert got == b"" or got.split(b" ", 2)[1] in (b"400", b"404", b"405", b"414"), (path[:80], got[:200])
        assert hook.token.encode() not in got
    assert gate.queued(hook) == before
    # Case aside: what is logged of a guess may be the address with one letter changed.
    assert hook.token not in gate.log()


def test_many_guesses_fill_nothing(gate: Attacked, hook: HookRecord) -> None:
    before = set(gate.everything())
    for number in range(60):
        assert gate.client.get(f"{gate.base}/hook/{number:032d}").status_code == 404
    assert set(gate.everything()) == before
    assert gate.client.post(f"{gate.base}/hook/{hook.token}", json={"n": "after"}).status_code == 200


#: Heads and bodies that two readers may cut in different places; each hides a second request.
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
SMUGGLED = {
    "both lengths": b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "both lengths, other order": b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n" + HIDDEN,
    "two lengths": b"Content-Length: 0\r\nContent-Length: 33\r\n\r\n" + HIDDEN,
    "a list of lengths": b"Content-Length: 0, 33\r\n\r\n" + HIDDEN,
    "a length with a sign": b"Content-Length: +0\r\n\r\n" + HIDDEN,
    "a length in hexadecimal": b"Content-Length: 0x0\r\n\r\n" + HIDDEN,
    "a length with a space": b"Content-Length : 0\r\n\r\n" + HIDDEN,
    "a length with an underscore": b"Content-Length: 0_0\r\n\r\n" + HIDDEN,
    "a length beyond all": b"Content-Length: 99999999999999999999999999\r\n\r\n" + HIDDEN,
    "chunked twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked and identity": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + HIDDEN,
    "something like chunked": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "chunked with a space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a folded header": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + HIDDEN,
    "a chunk with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + HIDDEN,
    "a chunk with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + HIDDEN,
    "a chunk too short": b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\n" + HIDDEN,
    "a zero byte": b"X: a\0b\r\n\r\n" + HIDDEN,
    "no host": b"",
    "two hosts": b"Host: other\r\nContent-Length: 0\r\n\r\n",
    "many headers": b"".join(b"X-%d: y\r\n" % n for n in range(20_000)) + b"\r\n",
    "a name of 600 kB": b"x" * 600_000 + b": y\r\n\r\n" + HIDDEN,
}


def exchange(gate: Attacked, data: bytes) -> bytes:
    """All that comes back; our side ends once something has."""
    got = b""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection, suppress(OSError):
        connection.sendall(data)
        got = connection.recv(65536)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            got += piece
    return got


@pytest.mark.parametrize("place", ["hook", "api", "callback"])
@pytest.mark.parametrize("shape", SMUGGLED)
def test_a_request_that_means_two_things_is_one_or_none(
    gate: Attacked, hook: HookRecord, shape: str, place: str
) -> None:
    """Nothing is answered twice, and what cannot be read is refused: no second request comes out of it."""
    path = {"hook": f"/hook/{hook.token}", "api": f"{PREFIX}/runs", "callback": "/oauth/cb/app/acc"}[place]
    head = f"POST {path} HTTP/1.1\r\n".encode() + (b"" if shape == "no host" else b"Host: h\r\n")
    before = len(gate.queued(hook))
    rest = b"Content-Length: 0\r\n\r\n" if shape == "no host" else SMUGGLED[shape]
    got = exchange(gate, head + rest)
    # A folded line is one with a space (RFC 9112 5.2): nobody sees another length there.
    if shape != "a folded header":
        assert got == b"" or got.startswith(b"HTTP/1.1 4"), got[:300]
        assert got.count(b"HTTP/1.1") <= 1, got[:600]
        assert len(gate.queued(hook)) == before
    assert gate.answers()


def test_an_endless_body_ends(gate: Attacked) -> None:
    """At the API and at the callback more than the limit is refused while it comes."""
    token = gate.token("all")
    piece = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    for head in (
        f"POST {PREFIX}/scenarios/x/run HTTP/1.1\r\nAuthorization: Bearer {token}\r\n",
        "POST /oauth/cb/app/acc HTTP/1.1\r\n",
    ):
        with socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE) as connection:
            connection.sendall(f"{head}Host: h\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
            answer = threading.Thread(target=lambda c=connection: _drain(c), daemon=True)
            answer.start()
            sent = 0
            try:
                while sent < 64 << 20 and answer.is_alive():
                    connection.sendall(piece)
                    sent += len(piece)
            except OSError:
                pass
            assert sent < 64 << 20, "somebody reads on and on"
    assert gate.answers()


def _drain(connection: socket.socket) -> None:
    try:
        connection.recv(65536)
    except OSError:
        return


@contextmanager
def held(gate: Attacked, *beginnings: bytes) -> Iterator[list[socket.socket]]:
    """Many connections that have begun a request and do not go on."""
    with ExitStack() as stack:
        opened: list[socket.socket] = []
        for number in range(MANY):
            made = socket.create_connection(("127.0.0.1", gate.port), timeout=PATIENCE)
            stack.callback(made.close)
            made.sendall(beginnings[number % len(beginnings)])
            opened.append(made)
        yield opened


def test_clients_that_never_finish_keep_nobody_out(gate: Attacked, hook: HookRecord) -> None:
    """Heads and bodies that stop in the middle: others are answered meanwhile."""
    token = gate.token("all")
    beginnings = (
        b"", b"P", b"POST /hook/x HTTP/1.1\r\nHost: h\r\nX: ",
        f"POST /hook/{hook.token} HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n{{".encode(),
        f"POST /hook/{hook.token} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".encode(),
        f"POST {PREFIX}/scenarios/x/run HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n"
        "Content-Length: 9000\r\n\r\n{".encode(),
        b"POST /oauth/cb/app/acc HTTP/1.1\r\nHost: h\r\nContent-Length: 9000\r\n\r\na=",
    )  # fmt: skip
    before = len(gate.queued(hook))
    with held(gate, *beginnings):
        for number in range(5):
            assert gate.client.post(f"{gate.base}/hook/{hook.token}", json={"n": number}).status_code == 200
            assert gate.ask("GET", "/runs", token).status_code == 200
    assert len(gate.queued(hook)) == before + 5


@pytest.mark.parametrize("place", ["api", "callback"])
def test_a_body_that_does_not_come_is_not_waited_for(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is limited, also where no token was asked for."""
    import asyncio

    from starlette.requests import Request

    from workers.gateway import app as gateway
    from workers.gateway.api import serving
    from workers.gateway.api.endpoint import Refused

    monkeypatch.setattr(gateway, "FORM_SECONDS", 0.05)
    monkeypatch.setattr(serving, "BODY_SECONDS", 0.05)

    async def never() -> dict[str, object]:
        await asyncio.Event().wait()
        return {}

    request = Request({"type": "http", "method": "POST", "headers": [], "path": "/", "query_string": b""}, never)
    if place == "callback":
        assert asyncio.run(gateway.form_of(request)) == (408, "")
    else:
        with pytest.raises(Refused) as caught:
            asyncio.run(serving.body_of(request))
        assert caught.value.status == 408


def test_the_gateway_is_still_there(gate: Attacked, hook: HookRecord) -> None:
    until(gate.answers, "the gateway answers")
    assert free_port() != gate.port
    assert all(isinstance(item, dict) for item in gate.queued(hook))
