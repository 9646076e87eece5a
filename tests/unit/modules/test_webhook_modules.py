"""Instant triggers, responders and the app `gateway`: spec/modules.md 1.7, 1.9, spec/scenarios.md 4.6."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from modules import MODULE_TYPES
from modules.builtin import BUILTIN_MODULES
from modules.builtin.job import BuiltinJob
from runtime.effects import Effect, Emit, HttpRequest, HttpResponse, Recall, Remember, Steps, Warn, drive
from runtime.errors import BundleValidationError, InvalidConfigurationError, ModuleError, ModuleRuntimeError
from runtime.values import Buffer
from tests.unit.modules.harness import ENVIRONMENT, job_of


@dataclass
class Hooked:
    """A run that a webhook has started, and what its module did."""

    event: Any = None
    caller: str = "none"
    answers: list[HttpResponse] = field(default_factory=list)
    requests: list[HttpRequest] = field(default_factory=list)
    bundles: list[Any] = field(default_factory=list)
    remembered: list[Any] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def drive(self, steps: Steps[None]) -> Hooked:
        def perform(effect: Effect) -> Any:
            match effect:
                case HttpRequest():
                    self.requests.append(effect)
                    return self.answers.pop(0)
                case Emit(bundles):
                    self.bundles += bundles
                case Recall(kind="event"):
                    return self.event
                case Recall(kind="hook"):
                    return self.event and self.event["webhook"]
                case Recall(kind="caller"):
                    return self.caller
                case Remember(kind="answer", value=value):
                    self.remembered.append(value)
                case Warn(message):
                    self.warnings.append(message)
                case _:
                    raise AssertionError(effect)
            return None

        drive(steps, perform)
        return self


def event(payload: Any) -> dict[str, Any]:
    return {
        "payload": payload,
        "webhook": {"id": "h1", "url": "http://g.test/hook/t", "externalHookId": "x9"},
        "parameters": {"form": "f1", "both": "hook"},
    }


def json_answer(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(status, (("Content-Type", "application/json"),), body, "http://s.test", timedelta(0))


def instant(communication: Any, payload: Any = None, answers: Any = (), **rest: Any) -> Hooked:
    given = event({"id": 7, "name": "Ann"} if payload is None else payload)
    return Hooked(given, answers=list(answers)).drive(
        MODULE_TYPES["instant_trigger"](job_of("instant_trigger", communication, **rest))
    )


@pytest.mark.parametrize(
    "communication",
    [
        pytest.param({}, id="empty"),
        pytest.param(None, id="none"),
        pytest.param([], id="empty list"),
        pytest.param({"response": {"temp": {"a": 1}}}, id="says nothing"),
        pytest.param({"condition": False, "url": "/x"}, id="condition false"),
        pytest.param({"condition": "{{payload.id = 8}}", "response": {"output": {"a": 1}}}, id="condition, output"),
    ],
)
def test_the_item_is_the_bundle(communication: Any) -> None:
    """Without a communication, or where its condition does not hold, nothing is sent and nothing is changed."""
    run = instant(communication)

    assert (run.bundles, run.requests) == ([{"id": 7, "name": "Ann"}], [])


def test_a_communication_of_an_output_alone_reshapes_the_item() -> None:
    """No request; the hook's stored data and parameters are visible, the module's own parameters win."""
    output = {
        "who": "{{payload.name}}",
        "hook": "{{webhook.externalHookId}} {{webhook.id}} {{webhook.url}}",
        "form": "{{parameters.form}}",
        "both": "{{parameters.both}}",
        "interface": "{{length(metadata.interface)}}",
    }
    run = instant({"response": {"output": output}}, parameters={"both": "module"}, interface=[{"name": "who"}])

    assert run.requests == []
    assert run.bundles == [
        {"who": "Ann", "hook": "x9 h1 http://g.test/hook/t", "form": "f1", "both": "module", "interface": 1}
    ]


def test_a_communication_fetches_more() -> None:
    """One request with the item in scope, the app's base and the connection; its output is the bundle."""
    run = instant(
        {"url": "/people/{{payload.id}}", "response": {"output": {"mail": "{{body.mail}}", "id": "{{payload.id}}"}}},
        answers=[json_answer(b'{"mail": "a@b.c"}')],
        base={"baseUrl": "http://s.test", "headers": {"authorization": "{{connection.token}}"}},
        connection={"token": "t1"},
    )
    plain = instant({"url": "/x"}, answers=[json_answer(b'{"a": 1}')])
    nothing = instant({"url": "/x", "response": {"output": "{{body.b}}"}}, answers=[json_answer(b'{"a": 1}')])

    assert run.requests[0].url == "http://s.test/people/7"
    assert ("Authorization", "t1") in run.requests[0].headers
    assert run.bundles == [{"mail": "a@b.c", "id": 7}]
    assert plain.bundles == [{"a": 1}]
    assert nothing.bundles == [{}]


def test_a_condition_may_have_a_default() -> None:
    """It takes the place of the item."""
    communication = {"url": "/x", "condition": {"condition": False, "default": {"skipped": "{{payload.id}}"}}}

    assert instant(communication).bundles == [{"skipped": 7}]


def test_a_scalar_item_can_be_fetched_by_and_is_no_bundle() -> None:
    """The texts are those of an action."""
    fetched = instant({"url": "/people/{{payload}}"}, payload="p1", answers=[json_answer(b'{"a": 1}')])

    assert (fetched.requests[0].url, fetched.bundles) == ("http://s.test/people/p1", [{"a": 1}])
    for payload, found in (("p1", "String"), ([{}], "Array"), (Buffer(b"x"), "Buffer")):
        with pytest.raises(ModuleRuntimeError, match=f"Expected Object, but found {found}"):
            instant({}, payload=payload)
    with pytest.raises(ModuleRuntimeError, match="Expected Object, but found Array"):
        instant({"response": {"output": [1]}})


def test_what_an_instant_trigger_refuses() -> None:
    """No event, several requests, and errors of the service."""
    with pytest.raises(ModuleRuntimeError, match="--trigger-bundle"):
        Hooked().drive(MODULE_TYPES["instant_trigger"](job_of("instant_trigger", {})))
    with pytest.raises(InvalidConfigurationError, match="single request"):
        instant([{"url": "/a"}, {"url": "/b"}])
    with pytest.raises(ModuleError, match="404"):
        instant({"url": "/x"}, answers=[json_answer(b"{}", 404)])


def test_pages_and_iterate_are_ignored_in_an_instant_trigger() -> None:
    """They are directives of other types."""
    communication = {
        "url": "/x",
        "pagination": {"qs": {"page": 2}},
        "response": {"iterate": "{{body.rows}}", "output": {"n": "{{length(body.rows)}}"}},
    }
    run = instant(communication, answers=[json_answer(b'{"rows": [1, 2]}')])

    assert (run.bundles, len(run.requests)) == ([{"n": 2}], 1)
    assert len(run.warnings) == 2


def respond(communication: Any, caller: str = "waiting", **rest: Any) -> Hooked:
    return Hooked(event({}), caller).drive(MODULE_TYPES["responder"](job_of("responder", communication, **rest)))


def test_a_responder_answers() -> None:
    """Status, headers, body and type by the rules of every answer; one empty bundle goes on."""
    communication = {
        "response": {
            "status": "{{parameters.code}}",
            "headers": {"X-Hook": "{{webhook.externalHookId}}"},
            "body": {"ok": True, "who": "{{parameters.who}}"},
        }
    }
    run = respond(communication, parameters={"code": 201, "who": "Ann"})

    assert run.bundles == [{}]
    assert run.remembered == [
        {
            "status": 201,
            "headers": [["content-type", "application/json; charset=utf-8"], ["x-hook", "x9"]],
            "body": '{"ok":true,"who":"Ann"}',
        }
    ]
    assert respond({}).remembered == [{"status": 200, "headers": [], "body": ""}]


@pytest.mark.parametrize(("caller", "warning"), [("none", "No webhook"), ("answered", "already")])
def test_a_responder_without_a_caller_only_says_so(caller: str, warning: str) -> None:
    """Its expressions are not evaluated."""
    run = respond({"response": {"body": "{{nothing(}}"}}, caller)

    assert (run.bundles, run.remembered) == ([{}], [])
    assert warning in run.warnings[0]


def test_a_responder_that_cannot_answer_fails() -> None:
    """The run says what is wrong."""
    with pytest.raises(ModuleRuntimeError, match="status"):
        respond({"response": {"status": 5}})


def builtin(name: str, config: dict[str, Any], hooked: Hooked) -> Hooked:
    run = BUILTIN_MODULES[name].run
    assert run is not None
    return hooked.drive(run(BuiltinJob(config, ENVIRONMENT)))


def test_a_custom_webhook_hands_out_its_event() -> None:
    """As it was received."""
    assert builtin("gateway:CustomWebHook", {}, Hooked(event({"a": [1]}))).bundles == [{"a": [1]}]
    with pytest.raises(ModuleRuntimeError, match="--trigger-bundle"):
        builtin("gateway:CustomWebHook", {}, Hooked())


@pytest.mark.parametrize(
    ("config", "answer"),
    [
        pytest.param(
            {"status": 200, "body": {"a": 1}},
            {"status": 200, "headers": [["content-type", "application/json; charset=utf-8"]], "body": '{"a":1}'},
            id="collection",
        ),
        pytest.param(
            {"status": 202, "body": "<b>", "headers": [{"key": "Content-Type", "value": "text/html"}]},
            {"status": 202, "headers": [["content-type", "text/html"]], "body": "<b>"},
            id="text with its type",
        ),
        pytest.param(
            {"status": 200, "headers": [{"name": "Set-Cookie", "value": "a=1"}, {"key": "Set-Cookie", "value": "b=2"}]},
            {"status": 200, "headers": [["set-cookie", "a=1"], ["set-cookie", "b=2"]], "body": ""},
            id="headers twice, name for key",
        ),
        pytest.param(
            {"status": 200, "body": Buffer(b"\xff")},
            {"status": 200, "headers": [["content-type", "application/octet-stream"]], "body": Buffer(b"\xff")},
            id="bytes",
        ),
    ],
)
def test_webhook_respond_answers(config: dict[str, Any], answer: Any) -> None:
    """The first answer counts; where nobody waits nothing happens."""
    waiting = builtin("gateway:WebhookRespond", config, Hooked(caller="waiting"))
    answered = builtin("gateway:WebhookRespond", config, Hooked(caller="answered"))
    nobody = builtin("gateway:WebhookRespond", config, Hooked())

    assert (waiting.remembered, waiting.bundles) == ([answer], [{}])
    assert (answered.remembered, len(answered.warnings), answered.bundles) == ([], 1, [{}])
    assert (nobody.remembered, nobody.warnings, nobody.bundles) == ([], [], [{}])


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({"status": 99}, id="status"),
        pytest.param({"status": 200, "headers": [{"key": "a", "value": "1"}] * 17}, id="headers"),
        pytest.param({"status": 200, "headers": [{"key": "", "value": "1"}]}, id="no name"),
        pytest.param({"status": 200, "headers": [{"key": "a", "value": "x" * 5000}]}, id="long value"),
        pytest.param({"status": 200, "headers": [{"key": "a\n", "value": "x\r\ny: z"}]}, id="split"),
        pytest.param({"status": 200, "headers": ["a: b"]}, id="no entry"),
    ],
)
def test_webhook_respond_refuses(config: dict[str, Any]) -> None:
    """Before it looks for a caller: the mistake shows in the first trial run."""
    with pytest.raises(BundleValidationError):
        builtin("gateway:WebhookRespond", config, Hooked())
