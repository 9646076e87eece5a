"""Traces: spans of segments, operations and requests with ids and words, and nothing that somebody said (issue S6)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime import tracing
from runtime.errors import SettingsError
from tests.worker_kit import blueprint, call, installation, peer


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.start("", "test", exporter=exporter)
    yield exporter
    tracing.stop()


def test_a_run_is_one_trace(tmp_path: Path, spans: InMemorySpanExporter) -> None:
    with peer() as api, installation(tmp_path, api.port) as place:
        api.broken["/secret-path"] = 500
        flow = blueprint(call(1, "/fine", "POST"), call(2, "/secret-path"))
        imported = place.service.scenarios.import_(flow, name="T")
        assert imported.row is not None
        report = place.service.runs.inline(imported.row.id)
    found = spans.get_finished_spans()
    assert [span.name for span in found] == ["request", "operation", "request", "operation", "segment"]
    assert {span.context.trace_id for span in found} == {tracing.trace_id(report.header.id)}
    segment = found[-1]
    assert segment.attributes["scenarist.state"] == "error"
    assert [span.attributes["scenarist.module"] for span in found if span.name == "operation"] == [1, 2]
    assert [span.attributes["scenarist.status"] for span in found if span.name == "request"] == [200, 500]
    assert found[3].status.description == "ConnectionError"
    text = " ".join(span.to_json() for span in found)
    assert "secret-path" not in text
    assert "127.0.0.1" not in text


def test_off_by_default_and_wrong_words_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_TRACES_EXPORTER", raising=False)
    assert not tracing.start("", "test")
    with pytest.raises(SettingsError, match="is none of"):
        tracing.start("jaeger", "test")
    with pytest.raises(SettingsError, match="is not installed"):
        tracing.start("otlp", "test")
    with tracing.span("x") as nothing:
        nothing.note("a", 1)
