"""The gateway's part of a call's trace."""

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.scene import Scene, settle
from support.virtual import run_virtual
from trunkline.proto import response as r
from trunkline.proto import speech as s
from trunkline.telemetry import tracing


def test_a_turn_is_a_span_under_the_call_and_travels_with_it() -> None:
    exporter = InMemorySpanExporter()

    async def main() -> str:
        async with Scene() as scene:
            call, _ = await scene.call()
            stt = scene.stt.sessions[0]
            stt.say(s.SpeechStarted(1, 0))
            stt.say(s.SpeechStopped(1, 1600))
            stt.say(s.Final(1, "Hello", 0, 1600))
            await settle(2.0)
            agent = scene.agent.sessions[0]
            [headers] = [h for m, h in zip(agent.got, agent.headers, strict=True) if isinstance(m, r.Turn)]
            call.end("caller_hung_up")
            await settle(3.0)
            assert headers is not None
            return headers["traceparent"]

    tracing.configure("gateway", "gateway-1", exporter)
    try:
        traceparent = run_virtual(main())
    finally:
        tracing.shutdown()

    spans = {span.name: span for span in exporter.get_finished_spans()}
    root, turn = spans["call"], spans["turn"]
    assert root.attributes is not None
    assert root.attributes["trunkline.line"] == "websocket"
    assert turn.context is not None
    assert root.context is not None
    assert turn.parent is not None
    assert turn.parent.span_id == root.context.span_id
    assert traceparent.split("-")[1:3] == [f"{root.context.trace_id:032x}", f"{turn.context.span_id:016x}"]
