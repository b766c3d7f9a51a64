"""A transcription session over a real socket, with an STT worker that does as the test says."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from gateway.scene import settle
from gateway.socket_scene import LIMIT_BYTES, Caller, Event, Server
from support.virtual import run_over_sockets
from trunkline.gateway.dialects.realtime import transcription_endpoint
from trunkline.proto import placement
from trunkline.proto import speech as s

WORDS = "conversation.item.input_audio_transcription"
EMPTY = bytes(9_600)  # 200 ms
Scenario = Callable[[Server, Caller], Awaitable[None]]


def with_session(
    scenario: Scenario, before: Callable[[Server], None] = lambda server: None, **settings: object
) -> None:
    async def main() -> None:
        async with Server(**settings) as server:
            before(server)
            async with server.transcribe(intent="transcription") as caller:
                await caller.until("session.created")
                await scenario(server, caller)
            await settle(0.1)

            assert server.scene.stt.pool.calls == 0
            assert server.scene.agent.sessions == []
            assert server.scene.tts.sessions == []
            assert await server.store.summaries() == []

    run_over_sockets(main())


async def update(caller: Caller, **audio_in: object) -> Any:
    await caller.send(type="session.update", session={"type": "transcription", "audio": {"input": audio_in}})
    return (await caller.until("session.updated"))["session"]


async def tells(server: Server, *facts: Any) -> None:
    for fact in facts:
        server.scene.stt.last.say(fact)
    await settle()


async def still_works(server: Server, caller: Caller) -> None:
    await caller.append(EMPTY)
    await caller.send(type="input_audio_buffer.commit", event_id="last")
    await caller.until("input_audio_buffer.committed")


def kinds(caller: Caller) -> list[str]:
    return [event["type"] for event in caller.seen]


def deltas(caller: Caller) -> list[str]:
    return [event["delta"] for event in caller.seen if event["type"] == f"{WORDS}.delta"]


# the session


def test_it_begins_with_a_session_of_its_own_kind() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        session = caller.seen[0]["session"]

        assert caller.seen[0]["type"] == "session.created"
        assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
        assert session["id"].startswith("sess_")
        assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
        assert session["audio"]["input"]["turn_detection"]["create_response"] is False
        assert set(session["audio"]) == {"input"}

    with_session(scenario)


def test_an_update_changes_what_it_names_and_nothing_else_and_reaches_the_recogniser() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await update(caller, transcription={"model": "whisper-1", "language": "en"}, format={"type": "audio/pcmu"})
        session = await update(caller, turn_detection={"type": "semantic_vad", "eagerness": "high"})
        await settle()

        heard = session["audio"]["input"]
        assert heard["transcription"] == {"model": "whisper-1", "language": "en"}
        assert heard["format"] == {"type": "audio/pcmu"}
        assert heard["turn_detection"] == {
            "type": "semantic_vad",
            "eagerness": "high",
            "create_response": False,
            "interrupt_response": False,
        }
        assert server.scene.stt.last.all(s.Tune) == [s.Tune(s.TurnRules(silence_ms=300, unfinished_ms=2_000))]

    with_session(scenario)


def test_the_model_of_the_address_is_the_transcription_s() -> None:
    async def main() -> None:
        async with Server() as server, server.transcribe(intent="transcription", model="gpt-4o-transcribe") as caller:
            session = (await caller.until("session.created"))["session"]

            assert session["audio"]["input"]["transcription"] == {"model": "gpt-4o-transcribe"}

    run_over_sockets(main())


def test_a_key_that_is_bound_to_a_transcription_opens_one_and_says_so_when_it_is_made() -> None:
    async def main() -> None:
        bound = {
            "type": "transcription",
            "audio": {"input": {"turn_detection": None, "transcription": {"model": "gpt-4o-mini-transcribe"}}},
        }
        async with Server() as server:
            status, secret = await server.mint({"session": bound})
            async with server.transcribe(secret["value"]) as caller:
                session = (await caller.until("session.created"))["session"]
            refused, _, _ = await server.refused(secret["value"], query={"intent": "sideband"})

            assert status == 200
            assert secret["session"]["object"] == "realtime.transcription_session"
            assert secret["session"]["id"].startswith("sess_")
            for told in (session, secret["session"]):
                assert told["type"] == "transcription"
                assert told["audio"]["input"]["turn_detection"] is None
                assert told["audio"]["input"]["transcription"] == {"model": "gpt-4o-mini-transcribe"}
            assert refused == 400

    run_over_sockets(main())


def test_a_key_that_is_bound_to_speech_to_speech_opens_no_transcription() -> None:
    async def main() -> None:
        async with Server() as server:
            _, secret = await server.mint({"session": {"type": "realtime"}})
            status, body, _ = await server.refused(secret["value"], query={"intent": "transcription"})

            assert (status, body["error"]["param"]) == (400, "session.type")
            assert server.scene.stt.sessions == []

    run_over_sockets(main())


BOUND: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "instructions": ({"instructions": "Be kind."}, 400, "session.instructions", "not_supported"),
    "an unknown model": (
        {"audio": {"input": {"transcription": {"model": "nobody"}}}},
        404,
        "session.audio.input.transcription.model",
        "model_not_found",
    ),
    "an unknown field": ({"colour": 1}, 400, "session.colour", "unknown_parameter"),
}


@pytest.mark.parametrize("what", BOUND)
def test_what_a_transcription_cannot_have_is_bound_to_no_key(what: str) -> None:
    session, status, param, code = BOUND[what]

    async def main() -> None:
        async with Server() as server:
            got, body = await server.mint({"session": {"type": "transcription"} | session})

            assert (got, body["error"]["param"], body["error"]["code"]) == (status, param, code)

    run_over_sockets(main())


REFUSED: dict[str, tuple[dict[str, str], int, str, str]] = {
    "another intent": ({"intent": "translation"}, 400, "intent", "not_supported"),
    "an unknown model": ({"intent": "transcription", "model": "nobody"}, 404, "model", "model_not_found"),
    "a call beside it": ({"intent": "transcription", "call_id": "rtc_1"}, 400, "call_id", "not_supported"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_an_address_cannot_ask_for_is_refused_before_the_upgrade(what: str) -> None:
    query, status, param, code = REFUSED[what]

    async def main() -> None:
        async with Server() as server:
            got, body, _ = await server.refused(query=query)

            assert (got, body["error"]["param"], body["error"]["code"]) == (status, param, code)
            assert server.scene.stt.sessions == []

    run_over_sockets(main())


def test_without_a_recogniser_or_with_a_wrong_key_it_is_refused_before_the_upgrade() -> None:
    async def main() -> None:
        async with Server() as server:
            stranger, body, _ = await server.refused("sk-wrong", query={"intent": "transcription"})
            server.scene.stt.declines = placement.Declined("full", "")
            full, busy, again_s = await server.refused(query={"intent": "transcription"})

            assert (stranger, body["error"]["code"]) == (401, "invalid_api_key")
            assert (full, busy["error"]["code"]) == (503, "overloaded")
            assert int(again_s) >= 1

    run_over_sockets(main())


# what is heard


def test_an_utterance_is_told_in_the_order_of_the_protocol() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for _ in range(5):
            await caller.append(EMPTY)
        await settle()
        await tells(server, s.SpeechStarted(1, 800), s.SpeechStopped(1, 7_200), s.Final(1, "Hello.", 800, 7_200))
        done = await caller.until(f"{WORDS}.completed")
        await caller.send(type="conversation.item.retrieve", item_id=done["item_id"])
        kept = (await caller.until("conversation.item.retrieved"))["item"]

        assert kinds(caller)[1:-1] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            f"{WORDS}.delta",
            f"{WORDS}.completed",
        ]
        assert len({event["item_id"] for event in caller.seen if "item_id" in event}) == 1
        assert caller.seen[1]["audio_start_ms"] == 50
        assert caller.seen[2]["audio_end_ms"] == 450
        assert (done["transcript"], done["usage"]) == ("Hello.", {"type": "duration", "seconds": 0.4})
        assert kept["content"] == [{"type": "input_audio", "transcript": "Hello."}]

    with_session(scenario)


def test_words_that_stand_are_told_while_they_are_spoken() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for _ in range(10):
            await caller.append(EMPTY)
        await settle()
        await tells(
            server,
            s.SpeechStarted(1, 800),
            s.Partial(1, "Book a tax", 16_000),
            s.Partial(1, "Book a taxi", 20_000),
            s.Partial(1, "Book a taxi for nine", 24_000),
            s.SpeechStopped(1, 28_000),
            s.Final(1, "Book a taxi for nine.", 800, 28_000),
        )
        done = await caller.until(f"{WORDS}.completed")

        assert deltas(caller) == ["Book a", " taxi", " for nine."]
        assert done["transcript"] == "Book a taxi for nine."

    with_session(scenario)


def test_words_that_fail_are_told_as_failed() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for _ in range(5):
            await caller.append(EMPTY)
        await settle()
        await tells(server, s.SpeechStarted(1, 800), s.SpeechStopped(1, 7_200), s.RecognitionFailed(1, "no memory"))
        failed = await caller.until(f"{WORDS}.failed")

        assert failed["error"]["message"] == "no memory"

    with_session(scenario)


def test_the_end_of_the_input_is_answered_for_every_item_even_without_words() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.append(EMPTY)
        await caller.send(type="input_audio_buffer.commit", event_id="end")
        await caller.send(type="input_audio_buffer.clear")
        await caller.until("input_audio_buffer.cleared")
        [finish] = server.scene.stt.last.all(s.Finish)
        assert isinstance(finish, s.Finish)
        await tells(server, s.Final(finish.utterance, "", finish.from_sample, finish.to_sample))
        done = await caller.until(f"{WORDS}.completed")

        assert kinds(caller).index("input_audio_buffer.committed") < kinds(caller).index("input_audio_buffer.cleared")
        assert done["transcript"] == ""

    with_session(scenario)


def test_a_commit_of_nothing_is_answered_with_its_own_error_and_the_clear_all_the_same() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="input_audio_buffer.commit", event_id="end")
        await caller.send(type="input_audio_buffer.clear")
        error = await caller.error()
        await caller.until("input_audio_buffer.cleared")

        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "end")

    with_session(scenario)


# bad input


VAD = {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6_000}}
SESSIONS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no type": ({"audio": {}}, "session.type", "missing_required_parameter"),
    "speech to speech": ({"type": "realtime", "instructions": "Be kind."}, "session.type", "invalid_value"),
    "instructions": ({"type": "transcription", "instructions": "Be kind."}, "session.instructions", "not_supported"),
    "tools": ({"type": "transcription", "tools": []}, "session.tools", "not_supported"),
    "a voice": ({"type": "transcription", "audio": {"output": {}}}, "session.audio.output", "not_supported"),
    "an unknown field": ({"type": "transcription", "colour": 1}, "session.colour", "unknown_parameter"),
    "another id": ({"type": "transcription", "id": "sess_mine"}, "session.id", "invalid_value"),
    "probabilities": (
        {"type": "transcription", "include": ["item.input_audio_transcription.logprobs"]},
        "session.include",
        "not_supported",
    ),
    "no transcription": (
        {"type": "transcription", "audio": {"input": {"transcription": None}}},
        "session.audio.input.transcription",
        "invalid_value",
    ),
    "an unknown model": (
        {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe-diarize"}}}},
        "session.audio.input.transcription.model",
        "model_not_found",
    ),
    "a prompt": (
        {"type": "transcription", "audio": {"input": {"transcription": {"prompt": "ships"}}}},
        "session.audio.input.transcription.prompt",
        "not_supported",
    ),
    "a language that the recogniser doesn't know": (
        {"type": "transcription", "audio": {"input": {"transcription": {"language": "fr"}}}},
        "session.audio.input.transcription.language",
        "not_supported",
    ),
    "noise reduction": (
        {"type": "transcription", "audio": {"input": {"noise_reduction": {"type": "near_field"}}}},
        "session.audio.input.noise_reduction",
        "not_supported",
    ),
    "a response to silence": (
        {"type": "transcription", "audio": {"input": VAD}},
        "session.audio.input.turn_detection.idle_timeout_ms",
        "not_supported",
    ),
    "no session": ([], "session", "invalid_value"),  # type: ignore[dict-item]  # as a client may send it
}


@pytest.mark.parametrize("what", SESSIONS)
def test_a_session_that_cannot_be_had_is_refused_by_name_and_nothing_changes(what: str) -> None:
    session, param, code = SESSIONS[what]

    def speaks_english(server: Server) -> None:
        server.scene.stt.accepted = placement.Accepted(languages=("en",))

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="session.update", event_id="mine", session=session)
        error = await caller.error()

        assert (error["param"], error["code"], error["event_id"]) == (param, code, "mine")
        assert await update(caller) == caller.seen[0]["session"]
        await still_works(server, caller)

    with_session(scenario, speaks_english)


ITEM = {"type": "message", "role": "user", "content": []}
EVENTS: dict[str, tuple[Event, str, str]] = {
    "a response": ({"type": "response.create"}, "type", "not_supported"),
    "an item": ({"type": "conversation.item.create", "item": ITEM}, "type", "not_supported"),
    "a truncation": (
        {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 0},
        "type",
        "not_supported",
    ),
    "an event of the beta": ({"type": "transcription_session.update", "session": {}}, "type", "not_supported"),
    "no event of the protocol": ({"type": "session.close"}, "type", "unknown_event_type"),
    "an update without a session": ({"type": "session.update"}, "session", "missing_required_parameter"),
    "an item that isn't there": (
        {"type": "conversation.item.retrieve", "item_id": "item_none"},
        "item_id",
        "item_retrieve_invalid_item_id",
    ),
    "audio that is no base64": ({"type": "input_audio_buffer.append", "audio": "?"}, "audio", "invalid_value"),
    "half a sample": ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "audio", "invalid_value"),
}


@pytest.mark.parametrize("what", EVENTS)
def test_an_event_that_cannot_be_had_is_refused_by_name_and_the_session_goes_on(what: str) -> None:
    event, param, code = EVENTS[what]

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(**event, event_id="mine")
        error = await caller.error()

        assert (error["param"], error["code"], error["event_id"]) == (param, code, "mine")
        await still_works(server, caller)

    with_session(scenario)


def test_a_speech_to_speech_session_becomes_no_transcription() -> None:
    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            await caller.send(type="session.update", session={"type": "transcription"}, event_id="mine")
            error = await caller.error()

            assert (error["param"], error["code"], error["event_id"]) == ("session.type", "not_supported", "mine")
            assert "?intent=transcription" in error["message"]

    run_over_sockets(main())


def test_what_is_no_json_and_what_is_binary_is_answered() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.socket.send_str("{")
        broken = await caller.error()
        await caller.socket.send_bytes(b"\0")
        binary = await caller.error()

        assert broken["code"] == "invalid_json"
        assert "binary" in binary["message"]
        await still_works(server, caller)

    with_session(scenario)


def test_an_event_that_is_too_large_ends_the_session() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.send(type="input_audio_buffer.append", audio=base64.b64encode(bytes(LIMIT_BYTES)).decode())
        error = await caller.error()

        assert error["code"] == "event_too_large"
        assert await caller.closed() == 1009

    with_session(scenario)


# the end


def test_a_client_whose_line_breaks_frees_its_place() -> None:
    async def main() -> None:
        async with Server() as server, server.transcribe(intent="transcription") as caller:
            await caller.until("session.created")
            taken = server.scene.stt.pool.calls
            caller.breaks()
            await settle(0.2)

            assert (taken, server.scene.stt.pool.calls) == (1, 0)

    run_over_sockets(main())


def test_a_session_that_hears_nothing_ends_with_a_word_on_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcription_endpoint, "IDLE_S", 20.0)

    async def scenario(server: Server, caller: Caller) -> None:
        await asyncio.sleep(15.0)
        await caller.append(EMPTY)
        began_s = asyncio.get_running_loop().time()
        message = await asyncio.wait_for(caller.socket.receive(), 60.0)

        assert '"session_idle"' in message.data
        assert 19.0 < asyncio.get_running_loop().time() - began_s < 21.0
        assert await caller.closed() == 1000

    with_session(scenario)


def test_a_gateway_that_goes_down_says_so() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await server.service.drain(0.0)
        error = await caller.error()

        assert error["code"] == "draining"
        assert await caller.closed() == 1001

    with_session(scenario)


def test_a_recogniser_that_is_lost_for_good_is_told() -> None:
    async def main() -> None:
        async with Server() as server, server.transcribe(intent="transcription") as caller:
            await caller.until("session.created")
            await server.scene.stt.kill()
            event = await asyncio.wait_for(caller.socket.receive(), 60.0)

            assert event.type is aiohttp.WSMsgType.TEXT
            assert '"stage_lost"' in event.data
            assert await caller.closed() == 1011

    run_over_sockets(main())
