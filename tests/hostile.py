"""
A service that hands out canary secrets in every phase of every kind of connection and, where it is told to fail,
repeats all that it was sent in its error: the apps for it show that error, as careless authors do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from tests.canaries import Canaries
from tests.oauth_apps import client_flow, code_flow, oauth1_flow, password_flow, write_app
from tests.servers import Answer, Received, ScriptServer

_JSON = (("Content-Type", "application/json"),)
#: The app's own words, which hold the service's.
_ERROR = {"message": "the service says: {{body.message}}"}


class Hostile:
    """The service; `failing` are the paths that it refuses at the moment."""

    def __init__(self, canaries: Canaries) -> None:
        self.canaries = canaries
        self.failing: set[str] = set()
        self.server = ScriptServer()
        self.server.script.handler = self.answer
        self._issued = 0

    @contextmanager
    def running(self) -> Iterator[Hostile]:
        with self.server:
            yield self

    @property
    def url(self) -> str:
        return self.server.url

    def answer(self, request: Received) -> Answer:
        """What comes to `path` is answered by the phase that the path stands for."""
        path = urlsplit(request.target).path
        header = request.header("authorization") or ""
        self._learn(request, header)
        if path in ("/login", "/locked") and not header.startswith("Digest"):
            return Answer(401, (("WWW-Authenticate", 'Digest realm="r", nonce="n0123456789", qop="auth"'),), b"no")
        if path in self.failing:
            said = f"{request.target} {request.body.decode()} {request.headers}"
            return Answer(400, _JSON, json.dumps({"message": said, "error": "invalid_request"}).encode())
        issued = self._issue(path)
        if path in ("/request_token", "/access_token"):
            form = "&".join(f"oauth_{name}={quote(value, safe='')}" for name, value in issued.items())
            return Answer(200, (("Content-Type", "application/x-www-form-urlencoded"),), form.encode())
        return Answer(200, _JSON, json.dumps({"id": 7, "email": "ann@example.com", "name": "Ann", **issued}).encode())

    def _issue(self, path: str) -> dict[str, Any]:
        self._issued += 1
        number = self._issued
        if path in ("/request_token", "/access_token"):
            return {"token": self.canaries(f"oauth1 token {number}"), "token_secret": self.canaries(f"pair {number}")}
        if path == "/token":
            return {
                "access_token": self.canaries(f"access {number}"),
                "refresh_token": self.canaries(f"refresh {number}"),
                "expires_in": 3600,
            }
        if path == "/register":
            return {"registered": self.canaries(f"registered client {number}")}
        if path == "/login":
            return {"session": self.canaries(f"session {number}")}
        return {}

    def _learn(self, request: Received, header: str) -> None:
        """Secrets that we have made: verifiers and signed tokens."""
        sent = dict(parse_qsl(request.body.decode()))
        if "code_verifier" in sent:
            self.canaries.values[f"verifier {len(self.canaries.values)}"] = sent["code_verifier"]
        for token in re.findall(r"JWT (\S+)", header):
            self.canaries.values[f"jwt {len(self.canaries.values)}"] = token

    # -- apps ----------------------------------------------------------------------------------------------------------

    def write_apps(self, folder: Path) -> dict[str, Path]:
        """One app for each kind of connection, by name."""
        secret = [{"name": "secret", "type": "password", "required": True}]
        client = [
            {"name": name, "type": "text" if name == "clientId" else "password"}
            for name in ("clientId", "clientSecret", "username", "password")
        ]
        signed = {"oauth": {"token": "{{connection.token}}", "token_secret": "{{connection.tokenSecret}}"}}
        digest = {"digest": {"username": "ann", "password": "{{connection.secret}}"}}
        signer = {"headers": {"authorization": "JWT {{jwt(temp.claims; connection.secret)}}"}}
        keyed = {"headers": {"authorization": "JWT {{jwt(temp.claims; connection.key; 'RS256')}}"}}
        claims = {"temp": {"claims": {"iss": "me", "sub": "{{connection.secret}}"}}}
        key = [*secret, {"name": "key", "type": "pkey", "required": True}]
        kept = {"response": {"data": {"session": "{{body.session}}"}}}
        flows: dict[str, tuple[dict[str, Any], dict[str, Any] | None, list[Any] | None]] = {
            "photos": (oauth1_flow(self.url), signed, None),
            "oldphotos": (
                oauth1_flow(self.url, transport_method="query", signature_method="PLAINTEXT"), signed, None,
            ),
            "mailer": (self._code_flow(), None, None),
            "robot": (client_flow(self.url), None, client),
            "human": (password_flow(self.url), None, client),
            "digester": ({"url": f"{self.url}/login", **digest, **kept}, digest, secret),
            "signer": ({"url": f"{self.url}/jwt", **claims, **signer}, {**claims, **signer}, secret),
            "keyed": ({"url": f"{self.url}/jwt", **claims, **keyed}, {**claims, **keyed}, key),
        }  # fmt: skip
        written: dict[str, Path] = {}
        for name, (flow, base, params) in flows.items():
            phases = [flow] if "url" in flow else [phase for phase in flow.values() if "url" in phase]
            for phase in phases:
                phase.setdefault("response", {})["error"] = _ERROR
                phase.setdefault("log", {"sanitize": ["request.headers.authorization"]})
            written[name] = write_app(folder / name, self.url, flow, base=base, params=params, name=name)
            path = "/locked" if name == "digester" else "/items"
            (written[name] / "whoami.json").write_text(
                json.dumps({"url": path, "response": {"output": "{{body}}", "error": _ERROR}})
            )
        return written

    def _code_flow(self) -> dict[str, Any]:
        flow = code_flow(self.url)
        flow["preauthorize"] = {
            "url": f"{self.url}/register",
            "method": "POST",
            "body": {"software": "{{common.clientSecret}}"},
            "response": {"temp": {"issuedSecret": "{{body.registered}}"}},
        }
        flow["token"]["body"]["registered"] = "{{temp.issuedSecret}}"
        return flow
