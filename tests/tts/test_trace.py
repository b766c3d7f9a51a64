"""The span of a segment, in the trace of its call."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.virtual import run_virtual
from trunkline.proto.speaking import Synthesise
from trunkline.telemetry import tracing
from tts.stage import PieceSynthesiser, Stage


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.configure("tts", "tts-test", exporter)
    yield exporter
    tracing.shutdown()


def test_a_segment_is_one_span_under_its_order_or_else_its_call(exporter: InMemorySpanExporter) -> None:
    async def scenario() -> tuple[str, int]:
        async with Stage(PieceSynthesiser()) as stage:
            caller = stage.caller()
            response = tracing.start_span("response", parent=tracing.call_context(caller.call))
            caller.link.send(Synthesise(1, "one two"), headers=tracing.inject(response))
            caller.order(Synthesise(2, "boom"))
            await caller.until_over(1, 2)
            response.end()
            return caller.call, response.get_span_context().span_id

    call, response_span = run_virtual(scenario())
    tracing.shutdown()
    spans = [span for span in exporter.get_finished_spans() if span.name == "tts.segment"]

    assert [span.context.trace_id for span in spans if span.context] == [tracing.trace_id_of(call)] * 2
    parents = [span.parent.span_id for span in spans if span.parent]
    assert parents == [response_span, tracing.root_span_id_of(call)]
