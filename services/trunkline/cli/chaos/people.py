"""People who decide over what waits for them in a run, over the gateways' HTTP API, and keep what they were told.

Who decides what, and when, comes from the seed and the number that the approval is about: nobody, one, or two at once.
"""

import asyncio
import random
import re
import time
from collections.abc import Callable, Collection

import aiohttp
import msgspec

from trunkline.cli.chaos.evidence import Decided
from trunkline.proto.approval import Choice, Decision

LOOK_S = 0.25
REQUEST_LIMIT_S = 12.0  # more than a gateway takes to give a decision up
PATIENCE = 30  # times that a decision is sent
AGAIN_S = 0.5
LATEST_S = 2.0  # before the default holds
NAMES = ("anna", "ben")
NOBODY, TWO = 0.15, 0.25  # of the approvals
DENIES = 0.3  # of the decisions
_NUMBER = re.compile(r"\d{6}")


class Waiting(msgspec.Struct):
    """Of GET /v1/approvals."""

    id: str
    call_id: str
    text: str


class Answer(msgspec.Struct):
    """Of a decision that was taken, or that came too late."""

    decision: Decision
    by: str


class Plan(msgspec.Struct, frozen=True):
    """A decision of one person. after_s: since he saw what waits."""

    by: str
    choice: Choice
    after_s: float


def plan_of(seed: int, number: str) -> list[Plan]:
    rng = random.Random(f"people {seed} {number}")
    chance, after_s = rng.random(), rng.uniform(0.0, LATEST_S)
    names = () if chance < NOBODY else NAMES if chance < NOBODY + TWO else NAMES[:1]
    choices: list[Choice] = ["deny" if rng.random() < DENIES else "approve" for _ in names]
    return [Plan(by, choice, after_s) for by, choice in zip(names, choices, strict=True)]


class People:
    """url, key: of the stack. on_waiting: is told the calls in which something waits, whenever somebody has looked."""

    def __init__(self, url: str, key: str, seed: int, on_waiting: Callable[[Collection[str]], None]) -> None:
        self.told: list[Decided] = []
        self._url = f"{url}/v1/approvals"
        self._headers = {"Authorization": f"Bearer {key}"}
        self._seed = seed
        self._on_waiting = on_waiting
        self._seen: set[str] = set()

    async def run(self) -> None:
        """Until it is cancelled. Every request has a connection of its own, so that it may come to any gateway."""
        limit = aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(timeout=limit, headers=self._headers, connector=connector) as session,
            asyncio.TaskGroup() as group,
        ):
            while True:
                for waiting in await self._look(session):
                    if waiting.id not in self._seen:
                        self._seen.add(waiting.id)
                        number = _NUMBER.search(waiting.text)
                        for plan in plan_of(self._seed, number.group() if number else waiting.id):
                            group.create_task(self._decide(session, waiting, plan))
                await asyncio.sleep(LOOK_S)

    async def _look(self, session: aiohttp.ClientSession) -> list[Waiting]:
        status, body = await _ask(session.get(self._url))
        if status != 200:
            return []
        found = msgspec.json.decode(body, type=list[Waiting])
        self._on_waiting({waiting.call_id for waiting in found})
        return found

    async def _decide(self, session: aiohttp.ClientSession, waiting: Waiting, plan: Plan) -> None:
        """Until somebody says what stands; by then the call may be over."""
        await asyncio.sleep(plan.after_s)
        order = {"decision": plan.choice, "by": plan.by, "shown": waiting.text}
        for _ in range(PATIENCE):
            status, body = await _ask(session.post(f"{self._url}/{waiting.id}", json=order))
            if status in (200, 409):
                told = msgspec.json.decode(body, type=Answer)
                self.told.append(Decided(waiting.id, plan.by, plan.choice, told.decision, told.by, time.time()))
                return
            await asyncio.sleep(AGAIN_S)


async def _ask(asked: "aiohttp.client._RequestContextManager") -> tuple[int, bytes]:
    """Status and body; status 0 for a gateway that is lost or says nothing."""
    try:
        async with asked as answer:
            return answer.status, await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return 0, b""
