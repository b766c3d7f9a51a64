"""A client's session over a real socket: what it changes at the workers, and which events follow from it."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.scene import settle
from gateway.socket_scene import Caller, Server
from gateway.test_realtime_socket import SILENCE, kinds, still_works, with_caller
from trunkline.proto import placement
from trunkline.proto import response as r
from trunkline.proto import speech as s
from trunkline.telemetry import tracing

TRANSCRIPTION = "conversation.item.input_audio_transcription"


async def update(caller: Caller, **session: object) -> dict[str, object]:
    await caller.send(type="session.update", session={"type": "realtime"} | session)
    echoed: dict[str, object] = (await caller.until("session.updated"))["session"]
    return echoed


async def says(server: Server, caller: Caller, number: int, text: str) -> None:
    for _ in range(5):
        await caller.append(SILENCE)
    await settle()
    begin = (number - 1) * 8_000
    for fact in (
        s.SpeechStarted(number, begin + 800),
        s.SpeechStopped(number, begin + 7_000),
        s.Final(number, text, begin + 800, begin + 7_000),
    ):
        server.scene.stt.sessions[0].say(fact)


def with_two_agents(server: Server) -> None:
    server.scene.agent.attached = r.Attached("frontdesk", "d1", agents=("frontdesk", "nightdesk"))


def test_a_model_of_the_session_is_an_agent_that_is_summoned_once() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        models = [(await update(caller, model=name))["model"] for name in ("gpt-realtime-2.1", "night", "night")]
        await settle()

        assert models == ["gpt-realtime-2.1", "night", "night"]
        assert server.scene.agent.sessions[0].all(r.Summon) == [r.Summon("nightdesk")]
        await still_works(server, caller)

    with_caller(scenario, with_two_agents, model_aliases="night=nightdesk")


def test_words_that_stand_are_told_while_the_caller_speaks() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for _ in range(20):
            await caller.append(SILENCE)
        await settle()
        for fact in (
            s.SpeechStarted(1, 800),
            s.Partial(1, "Where is", 8_000),
            s.Partial(1, "Where is my order", 16_000),
            s.SpeechStopped(1, 24_000),
            s.Final(1, "Where is my order?", 800, 24_000),
        ):
            server.scene.stt.sessions[0].say(fact)
        await caller.until(f"{TRANSCRIPTION}.completed")

        assert [event["delta"] for event in caller.seen if event["type"] == f"{TRANSCRIPTION}.delta"] == [
            "Where is",
            " my order?",
        ]

    with_caller(scenario)


def test_semantic_vad_reaches_the_recogniser() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await update(caller, audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}})
        await settle()

        assert server.scene.stt.sessions[0].all(s.Tune) == [s.Tune(s.TurnRules(silence_ms=1_000, unfinished_ms=8_000))]

    with_caller(scenario)


def test_without_transcription_the_agent_hears_the_words_and_the_client_does_not() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await update(caller, audio={"input": {"transcription": None}})
        await says(server, caller, 1, "How are you?")
        await caller.until("response.done")
        assert not [kind for kind in kinds(caller) if kind.startswith(TRANSCRIPTION)]
        await update(caller, audio={"input": {"transcription": {"model": "whisper-1"}}})
        await says(server, caller, 2, "And now?")
        delta = await caller.until(f"{TRANSCRIPTION}.delta")
        completed = await caller.next()

        assert (delta["delta"], completed["type"], completed["transcript"]) == (
            "And now?",
            f"{TRANSCRIPTION}.completed",
            "And now?",
        )
        assert [m.text for m in server.scene.agent.sessions[0].got if isinstance(m, r.Turn)] == [
            "How are you?",
            "And now?",
        ]

    with_caller(scenario)


def test_an_idle_timeout_is_told_in_the_order_of_the_protocol() -> None:
    referee = pytest.importorskip("openai.types.realtime", reason="the referee isn't installed")
    timed_out = "input_audio_buffer.timeout_triggered"

    async def scenario(server: Server, caller: Caller) -> None:
        await update(caller, audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
        await still_works(server, caller)
        begin = len(caller.seen)
        for _ in range(60):
            await caller.append(SILENCE)
            await settle(0.1)
        told = await caller.until(timed_out)
        await caller.until("response.done")

        after = [str(event["type"]) for event in caller.seen[begin:]]
        assert after[:6] == [
            timed_out,
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            f"{TRANSCRIPTION}.completed",
            "response.created",
        ]
        referee.InputAudioBufferTimeoutTriggered.model_validate(told, strict=True)
        assert {event["item_id"] for event in caller.seen[begin : begin + 2]} == {told["item_id"]}
        assert told["audio_end_ms"] - told["audio_start_ms"] == pytest.approx(5000, abs=300)

    with_caller(scenario)


def test_a_voice_that_the_engine_has_not_is_refused_and_the_session_stays() -> None:
    def one_voice(server: Server) -> None:
        server.scene.tts.accepted = placement.Accepted(voices=("joe",))

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(
            type="session.update",
            event_id="e1",
            session={"type": "realtime", "instructions": "Rhyme.", "audio": {"output": {"voice": "zoe"}}},
        )
        error = await caller.error()
        session = await update(caller, audio={"output": {"voice": "joe"}})

        assert (error["param"], error["event_id"]) == ("session.audio.output.voice", "e1")
        assert session["instructions"] == ""

    with_caller(scenario, one_voice)


def test_a_client_names_its_calls_trace() -> None:
    exporter = InMemorySpanExporter()

    async def scenario(server: Server, caller: Caller) -> None:
        for _ in range(2):
            await update(caller, tracing={"workflow_name": "desk", "group_id": "g1"})
        await update(caller, instructions="Rhyme.")

    tracing.configure("gateway", "gateway-1", exporter)
    try:
        with_caller(scenario)
    finally:
        tracing.shutdown()

    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert [span.name for span in exporter.get_finished_spans()].count("session") == 1
    assert (
        dict(spans["session"].attributes or {}).items()
        >= {
            "trunkline.workflow_name": "desk",
            "trunkline.group_id": "g1",
        }.items()
    )
    assert spans["session"].context is not None
    assert spans["call"].context is not None
    assert spans["session"].context.trace_id == spans["call"].context.trace_id
