"""A response, its rounds and what it hands on stand in one tree, beneath the turn that asked for it."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agent.scene import CALL, Scene
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Script, Words
from trunkline.proto.response import Say
from trunkline.telemetry import tracing


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    memory = InMemorySpanExporter()
    tracing.configure("agent", "ag", memory)
    yield memory
    tracing.shutdown()


def test_rounds_stand_beneath_the_response_and_segments_carry_it_on(exporter: InMemorySpanExporter) -> None:
    async def scenario() -> list[dict[str, str]]:
        script: Script = [[[Words("Let me look.", "commentary"), Call("lookup", {})], [Words("Here.", "final_answer")]]]
        async with Scene(script) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)
            return [
                dict(headers or {})
                for message, headers in zip(scene.told, scene.headers, strict=True)
                if isinstance(message, Say)
            ]

    headers = run_virtual(scenario())
    tracing.shutdown()
    spans = exporter.get_finished_spans()

    response = next(span for span in spans if span.name == "agent.response")
    assert response.context is not None
    rounds = [span for span in spans if span.name == "chat scripted"]
    assert len(rounds) == 2
    assert {response.context.span_id} == {span.parent.span_id for span in rounds if span.parent}
    assert {tracing.trace_id_of(CALL)} == {span.context.trace_id for span in spans if span.context}
    carried = f"{response.context.trace_id:032x}-{response.context.span_id:016x}"
    assert all(carried in sent["traceparent"] for sent in headers)
    assert headers
