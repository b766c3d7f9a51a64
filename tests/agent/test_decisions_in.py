"""A person's decision reaches the agent that owns the call, and no other answers."""

import asyncio

import msgspec

from agent.scene import CALL, Scene
from support.virtual import run_virtual
from trunkline.bus.port import Headers, Received
from trunkline.proto import subjects
from trunkline.proto.approval import ApprovalAnswered, DecideApproval
from trunkline.proto.envelope import Envelope, Message
from trunkline.proto.record import ApprovalAsked, ApprovalDecided
from trunkline.proto.response import Stored

ORDER = DecideApproval("appr_00_test_x", "approve", "anna", order="order_1")


class Desk:
    """The gateway's side: what it says to all agents, and what comes back to its inbox."""

    def __init__(self, scene: Scene) -> None:
        self.heard: list[Message] = []
        self._hub = scene.hub
        self._hub.on_loose = self._hear

    def _hear(self, envelope: Envelope, headers: Headers | None) -> None:
        if not isinstance(envelope.message, Stored):  # behind the end of a call
            self.heard.append(envelope.message)

    async def decide(self, order: DecideApproval = ORDER, call: str = CALL) -> None:
        self._hub.post(subjects.approvals(call), call, order)
        await asyncio.sleep(0.1)


def test_the_owner_answers_with_the_order_that_it_answers() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place()
            desk = Desk(scene)
            await desk.decide()

            assert desk.heard == [ApprovalAnswered(ORDER.approval, "unknown", order="order_1")]

    run_virtual(scenario())


def test_what_was_decided_before_is_told_from_the_record() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place()
            session = scene.service.calls.session(CALL)
            conversation = session._owned.conversation  # type: ignore[union-attr]  # nobody asks in this scene
            conversation.append(
                ApprovalAsked(1, ORDER.approval, "tool", "call_a", "resp_a", "refund", "{}", 2**60, "deny")
            )
            conversation.append(ApprovalDecided(2, ORDER.approval, "denied", "bert"))
            desk = Desk(scene)
            await desk.decide()

            assert desk.heard == [ApprovalAnswered(ORDER.approval, "decided_before", "denied", "bert", order="order_1")]

    run_virtual(scenario())


def test_an_agent_without_the_call_is_silent() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place()
            desk = Desk(scene)
            await desk.decide(call="rtc_00_other")
            await scene.hang_up()
            await desk.decide()

            assert desk.heard == []

    run_virtual(scenario())


def test_bytes_that_are_no_decision_are_shown_as_dead_and_the_next_one_is_heard() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place()
            dead: list[Received] = []
            watch = await scene.hub.bus.subscribe(subjects.ALL_DEAD, dead.append)
            scene.hub.bus.publish(subjects.approvals(CALL), b"\xc1garbage")
            later = msgspec.msgpack.encode([CALL, "gateway.gw", 0, 0, 0, 0, 0, ["tag_of_tomorrow"]])
            scene.hub.bus.publish(subjects.approvals(CALL), later)
            desk = Desk(scene)
            await desk.decide()
            await watch.stop()

            assert [(message.subject, message.data) for message in dead] == [(subjects.dead("agent"), b"\xc1garbage")]
            assert len(desk.heard) == 1

    run_virtual(scenario())


def test_an_agent_that_has_stopped_hears_nothing() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place()
            await scene.service.stop()
            desk = Desk(scene)
            await desk.decide()

            assert desk.heard == []

    run_virtual(scenario())
