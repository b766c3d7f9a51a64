"""Transcription sessions over the STT service: every word comes once, however it is sent and whoever dies."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import numpy as np
import pytest

from support.realtime_referee import require_vendors
from support.virtual import run_over_sockets
from system.whole import KEY, Whole
from trunkline.audio import dtmf
from trunkline.audio.pcm import Samples, to_float
from trunkline.stt.settings import SttSettings

RATE_HZ = 24_000
STEP_S = 0.1
DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"
Event = dict[str, Any]


def quiet(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE_HZ), dtype=np.int16)


def keyed(digits: str) -> Samples:
    return dtmf.tones(digits, RATE_HZ)


def said(*digits: str, pause_s: float = 1.0) -> Samples:
    """An utterance for each, and a pause after it."""
    return np.concatenate([part for one in digits for part in (keyed(one), quiet(pause_s))])


class Session:
    """A client of the protocol. seen: all that it got."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.seen: list[Event] = []

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind, **fields})

    async def next(self) -> Event:
        message = await self.socket.receive(30)
        assert message.type is aiohttp.WSMsgType.TEXT, message
        self.seen.append(msgspec.json.decode(message.data))
        require_vendors(self.seen[-1])
        return self.seen[-1]

    async def until(self, kind: str) -> Event:
        while (await self.next())["type"] != kind:
            pass
        return self.seen[-1]

    async def update(self, **audio_in: Any) -> Event:
        await self.send("session.update", session={"type": "transcription", "audio": {"input": audio_in}})
        return await self.until("session.updated")

    async def says(self, samples: Samples, *, pace: float = 1.0) -> None:
        """pace: as a multiple of real time, 0 for all at once."""
        step = round(STEP_S * RATE_HZ)
        for at in range(0, len(samples), step):
            audio = base64.b64encode(samples[at : at + step].tobytes()).decode()
            await self.send("input_audio_buffer.append", audio=audio)
            if pace:
                await asyncio.sleep(STEP_S / pace)

    async def ends(self) -> None:
        """As the vendor's client does, until it has what it waits for."""
        await self.send("input_audio_buffer.commit", event_id="end")
        await self.send("input_audio_buffer.clear")
        while not self._is_over:
            await self.next()

    @property
    def _is_over(self) -> bool:
        committed = {event["item_id"] for event in self.all("input_audio_buffer.committed")}
        completed = {event["item_id"] for event in self.all(COMPLETED)}
        return bool(self.all("input_audio_buffer.cleared")) and committed == completed

    def all(self, kind: str) -> list[Event]:
        return [event for event in self.seen if event["type"] == kind]

    @property
    def texts(self) -> list[str]:
        """Of items with words."""
        return [event["transcript"] for event in self.all(COMPLETED) if event["transcript"]]

    @property
    def digits(self) -> str:
        return "".join(self.texts).replace(" ", "")


@asynccontextmanager
async def session(whole: Whole) -> AsyncIterator[Session]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            f"{whole.addresses[0].realtime}?intent=transcription", headers={"Authorization": f"Bearer {KEY}"}
        ) as socket,
    ):
        made = Session(socket)
        await made.until("session.created")
        yield made


def test_each_utterance_is_an_item_with_its_words_and_the_end_is_answered() -> None:
    async def main() -> None:
        async with Whole(stt="digits") as whole, session(whole) as mine:
            await mine.update(turn_detection={"type": "semantic_vad"}, transcription={"model": "gpt-4o-transcribe"})
            await mine.says(said("12", "345"))
            await mine.ends()

            assert mine.texts == ["12", "345"]
            assert mine.all("error") == []

    run_over_sockets(main())


@pytest.mark.parametrize("pace", [0, 20, 2, 1])
@pytest.mark.parametrize("cut_s", [0.4, 1.0, 1.3, 1.5, 2.3])
def test_whoever_stops_anywhere_at_any_pace_gets_every_word_once(pace: float, cut_s: float) -> None:
    """cut_s: of speech and pauses, at which the client ends it."""

    async def main() -> None:
        audio = said("123", "456", "78")[: round(cut_s * RATE_HZ)]
        whole_digits = dtmf.read(to_float(audio), RATE_HZ)
        async with Whole(stt="digits") as whole, session(whole) as mine:
            await mine.says(audio, pace=pace)
            await mine.ends()

            assert mine.digits == whole_digits.replace(" ", "")

    run_over_sockets(main())


def test_audio_that_comes_much_faster_than_it_is_said_is_heard_whole() -> None:
    async def main() -> None:
        numbers = [f"{number:03d}" for number in range(30)]
        async with Whole(stt="digits") as whole, session(whole) as mine:
            await mine.says(said(*numbers), pace=0)
            await mine.ends()

            assert mine.digits == "".join(numbers)
            assert mine.texts[:20] == numbers[:20]

    run_over_sockets(main())


def test_who_pushes_to_talk_commits_and_long_speech_is_committed_for_it() -> None:
    async def main() -> None:
        numbers = [f"{number:02d}" for number in range(60)]
        async with Whole(stt="digits") as whole, session(whole) as mine:
            await mine.update(turn_detection=None)
            await mine.says(said("7", "8"))
            await mine.send("input_audio_buffer.commit")
            await mine.until(COMPLETED)
            await mine.says(said(*numbers), pace=10)
            await mine.ends()

            assert mine.texts[0] == "78"
            assert "".join(mine.texts[1:]) == "".join(numbers)
            assert len(mine.texts) > 2
            assert mine.all("input_audio_buffer.speech_started") == []

    run_over_sockets(main())


async def spare_stt(whole: Whole) -> None:
    settings = SttSettings(engine_stt="digits")
    await whole._start("stt", settings, whole._stt, 2)
    await whole._beats()


@pytest.mark.parametrize("after_s", [0.2, 0.7, 1.2])
def test_nothing_is_lost_with_the_worker_that_listened(after_s: float) -> None:
    async def main() -> None:
        audio = said("123456", "789")
        cut = round(after_s * RATE_HZ)
        async with Whole(stt="digits") as whole, session(whole) as mine:
            first = whole.processes["stt"]
            await spare_stt(whole)
            await mine.says(audio[:cut])
            await first.bus.close()
            await mine.says(audio[cut:])
            await mine.ends()

            assert mine.texts == ["123456", "789"]
            assert mine.all("error") == []

    run_over_sockets(main())
