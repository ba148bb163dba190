"""Traces from a producer through a real broker and the flow to the results, sent by OTLP to a real receiver."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command import aura
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from operators.kafka_reader import read_committed


class Receiver:
    """Takes spans over OTLP/HTTP, protobuf, and keeps them by their id."""

    def __init__(self) -> None:
        self.spans: dict[str, dict[str, Any]] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"

    def take(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of a request."""
        for resource in request.resource_spans:
            (service,) = (
                a.value.string_value for a in resource.resource.attributes if a.key == "service.name"
            )
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.spans[span.span_id.hex()] = {
                    "trace": span.trace_id.hex(), "parent": span.parent_span_id.hex(), "name": span.name,
                    "service": service,
                }  # fmt: skip

    def lineage(self, span_id: str) -> list[str]:
        """Return the names of the spans from one up to its root."""
        names = []
        while span_id:
            names.append(self.spans[span_id]["name"])
            span_id = self.spans[span_id]["parent"]
        return names


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of this test's own."""
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


def _records(kafka: str, prefix: str) -> list[dict[str, bytes]]:
    parts = {(f"{prefix}aura.cells", number): 0 for number in range(4)}
    return [dict(record.headers) for record in read_committed({"bootstrap_servers": [kafka]}, parts)]


def test_one_trace_from_producer_to_result(
    kafka: str, topics: Callable[..., str], receiver: Receiver, tmp_path: Path
) -> None:
    """Each result's header names the sink's span, whose ancestors lead through every stage to the producer's, in one trace."""
    env = {
        "AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": topics(),
        "AURA_TRACING__ENDPOINT": receiver.endpoint, "AURA_TRACING__SAMPLE": "1",
    }  # fmt: skip
    aura("produce", **env)
    assert {span["name"] for span in receiver.spans.values()} == {"produce"}
    aura("run", "--source", "kafka", "--sink", "kafka", "--until-end", "--out", str(tmp_path), **env)
    traced = [headers["traceparent"].decode() for headers in _records(kafka, env["AURA_KAFKA__PREFIX"])]
    assert traced
    for text in traced:
        _, trace, span, flags = text.split("-")
        assert int(flags, 16) & 1, "sampled"
        assert receiver.lineage(span) == ["sink", "cells", "window", "combine", "source", "produce"]
        at = span
        while at:
            assert receiver.spans[at]["trace"] == trace
            at = receiver.spans[at]["parent"]
    stages = {span["name"] for span in receiver.spans.values() if span["service"] == "aura-flow"}
    assert {"source", "ml_inference_0", "filter_1", "combine", "window", "cells", "sink", "account"} <= stages


def test_without_an_endpoint_there_is_nothing(kafka: str, topics: Callable[..., str], tmp_path: Path) -> None:
    """Results carry no trace, and are the same: a trace is no part of what a result says."""
    env = {"AURA_KAFKA__BOOTSTRAP": kafka, "AURA_KAFKA__PREFIX": topics()}
    aura("produce", **env)
    aura("run", "--source", "kafka", "--sink", "kafka", "--until-end", "--out", str(tmp_path), **env)
    found = _records(kafka, env["AURA_KAFKA__PREFIX"])
    assert found
    assert not any("traceparent" in headers for headers in found)
    digest = json.loads((tmp_path / "summary.json").read_text())["digest"]
    assert digest == "b6b5662a119ab631c1f82f77ff1429375129ba1d8a9eb71ae444428bfbc744f9"
