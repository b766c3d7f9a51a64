"""A scene for the agent service: a hub that speaks to it, a tool runner that is told what to do, virtual time."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from types import TracebackType

from trunkline.agent.models.scripted import Script, ScriptedModel
from trunkline.agent.models.seam import Model, ModelEvent, ModelRequest
from trunkline.agent.service import AgentService
from trunkline.agents import Agent, AgentFile, tool
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Headers, Received
from trunkline.proto import subjects
from trunkline.proto.approval import ApprovalAnswered, Choice, DecideApproval
from trunkline.proto.envelope import Envelope, Message, attach_number, decode
from trunkline.proto.placement import Release
from trunkline.proto.record import Claim, Event, decode_entry
from trunkline.proto.response import (
    Attached,
    CallerAway,
    Converse,
    Interrupt,
    Played,
    Recall,
    ResponseFinished,
    Say,
    SegmentHeard,
    Turn,
)
from trunkline.proto.tool import RunTool, ToolDeclined, ToolResult, ToolStarted
from trunkline.record import (
    Attempt,
    CallView,
    MemoryClaimStore,
    MemoryRecordStore,
    StoredClaim,
    events_of,
    read_call,
)
from trunkline.vault import Vault

CALL = "rtc_00_test"
DIGEST = "d1"


@tool(commentary="Let me look up {order}.", timeout_s=5)
async def lookup(order: str) -> str:
    """Where is my order."""
    return order


class Watched:
    """A model that keeps what it was asked."""

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self.repeatable = model.repeatable
        self.model = model
        self.requests: list[ModelRequest] = []

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.requests.append(request)
        async for event in self.model.respond(request):
            yield event

    async def close(self) -> None:
        """The model belongs to whoever made it."""


def found(order: RunTool) -> ToolResult:
    return ToolResult(order.tool_call, "ok", '"Found."', "tr")


class Runner:
    """A tool runner: claims each order and answers it after took_s with answer(order); None for no answer at all.

    What it has claimed it doesn't run again: an order that comes to its own inbox is told ToolStarted. takes: or else
    the order is lost.
    """

    def __init__(self, bus: MemoryBus, claims: MemoryClaimStore, worker: str = "tr") -> None:
        self.exchange = Exchange(bus, "tool_runner", worker)
        self.exchange.on_loose = self._asked_again
        self.claims = claims
        self.orders: list[RunTool] = []
        self.took_s = 0.0
        self.starts = True
        self.takes: Callable[[RunTool], bool] = lambda order: True
        self.answer: Callable[[RunTool], Message | None] = lambda order: ToolResult(
            order.tool_call, "ok", '"Found."', "tr"
        )

    async def start(self) -> None:
        await self.exchange.start()
        await self.exchange.bus.subscribe(subjects.ALL_TOOLS, self._receive, queue=subjects.TOOLS_QUEUE)

    def _receive(self, received: Received) -> None:
        envelope = decode(received.data)
        order = envelope.message
        assert isinstance(order, RunTool)
        attempt = Attempt(envelope.call, order.key, order.attempt)
        if attempt in self.claims.claims or not self.takes(order):
            return
        self.orders.append(order)
        answer = self.answer(order)
        if not isinstance(answer, ToolDeclined):
            self.claims.claims[attempt] = StoredClaim(1, Claim(1, "tr", envelope.epoch))
            if self.starts:
                self.tell(envelope, ToolStarted(order.tool_call, "tr"))
        if answer is not None:
            asyncio.get_running_loop().call_later(self.took_s, self.tell, envelope, answer)

    def _asked_again(self, envelope: Envelope, headers: Headers | None) -> None:
        if self.starts and isinstance(envelope.message, RunTool):
            self.tell(envelope, ToolStarted(envelope.message.tool_call, "tr"))

    def tell(self, envelope: Envelope, message: Message) -> None:
        self.exchange.post(subjects.inbox_of(envelope.sender, envelope.call), envelope.call, message)


class Scene:
    """`async with Scene(script) as scene`; what the agent says stands in `told`, in order, with the time of it."""

    def __init__(
        self,
        script: Script = (),
        *,
        model: Model | None = None,
        agent: Agent | None = None,
        others: Sequence[Agent] = (),
        store: MemoryRecordStore | None = None,
        claims: MemoryClaimStore | None = None,
        runner: bool = True,
        worker: str = "ag",
        vault: Vault | None = None,
    ) -> None:
        broker = MemoryBroker()
        self.hub = Exchange(MemoryBus(broker), "gateway", "gw")
        self.exchange = Exchange(MemoryBus(broker), "agent", worker)
        self.claims = claims or MemoryClaimStore()
        self.runner = Runner(MemoryBus(broker), self.claims)
        self.has_runner = runner
        self.store = store or MemoryRecordStore()
        self.model = Watched(model or ScriptedModel(script))
        default = agent or Agent("desk", instructions="Be kind.", tools=[lookup])
        agents = {one.name: one for one in (default, *others)}
        file = AgentFile(Path("desk.py"), agents, default, DIGEST)
        self.service = AgentService(self.exchange, file, self.model, self.store, self.claims, capacity=10, vault=vault)
        self.hub.on_loose = self._answered
        self.answered: list[ApprovalAnswered] = []
        self.told: list[Message] = []
        self.headers: list[Headers | None] = []
        self.said_at_s: list[tuple[float, str]] = []
        self._turns = 0

    async def __aenter__(self) -> "Scene":
        await self.hub.start()
        await self.exchange.start()
        await self.service.start()
        if self.has_runner:
            await self.runner.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.service.stop()
        for exchange in (self.hub, self.exchange, self.runner.exchange):
            await exchange.stop()
            await exchange.bus.close()

    async def place(self, call: str = CALL, attach: int = 1, order: Converse | None = None) -> None:
        """Until the agent has answered."""
        number = attach_number(1, attach)
        self.link = self.hub.link(call, self.exchange.address, number, self._hear)
        self.link.send(order or Converse(hub=1, gateway="gw"))
        await asyncio.sleep(0.1)

    def says(self, text: str, *, respond: bool = True) -> Turn:
        self._turns += 1
        turn = Turn(self._turns, f"item_u{self._turns}", text, "speech", 0, 16_000, respond)
        self.link.send(turn)
        return turn

    def interrupts(self, response: str, *heard: SegmentHeard) -> None:
        self.link.send(Interrupt(response, "turn_detected", heard))

    def played(self, item: str, index: int) -> None:
        self.link.send(Played(SegmentHeard(item, index, 24_000, 24_000)))

    def recall(self, **given: object) -> Recall:
        """What a gateway tells an agent that follows another, having kept nothing."""
        return Recall(**given)  # type: ignore[arg-type]  # its own fields

    def away(self, count: int) -> CallerAway:
        """Nobody has said anything for a while, so many times in a row."""
        away = CallerAway(count, f"resp_away{count}")
        self.link.send(away)
        return away

    async def decides(
        self, choice: Choice, by: str = "anna", *, text: str | None = None, approval: str = "", call: str = CALL
    ) -> ApprovalAnswered | None:
        """A person's word, on the approval that waits; what the owner answers, None for nothing."""
        if not approval:
            approval = (await self.view(call)).waiting_approvals()[0].asked.approval
        order = f"order_{len(self.answered)}_{by}"
        self.hub.post(subjects.approvals(call), call, DecideApproval(approval, choice, by, text, order=order))
        await asyncio.sleep(0.1)
        return next((one for one in self.answered if one.order == order), None)

    def _answered(self, envelope: Envelope, headers: Headers | None) -> None:
        if isinstance(envelope.message, ApprovalAnswered):
            self.answered.append(envelope.message)

    async def hang_up(self, reason: str = "caller_hung_up") -> None:
        self.link.send(Release(reason))
        await asyncio.sleep(0.1)

    def of(self, *kinds: type[Message]) -> Sequence[Message]:
        return [message for message in self.told if isinstance(message, kinds)]

    @property
    def attached(self) -> Attached:
        return next(message for message in self.told if isinstance(message, Attached))

    @property
    def said(self) -> list[str]:
        return [message.text for message in self.told if isinstance(message, Say)]

    @property
    def finished(self) -> list[ResponseFinished]:
        return [message for message in self.told if isinstance(message, ResponseFinished)]

    async def view(self, call: str = CALL) -> CallView:
        """Folded from what is stored."""
        read = await read_call(self.store, call)
        assert read is not None
        return read[0]

    async def events(self, call: str = CALL) -> list[Event]:
        entries = [decode_entry(stored.data) for stored in await self.store.read(call)]
        return [one.event for one in events_of(call, entries)]

    def _hear(self, message: Message, headers: Headers | None) -> None:
        self.told.append(message)
        self.headers.append(headers)
        if isinstance(message, Say):
            self.said_at_s.append((asyncio.get_running_loop().time(), message.text))
