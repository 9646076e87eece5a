"""Attach, detach and update of an app's hook: spec/modules.md 5.2."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from modules.webhook import HookDetachedError, HookJob, attach, attachable, detach, update
from runtime.app.specs import CodeFile, WebhookSpec
from runtime.effects import HttpResponse
from runtime.errors import ModuleError, ModuleRuntimeError
from tests.module_apps import app_of
from tests.unit.modules.harness import ENVIRONMENT, Seen, perform_all

URL = "http://g.test/hook/t"
ATTACH = {
    "url": "/hooks",
    "method": "POST",
    "body": {"url": "{{webhook.url}}", "event": "{{parameters.event}}"},
    "response": {"data": {"externalHookId": "{{body.id}}", "token": "{{body.token}}"}},
}
DETACH = {"url": "/hooks/{{webhook.externalHookId}}", "method": "DELETE"}
UPDATE = {"url": "/hooks/{{data.externalHookId}}", "method": "PUT", "body": {"event": "{{parameters.event}}"}}
BASE = {"baseUrl": "http://s.test/v1", "headers": {"authorization": "{{connection.token}} {{common.client}}"}}


def job(attach: Any = None, detach: Any = None, update: Any = None, **rest: Any) -> HookJob:
    roles = {"attach": attach, "detach": detach, "update": update}
    files = {role: CodeFile(role=role, value={} if value is None else value) for role, value in roles.items()}
    files |= {role: CodeFile(role=role, value={}) for role in ("communication", "params", "required_scope")}
    webhook = WebhookSpec(id="hook", label="Hook", type="web", **files)
    app = app_of(base=BASE, common={"client": "c1"})
    given: dict[str, Any] = {"parameters": {"event": "new"}, "connection": {"token": "t1"}, **rest}
    return HookJob(app, webhook, "h1", URL, environment=ENVIRONMENT, **given)


def answer(status: int = 200, body: Any = None) -> HttpResponse:
    text = b"" if body is None else json.dumps(body).encode()
    return HttpResponse(status, (("Content-Type", "application/json"),), text, "http://s.test", timedelta(0))


def sent(seen: Seen) -> list[tuple[str, str, Any]]:
    return [
        (request.method, request.url, json.loads(bytes(request.body)) if isinstance(request.body, bytes) else None)
        for request in seen.requests
    ]


def done(steps: Any, answers: Iterable[HttpResponse] = ()) -> Seen:
    return perform_all(steps, answers)


def test_attach_registers_the_url_and_keeps_what_data_holds() -> None:
    """Base and its authorization apply; id and URL cannot be overwritten."""
    seen = done(attach(job(ATTACH)), [answer(201, {"id": 9, "token": None, "more": 1})])

    assert sent(seen) == [("POST", "http://s.test/v1/hooks", {"url": URL, "event": "new"})]
    assert ("Authorization", "t1 c1") in seen.requests[0].headers
    assert seen.result == {"externalHookId": 9, "token": None}
    stubborn = {**ATTACH, "response": {"data": {"id": "x", "url": "y", "a": "{{webhook.id}}"}}}
    assert done(attach(job(stubborn)), [answer(200, {})]).result == {"a": "h1"}


def test_several_requests_merge_their_data_in_order() -> None:
    """Each may read what the one before has left in `temp`."""
    two = [
        {"url": "/a", "response": {"data": {"a": "{{body.a}}", "deep": {"x": 1}}, "temp": {"key": "{{body.key}}"}}},
        {"url": "/b/{{temp.key}}", "response": {"data": {"b": "{{body.b}}", "deep": {"y": 2}}}},
    ]
    seen = done(attach(job(two)), [answer(200, {"a": 1, "key": "k"}), answer(200, {"b": 2})])

    assert [request.url for request in seen.requests] == ["http://s.test/v1/a", "http://s.test/v1/b/k"]
    assert seen.result == {"a": 1, "b": 2, "deep": {"x": 1, "y": 2}}


@pytest.mark.parametrize("role", [None, {}, [], [{}]])
def test_a_webhook_without_attach_is_registered_by_hand(role: Any) -> None:
    """Nothing is sent at any time."""
    hook = job(role, role, role)

    assert not attachable(hook.webhook)
    assert [done(steps).requests for steps in (attach(hook), detach(hook), update(hook, {}))] == [[], [], []]


def test_a_failing_attach_raises_what_the_app_says() -> None:
    """With the status of the service, or its own text."""
    failing = {**ATTACH, "response": {"error": {"message": "No: {{body.why}}", "type": "InvalidConfigurationError"}}}

    with pytest.raises(ModuleError, match="No: taken") as refused:
        done(attach(job(failing)), [answer(409, {"why": "taken"})])
    assert refused.value.name == "InvalidConfigurationError"
    for data in ("text", ["a"], {"a": "x" * 70_000}):
        with pytest.raises(ModuleRuntimeError, match="data"):
            done(attach(job({**ATTACH, "response": {"data": data}})), [answer(200, {})])


def test_detach_reads_the_stored_data_in_both_spellings() -> None:
    """`webhook.*` and `data.*`; parameters too."""
    for url in (DETACH["url"], "/hooks/{{data.externalHookId}}", "/{{parameters.event}}/{{webhook.externalHookId}}"):
        seen = done(detach(job(ATTACH, {**DETACH, "url": url}, data={"externalHookId": 9})), [answer(204)])
        assert sent(seen)[0][1].endswith("/9")


@pytest.mark.parametrize("status", [404, 410])
def test_a_hook_that_is_gone_counts_as_detached(status: int) -> None:
    """Whatever the app makes of the answer."""
    own = {**DETACH, "response": {"error": {"message": "gone", "404": {"message": "not here", "type": "DataError"}}}}

    for role in (DETACH, own):
        assert done(detach(job(ATTACH, role, data={"externalHookId": 9})), [answer(status)]).result is None
    with pytest.raises(ModuleError):
        done(detach(job(ATTACH, DETACH, data={"externalHookId": 9})), [answer(500)])


def test_update_sends_new_parameters() -> None:
    """Without `response.data` the stored data stay; with it they are merged over."""
    hook = job(ATTACH, DETACH, UPDATE, data={"externalHookId": 9, "token": "t"}, parameters={"event": "changed"})
    more = {**UPDATE, "response": {"data": {"token": "{{body.token}}"}}}

    plain = done(update(hook, {"event": "new"}), [answer(204)])
    merged = done(update(job(ATTACH, DETACH, more, data=hook.data), {}), [answer(200, {"token": "t2"})])

    assert sent(plain) == [("PUT", "http://s.test/v1/hooks/9", {"event": "changed"})]
    assert plain.result == {"externalHookId": 9, "token": "t"}
    assert merged.result == {"externalHookId": 9, "token": "t2"}


def test_without_update_the_hook_is_detached_and_attached_again() -> None:
    """Detach sees the old parameters, attach the new ones."""
    old = {"url": "/{{parameters.event}}/{{webhook.externalHookId}}", "method": "DELETE"}
    hook = job(ATTACH, old, {}, data={"externalHookId": 9}, parameters={"event": "changed"})

    seen = done(update(hook, {"event": "new"}), [answer(404), answer(201, {"id": 10})])

    assert sent(seen) == [
        ("DELETE", "http://s.test/v1/new/9", None),
        ("POST", "http://s.test/v1/hooks", {"url": URL, "event": "changed"}),
    ]
    assert seen.result == {"externalHookId": 10}


def test_what_a_failing_update_leaves() -> None:
    """A refused detach changes nothing; after it a refused attach leaves the hook detached, and says so."""
    hook = job(ATTACH, DETACH, {}, data={"externalHookId": 9})

    with pytest.raises(ModuleError) as kept:
        done(update(hook, {}), [answer(500)])
    with pytest.raises(HookDetachedError, match="detached") as lost:
        done(update(hook, {}), [answer(204), answer(403)])

    assert not isinstance(kept.value, HookDetachedError)
    assert "403" in lost.value.cause.message
