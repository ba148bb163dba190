"""Spans of OpenTelemetry for the batches that are traced, from the producer's record to the result's, over OTLP.

    produce       a share of the records; its traceparent goes into the record's header
    source        from the header; a batch that joins several traced records follows the first
    stages        each call that has the batch, its parent the source
    combine       what goes to the shards
    window        of a window's traced batches the last is the parent: what the others brought is in the result too
    cells, sink   the results; the sink's traceparent goes into the header of each record

A batch that is not traced costs a look at its field; without an endpoint nothing is wrapped at all. What a producer does
not sample is not traced here either.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from flows.settings.operations import Tracing
from operators.batch import Batch
from operators.cells import Cells
from operators.closing import Closed
from operators.message import Message
from operators.wrap import Call, Site

__all__ = ["Tracer", "tracing"]

_W3C = TraceContextTextMapPropagator()
_FLUSH_MS = 5_000


@contextmanager
def tracing(settings: Tracing, *, role: str) -> "Iterator[Tracer]":
    """Yield a tracer whose spans are sent off when the block ends at the latest.

    Parameters
    ----------
    settings
        Where spans go: they have an endpoint.
    role
        What the process is: the name of its service.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": f"aura-{role}"}))
    exporter = OTLPSpanExporter(f"{str(settings.endpoint).rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield Tracer(provider, settings.sample)
    finally:
        provider.force_flush(_FLUSH_MS)
        provider.shutdown()


class Tracer:
    """Makes the spans of one process.

    Parameters
    ----------
    provider
        Of OpenTelemetry.
    sample
        Share of the records that are traced from here on.
    """

    def __init__(self, provider: TracerProvider, sample: float) -> None:
        self._tracer, self._sample, self._random = provider.get_tracer("aura"), sample, Random()
        self._closing: dict[
            int, tuple[str, int]
        ] = {}  # by window step: the last traced batch, and how far it came

    def produce(self, topic: str, partition: int) -> dict[str, str]:
        """Return the headers of the next record: those of a new trace, or none."""
        if self._random.random() >= self._sample:
            return {}
        attributes = {
            "messaging.destination.name": topic,
            "messaging.destination.partition.id": str(partition),
        }
        span = self._tracer.start_span("produce", Context(), attributes=attributes)
        span.end()
        return {"traceparent": _traceparent(span)}

    def around(self, site: Site, call: Call) -> Call:
        """Return `call` with spans for what is traced in it."""
        if site.method == "next_batch":
            site.part.traced = True
            return self._source(call)
        if site.method == "on_batch":
            return self._window(site, call)
        if site.method == "write_batch":
            return self._sink(call)
        return self._stage(site, call) if site.method == "map" else call

    def _source(self, call: Call) -> Call:
        def read() -> Any:
            start_ns, batches = time.time_ns(), call()
            for batch in batches:
                if batch.trace:
                    attributes = {"events": len(batch), "origin": str(batch.origin)}
                    batch.trace = self._span("source", batch.trace, start_ns, attributes)
            return batches

        return read

    def _stage(self, site: Site, call: Call) -> Call:
        def run(items: list[Any]) -> Any:
            parent = next(filter(None, map(_trace, items)), "")
            if not parent:
                return call(items)
            start_ns, found = time.time_ns(), call(items)
            trace = self._span(site.step, parent, start_ns, {"items": len(items)})
            return [_with_trace(item, trace) for item in found]

        return run

    def _window(self, site: Site, call: Call) -> Call:
        step = id(site.part)

        def run(values: list[Any]) -> Any:
            latest = next((v for v in reversed(values) if _trace(v) and isinstance(v, Message)), None)
            if latest is not None:
                self._closing[step] = latest.trace, max(mark.watermark_us for mark in latest.marks)
            elif step not in self._closing:
                return call(values)
            start_ns, (found, ended) = time.time_ns(), call(values)
            return self._closed(site.step, step, found, start_ns), ended

        return run

    def _closed(self, name: str, step: int, found: Any, start_ns: int) -> Any:
        """Return results with the trace of the last batch, those of windows that begin after it without."""
        parent, reached_us = self._closing[step]
        windows = [each for each in found if isinstance(each, Closed)]
        if not windows:
            return found
        if all(int(each.start_us[0]) > reached_us for each in windows):
            del self._closing[step]
            return found
        trace = self._span(name, parent, start_ns, {"results": len(found)})
        return [
            each._replace(trace=trace)
            if isinstance(each, Closed) and int(each.start_us[0]) <= reached_us
            else each
            for each in found
        ]

    def _sink(self, call: Call) -> Call:
        def write(values: Sequence[Any]) -> Any:
            start_ns = time.time_ns()
            for value in values:
                if isinstance(value, Cells) and value.trace:
                    value.trace = self._span("sink", value.trace, start_ns, {"rows": len(value)})
            return call(values)

        return write

    def _span(self, name: str, parent: str, start_ns: int, attributes: dict[str, Any]) -> str:
        """End a span that began at `start_ns`; return its traceparent, empty if the parent says not to trace."""
        context = _W3C.extract({"traceparent": parent})
        if not get_current_span(context).get_span_context().is_valid:  # a producer may send anything
            return ""
        span = self._tracer.start_span(name, context, attributes=attributes, start_time=start_ns)
        span.end()
        return _traceparent(span) if span.get_span_context().trace_flags.sampled else ""


def _traceparent(span: Span) -> str:
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, set_span_in_context(span, Context()))
    return carrier.get("traceparent", "")


def _trace(item: Any) -> str:
    """Return the trace of an item of a step, which may be paired with a key."""
    value = item[1] if type(item) is tuple and len(item) == 2 else item
    return str(getattr(value, "trace", ""))


def _with_trace(item: Any, trace: str) -> Any:
    """Return what a traced call brought, made part of that trace; batches stay with their source."""
    if type(item) is tuple and len(item) == 2:
        return item[0], _with_trace(item[1], trace)
    if isinstance(item, Message):
        return item._replace(trace=trace)
    if isinstance(item, Cells):
        item.trace = trace
    elif isinstance(item, Batch) and not trace:
        item.trace = ""
    return item
