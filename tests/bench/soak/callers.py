"""Calls in sequence, a few lines at a time, each short and of another kind: most end well, some don't.

A caller of a stock client, over aiohttp, but for those who come back: they have Trunkline's own client.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import aiohttp

from bench.turns import Client
from support.running_stack import RunningStack
from trunkline.cli.load.own import REPLY
from trunkline.cli.stack import Address
from trunkline.client import Call, connect

CALL_LIMIT_S = 30.0
SCRIPT = (
    REPLY[:-1]
    + b"""\
,
 [[{"type": "tool", "name": "note", "arguments": {"number": "{words}"}}],
  [{"type": "say", "text": "It is noted.", "phase": "final_answer"}]]]"""
)  # the first turn is a reply, the second a tool
SEGMENT_MS = 400  # of tone, and so of a reply
_SILENCE = bytes(2 * 480)  # 20 ms


class Line(Client):
    """What the callers of a soak do besides taking turns."""

    @property
    def address(self) -> Address:
        return self._stack.address

    async def begin_turn(self) -> None:
        """Up to the first sound of the reply."""
        await self._say(type="input_audio_buffer.append", audio=self._burst)
        await self._say(type="input_audio_buffer.commit")
        await self._say(type="response.create")
        await self._until("response.output_audio.delta")

    async def interrupt(self) -> None:
        await self._say(type="response.cancel")
        await self._until("response.done")

    def cut(self) -> None:
        """As a line that breaks; nothing where none is open."""
        socket: aiohttp.ClientWebSocketResponse | None = getattr(self, "_socket", None)
        if socket is not None and not socket.closed:
            cut(socket)


def cut(socket: aiohttp.ClientWebSocketResponse) -> None:
    socket._response.connection.transport.abort()  # type: ignore[union-attr]  # aiohttp offers no other way


async def whole(line: Line) -> None:
    await line.dial()
    await line.turn()
    await line.hang_up()


async def with_tool(line: Line) -> None:
    await line.dial()
    await line.turn()
    await line.turn()
    await line.hang_up()


async def barge_in(line: Line) -> None:
    await line.dial()
    await line.begin_turn()
    await line.interrupt()
    await line.turn()
    await line.hang_up()


async def hung_up(line: Line) -> None:
    """While the agent speaks."""
    await line.dial()
    await line.begin_turn()
    await line.hang_up()


async def lost(line: Line) -> None:
    """Its call waits for it, and ends as lost."""
    await line.dial()
    await line.begin_turn()
    line.cut()


async def silent(line: Line) -> None:
    await line.dial()
    await line.hang_up()


async def resumed(line: Line) -> None:
    """The line breaks, and the client comes back."""
    address = line.address
    async with asyncio.timeout(CALL_LIMIT_S), connect(address.realtime, address.key) as call:
        events = aiter(call)
        async for event in events:
            if event.type == "session.created":
                break
        call.append_audio(_SILENCE)
        cut(_socket_of(call))
        while not call.resumed:
            call.append_audio(_SILENCE)
            await asyncio.sleep(0.02)


def _socket_of(call: Call) -> aiohttp.ClientWebSocketResponse:
    assert call._socket is not None
    return call._socket._websocket


class Kind(NamedTuple):
    """share: of 20 calls."""

    take_place: Callable[[Line], Awaitable[None]]
    share: int


KINDS = (
    Kind(whole, 8),
    Kind(with_tool, 4),
    Kind(barge_in, 2),
    Kind(hung_up, 2),
    Kind(lost, 2),
    Kind(resumed, 1),
    Kind(silent, 1),
)


def order(kinds: Sequence[Kind] = KINDS) -> list[Callable[[Line], Awaitable[None]]]:
    """Of one round, every kind spread over it."""
    places = [((at + 0.5) / kind.share, kind.take_place) for kind in kinds for at in range(kind.share)]
    return [take_place for _, take_place in sorted(places, key=lambda place: place[0])]


class Callers:
    """ended: calls so far. failures: by reason."""

    def __init__(self, stack: RunningStack, http: aiohttp.ClientSession) -> None:
        self.ended = 0
        self.failures: Counter[str] = Counter()
        self._stack = stack
        self._http = http
        self._round = order()
        self._begun = 0

    async def run(self, calls: int, at_once: int) -> None:
        """Returns when so many more have ended."""
        until = self._begun + calls

        async def one_after_another() -> None:
            while self._begun < until:
                self._begun += 1
                await self._call(self._round[self._begun % len(self._round)])

        await asyncio.gather(*(one_after_another() for _ in range(at_once)))

    async def _call(self, take_place: Callable[[Line], Awaitable[None]]) -> None:
        line = Line(self._http, self._stack)
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                await take_place(line)
        except Exception as error:  # the rim of a call: it counts as failed, and the others go on
            line.cut()
            self.failures[f"{take_place.__name__}: {error!r}"[:160]] += 1
        self.ended += 1
