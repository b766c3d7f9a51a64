"""A piece of work of the same kinds as the hot path's, and of none of its code: what its CPU is compared with.

Rule: it never changes, or every limit of the guard is measured anew. Calls, attributes and dicts, joins of small bytes,
base64 within JSON, and a small product of matrices for many callers at once.
"""

import base64
import time
from typing import Any

import msgspec
import numpy as np

TOGETHER = 25  # units per product, as callers' frames share a run of the filter bank
PLACES = 50
KEPT_BYTES = 40_000  # by each, so that what is touched fits into no small cache, as with calls
_EVENTS = [
    msgspec.json.encode({"type": "audio", "audio": base64.b64encode(bytes([number]) * 960).decode()})
    for number in range(PLACES)
]
_BANK = np.random.default_rng(1).standard_normal((160, 40)).astype(np.float32)
_FRAMES = np.random.default_rng(2).integers(-8_000, 8_000, (TOGETHER * 5, 160), dtype=np.int16)


class _Event(msgspec.Struct):
    type: str
    audio: bytes


class _Told(msgspec.Struct, array_like=True):
    number: int
    position: int
    audio: bytes


_decoder, _encoder = msgspec.json.Decoder(_Event), msgspec.msgpack.Encoder()


class _Place:
    __slots__ = ("end", "kept", "ring", "told")

    def __init__(self) -> None:
        self.end, self.told = 0, 0
        self.kept = b""
        self.ring = bytearray(KEPT_BYTES)

    def take(self, audio: bytes) -> int:
        self.kept = self.kept[-640:] + audio if self.kept else audio
        at = self.end % (KEPT_BYTES - 960)
        self.ring[at : at + len(audio)] = audio
        self.end += self.whole(audio)
        return self.end

    def whole(self, audio: bytes) -> int:
        return len(audio) // 2


_places = {number: _Place() for number in range(PLACES)}


def unit(places: dict[int, _Place], number: int, waiting: list[tuple[int, int, bytes]]) -> None:
    """About what one frame is."""
    event = _decoder.decode(_EVENTS[number])
    place = places[number]
    position = place.take(event.audio)
    if position > place.told:
        place.told = position
    waiting.append((number, position, place.kept[:640]))


def together(waiting: list[tuple[int, int, bytes]]) -> bytes:
    """For TOGETHER units."""
    np.rint(_FRAMES.astype(np.float32) @ _BANK).clip(-32_768, 32_767).astype(np.int16).tobytes()
    batch: dict[str, Any] = {"sender": "gateway.guard", "chunks": [_Told(*one) for one in waiting]}
    waiting.clear()
    return b"".join((b"audio", _encoder.encode(batch)))


def work(units: int) -> None:
    waiting: list[tuple[int, int, bytes]] = []
    for number in range(units):
        unit(_places, number % PLACES, waiting)
        if len(waiting) == TOGETHER:
            together(waiting)


def unit_us(units: int) -> float:
    """CPU us of this thread per unit, of so many."""
    begun_s = time.thread_time()
    work(units)
    return (time.thread_time() - begun_s) / units * 1e6
