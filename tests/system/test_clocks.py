"""Two machines whose clocks differ: what a call's tools come to when their runner is ahead of the agent, or behind."""

import time

import pytest

from support.virtual import run_over_sockets
from system.whole import Whole, hum
from trunkline.runtime.process import Process, Service
from trunkline.runtime.settings import CoreSettings
from trunkline.tool_runner.service import ToolRunnerService

WEATHER, LIGHTHOUSE = "What is the weather in Tokyo?", "Call the lighthouse."

REPLY_LIMIT_S = 120.0  # of virtual time: a tool's whole time, and more


class TwoClocks(Whole):
    """ahead_s: of all others' wall clocks, the tool runner's."""

    def __init__(self, says: str, ahead_s: float) -> None:
        super().__init__(says)
        self._ahead_us = round(ahead_s * 1e6)

    def _tools(self, process: Process, settings: CoreSettings) -> Service:
        service = super()._tools(process, settings)
        assert isinstance(service, ToolRunnerService)
        service._runner._wall_us = lambda: time.time_ns() // 1000 + self._ahead_us
        return service


@pytest.mark.parametrize(
    ("says", "ahead_s", "status", "output"),
    [
        (WEATHER, 1.0, "ok", "It is sunny in Tokyo."),
        (WEATHER, 3600.0, "error", "was not run: no tool runner takes it (expired)"),
        (WEATHER, -3600.0, "ok", "It is sunny in Tokyo."),
        (LIGHTHOUSE, -3600.0, "timeout", "did not finish within 0.5 seconds"),
    ],
    ids=["a second ahead", "an hour ahead", "an hour behind", "an hour behind, with a tool that hangs"],
)
def test_a_call_s_tools_with_a_runner_whose_clock_differs(says: str, ahead_s: float, status: str, output: str) -> None:
    async def main() -> None:
        async with TwoClocks(says, ahead_s) as whole:
            async with whole.caller() as caller:
                await caller.greeting()
                turn = await caller.say(hum())
                await caller.reply(turn, REPLY_LIMIT_S)
            view, _ = await whole.record(caller.call_id)

        (tool,) = view.tools.values()
        assert tool.status == status
        assert output in tool.output
        assert [item.phase for item in turn.items][-1] == "final_answer"

    run_over_sockets(main())
