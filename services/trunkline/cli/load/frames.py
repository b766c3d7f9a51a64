"""WebSocket frames as a client needs them. Pure. Source: RFC 6455, section 5.

What a client sends is masked; its callers mask with one key per call, so that a frame which is sent a thousand times is
masked once. The key is random, as section 5.3 asks, and no program chooses what is sent by knowing it.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from trunkline.proto.errors import TrunklineError

MESSAGE_LIMIT_BYTES = 16_000_000
_FIN, _OPCODE, _RESERVED, _CONTROL = 0x80, 0x0F, 0x70, 0x08
_MASKED = 0x80
_SHORT, _MIDDLE = 126, 127  # sizes that say: the next 2, the next 8 bytes


class Opcode(IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


class Message(NamedTuple):
    opcode: int
    payload: bytes


class BadFrame(TrunklineError):
    """The server sent what is no frame of a server's; the call can't go on."""


def masked(message: Message, key: bytes) -> bytes:
    """One whole frame. key: 4 bytes."""
    size = len(message.payload)
    if size < _SHORT:
        head = bytes((_FIN | message.opcode, _MASKED | size))
    elif size < 1 << 16:
        head = bytes((_FIN | message.opcode, _MASKED | _SHORT)) + size.to_bytes(2, "big")
    else:
        head = bytes((_FIN | message.opcode, _MASKED | _MIDDLE)) + size.to_bytes(8, "big")
    pattern = (key * (size // 4 + 1))[:size]
    hidden = int.from_bytes(message.payload, "little") ^ int.from_bytes(pattern, "little")
    return head + key + hidden.to_bytes(size, "little")


class Reader:
    """Cuts a server's bytes into messages. on_message: opcode and payload; control frames come through it too."""

    def __init__(self, on_message: Callable[[int, bytes], None]) -> None:
        self._on_message = on_message
        self._rest = b""
        self._parts: list[bytes] = []
        self._opcode = 0

    def feed(self, data: bytes) -> None:
        """Raises BadFrame."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        while end - at >= 2:
            size, body = data[at + 1], at + 2
            if size >= _SHORT:
                if size > _MIDDLE:
                    raise BadFrame("the server masks")
                body += 2 if size == _SHORT else 8
                if body > end:
                    break
                size = int.from_bytes(data[at + 2 : body], "big")
                if size > MESSAGE_LIMIT_BYTES:
                    raise BadFrame(f"a frame of {size} bytes; at most {MESSAGE_LIMIT_BYTES} are taken")
            if body + size > end:
                break
            self._frame(data[at], data[body : body + size])
            at = body + size
        self._rest = data[at:]

    def _frame(self, first: int, payload: bytes) -> None:
        opcode = first & _OPCODE
        if first & _RESERVED:
            raise BadFrame("an extension that was not agreed on")
        if (first & _FIN and not self._parts and opcode != Opcode.CONTINUATION) or opcode & _CONTROL:
            self._on_message(opcode, payload)
            return
        if (opcode == Opcode.CONTINUATION) != bool(self._parts):
            raise BadFrame("fragments out of order")
        self._opcode = opcode or self._opcode
        self._parts.append(payload)
        if sum(map(len, self._parts)) > MESSAGE_LIMIT_BYTES:
            raise BadFrame(f"a message of more than {MESSAGE_LIMIT_BYTES} bytes")
        if first & _FIN:
            whole, self._parts = b"".join(self._parts), []
            self._on_message(self._opcode, whole)
