"""A caller's packets in order again, and silence where some never came, so that positions follow the caller's clock.

Pure. Nothing waits that needn't: a packet in order goes on at once, and one ahead of others waits for a few at most.
Times are samples of RTP's clock, 48 kHz for Opus (RFC 7587, 4.1); numbers and times wrap around.
"""

from typing import NamedTuple

RTP_RATE_HZ = 48_000
AHEAD = 4  # packets that wait for one before them: 80 ms, and it is lost
FAR = 200  # numbers: beyond that a sender has begun anew
GAP_LIMIT = 3 * RTP_RATE_HZ  # of silence for what never came: enough to end any turn


class Packet(NamedTuple):
    number: int
    time: int
    payload: bytes


class Arrivals:
    """How long a packet lasts is known only once it is decoded: `decoded` tells."""

    def __init__(self) -> None:
        self.lost = 0  # packets that never came, or too late
        self._next: int | None = None  # number
        self._time = 0  # at which the next packet begins if nothing is missing
        self._filled = 0  # silence since, that somebody else made up
        self._ahead: dict[int, Packet] = {}  # by how far

    @property
    def begun(self) -> bool:
        return self._next is not None

    def push(self, packet: Packet) -> list[Packet]:
        """Those that are in order now. What is late or doubled is dropped."""
        if self._next is None:
            self._begin(packet)
        off = (packet.number - (self._next or 0) + 0x8000) % 0x10000 - 0x8000
        if abs(off) > FAR:
            self._begin(packet)
            off = 0
        if off < 0:
            return []
        self._ahead[packet.number] = packet
        return self._in_order()

    def _in_order(self) -> list[Packet]:
        ready: list[Packet] = []
        while self._ahead:
            assert self._next is not None, "a packet waits before the first came"
            packet = self._ahead.pop(self._next, None)
            if packet is not None:
                ready.append(packet)
            elif len(self._ahead) < AHEAD:
                break
            else:
                self.lost += 1
            self._next = (self._next + 1) % 0x10000
        return ready

    def gap_before(self, packet: Packet) -> int:
        """Samples that are missing before it; packets in the order of `push`."""
        missing = (packet.time - self._time + 0x80000000) % 0x100000000 - 0x80000000 - self._filled
        return min(max(missing, 0), GAP_LIMIT)

    def decoded(self, packet: Packet, samples: int) -> None:
        """It lasts so long."""
        self._time = (packet.time + samples) % 0x100000000
        self._filled = 0

    def fill(self, samples: int) -> bool:
        """So much silence is made up meanwhile, since nothing comes. False: there was enough of that."""
        if self._filled + samples > GAP_LIMIT:
            return False
        self._filled += samples
        return True

    def _begin(self, packet: Packet) -> None:
        self._next, self._time, self._filled = packet.number, packet.time, 0
        self._ahead.clear()
