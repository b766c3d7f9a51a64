"""Wires the gateway; nothing else. It hands WebRTC on: webrtc_main serves that, in a process of its own."""

from trunkline.bus.nats import NatsBus
from trunkline.gateway.ephemeral_keys import KEPT_S
from trunkline.gateway.service import GatewayService, MakeEndpoint
from trunkline.gateway.settings import GatewaySettings
from trunkline.gateway.stores import Stores
from trunkline.proto.subjects import FILES_BUCKET, RESPONSES_BUCKET, SESSIONS_BUCKET
from trunkline.record import (
    RESPONSE_BYTES,
    Durability,
    NatsBucket,
    NatsFileStore,
    NatsRecordStore,
    checked_response_bytes,
    checked_store_bytes,
)
from trunkline.runtime.memory import keep_large_apart
from trunkline.runtime.process import Context, run

RESPONSES_KEPT_S = 30 * 86_400.0  # as long as the vendor keeps them


def build(context: Context, settings: GatewaySettings, webrtc: MakeEndpoint | None = None) -> GatewayService:
    assert isinstance(context.bus, NatsBus)
    keep_large_apart()  # what people upload
    client, replicas = context.bus.client, settings.record_replicas
    stores = Stores(
        record=NatsRecordStore(client, replicas=replicas, limit_bytes=checked_store_bytes(settings.record_store_bytes)),
        sessions=NatsBucket(client, SESSIONS_BUCKET, ttl_s=KEPT_S, replicas=replicas),
        responses=NatsBucket(
            client,
            RESPONSES_BUCKET,
            ttl_s=RESPONSES_KEPT_S,
            limit_bytes=checked_response_bytes(settings.response_store_bytes),
            limit_setting=RESPONSE_BYTES,
            replicas=replicas,
        ),
        files=NatsFileStore(client, FILES_BUCKET, limit_bytes=settings.file_store_bytes, replicas=replicas),
    )
    durability = Durability(client, replicas=replicas, sync=settings.nats_sync, monitor_url=settings.nats_monitor_url)
    return GatewayService(context, settings, stores, webrtc=webrtc, durability=durability)


def main() -> None:
    run("gateway", GatewaySettings, build)


if __name__ == "__main__":
    main()
