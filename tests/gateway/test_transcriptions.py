"""POST /v1/audio/transcriptions over a socket: files of keyed digits, whose words depend on their sound."""

import asyncio
import gc
import io
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # ships no types

from support.virtual import run_over_sockets
from system.whole import KEY, Whole
from trunkline.audio import dtmf, pcm, wav
from trunkline.gateway.apis import transcriptions
from trunkline.gateway.apis.form import FIELD_BYTES
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.subjects import Stage
from trunkline.stt.listening import Listening


def keyed(*digits: str, rate_hz: int = SPEECH_RATE_HZ) -> bytes:
    """A WAV file; an utterance each, the first from 1.0 s on."""
    pause = np.zeros(rate_hz, dtype=np.int16)
    parts = [part for said in digits for part in (pause, dtmf.tones(said, rate_hz, tone_ms=100, gap_ms=50))]
    return wav.write_bytes(np.concatenate([*parts, pause]), rate_hz)


class Asking:
    def __init__(self, whole: Whole) -> None:
        self.whole = whole
        self.url = f"{whole.addresses[0].base}/v1/audio/transcriptions"

    async def __call__(self, file: bytes | None = None, *fields: tuple[str, str], model: str = "whisper-1") -> Any:
        """Status, headers and body."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session,
            session.post(self.url, data=form(file, ("model", model), *fields)) as answer,
        ):
            return answer.status, answer.headers, await answer.read()

    async def text(self, file: bytes, *fields: tuple[str, str]) -> str:
        status, _, body = await self(file, *fields)
        assert status == 200, body
        return str(msgspec.json.decode(body)["text"])

    async def refusal(self, file: bytes | None, *fields: tuple[str, str], model: str = "whisper-1") -> tuple[Any, ...]:
        status, _, body = await self(file, *fields, model=model)
        error = msgspec.json.decode(body)["error"]
        return status, error["param"], error["code"]

    def service(self, stage: Stage) -> Any:
        return self.whole.processes[stage]._service


def form(file: bytes | None, *fields: tuple[str, str]) -> aiohttp.FormData:
    made = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields:
        if value:
            made.add_field(name, value)
    if file is not None:
        made.add_field("file", file, filename="a.wav", content_type="audio/wav")
    return made


def asking(script: Callable[[Asking], Awaitable[None]], *says: str, stt: str = "digits") -> None:
    async def main() -> None:
        async with Whole(*says, stt=stt) as whole:
            await script(Asking(whole))
            assert len(whole.gateways[0]._calls.requests) == 0

    run_over_sockets(main())


def test_a_file_is_written_down_with_its_length() -> None:
    async def script(ask: Asking) -> None:
        status, headers, body = await ask(keyed("123", "4567"))

        assert status == 200
        assert headers["Content-Type"].startswith("application/json")
        assert msgspec.json.decode(body) == {"text": "123 4567", "usage": {"type": "duration", "seconds": 4.05}}

    asking(script)


def test_verbose_json_tells_where_each_utterance_was_said() -> None:
    async def script(ask: Asking) -> None:
        _, _, body = await ask(
            keyed("123", "4567"), ("response_format", "verbose_json"), ("timestamp_granularities[]", "segment")
        )

        made = msgspec.json.decode(body)
        first, second = made["segments"]
        assert (made["task"], made["language"], made["duration"], made["text"]) == (
            "transcribe",
            "en",
            4.05,
            "123 4567",
        )
        assert (first["id"], first["text"], second["id"], second["text"]) == (0, "123", 1, "4567")
        assert first["start"] == pytest.approx(1.0, abs=0.15)
        assert first["end"] == pytest.approx(1.45, abs=0.15)
        assert second["start"] == pytest.approx(2.45, abs=0.15)
        assert first.keys() == {
            *("id", "seek", "start", "end", "text", "tokens", "temperature"),
            *("avg_logprob", "compression_ratio", "no_speech_prob"),
        }

    asking(script)


@pytest.mark.parametrize(
    ("name", "begins", "content_type"),
    [
        ("text", "123 4567\n", "text/plain"),
        ("srt", "1\n00:00:0", "text/plain"),
        ("vtt", "WEBVTT\n\n00:00:0", "text/vtt"),
    ],
)
def test_other_forms_are_text(name: str, begins: str, content_type: str) -> None:
    async def script(ask: Asking) -> None:
        _, headers, body = await ask(keyed("123", "4567"), ("response_format", name))

        assert headers["Content-Type"].startswith(content_type)
        assert body.decode().startswith(begins)
        assert "123" in body.decode()
        assert "4567" in body.decode()

    asking(script)


def test_a_stream_has_each_utterance_as_soon_as_it_is_known() -> None:
    async def script(ask: Asking) -> None:
        _, headers, body = await ask(keyed("123", "4567"), ("stream", "true"), model="gpt-4o-transcribe")

        events = [msgspec.json.decode(line.removeprefix(b"data: ")) for line in body.split(b"\n\n") if line]
        assert headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert [(event["type"], event.get("delta") or event.get("text")) for event in events] == [
            ("transcript.text.delta", "123"),
            ("transcript.text.delta", " 4567"),
            ("transcript.text.done", "123 4567"),
        ]
        assert events[-1]["usage"]["type"] == "tokens"

    asking(script)


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("stream", "true")],
        [("response_format", "verbose_json")],
        [("response_format", "srt")],
    ],
    ids=str,
)
def test_silence_is_an_empty_text(fields: list[tuple[str, str]]) -> None:
    async def script(ask: Asking) -> None:
        status, _, body = await ask(wav.write_bytes(np.zeros(3 * SPEECH_RATE_HZ, np.int16), SPEECH_RATE_HZ), *fields)

        assert status == 200
        assert b'"text":""' in body or (fields == [("response_format", "srt")] and not body)

    asking(script)


@pytest.mark.parametrize(("kind", "rate_hz"), [("FLAC", 44_100), ("MP3", 44_100), ("OGG", 48_000)])
def test_files_of_other_kinds_are_written_down_too(kind: str, rate_hz: int) -> None:
    async def script(ask: Asking) -> None:
        clip, target = wav.read_bytes(keyed("123", rate_hz=rate_hz), "file"), io.BytesIO()
        soundfile.write(target, pcm.to_float(clip.samples), rate_hz, format=kind)

        assert await ask.text(target.getvalue()) == "123"

    asking(script)


@pytest.mark.parametrize(
    "fields",
    [
        [("language", "en")],
        [("languages[]", "en"), ("languages[]", "de")],
        [("temperature", "0")],
        [("prompt", "")],
        [("chunking_strategy", "auto")],
        [("stream", "false")],
    ],
    ids=str,
)
def test_what_is_honoured_or_changes_nothing_is_taken(fields: list[tuple[str, str]]) -> None:
    async def script(ask: Asking) -> None:
        assert await ask.text(keyed("123"), *fields) == "123"

    asking(script)


@pytest.mark.parametrize(
    "fields",
    [
        [("chunking_strategy[type]", "server_vad"), ("chunking_strategy[silence_duration_ms]", "1500")],
        [("chunking_strategy", '{"type": "server_vad", "silence_duration_ms": 1500}')],
    ],
    ids=["as the vendor's clients spell it", "as JSON"],
)
def test_a_client_may_say_how_long_a_silence_ends_an_utterance(fields: list[tuple[str, str]]) -> None:
    async def script(ask: Asking) -> None:
        assert await ask.text(keyed("123", "4567"), *fields) == "1234567"

    asking(script)


REFUSED = {
    "no file": (None, [], 400, "file", "missing_required_parameter"),
    "an empty file": (b"", [], 400, "file", "invalid_value"),
    "a letter": (b"Dear Sir or Madam", [], 400, "file", "invalid_value"),
    "a WAV file cut short": (keyed("1")[:-100], [], 400, "file", "invalid_value"),
    "an m4a file": (b"\0\0\0\x20ftypM4A " + bytes(99), [], 400, "file", "not_supported"),
    "diarized_json": (keyed("1"), [("response_format", "diarized_json")], 400, "response_format", "not_supported"),
    "an unknown form": (keyed("1"), [("response_format", "xml")], 400, "response_format", "invalid_value"),
    "a prompt": (keyed("1"), [("prompt", "Names: Ada")], 400, "prompt", "not_supported"),
    "keywords": (keyed("1"), [("keywords[]", "Ada")], 400, "keywords", "not_supported"),
    "a temperature": (keyed("1"), [("temperature", "0.4")], 400, "temperature", "not_supported"),
    "log probabilities": (keyed("1"), [("include[]", "logprobs")], 400, "include", "not_supported"),
    "speakers": (keyed("1"), [("known_speaker_names[]", "Ada")], 400, "known_speaker_names", "not_supported"),
    "times of words": (
        keyed("1"),
        [("response_format", "verbose_json"), ("timestamp_granularities[]", "word")],
        400,
        "timestamp_granularities",
        "not_supported",
    ),
    "times in plain json": (
        keyed("1"),
        [("timestamp_granularities[]", "segment")],
        400,
        "timestamp_granularities",
        "invalid_value",
    ),
    "a stream of srt": (
        keyed("1"),
        [("stream", "true"), ("response_format", "srt")],
        400,
        "response_format",
        "not_supported",
    ),
    "an unknown field": (keyed("1"), [("colour", "red")], 400, "colour", "unknown_parameter"),
    "a field twice": (keyed("1"), [("language", "en"), ("language", "de")], 400, "language", "invalid_value"),
    "a threshold beyond 1": (
        keyed("1"),
        [("chunking_strategy", '{"type":"server_vad","threshold":2}')],
        400,
        "chunking_strategy.threshold",
        "invalid_value",
    ),
    "a strategy that is no JSON": (keyed("1"), [("chunking_strategy", "{")], 400, "chunking_strategy", "invalid_value"),
    "a field as long as a book": (keyed("1"), [("prompt", "x" * (FIELD_BYTES + 1))], 413, None, "too_large"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_by_name(name: str) -> None:
    async def script(ask: Asking) -> None:
        file, fields, *wanted = REFUSED[name]

        assert await ask.refusal(file, *fields) == tuple(wanted)

    asking(script)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        (("response_format", "xml"), "allowed: json, text, srt, verbose_json, vtt"),
        (("upload", "x" * (FIELD_BYTES + 1)), "the field 'upload' is too long; allowed: a `file` of at most "),
    ],
)
def test_a_refusal_says_what_would_be_right(field: tuple[str, str], words: str) -> None:
    async def script(ask: Asking) -> None:
        _, _, body = await ask(keyed("1"), field)

        assert words in msgspec.json.decode(body)["error"]["message"]

    asking(script)


def test_a_model_that_nobody_knows_is_not_found_and_one_that_is_missing_is_asked_for() -> None:
    async def script(ask: Asking) -> None:
        assert await ask.refusal(keyed("1"), model="gpt-realtime") == (404, "model", "model_not_found")
        assert await ask.refusal(keyed("1"), model="") == (400, "model", "missing_required_parameter")

    asking(script)


def test_a_file_that_is_too_large_is_refused_and_its_memory_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(ask: Asking) -> None:
        assert await ask.refusal(keyed("1") * 3) == (413, None, "too_large")
        assert await ask.refusal(bytes(10_000_000)) == (413, None, "too_large")
        assert await ask.text(keyed("123")) == "123"
        await asyncio.sleep(11.0)  # the server reads what is left of a body for a while

    monkeypatch.setattr(transcriptions, "FILE_BYTES", 200_000)
    monkeypatch.setattr(transcriptions, "TOTAL_BYTES", 250_000)
    asking(script)


def test_who_comes_when_too_much_is_uploaded_is_asked_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(ask: Asking) -> None:
        status, headers, _ = await ask(keyed("123"))

        assert (status, headers["Retry-After"]) == (503, "2")

    monkeypatch.setattr(transcriptions, "TOTAL_BYTES", 10_000)
    asking(script)


def test_a_body_that_is_no_form_is_refused() -> None:
    async def script(ask: Asking) -> None:
        bodies = {
            "application/json": b"{}",
            "multipart/form-data; boundary=x": b"--x\r\nnothing of the kind",
            "multipart/form-data": b"",
        }
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
            for content_type, body in bodies.items():
                async with session.post(ask.url, data=body, headers={"Content-Type": content_type}) as answer:
                    assert answer.status == 400, content_type
                    assert (await answer.json())["error"]["type"] == "invalid_request_error"

    asking(script)


def test_words_that_fail_fail_the_request_and_an_open_stream_says_so() -> None:
    async def script(ask: Asking) -> None:
        assert await ask.refusal(keyed("1", "2")) == (500, None, "transcription_failed")
        status, _, body = await ask(keyed("1", "2"), ("stream", "true"))
        assert status == 200
        assert b"transcript.text.done" not in body
        *_, last = [line for line in body.split(b"\n\n") if line]
        assert msgspec.json.decode(last.removeprefix(b"data: "))["error"]["code"] == "transcription_failed"

    asking(script, "hello", "!fail", stt="scripted")


@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_client_that_goes_away_frees_its_place(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(ask: Asking) -> None:
        stage: Any = ask.service("stt")
        asked = asyncio.create_task(ask(keyed("123"), ("stream", stream)))
        await asyncio.sleep(0.5)
        assert stage.load()[0] == 1
        asked.cancel()
        await asyncio.sleep(0.5)

        assert stage.load()[0] == 0

    monkeypatch.setattr(Listening, "enlist", lambda *args, **options: None)  # it never says that it has heard anything
    asking(script)


def test_a_full_stage_asks_the_client_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(ask: Asking) -> None:
        stage: Any = ask.service("stt")
        stage.pool.capacity = 1
        first = asyncio.create_task(ask(keyed("123")))
        await asyncio.sleep(0.5)
        status, headers, body = await ask(keyed("123"))
        first.cancel()
        await asyncio.sleep(0.5)

        assert (status, msgspec.json.decode(body)["error"]["code"]) == (503, "overloaded")
        assert int(headers["Retry-After"]) >= 1

    monkeypatch.setattr(Listening, "enlist", lambda *args, **options: None)
    asking(script)


@pytest.mark.parametrize("how", ["whole", "lost", "gone"])
def test_a_file_is_let_go_of_with_its_request_and_not_when_python_collects_garbage(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held() -> int:
        return sum(isinstance(one, wav.Reader) for one in gc.get_objects())

    async def script(ask: Asking) -> None:
        asked = asyncio.create_task(ask(keyed("123")))
        if how != "whole":
            await asyncio.sleep(0.5)
            assert held() == 1
        for request in ask.whole.gateways[0]._calls.requests if how == "lost" else ():
            request.fail(StageUnavailable("stt", "lost"))
        if how == "gone":
            asked.cancel()
        await asyncio.wait((asked,))
        await asyncio.sleep(0.5)

        assert held() == 0

    if how != "whole":
        monkeypatch.setattr(Listening, "enlist", lambda *args, **options: None)  # it never says that it has heard
    gc.collect()
    gc.disable()
    try:
        asking(script)
    finally:
        gc.enable()
