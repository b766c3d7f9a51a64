"""A hub and a worker over an exchange each, on a bus in memory and on virtual time."""

from collections.abc import Awaitable, Callable

from support.virtual import run_virtual
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Message, attach_number
from trunkline.proto.placement import Accepted
from trunkline.proto.speech import Listen, TurnRules

CALL = "rtc_00_test"
ATTACH = attach_number(1, 1)
LISTEN = Listen(handle=1, from_sample=0, rules=TurnRules())


class LossyBus(MemoryBus):
    """Loses what `lose` picks; connected for up_s."""

    lose: Callable[[str, bytes], bool] = staticmethod(lambda subject, data: False)
    up_s = 1e9

    @property
    def connected_s(self) -> float:
        return self.up_s

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        if not self.lose(subject, data):
            super().publish(subject, data, reply=reply, headers=headers)


class Pair:
    """A hub and a worker; `placed` is the worker's link once a placement came."""

    def __init__(self) -> None:
        broker = MemoryBroker()
        self.hub_bus, self.worker_bus = LossyBus(broker), LossyBus(broker)
        self.hub = Exchange(self.hub_bus, "gateway", "gw")
        self.worker = Exchange(self.worker_bus, "stt", "w")
        self.worker.on_placement = self._place
        self.at_hub: list[Message] = []
        self.at_worker: list[Message] = []
        self.placed: list[Link] = []
        self.raise_on: Message | None = None

    async def __aenter__(self) -> "Pair":
        await self.hub.start()
        await self.worker.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        for side in (self.hub, self.worker):
            await side.stop()
            await side.bus.close()

    def link(self, attach: int = ATTACH) -> Link:
        return self.hub.link(CALL, self.worker.address, attach, lambda message, headers: self.at_hub.append(message))

    def _place(self, link: Link, message: Message, headers: Headers | None) -> Callable[..., None]:
        self.placed.append(link)
        self.at_worker.append(message)
        link.send(Accepted())

        def handle(message: Message, headers: Headers | None) -> None:
            if message == self.raise_on:
                raise RuntimeError("this call is broken")
            self.at_worker.append(message)

        return handle


def scenario(body: Callable[[Pair], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Pair() as pair:
            await body(pair)

    run_virtual(main())
