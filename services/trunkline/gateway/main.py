"""Wires the gateway; nothing else. It hands WebRTC on: webrtc_main serves that, in a process of its own."""

from trunkline.bus.nats import NatsBus
from trunkline.gateway.ephemeral_keys import KEPT_S
from trunkline.gateway.service import GatewayService, MakeEndpoint
from trunkline.gateway.settings import GatewaySettings
from trunkline.proto.subjects import SESSIONS_BUCKET
from trunkline.record import NatsBucket, NatsRecordStore
from trunkline.runtime.process import Context, run


def build(context: Context, settings: GatewaySettings, webrtc: MakeEndpoint | None = None) -> GatewayService:
    assert isinstance(context.bus, NatsBus)
    client, replicas = context.bus.client, settings.record_replicas
    sessions = NatsBucket(client, SESSIONS_BUCKET, ttl_s=KEPT_S, replicas=replicas)
    return GatewayService(context, settings, NatsRecordStore(client, replicas=replicas), sessions, webrtc=webrtc)


def main() -> None:
    run("gateway", GatewaySettings, build)


if __name__ == "__main__":
    main()
