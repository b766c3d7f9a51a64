"""What waits behind an event that takes time is bounded, and more of it is a picture's than audio's."""

import asyncio

from gateway.scene import settle
from support.virtual import run_virtual
from trunkline.gateway.dialects.realtime.backlog import AUDIO_BYTES, Backlog

PICTURE_BYTES = 4 * AUDIO_BYTES


def test_another_picture_and_audio_have_room_behind_one_and_no_more() -> None:
    async def scenario() -> None:
        failures: list[Exception] = []
        backlog = Backlog(failures.append, PICTURE_BYTES + AUDIO_BYTES)
        stored, done = asyncio.Event(), list[int]()

        async def work() -> None:
            await stored.wait()

        backlog.begin(work)
        backlog.put(lambda: done.append(1), PICTURE_BYTES)
        assert not backlog.full
        backlog.put(lambda: done.append(2), AUDIO_BYTES)
        assert backlog.full
        room: list[int] = []
        backlog.on_room = lambda: room.append(len(done))
        stored.set()
        await settle()

        assert (done, failures, backlog.waits, room) == ([1, 2], [], False, [1])

    run_virtual(scenario())
