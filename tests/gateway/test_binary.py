"""The binary dialect as a client meets it on a real socket: audio both ways, what is refused, what stays as it is."""

from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from gateway.past_call import LAST, put
from gateway.scene import Session, settle, spoken
from gateway.socket_scene import LIMIT_BYTES, Caller, Event, Server
from gateway.test_coming_back import HEARD_TO_MS, RESUME, TOKEN, agent, says_again, stt
from gateway.test_realtime_socket import kinds, still_works
from support.virtual import run_over_sockets
from trunkline.audio import g711
from trunkline.gateway.dialects.realtime.edge_audio import Mouth
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.proto import response as r

FRAME = bytes(range(256)) * 5  # 40 ms at 16 kHz, and no two samples alike for long
Scenario = Callable[[Server, Caller], Awaitable[None]]


def with_binary(scenario: Scenario, **settings: object) -> None:
    async def main() -> None:
        async with Server(**settings) as server:
            async with server.connect(binary=True) as caller:
                await caller.until("session.created")
                await scenario(server, caller)
            await settle(0.1)
            assert server.service.load()[0] == 0

    run_over_sockets(main())


async def listen_at(caller: Caller, **wanted: object) -> Event:
    await caller.send(type="session.update", session={"type": "realtime", "audio": {"input": {"format": wanted}}})
    session: Event = (await caller.until("session.updated"))["session"]
    return session


def heard(session: Session) -> bytes:
    return b"".join(chunk.pcm for chunk in session.audio)


def test_a_caller_at_the_recognisers_rate_is_heard_as_it_is() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        session = await listen_at(caller, type="audio/pcm", rate=16_000)
        for begin, end in ((0, 640), (640, 642), (642, 1_280)):
            await caller.append(FRAME[begin:end])
        await settle()

        assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 16_000}
        assert heard(server.scene.stt.last) == FRAME

    with_binary(scenario)


def test_a_binary_message_is_in_the_format_of_the_session() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await listen_at(caller, type="audio/pcmu")
        await caller.append(bytes([0x80]) * 8_000)
        await settle()

        samples = np.frombuffer(heard(server.scene.stt.last), np.int16)
        assert len(samples) > 15_000
        assert samples[8_000] == pytest.approx(int(g711.decode_mulaw(b"\x80")[0]), abs=4)

    with_binary(scenario)


def test_of_a_torn_sample_nothing_is_taken() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await listen_at(caller, type="audio/pcm", rate=16_000)
        await caller.append(b"abc")
        error = await caller.error()
        await caller.append(b"")
        await caller.append(FRAME)
        await settle()

        assert (error["param"], error["message"]) == (
            "audio",
            "audio: has an odd number of bytes: 3; allowed: whole 16-bit samples",
        )
        assert heard(server.scene.stt.last) == FRAME

    with_binary(scenario)


def test_what_is_longer_than_any_event_may_be_ends_the_call() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.append(bytes(LIMIT_BYTES + 2))

        assert (await caller.error())["code"] == "event_too_large"
        assert await caller.closed() == 1009

    with_binary(scenario)


def test_audio_as_an_event_is_heard_all_the_same() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await listen_at(caller, type="audio/pcm", rate=16_000)
        await caller.append(FRAME)
        await caller.send(type="input_audio_buffer.append", audio="AQACAA==")
        await settle()

        assert heard(server.scene.stt.last) == FRAME + bytes([1, 0, 2, 0])

    with_binary(scenario)


def test_an_agent_is_heard_in_binary_messages_behind_a_word_on_what_they_are() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await still_works(server, caller)

        assert [kind for kind in kinds(caller) if "audio" in kind or kind == "binary"] == [
            "response.output_audio_transcript.delta",
            "trunkline.audio.stream",
            "binary",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
        ]
        stream = next(event for event in caller.seen if event["type"] == "trunkline.audio.stream")
        done = next(event for event in caller.seen if event["type"] == "response.output_audio.done")
        for name in ("response_id", "item_id", "output_index", "content_index"):
            assert stream[name] == done[name]
        assert (stream["stream"], stream["segment"]) == (1, 0)
        assert stream["format"] == {"type": "audio/pcm", "rate": 24_000}
        messages = [event for event in caller.seen if event["type"] == "binary"]
        assert b"".join(message["audio"] for message in messages) == spoken("Fine.").tobytes()
        assert [message["position"] for message in messages] == [
            sum(len(before["audio"]) // 2 for before in messages[:n]) for n in range(len(messages))
        ]

    with_binary(scenario)


def test_an_agent_is_heard_in_the_format_that_was_asked_for() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        wanted = {"audio": {"output": {"format": {"type": "audio/pcma"}}}}
        await caller.send(type="session.update", session={"type": "realtime"} | wanted)
        await still_works(server, caller)

        mouth = Mouth(Format("audio/pcma"))
        expected = mouth.say(spoken("Fine.").tobytes()) + mouth.rest()
        assert b"".join(event["audio"] for event in caller.seen if event["type"] == "binary") == expected
        stream = next(event for event in caller.seen if event["type"] == "trunkline.audio.stream")
        assert stream["format"] == {"type": "audio/pcma"}

    with_binary(scenario)


def test_stock_clients_say_nothing_in_binary_and_nothing_at_16_khz() -> None:
    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            await caller.socket.send_bytes(FRAME)
            binary = await caller.error()
            wanted = {"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}}
            await caller.send(type="session.update", session={"type": "realtime"} | wanted)
            rate = await caller.error()
            await still_works(server, caller)

        assert binary["message"] == "a binary message is no event; allowed: JSON as text"
        assert rate["message"] == "session.audio.input.format.rate: is 16000; allowed: 24000"

    run_over_sockets(main())


def test_other_rates_are_refused() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for direction in ("input", "output"):
            wanted = {"audio": {direction: {"format": {"type": "audio/pcm", "rate": 22_050}}}}
            await caller.send(type="session.update", session={"type": "realtime"} | wanted)
        told = [(await caller.error())["message"] for _ in range(2)]

        assert told == [
            "session.audio.input.format.rate: is 22050; allowed: 24000 or 16000",
            "session.audio.output.format.rate: is 22050; allowed: 24000",
        ]

    with_binary(scenario)


def test_a_transcription_session_has_no_binary_dialect() -> None:
    async def main() -> None:
        async with Server() as server:
            headers = {"Sec-WebSocket-Protocol": "trunkline.binary.v1"}
            status, body, _ = await server.refused(query={"intent": "transcription"}, headers=headers)

        assert (status, body["error"]["code"]) == (400, "not_supported")

    run_over_sockets(main())


def test_a_client_that_comes_back_is_told_only_what_it_lacks_and_keeps_its_rate() -> None:
    async def main() -> None:
        async with Server() as server:
            await put(server.store)
            async with server.connect(token=TOKEN, binary=True) as caller:
                session = {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}}
                received = [{"item_id": LAST, "segment": 0, "samples": 6_000}]
                resume = {**RESUME, "responses": ["resp_2"], "session": session, "received": received}
                await caller.send(type="trunkline.resume", **resume)
                created = await caller.until("session.created")
                resumed = await caller.until("trunkline.resumed")
                await caller.append(FRAME)
                await settle()
                got = agent(server).all(r.Recall)
                says_again(server)
                await caller.until("response.done")

        assert created["session"]["audio"]["input"]["format"]["rate"] == 16_000
        assert resumed["audio_from_ms"] == HEARD_TO_MS
        assert heard(stt(server)) == FRAME
        assert [one.got.heard_samples for one in got if isinstance(one, r.Recall) and one.got] == [6_000]
        stream = next(event for event in caller.seen if event["type"] == "trunkline.audio.stream")
        assert (stream["stream"], stream["item_id"], stream["segment"]) == (1, LAST, 1)
        audio = b"".join(event["audio"] for event in caller.seen if event["type"] == "binary")
        assert audio == spoken("And you?").tobytes()

    run_over_sockets(main())
