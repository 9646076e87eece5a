"""
Connections of built-in apps, written like those of any app: `http` and `email` (spec/scenarios.md 4.5, 4.10).

`scenarist connection add http basicauth` makes one.
"""

from __future__ import annotations

import json
from typing import Any, Final

_BASIC: Final = [
    {"name": "username", "type": "text", "label": "User name", "required": True},
    {"name": "password", "type": "password", "label": "Password"},
]
_KEY: Final = [
    {"name": "key", "type": "password", "label": "Key", "required": True},
    {
        "name": "placement",
        "type": "select",
        "label": "Place",
        "required": True,
        "default": "header",
        "options": [{"label": "In a header", "value": "header"}, {"label": "In the query", "value": "qs"}],
    },
    {"name": "name", "type": "text", "label": "Name of the header or query field", "required": True},
]


_CERTIFICATE: Final = [
    {"name": "certificate", "type": "cert", "label": "Certificate (PEM)", "required": True, "editable": True},
    {"name": "key", "type": "pkey", "label": "Private key (PEM)", "required": True, "editable": True},
    {"name": "passphrase", "type": "password", "label": "Passphrase of the key", "editable": True},
]
_CLIENT: Final = [
    {"name": "tokenUri", "type": "url", "label": "Token URI", "required": True},
    {"name": "scope", "type": "text", "label": "Scope, separated as the service wants it"},
    {"name": "clientId", "type": "text", "label": "Client ID", "required": True},
    {"name": "clientSecret", "type": "password", "label": "Client secret"},
    {
        "name": "placement",
        "type": "select",
        "label": "Place of the token",
        "required": True,
        "default": "header",
        "options": [{"label": "In a header", "value": "header"}, {"label": "In the query", "value": "qs"}],
    },
    {"name": "headerName", "type": "text", "label": "Word in front of the token", "default": "Bearer"},
]
_CODE: Final = [{"name": "authorizeUri", "type": "url", "label": "Authorize URI", "required": True}, *_CLIENT]

_LOG: Final = {
    "sanitize": [
        "request.body.client_secret", "request.body.code", "request.body.code_verifier", "request.body.refresh_token",
        "response.body.access_token", "response.body.refresh_token", "response.body.id_token",
    ]
}  # fmt: skip
_REFUSAL: Final = {"message": "{{body.error}}{{if(body.error_description; ': ' + body.error_description; '')}}"}
_CREDENTIALS: Final = {
    "client_id": "{{parameters.clientId}}",
    "client_secret": "{{ifempty(parameters.clientSecret; ignore)}}",
}
_EXPIRES: Final = "{{if(body.expires_in; addSeconds(now; body.expires_in); ignore)}}"
_SCOPE: Final = "{{ifempty(parameters.scope; ignore)}}"
_CHALLENGE: Final = "{{replace(replace(replace(sha256(temp.verifier; 'base64'); '+'; '-'); '/'; '_'); '='; '')}}"


def _token(condition: str | None, body: dict[str, str], data: dict[str, str]) -> dict[str, Any]:
    """A request to the token address (RFC 6749 section 4)."""
    request: dict[str, Any] = {
        "url": "{{parameters.tokenUri}}",
        "method": "POST",
        "type": "urlencoded",
        "headers": {"accept": "application/json"},
        "body": {**body, **_CREDENTIALS},
        "response": {"data": {**data, "expires": _EXPIRES}, "error": _REFUSAL},
        "log": _LOG,
    }
    return request if condition is None else {"condition": condition, **request}


#: Authorization code with PKCE, which services that do not know it ignore; refresh when a token is about to end.
_CODE_FLOW: Final = {
    "authorize": {
        "temp": {"verifier": "{{uuid}}{{uuid}}"},
        "url": "{{parameters.authorizeUri}}",
        "qs": {
            "client_id": "{{parameters.clientId}}",
            "response_type": "code",
            "redirect_uri": "{{oauth.redirectUri}}",
            "scope": _SCOPE,
            "code_challenge": _CHALLENGE,
            "code_challenge_method": "S256",
        },
        "response": {"temp": {"code": "{{query.code}}"}, "error": {"message": "{{query.error}}"}},
    },
    "token": _token(
        None,
        {
            "grant_type": "authorization_code",
            "code": "{{temp.code}}",
            "redirect_uri": "{{oauth.redirectUri}}",
            "code_verifier": "{{temp.verifier}}",
        },
        {"accessToken": "{{body.access_token}}", "refreshToken": "{{body.refresh_token}}"},
    ),
    "refresh": _token(
        "{{data.refreshToken && data.expires && data.expires < addMinutes(now; 1)}}",
        {"grant_type": "refresh_token", "refresh_token": "{{connection.refreshToken}}"},
        {
            "accessToken": "{{body.access_token}}",
            "refreshToken": "{{ifempty(body.refresh_token; connection.refreshToken)}}",
        },
    ),
}
#: Client credentials: a token is fetched again when the old one ends.
_CLIENT_FLOW: Final = {
    "token": _token(
        "{{!data.accessToken || (data.expires && data.expires < addMinutes(now; 1))}}",
        {"grant_type": "client_credentials", "scope": _SCOPE},
        {"accessToken": "{{body.access_token}}"},
    )
}


def _app(name: str, label: str, connections: dict[str, tuple[str, str, Any, Any]]) -> dict[str, bytes]:
    files: dict[str, Any] = {"base.json": {}}
    components: dict[str, Any] = {}
    for component, (title, kind, params, communication) in connections.items():
        files[f"{component}.json"] = communication
        files[f"{component}.params.json"] = params
        components[component] = {
            "label": title,
            "connectionType": kind,
            "codeFiles": {"communication": f"{component}.json", "params": f"{component}.params.json"},
        }
    files["makecomapp.json"] = {
        "fileVersion": 1,
        "generalCodeFiles": {"base": "base.json"},
        "components": {"connection": components},
        "origins": [{"label": label, "baseUrl": "https://example.com/api", "appId": name, "appVersion": 1}],
    }
    return {path: json.dumps(value).encode() for path, value in files.items()}


_SMTP: Final = [
    {"name": "host", "type": "text", "label": "Mail server", "required": True, "editable": True},
    {"name": "port", "type": "port", "label": "Port", "required": True, "default": 465, "editable": True},
    {
        "name": "security",
        "type": "select",
        "label": "Encryption",
        "required": True,
        "default": "tls",
        "editable": True,
        "options": [
            {"label": "TLS from the start (usually port 465)", "value": "tls"},
            {"label": "STARTTLS (usually port 587)", "value": "starttls"},
            {"label": "None: name, password and mail can be read on the way", "value": "none"},
        ],
    },
    {"name": "username", "type": "text", "label": "User name", "editable": True},
    {"name": "password", "type": "password", "label": "Password", "editable": True},
    {"name": "from", "type": "text", "label": "Sender, when a module names none", "editable": True},
    {"name": "ca", "type": "cert", "label": "Authority of the server's certificate (PEM)", "editable": True},
]

#: Built-in apps that have connections: name -> the app's files.
APPS: Final[dict[str, dict[str, bytes]]] = {
    "http": _app(
        "http",
        "HTTP",
        {
            "basicauth": ("Basic auth", "basic", _BASIC, {}),
            "apikeyauth": ("API key", "basic", _KEY, {}),
            "oauth2": ("OAuth 2.0, authorization code", "oauth", _CODE, _CODE_FLOW),
            "oauth2client": ("OAuth 2.0, client credentials", "oauth", _CLIENT, _CLIENT_FLOW),
            "clientcertauth": ("Client certificate", "basic", _CERTIFICATE, {}),
        },
    ),
    "email": _app("email", "Email", {"smtp": ("SMTP", "basic", _SMTP, {})}),
}
