"""A worker's own heartbeat: the more often the more depends on it."""

import asyncio
from collections.abc import Callable

import msgspec

from trunkline.bus.port import Bus
from trunkline.bus.pulse import next_pulse_s
from trunkline.proto import subjects
from trunkline.proto.placement import BEAT_S, Beat

_encoder = msgspec.msgpack.Encoder()


class Beats:
    """Publishes what `describe` says: every BEAT_S where there are calls, with each pulse where there are none or at
    a gateway, and at once when asked."""

    def __init__(self, bus: Bus, describe: Callable[[], Beat]) -> None:
        self._bus = bus
        self._describe = describe
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._often = False

    def start(self) -> None:
        """Also when something is placed here: it is told at once, and from then on often enough for it."""
        self.stop()
        beat = self.now()
        now_s = self._loop.time()
        self._often = beat.calls > 0 and beat.stage != "gateway"
        self._timer = self._loop.call_at(now_s + BEAT_S if self._often else next_pulse_s(now_s), self.start)

    def placed(self) -> None:
        """By the next turn of the loop it counts among the calls."""
        if self._timer is not None and not self._often:
            self._often = True
            self._timer.cancel()
            self._timer = self._loop.call_soon(self.start)

    def now(self) -> Beat:
        beat = self._describe()
        self._bus.publish(subjects.beat(beat.stage, beat.worker), _encoder.encode(beat))
        return beat

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
