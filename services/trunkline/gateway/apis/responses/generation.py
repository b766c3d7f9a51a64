"""One generation at an agent's worker: its prompt goes out in parts, and what the model says waits here for its reader.

Rule: nothing is said twice. A worker that is lost before its words were read is followed by another; after that the
generation has failed, since another model's words needn't go on from there.
"""

import asyncio
from collections.abc import Callable

from trunkline.bus.port import Headers
from trunkline.gateway.apis.responses.answer import Said
from trunkline.gateway.placing import Placement
from trunkline.gateway.requests import Request
from trunkline.proto.envelope import Message
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.generation import (
    PART_BYTES,
    Generate,
    Generated,
    GeneratedCall,
    GeneratedMessageEnded,
    GeneratedText,
    GenerationFailed,
    PromptPart,
)
from trunkline.proto.placement import Accepted
from trunkline.proto.response import Attached

WORKERS = 3  # that may be lost
STALL_LIMIT_S = 45.0  # an agent gives up a model that says nothing for 30 s
HELD_LIMIT_BYTES = 4 * 1024 * 1024  # said and not read


class Generation:
    """A Post. prompt: encoded. now_s: monotonic."""

    movable = False  # who drains lets it end; to move is to begin again

    def __init__(self, prompt: bytes, now_s: Callable[[], float]) -> None:
        self._prompt = prompt
        self._now_s = now_s
        self._request: Request
        self._placed = 0
        self._said: list[Said] = []
        self._said_bytes = 0
        self._read = self._over = False
        self._news = asyncio.Event()
        self._end = asyncio.Event()
        self._heard_s = now_s()

    def of(self, request: Request) -> "Generation":
        """It serves this request, and fails it."""
        self._request = request
        return self

    # its reader

    async def news(self) -> list[Said]:
        """What was said since the last time; waits for something."""
        await self._news.wait()
        return self._taken()

    async def whole(self) -> list[Said]:
        """All that was said, once it has its end."""
        await self._end.wait()
        return self._taken()

    def _taken(self) -> list[Said]:
        said, self._said = self._said, []
        self._said_bytes = 0
        self._read = True
        self._news.clear()
        return said

    # as a Post

    def order(self, reason: str) -> Generate:
        return Generate(-(-len(self._prompt) // PART_BYTES), len(self._prompt))

    def declined(self) -> None:
        """Nothing had begun."""

    def taken(self, placement: Placement, answer: Accepted | Attached) -> None:
        self._forget()
        self._placed += 1
        if self._read or self._placed > WORKERS:
            self._fail()
            return
        self._heard_s = self._now_s()
        for begin in range(0, len(self._prompt), PART_BYTES):
            placement.link.send(PromptPart(self._prompt[begin : begin + PART_BYTES]))

    def hear(self, message: Message, headers: Headers | None) -> None:
        if self._over or not isinstance(
            message, GeneratedText | GeneratedMessageEnded | GeneratedCall | Generated | GenerationFailed
        ):
            return
        self._heard_s = self._now_s()
        self._keep(message)
        if self._said_bytes > HELD_LIMIT_BYTES:
            self._request.fail(StageUnavailable("gateway", f"more than {HELD_LIMIT_BYTES} bytes of an answer wait"))
            return
        self._over = isinstance(message, Generated | GenerationFailed)
        self._news.set()
        if self._over:
            self._end.set()

    def lost(self) -> None:
        if self._over:
            return
        if self._read:
            self._fail()
        self._forget()

    @property
    def stalled(self) -> bool:
        return not self._over and self._now_s() - self._heard_s > STALL_LIMIT_S

    def _keep(self, said: Said) -> None:
        """Words that follow each other are one piece: a reader that is slow gets fewer and longer ones."""
        last = self._said[-1] if self._said else None
        match last, said:
            case GeneratedText(text=before, phase=phase), GeneratedText(text=text, phase=same) if phase == same:
                self._said[-1] = GeneratedText(before + text, phase)
                self._said_bytes += len(text)
            case _, GeneratedText(text=text) | GeneratedCall(arguments=text):
                self._said.append(said)
                self._said_bytes += len(text)
            case _:
                self._said.append(said)

    def _forget(self) -> None:
        """What was said and not read."""
        if not self._over:
            self._said.clear()
            self._said_bytes = 0
            self._news.clear()

    def _fail(self) -> None:
        self._request.fail(StageUnavailable("agent", "its worker was lost while the model spoke"))
