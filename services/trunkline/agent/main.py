"""The agent's process."""

from typing import NoReturn

from trunkline.agent.service import AgentService, load_file, load_model
from trunkline.agent.settings import AgentSettings
from trunkline.bus.nats import NatsBus
from trunkline.proto.subjects import FILES_BUCKET, VAULT_BUCKET
from trunkline.record import (
    Durability,
    NatsBucket,
    NatsClaimStore,
    NatsFileStore,
    NatsRecordStore,
    checked_store_bytes,
)
from trunkline.runtime.memory import collect_sooner
from trunkline.runtime.process import Context, run
from trunkline.vault import checked_ttl_s, open_vault


def build(context: Context, settings: AgentSettings) -> AgentService:
    assert isinstance(context.bus, NatsBus)  # the record lives in JetStream
    collect_sooner()
    client, replicas = context.bus.client, settings.record_replicas
    file = load_file(settings)
    limit_bytes = checked_store_bytes(settings.record_store_bytes)
    record = NatsRecordStore(client, replicas=replicas, limit_bytes=limit_bytes)
    context.slow_shards = record.slow_shards
    values = NatsBucket(client, VAULT_BUCKET, ttl_s=checked_ttl_s(settings.vault_ttl_s), replicas=replicas)
    files = NatsFileStore(client, FILES_BUCKET, limit_bytes=settings.file_store_bytes, replicas=replicas)
    return AgentService(
        context.exchange,
        file,
        load_model(settings, files),
        record,
        NatsClaimStore(client),
        capacity=settings.capacity,
        lost_window_s=settings.resume_window_s,
        vault=open_vault(settings.vault_key, values, needed=file.keeps_sensitive),
        files=files,
        durability=Durability(
            client, replicas=replicas, sync=settings.nats_sync, monitor_url=settings.nats_monitor_url
        ),
    )


def main() -> NoReturn:
    run("agent", AgentSettings, build)


if __name__ == "__main__":
    main()
