"""An agent's side of approvals: it owns a call's record, and answers people's decisions as an agent must."""

from gateway.socket_scene import Server
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBus
from trunkline.proto import record, subjects
from trunkline.proto.approval import ApprovalKind, DecideApproval, Decision
from trunkline.proto.envelope import Envelope, decode
from trunkline.proto.ids import new_approval_id
from trunkline.record import CallLog, Recorder, standing
from trunkline.record.recorder import wall_us

CALL = "rtc_03_k3m9"
ARGUMENTS = '{"order":7,"cents":1200.0}'


class Owner:
    """An agent: owns a call, records decisions, answers. deaf: so many orders are lost; mute: it answers none."""

    def __init__(self, server: Server, name: str = "agent-9") -> None:
        self.server = server
        self.exchange = Exchange(MemoryBus(server.scene.broker), "agent", name)
        self.recorder = Recorder(server.store)
        self.log: CallLog
        self.deaf = 0
        self.mute = False
        self.heard: list[DecideApproval] = []

    async def start(self, *events: record.Event, attach: int = 1) -> "Owner":
        await self.exchange.start()
        await self.exchange.bus.subscribe(subjects.ALL_APPROVALS, lambda got: self._hear(decode(got.data)))
        self.log = await self.recorder.take(CALL, self.exchange.worker, "desk", "d1", attach=attach)
        for event in events:
            await self.write(event)
        return self

    async def stop(self) -> None:
        await self.log.close()
        await self.recorder.close()
        await self.exchange.stop()

    async def ask(self, kind: ApprovalKind = "tool", text: str = ARGUMENTS, for_s: float = 60.0) -> str:
        name = new_approval_id(CALL)
        deadline_us = wall_us() + int(for_s * 1e6)
        tool = "refund" if kind == "tool" else ""
        await self.write(
            record.ApprovalAsked(wall_us(), name, kind, "call_a", "resp_a", tool, text, deadline_us, "deny")
        )
        return name

    async def decide(self, name: str, decision: Decision, by: str = "") -> None:
        await self.write(record.ApprovalDecided(wall_us(), name, decision, by))

    async def write(self, event: record.Event) -> None:
        self.log.append(event)
        await self.log.durable()
        await self.recorder.close()  # the index is told

    def _hear(self, envelope: Envelope) -> None:
        order = envelope.message
        assert isinstance(order, DecideApproval)
        self.heard.append(order)
        if self.mute or self.deaf:
            self.deaf = max(0, self.deaf - 1)
            return
        view = self.log.view
        answered = standing(view, order)
        if answered is None:
            decision: Decision = "approved" if order.choice == "approve" else "denied"
            event = record.ApprovalDecided(wall_us(), order.approval, decision, order.by, order.text, order.note)
            self.log.append(event)
            answered = standing(view, order)
        assert answered is not None
        self.exchange.post(subjects.inbox_of(envelope.sender, envelope.call), envelope.call, answered)
