"""An agent service and a tool runner on one agent file, in memory: a scripted model, a caller, people who decide."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Any, NamedTuple

import msgspec

from agent.scene import CALL, Scene
from agents_sdk.referee import Call, Round, Say
from trunkline.agent.models.seam import ModelEvent, ModelRequest, RoundDone, TextDelta, ToolCall
from trunkline.agent.service import AgentService
from trunkline.agents import AgentFile, Approval
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBus
from trunkline.bus.port import Headers
from trunkline.proto import record, subjects
from trunkline.proto.approval import Choice, DecideApproval
from trunkline.proto.envelope import Message
from trunkline.proto.record import Event
from trunkline.proto.response import ItemFinished
from trunkline.runtime.process import Context
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings

PATIENCE_S = 20.0
WAITING = Approval().commentary  # what a caller is told who waits for a person; the SDK has no caller


def plain(output: str) -> str:
    """As the model reads it, whether it came from a tool or from the agent."""
    try:
        return str(msgspec.json.decode(output))
    except msgspec.DecodeError:
        return output


class OnScript:
    """One round of the script for each request."""

    name = "script"
    repeatable = False

    def __init__(self, rounds: Sequence[Round]) -> None:
        self.rounds = rounds
        self.requests: list[ModelRequest] = []

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.requests.append(request)
        for step in self.rounds[len(self.requests) - 1]:
            yield TextDelta(step.text, None) if isinstance(step, Say) else ToolCall(step.id, step.name, step.arguments)
        yield RoundDone()

    async def close(self) -> None: ...


class Ran(NamedTuple):
    """calls: what was intended, in order. outputs: by tool call, but for those that only hand off. to: handoffs."""

    calls: list[Call]
    outputs: dict[str, str]
    to: list[str]
    said: list[str]
    state: dict[str, Any]
    verdicts: list[tuple[str, str, str]]


class Desk(Scene):
    """`async with Desk(file, rounds) as desk: await desk.turn("Hello.")`. decides: for each tool call that asks."""

    def __init__(self, file: AgentFile, rounds: Sequence[Round], decides: Choice = "approve") -> None:
        self.script = OnScript(rounds)
        super().__init__(model=self.script, runner=False)
        self.decides = decides
        self.news = asyncio.Event()
        self.service = AgentService(self.exchange, file, self.script, self.store, self.claims)
        bus = MemoryBus(self.hub.bus.broker)  # type: ignore[attr-defined]  # it is a MemoryBus
        exchange = Exchange(bus, "tool_runner", "tr")
        self.runner.exchange = exchange
        settings = ToolRunnerSettings(agent_file=f"{file.path}:{file.default.name}")
        self.tools = ToolRunnerService(Context(bus, exchange, "tr", settings), settings, self.claims)

    async def __aenter__(self) -> "Desk":
        await super().__aenter__()
        await self.runner.exchange.start()
        await self.tools.start()
        await self.place()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()
        await self.tools.stop()
        await super().__aexit__(kind, error, trace)

    async def turn(self, words: str) -> None:
        """Until it is answered; a person decides whatever is asked meanwhile."""
        done = len(self.finished)
        self.says(words)
        async with asyncio.timeout(PATIENCE_S):
            while len(self.finished) == done:
                await self.news.wait()
                self.news.clear()
                await self._decide()

    async def _decide(self) -> None:
        for approval in (await self.view()).approvals.values():
            if approval.decided is None:
                order = DecideApproval(approval.asked.approval, self.decides, "anna")
                self.hub.post(subjects.approvals(CALL), CALL, order)

    def _hear(self, message: Message, headers: Headers | None) -> None:
        super()._hear(message, headers)
        self.news.set()

    async def ran(self) -> Ran:
        events: list[Event] = await self.events()
        intended = [event for event in events if isinstance(event, record.ToolIntended)]
        finished = {event.tool_call: event.output for event in events if isinstance(event, record.ToolFinished)}
        return Ran(
            [Call(one.tool_call, one.name, one.arguments) for one in intended],
            {one.tool_call: plain(finished[one.tool_call]) for one in intended if one.runs == "runner"},
            [event.to for event in events if isinstance(event, record.HandedOff)],
            [item.text for item in self.of(ItemFinished) if item.text != WAITING],  # type: ignore[attr-defined]
            (await self.view()).state,
            [
                (e.point, e.action, e.reason)
                for e in events
                if isinstance(e, record.VerdictGiven) and e.action != "allow"
            ],
        )
