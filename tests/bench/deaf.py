"""Clients that are let in and read nothing: each is cut off, comes back to its call and stops reading again.

Rule: each has its place from the beginning to the end, so that a crowd beside them finds none, and hangs up at last.
"""

import asyncio
from collections import Counter
from urllib.parse import urlsplit

import msgspec

from support.deaf_client import DeafClient
from trunkline.cli.load.services import Target

ASK_S = 0.02  # between two questions: 2.5 MB/s of answers, so that a line is full within seconds
TASK = "deaf"  # the name of each one's
AGAIN_S = 0.2  # before it dials again
HANG_UP_LIMIT_S = 10.0
LEAVE_LIMIT_S = 3 * HANG_UP_LIMIT_S  # also of one whose line takes nothing any more


class Told(msgspec.Struct, frozen=True):
    """Of all of them together. refused: how often one wasn't let in, by the answer's first line."""

    cut: int
    came_back: int
    refused: dict[str, int]


class Deaf:
    """One. inside: set once it has its place."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.url)
        self._where = parts.hostname or "", parts.port or 80, target.key
        self._left = False
        self._token = ""
        self.inside = asyncio.Event()
        self.cut = 0
        self.came_back = 0
        self.refused: Counter[str] = Counter()

    def leave(self) -> None:
        self._left = True

    async def run(self) -> None:
        """Until it is to leave, and has hung up."""
        created = False
        while (client := await self._dial()) is not None:
            self.came_back += self.inside.is_set()
            self.inside.set()
            try:
                if not created:
                    await client.create_item()
                    created = True
                while not self._left:
                    await client.ask()
                    await asyncio.sleep(ASK_S)
                async with asyncio.timeout(HANG_UP_LIMIT_S):
                    await client.hang_up()
                return
            except ConnectionError:
                self.cut += 1
            finally:
                client.close()
            await asyncio.sleep(AGAIN_S)

    async def _dial(self) -> DeafClient | None:
        """None where it isn't let in up to when it is to leave: a call that waits for it then ends by itself."""
        while True:
            client = DeafClient(*self._where)
            try:
                async with asyncio.timeout(HANG_UP_LIMIT_S):
                    await client.call(self._token)
            except (ConnectionError, TimeoutError) as error:
                client.close()
                self.refused[str(error) or type(error).__name__] += 1
                if self._left:
                    return None
                await asyncio.sleep(AGAIN_S)
                continue
            self._token = client.token
            return client


class DeafOnes:
    """`async with DeafOnes(target, count) as deaf`: they are inside then. Behind the block they have hung up."""

    def __init__(self, target: Target, count: int, limit_s: float) -> None:
        """limit_s: for all to be let in."""
        self._all = [Deaf(target) for _ in range(count)]
        self._limit_s = limit_s

    async def __aenter__(self) -> "DeafOnes":
        """Raises SystemExit."""
        self._running = [asyncio.create_task(one.run(), name=TASK) for one in self._all]
        try:
            async with asyncio.timeout(self._limit_s):
                await asyncio.gather(*(one.inside.wait() for one in self._all))
        except BaseException as error:
            await self._end()
            if isinstance(error, TimeoutError):
                raise SystemExit(f"a client that reads nothing was not let in: {self.told.refused}") from None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        for one in self._all:
            one.leave()
        try:
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await asyncio.gather(*self._running)
        except TimeoutError:
            pass  # of one that doesn't come to its end, its call does
        finally:
            await self._end()

    @property
    def told(self) -> Told:
        refused: Counter[str] = sum((one.refused for one in self._all), Counter())
        return Told(sum(one.cut for one in self._all), sum(one.came_back for one in self._all), dict(refused))

    async def _end(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
