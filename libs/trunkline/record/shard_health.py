"""Which of the record's shards take new calls: all, until something makes one doubt; then those whose leaders answer.

Rule: with no doubt nobody is asked; that a call waits for its shard is one. A shard in doubt takes no new call before
its leader has answered a question that was asked after the doubt arose.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine

from trunkline.proto.errors import RecordUnavailable
from trunkline.proto.ids import SHARDS
from trunkline.telemetry import logs

ASK_AGAIN_S = 1.0  # while a shard is in doubt
PATIENCE_S = 0.1  # then whoever waits for a shard has it asked: its leader may hang, which nobody is told of
ELECTION_S = 5.0  # as a rule: who finds no shard may come back then
FULL_S = 30.0  # likewise where none has room: somebody has to make some first
ALL = range(SHARDS)

log = logs.get(__name__)

Probe = Callable[[int], Awaitable[bool]]


class Doubts:
    """Pure. Doubts are numbered, so that an answer to a question from before the last one settles nothing."""

    def __init__(self) -> None:
        self._number = 0
        self._doubted: dict[int, int] = {}  # shard -> number of its last doubt
        self._silent: set[int] = set()  # of those in doubt, who didn't answer when last asked

    def __bool__(self) -> bool:
        return bool(self._doubted)

    def __contains__(self, shard: int) -> bool:
        return shard in self._doubted

    @property
    def number(self) -> int:
        """Of the last; to be noted when a question is asked."""
        return self._number

    @property
    def well(self) -> list[int]:
        return [shard for shard in ALL if shard not in self._doubted]

    @property
    def silent(self) -> Collection[int]:
        return self._silent

    def about(self, shards: Collection[int]) -> None:
        self._number += 1
        self._doubted.update(dict.fromkeys((shard for shard in shards if shard in ALL), self._number))

    def forget_silence(self) -> None:
        """Who didn't answer may now."""
        self._silent.clear()

    def answered(self, shard: int, asked: int) -> None:
        """asked: the number of the last doubt when the question was asked."""
        self._silent.discard(shard)
        if self._doubted.get(shard, 0) <= asked:
            self._doubted.pop(shard, None)

    def unanswered(self, shard: int) -> None:
        self._silent.add(shard)
        self._doubted.setdefault(shard, self._number)


class ShardHealth:
    """One per gateway. probe: whether that shard's leader answered, within a fraction of a second."""

    def __init__(self, probe: Probe, rng: random.Random | None = None) -> None:
        self._probe = probe
        self._rng = rng or random.Random(random.random())  # whoever seeds the module seeds it too
        self._doubts = Doubts()
        self._full: Collection[int] = ()
        self._news = asyncio.Event()  # replaced with each
        self._urgent = asyncio.Event()
        self._asker: asyncio.Task[None] | None = None
        self._asked_s = float("-inf")
        self._logged: list[int] = []
        self._stopped = False

    def doubt_all(self) -> None:
        """Servers came or went, or this process has another: who is well is asked for at once."""
        self._doubts.about(ALL)
        self._doubts.forget_silence()
        self._urgent.set()
        self._ask_soon()

    def doubt(self, shards: Collection[int]) -> None:
        """Somebody waits for these."""
        self._doubts.about(shards)
        self._ask_soon()

    def avoid(self, shards: Collection[int]) -> None:
        """They have no room for new calls, and all others have."""
        self._full = shards

    def doubts(self, shard: int) -> bool:
        """It may be electing its leader; whoever can wait with it should."""
        return shard in self._doubts

    async def choose(self) -> int:
        """For one more call. While all are in doubt it waits for who is being asked. Raises RecordUnavailable."""
        while not self._doubts.well:
            if len(self._doubts.silent) == SHARDS:
                raise RecordUnavailable(ELECTION_S)
            await self._next_news()
        usable = [shard for shard in self._doubts.well if shard not in self._full]
        if not usable:
            raise RecordUnavailable(FULL_S, "the record has no room for another call")
        return self._rng.choice(usable)

    async def unless_silent(self, shard: int, work: Coroutine[None, None, None]) -> bool:
        """Whether the work was done; it is cancelled when the shard is asked meanwhile, and doesn't answer. What takes
        longer than a moment has it asked.

        Raises what the work raises.
        """
        working, falling_silent = asyncio.ensure_future(work), asyncio.ensure_future(self._silence_of(shard))
        try:
            await asyncio.wait((working, falling_silent), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                return False
            working.result()
            return True
        finally:
            for task in (working, falling_silent):
                task.cancel()
            await asyncio.gather(working, falling_silent, return_exceptions=True)

    async def stop(self) -> None:
        """Nobody is asked any more, whatever is doubted: servers may come and go until the process ends."""
        self._stopped = True
        if self._asker is not None:
            self._asker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._asker

    def _ask_soon(self) -> None:
        if not self._stopped and (self._asker is None or self._asker.done()):
            self._asker = asyncio.create_task(self._ask(), name="shard-health")

    async def _ask(self) -> None:
        """Rounds of questions to all shards, until none is in doubt."""
        loop = asyncio.get_running_loop()
        while self._doubts:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._asked_s + ASK_AGAIN_S):
                    await self._urgent.wait()
            self._urgent.clear()
            self._asked_s = loop.time()
            await asyncio.gather(*(self._ask_one(shard) for shard in ALL))
            self._log()

    def _log(self) -> None:
        """What has changed."""
        silent, before = sorted(self._doubts.silent), self._logged
        self._logged = silent
        if silent and silent != before:
            log.warning("shards of the record don't answer", shards=silent)
        elif before and not silent:
            log.info("all shards of the record answer")

    async def _ask_one(self, shard: int) -> None:
        asked = self._doubts.number
        if await self._probe(shard):
            self._doubts.answered(shard, asked)
        else:
            self._doubts.unanswered(shard)
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _next_news(self) -> None:
        await self._news.wait()

    async def _silence_of(self, shard: int) -> None:
        await asyncio.sleep(PATIENCE_S)
        if shard not in self._doubts.silent:
            await self._ask_one(shard)
        if shard in self._doubts.silent and (self._asker is None or self._asker.done()):
            self._urgent.set()
            self.doubt(ALL)  # whoever leads it may lead others too
        while shard not in self._doubts.silent:
            await self._next_news()
