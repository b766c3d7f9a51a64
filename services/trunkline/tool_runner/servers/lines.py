"""Lines out of chunks of bytes, none longer than a limit: of one that is, the beginning, once. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """cut: it was longer than the limit, and the rest of it is dropped."""

    data: bytes
    cut: bool = False


class Lines:
    """limit_bytes: of one line without its end. kept_bytes: of a line over the limit."""

    def __init__(self, limit_bytes: int, kept_bytes: int = 1024) -> None:
        self._limit_bytes = limit_bytes
        self._kept_bytes = kept_bytes
        self._begun = bytearray()
        self._dropping = False

    def feed(self, chunk: bytes) -> Iterator[Line]:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            yield from self._take(piece)
            if not self._dropping:
                yield Line(bytes(self._begun))
            self._begun.clear()
            self._dropping = False
        yield from self._take(rest)

    def _take(self, piece: bytes) -> Iterator[Line]:
        if self._dropping:
            return
        if len(self._begun) + len(piece) > self._limit_bytes:
            yield Line(bytes((self._begun + piece[: self._kept_bytes])[: self._kept_bytes]), cut=True)
            self._begun.clear()
            self._dropping = True
        else:
            self._begun += piece
