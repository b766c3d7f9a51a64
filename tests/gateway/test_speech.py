"""POST /v1/audio/speech over real sockets, with TTS workers that do as the test says."""

import asyncio
import base64
import io
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
import soundfile  # type: ignore[import-untyped]  # ships no types

from gateway.scene import SAMPLES_PER_LETTER, TTS_CHUNK, Session, ignore, settle, spoken
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets
from trunkline.gateway.apis import speech, streaming
from trunkline.gateway.synthesis import ORDER_AHEAD
from trunkline.proto import speaking as sp
from trunkline.proto.audio import SAMPLE_BYTES, SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Accepted, Declined
from trunkline.segments import Segmenter

TEXT = "One moment, I am looking that up for you. It is sunny in Oslo, and it will stay so until Friday. Anything else?"
LONG = " ".join(f"This is sentence number {number}, of very many." for number in range(80))
LENGTH_SAMPLES = 20 * SPEECH_RATE_HZ
Scenario = Callable[[Server], Awaitable[None]]


def play(scenario: Scenario, **settings: object) -> None:
    """After it nobody has a request any more."""

    async def main() -> None:
        async with Server(**settings) as server:
            await scenario(server)
            await settle(0.3)
            assert len(server.service._calls.requests) == 0
            assert [worker.name for worker in server.scene.workers if worker.alive and worker.pool.calls] == []

    run_over_sockets(main())


def ask(server: Server, key: str = KEY, **body: object) -> Any:
    given = {"model": "gpt-4o-mini-tts", "input": TEXT, "voice": "ash", "response_format": "pcm"} | body
    asked = {name: value for name, value in given.items() if value is not ...}
    return server.client.post("/v1/audio/speech", json=asked, headers={"Authorization": f"Bearer {key}"})


async def said(server: Server, **body: object) -> bytes:
    async with ask(server, **body) as answer:
        assert answer.status == 200, await answer.text()
        return bytes(await answer.read())


async def refused(server: Server, **body: object) -> tuple[int, dict[str, Any]]:
    async with ask(server, **body) as answer:
        error = (await answer.json())["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return answer.status, error


def segments_of(text: str) -> list[str]:
    segmenter = Segmenter()
    return [*segmenter.feed(text), *segmenter.flush()]


def meant(text: str) -> bytes:
    return b"".join(spoken(part).tobytes() for part in segments_of(text))


def orders(server: Server) -> list[sp.Synthesise]:
    return [one for one in server.scene.tts.last.got if isinstance(one, sp.Synthesise)]


# what is said


def test_a_text_is_said_whole_and_in_order() -> None:
    async def scenario(server: Server) -> None:
        pcm = await said(server)

        assert pcm == meant(TEXT)

    play(scenario)


@pytest.mark.parametrize(
    ("form", "content_type"),
    [(..., "audio/mpeg"), ("opus", "audio/ogg"), ("flac", "audio/flac"), ("wav", "audio/wav")],
)
def test_a_format_has_its_type_and_all_the_sound(form: object, content_type: str) -> None:
    async def scenario(server: Server) -> None:
        async with ask(server, response_format=form) as answer:
            data = await answer.read()

        samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
        wanted = len(meant(TEXT)) // SAMPLE_BYTES
        assert (answer.status, answer.content_type, rate_hz) == (200, content_type, SPEECH_RATE_HZ)
        assert wanted <= len(samples) <= wanted + 3 * 1152

    play(scenario)


def test_the_first_words_are_a_short_clause_and_no_caller_waits_for_them() -> None:
    async def scenario(server: Server) -> None:
        await said(server)

        assert orders(server)[0].text == "One moment, "
        assert "".join(one.text for one in orders(server)) == TEXT
        assert [one for one in orders(server) if one.urgent] == []

    play(scenario)


def test_speed_and_voice_are_those_that_were_asked_for() -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts.accepted = Accepted(voices=("anna", "joe"))
        await said(server, input="Hi there.", voice="anna", speed=1.5)
        assert [(one.voice, one.speed) for one in orders(server)] == [("anna", 1.5)]

        await said(server, input="Hi there.", voice={"id": "joe"})
        assert [(one.voice, one.speed) for one in orders(server)] == [("joe", 1.0)]

    play(scenario)


@pytest.mark.parametrize("voice", ["alloy", "cedar", "fable", {"id": "marin"}, "front"])
def test_a_name_of_the_vendor_s_and_an_alias_mean_the_default_voice(voice: object) -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts.accepted = Accepted(voices=("joe",))

        await said(server, input="Hi there.", voice=voice)

        assert [one.voice for one in orders(server)] == [""]

    play(scenario, model_aliases="front=")


@pytest.mark.parametrize("model", [*speech.SPEECH_MODELS, "our-voice"])
def test_a_model_of_the_vendor_s_and_an_alias_mean_the_engine(model: str) -> None:
    async def scenario(server: Server) -> None:
        assert await said(server, input="Hi there.", model=model) == meant("Hi there.")

    play(scenario, model_aliases="our-voice=tts-1")


@pytest.mark.parametrize("instructions", ["Speak like a pirate.", "", None])
def test_instructions_are_read_and_not_followed(instructions: str | None) -> None:
    async def scenario(server: Server) -> None:
        assert await said(server, input="Hi there.", instructions=instructions) == meant("Hi there.")

    play(scenario)


def test_a_text_without_a_word_is_an_answer_without_a_sound() -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts._react = silent

        assert await said(server, input=" \n") == b""

    play(scenario)


def silent(session: Session, message: Message) -> None:
    if isinstance(message, sp.Synthesise):
        session.say(sp.SegmentSpoken(message.segment, 0))


def test_as_events_the_sound_comes_in_base64_and_ends_with_the_usage() -> None:
    async def scenario(server: Server) -> None:
        async with ask(server, stream_format="sse") as answer:
            text = await answer.text()

        events = [msgspec.json.decode(line.removeprefix("data: ")) for line in text.split("\n\n") if line]
        *deltas, done = events
        assert answer.content_type == "text/event-stream"
        assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
        assert b"".join(base64.b64decode(delta["audio"]) for delta in deltas) == meant(TEXT)
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
        assert done == {"type": "speech.audio.done", "usage": usage}

    play(scenario)


def test_many_small_requests_at_once_are_all_answered() -> None:
    async def scenario(server: Server) -> None:
        texts = [f"This is sentence number {number}." for number in range(40)]

        answers = await asyncio.gather(*(said(server, input=text) for text in texts))

        assert answers == [meant(text) for text in texts]

    play(scenario)


# as it is made


class Slowly:
    """Says so many chunks of each segment, and the rest when it is told to go on."""

    def __init__(self, chunks: int) -> None:
        self.chunks = chunks
        self.going_on = asyncio.Event()
        self.waiting: list[asyncio.Task[None]] = []

    def react(self, session: Session, message: Message) -> None:
        if isinstance(message, sp.Synthesise):
            self.waiting.append(asyncio.create_task(self._speak(session, message)))

    async def _speak(self, session: Session, order: sp.Synthesise) -> None:
        assert isinstance(session.order, sp.Speak)
        samples = spoken(order.text)
        for number, at in enumerate(range(order.from_sample, len(samples), TTS_CHUNK)):
            if number == self.chunks:
                await self.going_on.wait()
            part = samples[at : at + TTS_CHUNK]
            last = at + TTS_CHUNK >= len(samples)
            session.link.send_audio(
                AudioChunk(session.order.handle, session.link.attach, order.segment, at, part.tobytes(), last)
            )
        session.say(sp.SegmentSpoken(order.segment, len(samples)))

    def stop(self) -> None:
        for task in self.waiting:
            task.cancel()


@pytest.mark.parametrize("form", ["pcm", "wav", "mp3", "opus"])
def test_the_first_bytes_come_before_the_last_are_made(form: str) -> None:
    async def scenario(server: Server) -> None:
        slowly = Slowly(chunks=2)
        server.scene.tts._react = slowly.react

        async with ask(server, response_format=form) as answer:
            first = await asyncio.wait_for(answer.content.readany(), 5.0)
            assert first
            slowly.going_on.set()
            rest = await answer.read()

        assert rest

    play(scenario)


def test_the_loss_of_a_worker_in_mid_speech_costs_no_sample_and_repeats_none() -> None:
    async def scenario(server: Server) -> None:
        slowly = Slowly(chunks=3)
        server.scene.tts._react = slowly.react
        second = server.scene.make("tts")
        async with ask(server) as answer:
            begin = await answer.content.readexactly(2 * TTS_CHUNK)
            await second.start()
            await settle(0.2)
            await server.scene.tts.kill()
            rest = await answer.read()

        assert begin + rest == meant(TEXT)
        again = [one for one in second.last.got if isinstance(one, sp.Synthesise)]
        assert (again[0].segment, again[0].from_sample) == (1, 3 * TTS_CHUNK)
        slowly.stop()
        await second.stop()

    play(scenario)


def test_a_worker_that_says_nothing_loses_its_requests() -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts._react = ignore
        asking = asyncio.create_task(said(server))
        await settle(0.5)
        second = server.scene.make("tts")
        await second.start()

        assert await asking == meant(TEXT)
        assert len(second.sessions) == 1
        await second.stop()

    play(scenario)


def test_a_worker_that_is_busy_with_other_requests_keeps_those_that_wait() -> None:
    async def scenario(server: Server) -> None:
        slowly = Slowly(chunks=0)

        def react(session: Session, message: Message) -> None:
            first = session is server.scene.tts.sessions[0]
            (slowly.react if first else once_a_second)(session, message)

        server.scene.tts._react = react
        waiting = asyncio.create_task(said(server))
        await settle(0.5)
        other = asyncio.create_task(said(server, input="One of six, two of six, three."))
        await settle(0.5)
        second = server.scene.make("tts")
        await second.start()
        await other
        slowly.going_on.set()

        assert await waiting == meant(TEXT)
        assert second.sessions == []
        await second.stop()

    play(scenario)


def once_a_second(session: Session, message: Message) -> None:
    """Its sound takes as long to make as a very busy worker needs."""
    if isinstance(message, sp.Synthesise) and isinstance(session.order, sp.Speak):
        handle, attach, loop = session.order.handle, session.link.attach, asyncio.get_running_loop()
        for second in range(8):
            chunk = AudioChunk(handle, attach, message.segment, second * TTS_CHUNK, bytes(TTS_CHUNK * SAMPLE_BYTES))
            loop.call_later(second, session.link.send_audio, chunk)
        loop.call_later(8, session.say, sp.SegmentSpoken(message.segment, 8 * TTS_CHUNK))


def test_audio_that_was_lost_on_its_way_is_ordered_again() -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts_voice.lose = {(1, TTS_CHUNK), (2, 0)}

        assert await said(server) == meant(TEXT)

    play(scenario)


def at_length(session: Session, message: Message) -> None:
    """Twenty seconds for every segment."""
    if isinstance(message, sp.Synthesise) and isinstance(session.order, sp.Speak):
        handle, attach = session.order.handle, session.link.attach
        for at in range(0, LENGTH_SAMPLES, SPEECH_RATE_HZ):
            pcm = bytes(SPEECH_RATE_HZ * SAMPLE_BYTES)
            session.link.send_audio(AudioChunk(handle, attach, message.segment, at, pcm))
        session.say(sp.SegmentSpoken(message.segment, LENGTH_SAMPLES))


def test_a_slow_client_makes_tts_wait() -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts._react = at_length
        async with ask(server, input=LONG) as answer:
            await settle(3.0)
            ordered = len(orders(server))
            got = await answer.read()

        parts = len(segments_of(LONG))
        assert len(got) == parts * LENGTH_SAMPLES * SAMPLE_BYTES
        assert ordered < parts / 2  # some megabytes are in the sockets

    play(scenario)


def test_a_client_that_reads_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "READ_LIMIT_S", 2.0)

    async def scenario(server: Server) -> None:
        server.scene.tts._react = at_length
        async with ask(server, input=LONG) as answer:
            await settle(4.0)

            assert len(server.service._calls.requests) == 0
            with pytest.raises(aiohttp.ClientError):
                await answer.read()

    play(scenario)


# the end before its time


@pytest.mark.parametrize("chunks", [0, 2])
def test_a_client_that_goes_away_silences_tts_and_frees_its_slot(chunks: int) -> None:
    async def scenario(server: Server) -> None:
        slowly = Slowly(chunks)
        server.scene.tts._react = slowly.react
        asking = asyncio.create_task(said(server))
        await settle(0.5)
        assert (server.scene.tts.pool.calls, len(orders(server))) == (1, ORDER_AHEAD)

        asking.cancel()
        await settle(0.5)

        assert server.scene.tts.pool.calls == 0
        assert server.scene.tts.last.closed
        slowly.stop()

    play(scenario)


def test_a_segment_that_fails_before_the_first_byte_is_an_error() -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts_voice.fail = {1}

        status, error = await refused(server)

        assert (status, error["code"], error["type"]) == (500, "speech_failed", "server_error")
        assert "no voice" in error["message"]

    play(scenario)


@pytest.mark.parametrize("form", ["pcm", "mp3"])
def test_a_segment_that_fails_later_breaks_the_connection(form: str) -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts_voice.fail = {2}
        slowly = Slowly(chunks=1)

        def react(session: Session, message: Message) -> None:
            if isinstance(message, sp.Synthesise) and message.segment == 2:
                asyncio.get_running_loop().call_later(0.2, server.scene.tts_voice.react, session, message)
            else:
                slowly.react(session, message)

        server.scene.tts._react = react
        async with ask(server, response_format=form) as answer:
            assert answer.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await answer.read()
        slowly.stop()

    play(scenario)


def test_without_a_worker_it_is_told_when_to_come_back() -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts.declines = Declined("full", "all 8", 4.0)
        async with ask(server) as answer:
            body = await answer.json()

        assert (answer.status, answer.headers["Retry-After"]) == (503, "4")
        assert (body["error"]["code"], body["error"]["type"]) == ("overloaded", "server_error")

    play(scenario)


def test_a_draining_gateway_takes_no_request() -> None:
    async def scenario(server: Server) -> None:
        server.service._calls.requests.draining = True

        status, error = await refused(server)

        assert (status, error["code"]) == (503, "overloaded")

    play(scenario)


# bad input


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"input": ""}, 400, "invalid_value", "input"),
        ({"input": "a" * 4097}, 400, "invalid_value", "input"),
        ({"input": 7}, 400, "invalid_value", "input"),
        ({"input": ["a"]}, 400, "invalid_value", "input"),
        ({"input": ...}, 400, "missing_required_parameter", "input"),
        ({"model": ...}, 400, "missing_required_parameter", "model"),
        ({"voice": ...}, 400, "missing_required_parameter", "voice"),
        ({"model": "gpt-realtime"}, 404, "model_not_found", "model"),
        ({"model": "no-such"}, 404, "model_not_found", "model"),
        ({"voice": "nobody"}, 400, "invalid_value", "voice"),
        ({"voice": {"id": "voice_1234"}}, 400, "invalid_value", "voice"),
        ({"voice": {"name": "ash"}}, 400, "unknown_parameter", "voice.name"),
        ({"voice": None}, 400, "invalid_value", "voice"),
        ({"speed": 0.2}, 400, "invalid_value", "speed"),
        ({"speed": 4.1}, 400, "invalid_value", "speed"),
        ({"speed": "fast"}, 400, "invalid_value", "speed"),
        ({"response_format": "aac"}, 400, "not_supported", "response_format"),
        ({"response_format": "midi"}, 400, "invalid_value", "response_format"),
        ({"stream_format": "websocket"}, 400, "invalid_value", "stream_format"),
        ({"instructions": 1}, 400, "invalid_value", "instructions"),
        ({"volume": 11}, 400, "unknown_parameter", "volume"),
    ],
)
def test_bad_input_gets_an_error_that_names_it(body: dict[str, object], status: int, code: str, param: str) -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts.accepted = Accepted(voices=("joe",))

        got, error = await refused(server, **body)

        assert (got, error["code"], error["param"]) == (status, code, param)
        assert error["type"] == "invalid_request_error"

    play(scenario)


def test_an_unknown_voice_is_told_which_there_are() -> None:
    async def scenario(server: Server) -> None:
        server.scene.tts.accepted = Accepted(voices=("anna", "joe"))

        _, error = await refused(server, voice="nobody")

        assert "anna, joe" in error["message"]

    play(scenario)


def test_an_unknown_format_is_told_which_there_are() -> None:
    async def scenario(server: Server) -> None:
        _, error = await refused(server, response_format="ogg")

        assert error["message"].endswith("allowed: mp3, opus, flac, wav, pcm")

    play(scenario)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"speed": NaN}', b'{"speed": 1e999, "model": "tts-1", "input": "a", "voice": "ash"}', b"\xff"],
)
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    async def scenario(server: Server) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        async with server.client.post("/v1/audio/speech", data=body, headers=headers) as answer:
            error = (await answer.json())["error"]

        assert (answer.status, error["type"]) == (400, "invalid_request_error")
        assert not error["message"].startswith(":")

    play(scenario)


def test_a_body_that_is_too_large_is_refused() -> None:
    async def scenario(server: Server) -> None:
        status, error = await refused(server, input="a" * 500_000)

        assert (status, error["code"]) == (413, "too_large")

    play(scenario)


def test_nobody_without_a_key_is_answered() -> None:
    async def scenario(server: Server) -> None:
        status, error = await refused(server, key="sk-wrong")

        assert (status, error["code"]) == (401, "invalid_api_key")

    play(scenario)


def test_the_longest_text_is_said_whole() -> None:
    async def scenario(server: Server) -> None:
        long = ("word " * 820)[:4096]

        assert len(await said(server, input=long)) == len(long) * SAMPLES_PER_LETTER * SAMPLE_BYTES

    play(scenario)
