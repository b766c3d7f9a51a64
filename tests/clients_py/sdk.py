"""A call by `agents.realtime`, unchanged: its session, what it told, and its history. Any error fails the test."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple
from unittest import mock

os.environ["OPENAI_AGENTS_DISABLE_TRACING"] = "1"

from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

from clients_py.scene import LIMIT_S
from support.realtime_referee import require_vendors
from support.virtual import VirtualLoop
from trunkline.cli.stack import Address


class Entry(NamedTuple):
    """One item of the SDK's history. who: a role, or a tool's name. output: of a tool."""

    who: str
    text: str
    output: str | None = None


class Sdk:
    """seen: all events of the session but those of single pieces of sound. raw: what the server said."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.seen: list[Any] = []
        self.raw: list[Any] = []
        self.sound: dict[str, bytes] = {}  # by item
        self._news = asyncio.Event()
        self._failure: BaseException | None = None

    async def listen(self) -> None:
        """Until the session is closed. What the SDK objects to is raised by `when`."""
        try:
            async for event in self.session:
                self._take(event)
                self._news.set()
        except BaseException as error:
            self._failure = error
            self._news.set()

    def _take(self, event: Any) -> None:
        assert event.type != "error", event.error
        if event.type == "raw_model_event":
            assert event.data.type not in ("error", "exception"), event.data
            if event.data.type == "raw_server_event":
                require_vendors(event.data.data)
                self.raw.append(event.data.data)
        elif event.type == "audio":
            self.sound[event.item_id] = self.sound.get(event.item_id, b"") + event.audio.data
        else:
            self.seen.append(event)

    async def when(self, condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
        """Raises what the SDK found wrong; AssertionError when it takes too long."""
        try:
            async with asyncio.timeout(limit_s):
                while not condition():
                    if self._failure is not None:
                        raise self._failure
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as error:
            last = [event["type"] for event in self.raw if not event["type"].endswith(".delta")][-10:]
            raise AssertionError(f"not within {limit_s} s; history: {self.history}; last: {last}") from error

    def all(self, kind: str) -> list[Any]:
        """The session's events of a type."""
        return [event for event in self.seen if event.type == kind]

    def told(self, kind: str) -> list[Any]:
        """The server's."""
        return [event for event in self.raw if event["type"] == kind]

    async def done(self, count: int = 1) -> Any:
        """The last response, once so many are over and the SDK has taken note."""
        await self.when(lambda: len(self.all("agent_end")) >= count)
        return self.told("response.done")[count - 1]["response"]

    async def settle(self, for_s: float = 1.0) -> None:
        """What the SDK still has to say and hear for a moment."""
        await asyncio.sleep(for_s)
        await self.when(lambda: True)
        assert self._failure is None, self._failure

    @property
    def messages(self) -> list[tuple[str, str, str]]:
        """Of its history: id, role and text of each."""
        items = zip(self.session._history, self.history, strict=True)
        return [(item.item_id, entry.who, entry.text) for item, entry in items if item.type == "message"]

    @property
    def waits(self) -> bool:
        """A response.create is unanswered, or a response isn't over: the SDK would hold back its next."""
        model: Any = self.session.model
        return bool(model._ongoing_response) or model._response_control != "free"

    @property
    def history(self) -> list[Entry]:
        return [_entry(item) for item in self.session._history]


def _entry(item: Any) -> Entry:
    if item.type == "function_call":
        return Entry(item.name, item.arguments, item.output)
    parts = (getattr(part, "transcript", None) or getattr(part, "text", None) or "" for part in item.content)
    return Entry(item.role, "".join(parts))


@contextmanager
def loop_time() -> Iterator[None]:
    """The SDK reckons what was heard by the clock; on virtual time that is the loop's."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualLoop):
        yield
        return
    with mock.patch.object(time, "monotonic", loop.time):
        yield


@asynccontextmanager
async def sdk(address: Address, agent: RealtimeAgent[Any], *, query: str = "", **settings: Any) -> AsyncIterator[Sdk]:
    """settings: the model's, as `initial_model_settings` has them. query: of the address."""
    config: Any = {"url": address.realtime + query, "api_key": address.key, "initial_model_settings": settings}
    with loop_time():
        async with await RealtimeRunner(agent).run(model_config=config) as session:
            made = Sdk(session)
            listening = asyncio.create_task(made.listen())
            try:
                await made.when(lambda: made.told("session.updated"))
                yield made
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
