"""Apps with OAuth connections, written as authors write them, and the browser of a person who agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from connections.redirect import query_of
from tests.oauth_provider import CLIENT, SECRET
from workers.authorizing import Waiting, callback_path

#: The operator's common data for the apps that read the client from there.
COMMON = {"clientId": CLIENT, "clientSecret": SECRET}
SANITIZE = {
    "sanitize": [
        "request.body.client_secret", "request.body.code", "request.body.refresh_token",
        "request.headers.authorization", "response.body.access_token", "response.body.refresh_token",
    ]
}  # fmt: skip

#: base64url of the verifier's SHA-256, as apps write it.
CHALLENGE = "{{replace(replace(replace(sha256(temp.codeVerifier; 'base64'); '+'; '-'); '/'; '_'); '='; '')}}"


def stored_tokens(more: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `token` and `refresh` keep."""
    return {
        "accessToken": "{{body.access_token}}",
        "refreshToken": "{{body.refresh_token}}",
        "expires": "{{addSeconds(now, body.expires_in)}}",
        **(more or {}),
    }


def code_flow(url: str) -> dict[str, Any]:
    """Authorization code with PKCE, refresh, revocation."""
    client = {"client_id": "{{common.clientId}}", "client_secret": "{{common.clientSecret}}"}
    return {
        "authorize": {
            "temp": {"codeVerifier": "{{uuid}}{{uuid}}"},
            "url": f"{url}/authorize",
            "qs": {
                "client_id": "{{common.clientId}}",
                "response_type": "code",
                "redirect_uri": "{{oauth.redirectUri}}",
                "scope": "{{join(oauth.scope, ' ')}}",
                "code_challenge": CHALLENGE,
                "code_challenge_method": "S256",
            },
            "response": {"temp": {"code": "{{query.code}}"}, "error": {"message": "the app says: {{query.error}}"}},
        },
        "token": {
            "url": f"{url}/token",
            "method": "POST",
            "type": "urlencoded",
            "body": {
                "grant_type": "authorization_code",
                "code": "{{temp.code}}",
                "redirect_uri": "{{oauth.redirectUri}}",
                "code_verifier": "{{temp.codeVerifier}}",
                **client,
            },
            "response": {"data": stored_tokens(), "scope": "{{body.scope}}"},
            "log": SANITIZE,
        },
        "info": {
            "url": f"{url}/api",
            "headers": {"authorization": "Bearer {{connection.accessToken}}"},
            "response": {"uid": "{{body.id}}", "metadata": {"type": "email", "value": "{{body.email}}"}},
            "log": SANITIZE,
        },
        "refresh": {
            "condition": "{{data.expires < addMinutes(now, 15)}}",
            "url": f"{url}/token",
            "method": "POST",
            "type": "urlencoded",
            "body": {"grant_type": "refresh_token", "refresh_token": "{{connection.refreshToken}}", **client},
            "response": {
                "data": stored_tokens(),
                "error": {"message": "{{body.error}}: {{body.error_description}}"},
            },
            "log": SANITIZE,
        },
        "invalidate": {
            "url": f"{url}/revoke",
            "method": "POST",
            "type": "urlencoded",
            "body": {"token": "{{connection.refreshToken}}", **client},
            "log": SANITIZE,
        },
    }


def client_flow(url: str) -> dict[str, Any]:
    """Client credentials: a token is fetched again when the old one ends."""
    return {
        "token": {
            "condition": "{{!data.accessToken || data.expires < addMinutes(now, 1)}}",
            "url": f"{url}/token",
            "method": "POST",
            "type": "urlencoded",
            "headers": {"authorization": "Basic {{base64(parameters.clientId + ':' + parameters.clientSecret)}}"},
            "body": {"grant_type": "client_credentials"},
            "response": {"data": stored_tokens()},
            "log": SANITIZE,
        }
    }


def password_flow(url: str) -> dict[str, Any]:
    """Resource owner password."""
    flow = client_flow(url)
    flow["token"]["body"] = {
        "grant_type": "password", "username": "{{parameters.username}}", "password": "{{parameters.password}}"
    }  # fmt: skip
    return flow


def oauth1_flow(url: str, **root: Any) -> dict[str, Any]:
    """OAuth 1.0, as the official template has it."""
    return {
        "oauth": {"consumer_key": "{{common.clientId}}", "consumer_secret": "{{common.clientSecret}}", **root},
        "requestToken": {
            "url": f"{url}/request_token",
            "method": "POST",
            "response": {
                "type": "urlencoded",
                "temp": {"token": "{{body.oauth_token}}", "tokenSecret": "{{body.oauth_token_secret}}"},
            },
        },
        "authorize": {
            "url": f"{url}/authorize",
            "oauth": {"token": "{{temp.token}}"},
            "response": {"temp": {"token": "{{query.oauth_token}}", "verifier": "{{query.oauth_verifier}}"}},
        },
        "accessToken": {
            "url": f"{url}/access_token",
            "method": "POST",
            "oauth": {
                "token": "{{temp.token}}", "token_secret": "{{temp.tokenSecret}}", "verifier": "{{temp.verifier}}"
            },
            "response": {
                "type": "urlencoded",
                "data": {"token": "{{body.oauth_token}}", "tokenSecret": "{{body.oauth_token_secret}}"},
            },
        },
        "info": {
            "url": f"{url}/api",
            "oauth": {"token": "{{connection.token}}", "token_secret": "{{connection.tokenSecret}}"},
            "response": {"uid": "{{body.id}}", "metadata": {"type": "text", "value": "{{body.name}}"}},
        },
    }  # fmt: skip


CLIENT_INPUTS = [
    {"name": "clientId", "type": "text", "label": "Client ID", "required": True},
    {"name": "clientSecret", "type": "password", "label": "Client secret", "required": True},
    {"name": "username", "type": "text"},
    {"name": "password", "type": "password", "editable": True},
    {"name": "note", "type": "text", "editable": True},
]


def write_app(
    folder: Path,
    url: str,
    flow: dict[str, Any],
    *,
    params: list[dict[str, Any]] | None = None,
    base: dict[str, Any] | None = None,
    scope: list[str] | None = None,
    default_scope: list[str] | None = None,
    name: str = "mailer",
) -> Path:
    """An app with the connection `acc` and the module `whoami`, which asks `/api`."""
    bearer = {"headers": {"authorization": "Bearer {{connection.accessToken}}"}}
    files: dict[str, Any] = {
        "base.json": {
            "baseUrl": url,
            **(base if base is not None else bearer),
            "response": {"error": {"message": "refused: {{body.message}}"}},
            "log": {"sanitize": ["request.headers.authorization"]},
        },
        "acc.json": flow,
        "acc.params.json": params or [],
        "acc.scope.json": default_scope or [],
        "acc.scopes.json": {},
        "whoami.json": {"url": "/api", "response": {"output": "{{body}}"}},
        "whoami.scope.json": scope or [],
        "empty.json": [],
    }
    manifest = {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.json"},
        "components": {
            "connection": {
                "acc": {
                    "label": "Account",
                    "connectionType": "oauth" if not flow.get("url") else "basic",
                    "codeFiles": {
                        "communication": "acc.json", "params": "acc.params.json",
                        "defaultScope": "acc.scope.json", "scopeList": "acc.scopes.json",
                    },
                }
            },
            "module": {
                "whoami": {
                    "label": "Me", "moduleType": "action", "connection": "acc",
                    "codeFiles": {
                        "communication": "whoami.json", "mappableParams": "empty.json", "staticParams": "empty.json",
                        "interface": "empty.json", "samples": "empty.json", "scope": "whoami.scope.json",
                    },
                }
            },
        },
        "origins": [{"label": "here", "baseUrl": "https://example.com/api", "appId": name, "appVersion": 1}],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in (files | {"makecomapp.json": manifest}).items():
        (folder / file).write_text(json.dumps(content))
    return folder


def callback(app: str = "mailer", port: int = 9) -> str:
    """A callback's address on this machine; nothing listens there."""
    return f"http://127.0.0.1:{port}{callback_path(app, 'acc')}"


def agree(waiting: Waiting) -> tuple[dict[str, str], str]:
    """The person agrees at the provider's page; gives the query and path that the browser is sent to."""
    answer = httpx.get(waiting.url, trust_env=False, verify=False)
    assert answer.status_code == 302, answer.text
    location = answer.headers["location"]
    return query_of(location), urlsplit(location).path
