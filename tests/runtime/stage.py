"""A stage worker with fake sessions and its hub, on a bus in memory and on virtual time."""

from collections.abc import Awaitable, Callable

from support.virtual import run_virtual
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Headers
from trunkline.proto.audio import AudioChunk
from trunkline.proto.envelope import Message, attach_number
from trunkline.proto.placement import Accepted, Declined
from trunkline.proto.speech import Discard, Listen, TurnRules
from trunkline.runtime.pool import CallPool

LISTEN = Listen(handle=1, from_sample=0, rules=TurnRules())


class FakeSession:
    """Raises on Discard, records the rest."""

    def __init__(self, link: Link) -> None:
        self.got: list[Message] = []
        self.closed: list[str] = []
        link.send(Accepted())
        link.bind_audio(1, self.on_audio)

    def on_message(self, message: Message, headers: Headers | None) -> None:
        if isinstance(message, Discard):
            raise RuntimeError("broken")
        self.got.append(message)

    def on_audio(self, chunk: AudioChunk) -> None:
        raise ValueError("broken audio")

    def close(self, reason: str) -> None:
        self.closed.append(reason)


class FlakyBus(MemoryBus):
    """Hears but can't speak while it is away."""

    away = False

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        if not self.away:
            super().publish(subject, data, reply=reply, headers=headers)

    @property
    def connected(self) -> bool:
        return not self.away


class Stage:
    """A hub and a worker with a pool; heard: by the hub, per call."""

    def __init__(self, capacity: int = 2, lost_window_s: float = 0.0) -> None:
        broker = MemoryBroker()
        self.worker_bus = FlakyBus(broker)
        self.hub = Exchange(MemoryBus(broker), "gateway", "gw")
        self.worker = Exchange(self.worker_bus, "stt", "w")
        self.opened: dict[str, FakeSession] = {}
        self.pool = CallPool(self.worker, capacity=capacity, open_session=self._open, lost_window_s=lost_window_s)
        self.heard: dict[str, list[Message]] = {}

    def _open(self, link: Link, message: Message, headers: Headers | None) -> FakeSession | Declined:
        if not isinstance(message, Listen):
            return Declined("bad_request", f"a call begins with Listen, not {type(message).__name__}")
        self.opened[link.call] = FakeSession(link)
        return self.opened[link.call]

    def place(self, call: str, number: int = 1, first: Message = LISTEN) -> Link:
        heard = self.heard.setdefault(call, [])
        link = self.hub.link(call, "stt.w", attach_number(1, number), lambda message, headers: heard.append(message))
        link.send(first)
        return link


def scenario(body: Callable[[Stage], Awaitable[None]], *, lost_window_s: float = 0.0, capacity: int = 2) -> None:
    async def main() -> None:
        stage = Stage(capacity, lost_window_s)
        await stage.hub.start()
        await stage.worker.start()
        await body(stage)
        for side in (stage.hub, stage.worker):
            await side.stop()

    run_virtual(main())
