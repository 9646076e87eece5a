"""
Building a request: a pure function from plan and context to the `HttpRequest` that goes out unchanged.

Source: spec/communication.md sections 7 to 10, 12 (what a page changes) and 23 (gzip).
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from runtime.communication.aws import signer_of
from runtime.communication.body import Body, encode_body
from runtime.communication.headers import Lines, header_lines
from runtime.communication.oauth1 import sign_oauth1
from runtime.communication.plan import Directive, PagePlan, RequestPlan
from runtime.communication.scope import Limits
from runtime.communication.url import Address, build_target, fields_of, flatten, is_absolute, parse_address
from runtime.effects import DigestCredentials, ExchangeLog, HttpRequest
from runtime.errors import DataError, InvalidConfigurationError
from runtime.iml import Environment
from runtime.values import UNDEFINED, to_text

#: Methods whose body is ignored.
BODYLESS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the component run a request stands: its number, page and repetition."""

    number: int = 1
    page: int = 1
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Built:
    """A request, and whether its absolute url leads to another host than Base."""

    request: HttpRequest
    foreign_host: bool = False


def build_request(
    plan: RequestPlan,
    context: Mapping[str, Any],
    environment: Environment,
    *,
    limits: Limits,
    position: Position = Position(),
    component: str = "",
    signing: Mapping[str, Any] | None = None,
) -> Built:
    """
    The request of a plan for this context. From the second page on the `pagination` block takes part. `signing` are
    the keys of an OAuth 1 connection; without them the directive `oauth` has no effect.

    Raises:
        ModuleError: An expression failed, or a value cannot be sent where it stands.
    """
    pages = plan.pages if position.page > 1 else None
    address, foreign = _address(plan, pages, context, environment)
    method = _method(plan, pages, context, environment)
    target, query = _target(plan, pages, address, context, environment, limits)
    lines = header_lines(*_header_layers(plan, pages, context, environment))
    body, body_value, body_type = _body(plan, pages, method, context, environment, limits)
    headers = _complete(lines, body, plan, limits, address)
    if not plan.reject_unauthorized and not limits.allow_insecure_tls:
        raise InvalidConfigurationError("rejectUnauthorized: insecure TLS is not allowed on this installation")
    authority = _text(plan.ca, context, environment)
    request = HttpRequest(
        method=method,
        url=address.origin + target,
        headers=tuple(headers),
        body=body.data if body is not None else None,
        number=position.number,
        timeout=plan.timeout or limits.timeout,
        follow_redirects=plan.follow_redirects,
        follow_all_redirects=plan.follow_all_redirects,
        ca=authority or None,
        verify_tls=plan.reject_unauthorized,
        share_cookies=plan.share_cookies,
        signer=signer_of(plan.aws.evaluate(context, environment)) if plan.aws is not None else None,
        sensitive_headers=_sensitive(plan, headers),
        log=ExchangeLog(
            sanitize=plan.sanitize,
            qs=query,
            body=body_value,
            body_type=body_type,
            component=component,
            page=position.page,
            repeat=position.repeat,
            index=plan.index,
            within=tuple(
                (path, text) for path, inner in plan.within if (text := to_text(inner.evaluate(context, environment)))
            ),
        ),
    )
    if plan.digest is not None:
        request = replace(request, digest=_digest(plan.digest.evaluate(context, environment)))
    if plan.oauth is not None and signing is not None:
        own = fields_of(plan.oauth.evaluate(context, environment), plan.oauth.path)
        request = sign_oauth1(request, {**signing, **own})
    return Built(request, foreign)


def _digest(value: Any) -> DigestCredentials | None:
    if not isinstance(value, dict):
        raise DataError("digest must be a collection of username and password")
    username, password = to_text(value.get("username")), to_text(value.get("password"))
    return DigestCredentials(username, password) if username else None


def _text(directive: Directive | None, context: Mapping[str, Any], environment: Environment) -> str:
    return to_text(directive.evaluate(context, environment)) if directive is not None else ""


def _address(
    plan: RequestPlan, pages: PagePlan | None, context: Mapping[str, Any], environment: Environment
) -> tuple[Address, bool]:
    link = pages is not None and pages.url is not None
    directive = pages.url if pages is not None and pages.url is not None else plan.url
    # Leading and trailing blanks are never part of an address; copied values often have them.
    url = _text(directive, context, environment).strip(" \t")
    absolute = is_absolute(url)
    base = _text(plan.base_url, context, environment) if not absolute else ""
    address = parse_address(url, base, encode=plan.encode_url, link=link)
    foreign = absolute and plan.base_url is not None
    if foreign:
        host = urlsplit(_text(plan.base_url, context, environment).strip()).hostname
        foreign = host is not None and host != urlsplit(address.origin).hostname
    return address, foreign


def _method(plan: RequestPlan, pages: PagePlan | None, context: Mapping[str, Any], environment: Environment) -> str:
    directive = pages.method if pages is not None and pages.method is not None else plan.method
    method = _text(directive, context, environment).strip().upper() or "GET"
    if not (method.isascii() and method.replace("-", "").isalpha() and len(method) <= 20):
        raise InvalidConfigurationError("method: not an HTTP method")
    return method


def _pairs(
    directive: Directive | None, plan: RequestPlan, context: Mapping[str, Any], environment: Environment
) -> list[tuple[str, str]]:
    if directive is None:
        return []
    fields = fields_of(directive.evaluate(context, environment), directive.path)
    return flatten(fields, "a query", indexed=not plan.use_querystring)


def _target(
    plan: RequestPlan,
    pages: PagePlan | None,
    address: Address,
    context: Mapping[str, Any],
    environment: Environment,
    limits: Limits,
) -> tuple[str, tuple[tuple[str, str], ...]]:
    parent = plan.base_qs if pages is not None and not pages.merge_with_parent else plan.qs
    if limits.qs_replaces_url_query and parent is not None and (pages is None or pages.url is None):
        address = Address(address.origin, address.path, (), address.user)
    layers = [_pairs(parent, plan, context, environment)]
    if pages is not None and pages.qs is not None:
        layers.append(_pairs(pages.qs, plan, context, environment))
    # A link to the next page carries its own cursor: its query wins over the original one.
    link = pages is not None and pages.url is not None
    return build_target(address, *layers, url_over_layers=1 if link else 0)


def _header_layers(
    plan: RequestPlan, pages: PagePlan | None, context: Mapping[str, Any], environment: Environment
) -> list[dict[str, Any]]:
    parent = plan.base_headers if pages is not None and not pages.merge_with_parent else plan.headers
    directives = [parent, pages.headers if pages is not None else None]
    return [
        fields_of(directive.evaluate(context, environment), directive.path)
        for directive in directives
        if directive is not None
    ]


def _body(
    plan: RequestPlan,
    pages: PagePlan | None,
    method: str,
    context: Mapping[str, Any],
    environment: Environment,
    limits: Limits,
) -> tuple[Body | None, Any, str]:
    if method in BODYLESS:
        return None, None, ""
    directive = plan.body
    if pages is not None:
        if pages.body is not None:
            directive = pages.body
        elif not pages.merge_with_parent:
            directive = None
    type_name = _text(plan.type, context, environment).strip() or "json"
    value = directive.evaluate(context, environment) if directive is not None else UNDEFINED
    try:
        body = encode_body(value, type_name, limits.max_request_bytes)
    except DataError as error:
        raise DataError(f"{directive.path if directive else 'body'}: {error.message}") from error
    return body, None if value is UNDEFINED else value, type_name


def _complete(lines: Lines, body: Body | None, plan: RequestPlan, limits: Limits, address: Address) -> Lines:
    """The author's headers and the engine's own ones behind them."""
    names = {name.lower() for name, _ in lines}
    headers = lines
    if body is not None and body.forced:
        headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
        names.discard("content-type")
    if "user-agent" not in names:
        headers.append(("User-Agent", limits.user_agent))
    if "accept" not in names:
        headers.append(("Accept", "*/*"))
    if "accept-encoding" not in names:
        headers.append(("Accept-Encoding", "gzip, deflate" if plan.gzip else "identity"))
    if body is not None and body.content_type is not None and "content-type" not in names:
        headers.append(("Content-Type", body.content_type))
    if address.user and "authorization" not in names:
        credentials = unquote(address.user)
        pair = credentials if ":" in credentials else credentials + ":"
        headers.append(("Authorization", "Basic " + base64.b64encode(pair.encode("utf-8")).decode("ascii")))
    return headers


def _sensitive(plan: RequestPlan, headers: Lines) -> frozenset[str]:
    if "*" in plan.sensitive:
        return frozenset(name.lower() for name, _ in headers)
    return plan.sensitive
