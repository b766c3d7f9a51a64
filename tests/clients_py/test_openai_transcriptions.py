"""Sound files written down for the package `openai`: every form, streamed, and errors as it raises them."""

import numpy as np
import openai
import pytest
from openai.types.audio import (
    Transcription,
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
)

from clients_py.scene import Desk
from clients_py.test_losses import keyed
from support.virtual import run_over_sockets
from trunkline.audio import wav
from trunkline.proto.audio import SPEECH_RATE_HZ

pytestmark = pytest.mark.clients

PAUSE = bytes(2 * SPEECH_RATE_HZ)


def file(*said: str) -> tuple[str, bytes]:
    audio = PAUSE + b"".join(keyed(digits) + PAUSE for digits in said)
    return "said.wav", wav.write_bytes(np.frombuffer(audio, "<i2"), SPEECH_RATE_HZ)


def test_every_form_is_what_the_client_takes_it_for() -> None:
    async def main() -> None:
        async with Desk(stt="digits") as desk, desk.client as client:
            create = client.audio.transcriptions.create
            brief = await create(model="gpt-4o-transcribe", file=file("123", "4567"))
            verbose = await create(
                model="whisper-1",
                file=file("123", "4567"),
                response_format="verbose_json",
                timestamp_granularities=["segment"],
                chunking_strategy={"type": "server_vad", "silence_duration_ms": 400},
            )
            srt = await create(model="whisper-1", file=file("123"), response_format="srt")
            silent = await create(model="gpt-4o-mini-transcribe", file=file())

        Transcription.model_validate(brief.to_dict(), strict=True)
        TranscriptionVerbose.model_validate(verbose.to_dict(), strict=True)
        assert (brief.text, verbose.text, silent.text) == ("123 4567", "123 4567", "")
        assert [segment.text for segment in verbose.segments or ()] == ["123", "4567"]
        assert isinstance(srt, str)
        assert srt.startswith("1\n00:00:00,")

    run_over_sockets(main())


def test_a_stream_is_deltas_that_join_to_the_text() -> None:
    async def main() -> None:
        async with Desk(stt="digits") as desk, desk.client as client:
            stream = await client.audio.transcriptions.create(
                model="gpt-4o-transcribe", file=file("123", "4567"), stream=True
            )
            *deltas, done = [event async for event in stream]

        for event in deltas:
            assert isinstance(event, TranscriptionTextDeltaEvent)
            TranscriptionTextDeltaEvent.model_validate(event.to_dict(), strict=True)
        assert isinstance(done, TranscriptionTextDoneEvent)
        TranscriptionTextDoneEvent.model_validate(done.to_dict(), strict=True)
        assert "".join(event.delta for event in deltas) == done.text == "123 4567"

    run_over_sockets(main())


def test_what_is_refused_is_raised_with_its_parameter() -> None:
    async def main() -> None:
        async with Desk(stt="digits") as desk, desk.client as client:
            create = client.audio.transcriptions.create
            with pytest.raises(openai.BadRequestError) as torn:
                await create(model="whisper-1", file=("said.wav", file("123")[1][:-100]))
            with pytest.raises(openai.NotFoundError) as unknown:
                await create(model="gpt-9-transcribe", file=file("123"))
            with pytest.raises(openai.BadRequestError) as unsupported:
                await create(model="whisper-1", file=file("123"), prompt="Names: Ada")

        assert (torn.value.param, torn.value.type) == ("file", "invalid_request_error")
        assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")
        assert (unsupported.value.param, unsupported.value.code) == ("prompt", "not_supported")

    run_over_sockets(main())
