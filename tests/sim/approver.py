"""People who decide over what waits for them, over the gateways' HTTP API, and who are told what came of it.

They look at one gateway and decide at another; of one that dies, hangs or doesn't know they ask the next.
"""

import asyncio
import random

import msgspec

from sim.history import DecisionPlan
from sim.loop import Life
from sim.sockets import Front, GatewayLost
from sim.sound import number_in
from trunkline.cli.chaos.evidence import Decided
from trunkline.proto.approval import Decision

LOOK_S = 0.1
PATIENCE = 12  # times that a decision is sent


class Waiting(msgspec.Struct):
    """Of GET /v1/approvals."""

    id: str
    text: str
    kind: str


class Answer(msgspec.Struct):
    """Of a decision that was taken, or that came too late."""

    decision: Decision
    by: str


class People:
    """plans: what they decide, by the number that the approval is about."""

    def __init__(self, front: Front, rng: random.Random, plans: dict[int, list[DecisionPlan]]) -> None:
        self.told: list[Decided] = []
        self._life = Life("people", front.loop)
        self._front = front
        self._rng = rng
        self._plans = plans
        self._seen: set[str] = set()

    def begin(self) -> None:
        self._life.spawn(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                _, body = await self._front.ask("GET", "/v1/approvals", rng=self._rng)
            except GatewayLost:
                continue
            for waiting in msgspec.json.decode(body, type=list[Waiting]):
                if waiting.id not in self._seen:
                    self._seen.add(waiting.id)
                    for planned in self._plans.get(_number(waiting), []):
                        self._life.spawn(self._decide(waiting, planned))

    async def _decide(self, waiting: Waiting, planned: DecisionPlan) -> None:
        await asyncio.sleep(planned.after_s)
        order: dict[str, object] = {"decision": planned.choice, "by": planned.by, "shown": waiting.text}
        if planned.text is not None and waiting.kind == "answer" and planned.choice == "approve":
            order["text"] = planned.text
        for _ in range(PATIENCE):
            path = "/v1/approvals/{approval}"
            try:
                status, body = await self._front.ask("POST", path, waiting.id, msgspec.json.encode(order), self._rng)
            except GatewayLost:
                continue
            if status in (200, 409):
                told = msgspec.json.decode(body, type=Answer)
                now_s = self._front.wall_s()
                decided = Decided(waiting.id, planned.by, planned.choice, told.decision, told.by, now_s)
                self.told.append(decided)
                return
            await asyncio.sleep(LOOK_S)


def _number(waiting: Waiting) -> int:
    if waiting.kind == "tool":
        return int(msgspec.json.decode(waiting.text)["number"])
    return number_in(waiting.text)
