"""Visitors dial at a steady pace, wait until their session is there, and hang up: so many tell how long that takes.

Rule: whoever is due dials, however long those before him still wait: what is slow must not make itself rare.
"""

import asyncio
import random
import time
from collections.abc import Callable

from trunkline.cli.chaos.ear import Ear
from trunkline.cli.chaos.evidence import Account, CallOutcome
from trunkline.cli.chaos.watch import Doing, Told
from trunkline.client import Call, ClientError, connect

EVERY_S = (0.2, 0.3)  # in step with nobody's pulse
AT_ONCE = 32  # more wait for their turn, which counts as theirs
SESSION_LIMIT_S = 40.0
AGAIN_S = (0.3, 1.0)  # before one who wasn't let in dials again
PATIENCE = 40  # times


class Visitors:
    """calls: those that were let in. refused: why others, or the same before, weren't. tell: what a visitor is at."""

    def __init__(self, url: str, key: str, seed: int, tell: Callable[[Told], None]) -> None:
        self.calls: list[CallOutcome] = []
        self.refused: list[str] = []
        self._url, self._key = url, key
        self._random = random.Random(f"visitors {seed}")
        self._tell = tell

    async def run(self, going_on: Callable[[], bool]) -> None:
        """Returns when the last has gone."""
        places = asyncio.Semaphore(AT_ONCE)
        due_s = time.time()
        async with asyncio.TaskGroup() as group:
            while going_on():
                await places.acquire()
                group.create_task(self._visitor(due_s)).add_done_callback(lambda done: places.release())
                due_s += self._random.uniform(*EVERY_S)
                await asyncio.sleep(max(0.0, due_s - time.time()))

    async def _visitor(self, due_s: float) -> None:
        for _ in range(PATIENCE):
            try:
                await self._visit(due_s)
                return
            except ClientError as refusal:
                self.refused.append(str(refusal))
                await asyncio.sleep(self._random.uniform(*AGAIN_S))

    async def _visit(self, due_s: float) -> None:
        """Raises ClientError for a visitor who isn't let in."""
        async with connect(self._url, self._key) as call:
            ear = await _let_in(call)
        self._tell(Told(ear.call, Doing.OVER))
        account = Account(
            end="hung_up", ended_s=time.time(), resumed=call.resumed, dialled_s=due_s, let_in_s=ear.let_in_s
        )
        self.calls.append(CallOutcome(ear.call, account))


async def _let_in(call: Call) -> Ear:
    """Raises ClientError."""
    ear = Ear()
    try:
        async with asyncio.timeout(SESSION_LIMIT_S):
            async for event in call:
                ear.on_event(event, time.time())
                if ear.call:
                    return ear
    except TimeoutError:
        pass
    raise ClientError(ear.errors[-1] if ear.errors else "no session was created")
