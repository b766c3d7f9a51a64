"""A synthesiser that holds the GIL, in processes of its own. Like any other from outside.

A segment stays with one process, which makes its next piece when it is asked for; what is abandoned there is told
with the next question, so that nobody waits to abandon anything.
"""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import msgspec
import numpy as np

from trunkline.audio.pcm import Samples, from_bytes, to_bytes
from trunkline.runtime.apart import Answer, Apart, Several
from trunkline.tts.engines.port import Synthesiser

PIECE, END = b"\x01", b"\x00"


class Next(msgspec.Struct, array_like=True):
    """The next piece of a segment. abandoned: segments to forget."""

    segment: int
    text: str
    speed: float
    first: bool
    abandoned: list[int]


class SynthesiserApart:
    """make: importable, see `runtime.apart`. processes: syntheses at a time; each loads a voice of its own."""

    inline = False

    def __init__(self, like: Synthesiser, make: Callable[[], Synthesiser], processes: int) -> None:
        """like: says what it is called and sounds like; nothing else is asked of it."""
        self.name = like.name
        self.rate_hz = like.rate_hz
        self.voices: tuple[str, ...] = tuple(getattr(like, "voices", ()))
        self._processes = Several(like.name, partial(answering, make), processes)
        self._segments = count(1)
        self._abandoned: dict[Apart, deque[int]] = {apart: deque() for apart in self._processes.each}

    def warm(self) -> None:
        self._processes.load()

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        """Raises EngineFailed, EngineDied."""
        apart, segment = self._processes.least_busy(), next(self._segments)
        abandoned, first, ended = self._abandoned[apart], True, False
        try:
            while True:
                question = Next(segment, text, speed, first, [abandoned.popleft() for _ in range(len(abandoned))])
                said = apart.ask(msgspec.msgpack.encode(question))
                first = False
                if said[:1] == END:
                    ended = True
                    return
                yield from_bytes(said[1:])
        finally:
            if not ended:
                abandoned.append(segment)

    def cpu_s(self) -> float:
        return self._processes.cpu_s()

    def close(self) -> None:
        self._processes.close()


def answering(make: Callable[[], Synthesiser]) -> Answer:
    """In the process."""
    synthesiser = make()
    synthesiser.warm()
    segments: dict[int, Iterator[Samples]] = {}

    def answer(question: bytes) -> bytes:
        asked = msgspec.msgpack.decode(question, type=Next)
        for segment in asked.abandoned:
            segments.pop(segment, None)
        if asked.first:
            segments[asked.segment] = synthesiser.synthesise(asked.text, asked.speed)
        if asked.segment not in segments:
            raise LookupError("its process was replaced in the middle of it")
        samples = next(segments[asked.segment], None)
        if samples is None:
            del segments[asked.segment]
            return END
        return PIECE + to_bytes(np.asarray(samples))

    return answer
