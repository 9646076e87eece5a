"""Webhooks of apps over incoming requests: spec/modules.md 5.3 to 5.5."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from runtime.app.specs import CodeFile, WebhookSpec
from runtime.iml import Environment
from runtime.values import Buffer
from runtime.webhooks import ACCEPTED, Answer, HookScope, Incoming, Verdict, compile_receiving, receiving

ENVIRONMENT = Environment(now=datetime(2024, 5, 1, 12, tzinfo=UTC))
JSON = (("content-type", "application/json"),)
HOOK = HookScope(
    "h1", "http://x.test/hook/t", {"form": "f1"}, {"secret": "s3", "id": "mine"}, {"token": "t"}, {"key": "k"}
)


def spec(communication: Any, *, shared: bool = False, **files: Any) -> WebhookSpec:
    roles = ("communication", "params", "attach", "detach", "update", "required_scope")
    code = {role: CodeFile(role=role, value=files.get(role, {})) for role in roles}
    code["communication"] = CodeFile(role="communication", value=communication)
    return WebhookSpec(id="hook", label="Hook", type="web-shared" if shared else "web", **code)


def call(body: bytes = b"{}", *, method: str = "POST", query: str = "", headers: Any = JSON) -> Incoming:
    return Incoming(method, query, headers, body, "127.0.0.1")


def received(communication: Any, incoming: Incoming | None = None) -> Verdict:
    return receiving.receive(compile_receiving(spec(communication)), incoming or call(), HOOK, ENVIRONMENT)


@pytest.mark.parametrize(
    ("communication", "items"),
    [
        pytest.param({}, [{"id": 1, "rows": [{"n": 1}, {"n": 2}]}], id="the body is the item"),
        pytest.param({"output": "{{body.rows}}"}, [[{"n": 1}, {"n": 2}]], id="output"),
        pytest.param({"iterate": "{{body.rows}}"}, [{"n": 1}, {"n": 2}], id="iterate"),
        pytest.param({"iterate": "body.rows", "output": {"v": "{{item.n}}"}}, [{"v": 1}, {"v": 2}], id="path, output"),
        pytest.param(
            {"iterate": {"container": "{{body.rows}}", "condition": "{{item.n > 1}}"}}, [{"n": 2}], id="item condition"
        ),
        pytest.param({"iterate": "{{body.id}}", "output": {"v": "{{item}}"}}, [{"v": 1}], id="one value is one item"),
        pytest.param({"iterate": "{{body.missing}}"}, [], id="empty container"),
        pytest.param({"output": "{{body.missing}}"}, [], id="empty output"),
        pytest.param({"output": None}, [], id="null output"),
        pytest.param({"condition": "{{body.id = 2}}"}, [], id="condition"),
        pytest.param(
            {
                "output": {
                    "q": "{{query.a}}",
                    "h": "{{headers.`X-Sign`}}",
                    "m": "{{method}}",
                    "p": "{{parameters.form}}",
                    "c": "{{connection.token}}",
                    "s": "{{webhook.secret}}{{data.secret}}",
                    "w": "{{webhook.id}} {{webhook.url}}",
                    "k": "{{common.key}}",
                    "z": "{{environment.timezone}}",
                    "raw": "{{length(request.rawBody)}}",
                }
            },
            [
                {
                    "q": "1",
                    "h": "sig",
                    "m": "POST",
                    "p": "f1",
                    "c": "t",
                    "s": "s3s3",
                    "w": "h1 http://x.test/hook/t",
                    "k": "k",
                    "z": "UTC",
                    "raw": 37,
                }
            ],
            id="what is visible",
        ),
    ],
)
def test_items(communication: Any, items: list[Any]) -> None:
    """From one request to the items of the queue."""
    body = b'{"id":1, "rows":[{"n":1},  {"n":2}]} '
    incoming = call(body, query="a=1", headers=(*JSON, ("x-sign", "sig")))

    verdict = received(communication, incoming)

    assert list(verdict.items) == items
    assert verdict.answer == (None if items else ACCEPTED)
    assert verdict.refused == ""


def test_a_signature_is_checked_over_the_raw_bytes() -> None:
    """`request.rawBody` holds the bytes as they came."""
    communication = {"condition": '{{sha256(request.rawBody; "hex"; webhook.secret) = headers.sign}}'}
    import hashlib
    import hmac

    body = b'{"a" :  1}'
    sign = hmac.new(b"s3", body, hashlib.sha256).hexdigest()

    assert received(communication, call(body, headers=(*JSON, ("sign", sign)))).items == ({"a": 1},)
    assert received(communication, call(body + b" ", headers=(*JSON, ("sign", sign)))).items == ()


VERIFICATION = {
    "verification": {
        "condition": "{{if(body.challenge, true, false)}}",
        "respond": {"status": 202, "type": "text", "body": "{{body.challenge}}"},
    },
    "output": "{{body}}",
}


def test_a_verification_is_answered_and_not_queued() -> None:
    """Any other request goes on."""
    verified = received(VERIFICATION, call(b'{"challenge": "c1"}'))

    assert verified == Verdict(
        (), Answer(202, (("content-type", "text/plain; charset=utf-8"),), b"c1"), verification=True
    )
    assert received(VERIFICATION, call(b'{"a": 1}')).items == ({"a": 1},)


def test_a_verification_without_condition_holds_and_without_respond_is_ignored() -> None:
    """A public app carries the second form and works."""
    always = received({"verification": {"respond": {"body": {"ok": True}}}}, call(b'{"a": 1}'))
    ignored = compile_receiving(spec({"verification": {"condition": True}}))

    assert always.items == ()
    assert always.answer is not None
    assert always.answer.body == b'{"ok":true}'
    assert ignored.warnings == ("verification without respond is ignored",)
    assert receiving.receive(ignored, call(b'{"a": 1}'), HOOK, ENVIRONMENT).items == ({"a": 1},)


def test_respond_answers_at_once_also_where_nothing_is_queued() -> None:
    """It is evaluated once, without an item."""
    communication = {
        "iterate": "{{body.rows}}",
        "condition": "{{body.ok}}",
        "respond": {"status": "{{200 + 1}}", "body": {"got": "{{length(body.rows)}}", "item": "{{item}}"}},
    }
    answer = Answer(201, (("content-type", "application/json; charset=utf-8"),), b'{"got":2}')

    assert received(communication, call(b'{"ok": true, "rows": [{}, {}]}')) == Verdict(({}, {}), answer)
    assert received(communication, call(b'{"ok": false, "rows": [{}, {}]}')) == Verdict((), answer)


@pytest.mark.parametrize(
    ("communication", "incoming", "status"),
    [
        pytest.param({}, call(b"{"), 400, id="malformed body"),
        pytest.param({"condition": "{{parseDate(body)}}"}, call(b'{"a": 1}'), 500, id="failing condition"),
        pytest.param({"output": "{{nothing(}}"}, call(), 500, id="bad expression"),
        pytest.param({"output": "{{unknownFunction(1)}}"}, call(), 500, id="unknown function"),
        pytest.param({"respond": {"status": 20}}, call(), 500, id="bad status"),
        pytest.param({"respond": {"headers": {"a b": "1"}}}, call(), 500, id="bad header"),
        pytest.param({"respond": {"headers": {"a": "1\r\nb: 2"}}}, call(), 500, id="split header"),
        pytest.param({"iterate": "{{body}}"}, call(b"[" + b"1," * 4000 + b"1]"), 413, id="too many items"),
    ],
)
def test_what_fails_is_answered_and_nothing_is_queued(communication: Any, incoming: Incoming, status: int) -> None:
    """The reason is for the hook's log; the sender does not see the app's expressions."""
    verdict = received(communication, incoming)

    assert verdict.items == ()
    assert verdict.answer is not None
    assert verdict.answer.status == status
    assert verdict.refused
    if status == 500:
        assert verdict.answer.body == b"The webhook could not be processed."


SHARED = {
    "verification": {"condition": "{{query.ping}}", "respond": {"body": "pong", "type": "text"}},
    "uid": "{{body.team}}",
    "condition": "{{body.kind = parameters.kind}}",
    "output": {"team": "{{body.team}}", "who": "{{connection.name}}"},
}


def test_a_shared_webhook_goes_to_the_hooks_of_its_uid() -> None:
    """The uid is compared as text; condition and output are evaluated for each recipient."""
    plan = compile_receiving(spec(SHARED, shared=True))
    opened = receiving.open_shared(plan, call(b'{"team": 7, "kind": "a"}'), {}, ENVIRONMENT)
    recipients = [
        HookScope("h1", "u", {"kind": "a"}, {}, {"name": "Ann"}),
        HookScope("h2", "u", {"kind": "b"}, {}, {"name": "Bob"}),
    ]

    assert (opened.uid, opened.verdict) == ("7", None)
    assert [receiving.deliver(plan, opened, hook, ENVIRONMENT) for hook in recipients] == [
        Verdict(({"team": 7, "who": "Ann"},)),
        Verdict((), ACCEPTED),
    ]


def test_a_shared_webhook_without_recipient_or_use() -> None:
    """A verification is answered without looking for one; no uid is nobody's; without the directive it is unusable."""
    plan = compile_receiving(spec(SHARED, shared=True))
    ping = receiving.open_shared(plan, call(query="ping=1"), {}, ENVIRONMENT)
    nobody = receiving.open_shared(plan, call(b"{}"), {}, ENVIRONMENT)
    broken = receiving.open_shared(compile_receiving(spec({}, shared=True)), call(), {}, ENVIRONMENT)

    assert ping.verdict is not None
    assert ping.verdict.answer is not None
    assert ping.verdict.answer.body == b"pong"
    assert (nobody.uid, nobody.verdict) == ("", None)
    assert broken.verdict is not None
    assert broken.verdict.refused == "a shared webhook needs uid in its communication"


def test_bodies_of_bytes_and_texts_are_items_of_their_own() -> None:
    """The instant trigger says what is wrong with them, or fetches something by them."""
    assert received({}, call(b"\x00\x01", headers=())).items == (Buffer(b"\x00\x01"),)
    assert received({"output": "{{body.id}}"}, call(b'{"id": "x1"}')).items == ("x1",)
