"""What a caller's frame costs the gateway from the client's bytes to the message on the bus, by number of calls.

`PYTHONPATH=tests python -m bench.edge`: in one process, on a bus in memory that nobody listens to. Frames come as they
do in real time: those of a window together, and each window is a turn of the loop. CPU of this process alone.
"""

import asyncio
import time
from itertools import count

import numpy as np
import uvloop

from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBus
from trunkline.gateway.dialects.realtime.edge_audio import ear_of
from trunkline.gateway.dialects.realtime.session_audio import Format, FormatType
from trunkline.gateway.edge import Edge, Inlet
from trunkline.gateway.listening import Listening
from trunkline.gateway.playout import Playout
from trunkline.gateway.turns import Turns
from trunkline.proto.audio import FRAME_MS, SPEECH_RATE_HZ
from trunkline.proto.speech import Silent

CALLS = (1, 10, 50, 200)
FRAMES = 20_000  # of all calls together, per measurement
REPEATS = 3
SETTLE_FRAMES = 50  # so often STT says that nothing before need be heard again


class Line:
    """One call's way in, as Peer and Call join it."""

    def __init__(self, exchange: Exchange, edge: Edge, handle: int, kind: FormatType) -> None:
        items = count(1)
        self.listening = Listening(
            handle,
            Turns(lambda: f"item_{next(items)}"),
            Playout(),
            clock=lambda: int(exchange.now_s() * SPEECH_RATE_HZ),
            busy=lambda: False,
            decide=lambda decisions: None,
        )
        link = exchange.link(f"call_{handle}", "stt.bench", 1, lambda message, headers: None)
        self.listening.stt_placed(link, 0)
        self.inlet = Inlet(edge, ear_of(Format(kind)), self.listening.hear, _fail)
        rng = np.random.default_rng(handle)
        form = Format(kind)
        size = form.rate_hz * FRAME_MS // 1000
        bits = 16 if kind == "audio/pcm" else 8
        self.frame = rng.integers(-8_000, 8_000, size, dtype=np.int16).astype(f"int{bits}").tobytes()

    def settle(self) -> None:
        self.listening.on_stt(Silent(self.listening.ring.end))


def _fail(error: Exception) -> None:
    raise error


async def measure(calls: int, kind: FormatType) -> float:
    """Microseconds of CPU per frame."""
    loop = asyncio.get_running_loop()
    exchange = Exchange(MemoryBus(), "gateway", "bench")
    edge = Edge(loop, widest_s=0.0)  # a turn of the loop is a window
    lines = [Line(exchange, edge, handle, kind) for handle in range(1, calls + 1)]
    together = max(1, calls // 2)  # as in windows of 10 ms: half of the frames of 20 ms
    for line in lines:
        line.inlet.take(line.frame)
    await asyncio.sleep(0)
    begun_s, turns = time.process_time(), FRAMES // together
    for turn in range(turns):
        for at in range(together):
            lines[(turn * together + at) % calls].inlet.take(lines[at].frame)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if turn % (2 * SETTLE_FRAMES) == 0:
            for line in lines:
                line.settle()
    return (time.process_time() - begun_s) / (turns * together) * 1e6


def main() -> None:
    print("| calls | audio/pcm, us per frame | audio/pcmu |\n|---|---|---|")
    for calls in CALLS:
        found = [min(uvloop.run(measure(calls, kind)) for _ in range(REPEATS)) for kind in ("audio/pcm", "audio/pcmu")]
        print(f"| {calls} | {found[0]:.1f} | {found[1]:.1f} |")


if __name__ == "__main__":
    main()
