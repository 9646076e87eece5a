"""Modules that run in the process of a command: what is masked, how a search ends early, a request as a command."""

from __future__ import annotations

import json
from typing import Any

from connections.record import ConnectionRecord
from connections.values import secret_texts
from runtime.communication import Limits
from runtime.effects import HttpRequest, HttpResponse
from runtime.errors import ModuleRuntimeError
from runtime.sanitize import Secrets
from tests.module_apps import app_of, connection_spec, module_spec
from workers.interface import compare
from workers.local import Account, Choices, Local, keyword
from workers.rendering import curl_command

FIELDS = [{"name": "user", "type": "text"}, {"name": "password", "type": "password"}]


def local(module: Any, answers: list[Any], asked: list[HttpRequest]) -> Local:
    """A local caller over scripted JSON answers."""

    def send(request: HttpRequest) -> HttpResponse:
        asked.append(request)
        if not answers:
            raise ModuleRuntimeError("no more answers")
        body = json.dumps(answers.pop(0)).encode()
        return HttpResponse(200, (("content-type", "application/json"),), body, request.url)

    app = app_of(module, base={"baseUrl": "http://s.test"}, common={"salt": "common-salt-1"})
    return Local(app, "UTC", Limits(), send, Secrets())


def test_bundles_show_everything_but_declared_secrets() -> None:
    """A token that the service gave is the user's data; the password that was typed in is not shown. Exchanges are."""
    record = ConnectionRecord(
        "1", "demo", "account", "basic", "main",
        parameters={"user": "ann", "password": "pass-word-1"},
        data={"user": "ann", "password": "pass-word-1", "accessToken": "token-from-service"},
    )  # fmt: skip
    spec = connection_spec({}, params=FIELDS)
    module = module_spec(
        "action",
        {
            "url": "/?t={{connection.accessToken}}",
            "log": {"sanitize": []},
            "response": {"output": {"all": "{{connection}}", "salt": "{{common.salt}}"}},
        },
    )
    asked: list[HttpRequest] = []
    here = local(module, [{}], asked)
    here.secrets.add_all(secret_texts(here.app, spec, record))
    report = here.module("case", {}, Account(record.data, record, spec), Choices())

    assert report.bundles == (
        {
            "all": {"user": "ann", "password": "[sanitized]", "accessToken": "token-from-service"},
            "salt": "common-salt-1",
        },
    )
    assert "token-from-service" not in json.dumps(report.exchanges)
    assert "token-from-service" in asked[0].url


def test_a_limit_ends_a_search_early() -> None:
    """Once there are enough bundles no further page is asked for; numbers count what is shown."""
    module = module_spec("search", {"url": "/", "pagination": {}, "response": {"iterate": "{{body}}"}})
    asked: list[HttpRequest] = []
    told: list[tuple[int, int]] = []
    here = local(module, [[{"n": 1}, {"n": 2}], [{"n": 3}, {"n": 4}], [{"n": 5}]], asked)
    choices = Choices(limit=3, progress=lambda bundles, requests: told.append((bundles, requests)))
    report = here.module("case", {}, Account(), choices)

    assert [bundle["n"] for bundle in report.bundles] == [1, 2, 3]
    assert report.bundles[0] == {"n": 1, "__IMTINDEX__": 1, "__IMTLENGTH__": 3}
    assert len(asked) == 2
    assert told == [(2, 1), (4, 2)]


def test_keywords_of_the_mapper_are_understood() -> None:
    """`erase` and `emptystring` alone in a value, at any depth; no other template is evaluated."""
    module = module_spec(
        "action",
        {"url": "/", "method": "POST", "body": "{{parameters}}"},
        mappable=[
            {"name": name, "type": kind} for name, kind in (("a", "text"), ("b", "text"), ("c", "text"), ("d", "any"))
        ],
    )
    asked: list[HttpRequest] = []
    given = {"a": "{{erase}}", "b": "{{emptystring}}", "c": "{{1 + 1}}", "d": None}
    local(module, [{}], asked).module("case", given, Account(), Choices())

    assert json.loads(asked[0].body or b"") == {"a": None, "b": "", "c": "{{1 + 1}}", "d": None}
    assert keyword([{"x": " {{erase}} "}]) != [{"x": " {{erase}} "}]


def test_a_request_becomes_a_command_without_secrets() -> None:
    """Quoted for a shell; each masked part is a variable named after what it belongs to."""
    request = {
        "method": "POST",
        "url": "http://s.test/a?key=[sanitized]&b=1",
        "headers": {"X-Api-Key": "[sanitized]", "Accept-Encoding": "identity", "X-Say": "it's"},
        "body": {"token": "[sanitized]", "n": 1},
    }

    assert curl_command(request) == (
        "curl -X POST 'http://s.test/a?key='\"${KEY}\"'&b=1' -H 'X-Api-Key: '\"${X_API_KEY}\" "
        '-H \'X-Say: it\'"\'"\'s\' --data-binary \'{"token":"\'"${BODY_SECRET}"\'","n":1}\''
    )


def test_output_is_compared_with_the_interface() -> None:
    """Paths that are not declared, and declared fields that never come; free-form parts say nothing."""
    interface = [
        {"name": "id"},
        {"name": "gone"},
        {"name": "free", "type": "collection"},
        {"name": "rows", "type": "array", "spec": [{"name": "a"}]},
    ]
    bundles = [{"id": 1, "free": {"x": 1}, "rows": [{"a": 1, "b": 2}], "new": 1, "__IMTINDEX__": 1}]

    assert compare(interface, bundles) == (("rows[].b", "new"), ("gone",))
    assert compare([*interface, "rpc://more"], bundles) == ((), ())
    assert compare(interface, []) == ((), ())
