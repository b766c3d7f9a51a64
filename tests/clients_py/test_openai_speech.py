"""A text read aloud for the package `openai`: whole, streamed, many at once, and each refusal as its own error."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import AsyncOpenAI

from clients_py.scene import Desk
from support.virtual import run_over_sockets
from trunkline.proto.audio import SAMPLE_BYTES, SPEECH_RATE_HZ
from trunkline.segments import Segmenter

pytestmark = pytest.mark.clients

TEXT = "One moment, I am looking that up for you. It is sunny in Oslo."
LONG = " ".join(f"This is sentence number {number}." for number in range(20))
SEGMENT_BYTES = SPEECH_RATE_HZ * 300 // 1000 * SAMPLE_BYTES  # of the desk's tone
SPEECH: Any = {"model": "gpt-4o-mini-tts", "voice": "ash", "response_format": "pcm"}


def length(text: str) -> int:
    """In bytes."""
    segmenter = Segmenter()
    return len([*segmenter.feed(text), *segmenter.flush()]) * SEGMENT_BYTES


def play(scenario: Callable[[AsyncOpenAI], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Desk() as desk, desk.client as client:
            await scenario(client)

    run_over_sockets(main())


def test_speech_comes_whole() -> None:
    async def scenario(client: AsyncOpenAI) -> None:
        speech = await client.audio.speech.create(input=TEXT, **SPEECH)

        assert len(speech.content) == length(TEXT)

    play(scenario)


def test_speech_is_streamed_as_the_voice_pipeline_asks_for_it() -> None:
    async def scenario(client: AsyncOpenAI) -> None:
        streaming = client.audio.speech.with_streaming_response
        asked: Any = {"speed": openai.omit, "extra_body": {"instructions": "Speak with warmth."}}
        async with streaming.create(input=TEXT, **SPEECH, **asked) as speech:
            pieces = [piece async for piece in speech.iter_bytes(chunk_size=1024)]

        assert {len(piece) for piece in pieces[:-1]} == {1024}
        assert sum(map(len, pieces)) == length(TEXT)

    play(scenario)


def test_speech_is_written_to_a_file_in_the_default_format(tmp_path: Path) -> None:
    async def scenario(client: AsyncOpenAI) -> None:
        streaming = client.audio.speech.with_streaming_response
        async with streaming.create(input=TEXT, model="tts-1", voice="alloy") as speech:
            await speech.stream_to_file(tmp_path / "speech.mp3")

        assert speech.headers["Content-Type"] == "audio/mpeg"
        assert (tmp_path / "speech.mp3").read_bytes()[:2] == b"\xff\xf3"  # a frame of MPEG-2 layer III

    play(scenario)


def test_many_pieces_of_an_answer_are_asked_for_at_once() -> None:
    async def scenario(client: AsyncOpenAI) -> None:
        texts = [f"This is sentence number {number} of the answer." for number in range(30)]

        made = await asyncio.gather(*(client.audio.speech.create(input=text, **SPEECH) for text in texts))

        assert [len(speech.content) for speech in made] == [length(text) for text in texts]

    play(scenario)


@pytest.mark.parametrize(
    ("wrong", "kind", "param"),
    [
        ({"model": "no-such"}, openai.NotFoundError, "model"),
        ({"input": ""}, openai.BadRequestError, "input"),
        ({"response_format": "aac"}, openai.BadRequestError, "response_format"),
        ({"speed": 9.0}, openai.BadRequestError, "speed"),
        ({"extra_body": {"pitch": 2}}, openai.BadRequestError, "pitch"),
    ],
)
def test_what_is_wrong_is_an_error_of_the_clients_own(
    wrong: dict[str, Any], kind: type[openai.APIStatusError], param: str
) -> None:
    async def scenario(client: AsyncOpenAI) -> None:
        with pytest.raises(kind) as refusal:
            await client.audio.speech.create(**{"input": TEXT, **SPEECH, **wrong})

        assert (refusal.value.param, refusal.value.type) == (param, "invalid_request_error")

    play(scenario)


def test_a_loss_that_nobody_makes_good_is_an_error_and_no_end_of_the_speech() -> None:
    async def main() -> None:
        async with Desk(segment_ms=60_000) as desk, desk.client as client:
            streaming = client.audio.speech.with_streaming_response
            async with streaming.create(input=LONG, **SPEECH) as speech:
                pieces = speech.iter_bytes(chunk_size=1024)
                await anext(pieces)
                await desk.processes["tts"].bus.close()

                with pytest.raises(httpx2.RemoteProtocolError, match="incomplete"):
                    async for _ in pieces:
                        pass

    run_over_sockets(main())
