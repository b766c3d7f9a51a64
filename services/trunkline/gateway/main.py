"""Wires the gateway; nothing else."""

from trunkline.bus.nats import NatsBus
from trunkline.gateway.service import GatewayService
from trunkline.gateway.settings import GatewaySettings
from trunkline.record import NatsRecordStore
from trunkline.runtime.process import Context, run


def build(context: Context, settings: GatewaySettings) -> GatewayService:
    assert isinstance(context.bus, NatsBus)
    return GatewayService(context, settings, NatsRecordStore(context.bus.client, replicas=settings.record_replicas))


def main() -> None:
    run("gateway", GatewaySettings, build)


if __name__ == "__main__":
    main()
