"""A store on NATS that can be made to lose answers."""

from nats.aio.msg import Msg

from trunkline.record.nats_writes import NatsWrites


class Deaf:
    """Before a store's class: loses the next `lost` answers of JetStream, after JetStream did what was asked."""

    lost = 0
    _writes: NatsWrites

    def deafen(self) -> None:
        receive = self._writes.replies._receive

        async def lose(message: Msg) -> None:
            if self.lost:
                self.lost -= 1
            else:
                await receive(message)

        self._writes.replies._receive = lose  # type: ignore[method-assign]  # the seam of these tests
