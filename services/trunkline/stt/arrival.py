"""A caller's audio as it comes: what is missing is asked for, and in the end done without.

Rule: while nothing is asked for, nothing is missing and no end that is waited for lies beyond what came; so a chunk
that follows on what is here is only put behind it.
"""

import asyncio
from typing import Protocol

from prometheus_client import Counter

from trunkline.audio import pcm
from trunkline.bus.exchange import Link
from trunkline.proto.audio import CALLER_RATE_HZ, CALLER_STREAM, AudioChunk
from trunkline.proto.speech import AudioMissing
from trunkline.stt.intake import Intake, Overrun
from trunkline.telemetry import logs

ASK_AGAIN_S = 0.3  # for missing audio; doubles with every time
ASK_TIMES = 5  # then the gap is taken as silence

log = logs.get(__name__)
_gaps = Counter("trunkline_stt_gaps_total", "Times that missing audio was asked for")
_lost = Counter("trunkline_stt_lost_seconds_total", "Audio that never came and was taken as silence")


class Hearer(Protocol):
    @property
    def wanted_to(self) -> int:
        """Audio up to here is waited for; 0 when none is."""
        ...

    def took(self, pushed_out: int) -> None:
        """More audio is here. pushed_out: may be samples that are not judged. Raises Overrun."""
        ...

    def fail(self, error: Exception) -> None: ...


class Arrival:
    def __init__(self, link: Link, from_sample: int, hearer: Hearer) -> None:
        self._link = link
        self._hearer = hearer
        self._loop = asyncio.get_running_loop()
        self._intake = Intake(from_sample)
        self.ring = self._intake.ring
        self._asking: asyncio.TimerHandle | None = None

    def on_chunk(self, chunk: AudioChunk) -> None:
        """Raises Overrun."""
        if chunk.stream != CALLER_STREAM:
            return
        if self._asking is not None or chunk.position != self.ring.end:
            self._take(chunk)
            return
        self._hearer.took(self.ring.append(chunk.pcm))

    def _take(self, chunk: AudioChunk) -> None:
        """It lies beyond a gap, was here before, or is waited for."""
        end = self.ring.end
        added = self._intake.take(chunk.position, pcm.from_bytes(chunk.pcm))
        if self._intake.missing:
            self._ask(first=True)
            return
        if not added:
            return
        if chunk.position > end:
            _lost.inc((chunk.position - end) / CALLER_RATE_HZ)
        self.stop()
        self.expect()
        self._hearer.took(added)

    def expect(self) -> None:
        """An end waits for audio that may be on its way, or lost: nothing behind it would show the gap."""
        if self._asking is None and self._hearer.wanted_to > self.ring.end:
            self._asking = self._loop.call_later(ASK_AGAIN_S, lambda: self._ask(first=False))

    def stop(self) -> None:
        """Asks no more."""
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None

    def _do_without(self) -> bool:
        """What was asked for so often is taken as silence: True at once, up to a Finish; else once there is more."""
        log.warning("missing audio never came", call_id=self._link.call, from_sample=self.ring.end)
        wanted_to = self._hearer.wanted_to
        if wanted_to <= self.ring.end:
            self._intake.give_up()
            return False
        self._asking = None
        filled = wanted_to - self.ring.end
        _lost.inc(filled / CALLER_RATE_HZ)
        try:
            self._intake.fill(wanted_to)
            self._hearer.took(filled)
        except Overrun as error:
            self._hearer.fail(error)
        return True

    def _ask(self, *, first: bool, times: int = 0) -> None:
        """For missing audio: once per gap, and again by timer."""
        if first and self._asking is not None:
            return
        if times == ASK_TIMES and self._do_without():
            return
        _gaps.inc()
        self._link.send(AudioMissing(self.ring.end))
        wait_s = ASK_AGAIN_S * 2 ** min(times, ASK_TIMES)
        self._asking = self._loop.call_later(wait_s, lambda: self._ask(first=False, times=times + 1))
