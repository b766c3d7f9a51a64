"""The tool runner's process."""

from typing import NoReturn

from trunkline.bus.nats import NatsBus
from trunkline.proto.subjects import VAULT_BUCKET
from trunkline.record import NatsBucket, NatsClaimStore
from trunkline.runtime.process import Context, run
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings
from trunkline.vault import checked_ttl_s


def build(context: Context, settings: ToolRunnerSettings) -> ToolRunnerService:
    assert isinstance(context.bus, NatsBus)  # claims live in JetStream
    client, ttl_s = context.bus.client, checked_ttl_s(settings.vault_ttl_s)
    values = NatsBucket(client, VAULT_BUCKET, ttl_s=ttl_s, replicas=settings.record_replicas)
    return ToolRunnerService(context, settings, NatsClaimStore(client), values=values)


def main() -> NoReturn:
    run("tool_runner", ToolRunnerSettings, build)


if __name__ == "__main__":
    main()
