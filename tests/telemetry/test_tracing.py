import sys
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from trunkline.proto.errors import BadSettings
from trunkline.telemetry import exporting, tracing

CALL = "rtc_01_abc"


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.configure("gateway", "gateway-abc", exporter)
    yield exporter
    tracing.shutdown()


def by_name(exported: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in exported.get_finished_spans()}


def test_spans_of_all_processes_stand_under_the_calls_root(exported: InMemorySpanExporter) -> None:
    tracing.start_call(CALL, "call", {"trunkline.agent": "frontdesk"})
    turn = tracing.start_span("turn", parent=tracing.call_context(CALL))
    headers = tracing.inject(turn)
    context = tracing.extract(headers)
    assert context is not None
    tracing.start_span("agent.response", parent=context).end()
    turn.end()

    spans = by_name(exported)
    assert {span.context.trace_id for span in spans.values() if span.context} == {spans["call"].context.trace_id}
    assert spans["call"].parent is None
    assert spans["turn"].parent is not None
    assert spans["turn"].parent.span_id == spans["call"].context.span_id
    assert spans["agent.response"].parent is not None
    assert spans["agent.response"].parent.span_id == spans["turn"].context.span_id
    assert spans["call"].attributes is not None
    assert spans["call"].attributes["messaging.message.conversation_id"] == CALL


def test_processes_that_never_met_agree_on_a_calls_trace(exported: InMemorySpanExporter) -> None:
    tracing.start_span("one", parent=tracing.call_context(CALL)).end()
    other = InMemorySpanExporter()
    tracing.configure("stt", "stt-abc", other)
    tracing.start_span("two", parent=tracing.call_context(CALL)).end()

    (one,), (two,) = exported.get_finished_spans(), other.get_finished_spans()
    assert one.context.trace_id == two.context.trace_id
    assert one.context.span_id != two.context.span_id


def test_other_calls_have_other_traces(exported: InMemorySpanExporter) -> None:
    tracing.start_call(CALL, "call")
    tracing.start_call("rtc_01_other", "call")

    assert len({span.context.trace_id for span in exported.get_finished_spans()}) == 2


def test_sampling_takes_or_leaves_a_whole_call() -> None:
    exporter = InMemorySpanExporter()
    tracing.configure("gateway", "gateway-abc", exporter, sample_ratio=0.5)
    try:
        for number in range(200):
            call = f"rtc_01_{number}"
            tracing.start_call(call, "call")
            tracing.start_span("turn", parent=tracing.call_context(call)).end()
    finally:
        tracing.shutdown()

    spans = exporter.get_finished_spans()
    roots = {span.context.trace_id for span in spans if span.name == "call"}
    turns = {span.context.trace_id for span in spans if span.name == "turn"}
    assert roots == turns
    assert 60 < len(roots) < 140


def test_an_unsampled_call_carries_no_header() -> None:
    tracing.configure("gateway", "gateway-abc", InMemorySpanExporter(), sample_ratio=0.0)
    try:
        span = tracing.start_span("turn", parent=tracing.call_context(CALL))

        assert tracing.inject(span) is None
    finally:
        tracing.shutdown()


def test_nothing_records_until_an_exporter_is_configured() -> None:
    tracing.configure("gateway", "gateway-abc", environ={})
    tracing.start_call(CALL, "call")
    span = tracing.start_span("turn", parent=tracing.call_context(CALL))

    assert not span.is_recording()
    assert tracing.inject(span) is None
    assert tracing.extract({"traceparent": "00-962145863701a87ca3c89da0210301f2-de49dd79aeb88985-01"}) is None


def test_headers_without_a_readable_parent_give_none(exported: InMemorySpanExporter) -> None:
    assert tracing.extract(None) is None
    assert tracing.extract({}) is None
    assert tracing.extract({"traceparent": "nonsense"}) is None


def test_a_sample_ratio_out_of_range_is_refused() -> None:
    with pytest.raises(BadSettings, match="0 to 1"):
        tracing.configure("gateway", "gateway-abc", InMemorySpanExporter(), sample_ratio=1.5)


def test_an_endpoint_without_the_exporter_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(BadSettings, match=r"install trunkline\[otlp\]"):
        tracing.configure("gateway", "gateway-abc", environ={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


def test_a_dead_collector_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(exporting, "FLUSH_LIMIT_S", 0.1)
    tracing.configure("gateway", "gateway-abc")
    tracing.start_call(CALL, "call")

    began_s = time.monotonic()
    tracing.shutdown()

    assert time.monotonic() - began_s < 1.0
