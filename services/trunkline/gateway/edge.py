"""Callers' audio on its way in: frames of all calls wait at the process's one edge, and are converted together.

Rule: what a caller sends is heard in its order, and what waits goes through before anything else that its client says.
"""

import asyncio
from collections.abc import Callable, Sequence

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import Resampler, push_together
from trunkline.bus.adaptive_window import WIDEST_S, AdaptiveWindow
from trunkline.proto.audio import CALLER_RATE_HZ, SAMPLE_BYTES
from trunkline.proto.errors import BadInput

ALONE_BYTES = 16_000  # of what waits of one caller, a third of a second: who sends more at once has no use for company

Decode = Callable[[bytes], Samples]


class Ear:
    """From a client's format to CALLER_RATE_HZ. decode: one byte a sample to samples; None for int16 LE."""

    __slots__ = ("decode", "resampler")

    def __init__(self, rate_hz: int, decode: Decode | None = None) -> None:
        self.decode = decode
        self.resampler = Resampler(rate_hz, CALLER_RATE_HZ)

    def require_whole(self, audio: bytes) -> None:
        """Raises BadInput for a torn sample."""
        if self.decode is None and len(audio) % SAMPLE_BYTES:
            raise BadInput("audio", f"has an odd number of bytes: {len(audio)}", "whole 16-bit samples")

    def hear(self, audio: bytes) -> bytes:
        """int16 LE at CALLER_RATE_HZ, at once. Raises BadInput for a torn sample; then nothing of it is taken."""
        self.require_whole(audio)
        return hear_together([self], [audio])[0]

    def rest(self) -> bytes:
        """What the resampler holds back; another stream begins."""
        return pcm.to_bytes(self.resampler.flush())


def hear_together(ears: Sequence[Ear], audio: Sequence[bytes]) -> list[bytes]:
    """The next of each, all alike: see push_together."""
    decode = ears[0].decode
    if decode is not None:
        size = len(audio[0]) * SAMPLE_BYTES
        samples = pcm.to_bytes(decode(b"".join(audio)))
        audio = [samples[at : at + size] for at in range(0, len(samples), size)] if size else audio
    return push_together([ear.resampler for ear in ears], audio)


class Inlet:
    """One caller at the edge. hear: gets what is ready, int16 LE at CALLER_RATE_HZ. on_failure: a bug met hear."""

    __slots__ = ("_edge", "_hear", "_on_failure", "ear", "queued", "waiting")

    def __init__(
        self, edge: "Edge", ear: Ear, hear: Callable[[bytes], None], on_failure: Callable[[Exception], None]
    ) -> None:
        self.ear = ear
        self.queued = False  # at the edge
        self.waiting = b""
        self._edge = edge
        self._hear = hear
        self._on_failure = on_failure

    def take(self, audio: bytes) -> None:
        """Heard by the end of the window. Raises BadInput for a torn sample; then nothing of it is taken."""
        if len(audio) % SAMPLE_BYTES:
            self.ear.require_whole(audio)
        self.waiting = self.waiting + audio if self.waiting else audio
        if len(self.waiting) > ALONE_BYTES:
            self.bring()
        elif not self.queued:
            self.queued = True
            self._edge.queue(self)

    def bring(self) -> None:
        """What waits is heard now."""
        if self.waiting:
            audio, self.waiting = self.waiting, b""
            self.tell(self.ear.hear(audio))

    def follow(self, ear: Ear | None = None) -> None:
        """Another stream begins: all that came before is heard. ear: of another format."""
        self.bring()
        self.tell(self.ear.rest())
        self.ear = ear or self.ear

    def tell(self, heard: bytes) -> None:
        if heard:
            try:
                self._hear(heard)
            except Exception as error:  # the rim of a call: the frames of others came with its own
                self._on_failure(error)


class Edge:
    """widest_s: that a frame waits for those of others, at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop, widest_s: float = WIDEST_S) -> None:
        self._loop = loop
        self._window = AdaptiveWindow(loop.time(), widest_s)
        self._inlets: list[Inlet] = []
        self._gathered: list[Callable[[], None]] = []
        self._timer: asyncio.Handle | None = None

    def gather(self, step: Callable[[], None]) -> None:
        """Carries it out at the end of the window, or now while nobody waits; it must not raise.

        What comes with it is heard in the same window. One after the other, such steps cost far less than alone.
        """
        if self._timer is None:
            if not self._window.wait_s:
                step()
                return
            self._begin()
        self._gathered.append(step)

    def queue(self, inlet: Inlet) -> None:
        """To be heard at the end of the window, which begins with the first."""
        self._inlets.append(inlet)
        if self._timer is None:
            self._begin()

    def _begin(self) -> None:
        wait_s, loop = self._window.wait_s, self._loop
        self._timer = loop.call_later(wait_s, self._run) if wait_s else loop.call_soon(self._run)

    def close(self) -> None:
        """What waits is heard."""
        if self._timer is not None:
            self._timer.cancel()
            self._run()

    def _run(self) -> None:
        gathered, self._gathered = self._gathered, []
        for step in gathered:
            step()  # with the timer still in place, so that nobody sets another meanwhile
        self._timer = None
        inlets, self._inlets = self._inlets, []
        self._window.count(map(id, inlets), self._loop.time())
        if len(inlets) == 1:
            inlets[0].queued = False
            inlets[0].bring()
            return
        alike: dict[tuple[object, int, int, Decode | None], list[Inlet]] = {}
        for inlet in inlets:
            inlet.queued = False
            if inlet.waiting:
                ear = inlet.ear
                resampler = ear.resampler
                key = resampler.bank, len(resampler.tail), len(inlet.waiting), ear.decode
                alike.setdefault(key, []).append(inlet)
        for group in alike.values():
            heard = hear_together([inlet.ear for inlet in group], [inlet.waiting for inlet in group])
            for inlet, audio in zip(group, heard, strict=True):
                inlet.waiting = b""
                inlet.tell(audio)
