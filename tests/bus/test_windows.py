"""Windows of audio: of peers that are gone none stays for ever, and nothing that waits is dropped for that."""

import asyncio

from support.virtual import run_virtual
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Received
from trunkline.bus.windows import KNOWN_PEERS, AudioWindows
from trunkline.proto import subjects
from trunkline.proto.audio import CALLER_STREAM, AudioChunk, decode_batch


def chunk(position: int) -> AudioChunk:
    return AudioChunk(1, 1, CALLER_STREAM, position, bytes(640))


def test_windows_of_peers_that_came_and_went_do_not_pile_up() -> None:
    async def main() -> None:
        broker = MemoryBroker()
        heard: list[Received] = []
        await MemoryBus(broker).subscribe(subjects.worker_inboxes("stt", "stt-0"), heard.append)
        windows = AudioWindows(MemoryBus(broker), "gateway", "gateway-1")
        for number in range(1, 3 * KNOWN_PEERS):
            windows.add(f"stt.stt-{number}", chunk(320))
            if number % 100 == 0:
                await asyncio.sleep(0.01)  # what waited goes
        windows.add("stt.stt-0", chunk(320))
        for number in range(3 * KNOWN_PEERS, 5 * KNOWN_PEERS):
            windows.add(f"stt.stt-{number}", chunk(320))  # all of them wait, and so does the first
        await asyncio.sleep(0.01)

        assert [len(decode_batch(one.data).chunks) for one in heard] == [1]
        windows.add("stt.stt-last", chunk(320))
        assert len(windows._windows) == 1
        windows.close()

    run_virtual(main())
