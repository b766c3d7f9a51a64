"""A call to an agent as a test places it; `trunkline.rehearsal` plays it, found by name, since libs import no service.

Rule: nothing here decides anything about a call.
"""

import asyncio
import importlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar

from trunkline.agents.agent import Agent
from trunkline.agents.load import AgentFile, load_agent_file, together
from trunkline.agents.testing.model import Asked, FakeModel
from trunkline.agents.testing.seen import RehearsalFailed, Reply, Sight, Transfer, Waiting
from trunkline.proto.approval import Choice
from trunkline.proto.errors import BadInput

STAGE = "trunkline.rehearsal"
PATIENCE_S = 10.0
T = TypeVar("T")


class Backstage(Protocol):
    """The call as it is played in its own thread; everything is answered there. See AsyncCall for what each does."""

    def start(self) -> "Future[None]": ...
    def stop(self) -> "Future[None]": ...
    def sight(self) -> "Future[Sight]": ...
    def asks(self, text: str) -> "Future[None]": ...
    def reply(self) -> "Future[Reply]": ...
    def says(self, text: str) -> "Future[Reply]": ...
    def passes(self, seconds: float) -> "Future[tuple[Reply, ...]]": ...
    def interrupts(self, heard: str | None) -> "Future[Reply]": ...
    def decides(self, choice: Choice | None, text: str | None, by: str, note: str) -> "Future[Reply]": ...
    def hangs_up(self) -> "Future[None]": ...

    def leave(self) -> None:
        """The thread ends."""
        ...

    def what_goes_on(self) -> str:
        """For failures: asked from any thread."""
        ...


class Rehearsed:
    """What both kinds of call tell. It can still be asked once the call is over."""

    def __init__(self, backstage: Backstage, patience_s: float) -> None:
        self._backstage = backstage
        self._patience_s = patience_s
        self._last: Sight | None = None

    @property
    def greeting(self) -> Reply | None:
        return self._sight().greeting

    @property
    def replies(self) -> tuple[Reply, ...]:
        """All so far, the greeting first."""
        return self._sight().replies

    @property
    def approvals(self) -> tuple[Waiting, ...]:
        """What waits for a person."""
        return self._sight().approvals

    @property
    def transfers(self) -> tuple[Transfer, ...]:
        return self._sight().transfers

    @property
    def state(self) -> Mapping[str, object]:
        """What the call's tools have put into `ToolContext.state`."""
        return self._sight().state

    @property
    def agent(self) -> str:
        """Who has the call now."""
        return self._sight().agent

    @property
    def ended(self) -> str:
        """Why the call has ended ("agent_hung_up", "caller_hung_up", …), "" while it goes on."""
        return self._sight().ended

    @property
    def asked(self) -> tuple[Asked, ...]:
        """What the model was told, one for each time that it was asked."""
        return self._sight().asked

    def transcript(self) -> str:
        """The call in lines, with phases, tools, verdicts and approvals."""
        return self._sight().transcript

    def _sight(self) -> Sight:
        return self._last or self._wait(self._backstage.sight())

    def _wait(self, future: "Future[T]") -> T:
        """Raises RehearsalFailed if it takes longer than this test's patience."""
        try:
            return future.result(self._patience_s)
        except TimeoutError:
            if future.done():
                raise
            future.cancel()
            raise self._impatient() from None

    def _impatient(self) -> RehearsalFailed:
        return RehearsalFailed(f"not settled within {self._patience_s:g} s.\n{self._backstage.what_goes_on()}")


class AsyncCall(Rehearsed):
    """One call, from its greeting to its end; made by `async with rehearse(…)`."""

    async def says(self, text: str) -> Reply:
        """The caller says this; the reply once it is complete, or waits for a person (see `approvals`)."""
        return await self._answer(self._backstage.says(text))

    async def asks(self, text: str) -> None:
        """As says, without waiting: for what happens while the agent answers. `reply()` has the answer."""
        await self._answer(self._backstage.asks(text))

    async def reply(self) -> Reply:
        """The next reply that this test hasn't seen: of what was asked, or what the agent says by itself."""
        return await self._answer(self._backstage.reply())

    async def passes(self, seconds: float) -> tuple[Reply, ...]:
        """So much time passes at once, and all that is due in it happens: replies that came, or went on, meanwhile."""
        return await self._answer(self._backstage.passes(seconds))

    async def interrupts(self, heard: str | None = None) -> Reply:
        """The caller speaks over the last reply. heard: how it begins, as far as it was heard; None for all so far."""
        return await self._answer(self._backstage.interrupts(heard))

    async def approve(self, *, text: str | None = None, by: str = "tester", note: str = "") -> Reply:
        """A person agrees to what waits longest; the reply that follows. text: said in place of the answer shown."""
        return await self._answer(self._backstage.decides("approve", text, by, note))

    async def deny(self, *, by: str = "tester", note: str = "") -> Reply:
        return await self._answer(self._backstage.decides("deny", None, by, note))

    async def nobody_decides(self) -> Reply:
        """The time of what waits longest passes, and its default is decided; the reply that follows."""
        return await self._answer(self._backstage.decides(None, None, "", ""))

    async def hangs_up(self) -> None:
        await self._answer(self._backstage.hangs_up())

    async def _answer(self, future: "Future[T]") -> T:
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._patience_s)
        except TimeoutError:
            if future.done() and not future.cancelled():
                raise
            raise self._impatient() from None


class Call(Rehearsed):
    """As AsyncCall, for a test without an event loop; made by `with rehearse(…)`."""

    def says(self, text: str) -> Reply:
        return self._wait(self._backstage.says(text))

    def asks(self, text: str) -> None:
        self._wait(self._backstage.asks(text))

    def reply(self) -> Reply:
        return self._wait(self._backstage.reply())

    def passes(self, seconds: float) -> tuple[Reply, ...]:
        return self._wait(self._backstage.passes(seconds))

    def interrupts(self, heard: str | None = None) -> Reply:
        return self._wait(self._backstage.interrupts(heard))

    def approve(self, *, text: str | None = None, by: str = "tester", note: str = "") -> Reply:
        return self._wait(self._backstage.decides("approve", text, by, note))

    def deny(self, *, by: str = "tester", note: str = "") -> Reply:
        return self._wait(self._backstage.decides("deny", None, by, note))

    def nobody_decides(self) -> Reply:
        return self._wait(self._backstage.decides(None, None, "", ""))

    def hangs_up(self) -> None:
        self._wait(self._backstage.hangs_up())


class Rehearsing:
    """A call that isn't placed yet: `with` and `async with` place it, and hang up at their end."""

    def __init__(self, backstage: Callable[[], Backstage], patience_s: float) -> None:
        self._make = backstage
        self._patience_s = patience_s
        self._open: Rehearsed | None = None

    def __enter__(self) -> Call:
        call = self._open = Call(self._make(), self._patience_s)
        self._start(call)
        return call

    async def __aenter__(self) -> AsyncCall:
        call = self._open = AsyncCall(self._make(), self._patience_s)
        await asyncio.to_thread(self._start, call)
        return call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop(failed=error is not None)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._stop, failed=error is not None)

    def _start(self, call: Rehearsed) -> None:
        try:
            call._wait(call._backstage.start())
        except BaseException:
            call._backstage.leave()
            raise

    def _stop(self, *, failed: bool) -> None:
        """failed: the test has, and that is what is to be told of."""
        call, self._open = self._open, None
        assert call is not None
        try:
            call._wait(call._backstage.stop())
            call._last = call._wait(call._backstage.sight())
        except RehearsalFailed:
            if not failed:
                raise
        finally:
            call._backstage.leave()


def rehearse(
    agent: Agent | AgentFile | Path | str,
    *others: Agent,
    model: FakeModel | str | object = "local",
    patience_s: float = PATIENCE_S,
) -> Rehearsing:
    """Place a call to an agent, or to the default agent of an agent file (`FILE.py`, `FILE.py:NAME`).

    others: agents that it may hand off to, where no file is given. model: what `scripted` makes; a function of `Asked`
    that gives the same (plain or async); the name of an engine, as in `trunkline up --engine model=…`, with its
    settings from the environment; or any object that is a model of `trunkline.agent`. patience_s: real seconds that
    any step may take. Raises BadInput.
    """
    if isinstance(agent, Agent):
        file = together(agent, *others)
    elif others:
        raise BadInput("rehearse: others", "are given with a file", "agents of that file alone")
    else:
        file = agent if isinstance(agent, AgentFile) else load_agent_file(str(agent))
    try:
        stage = importlib.import_module(STAGE)
    except ModuleNotFoundError as error:
        raise BadInput("rehearse", f"the package {error.name} is missing", "trunkline[agent,tool-runner]") from error
    return Rehearsing(lambda: stage.open_backstage(file, model), patience_s)
