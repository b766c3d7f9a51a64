"""A call in which one stage is of an earlier release, as far as the wire can tell.

Whatever it says or hears is rewritten as that release would: fields that came later are lost, and messages that came
later mean nothing to it.
"""

import msgspec
import pytest

from support.virtual import run_over_sockets
from support.wires import Reader, written
from system.whole import Whole
from trunkline.bus.memory import MemoryBroker
from trunkline.bus.port import Received
from trunkline.proto import WIRE, subjects
from trunkline.proto.errors import UnknownTag

WEATHER = "What is the weather in Tokyo?"
LATER = ["tag_of_a_later_release"]


class MixedBroker(MemoryBroker):
    """old: the stage that is of the wire `number`."""

    def __init__(self, number: int, old: str) -> None:
        super().__init__()
        self._reader = Reader(written(number))
        self._old = old
        self.rewritten = 0
        self.unknown = 0

    def publish(self, message: Received) -> None:
        data = self._as_old(message) if message.data and self._concerns(message) else message.data
        self.rewritten += data != message.data
        super().publish(Received(message.subject, data, message.reply, message.headers))

    def _concerns(self, message: Received) -> bool:
        """By whom it is for, or by its first fields, which tell whose it is."""
        if self._old in message.subject.split("."):
            return True
        return any(str(field).partition(".")[0] == self._old for field in msgspec.msgpack.decode(message.data)[:2])

    def _as_old(self, message: Received) -> bytes:
        _, _, kind, *_, last = message.subject.split(".")
        root = "Beat" if kind == "beat" else "AudioBatch" if last == subjects.AUDIO else "Envelope"
        try:
            return self._reader.rewritten(root, message.data)
        except UnknownTag:
            self.unknown += 1
            return msgspec.msgpack.encode([*msgspec.msgpack.decode(message.data)[:-1], LATER])


@pytest.mark.parametrize("number", [WIRE - 2, WIRE - 1])
@pytest.mark.parametrize("old", ["gateway", "agent"])
def test_a_call_is_served_whole_beside_an_earlier(old: str, number: int) -> None:
    async def main() -> None:
        broker = MixedBroker(number, old)
        whole = Whole(WEATHER, WEATHER)
        whole.broker = broker
        async with whole:
            turns, view, _ = await whole.conversation(2)

        assert [[(item.phase, item.text) for item in turn.items] for turn in turns] == [
            [
                ("commentary", "One moment, let me check the weather in Tokyo."),
                ("final_answer", "It is sunny in Tokyo."),
            ]
        ] * 2
        assert [tool.status for tool in view.tools.values()] == ["ok", "ok"]
        assert view.ended is not None
        assert view.ended.reason == "caller_hung_up"
        assert broker.unknown == 0  # who hears what it knows nothing of was told that it would

    run_over_sockets(main())
