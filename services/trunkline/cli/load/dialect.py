"""The seam between a caller and what it calls: how audio, the end of a burst and a reply look on the wire.

A dialect holds nothing of a call: one instance serves all. It is named by `module:NAME`, since callers live in
processes of their own.
"""

import importlib
from collections.abc import Sequence
from typing import Literal, Protocol

from trunkline.cli.load.frames import Message
from trunkline.proto.errors import BadInput

Turns = Literal["commit", "vad"]
"""Who ends a caller's turn: the caller, right behind the last frame of the burst, or the server."""

KNOWN = {"realtime": "trunkline.cli.load.realtime:REALTIME", "binary": "trunkline.cli.load.binary:BINARY"}


class Ear(Protocol):
    """What a dialect tells of what a server said."""

    def set_up(self) -> None:
        """The server has a call. Said once or more often; the first counts."""

    def may_speak(self) -> None:
        """It takes audio now, as was asked for in the opening."""

    def reply_began(self) -> None:
        """A dialect that knows it only by the first audio needn't say it."""

    def audio(self, seconds: float) -> None:
        """So much of the agent's sound came."""

    def reply_over(self) -> None:
        """No more of it will come; what came may still have to be played."""

    def noticed(self) -> None:
        """The server hears the caller speak: a client stops playing."""

    def failed(self, reason: str) -> None:
        """The call can't go on."""


class Dialect(Protocol):
    """path: with its query. rate_hz: of the caller's audio, int16 LE mono. headers: besides those of the handshake."""

    path: str
    rate_hz: int

    def headers(self, key: str) -> dict[str, str]:
        """key: of the API, may be empty."""

    def opening(self, turns: Turns) -> Sequence[Message]:
        """Sent as soon as the socket is open."""

    def frame(self, pcm: bytes) -> Message:
        """20 ms of the caller's."""

    def commit(self) -> Sequence[Message]:
        """The burst is over, answer it; sent in one write with its last frame."""

    def cancel(self) -> Sequence[Message]:
        """What a client says that interrupts a reply without a server that listens; empty where there is no such."""

    def read(self, opcode: int, payload: bytes, ear: Ear) -> None:
        """A message of the server's. Called for each, so with the least work."""


def spec_of(name: str) -> str:
    """name: of KNOWN. Raises BadInput."""
    if name not in KNOWN:
        raise BadInput("--dialect", f"there is no {name!r}", ", ".join(KNOWN))
    return KNOWN[name]


def name_of(spec: str) -> str:
    """Of KNOWN, else the spec itself."""
    return next((name for name, known in KNOWN.items() if known == spec), spec)


def load(spec: str) -> Dialect:
    """spec: module:NAME, of this program's own making."""
    module, _, name = spec.partition(":")
    dialect: Dialect = getattr(importlib.import_module(module), name)
    return dialect
