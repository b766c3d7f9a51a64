"""One tool call between owners of a call and runners, each of which dies at a chosen point of what it does.

A process that is dead does nothing more: it hears nothing, nothing of it reaches the bus or a store. Time is virtual.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from trunkline.agent.conversation import Conversation
from trunkline.agent.models.seam import ToolCall
from trunkline.agent.rulings import Bench, Policies
from trunkline.agent.tool_desk import ToolDesk
from trunkline.agents import Agent, AgentFile, Tool, tool
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Headers, Received
from trunkline.proto import subjects
from trunkline.proto.envelope import Envelope, Message, attach_number, decode
from trunkline.proto.errors import Fenced
from trunkline.proto.record import Claim, ResponseOpened
from trunkline.proto.subjects import Stage
from trunkline.proto.tool import CancelTool, RunTool
from trunkline.record import Attempt, MemoryClaimStore, MemoryRecordStore, Recorder, StoredClaim, StoredEntry, ToolView
from trunkline.record.fold import read_call
from trunkline.tool_runner.admission import Limits
from trunkline.tool_runner.claiming import Claimant
from trunkline.tool_runner.runner import Runner

CALL = "rtc_00_shop"
DIGEST = "d1"
RESPONSE = "resp_1"
TIMEOUT_S = 2.0
STORE_S = 0.005  # each way
WORK_S = 0.2  # before the effect, and after it
NOTICED_S = 0.4  # until a dead process is replaced
T = TypeVar("T")


class Process:
    """Counts the points that it reaches; dies at the dies_at-th, before what would come next."""

    def __init__(self, stage: Stage, worker: str, broker: MemoryBroker, dies_at: int = 0) -> None:
        self.worker = worker
        self.bus = MemoryBus(broker)
        self.exchange = Exchange(self.bus, stage, worker)
        self.dies_at = dies_at
        self.points: list[str] = []
        self.died = asyncio.Event()
        self.awake = asyncio.Event()  # while it isn't, orders lie before its door
        self.awake.set()
        self.on_death: Callable[[], None] = lambda: None

    @property
    def dead(self) -> bool:
        return self.died.is_set()

    def passes(self, point: str) -> bool:
        if not self.dead:
            self.points.append(point)
            if len(self.points) == self.dies_at:
                self.die()
        return not self.dead

    async def reach(self, point: str) -> None:
        if not self.passes(point):
            await asyncio.Event().wait()

    async def doing(self, what: str, work: Callable[[], Awaitable[T]]) -> T:
        """At a store: it takes its time either way, and is done even if the answer finds nobody."""
        await self.reach(f"before {what}")
        await asyncio.sleep(STORE_S)
        done = await work()
        await asyncio.sleep(STORE_S)
        await self.reach(f"after {what}")
        return done

    def die(self) -> None:
        self.died.set()
        self.bus._closed = True
        for subscription in self.bus._own:
            subscription.broker.remove(subscription)
            subscription._stopped = True
        self.on_death()

    def post(
        self,
        subject: str,
        call: str,
        message: Message,
        *,
        epoch: int = 0,
        headers: Headers | None = None,
        peer: str = "",
    ) -> None:
        if self.passes(f"says {type(message).__name__}"):
            self.exchange.post(subject, call, message, epoch=epoch, headers=headers, peer=peer)


class Records(MemoryRecordStore):
    """The one record, as one process sees it."""

    def __init__(self, kept: MemoryRecordStore, process: Process) -> None:
        super().__init__()
        self._kept, self._process = kept, process
        self._tasks: set[asyncio.Task[int]] = set()

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        async def work() -> int:
            return await self._kept.append(call, data, expected_seq=expected_seq, entry=entry)

        task = asyncio.get_running_loop().create_task(self._process.doing("append", work))
        self._tasks.add(task)
        return task

    async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
        return await self._kept.read(call, after_seq=after_seq)


class Claims(MemoryClaimStore):
    """The one store of claims, as one process sees it."""

    def __init__(self, kept: MemoryClaimStore, process: Process) -> None:
        super().__init__()
        self._kept, self._process = kept, process

    async def claim(self, attempt: Attempt, claim: Claim) -> StoredClaim:
        what = "voiding" if claim.void else "claiming"
        return await self._process.doing(what, lambda: self._kept.claim(attempt, claim))

    async def settle(self, attempt: Attempt, claim: Claim, *, expected_seq: int) -> int:
        return await self._process.doing(
            "settling", lambda: self._kept.settle(attempt, claim, expected_seq=expected_seq)
        )

    async def read(self, attempt: Attempt) -> StoredClaim | None:
        return await self._process.doing("looking", lambda: self._kept.read(attempt))


class Outcome(NamedTuple):
    """claims: of all attempts."""

    tool: ToolView
    effects: int
    claims: Mapping[Attempt, StoredClaim]


class Shop:
    """retry: of the tool. same_name: a runner that is restarted keeps its worker id.

    fates: at which points the processes die that replace dead owners and runners, one after the other; none: never.
    """

    def __init__(
        self, *, retry: bool = False, same_name: bool = False, fates: tuple[Sequence[int], Sequence[int]] = ((), ())
    ) -> None:
        self.broker = MemoryBroker()
        self.records = MemoryRecordStore()
        self.claims = MemoryClaimStore()
        self.effects: list[str] = []
        self.owners: list[Process] = []
        self.runners: list[Process] = []
        self._retry = retry
        self._same_name = same_name
        self._owner_fates, self._runner_fates = iter(fates[0]), iter(fates[1])
        self._tasks: set[asyncio.Task[None]] = set()
        self._attach = itertools.count(1)
        self._names = itertools.count(1)

    def wall_us(self) -> int:
        return 10**15 + round(asyncio.get_running_loop().time() * 1e6)

    def keep(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    # runners

    async def runner(self, dies_at: int = 0, name: str = "", *, behind_s: float = 0.0) -> Process:
        """behind_s: so much its clock is late."""

        def wall_us() -> int:
            return self.wall_us() - round(behind_s * 1e6)

        process = Process("tool_runner", name or f"runner-{next(self._names)}", self.broker, dies_at)
        self.runners.append(process)
        runner = Runner(
            {"act": self._tool(process)},
            digest=DIGEST,
            worker=process.worker,
            post=process.post,
            pass_on=lambda *passed: self._pass_on(process, *passed),
            claims=Claimant(Claims(self.claims, process), process.worker, wall_us=wall_us),
            limits=Limits(8, 8),
            result_limit_bytes=lambda: 10_000,
            wall_us=wall_us,
        )

        async def hear(received: Received) -> None:
            await process.awake.wait()
            if process.passes("hears an order"):
                runner.receive(decode(received.data), received.headers)

        def receive(received: Received) -> None:
            self.keep(hear(received))

        process.exchange.on_loose = runner.receive
        await process.exchange.start()
        await process.bus.subscribe(subjects.ALL_TOOLS, receive, queue=subjects.TOOLS_QUEUE)
        self.keep(self._restart(process))
        return process

    async def _restart(self, process: Process) -> None:
        await process.died.wait()
        await asyncio.sleep(NOTICED_S)
        await self.runner(next(self._runner_fates, 0), process.worker if self._same_name else "")

    def _tool(self, process: Process) -> Tool:
        async def act() -> str:
            """Do it."""
            await asyncio.sleep(WORK_S)
            await process.reach("before the effect")
            self.effects.append(process.worker)
            await process.reach("after the effect")
            await asyncio.sleep(WORK_S)
            return "done"

        return tool(retry=self._retry, timeout_s=TIMEOUT_S)(act)

    def _pass_on(self, process: Process, runner: str, envelope: Envelope, headers: Headers | None) -> None:
        if process.passes("passes on"):
            stage, _, worker = envelope.sender.partition(".")
            reply = subjects.unheard(stage, worker, f"tool_runner.{runner}")
            process.exchange.publish(subjects.inbox("tool_runner", runner, CALL), envelope, reply=reply)

    # owners

    async def owner(self, dies_at: int = 0, *, first: bool = False) -> Process:
        """Takes the call and goes after its tool; another owner follows if it dies."""
        number = next(self._attach)
        process = Process("agent", f"agent-{number}", self.broker, dies_at)
        self.owners.append(process)
        self.keep(self._own(process, number, first=first))
        self.keep(self._replace(process))
        return process

    async def _replace(self, process: Process) -> None:
        await process.died.wait()
        await asyncio.sleep(NOTICED_S)
        await self.owner(next(self._owner_fates, 0), first=not await self.records.read(CALL))

    async def _own(self, process: Process, number: int, *, first: bool) -> None:
        recorder = Recorder(Records(self.records, process), now_us=self.wall_us)
        log = await recorder.take(CALL, process.worker, "desk", DIGEST, attach=attach_number(1, number))
        agent = Agent("desk", tools=[self._tool(process)])
        file = AgentFile(Path("desk.py"), {agent.name: agent}, agent, DIGEST)
        conversation = Conversation(log, self.wall_us, file, agent)

        def post(order: RunTool | CancelTool, runner: str, headers: Headers | None) -> None:
            peer = f"tool_runner.{runner}" if runner else ""
            queue = subjects.tool(order.name, CALL) if isinstance(order, RunTool) else ""
            subject = subjects.inbox_of(peer, CALL) if peer else queue
            process.post(subject, CALL, order, epoch=log.epoch, peer=peer)

        desk = ToolDesk(
            conversation,
            Bench(conversation, Policies(file)),
            DIGEST,
            Claims(self.claims, process),
            post,
            self.keep,
            lambda error: desk.close(ended=False),  # fenced
        )
        process.on_death = lambda: desk.close(ended=False)
        process.exchange.on_loose = lambda envelope, headers: self._hear(process, desk, envelope)
        process.exchange.on_no_responders = lambda call: desk.on_no_responders()
        process.exchange.on_unheard = lambda peer: desk.on_unheard(peer.partition(".")[2])
        await process.exchange.start()
        waited: list[asyncio.Future[None]] = []
        if log.view.tools:
            waited = desk.finish(RESPONSE, None)
        elif RESPONSE not in log.view.responses or first:
            conversation.append(ResponseOpened(self.wall_us(), RESPONSE, 1))
            waited = await desk.run(RESPONSE, [ToolCall("call_1", "act", "{}")], None)
        if waited:
            await asyncio.wait(waited)
        with contextlib.suppress(Fenced):
            await log.durable()

    def _hear(self, process: Process, desk: ToolDesk, envelope: Envelope) -> None:
        if process.passes(f"hears {type(envelope.message).__name__}"):
            desk.on_message(envelope.message)

    # the end

    async def close(self) -> Outcome | None:
        """None where the intent was never recorded."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        read = await read_call(self.records, CALL)
        tools = list(read[0].tools.values()) if read else []
        return Outcome(tools[0], len(self.effects), self.claims.claims) if tools else None
