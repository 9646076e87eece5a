"""What must not get in: forged, replayed and mixed-up callbacks, bad answers, odd pages (connections.md 7.3, 7.4)."""

from __future__ import annotations

from pathlib import Path

import pytest

from connections.redirect import with_query
from runtime.errors import InvalidAccessTokenError, InvalidConfigurationError, ModuleError, UsageError
from tests.integration.oauth2_kit import begin, connect, home, leave_nothing, mailer, provider, service
from tests.oauth_apps import (
    COMMON,
    agree,
    code_flow,
    write_app,
)
from tests.oauth_provider import Provider
from tests.servers import Answer, ScriptServer
from tests.worker_kit import until
from workers.service import Service

__all__ = ["home", "leave_nothing", "mailer", "provider", "service"]


def test_state_is_used_up(service: Service, provider: Provider, mailer: str) -> None:
    """A callback is answered once; played again, it is refused and stores nothing more."""
    query, path = agree(begin(service, mailer, "main"))
    service.connections.finish(query, path)

    with pytest.raises(UsageError, match="not known here"):
        service.connections.finish(query, path)
    assert len(service.connections.list()) == 1
    assert provider.count("/token") == 1


@pytest.mark.parametrize("forged", [{}, {"state": "x" * 32}, {"state": ""}])
def test_forged_state_is_refused(service: Service, provider: Provider, mailer: str, forged: dict[str, str]) -> None:
    """A callback that nobody began is refused before anything is sent, and the flow that waits goes on waiting."""
    query, path = agree(begin(service, mailer, "main"))

    with pytest.raises(UsageError, match="not known here"):
        service.connections.finish({"code": query["code"], **forged}, path)
    assert provider.count("/token") == 0
    assert service.connections.finish(query, path).name == "main"


def test_expired_state_is_refused(service: Service, provider: Provider, mailer: str) -> None:
    """After its time the flow is gone from the server."""
    query, path = agree(begin(service, mailer, "main"))
    (key,) = service.runner.runs.client.keys("scenarist:pending:*")
    assert 0 < service.runner.runs.client.pttl(key) <= 15 * 60 * 1000
    service.runner.runs.client.pexpire(key, 1)

    until(lambda: not service.runner.runs.client.exists(key), "the state is gone")
    with pytest.raises(UsageError, match="older than 15 minutes"):
        service.connections.finish(query, path)


def test_callback_of_another_connection_is_refused(service: Service, provider: Provider, mailer: str) -> None:
    """A code that comes in at another connection's address is not sent anywhere (mix-up), and the flow is over."""
    query, path = agree(begin(service, mailer, "main"))

    with pytest.raises(InvalidAccessTokenError, match="another connection"):
        service.connections.finish(query, path.replace("mailer", "other"))
    assert provider.count("/token") == 0
    with pytest.raises(UsageError):
        service.connections.finish(query, path)


def test_swapped_codes_do_not_work(service: Service, provider: Provider, mailer: str) -> None:
    """With the code of another flow the verifier does not fit: the provider refuses, and nothing is stored."""
    first, path = agree(begin(service, mailer, "one"))
    second, _ = agree(begin(service, mailer, "two"))

    with pytest.raises(ModuleError):
        service.connections.finish({**first, "code": second["code"]}, path)
    assert service.connections.list() == []


def test_refusal_is_told_in_the_providers_words(service: Service, provider: Provider, mailer: str) -> None:
    """`error` of the callback ends the flow, with the app's own words behind it."""
    provider.refuse = {"error": "access_denied", "error_description": "Ann said no"}
    query, path = agree(begin(service, mailer, "main"))

    with pytest.raises(InvalidAccessTokenError) as caught:
        service.connections.finish(query, path)
    assert caught.value.message == "access_denied: Ann said no (the app says: access_denied)"
    assert service.connections.list() == []


def test_pending_flow_is_encrypted(service: Service, provider: Provider, mailer: str) -> None:
    """What waits on the server shows neither state nor verifier."""
    waiting = begin(service, mailer, "main")
    client = service.runner.runs.client
    (key,) = client.keys("scenarist:pending:*")

    assert waiting.state.encode() not in key + client.get(key)
    assert b"codeVerifier" not in client.get(key)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param(Answer(200, (("Content-Type", "application/json"),), b"<html>"), "JSON", id="no JSON"),
        pytest.param(Answer(200, (("Content-Type", "text/html"),), b"<html>"), "holds nothing", id="a page"),
        pytest.param(Answer(200, (), b"x" * (10 << 20)), "holds nothing", id="10 MB"),
        pytest.param(Answer(500, (), b"x" * (10 << 20)), "500", id="10 MB of error"),
        pytest.param(Answer(close=True), "Connection failed", id="broken"),
        pytest.param(Answer(200, pieces=(b"{",) * 50, gap=0.1), "Timed out", id="slow"),
    ],
)
def test_bad_answers_store_nothing(
    service: Service, provider: Provider, tmp_path: Path, answer: Answer, words: str
) -> None:
    """A provider that answers garbage, slowly or without end: a clear error, and nothing is stored."""
    with ScriptServer([answer] * 3) as bad:
        flow = code_flow(provider.url)
        # A short time for the slow one only: 10 MB need more than that on a busy machine.
        flow["token"] |= {"url": f"{bad.url}/token", "timeout": 400 if answer.pieces else 40_000}
        app = str(write_app(tmp_path / "bad", provider.url, flow))
        service.apps.set_common(app, COMMON)
        with pytest.raises(ModuleError, match=words):
            connect(service, app, "main")
    assert service.connections.list() == []


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "//evil.example", "http://"])
def test_redirect_leads_to_web_pages_only(service: Service, provider: Provider, tmp_path: Path, url: str) -> None:
    """An app cannot make the command open anything but an http(s) page."""
    flow = code_flow(provider.url)
    flow["authorize"]["url"] = url
    app = str(write_app(tmp_path / "bad", provider.url, flow))

    with pytest.raises(InvalidConfigurationError):
        begin(service, app, "main")


def test_own_state_of_an_author() -> None:
    """A parameter is set once, whatever stood there."""
    assert with_query("http://x/a?state=1&b=2", "state", "n&w") == "http://x/a?b=2&state=n%26w"
    assert with_query("http://x/a", "state", "n") == "http://x/a?state=n"
