"""The tool runner's process."""

from typing import NoReturn

from trunkline.bus.nats import NatsBus
from trunkline.record import NatsClaimStore
from trunkline.runtime.process import Context, run
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings


def build(context: Context, settings: ToolRunnerSettings) -> ToolRunnerService:
    assert isinstance(context.bus, NatsBus)  # claims live in JetStream
    return ToolRunnerService(context, settings, NatsClaimStore(context.bus.client))


def main() -> NoReturn:
    run("tool_runner", ToolRunnerSettings, build)


if __name__ == "__main__":
    main()
