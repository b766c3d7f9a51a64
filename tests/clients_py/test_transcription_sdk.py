"""The streamed transcription of `agents.voice`, unchanged: it ends as soon as it has every word, and raises nothing."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from agents.voice import StreamedAudioInput, STTModelSettings
from agents.voice.models.openai_stt import OpenAISTTModel, STTWebsocketConnectionError

from clients_py.scene import Desk
from support.virtual import run_over_sockets
from system.test_transcription_sessions import RATE_HZ, quiet, said
from trunkline.audio.pcm import Samples

STEP_SAMPLES = RATE_HZ // 10
LIMIT_S = 20.0  # the client itself would wait for 1000 s


async def transcribed(
    desk: Desk, parts: Sequence[Samples], pace: float, settings: STTModelSettings | None = None
) -> tuple[list[str], float]:
    """The turns, and seconds from the end of the audio to the end of the session. pace: 0 for all at once."""
    given = StreamedAudioInput()
    model = OpenAISTTModel("gpt-4o-transcribe", desk.client)
    session = await model.create_session(given, settings or STTModelSettings(), False, False)
    ended_s = 0.0

    async def speak() -> None:
        nonlocal ended_s
        audio = np.concatenate(parts)
        for at in range(0, len(audio), STEP_SAMPLES):
            await given.add_audio(audio[at : at + STEP_SAMPLES])
            await asyncio.sleep(STEP_SAMPLES / RATE_HZ / pace if pace else 0)
        ended_s = asyncio.get_running_loop().time()
        await given.add_audio(None)

    speaking = asyncio.create_task(speak())
    async with asyncio.timeout(600):
        turns = [turn async for turn in session.transcribe_turns()]
    await speaking
    return turns, asyncio.get_running_loop().time() - ended_s


@pytest.mark.clients
@pytest.mark.parametrize("pace", [0, 1])
def test_every_turn_is_told_and_the_session_ends_with_the_last(pace: float) -> None:
    async def main() -> None:
        async with Desk(stt="digits") as desk:
            turns, ending_s = await transcribed(desk, [quiet(0.5), said("12", "345", "6")], pace)

            assert "".join(turns).replace(" ", "") == "123456"
            assert ending_s < LIMIT_S

    run_over_sockets(main())


@pytest.mark.clients
@pytest.mark.parametrize("cut_s", [0.6, 1.0, 1.4, 2.0])
def test_an_input_that_ends_in_mid_word_or_mid_pause_ends_the_session_too(cut_s: float) -> None:
    async def main() -> None:
        async with Desk(stt="digits") as desk:
            turns, ending_s = await transcribed(desk, [said("123", "456")[: round(cut_s * RATE_HZ)]], 1)

            assert turns[0].startswith("1")
            assert ending_s < LIMIT_S

    run_over_sockets(main())


@pytest.mark.clients
@pytest.mark.parametrize("parts", [[quiet(3.0)], [quiet(0.02)]])
def test_an_input_of_silence_ends_without_a_word(parts: list[Samples]) -> None:
    async def main() -> None:
        async with Desk(stt="digits") as desk:
            turns, ending_s = await transcribed(desk, parts, 1)

            assert turns == []
            assert ending_s < LIMIT_S

    run_over_sockets(main())


@pytest.mark.clients
def test_a_client_s_own_turn_detection_is_taken() -> None:
    async def main() -> None:
        async with Desk(stt="digits") as desk:
            server_vad = STTModelSettings(turn_detection={"type": "server_vad", "silence_duration_ms": 300})
            turns, _ = await transcribed(desk, [said("12", "34", pause_s=0.6)], 1, server_vad)

            assert turns == ["12", "34"]

    run_over_sockets(main())


@pytest.mark.clients
def test_a_model_that_there_is_not_is_told_to_the_client() -> None:
    async def main() -> None:
        async with Desk(stt="digits") as desk:
            given = StreamedAudioInput()
            model = OpenAISTTModel("nobody", desk.client)
            session = await model.create_session(given, STTModelSettings(), False, False)
            with pytest.raises(STTWebsocketConnectionError) as told:
                _ = [turn async for turn in session.transcribe_turns()]

            assert "model_not_found" in str(told.value.__cause__)

    run_over_sockets(main())
