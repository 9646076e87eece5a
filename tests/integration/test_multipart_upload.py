"""
Multipart bodies over a real socket: parsed back byte for byte by the standard library's own parser, and sent without a
copy of the file. `SCENARIST_LONG=1` (`make long`) goes up to 200 MB.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import random
import socketserver
import threading
import tracemalloc
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any, cast

import pytest

from runtime.communication import Kind, Limits, Scope, compile_communication, run_communication
from runtime.effects import HttpRequest, drive
from runtime.http import HttpPerformer, NetworkPolicy
from runtime.iml import Environment
from runtime.values import Buffer
from tests.unit.communication.harness import NOW

MIB = 1 << 20
SIZES = [0, 1, 65_535, MIB, MIB + 1, 8 * MIB]
LONG = [200 * 1000 * 1000] if os.environ.get("SCENARIST_LONG") else []
POLICY = NetworkPolicy(allow_nets=(ipaddress.ip_network("127.0.0.0/8"),))


class Sink(socketserver.ThreadingTCPServer):
    """Takes one request a connection and writes its body into a file, a block at a time."""

    daemon_threads = True
    file: Path
    head: dict[str, str]


class Handler(socketserver.StreamRequestHandler):
    """Reads head and body, answers `{}`."""

    def handle(self) -> None:
        sink = cast("Sink", self.server)
        self.rfile.readline()
        head: dict[str, str] = {}
        while (line := self.rfile.readline().decode().strip()) != "":
            name, _, value = line.partition(": ")
            head[name.lower()] = value
        left = int(head["content-length"])
        with sink.file.open("wb") as stream:
            while left:
                block = self.rfile.read(min(left, 65_536))
                stream.write(block)
                left -= len(block)
        sink.head = head
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    """The running server."""
    with Sink(("127.0.0.1", 0), Handler) as server:
        server.file = tmp_path / "body"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def upload(sink: Sink, data: bytes) -> int:
    """Send a file with two fields; gives the most memory that was taken meanwhile, in bytes."""
    url = f"http://127.0.0.1:{sink.server_address[1]}/upload"
    document = {
        "url": url, "method": "POST", "type": "multipart/form-data",
        "body": {"title": "T", "file": {"value": "{{parameters.file}}", "options": {"filename": "f.bin"}}, "n": 1},
        "log": {"sanitize": []},
    }  # fmt: skip
    plan = compile_communication(document, kind=Kind.ACTION, component="module upload")
    scope = Scope({"parameters": {"file": Buffer(data)}}, Environment(now=NOW), Limits(max_request_bytes=1 << 30))
    with HttpPerformer(POLICY) as http:

        def perform(effect: Any) -> Any:
            assert isinstance(effect, HttpRequest)
            return http.send(effect)

        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            drive(run_communication(plan, scope), perform)
            return tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("size", [*SIZES, *LONG])
def test_an_upload_arrives_byte_for_byte_in_flat_memory(sink: Sink, size: int) -> None:
    """The parts come back as they were sent; beyond the file itself a few megabytes are taken, whatever its size."""
    data = random.Random(size).randbytes(size)

    taken = upload(sink, data)

    assert sink.head["content-type"].startswith("multipart/form-data; boundary=")
    head = f"Content-Type: {sink.head['content-type']}\r\n\r\n".encode()
    if size <= 8 * MIB:
        message = BytesParser(policy=HTTP).parsebytes(head + sink.file.read_bytes())
        parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
        assert list(parts) == ["title", "file", "n"]
        assert parts["title"].get_payload(decode=True) == b"T"
        assert parts["file"].get_filename() == "f.bin"
        received = parts["file"].get_payload(decode=True)
    else:
        # The parser of the standard library takes minutes for such a file; the part is cut out by its boundary.
        whole = sink.file.read_bytes()
        boundary = b"\r\n--" + sink.head["content-type"].partition("boundary=")[2].encode()
        start = whole.index(b"\r\n\r\n", whole.index(b'name="file"')) + 4
        received = whole[start : whole.index(boundary, start + size)]
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()
    assert taken < 4 * MIB + (2 * size if size <= MIB else 0)
