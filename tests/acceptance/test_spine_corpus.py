"""
Real apps, end to end: check, add, connect, import, enqueue, and a worker runs their modules against a loopback server
that checks method, path, query, headers and body (issue S1, "What must be shown" 2).

The apps lie in the corpus beside the checkout; each is copied to a temporary folder in which the loopback server stands
for the real host.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Answer, ScriptServer
from tests.spine import Scenarist, blueprint, corpus_app, step

KEY = "sk_live_4f9a-corpus-secret"


@pytest.fixture
def server() -> Iterator[ScriptServer]:
    with ScriptServer() as running:
        yield running


def answer(body: Any = None, *, status: int = 200) -> Answer:
    """A JSON answer; no body without one."""
    if body is None:
        return Answer(status)
    return Answer(status, (("Content-Type", "application/json"),), json.dumps(body).encode())


def run_on_a_worker(cli: Scenarist, flow: dict[str, Any], tmp_path: Path, *options: str) -> dict[str, Any]:
    """Import a blueprint, start a worker, enqueue a run and wait for its end."""
    file = tmp_path / "blueprint.json"
    file.write_text(json.dumps(flow))
    cli("scenario", "import", str(file), *options)
    with cli.process("worker"):
        return cli.json("run", flow["name"], "--wait", "--timeout", "60")


def connect(cli: Scenarist, app: Path, component: str) -> dict[str, Any]:
    parameters = json.dumps({"apiKey": KEY})
    cli("app", "add", str(app))
    return cli.json("connection", "add", str(app), component, "--name", "main", "--params", "-", stdin=parameters)


def test_letmepost_publishes_a_post_and_reads_it(
    shared: Path, tmp_path: Path, server: ScriptServer, cli: Scenarist
) -> None:
    """A POST with Base headers, dropped empty fields and a nested body, then a GET whose path is mapped from it."""
    app = corpus_app(
        shared / "corpus/apps/letmepost+make-app-letmepost",
        tmp_path / "app",
        host="https://api.letmepost.dev",
        server=server.url,
    )
    server.script.answers += [
        answer({"data": [{"displayName": "Acme"}]}),
        answer({"id": "post_1", "status": "queued"}, status=201),
        answer({"id": "post_1", "status": "published"}),
    ]
    connection = connect(cli, app, "letmepost")
    flow = blueprint(
        "letmepost round trip",
        step(
            1,
            "letmepost-v8hb99:publishPost",
            {"text": "Hello", "publishNow": True, "targets": [{"accountId": "acc_1"}]},
            parameters={"__IMTCONN__": 7},
        ),
        step(2, "letmepost-v8hb99:getPost", {"postId": "{{1.id}}"}, parameters={"__IMTCONN__": 7}),
    )
    result = run_on_a_worker(cli, flow, tmp_path, "--connection", "7=main")

    assert connection["metadata"] == {"type": "text", "value": "Acme"}
    assert result["status"] == "success", result
    assert [entry["output"] for entry in result["steps"]] == [
        [{"id": "post_1", "status": "queued"}],
        [{"id": "post_1", "status": "published"}],
    ]
    accounts, publish, read = server.received
    assert (accounts.method, accounts.target) == ("GET", "/v1/accounts")
    assert (publish.method, publish.target) == ("POST", "/v1/posts")
    assert publish.header("authorization") == f"Bearer {KEY}"
    assert publish.header("content-type") == "application/json"
    assert json.loads(publish.body) == {
        "targets": [{"accountId": "acc_1"}],
        "text": "Hello",
        "firstComment": {},
        "publishNow": True,
    }
    assert (read.method, read.target, read.body) == ("GET", "/v1/posts/post_1", b"")
    assert KEY not in "".join(cli.seen)


def test_hedy_reads_a_session_and_a_topic(shared: Path, tmp_path: Path, server: ScriptServer, cli: Scenarist) -> None:
    """A connection without a type whose `response.data` feeds Base, and two actions with and without `body.data`."""
    app = corpus_app(
        shared / "corpus/apps/HedyAI+make-app-hedy", tmp_path / "app", host="https://api.hedy.bot", server=server.url
    )
    server.script.answers += [
        answer({"email": "ann@example.com"}),
        answer({"id": "sess_1", "topicId": "t 1/ä"}),
        answer({"data": {"id": "t1", "name": "Budget"}}),
    ]
    connection = connect(cli, app, "apiKey")
    flow = blueprint(
        "hedy",
        step(1, "hedy-p0dkfb:getSession", {"sessionId": "sess_1"}, parameters={"__IMTCONN__": 1}),
        step(2, "hedy-p0dkfb:getTopic", {"topicId": "{{1.topicId}}"}, parameters={"__IMTCONN__": 1}),
    )
    result = run_on_a_worker(cli, flow, tmp_path, "--connection", "1=main")

    assert connection["metadata"] == {"type": "email", "value": "ann@example.com"}
    assert result["status"] == "success", result
    assert result["operations"] == 2
    assert result["steps"][1]["output"] == [{"id": "t1", "name": "Budget"}]
    assert [request.target for request in server.received] == ["/me", "/sessions/sess_1", "/topics/t%201/%C3%A4"]
    assert all(request.header("authorization") == f"Bearer {KEY}" for request in server.received)
    assert KEY not in "".join(cli.seen)


def test_sudomock_uploads_reads_and_deletes(shared: Path, tmp_path: Path, server: ScriptServer, cli: Scenarist) -> None:
    """A boolean that drops a key, a select with RPC options, a DELETE with an undefined output: one empty bundle."""
    app = corpus_app(
        shared / "corpus/apps/sudomock+sudomock-make-app",
        tmp_path / "app",
        host="https://api.sudomock.com",
        server=server.url,
    )
    manifest = app / "src/sudomock"
    server.script.answers += [
        answer({"success": True, "data": {"account": {"email": "ann@example.com"}}}),
        answer({"success": True, "data": {"uuid": "u-1"}}),
        answer({"success": True, "data": {"uuid": "u-1", "name": "Mug"}}),
        answer(status=204),
    ]
    parameters = json.dumps({"apiKey": KEY})
    cli("app", "add", str(manifest))
    shown = cli.json("app", "show", "sudomock-rhef0p")
    component = next(iter(shown["connections"]))
    cli("connection", "add", "sudomock-rhef0p", component, "--name", "main", "--params", "-", stdin=parameters)
    use = {"parameters": {"__IMTCONN__": 3}}
    flow = blueprint(
        "sudomock",
        step(
            1,
            "sudomock-rhef0p:uploadPsd",
            {"psd_file_url": "https://files.example.com/a.psd", "psd_name": "A"},
            **use,
        ),
        step(2, "sudomock-rhef0p:getMockup", {"mockup_uuid": "{{1.data.uuid}}"}, **use),
        step(3, "sudomock-rhef0p:deleteMockup", {"mockup_uuid": "{{2.data.uuid}}"}, **use),
    )
    result = run_on_a_worker(cli, flow, tmp_path, "--connection", "3=main")

    assert result["status"] == "success", result
    assert result["steps"][2]["output"] == [{}]
    _, upload, read, delete = server.received
    assert (upload.method, upload.target) == ("POST", "/api/v1/psd/upload")
    assert json.loads(upload.body) == {"psd_file_url": "https://files.example.com/a.psd", "psd_name": "A"}
    assert upload.header("x-api-key") == KEY
    assert (read.method, read.target) == ("GET", "/api/v1/mockups/u-1")
    assert (delete.method, delete.target) == ("DELETE", "/api/v1/mockups/u-1")
    assert KEY not in "".join(cli.seen)


def test_the_blueprint_beside_letmepost_runs(
    shared: Path, tmp_path: Path, server: ScriptServer, cli: Scenarist
) -> None:
    """Its export names no connection: the app's name binds one. The empty account id is left out of the target."""
    app = corpus_app(
        shared / "corpus/apps/letmepost+make-app-letmepost",
        tmp_path / "app",
        host="https://api.letmepost.dev",
        server=server.url,
    )
    server.script.answers += [answer({"data": [{"displayName": "Acme"}]}), answer({"id": "post_9"}, status=201)]
    connect(cli, app, "letmepost")
    file = shared / "corpus/blueprints/letmepost+make-app-letmepost/test-scenario.blueprint.json"
    flow = json.loads(file.read_text())
    result = run_on_a_worker(cli, flow, tmp_path, "--connection", "letmepost-v8hb99=main")

    assert result["status"] == "success", result
    assert result["steps"][0]["output"] == [{"id": "post_9"}]
    sent = json.loads(server.received[1].body)
    assert sent["text"] == flow["flow"][0]["mapper"]["text"]
    assert sent["targets"] == [{}]
    assert sent["publishNow"] is True


@pytest.mark.parametrize("name", ["einvoice", "pdf-from-template", "url-screenshot"])
def test_a_blueprint_beside_polydoc_runs_or_names_what_it_lacks(
    shared: Path, tmp_path: Path, server: ScriptServer, cli: Scenarist, name: str
) -> None:
    """The files of its custom functions are not in the corpus, so the run says which function is missing."""
    app = corpus_app(
        shared / "corpus/apps/polydoc-tech+make-polydoc",
        tmp_path / "app",
        host="https://api.polydoc.tech",
        server=server.url,
    )
    server.script.answers += [Answer(200, (("Content-Type", "image/png"),), b"\x89PNG")]
    connect(cli, app, "polydoc")
    file = shared / f"corpus/blueprints/polydoc-tech+make-polydoc/blueprints__{name}.blueprint.json"
    cli("scenario", "import", str(file), "--connection", "polydoc-vnm0g9=main")
    scenario = json.loads(file.read_text())["name"]
    result = cli.json("run", scenario, "--inline", exit_code=1)

    assert result["status"] == "error"
    assert result["error"]["module"] == 1
    assert "Function '" in result["error"]["message"], result["error"]


@pytest.mark.parametrize(
    ("file", "named"),
    [
        pytest.param(
            "RouaaElbadrawy+make-automation/Telegram_Bot.json",
            [(1, "telegram:WatchUpdates"), (2, "google-sheets:addRow")],
            id="telegram bot",
        ),
        pytest.param(
            "sadeedameen+make-automation-blueprints/finance__invoice-to-google-sheets-ai*",
            [
                (1, "google-email:triggerWatchNewEmails"),
                (9, "google-email:listEmailAttachments"),
                (3, "gemini-ai:uploadAFile"),
                (4, "gemini-ai:createACompletionGeminiPro"),
                (13, "google-sheets:addRow"),
            ],
            id="invoices",
        ),
        pytest.param("silbersteine+make.com-workflow-blueprints/Notion__Task_Dashboard*", None, id="task dashboard"),
    ],
)
def test_a_real_blueprint_is_refused_by_naming_what_is_missing(
    shared: Path, cli: Scenarist, file: str, named: list[tuple[int, str]] | None
) -> None:
    """Each module that is not there is named with its id; nothing is stored."""
    (found,) = (shared / "corpus/blueprints").glob(file)
    printed = cli.json("scenario", "import", str(found), exit_code=1)
    missing = [(finding["module"], finding["name"]) for finding in printed["findings"] if "UNKNOWN" in finding["code"]]

    assert printed["id"] is None
    assert missing
    assert named is None or missing == named
    assert cli.json("scenario", "list") == []
