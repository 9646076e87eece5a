"""The httpbin application on a loopback port, and apps that authorize at it: basic and digest."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.oauth_apps import write_app

USER, PASSWORD = "ann", "httpbin-password-0123456789"
INPUTS = [
    {"name": "user", "type": "text", "required": True},
    {"name": "password", "type": "password", "required": True},
]


@contextlib.contextmanager
def httpbin() -> Iterator[str]:
    """Serve it until the block ends; gives its address."""
    # It says at import that an optional part is missing.
    logging.getLogger("httpbin.core").setLevel(logging.ERROR)
    from httpbin import app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log(self, *args: object, **more: object) -> None:
            """Silence."""

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    server.daemon_threads = True  # type: ignore[attr-defined]  a threading server
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def basic_app(folder: Path, url: str) -> Path:
    """Basic authentication as authors write it: the header is built from the inputs."""
    header = {"authorization": "Basic {{base64(connection.user + ':' + connection.password)}}"}
    return _app(folder, url, f"/basic-auth/{USER}/{PASSWORD}", {"headers": header}, "basicbin")


def digest_app(folder: Path, url: str, path: str = "MD5") -> Path:
    """Digest authentication by the directive; `path` is the algorithm."""
    digest = {"digest": {"username": "{{connection.user}}", "password": "{{connection.password}}"}}
    return _app(folder, url, f"/digest-auth/auth/{USER}/{PASSWORD}/{path}", digest, "digestbin")


def _app(folder: Path, url: str, path: str, authorization: dict[str, Any], name: str) -> Path:
    sanitize = {"sanitize": ["request.headers.authorization"]}
    communication = {
        "url": url + path,
        **authorization,
        "response": {
            "error": {"message": "httpbin says {{statusCode}}"},
            "metadata": {"type": "text", "value": "{{body.user}}"},
        },
        "log": sanitize,
    }
    write_app(folder, url, communication, params=INPUTS, base=authorization, name=name)
    (folder / "whoami.json").write_text(json.dumps({"url": path, "response": {"output": "{{body}}"}}))
    return folder
