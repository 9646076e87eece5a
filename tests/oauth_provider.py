"""
OAuth providers on a loopback address, built on oauthlib's own server classes: what we talk to is not our own work.

`Provider` is an OAuth 2.0 one: authorization code with PKCE, client credentials, password, refresh tokens that rotate,
reuse detection that ends the whole grant, revocation. `Provider1` is an OAuth 1.0 one. `/api` is a resource of each.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from oauthlib import oauth1, oauth2
from oauthlib.oauth2.rfc6749.tokens import BearerToken

CLIENT, SECRET = "scenarist-test", "client-secret-0123456789"
USER, PASSWORD = "ann", "user-password-0123456789"


@dataclass
class Seen:
    """One request to a provider."""

    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]


@dataclass
class Grants:
    """What a provider has issued. `families` maps a refresh token to the grant that it belongs to."""

    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    access: dict[str, dict[str, Any]] = field(default_factory=dict)
    refresh: dict[str, str] = field(default_factory=dict)
    used: dict[str, str] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)


class Validator(oauth2.RequestValidator):
    """The rules of the provider, over `Grants`."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.grants = provider.grants

    # clients

    def client_authentication_required(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        return True

    def authenticate_client(self, request: Any, *args: Any, **kwargs: Any) -> bool:
        header = request.headers.get("Authorization", "")
        pair = [request.client_id, request.client_secret]
        if header.startswith("Basic "):
            pair = base64.b64decode(header[6:]).decode().split(":", 1)
        request.client = type("Client", (), {"client_id": pair[0]})()
        return pair == [CLIENT, SECRET]

    def authenticate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        return False

    def validate_client_id(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> bool:
        return client_id == CLIENT

    def validate_grant_type(
        self, client_id: str, grant_type: str, client: Any, request: Any, *a: Any, **k: Any
    ) -> bool:
        return True

    def validate_response_type(self, client_id: str, kind: str, client: Any, request: Any, *a: Any, **k: Any) -> bool:
        return kind == "code"

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, request: Any, *a: Any, **k: Any) -> bool:
        return redirect_uri.startswith("http://127.0.0.1:")

    def get_default_redirect_uri(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> None:
        return None

    def validate_scopes(self, client_id: str, scopes: list[str], client: Any, request: Any, *a: Any, **k: Any) -> bool:
        return True

    def get_default_scopes(self, client_id: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        return []

    # codes

    def is_pkce_required(self, client_id: str, request: Any) -> bool:
        return self.provider.pkce

    def save_authorization_code(self, client_id: str, code: dict[str, Any], request: Any, *a: Any, **k: Any) -> None:
        self.grants.codes[code["code"]] = {
            "redirect_uri": request.redirect_uri,
            "challenge": request.code_challenge,
            "method": request.code_challenge_method,
            "scopes": request.scopes,
        }

    def validate_code(self, client_id: str, code: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        found = self.grants.codes.get(code)
        if found is None:
            return False
        request.scopes, request.user = found["scopes"], USER
        request.code_challenge, request.code_challenge_method = found["challenge"], found["method"]
        return True

    def get_code_challenge(self, code: str, request: Any) -> str | None:
        return self.grants.codes[code]["challenge"]

    def get_code_challenge_method(self, code: str, request: Any) -> str | None:
        return self.grants.codes[code]["method"]

    def confirm_redirect_uri(
        self, client_id: str, code: str, uri: str, client: Any, request: Any, *a: Any, **k: Any
    ) -> bool:
        return self.grants.codes[code]["redirect_uri"] == uri

    def invalidate_authorization_code(self, client_id: str, code: str, request: Any, *args: Any, **kwargs: Any) -> None:
        self.grants.codes.pop(code)

    # tokens

    def save_bearer_token(self, token: dict[str, Any], request: Any, *args: Any, **kwargs: Any) -> None:
        grant = secrets.token_hex(4)
        if request.grant_type == "refresh_token":
            grant = self.grants.refresh[request.refresh_token]
            if self.provider.rotate:
                self.grants.used[request.refresh_token] = self.grants.refresh.pop(request.refresh_token)
        self.grants.access[token["access_token"]] = {"grant": grant, "scope": token.get("scope", "")}
        if "refresh_token" in token:
            self.grants.refresh[token["refresh_token"]] = grant

    def validate_refresh_token(self, token: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        if token in self.grants.used:
            # Reuse: somebody has a copy, so the whole grant ends (RFC 9700, 4.14.2).
            self.provider.reused += 1
            self.grants.revoked.add(self.grants.used[token])
            return False
        grant = self.grants.refresh.get(token)
        return grant is not None and grant not in self.grants.revoked

    def rotate_refresh_token(self, request: Any) -> bool:
        return self.provider.rotate

    def get_original_scopes(self, refresh_token: str, request: Any, *args: Any, **kwargs: Any) -> list[str]:
        return []

    def validate_user(self, username: str, password: str, client: Any, request: Any, *args: Any, **kwargs: Any) -> bool:
        return (username, password) == (USER, PASSWORD)

    def revoke_token(self, token: str, token_type_hint: str, request: Any, *args: Any, **kwargs: Any) -> None:
        grant = self.grants.refresh.get(token) or self.grants.access.get(token, {}).get("grant")
        if grant:
            self.grants.revoked.add(grant)

    def validate_bearer_token(self, token: str, scopes: list[str], request: Any) -> bool:
        found = self.grants.access.get(token)
        return found is not None and found["grant"] not in self.grants.revoked


class _Serving:
    """A threaded HTTP server around `answer`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                parts = urlsplit(self.path)
                form = dict(parse_qsl(body)) if "urlencoded" in self.headers.get("Content-Type", "") else {}
                seen = Seen(self.command, parts.path, dict(parse_qsl(parts.query)), form, dict(self.headers.items()))
                with owner.lock:
                    owner.seen.append(seen)
                with contextlib.suppress(OSError):
                    status, headers, text = owner.answer(seen, f"{owner.url}{self.path}", body)
                    data = (text or "").encode()
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)

            do_GET = do_POST = handle_one  # noqa: N815  the library's names

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the library's name
                """Silence."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that was killed breaks its connection."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, seen: Seen, url: str, body: str) -> tuple[int, dict[str, str], str | None]:
        raise NotImplementedError

    def count(self, path: str, **form: str) -> int:
        """How many requests came to a path with these form fields."""
        with self.lock:
            return sum(
                each.path == path and all(each.form.get(name) == value for name, value in form.items())
                for each in self.seen
            )

    @contextlib.contextmanager
    def running(self) -> Iterator[Any]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


class Provider(_Serving):
    """
    OAuth 2.0. `lifetime` of access tokens in seconds; `before_token` is called before a token request is answered;
    `refuse` gives the error that the page sends the browser back with.
    """

    def __init__(self, *, rotate: bool = True, pkce: bool = True, lifetime: int = 3600) -> None:
        super().__init__()
        self.rotate, self.pkce, self.lifetime = rotate, pkce, lifetime
        self.grants = Grants()
        self.reused = 0
        self.refuse: dict[str, str] | None = None
        self.before_token: Any = lambda form: None
        self.issuing = threading.Lock()
        validator = Validator(self)
        self._endpoints = oauth2.Server(validator, token_expires_in=lambda request: self.lifetime)
        self._bearer = BearerToken(validator)

    def end_access_tokens(self) -> None:
        """From now on no access token that was issued is good."""
        self.grants.access.clear()

    def answer(self, seen: Seen, url: str, body: str) -> tuple[int, dict[str, str], str | None]:
        if seen.path == "/authorize":
            return self._page(seen, url)
        if seen.path == "/token":
            self.before_token(seen.form)
            # oauthlib looks at a refresh token and uses it up in two steps.
            with self.issuing:
                headers, text, status = self._endpoints.create_token_response(url, "POST", body, seen.headers)
            return status, headers, text
        if seen.path == "/revoke":
            headers, text, status = self._endpoints.create_revocation_response(url, "POST", body, seen.headers)
            return status, headers, text
        good, _ = self._endpoints.verify_request(url, seen.method, body, seen.headers, [])
        data = {"id": 7, "email": "ann@example.com"} if good else {"message": "token is not good"}
        return (200 if good else 401), {"Content-Type": "application/json"}, json.dumps(data)

    def _page(self, seen: Seen, url: str) -> tuple[int, dict[str, str], str | None]:
        if self.refuse is not None:
            query = {**self.refuse, "state": seen.query.get("state", "")}
            return 302, {"Location": f"{seen.query['redirect_uri']}?{urlencode(query)}"}, None
        try:
            scopes, request = self._endpoints.validate_authorization_request(url)
            headers, text, status = self._endpoints.create_authorization_response(
                url, scopes=scopes, credentials={"user": USER, "code_challenge": request.get("code_challenge")}
            )
        except oauth2.OAuth2Error as error:
            return 400, {}, f"{error.error}: {error.description}"
        return status, headers, text


class Validator1(oauth1.RequestValidator):
    """The rules of the OAuth 1.0 provider."""

    enforce_ssl = False
    dummy_client = dummy_request_token = dummy_access_token = "dummy"
    allowed_signature_methods = ("HMAC-SHA1", "HMAC-SHA256", "RSA-SHA1", "PLAINTEXT")
    client_key_length = (1, 100)
    nonce_length = (8, 64)
    request_token_length = access_token_length = (10, 64)
    verifier_length = (6, 64)

    def __init__(self) -> None:
        self.requests: dict[str, dict[str, str]] = {}
        self.access: dict[str, str] = {}
        self.nonces: set[Any] = set()

    @property
    def safe_characters(self) -> set[str]:
        return super().safe_characters | set("-_")

    def validate_client_key(self, client_key: str, request: Any) -> bool:
        return client_key == CLIENT

    def get_client_secret(self, client_key: str, request: Any) -> str:
        return SECRET

    def validate_timestamp_and_nonce(
        self, client_key: str, timestamp: str, nonce: str, request: Any, **tokens: Any
    ) -> bool:
        fresh = (timestamp, nonce) not in self.nonces
        self.nonces.add((timestamp, nonce))
        return fresh

    def validate_requested_realms(self, client_key: str, realms: Any, request: Any) -> bool:
        return True

    def validate_redirect_uri(self, client_key: str, redirect_uri: str, request: Any) -> bool:
        return redirect_uri.startswith("http://127.0.0.1:")

    def get_default_realms(self, client_key: str, request: Any) -> list[str]:
        return []

    def get_realms(self, token: str, request: Any) -> list[str]:
        return []

    def save_request_token(self, token: dict[str, str], request: Any) -> None:
        self.requests[token["oauth_token"]] = {
            "secret": token["oauth_token_secret"], "callback": request.redirect_uri, "verifier": "",
        }  # fmt: skip

    def verify_request_token(self, token: str, request: Any) -> bool:
        return token in self.requests

    def save_verifier(self, token: str, verifier: dict[str, str], request: Any) -> None:
        self.requests[token]["verifier"] = verifier["oauth_verifier"]

    def get_redirect_uri(self, token: str, request: Any) -> str:
        return self.requests[token]["callback"]

    def validate_request_token(self, client_key: str, token: str, request: Any) -> bool:
        return token in self.requests

    def get_request_token_secret(self, client_key: str, token: str, request: Any) -> str:
        return self.requests.get(token, {}).get("secret", "")

    def validate_verifier(self, client_key: str, token: str, verifier: str, request: Any) -> bool:
        return bool(verifier) and self.requests.get(token, {}).get("verifier") == verifier

    def invalidate_request_token(self, client_key: str, request_token: str, request: Any) -> None:
        self.requests.pop(request_token)

    def save_access_token(self, token: dict[str, str], request: Any) -> None:
        self.access[token["oauth_token"]] = token["oauth_token_secret"]

    def validate_access_token(self, client_key: str, token: str, request: Any) -> bool:
        return token in self.access

    def get_access_token_secret(self, client_key: str, token: str, request: Any) -> str:
        return self.access.get(token, "")

    def validate_realms(self, client_key: str, token: str, request: Any, uri: Any = None, realms: Any = None) -> bool:
        return True


class Provider1(_Serving):
    """OAuth 1.0: `/request_token`, `/authorize`, `/access_token`, `/api`."""

    def __init__(self) -> None:
        super().__init__()
        self.validator = Validator1()
        self._endpoints = oauth1.WebApplicationServer(self.validator)

    def answer(self, seen: Seen, url: str, body: str) -> tuple[int, dict[str, str], str | None]:
        if seen.path == "/request_token":
            headers, text, status = self._endpoints.create_request_token_response(url, seen.method, body, seen.headers)
        elif seen.path == "/authorize":
            headers, text, status = self._endpoints.create_authorization_response(url)
        elif seen.path == "/access_token":
            headers, text, status = self._endpoints.create_access_token_response(url, seen.method, body, seen.headers)
        else:
            good, _ = self._endpoints.validate_protected_resource_request(url, seen.method, body, seen.headers, [])
            headers, status = {"Content-Type": "application/json"}, 200 if good else 401
            text = json.dumps({"id": 9, "name": "Ann"} if good else {"message": "signature is not good"})
        return status, headers, text
