"""The apps `http`, `rss` and `gateway` against servers on loopback (spec/scenarios.md 4.5, 4.6, 4.10)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Answer, ScriptServer
from tests.unit.scenario.helpers import compose, module, scenario, start
from workers.service import Service, open_service
from workers.settings import load_settings

JSON = (("Content-Type", "application/json"),)


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that may reach loopback."""
    home = tmp_path_factory.mktemp("http")
    environment = {
        "SCENARIST_HOME": str(home), "SCENARIST_FSYNC": "everysec", "SCENARIST_ALLOW_NETS": "127.0.0.0/8",
    }  # fmt: skip
    with open_service(load_settings(environment)) as service:
        yield service


@pytest.fixture(name="server")
def server_fixture() -> Iterator[ScriptServer]:
    """A scripted server; the test sets its answers."""
    with ScriptServer() as server:
        yield server


def report(service: Service, *flow: Any, connections: Any = None, **settings: Any) -> dict[str, Any]:
    """What a run prints."""
    raw = json.dumps(scenario(start({"a": "x y"}), *flow, **settings)).encode()
    return service.runs.inline(raw, bindings=connections or {}).to_json()


def sent(service: Service, server: ScriptServer, name: str, mapper: Any, *answers: Answer, **rest: Any) -> Any:
    """The output of one module, or its error."""
    server.script.reset(answers or [Answer(headers=JSON, body=b'{"ok":true}')])
    version = rest.pop("version", 4 if name in ("MakeRequest", "DownloadFile") else 3)
    connections = rest.pop("connections", None)
    step = module(2, f"http:{name}", {"url": server.url + "/p?q=1"} | mapper, version=version, **rest)
    shown = report(service, step, connections=connections)["steps"][1]
    return shown["error"] or shown["output"][0]


def test_version_3_sends_and_gives_lists(service: Service, server: ScriptServer) -> None:
    """Query, headers and raw body go out as set; headers come back as a list, parsed JSON as `data`."""
    answer = Answer(201, (*JSON, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")), b'[{"n":1}]')
    mapper = {
        "method": "POST", "qs": [{"name": "s", "value": "{{1.a}}"}], "headers": [{"name": "x-own", "value": "v"}],
        "bodyType": "raw", "contentType": "application/json", "data": '{"t":"{{1.a}}"}', "parseResponse": True,
    }  # fmt: skip

    output = sent(service, server, "ActionSendData", mapper, answer)

    received = server.received[0]
    assert (received.method, received.target, received.body) == ("POST", "/p?q=1&s=x%20y", b'{"t":"x y"}')
    assert received.header("X-Own") == "v"
    assert received.header_list("Content-Type") == ["application/json"]
    assert (output["statusCode"], output["data"], output["fileSize"]) == (201, [{"n": 1}], 9)
    assert {"name": "content-type", "value": "application/json"} in output["headers"]
    assert output["cookieHeaders"] == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("answer", "parse", "data"),
    [
        pytest.param(Answer(headers=JSON, body=b'{"a":1}'), False, '{"a":1}', id="json unparsed"),
        pytest.param(Answer(headers=JSON, body=b'{"a":'), True, '{"a":', id="broken json is text"),
        pytest.param(Answer(headers=(("Content-Type", "text/html"),), body=b"<p>"), True, "<p>", id="text"),
        pytest.param(Answer(headers=JSON), True, "", id="nothing"),
        pytest.param(
            Answer(headers=(("Content-Type", "text/xml"),), body=b"<a><b>1</b></a>"),
            True,
            {"a": {"b": ["1"]}},
            id="xml",
        ),
    ],
)
def test_bodies(service: Service, server: ScriptServer, answer: Answer, parse: bool, data: Any) -> None:
    """What `data` is depends on the content type and `parseResponse`."""
    assert sent(service, server, "ActionSendData", {"parseResponse": parse}, answer)["data"] == data


def test_a_body_that_cannot_be_parsed_is_a_warning(service: Service, server: ScriptServer) -> None:
    """The run says so, and the text is there."""
    server.script.reset([Answer(headers=JSON, body=b"{")])

    ran = report(service, module(2, "http:ActionSendData", {"url": server.url, "parseResponse": True}, version=3))

    assert ran["status"] == "warning"


def test_bytes_are_a_buffer(service: Service, server: ScriptServer) -> None:
    """Other types are not text."""
    answer = Answer(headers=(("Content-Type", "image/png"),), body=b"\x89PNG")

    assert sent(service, server, "ActionSendData", {}, answer)["data"]["size"] == 4


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, "RuntimeError"), (401, "RuntimeError"), (429, "RateLimitError"), (503, "ConnectionError")],
)
def test_errors_only_when_they_are_asked_for(service: Service, server: ScriptServer, status: int, error: str) -> None:
    """`handleErrors` and `stopOnHttpError` make an error of a status from 400 on, with an extract of the body."""
    answer = Answer(status, JSON, b'{"why":"no"}')

    quiet = sent(service, server, "ActionSendData", {"parseResponse": True}, answer, parameters={"handleErrors": False})
    loud = sent(service, server, "ActionSendData", {}, answer, parameters={"handleErrors": True})
    new = sent(service, server, "MakeRequest", {"stopOnHttpError": True}, answer)

    assert (quiet["statusCode"], quiet["data"]) == (status, {"why": "no"})
    assert (loud["type"], loud["statusCode"]) == (error, status)
    assert loud["message"].startswith(f"[{status}] ")
    assert loud["message"].endswith('{"why":"no"}')
    assert new["type"] == error


@pytest.mark.parametrize("url", ["", "no address", "ftp://x/y", "http://", "http://exa mple/"])
def test_a_bad_address_is_the_bundles_fault(service: Service, server: ScriptServer, url: str) -> None:
    """It fails reliably, and does not deactivate the scenario."""
    assert sent(service, server, "ActionSendData", {"url": url or "{{1.none}}"})["type"] == "BundleValidationError"


def test_the_guard_holds_for_built_ins(tmp_path: Path, server: ScriptServer) -> None:
    """Private addresses are refused like everywhere."""
    with open_service(load_settings({"SCENARIST_HOME": str(tmp_path)})) as closed:
        error = sent(closed, server, "ActionSendData", {})

    assert error["type"] == "InvalidConfigurationError"
    assert not server.received


def test_forms(service: Service, server: ScriptServer) -> None:
    """Url-encoded and multipart bodies; a repeated field is sent twice."""
    fields = [{"key": "a", "value": "1 2"}, {"key": "a", "value": "3"}]
    sent(service, server, "ActionSendData",
         {"method": "post", "bodyType": "x_www_form_urlencoded", "formDataFields": fields})  # fmt: skip
    encoded = server.received[0]
    parts = [{"key": "f", "fieldType": "file", "data": "bytes", "fileName": "x.txt"}, {"key": "t", "value": "v"}]
    sent(service, server, "ActionSendData",
         {"method": "post", "bodyType": "multipart_form_data", "formDataFields": parts})  # fmt: skip
    multi = server.received[0]

    assert (encoded.body, encoded.header("content-type")) == (
        b"a=1%202&a=3",
        "application/x-www-form-urlencoded",
    )
    assert b'name="f"; filename="x.txt"' in multi.body
    assert (multi.header("content-type") or "").startswith("multipart/form-data; boundary=")


def test_version_4_has_a_collection_of_headers(service: Service, server: ScriptServer) -> None:
    """JSON text is checked before it is sent; repeated cookies are a list."""
    answer = Answer(200, (*JSON, ("Set-Cookie", "a=1")), b'{"n":1}')
    body = {"method": "post", "contentType": "json", "inputMethod": "jsonString", "parseResponse": True}

    output = sent(service, server, "MakeRequest", body | {"jsonStringBodyContent": '{"a":"{{1.a}}"}'}, answer)
    assert server.received[0].body == b'{"a":"x y"}'
    assert (output["data"], output["statusCode"]) == ({"n": 1}, 200)
    assert (output["headers"]["content-type"], output["headers"]["set-cookie"]) == ("application/json", ["a=1"])

    broken = sent(service, server, "MakeRequest", body | {"jsonStringBodyContent": '{"a":'})
    assert (broken["type"], len(server.received)) == ("BundleValidationError", 0)


def test_keychains_are_connections_and_stay_secret(service: Service, server: ScriptServer) -> None:
    """Stored encrypted, put into header or query, masked in everything that is printed."""
    service.connections.add(
        "http", "basicauth", name="login", parameters={"username": "ann", "password": "pass-word-1"}
    )
    key = {"key": "secret-key-2", "placement": "header", "name": "X-Key"}
    service.connections.add("http", "apikeyauth", name="key", parameters=key)
    in_query = {"key": "secret-key-3", "placement": "qs", "name": "token"}
    service.connections.add("http", "apikeyauth", name="query", parameters=in_query)
    flow = [
        module(2, "http:ActionSendDataBasicAuth", {"url": server.url}, version=3, parameters={"key": 1}),
        module(3, "http:ActionSendDataAPIKeyAuth", {"url": server.url}, version=3, parameters={"auth": 2}),
        module(4, "http:MakeRequest", {"url": server.url}, version=4,
               parameters={"authenticationType": "apiKey", "apiKeyKeychain": 3}),
    ]  # fmt: skip
    server.script.reset([Answer(headers=JSON, body=b'{"echo":"secret-key-2"}')] * 3)

    unbound = report(service, *flow)
    ran = report(service, *flow, connections={"1": "login", "2": "key", "3": "query"})

    assert unbound["error"]["type"] == "E-BIND"
    first, second, third = server.received
    assert first.header("authorization") == "Basic YW5uOnBhc3Mtd29yZC0x"
    assert second.header("x-key") == "secret-key-2"
    assert third.target == "/?token=secret-key-3"
    assert ran["status"] == "success"
    assert not any(secret in json.dumps(ran) for secret in ("secret-key", "pass-word", "YW5uOnBhc3M"))


def test_a_keychain_of_the_wrong_kind_is_refused(service: Service, server: ScriptServer) -> None:
    """Basic auth is no API key."""
    service.connections.add(
        "http", "basicauth", name="wrong", parameters={"username": "ann", "password": "pass-word-1"}
    )
    step = module(2, "http:ActionSendDataAPIKeyAuth", {"url": server.url}, version=3, parameters={"auth": 2})

    with pytest.raises(Exception, match="apikeyauth"):
        report(service, step, connections={"2": "wrong"})


def test_cookies_are_shared_only_where_it_is_asked_for(service: Service, server: ScriptServer) -> None:
    """One jar for the run, among the modules with `shareCookies`."""
    server.script.reset([Answer(headers=(("Set-Cookie", "s=1"),)), Answer(), Answer()])
    shared = {"url": server.url, "shareCookies": True}

    report(
        service,
        module(2, "http:ActionSendData", shared, version=3),
        module(3, "http:ActionSendData", shared, version=3),
        module(4, "http:ActionSendData", {"url": server.url}, version=3),
    )

    assert [request.header("cookie") for request in server.received] == [None, "s=1", None]


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="a b.txt"', "a b.txt"),
        ("attachment; filename*=UTF-8''%C3%A9.txt", "é.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("", "p"),
    ],
)
def test_files(service: Service, server: ScriptServer, disposition: str, name: str) -> None:
    """The name comes from the header, else from the address, and is never a path."""
    headers = (*JSON, *([("Content-Disposition", disposition)] if disposition else []))

    old = sent(service, server, "ActionGetFile", {}, Answer(headers=headers, body=b"{}"))
    new = sent(service, server, "DownloadFile", {}, Answer(headers=headers, body=b"{}"))

    assert (old["fileName"], old["data"]["size"], old["fileSize"]) == (name, 2, 2)
    assert new["headers"]["content-type"] == "application/json"


def test_what_is_not_there_is_said(service: Service, server: ScriptServer) -> None:
    """Paging and proxies of the http app name themselves; a value that turns mTLS on at run time has no certificate."""
    proxy = sent(service, server, "MakeRequest", {}, parameters={"proxyKeychain": 3})
    mtls = sent(service, server, "ActionSendData", {"useMtls": "{{1.a = 'x y'}}"})
    paging = sent(service, server, "MakeRequest", {"paginationType": "pageBased"})

    assert [error["type"] for error in (proxy, mtls, paging)] == ["InvalidConfigurationError"] * 3
    assert not server.received


def test_redirects_and_user_in_the_address(service: Service, server: ScriptServer) -> None:
    """`followRedirect` off gives the 3xx answer; user and password of the address are Basic auth."""
    moved = Answer(302, (("Location", "/there"),))

    assert sent(service, server, "ActionSendData", {"followRedirect": False}, moved)["statusCode"] == 302
    assert sent(service, server, "ActionSendData", {}, moved, Answer(200))["statusCode"] == 200
    sent(service, server, "ActionSendData", {"url": server.url.replace("//", "//u:p@")})
    assert server.received[0].header("authorization") == "Basic dTpw"


FEED = b"""<?xml version="1.0"?>
<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>F</title>
<item><title>New</title><link>http://x/1</link><description>D</description>
<pubDate>Fri, 02 Jan 2026 03:04:05 GMT</pubDate><dc:creator>Ann</dc:creator>
<category>a</category><category>b</category><enclosure url="http://x/a.mp3" type="audio/mpeg" length="7"/></item>
<item><title>Old</title><link>http://x/2</link><pubDate>Thu, 01 Jan 2015 00:00:00 GMT</pubDate></item>
</channel></rss>"""
ATOM = b"""<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>T</title><link href="http://x/3"/>
<updated>2026-01-02T03:04:05Z</updated><author><name>Bob</name></author><summary>S</summary></entry></feed>"""


def articles(service: Service, server: ScriptServer, feed: bytes, **mapper: Any) -> list[Any]:
    """The bundles of a feed."""
    server.script.reset([Answer(headers=(("Content-Type", "application/rss+xml"),), body=feed)])
    step = module(2, "rss:ActionReadArticles", {"url": server.url, "maxResults": 5} | mapper, version=4)
    shown = report(service, step)["steps"][1]
    return [shown["error"]["type"]] if shown["error"] else shown["output"]


def test_articles_of_feeds(service: Service, server: ScriptServer) -> None:
    """RSS and Atom in one shape; dates bound what is taken."""
    new, old = articles(service, server, FEED)
    moment = {"$date": "2026-01-02T03:04:05.000Z"}

    assert (new["title"], new["url"], new["author"], new["dateCreated"]) == ("New", "http://x/1", "Ann", moment)
    assert (new["categories"], new["enclosures"]) == (
        ["a", "b"],
        [{"url": "http://x/a.mp3", "type": "audio/mpeg", "length": 7}],
    )
    assert old["title"] == "Old"
    assert [item["title"] for item in articles(service, server, FEED, filterDateFrom="2020-01-01")] == ["New"]
    assert [item["title"] for item in articles(service, server, FEED, maxResults=1)] == ["New"]
    entry = articles(service, server, ATOM)[0]
    assert (entry["url"], entry["author"], entry["summary"]) == ("http://x/3", "Bob", "S")
    assert articles(service, server, b"<html/>") == ["DataError"]
    assert articles(service, server, b"no xml") == ["DataError"]


def test_a_webhook_runs_with_a_given_bundle(service: Service) -> None:
    """The bundle is the event; the answer does nothing where nobody waits; without an event the start says so."""
    hook = module(1, "gateway:CustomWebHook", parameters={"hook": 5, "maxResults": 1})
    answer = module(2, "gateway:WebhookRespond", {"status": "{{1.code}}", "body": "x", "headers": []})
    raw = json.dumps(scenario(hook, answer, compose(3, "{{1.name}}"))).encode()

    ran = service.runs.inline(raw, trigger_bundles=[{"name": "Ann", "code": 202}]).to_json()
    bad = service.runs.inline(raw, trigger_bundles=[{"name": "Ann", "code": 2}]).to_json()
    none = service.runs.inline(raw).to_json()

    assert [step["output"] for step in ran["steps"]] == [[{"name": "Ann", "code": 202}], [{}], [{"value": "Ann"}]]
    assert bad["error"]["type"] == "BundleValidationError"
    assert "--trigger-bundle" in none["error"]["message"]
