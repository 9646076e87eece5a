"""Sending mail against real servers on loopback (spec/scenarios.md 4.10)."""

from __future__ import annotations

import ipaddress
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runtime.effects import MailServer, SendMail
from runtime.errors import (
    DataError,
    InvalidAccessTokenError,
    InvalidConfigurationError,
    ModuleRuntimeError,
    ModuleTimeoutError,
    ServiceConnectionError,
)
from runtime.http import HttpPerformer, NetworkPolicy
from runtime.sanitize import Secrets
from tests.certificates import Authority
from tests.mail_server import PASSWORD, USER, Post, mail_server, saying
from tests.unit.scenario.helpers import module, scenario, start
from workers.local import LocalPart
from workers.performer import Performer
from workers.service import Service, open_service
from workers.settings import load_settings

NETS = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
MESSAGE = b"From: a@example.com\r\nSubject: s\r\n\r\nbody\r\n.\r\nmore\r\n"


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may reach loopback."""
    environment = {
        "SCENARIST_HOME": str(tmp_path_factory.mktemp("mail")), "SCENARIST_FSYNC": "everysec",
        "SCENARIST_ALLOW_NETS": "127.0.0.0/8,::1/128",
    }  # fmt: skip
    with open_service(load_settings(environment)) as service:
        yield service


@pytest.fixture(name="authority", scope="module")
def authority_fixture() -> Authority:
    return Authority()


@pytest.fixture(name="post")
def post_fixture() -> Post:
    return Post()


def send(mail: SendMail, policy: NetworkPolicy | None = None) -> Any:
    with HttpPerformer(policy or NetworkPolicy(allow_nets=NETS)) as performer:
        return performer.deliver(mail)


def mail(port: int, *recipients: str, **server: Any) -> SendMail:
    at = replace(MailServer("localhost", port, "none"), **server)
    return SendMail(at, "a@example.com", recipients or ("b@example.com",), MESSAGE, timeout=timedelta(seconds=20))


# -- the module --------------------------------------------------------------------------------------------------------


def run(service: Service, port: int, mapper: dict[str, Any], name: str, **connection: Any) -> dict[str, Any]:
    """What a run prints that sends one message over a connection of its own."""
    parameters = {"host": "localhost", "port": port, "security": "none", "from": "Ann <ann@example.com>", **connection}
    service.connections.add("email", "smtp", name=name, parameters=parameters)
    given = {"to": ["bob@example.com"], "contentType": "text", "text": "Hi", "subject": "S"} | mapper
    step = module(2, "email:ActionSendEmail", given, version=7, parameters={"account": 5, "saveAfterSent": False})
    raw = json.dumps(scenario(start({"name": "Bob", "file": "bytes"}), step)).encode()
    return service.runs.inline(raw, bindings={"5": name}).to_json()


def test_a_whole_message(service: Service, authority: Authority, post: Post, tmp_path: Path) -> None:
    """Encrypted from the start, with login, files, an image in the text, and every header."""
    mapper = {
        "to": ["Bob <bob@example.com>", "carol@example.com"], "cc": ["dan@example.com"], "bcc": ["eve@example.com"],
        "subject": "Grüße an {{1.name}}", "contentType": "html", "html": "<p>Hällo {{1.name}}<img src='cid:logo'></p>",
        "replyTo": "Desk <desk@example.com>", "inReplyTo": "<1@x>", "references": ["<0@x>", "<1@x>"],
        "priority": "high", "headers": [{"key": "X-Own", "value": "v"}],
        "attachments": [
            {"fileName": "ä.csv", "data": "{{1.file}}"}, {"fileName": "logo.png", "data": "png", "cid": "logo"},
        ],
    }  # fmt: skip
    with mail_server(post, tls=authority.server(tmp_path), login=True) as port:
        shown = run(service, port, mapper, "tls", security="tls", username=USER, password=PASSWORD, ca=authority.pem)

    assert shown["status"] == "success", shown
    output = shown["steps"][1]["output"][0]
    people = ["bob@example.com", "carol@example.com", "dan@example.com", "eve@example.com"]
    assert (output["accepted"], output["rejected"], output["response"]) == (people, [], "250 OK kept")
    assert (post.envelopes[0].mail_from, post.envelopes[0].rcpt_tos) == ("ann@example.com", people)
    message = post.message()
    assert message["subject"] == "Grüße an Bob"
    assert (message["from"], message["to"]) == ("Ann <ann@example.com>", "Bob <bob@example.com>, carol@example.com")
    assert (message["message-id"], message["cc"], message["bcc"]) == (output["messageId"], "dan@example.com", None)
    assert (message["reply-to"], message["references"], message["x-own"]) == (
        "Desk <desk@example.com>", "<0@x> <1@x>", "v",
    )  # fmt: skip
    assert message["importance"] == "High"
    body = message.get_body(("html",))
    assert body is not None
    assert body.get_content().strip() == "<p>Hällo Bob<img src='cid:logo'></p>"
    files = {part.get_filename(): part for part in message.walk() if part.get_filename()}
    assert files["ä.csv"].get_content_type() == "text/csv"
    assert files["ä.csv"].get_payload(decode=True) == b"bytes"
    assert files["logo.png"]["content-id"] == "<logo>"
    assert PASSWORD not in json.dumps(shown)


def test_encryption_on_request(service: Service, authority: Authority, post: Post, tmp_path: Path) -> None:
    """STARTTLS before name and password."""
    with mail_server(post, starttls=authority.server(tmp_path), login=True) as port:
        shown = run(
            service, port, {}, "starttls", security="starttls", username=USER, password=PASSWORD, ca=authority.pem
        )

    assert shown["status"] == "success", shown
    assert post.secured == [True]
    assert post.message().get_content().strip() == "Hi"


def test_a_refused_login_is_the_connections_fault(service: Service, post: Post) -> None:
    """And says neither name nor password."""
    with mail_server(post, login=True) as port:
        shown = run(service, port, {}, "login", username=USER, password="other-password-123")

    assert shown["steps"][1]["error"]["type"] == "InvalidAccessTokenError"
    assert "other-password-123" not in json.dumps(shown)
    assert post.envelopes == []


@pytest.mark.parametrize(
    ("mapper", "words"),
    [
        pytest.param({"to": []}, "no recipient", id="nobody"),
        pytest.param({"to": ["no address"]}, "'to'", id="no address"),
        pytest.param({"to": ["a@b\r\nRCPT TO:<x@y>"]}, "'to'", id="a command in an address"),
        pytest.param({"cc": ["<a@b c>"]}, "'cc'", id="blank"),
        pytest.param({"headers": [{"key": "Bcc", "value": "x@y"}]}, "headers", id="a header of ours"),
        pytest.param({"headers": [{"key": "X\nY", "value": "x"}]}, "headers", id="a header with a line end"),
    ],
)
def test_what_cannot_be_sent_is_said_before(service: Service, mapper: dict[str, Any], words: str) -> None:
    """Nothing is connected to: nobody listens at this port."""
    name = f"bad {abs(hash(json.dumps(mapper)))}"
    error = run(service, 9, mapper, name)["steps"][1]["error"]

    assert (error["type"], words in json.dumps(error)) == ("BundleValidationError", True), error


def test_recipients_that_are_refused(service: Service, post: Post) -> None:
    """Some refused: they are listed; all refused for good: DataError; for now: ConnectionError."""
    post.refuse = {"gone@example.com": "550 no such user", "full@example.com": "452 mailbox full"}
    with mail_server(post) as port:
        some = run(service, port, {"to": ["gone@example.com", "bob@example.com"]}, "some")
        none = run(service, port, {"to": ["gone@example.com"]}, "none")
        later = run(service, port, {"to": ["full@example.com"]}, "later")

    assert some["steps"][1]["output"][0]["rejected"] == ["gone@example.com"]
    assert none["steps"][1]["error"]["type"] == "DataError"
    assert "550 no such user" in none["steps"][1]["error"]["message"]
    assert later["steps"][1]["error"]["type"] == "ConnectionError"


def test_a_folder_that_cannot_be_written_is_a_warning(service: Service, post: Post) -> None:
    """`saveAfterSent` needs IMAP; the message is sent."""
    parameters = {"port": 1, "host": "localhost", "security": "none", "from": "ann@example.com"}
    with mail_server(post) as port:
        service.connections.add("email", "smtp", name="saved", parameters={**parameters, "port": port})
        step = module(2, "email:ActionSendEmail", {"to": ["b@example.com"], "contentType": "text"}, version=7,
                      parameters={"account": 5, "saveAfterSent": True})  # fmt: skip
        raw = json.dumps(scenario(start({}), step)).encode()
        shown = service.runs.inline(raw, bindings={"5": "saved"}).to_json()

    assert (shown["status"], len(post.envelopes)) == ("warning", 1)


# -- the exchange ------------------------------------------------------------------------------------------------------


def test_bytes_arrive_as_they_were_built(post: Post) -> None:
    """A line with a single dot does not end the message."""
    with mail_server(post) as port:
        delivery = send(mail(port))

    assert post.envelopes[0].original_content == MESSAGE
    assert delivery.accepted == ("b@example.com",)


def test_private_networks_are_refused(post: Post) -> None:
    """The same guard as for requests; and a proxy is no way around it."""
    with mail_server(post) as port:
        with pytest.raises(InvalidConfigurationError, match="private or local network"):
            send(mail(port), NetworkPolicy())
        with pytest.raises(InvalidConfigurationError, match="proxy"):
            send(mail(port), NetworkPolicy(allow_nets=NETS, proxy="http://127.0.0.1:9"))

    assert post.envelopes == []


def test_a_certificate_that_nobody_vouches_for(post: Post, authority: Authority, tmp_path: Path) -> None:
    """Name and password never go to such a server."""
    with mail_server(post, tls=authority.server(tmp_path), login=True) as port:
        with pytest.raises(ModuleRuntimeError, match="TLS connection to localhost failed"):
            send(mail(port, security="tls", username=USER, password=PASSWORD))
        with pytest.raises(ModuleRuntimeError, match=r"TLS connection to 127\.0\.0\.1 failed"):
            send(mail(port, host="127.0.0.1", security="tls", ca=authority.pem))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        pytest.param((b"220 hi\r\n", b"250-x\r\n250 AUTH PLAIN\r\n"), "STARTTLS", id="not offered"),
        pytest.param(
            (b"220 hi\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n250 injected\r\n"), "out of turn", id="injected"
        ),
        pytest.param((b"220 hi\r\n", b"250-x\r\n250 STARTTLS\r\n", b"454 not now\r\n"), "454", id="refused"),
    ],
)
def test_encryption_that_is_taken_away(lines: tuple[bytes, ...], words: str) -> None:
    """Nothing secret goes over a connection that somebody on the way keeps plain."""
    request = mail(0, security="starttls", username=USER, password=PASSWORD)
    refusal = pytest.raises((InvalidConfigurationError, ServiceConnectionError), match=words)
    with saying(*lines) as (port, told), refusal:
        send(replace(request, server=replace(request.server, port=port)))

    assert b"AUTH" not in told
    assert b"MAIL" not in told


@pytest.mark.parametrize("endless", [b"220-again\r\n" * 500, b"x" * 5000], ids=["lines", "no end of line"])
def test_a_server_that_does_not_stop_talking(endless: bytes) -> None:
    """Neither memory nor time without end."""
    with saying(endless=endless) as (port, _), pytest.raises(ServiceConnectionError):
        send(mail(port, host="127.0.0.1"))


def test_a_silent_server_ends_in_time() -> None:
    """One deadline for everything, however the answers trickle."""
    with saying(b"220 hi\r\n", b"250 x\r\n", b"250") as (port, _), pytest.raises(ModuleTimeoutError):
        send(replace(mail(port, host="127.0.0.1"), timeout=timedelta(seconds=0.5)))


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        pytest.param((b"554 go away\r\n",), DataError, id="5xx greeting"),
        pytest.param((b"421 busy\r\n",), ServiceConnectionError, id="4xx greeting"),
        pytest.param((b"hello\r\n",), ServiceConnectionError, id="no SMTP"),
        pytest.param((b"220 x\r\n", b"250 x\r\n", b"552 too big\r\n"), DataError, id="sender refused"),
    ],
)
def test_refusals(lines: tuple[bytes, ...], error: type[Exception]) -> None:
    """5xx is for good, 4xx and whatever is no SMTP may be better later."""
    with saying(*lines) as (port, _), pytest.raises(error):
        send(mail(port, host="127.0.0.1"))


def test_nobody_there() -> None:
    """A port that is closed, and a name without an address."""
    with saying() as (port, _):
        pass
    with pytest.raises(ServiceConnectionError, match="Connection failed"):
        send(mail(port, host="127.0.0.1"))
    with pytest.raises(ServiceConnectionError, match="host name not found"):
        send(mail(25, host="mail.invalid"))


def test_login_over_a_connection_without_login(post: Post) -> None:
    """The server offers none: said, not skipped."""
    with mail_server(post) as port, pytest.raises((InvalidConfigurationError, InvalidAccessTokenError)):
        send(mail(port, username=USER, password=PASSWORD))

    assert post.envelopes == []


class Noting(LocalPart):
    """Keeps what is noted, or refuses to."""

    def __init__(self, *, lost: bool = False) -> None:
        super().__init__()
        self.noted: list[str] = []
        self.gone = lost

    def note_unsafe(self, request: Any) -> None:
        if self.gone:
            raise ConnectionError("somebody else has the run")
        self.noted.append(request.method)


def test_mail_is_noted_before_it_goes_out(post: Post) -> None:
    """Like a POST: without the note nothing is sent; the record has neither addresses nor text."""
    with mail_server(post) as port, HttpPerformer(NetworkPolicy(allow_nets=NETS)) as http:
        part = Noting()
        performer = Performer(part, http.send, Secrets(), threading.Event(), deliver=http.deliver)
        performer(mail(port))
        lost = Performer(Noting(lost=True), http.send, Secrets(), threading.Event(), deliver=http.deliver)
        with pytest.raises(ConnectionError):
            lost(mail(port))

    assert (part.noted, len(post.envelopes)) == (["SMTP"], 1)
    record = performer.exchanges[0]
    assert record["response"] == {"statusCode": 250}
    assert "example.com" not in json.dumps(record)
