"""The Realtime endpoint as clients meet it: real sockets, the workers in memory; bad input gets a clear answer."""

import contextlib
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
import pytest

from gateway.scene import settle
from gateway.socket_scene import LIMIT_BYTES, Caller, Event, Server
from support.virtual import run_over_sockets
from trunkline.gateway.dialects.realtime.peer import Peer
from trunkline.proto import response as r
from trunkline.proto import speech as s
from trunkline.proto.placement import Declined

SILENCE = bytes(4_800)  # 100 ms at 24 kHz


def with_caller(
    scenario: Callable[[Server, Caller], Awaitable[None]],
    prepare: Callable[[Server], None] = lambda _: None,
    **settings: object,
) -> None:
    async def main() -> None:
        async with Server(**settings) as server:
            prepare(server)
            async with server.connect() as caller:
                await caller.until("session.created")
                await scenario(server, caller)
            await settle(0.1)
            assert server.service.load()[0] == 0

    run_over_sockets(main())


async def still_works(server: Server, caller: Caller) -> None:
    """The call goes on as if nothing had been sent."""
    await caller.send(
        type="conversation.item.create",
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    )
    await caller.send(type="response.create", event_id="after")
    done = await caller.until("response.done")
    assert response(done)["status"] == "completed"


def response(event: Event) -> Event:
    found = event["response"]
    assert isinstance(found, dict)
    return found


def kinds(caller: Caller) -> list[str]:
    names = [str(event["type"]) for event in caller.seen]
    return [name for i, name in enumerate(names) if i == 0 or name != names[i - 1]]


def test_a_spoken_turn_comes_in_the_order_of_the_protocol() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        for _ in range(5):
            await caller.append(SILENCE)
        await settle()
        stt = server.scene.stt.sessions[0]
        stt.say(s.SpeechStarted(1, 800))
        stt.say(s.SpeechStopped(1, 7000))
        stt.say(s.Final(1, "How are you?", 800, 7000))
        done = await caller.until("response.done")

        assert kinds(caller) == [
            "session.created",
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "conversation.item.input_audio_transcription.delta",
            "conversation.item.input_audio_transcription.completed",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio_transcript.delta",
            "response.output_audio.delta",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        assert all(event["event_id"] for event in caller.seen)
        assert caller.seen[1]["audio_start_ms"] == 50
        [item] = response(done)["output"]
        assert item["phase"] == "final_answer"
        assert item["content"] == [{"type": "output_audio", "transcript": "Fine."}]
        assert response(done)["usage"] == {
            "total_tokens": 7,
            "input_tokens": 3,
            "output_tokens": 4,
            "input_token_details": {"text_tokens": 3, "audio_tokens": 0},
            "output_token_details": {"text_tokens": 4, "audio_tokens": 0},
        }

    with_caller(scenario)


def test_no_event_holds_a_null_but_the_session_and_what_stands_before_the_first_item() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await still_works(server, caller)

        for event in caller.seen[1:]:
            assert b":null" not in msgspec.json.encode({k: v for k, v in event.items() if k != "previous_item_id"})

    with_caller(scenario)


def test_a_transcript_is_stored_before_it_is_told() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        stt = server.scene.stt.sessions[0]
        stt.say(s.SpeechStarted(1, 0))
        stt.say(s.SpeechStopped(1, 100))
        stt.say(s.Final(1, "How are you?", 0, 100))
        told = await caller.until("conversation.item.input_audio_transcription.completed")
        await caller.send(type="conversation.item.retrieve", item_id=told["item_id"])
        got = await caller.until("conversation.item.retrieved")

        assert isinstance(got["item"], dict)
        assert got["item"]["content"] == [{"type": "input_audio", "transcript": "How are you?"}]

    with_caller(scenario)


def bad(type_: str, **fields: object) -> str:
    return msgspec.json.encode({"type": type_, "event_id": "e1"} | fields).decode()


APPEND, CREATE, UPDATE = "input_audio_buffer.append", "conversation.item.create", "session.update"
FORMAT = {"audio": {"input": {"format": {"type": "audio/mp3"}}}}
PSYCHIC = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "psychic_vad"}}}}
IMAGE = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": "x"}]}
CUT = {"item_id": "x", "content_index": 0, "audio_end_ms": 1}
BAD = {  # what -> (sent, param, code, echoed event_id)
    "text that is no JSON": ("{nonsense", "", "invalid_json", None),
    "a deep nest": ('{"x": ' + "[" * 10_000, "", "invalid_json", None),
    "JSON that is no object": ("[1, 2]", "", "invalid_value", None),
    "no type": ('{"event_id": "e1"}', "type", "missing_required_parameter", "e1"),
    "an unknown type": (bad("nonsense"), "type", "unknown_event_type", "e1"),
    "a type not served yet": (bad("transcription_session.update"), "type", "not_supported", "e1"),
    "a word on what WebRTC plays": (bad("output_audio_buffer.clear"), "type", "not_supported", "e1"),
    "audio that is no base64": (bad(APPEND, audio="%%%"), "audio", "invalid_value", "e1"),
    "audio of odd length": (bad(APPEND, audio="AAAA"), "audio", "invalid_value", "e1"),
    "audio that is a number": (bad(APPEND, audio=5), "audio", "invalid_value", "e1"),
    "no audio": (bad(APPEND), "audio", "missing_required_parameter", "e1"),
    "an empty commit": (
        bad("input_audio_buffer.commit"),
        "input_audio_buffer",
        "input_audio_buffer_commit_empty",
        "e1",
    ),
    "a cancel of nothing": (bad("response.cancel"), "response_id", "response_cancel_not_active", "e1"),
    "an item that isn't there": (
        bad("conversation.item.retrieve", item_id="x"),
        "item_id",
        "item_retrieve_invalid_item_id",
        "e1",
    ),
    "a cut of no item": (bad("conversation.item.truncate", **CUT), "item_id", "item_truncate_invalid_item_id", "e1"),
    "a tool without a name": (
        bad(UPDATE, session={"type": "realtime", "tools": [{}]}),
        "session.tools[0].name",
        "missing_required_parameter",
        "e1",
    ),
    "an unknown format": (bad(UPDATE, session=FORMAT), "session.audio.input.format.type", "invalid_value", "e1"),
    "an unknown setting": (bad(UPDATE, session={"colour": 1}), "session.colour", "unknown_parameter", "e1"),
    "an unknown VAD": (
        bad(UPDATE, session=PSYCHIC),
        "session.audio.input.turn_detection.type",
        "invalid_value",
        "e1",
    ),
    "a session without its type": (
        bad(UPDATE, session={"tools": []}),
        "session.type",
        "missing_required_parameter",
        "e1",
    ),
    "a setting of the beta": (bad(UPDATE, session={"voice": "ash"}), "session.voice", "unknown_parameter", "e1"),
    "a model that isn't there": (
        bad(UPDATE, session={"type": "realtime", "model": "whatever"}),
        "session.model",
        "model_not_found",
        "e1",
    ),
    "no image": (bad(CREATE, item=IMAGE), "item.content[0].image_url", "invalid_image_url", "e1"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_an_error_with_its_event_id_and_the_call_goes_on(what: str) -> None:
    text, param, code, event_id = BAD[what]

    async def scenario(server: Server, caller: Caller) -> None:
        await caller.socket.send_str(text)
        error = await caller.error()

        assert (error.get("param", ""), error["code"], error.get("event_id")) == (param, code, event_id)
        assert error["message"]
        await still_works(server, caller)

    with_caller(scenario)


def test_a_binary_message_gets_an_error() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.socket.send_bytes(b"\x00\x01")
        assert "binary" in str((await caller.error())["message"])
        await still_works(server, caller)

    with_caller(scenario)


def test_a_torn_append_loses_nothing_of_the_others() -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.append(SILENCE)
        await caller.append(b"\x01\x02\x03")
        await caller.append(SILENCE)
        await caller.send(type="input_audio_buffer.commit")
        await caller.until("input_audio_buffer.committed")
        await settle()

        stt = server.scene.stt.sessions[0]
        assert sum(len(chunk.pcm) // 2 for chunk in stt.audio) == 3_200
        [finish] = stt.all(s.Finish)
        assert isinstance(finish, s.Finish)
        assert finish.to_sample == 3_200

    with_caller(scenario)


@pytest.mark.parametrize("text", ["x" * (LIMIT_BYTES + 1), "x" * LIMIT_BYTES * 5, "\u6f22" * (LIMIT_BYTES // 2)])
def test_an_oversized_message_closes_the_socket_with_1009(text: str) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.socket.send_str(text)
        code = await caller.closed()
        await settle(0.1)

        assert code == 1009
        if len(text) < LIMIT_BYTES * 4:
            assert [e["error"]["code"] for e in caller.seen if e["type"] == "error"] == ["event_too_large"]
        assert server.scene.stt.sessions[0].closed

    with_caller(scenario)


@pytest.mark.parametrize("moment", ["mid-utterance", "mid-answer"])
def test_a_client_whose_line_breaks_is_waited_for_and_leaves_no_call_behind(moment: str) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        await caller.append(SILENCE)
        await settle()
        stt = server.scene.stt.sessions[0]
        stt.say(s.SpeechStarted(1, 0))
        if moment == "mid-answer":
            server.scene.agent_mind.answer = "A long answer that goes on for quite a while."
            stt.say(s.SpeechStopped(1, 800))
            stt.say(s.Final(1, "Hello", 0, 800))
            await caller.until("response.output_audio.delta")
        async with server.connect() as other:
            await other.until("session.created")
            assert caller.socket._response.connection is not None
            caller.socket._response.connection.transport.abort()  # type: ignore[union-attr]  # as a line that breaks
            await settle(0.2)

            assert server.service.load()[0] == 2
            await settle(0.3)
            assert stt.closed == server.scene.agent.sessions[0].closed == "lost"
            assert server.service.load()[0] == 1
            await still_works(server, other)

    with_caller(scenario, resume_window_s=0.4)


@pytest.mark.parametrize("key", ["", "sk-wrong", "sk-tes", "s\u00fc"])
def test_a_wrong_key_is_refused_before_the_upgrade(key: str) -> None:
    async def main() -> None:
        async with Server() as server:
            status, body, _ = await server.refused(key.encode("latin-1").decode("latin-1"))

            assert status == 401
            assert body["error"]["code"] == "invalid_api_key"
            assert server.scene.stt.sessions == []

    run_over_sockets(main())


def test_an_unknown_model_is_refused_before_the_upgrade() -> None:
    async def main() -> None:
        async with Server() as server:
            server.scene.agent.declines = Declined("unknown_agent", "no agent 'nobody'")
            status, body, _ = await server.refused(model="nobody")

            assert status == 404
            assert body["error"]["code"] == "model_not_found"
            assert body["error"]["param"] == "model"

    run_over_sockets(main())


def test_no_room_is_an_answer_with_a_time_to_come_back() -> None:
    async def main() -> None:
        async with Server() as server:
            server.scene.tts.declines = Declined("full")
            status, body, retry_after = await server.refused()

            assert (status, retry_after) == (503, "1")
            assert body["error"]["type"] == "server_error"

    run_over_sockets(main())


def test_a_refusal_for_want_of_room_ends_its_connection_so_that_the_next_try_may_reach_another_gateway() -> None:
    async def main() -> None:
        async with Server() as server:
            server.scene.tts.declines = Declined("full")
            url = f"http://127.0.0.1:{server.service.port}/v1/realtime"
            with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
                await server.client.ws_connect(url, headers={"Authorization": "Bearer sk-test"})

            assert refusal.value.headers is not None
            assert refusal.value.headers["Connection"] == "close"

    run_over_sockets(main())


@pytest.mark.parametrize(
    ("model", "agent"), [("gpt-realtime-2", ""), ("night", "nightdesk"), ("frontdesk", "frontdesk")]
)
def test_a_model_names_an_agent_or_an_alias(model: str, agent: str) -> None:
    async def main() -> None:
        async with Server(model_aliases="night=nightdesk") as server, server.connect(model=model) as caller:
            await caller.until("session.created")

            order = server.scene.agent.sessions[0].order
            assert isinstance(order, r.Converse)
            assert order.agent == agent

    run_over_sockets(main())


def test_a_stage_that_nobody_takes_over_is_told_and_the_socket_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.gateway.staffing.REPLACE_LIMIT_S", 0.2)

    async def scenario(server: Server, caller: Caller) -> None:
        server.scene.agent.silence()
        code = await caller.closed()

        assert code == 1011
        assert caller.seen[-1]["error"]["code"] == "stage_lost"

    with_caller(scenario)


def bug(*args: object) -> None:
    raise RuntimeError("a bug")


def test_a_client_whose_session_a_bug_keeps_from_beginning_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            code = await caller.closed()

            assert code == 1011
            assert server.service.load()[0] == 0

    monkeypatch.setattr(Peer, "greet", bug)
    run_over_sockets(main())


def test_a_client_whom_a_bug_kept_from_being_told_the_end_is_let_go_when_it_says_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(server: Server, caller: Caller) -> None:
        monkeypatch.setattr(Peer, "on_event", bug)
        server.service._calls.hang_up(caller.seen[0]["session"]["id"])
        await caller.append(SILENCE)
        code = await caller.closed()

        assert code == 1000

    with_caller(scenario)


def test_a_client_that_reads_too_slowly_is_cut_off_and_its_call_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.gateway.socket.LIMIT_BYTES", 2_000)

    async def scenario(server: Server, caller: Caller) -> None:
        caller.reads_no_more()
        with contextlib.suppress(ConnectionError):
            for _ in range(300):  # more than the kernel keeps for it
                await caller.send(type="session.update", session={"type": "realtime", "instructions": "x" * 35_000})
        await settle(0.2)

        assert server.service.sockets._open == set()
        assert (server.scene.stt.sessions[0].closed, server.service.load()[0]) == ("", 1)
        await settle(server.settings.resume_window_s)
        assert (server.scene.stt.sessions[0].closed, server.service.load()[0]) == ("lost", 0)

    with_caller(scenario)


def test_calls_workers_and_records_need_a_key_and_say_what_is_missing() -> None:
    async def main() -> None:
        async with Server() as server:
            assert (await server.get("/v1/calls", key="sk-no"))[0] == 401
            assert await server.get("/v1/calls") == (200, [])
            status, body = await server.get("/v1/calls/rtc_00_nobody")
            assert (status, body["error"]["code"]) == (404, "call_not_found")
            assert (await server.get("/v1/calls/..%2f"))[0] == 404
            status, body = await server.get("/v1/nowhere")
            assert (status, body["error"]["code"]) == (404, "not_found")
            status, workers = await server.get("/v1/workers")
            assert [w["stage"] for w in workers if w["stage"] != "gateway"] == ["agent", "stt", "tts"]
            assert set(workers[0]) >= {"stage", "worker", "pid", "calls", "capacity", "draining", "version", "digest"}

    run_over_sockets(main())
