"""A worker's own heartbeat."""

import asyncio
from collections.abc import Callable

import msgspec

from trunkline.bus.port import Bus
from trunkline.proto import subjects
from trunkline.proto.placement import BEAT_S, Beat

_encoder = msgspec.msgpack.Encoder()


class Beats:
    """Publishes what `describe` says every period_s, and at once when asked."""

    def __init__(self, bus: Bus, describe: Callable[[], Beat], period_s: float = BEAT_S) -> None:
        self._bus = bus
        self._period_s = period_s
        self._describe = describe
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.now()
        self._timer = asyncio.get_running_loop().call_later(self._period_s, self.start)

    def now(self) -> None:
        beat = self._describe()
        self._bus.publish(subjects.beat(beat.stage, beat.worker), _encoder.encode(beat))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
