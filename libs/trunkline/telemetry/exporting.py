"""The recording half of tracing: built on the OpenTelemetry SDK, imported only where spans are exported."""

import threading
from collections.abc import Mapping
from contextvars import ContextVar

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span
from opentelemetry.util.types import AttributeValue

from trunkline.proto.errors import BadSettings

FLUSH_LIMIT_S = 2.0

_forced: ContextVar[tuple[int, int] | None] = ContextVar("trunkline_forced_span_ids", default=None)


class _Ids(RandomIdGenerator):
    """Random ids, but for a call's root span: its ids are derived from the call id."""

    def generate_trace_id(self) -> int:
        forced = _forced.get()
        return forced[0] if forced else super().generate_trace_id()

    def generate_span_id(self) -> int:
        forced = _forced.get()
        return forced[1] if forced else super().generate_span_id()


class Exporting:
    def __init__(self, service: str, worker: str, exporter: SpanExporter | None, sample_ratio: float) -> None:
        self._ratio = TraceIdRatioBased(sample_ratio)
        resource = Resource.create({"service.name": f"trunkline-{service}", "service.instance.id": worker})
        self._provider = TracerProvider(
            resource=resource, sampler=ParentBased(self._ratio), id_generator=_Ids(), shutdown_on_exit=False
        )
        self._exporter = exporter or _otlp_exporter()
        # a given exporter gets each span at once, OTLP gets batches
        processor = SimpleSpanProcessor(exporter) if exporter else BatchSpanProcessor(self._exporter)
        self._provider.add_span_processor(processor)
        self.tracer = self._provider.get_tracer("trunkline")

    def samples(self, trace_id: int) -> bool:
        return self._ratio.should_sample(None, trace_id, "call").decision is Decision.RECORD_AND_SAMPLE

    def root_span(self, name: str, trace_id: int, span_id: int, attributes: Mapping[str, AttributeValue]) -> Span:
        """A span without a parent that has exactly these ids."""
        token = _forced.set((trace_id, span_id))
        try:
            return self.tracer.start_span(name, context=Context(), attributes=attributes)
        finally:
            _forced.reset(token)

    def shutdown(self) -> None:
        """Exports what waits, within FLUSH_LIMIT_S: a dead collector must not hold up the end of a process."""
        flushing = threading.Thread(target=self._provider.force_flush, name="trace-flush", daemon=True)
        flushing.start()
        flushing.join(FLUSH_LIMIT_S)
        if flushing.is_alive():
            self._exporter.shutdown()  # wakes it from waiting for its next try
        self._provider.shutdown()


def _otlp_exporter() -> SpanExporter:
    """Over HTTP, as the OTEL_* variables say. Raises BadSettings."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError as error:
        raise BadSettings(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "is set, but the OTLP exporter is not installed",
            "unset it, or install trunkline[otlp]",
        ) from error
    return OTLPSpanExporter()
