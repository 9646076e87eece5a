"""
Runs one communication: requests of an array in order, pages, repetitions, and the result at the end.

A generator over effects: it yields `HttpRequest`, `Sleep` and `Warn` and does no I/O. The order of steps is
spec/communication.md section 5; each rule's own function stands in the module of its section.
"""

from __future__ import annotations

from typing import Any, Final

from runtime.codec import CodecError, mark, unmark
from runtime.communication.collecting import Collector, Emitter
from runtime.communication.cookies import Cookies
from runtime.communication.failure import find_failure
from runtime.communication.listing import Context, Watcher
from runtime.communication.plan import CONNECTION_KINDS, HOOK_KINDS, Kind, Plan, RequestPlan
from runtime.communication.reading import choose_type, read_body, read_headers
from runtime.communication.request import Position, build_request
from runtime.communication.scope import Limits, Result, Scope
from runtime.communication.temp import merge_temp
from runtime.effects import HttpRequest, HttpResponse, RenewConnection, Sleep, Steps, Warn
from runtime.errors import InvalidConfigurationError, ModuleError
from runtime.values import UNDEFINED, Buffer, is_empty, truthy

#: An RPC fills a form while somebody waits (spec/modules.md 4.4).
RPC_REQUESTS: Final = 10
RPC_RECORDS: Final = 3200
_STORED: Final = ("data", "uid", "metadata", "expires", "scope")


def run_communication(
    plan: Plan, scope: Scope, *, emit: Emitter | None = None, watcher: Watcher | None = None
) -> Steps[Result]:
    """
    Run a compiled communication.

    With `emit` the outputs of a listing go out page by page where its form allows that (the last request, no
    `repeat`, no `wrapper`); `Result.emitted` counts them. A polling trigger passes its `watcher`.

    Raises:
        ModuleError: A request or expression failed, an answer was an error, or the component may not be used.
    """
    if plan.refusal is not None:
        raise InvalidConfigurationError(plan.refusal)
    for warning in plan.warnings:
        yield Warn(warning, "ignored-directive")
    if scope.signing is None and any(request.oauth is not None for request in plan.requests):
        yield Warn("oauth has no effect: the connection is no OAuth 1 connection", "ignored-directive")
    run = _Run(plan, scope, emit, watcher)
    yield from run.requests()
    return run.finish()


class _Run:
    """The state of one component run. Lives as long as its generator."""

    def __init__(self, plan: Plan, scope: Scope, emit: Emitter | None, watcher: Watcher | None) -> None:
        self.plan = plan
        self.environment = scope.environment
        self.limits = _limits(plan, scope)
        self.collector = Collector(plan, scope.environment, self.limits, emit, watcher)
        self.resume = scope.resume
        self.context: Context = {
            "environment": {"timezone": scope.environment.timezone},
            **scope.variables,
            "temp": dict(scope.temp),
        }
        self.connection_version = scope.connection_version
        self.signing = scope.signing
        self.cookies = Cookies() if any(request.share_cookies for request in plan.requests) else None
        self.number = 0
        self.counted = 0
        self.stopped = False
        self.ran = False
        self.executed = False
        self.stored: dict[str, Any] = {}

    # -- requests -----------------------------------------------------------------------------------------------

    def requests(self) -> Steps[None]:
        """Every request of the array, each with its repetitions."""
        first, repeat = 0, 0
        if self.resume:
            first, repeat = int(self.resume["request"]), int(self.resume["repeat"])
            self.number = int(self.resume["number"])
            self.counted = int(self.resume["counted"])
            self.context["temp"] = unmark(self.resume["temp"])
        for request in self.plan.requests[first:]:
            yield from self.repeated(request, repeat)
            repeat = 0
            if self.stopped:
                return

    def repeated(self, request: RequestPlan, repeat: int) -> Steps[None]:
        """One request and its repetitions (section 11)."""
        while True:
            executed = yield from self.cycle(request, repeat)
            plan = request.repeat
            if plan is None or not executed or self.stopped:
                return
            if plan.condition is None or not truthy(plan.condition.evaluate(self.context, self.environment)):
                return
            cap = self.limits.repeat_max
            most = plan.limit if plan.limit is not None and (cap == 0 or plan.limit <= cap) else cap
            if plan.limit is None and cap == 0:
                most = repeat + 1
            if repeat >= most:
                if most == cap and most != plan.limit:
                    yield Warn(f"repeat stopped after {most} repetitions, the most that are allowed", "repeat-limit")
                return
            repeat += 1
            yield Sleep(plan.delay, self._resume(request, repeat))

    def _resume(self, request: RequestPlan, repeat: int) -> dict[str, Any] | None:
        try:
            temp = mark(self.context["temp"], _no_buffers)
        except CodecError:
            # Bytes cannot be parked here: this wait is slept in the thread.
            return None
        return {
            "request": request.index,
            "repeat": repeat,
            "number": self.number,
            "counted": self.counted,
            "temp": temp,
        }

    def cycle(self, request: RequestPlan, repeat: int) -> Steps[bool]:
        """Steps 1 to 12 of section 5. False when the request was skipped by its condition."""
        context, environment = self.context, self.environment
        for temp in request.temps:
            context["temp"] = merge_temp(context["temp"], temp.evaluate(context, environment), temp.path)
        if self.collector.wants_nothing(context):
            self.stopped = True
            return False
        if request.condition is not None and not truthy(request.condition.evaluate(context, environment)):
            if request.default is not None:
                self.collector.skip(request.default.evaluate(context, environment))
            return False
        if request.refusal is not None:
            raise InvalidConfigurationError(request.refusal)
        self.executed = True
        self.collector.begin(request, context)
        if request.url is None:
            context["pagination"] = {"page": 1}
            yield from self.answered(request, None)
            return True
        yield from self.page_loop(request, repeat)
        return True

    def page_loop(self, request: RequestPlan, repeat: int) -> Steps[None]:
        """The first request and its further pages (section 12)."""
        page = 1
        previous: tuple[str, str, object] | None = None
        self.context["pagination"] = {"page": 1}
        while True:
            if repeat == 0 and self.counted >= self.limits.max_requests:
                yield Warn(f"stopped after {self.counted} requests, the most that are allowed", "request-limit")
                self.stopped = True
                return
            self.number += 1
            self.counted += repeat == 0
            sent, response = yield from self.exchange(request, page, repeat)
            if response.status == 401 and self._renews(request):
                yield from self._renew(request)
                self.number += 1
                sent, response = yield from self.exchange(request, page, repeat)
            key = (sent.method, sent.url, sent.body)
            same_request, previous = key == previous, key
            page += 1
            self.context["pagination"] = {"page": page}
            more = yield from self.answered(request, response, same_request=same_request)
            pages = request.pages
            if pages is None or not more:
                return
            condition = pages.condition
            if condition is not None and not truthy(condition.evaluate(self.context, self.environment)):
                return
            if page - 1 > self.limits.max_pagination_requests:
                text = f"paging stopped after {page - 2} further pages, the most that are allowed"
                yield Warn(text, "page-limit")
                return

    def exchange(self, request: RequestPlan, page: int, repeat: int) -> Steps[tuple[HttpRequest, HttpResponse]]:
        """Build the request of a page and send it."""
        built = build_request(
            request,
            self.context,
            self.environment,
            limits=self.limits,
            position=Position(self.number, page, repeat),
            component=self.plan.component,
            signing=self.signing,
        )
        if built.foreign_host and self.plan.kind is Kind.UNIVERSAL:
            yield from self._foreign_host()
        return (yield from self.send(built.request))

    def _renews(self, request: RequestPlan) -> bool:
        """Whether a 401 means an old token here (spec/connections.md 7.8); an app may have declared it otherwise."""
        if self.connection_version is None:
            return False
        keyed = request.response.failures.get(401)
        if keyed is None or keyed.type is None:
            return True
        return keyed.type.evaluate(self.context, self.environment) in ("", UNDEFINED, "InvalidAccessTokenError")

    def _renew(self, request: RequestPlan) -> Steps[None]:
        self.context["connection"] = yield RenewConnection("401", self.connection_version or 0)
        for temp in request.temps:
            # What was made of the old token is made again; the rest, such as a counter, stays as it is.
            if any(reference.root == "connection" for reference in temp.template.references):
                block = temp.evaluate(self.context, self.environment)
                self.context["temp"] = merge_temp(self.context["temp"], block, temp.path)

    def send(self, request: HttpRequest) -> Steps[tuple[HttpRequest, HttpResponse]]:
        """Send one request and read the answer into `body`, `headers` and `statusCode`."""
        if self.cookies is not None and request.share_cookies:
            request = self.cookies.add_to(request)
        self.ran = True
        response: HttpResponse = yield request
        if self.cookies is not None and request.share_cookies:
            self.cookies.read(response.url, response.headers)
        return request, response

    def _foreign_host(self) -> Steps[None]:
        if self.limits.universal_same_host_only:
            raise InvalidConfigurationError("url leads to another host than baseUrl, which this installation forbids")
        yield Warn("the url leads to another host than baseUrl; the connection's data are sent to it", "foreign-host")

    # -- one answer ---------------------------------------------------------------------------------------------

    def answered(
        self, request: RequestPlan, response: HttpResponse | None, *, same_request: bool = False
    ) -> Steps[bool]:
        """Steps 6 to 11 for one answer, or for a request-less request. True when another page may be asked for."""
        context, environment, plan = self.context, self.environment, request.response
        status: int | None = None
        if response is not None:
            status = response.status
            self._read(request, response)
        for temp in plan.temps:
            try:
                context["temp"] = merge_temp(context["temp"], temp.evaluate(context, environment), temp.path)
            except ModuleError:
                # The real error is the answer's; a temp that reads fields of a good answer must not hide it.
                if status is None or status < 400:
                    raise
        failure = find_failure(plan, status, context, environment)
        if failure is not None:
            raise failure
        if self.plan.kind in CONNECTION_KINDS or self.plan.kind in HOOK_KINDS:
            self._store(request)
            return False
        return (yield from self.collector.take(request, context, same_request=same_request))

    def _read(self, request: RequestPlan, response: HttpResponse) -> None:
        context = self.context
        headers = read_headers(response.headers)
        context["headers"] = headers
        context["statusCode"] = response.status
        declared = request.response.type
        declared_type = declared.evaluate(context, self.environment) if declared is not None else None
        type_name = choose_type(declared_type, response.status)
        context["body"] = read_body(response.body, type_name, headers, response.status)

    def _store(self, request: RequestPlan) -> None:
        for name in _STORED:
            directive = getattr(request.response, name)
            if directive is not None:
                value = directive.evaluate(self.context, self.environment)
                before = self.stored.get(name)
                if name == "data" and isinstance(before, dict):
                    # Several requests of an attach add to one collection.
                    value = merge_temp(before, value, directive.path)
                if name == "scope" and before is not None and is_empty(value):
                    # The last request that reports scopes counts (spec/connections.md 7.5).
                    continue
                self.stored[name] = value

    # -- the result ---------------------------------------------------------------------------------------------

    def finish(self) -> Result:
        """The result after the last request (steps 13 and 15)."""
        status = self.context.get("statusCode")
        return Result(
            output=self.collector.result(),
            temp=self.context["temp"],
            status_code=status if isinstance(status, int) else None,
            ran=self.ran,
            executed=self.executed,
            emitted=self.collector.emitted,
            **{name: self.stored.get(name, UNDEFINED) for name in _STORED},
        )


def _limits(plan: Plan, scope: Scope) -> Limits:
    limits = scope.limits.with_common(scope.variables.get("common"))
    if plan.kind is Kind.RPC:
        return limits.evolve(
            max_requests=min(limits.max_requests, RPC_REQUESTS),
            max_pagination_requests=min(limits.max_pagination_requests, RPC_REQUESTS),
            max_records=min(limits.max_records, RPC_RECORDS),
        )
    return limits


def _no_buffers(buffer: Buffer) -> str:
    raise CodecError(f"{len(buffer)} bytes cannot be parked")
