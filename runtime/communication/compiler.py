"""
From the JSON of a communication file to a `Plan`: Base merged, directives of the wrong kind left out, IML compiled.

Compiling raises nothing for a wrong file: bad IML fails where it is evaluated, a component that may not be used
carries its `refusal` (spec/communication.md 2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

from runtime.communication.merge import Json, merge_base
from runtime.communication.plan import (
    CONNECTION_KINDS,
    HOOK_KINDS,
    LISTING_KINDS,
    Directive,
    FailurePlan,
    Kind,
    PagePlan,
    Plan,
    RepeatPlan,
    RequestPlan,
    ResponsePlan,
    TriggerPlan,
)
from runtime.communication.scope import timeout_of, whole_number
from runtime.iml import Place, compile_document, compile_path

#: Kinds without the directive `digest`: their requests do not use an account of the service.
_NO_DIGEST: Final = frozenset({Kind.OAUTH1, Kind.OAUTH2})
_WITHIN: Final = re.compile(r"\A([^<]*)<(.+)>\Z", re.DOTALL)

_PAGED: Final = LISTING_KINDS
_ITERATED: Final = LISTING_KINDS | {Kind.ACTION, Kind.UNIVERSAL}
_OUTPUT: Final = frozenset(Kind) - CONNECTION_KINDS - HOOK_KINDS - {Kind.RESPONDER}
_WRAPPED: Final = _OUTPUT - {Kind.EPOCH}
_REPEATED: Final = frozenset(Kind) - CONNECTION_KINDS - {Kind.RESPONDER}
_STORING: Final = CONNECTION_KINDS | HOOK_KINDS
#: Directive -> kinds that have it; in other kinds it is ignored with a warning (spec/communication.md 2).
_RESPONSE_KINDS: Final[dict[str, frozenset[Kind]]] = {
    "iterate": _ITERATED,
    "output": _OUTPUT,
    "limit": LISTING_KINDS,
    "wrapper": _WRAPPED,
    "trigger": frozenset({Kind.TRIGGER, Kind.EPOCH}),
    "data": _STORING,
    "uid": _STORING,
    "metadata": _STORING,
    "expires": _STORING,
    "scope": _STORING,
}


def compile_communication(document: Any, *, base: Any = None, kind: Kind, component: str) -> Plan:
    """
    The plan of a communication: one request spec or a list of them, over the Base of the app.

    Connections pass no `base`. The plan holds nothing of a run; keep it for the content hash that it was made from.
    """
    items = document if isinstance(document, list) else [document]
    requests = [item if isinstance(item, dict) else {} for item in items if item is not None]
    parent = base if isinstance(base, dict) and kind not in CONNECTION_KINDS and kind is not Kind.RESPONDER else {}
    warnings: list[str] = []
    compiler = _Compiler(parent, kind, component, many=len(requests) > 1, warnings=warnings)
    plans = tuple(compiler.request(request, index) for index, request in enumerate(requests))
    return Plan(component, kind, plans, tuple(dict.fromkeys(warnings)), _refusal(requests, kind))


def _refusal(requests: list[Json], kind: Kind) -> str | None:
    if kind is Kind.CONNECTION and len(requests) > 1:
        return f"a basic connection can perform only a single request (found {len(requests)})"
    if kind in CONNECTION_KINDS and any(request.get("aws") is not None for request in requests):
        return "aws is not available in a connection"
    if kind is Kind.INSTANT and len(requests) > 1:
        return f"an instant trigger can perform only a single request (found {len(requests)})"
    if kind is Kind.TRIGGER and not any(_part(request, "response").get("trigger") for request in requests):
        return "a polling trigger needs response.trigger"
    if any("endpoint" in request for request in requests):
        return "Endpoints are not supported yet."
    return None


def _request_refusal(request: Json) -> str | None:
    if request.get("aws") and request.get("oauth"):
        return "a request can be signed with aws or with oauth, not with both"
    return None


def sensitive_headers(paths: Iterable[str]) -> frozenset[str]:
    """Lower-case names of the request headers that paths of `sanitize` name; `*` when one names all of them."""
    names: set[str] = set()
    for path in paths:
        plain = path.replace("`", "").lower()
        if plain in ("request", "request.headers"):
            names.add("*")
        elif plain.startswith("request.headers."):
            names.add(plain.removeprefix("request.headers.").split("[")[0])
    return frozenset(names)


def _part(request: Json, key: str) -> Json:
    value = request.get(key)
    return value if isinstance(value, dict) else {}


def _flag(parts: Iterable[Json], names: tuple[str, ...], default: bool) -> bool:
    """
    A static switch of the first part that gives it in any of its spellings: the request, then Base. IML is not
    evaluated here.
    """
    for part in parts:
        for name in names:
            value = part.get(name)
            if isinstance(value, bool):
                return value
    return default


class _Compiler:
    def __init__(self, base: Json, kind: Kind, component: str, *, many: bool, warnings: list[str]) -> None:
        self._base = base
        self._kind = kind
        self._component = component
        self._many = many
        self._warnings = warnings
        self._prefix = ""
        self._pointer = ""

    def _directive(self, source: Any, path: str) -> Directive | None:
        """None for a directive that is absent or null."""
        return None if source is None else self._compiled(source, path)

    def _compiled(self, source: Any, path: str) -> Directive:
        place = Place(component=self._component, pointer=self._pointer + "/" + path.replace(".", "/"))
        return Directive(compile_document(source, place=place), self._prefix + path)

    def _path(self, source: Any, path: str) -> Directive | None:
        """As `_directive`, but a text without `{{` is an expression too."""
        if isinstance(source, str) and "{{" not in source:
            if not source.strip():
                return None
            place = Place(component=self._component, pointer=self._pointer + "/" + path.replace(".", "/"))
            return Directive(compile_path(source, place=place), self._prefix + path)
        return self._directive(source, path)

    def request(self, request: Json, index: int) -> RequestPlan:
        self._prefix = f"[{index + 1}]." if self._many else ""
        self._pointer = f"/{index}" if self._many else ""
        kind, base = self._kind, self._base
        merged = merge_base(base, request) if base else request
        if not request and kind in (Kind.INSTANT, *CONNECTION_KINDS):
            merged = {}
        self._warn_ignored(request)
        condition, default = self._condition(merged.get("condition"))
        sanitize, within = self._sanitize(merged.get("log"))
        url = request.get("url")
        parts = (request, base)
        return RequestPlan(
            index=index,
            temps=self._temps(base, request, "temp"),
            condition=condition,
            default=default,
            base_url=self._directive(base.get("baseUrl"), "baseUrl"),
            url=self._directive(url, "url") if url != "" else None,
            method=self._directive(merged.get("method"), "method"),
            headers=self._directive(merged.get("headers"), "headers"),
            qs=self._directive(merged.get("qs"), "qs"),
            body=self._directive(merged.get("body"), "body"),
            type=self._directive(merged.get("type"), "type"),
            ca=self._directive(merged.get("ca"), "ca"),
            oauth=self._directive(merged.get("oauth") or None, "oauth"),
            digest=self._directive(merged.get("digest") or None, "digest") if kind not in _NO_DIGEST else None,
            aws=self._directive(merged.get("aws") or None, "aws"),
            base_headers=self._directive(base.get("headers"), "headers"),
            base_qs=self._directive(base.get("qs"), "qs"),
            encode_url=_flag(parts, ("encodeUrl",), True),
            use_querystring=_flag(parts, ("useQuerystring",), True),
            gzip=_flag(parts, ("gzip",), False),
            follow_redirects=_flag(parts, ("followRedirect", "followRedirects"), True),
            follow_all_redirects=_flag(parts, ("followAllRedirect", "followAllRedirects"), True),
            share_cookies=_flag(parts, ("shareCookies",), False),
            reject_unauthorized=_flag(parts, ("rejectUnauthorized",), True),
            timeout=timeout_of(merged.get("timeout")),
            sanitize=sanitize,
            within=within,
            sensitive=sensitive_headers(sanitize or ()),
            repeat=self._repeat(request.get("repeat")),
            pages=self._pages(merged.get("pagination")),
            response=self._response(_part(merged, "response"), request),
            refusal=_request_refusal(merged),
        )

    def _warn_ignored(self, request: Json) -> None:
        ignored: list[str] = []
        if request.get("pagination") is not None and self._kind not in _PAGED:
            ignored.append("pagination")
        if request.get("repeat") is not None and self._kind not in _REPEATED:
            ignored.append("repeat")
        if request.get("digest") and self._kind in _NO_DIGEST:
            ignored.append("digest")
        response = _part(request, "response")
        for name, kinds in _RESPONSE_KINDS.items():
            if response.get(name) is not None and self._kind not in kinds:
                ignored.append(f"response.{name}")
        if response.get("oauth") is not None:
            ignored.append("response.oauth")
        kind = "a basic connection" if self._kind is Kind.CONNECTION else f"a component of the kind {self._kind.value}"
        self._warnings.extend(f"{self._prefix}{name} has no effect in {kind} and is ignored" for name in ignored)

    def _temps(self, base: Json, own: Json, path: str) -> tuple[Directive, ...]:
        parts = [self._directive(part.get("temp"), path) for part in (base, own)]
        return tuple(part for part in parts if part is not None)

    def _condition(self, source: Any) -> tuple[Directive | None, Directive | None]:
        if isinstance(source, dict):
            default = self._directive(source.get("default"), "condition.default")
            return self._directive(source.get("condition"), "condition.condition"), default
        return self._directive(source, "condition"), None

    def _sanitize(self, log: Any) -> tuple[tuple[str, ...] | None, tuple[tuple[str, Directive], ...]]:
        paths = log.get("sanitize") if isinstance(log, dict) else None
        if not isinstance(paths, list):
            return None, ()
        plain: list[str] = []
        within: list[tuple[str, Directive]] = []
        for path in paths:
            if not isinstance(path, str):
                continue
            match = _WITHIN.match(path.strip())
            inner = self._path(match[2], "log.sanitize") if match else None
            if match and inner is not None:
                within.append((match[1], inner))
            else:
                plain.append(path.strip())
        return tuple(plain), tuple(within)

    def _repeat(self, source: Any) -> RepeatPlan | None:
        if not isinstance(source, dict) or self._kind not in _REPEATED:
            return None
        delay = whole_number(source.get("delay")) or 0
        condition = self._directive(source.get("condition"), "repeat.condition")
        return RepeatPlan(condition, timedelta(milliseconds=max(delay, 0)), whole_number(source.get("limit")))

    def _pages(self, source: Any) -> PagePlan | None:
        if not isinstance(source, dict) or self._kind not in _PAGED:
            return None
        return PagePlan(
            merge_with_parent=_flag((source,), ("mergeWithParent",), True),
            url=self._directive(source.get("url"), "pagination.url") if source.get("url") != "" else None,
            method=self._directive(source.get("method"), "pagination.method"),
            headers=self._directive(source.get("headers"), "pagination.headers"),
            qs=self._directive(source.get("qs"), "pagination.qs"),
            body=self._directive(source.get("body"), "pagination.body"),
            condition=self._directive(source.get("condition"), "pagination.condition"),
        )

    def _failure(self, source: Any, path: str) -> FailurePlan:
        if not isinstance(source, dict):
            return FailurePlan(message=self._directive(source, path))
        message = self._directive(source.get("message"), path + ".message")
        return FailurePlan(message, self._directive(source.get("type"), path + ".type"))

    def _response(self, response: Json, request: Json) -> ResponsePlan:
        kept = {
            key: value for key, value in response.items() if self._kind in _RESPONSE_KINDS.get(key, frozenset(Kind))
        }
        valid, valid_failure = kept.get("valid"), FailurePlan()
        valid_path = "response.valid"
        if isinstance(valid, dict):
            valid_failure = self._failure(valid, valid_path)
            valid, valid_path = valid.get("condition"), valid_path + ".condition"
        error = kept.get("error")
        iterate, item_condition = kept.get("iterate"), None
        container_path = "response.iterate"
        iterates = iterate is not None and iterate != ""
        if isinstance(iterate, dict):
            item_condition = self._directive(iterate.get("condition"), container_path + ".condition")
            iterate, container_path = iterate.get("container"), container_path + ".container"
        base_response = _part(self._base, "response") if request or self._kind is not Kind.INSTANT else {}
        return ResponsePlan(
            type=self._directive(kept.get("type"), "response.type"),
            temps=self._temps(base_response, _part(request, "response"), "response.temp"),
            valid=self._directive(valid, valid_path),
            valid_failure=valid_failure,
            failure=self._failure(error, "response.error"),
            failures=self._failures(error),
            limit=self._directive(kept.get("limit"), "response.limit"),
            iterates=iterates,
            container=self._path(iterate, container_path),
            item_condition=item_condition,
            # A written `null` is a value here: this request gives nothing.
            output=self._compiled(kept["output"], "response.output") if "output" in kept else None,
            wrapper=self._directive(kept.get("wrapper"), "response.wrapper"),
            trigger=self._trigger(kept.get("trigger")),
            **{
                key: self._directive(kept.get(key), f"response.{key}")
                for key in ("data", "uid", "metadata", "expires", "scope")
            },
        )

    def _failures(self, error: Any) -> dict[int, FailurePlan]:
        if not isinstance(error, dict):
            return {}
        return {
            int(key): self._failure(value, f"response.error.{key}")
            for key, value in error.items()
            if len(key) == 3 and key.isascii() and key.isdigit()
        }

    def _trigger(self, source: Any) -> TriggerPlan | None:
        if not isinstance(source, dict):
            return None
        parts = (self._directive(source.get(key), f"response.trigger.{key}") for key in ("type", "order", "id", "date"))
        return TriggerPlan(*parts)
