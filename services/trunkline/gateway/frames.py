"""WebSocket frames (RFC 6455) in bytes: what a client sends is read, what it is sent is written. Pure.

Rule: what breaks the protocol is a Violation with its close code, and nothing is read behind it.
"""

import codecs
import struct
import sys
from typing import Final

from aiohttp._websocket.helpers import websocket_mask

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10  # opcodes
FIN, MASKED = 0x80, 0x80
LONG: Final = 126  # as a length: it follows in two bytes
VERY_LONG: Final = 127  # in eight
MASK_BYTES: Final = 4
CONTROL_LIMIT_BYTES = 125
PROTOCOL_ERROR, NOT_UTF8, REFUSED, TOO_LARGE, LATER = 1002, 1007, 1008, 1009, 1013
NO_CODE = 1005  # of a close frame that names none
_VALID_CODES = frozenset((*range(1000, 1004), *range(1007, 1015)))
_WHOLE_TEXT = FIN | TEXT
_KNOWN = frozenset(fin | kind for fin in (0, FIN) for kind in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))

_head, _head_long, _head_very_long = struct.Struct("!BB"), struct.Struct("!BBH"), struct.Struct("!BBQ")
_long, _very_long, _code = struct.Struct("!H"), struct.Struct("!Q"), struct.Struct("!H")
_utf8_in_parts = codecs.getincrementaldecoder("utf-8")


class Violation(Exception):
    """code: to close with (RFC 6455, 7.4.1)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


class FrameReader:
    """What one client sends. limit_bytes: of one message. kind: of the message that was read last.

    steps: frames that may still be read, until more are allowed; any number at first. held_bytes: of what isn't whole
    yet.
    """

    __slots__ = ("_at", "_begun", "_data", "_limit_bytes", "_parts", "_text", "held_bytes", "kind", "steps")

    def __init__(self, limit_bytes: int) -> None:
        self.kind = CONTINUATION
        self.steps = sys.maxsize
        self.held_bytes = 0
        self._limit_bytes = limit_bytes
        self._data: bytes | bytearray = b""
        self._at = 0  # where what isn't read yet begins
        self._begun = CONTINUATION  # kind of the message that came in part; CONTINUATION for none
        self._parts = bytearray()  # of that
        self._text = _utf8_in_parts()  # of that, if it is text

    @property
    def within(self) -> bool:
        """A message has begun, and isn't whole."""
        return self._at < len(self._data) or self._begun != CONTINUATION

    def feed(self, data: bytes) -> None:
        if self._at == len(self._data):
            self._data, self._at = data, 0
            return
        if self._at or type(self._data) is not bytearray:
            self._data, self._at = bytearray(memoryview(self._data)[self._at :]), 0
        self._data += data
        self.held_bytes = len(self._data) + len(self._parts)

    def next(self) -> bytearray | None:
        """The next message, or control frame; None: more must come first, or no step is left. Raises Violation."""
        data, at = self._data, self._at
        came = len(data)
        while self.steps and came - at >= 2:
            first, length, start = data[at], data[at + 1] - MASKED, at + 2
            if length >= LONG:
                start += 2 if length == LONG else 8
                if came < start:
                    return None
                length = (_long if length == LONG else _very_long).unpack_from(data, at + 2)[0]
            if first != _WHOLE_TEXT or length < 0 or length > self._limit_bytes or self._begun:
                self._check(first, length)
            end = start + MASK_BYTES + length
            if came < end:
                return None
            payload = bytearray(data[start + MASK_BYTES : end])
            websocket_mask(bytes(data[start : start + MASK_BYTES]), payload)
            self._at = at = end
            self.steps -= 1
            if at == came:
                self._data, self._at = b"", 0  # it may be large, and the next far off
            if self.held_bytes:
                self.held_bytes = came - at + len(self._parts)
            if first == _WHOLE_TEXT:
                self.kind = TEXT
                return payload if payload.isascii() else _utf8(payload)  # most of it is audio in base64
            whole = self._join(first & FIN, first & ~FIN, payload)
            if whole is not None:
                return whole
        return None

    def _check(self, first: int, length_bytes: int) -> None:
        """first: byte of a frame. length_bytes: below 0 if it isn't masked."""
        kind = first & ~FIN
        if length_bytes < 0:
            raise Violation(PROTOCOL_ERROR, "a client's frames must be masked")
        if first not in _KNOWN:
            raise Violation(PROTOCOL_ERROR, "the frame has a reserved bit or an unknown opcode")
        if kind >= CLOSE:
            if length_bytes > CONTROL_LIMIT_BYTES or not first & FIN:
                raise Violation(PROTOCOL_ERROR, "a control frame is too long, or in parts")
            return
        if (kind == CONTINUATION) is not bool(self._begun):
            problem = "the message before isn't whole" if self._begun else "nothing is there to continue"
            raise Violation(PROTOCOL_ERROR, problem)
        if len(self._parts) + length_bytes > self._limit_bytes:
            raise Violation(TOO_LARGE, f"a message has at most {self._limit_bytes} bytes")

    def _join(self, fin: int, kind: int, payload: bytearray) -> bytearray | None:
        """None: the message isn't whole yet."""
        if kind >= CLOSE or (fin and not self._begun):
            self.kind = kind
            return payload
        if not self._begun:
            self._begun = kind
            self._text.reset()
        if self._begun == TEXT:
            self._check_text(payload, whole=bool(fin))
        self._parts += payload
        self.held_bytes += len(payload)
        if not fin:
            return None
        self.kind, whole = self._begun, self._parts
        self._begun, self._parts = CONTINUATION, bytearray()
        self.held_bytes -= len(whole)
        return whole

    def _check_text(self, part: bytearray, *, whole: bool) -> None:
        """With each part, so that nothing is kept of what won't be text. Raises Violation."""
        try:
            self._text.decode(part, whole)
        except UnicodeDecodeError as error:
            raise _not_utf8() from error


def _utf8(text: bytearray) -> bytearray:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8() from error
    return text


def _not_utf8() -> Violation:
    return Violation(NOT_UTF8, "a text message must be UTF-8")


def closing(payload: bytearray) -> int:
    """The code that a close frame names, NO_CODE for none. Raises Violation."""
    if not payload:
        return NO_CODE
    if len(payload) < _code.size:
        raise Violation(PROTOCOL_ERROR, "a close frame's code has two bytes")
    code: int = _code.unpack_from(payload)[0]
    if code not in _VALID_CODES and not 3000 <= code < 5000:
        raise Violation(PROTOCOL_ERROR, f"no close frame has the code {code}")
    _utf8(payload[_code.size :])
    return code


def head(kind: int, length_bytes: int) -> bytes:
    """What a server writes in front of a message of this length."""
    if length_bytes < LONG:
        return _head.pack(FIN | kind, length_bytes)
    if length_bytes < 1 << 16:
        return _head_long.pack(FIN | kind, LONG, length_bytes)
    return _head_very_long.pack(FIN | kind, VERY_LONG, length_bytes)


def client_frame_bytes(length_bytes: int) -> int:
    """Of a whole message of this length, as a client sends it."""
    head_bytes = 2 if length_bytes < LONG else 4 if length_bytes < 1 << 16 else 10
    return head_bytes + MASK_BYTES + length_bytes


def close_frame(code: int, reason: str) -> bytes:
    """reason: cut to what fits."""
    told = reason.encode()[: CONTROL_LIMIT_BYTES - _code.size].decode(errors="ignore").encode()
    return head(CLOSE, _code.size + len(told)) + _code.pack(code) + told
