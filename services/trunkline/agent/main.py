"""The agent's process."""

from typing import NoReturn

from trunkline.agent.service import AgentService, load_file, load_model
from trunkline.agent.settings import AgentSettings
from trunkline.bus.nats import NatsBus
from trunkline.record import NatsClaimStore, NatsRecordStore
from trunkline.runtime.process import Context, run


def build(context: Context, settings: AgentSettings) -> AgentService:
    assert isinstance(context.bus, NatsBus)  # the record lives in JetStream
    store = NatsRecordStore(context.bus.client, replicas=settings.record_replicas)
    return AgentService(
        context.exchange,
        load_file(settings),
        load_model(settings),
        store,
        NatsClaimStore(context.bus.client),
        capacity=settings.capacity,
        lost_window_s=settings.resume_window_s,
    )


def main() -> NoReturn:
    run("agent", AgentSettings, build)


if __name__ == "__main__":
    main()
