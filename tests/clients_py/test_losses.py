"""A stock client notices nothing of what dies behind the gateway, and has the history that the record has."""

import asyncio
from collections.abc import Callable

import pytest

from clients_py.scene import Desk
from clients_py.sdk import Sdk, sdk  # first: it turns the SDK's tracing off
from clients_py.test_agents_realtime import BRIEF, sends
from support.virtual import run_over_sockets
from trunkline.agent.models.scripted import Script, Words
from trunkline.audio import dtmf
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.record import StageMoved
from trunkline.proto.subjects import Stage

pytestmark = pytest.mark.clients

MOMENTS: dict[str, Callable[[Sdk], object]] = {
    "while the caller speaks": lambda mine: mine.told("input_audio_buffer.speech_started"),
    "before the answer": lambda mine: mine.told("input_audio_buffer.committed"),
    "in the answer": lambda mine: mine.sound,
}
SEGMENT_MS = 1_500
SILENCE_S = 7.0  # the answer is heard to its end, whatever dies
SAID = ("123", "4567", "890123")  # keyed: whichever worker hears it, it is heard right
LONG: Script = [[[Words("You said {words}. ", "final_answer"), Words("That is what I heard of it.", "final_answer")]]]


def keyed(digits: str) -> bytes:
    return dtmf.tones(digits, SPEECH_RATE_HZ, tone_ms=100, gap_ms=50).tobytes()


@pytest.mark.parametrize(
    ("stage", "moment"),
    [
        ("stt", "while the caller speaks"),
        ("stt", "before the answer"),
        ("agent", "before the answer"),
        ("agent", "in the answer"),
        ("tts", "in the answer"),
    ],
)
def test_the_history_is_the_record_whatever_dies_and_when(stage: Stage, moment: str) -> None:
    async def main() -> None:
        async with Desk(LONG, stt="digits", segment_ms=SEGMENT_MS) as desk:
            async with sdk(desk.addresses[0], BRIEF) as mine:
                dies = await desk.spare(stage)
                keying = asyncio.create_task(sends(mine, keyed(SAID[0]), silence_s=SILENCE_S))
                await mine.when(lambda: MOMENTS[moment](mine))
                await dies.close()
                await keying
                for number, digits in enumerate(SAID[1:], 2):  # the last over the answer to the one before
                    await sends(mine, keyed(digits), silence_s=1.5)
                    await mine.when(lambda number=number: len(mine.told("response.created")) == number)
                    await mine.when(lambda number=number: len(mine.sound) == number)
                    await asyncio.sleep(1.0)
                await mine.done(3)
                await mine.settle(2 * SEGMENT_MS / 1000)
                assert not mine.waits
            view, events = await desk.record(mine.raw[0]["session"]["id"])

        assert view.epoch == (2 if stage == "agent" else 1)
        assert [event.stage for event in events if isinstance(event, StageMoved)] == (
            [] if stage == "agent" else [stage]
        )
        assert mine.messages == [(name, item.role, item.heard_text) for name, item in view.items.items()]
        assert [entry.text for entry in mine.history if entry.who == "user"] == list(SAID)
        answers = [item for item in view.items.values() if item.role == "assistant"]
        assert [0 < len(item.heard_text) < len(item.text) for item in answers] == [False, True, False]

    run_over_sockets(main())
