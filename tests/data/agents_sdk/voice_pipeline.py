"""The guide's voice program, but for the loudspeaker: every piece of sound is printed, and kept where a file is named.

Without a question it sends three seconds of silence, as the guide does. `--streamed` sends it as from a microphone.
"""

import argparse
import asyncio
import random
import wave

import numpy as np
from agents.voice import AudioInput, SingleAgentVoiceWorkflow, StreamedAudioInput, VoicePipeline
from voice_quickstart import agent

FRAME_S = 0.02
PAUSE_S = 2.0  # behind a question, for the answer's turn to be another one


def read(path: str) -> np.ndarray:
    with wave.open(path, "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16)


async def microphone(stream: StreamedAudioInput, questions: list[str]) -> None:
    frame = int(24_000 * FRAME_S)
    pause = np.zeros(int(24_000 * PAUSE_S), dtype=np.int16)
    samples = np.concatenate([part for path in questions for part in (read(path), pause)])
    for at in range(0, len(samples), frame):
        await stream.add_audio(samples[at : at + frame])
        await asyncio.sleep(FRAME_S)
    await stream.add_audio(None)


async def main(questions: list[str], streamed: bool, kept: str) -> None:
    pipeline = VoicePipeline(workflow=SingleAgentVoiceWorkflow(agent))
    talking = None
    if streamed:
        stream = StreamedAudioInput()
        talking = asyncio.create_task(microphone(stream, questions))
        result = await pipeline.run(stream)
    else:
        buffer = read(questions[0]) if questions else np.zeros(24000 * 3, dtype=np.int16)
        result = await pipeline.run(AudioInput(buffer=buffer))
    sound: list[np.ndarray] = []
    async for event in result.stream():
        if event.type == "voice_stream_event_audio":
            print(event.type, len(event.data))
            sound.append(event.data)
        elif event.type == "voice_stream_event_lifecycle":
            print(event.type, event.event)
    if talking is not None:
        await talking
    if kept:
        with wave.open(kept, "wb") as file:
            file.setframerate(24_000)
            file.setnchannels(1)
            file.setsampwidth(2)
            file.writeframes(np.concatenate(sound).astype("<i2").tobytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("questions", nargs="*")
    parser.add_argument("--streamed", action="store_true")
    parser.add_argument("--kept", default="")
    parser.add_argument("--seed", type=int, help="of the weather")
    given = parser.parse_args()
    random.seed(given.seed)
    asyncio.run(main(given.questions, given.streamed, given.kept))
