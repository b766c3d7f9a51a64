"""One call is one trace: the trace id and the root span's id are derived from the call id, so any process can join.

Until configure is given an exporter nothing records and a span costs one comparison. No span per audio chunk, no
message content in a span. Propagation: W3C Trace Context (`traceparent`), in headers of text and control only.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import default_getter
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from trunkline.proto.errors import BadSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from trunkline.telemetry.exporting import Exporting

__all__ = [
    "Context",
    "Span",
    "SpanKind",
    "call_context",
    "configure",
    "extract",
    "inject",
    "shutdown",
    "start_call",
    "start_span",
    "under",
]

Attributes = Mapping[str, AttributeValue]
CALL_ATTRIBUTE = "messaging.message.conversation_id"  # OpenTelemetry semantic conventions, messaging
ENDPOINT_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_propagator = TraceContextTextMapPropagator()
_exporting: "Exporting | None" = None


def configure(
    service: str,
    worker: str,
    exporter: "SpanExporter | None" = None,
    *,
    sample_ratio: float = 1.0,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Starts recording if there is an exporter, or an OTLP endpoint in the environment; else switches it off.

    exporter: gets each span as it ends (tests). sample_ratio: share of calls that are traced, 0 to 1, decided by
    the call id alone and so alike in all processes. Raises BadSettings.
    """
    global _exporting
    shutdown()
    if not 0.0 <= sample_ratio <= 1.0:
        raise BadSettings("trace sample ratio", f"is {sample_ratio}", "0 to 1")
    if exporter is None and not any(environ.get(name) for name in ENDPOINT_VARIABLES):
        return
    from trunkline.telemetry.exporting import Exporting  # the SDK is loaded only where spans are recorded

    _exporting = Exporting(service, worker, exporter, sample_ratio)


def shutdown() -> None:
    """Exports what is waiting, then records nothing."""
    global _exporting
    if _exporting is not None:
        _exporting.shutdown()
        _exporting = None


def trace_id_of(call_id: str) -> int:
    return int.from_bytes(hashlib.sha256(call_id.encode()).digest()[:16], "big")


def root_span_id_of(call_id: str) -> int:
    return int.from_bytes(hashlib.sha256(call_id.encode()).digest()[16:24], "big")


def call_context(call_id: str) -> Context:
    """The parent for spans of a call: its root span, which start_call exports."""
    if _exporting is None:
        return Context()
    trace_id = trace_id_of(call_id)
    flags = TraceFlags.SAMPLED if _exporting.samples(trace_id) else TraceFlags.DEFAULT
    root = SpanContext(trace_id, root_span_id_of(call_id), is_remote=True, trace_flags=TraceFlags(flags))
    return trace.set_span_in_context(NonRecordingSpan(root), Context())


def start_call(call_id: str, name: str, attributes: Attributes | None = None) -> None:
    """Exports the call's short root span at its start, so that a call cut short still has its tree."""
    if _exporting is None:
        return
    facts = {**(attributes or {}), CALL_ATTRIBUTE: call_id}
    _exporting.root_span(name, trace_id_of(call_id), root_span_id_of(call_id), facts).end()


def start_span(
    name: str,
    *,
    parent: Context,
    kind: SpanKind = SpanKind.INTERNAL,
    attributes: Attributes | None = None,
) -> Span:
    """The caller ends it. parent: from extract, call_context, or under(span)."""
    if _exporting is None:
        return trace.INVALID_SPAN
    return _exporting.tracer.start_span(name, context=parent, kind=kind, attributes=attributes)


def under(span: Span) -> Context:
    """The parent for spans beneath span, in the same process."""
    return trace.set_span_in_context(span, Context())


def inject(source: Span | Context) -> dict[str, str] | None:
    """Headers that carry source to another process; None when nothing records (a header costs 8 us)."""
    if _exporting is None:
        return None
    context = source if isinstance(source, Context) else under(source)
    if not trace.get_current_span(context).get_span_context().trace_flags.sampled:
        return None
    headers: dict[str, str] = {}
    _propagator.inject(headers, context)
    return headers or None


def extract(headers: Mapping[str, str] | None) -> Context | None:
    """The sender's span; None where there is none: fall back on call_context."""
    if _exporting is None or not headers:
        return None
    context = _propagator.extract(headers, Context(), default_getter)
    return context if trace.get_current_span(context).get_span_context().is_valid else None
