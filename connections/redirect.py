"""
The way over the browser: what is kept while a person is at the provider's page, and what the callback brings back.

Source: spec/connections.md sections 7.2 to 7.4.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from connections.job import ConnectionJob
from connections.phases import Flow, kind_of, phase_plan
from connections.values import long_texts, telling_texts
from runtime.codec import blob_hash, mark, parse_json, unmark
from runtime.communication import Redirected, read_callback
from runtime.communication.parts import callback_message
from runtime.effects import Conceal, Steps
from runtime.errors import InvalidAccessTokenError, ModuleError, ModuleRuntimeError
from runtime.values import Buffer, to_text

#: How long a person may take at the provider's page.
PENDING_TIME: Final = timedelta(minutes=15)
#: An author's own `state` may be guessed below this length, and is replaced.
SHORTEST_STATE: Final = 22
#: Longest text of a provider in a message.
MAX_WORDS: Final = 500
_ERROR: Final = ("error", "error_description", "error_uri")


@dataclass(frozen=True, slots=True)
class Pending:
    """
    A flow that waits for its callback; stored encrypted under `key`, for one use. `store` and `temp` hold values of the
    value model.
    """

    key: str = field(repr=False)
    redirect_uri: str
    store: dict[str, Any] = field(repr=False)
    temp: dict[str, Any] = field(repr=False)
    parameters: dict[str, Any] = field(repr=False)
    scope: tuple[str, ...] = ()
    #: `oauth.state` of the flow.
    state: str = field(default="", repr=False)
    #: `oauth_token` of the address (OAuth 1), which the callback has to bring back.
    token: str = field(default="", repr=False)

    def to_bytes(self, **more: Any) -> bytes:
        """All of it as JSON text, with what the caller wants to find again."""
        blobs: dict[str, str] = {}

        def keep(buffer: Buffer) -> str:
            digest = blob_hash(buffer)
            blobs[digest] = base64.b64encode(buffer.data).decode("ascii")
            return digest

        values = mark({"store": self.store, "temp": self.temp, "parameters": self.parameters}, keep)
        fields = {"key": self.key, "uri": self.redirect_uri, "scope": list(self.scope)}
        fields |= {"state": self.state, "token": self.token}
        return json.dumps({"v": 1, "values": values, "blobs": blobs, **fields, "more": more}).encode("ascii")

    @classmethod
    def from_bytes(cls, text: bytes) -> tuple[Pending, dict[str, Any]]:
        """What `to_bytes` wrote, and what the caller has added."""
        data = parse_json(text)
        values = unmark(data["values"], lambda digest, _size: base64.b64decode(data["blobs"][digest]))
        pending = cls(
            data["key"], data["uri"], values["store"], values["temp"], values["parameters"],
            tuple(data["scope"]), data["state"], data["token"],
        )  # fmt: skip
        return pending, data["more"]


@dataclass(frozen=True, slots=True)
class Redirect:
    """The page that a person has to visit, and what to keep until the callback."""

    url: str = field(repr=False)
    pending: Pending


def new_state() -> str:
    """A random `state` of 128 bits and more."""
    return secrets.token_urlsafe(24)


def redirect_of(job: ConnectionJob, flow: Flow, address: Redirected) -> Steps[Redirect]:
    """
    The redirect to an address. OAuth 2: the state is added where the author has set none that nobody can guess. OAuth 1
    has no state; there the request token tells one flow from another.
    """
    token = next((value for name, value in address.query if name == "oauth_token"), "")
    url, state = address.url, token
    if not (token and kind_of(job.spec) == "oauth1"):
        state = next((value for name, value in address.query if name == "state"), "")
        if len(state) < SHORTEST_STATE:
            state = job.oauth_state or new_state()
            url = with_query(url, "state", state)
    yield Conceal(frozenset({state, *telling_texts(address.temp)}))
    pending = Pending(
        state, job.redirect_uri, flow.store, address.temp, job.inputs(), job.scope, job.oauth_state, token
    )
    return Redirect(url, pending)


def with_query(url: str, name: str, value: str) -> str:
    """An address with one parameter of its query set."""
    head, question, query = url.partition("?")
    kept = [piece for piece in query.split("&") if question and piece and piece.partition("=")[0] != name]
    return head + "?" + "&".join([*kept, f"{name}={quote(value, safe='')}"])


def taken_callback(flow: Flow) -> Steps[None]:
    """
    The callback's part of `authorize`.

    Raises:
        InvalidAccessTokenError: The provider has refused: `<error>: <description>`, and what the app says about it.
        ModuleError: `valid` does not hold, or an expression failed.
    """
    query = flow.query or {}
    given = {text for name in query if name not in _ERROR for text in long_texts(query[name])}
    # What was made before the redirect may have been made by another process.
    yield Conceal(frozenset(given | set(telling_texts(flow.temp))))
    plan = phase_plan(flow.job, "authorize")
    if "denied" in query and "error" not in query:
        # The usual way of OAuth 1 providers to say so.
        query = {**query, "error": "access_denied"}
    if query.get("error"):
        words = [to_text(query[name]) for name in _ERROR[:2] if query.get(name)]
        own = ""
        if plan is not None:
            try:
                own = callback_message(plan, flow.surroundings())
            except ModuleError as error:
                own = error.message
        raise InvalidAccessTokenError(": ".join(words)[:MAX_WORDS] + (f" ({own[:MAX_WORDS]})" if own else ""))
    if plan is not None:
        result = yield from read_callback(plan, flow.surroundings())
        yield from flow.take(result)


def key_of(query: Mapping[str, str]) -> str:
    """What tells which flow a callback belongs to: `state`, or the request token of OAuth 1; "" when there is none."""
    return next((query[name] for name in ("state", "oauth_token", "denied") if query.get(name)), "")


def query_of(url: str, body: str = "") -> dict[str, str]:
    """
    The parameters that a callback brought in its address and form; of a repeated name, the last.

    Raises:
        ModuleRuntimeError: The address cannot be read.
    """
    try:
        query = urlsplit(url.strip()).query
    except ValueError:
        raise ModuleRuntimeError("The address that the provider sent the browser to cannot be read.") from None
    return dict(parse_qsl(query, keep_blank_values=True)) | dict(parse_qsl(body, keep_blank_values=True))


def resumed(job: ConnectionJob, pending: Pending) -> ConnectionJob:
    """The job of the second half: with the address, scopes and inputs of the first."""
    return replace(
        job,
        parameters=pending.parameters,
        redirect_uri=pending.redirect_uri,
        scope=pending.scope,
        oauth_state=pending.state,
    )
