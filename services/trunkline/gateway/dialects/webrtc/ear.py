"""A caller's packets to samples: Opus to CALLER_RATE_HZ, streaming, with silence where nothing came.

Decoded in the loop: a packet takes 0.05 ms, less than a hand-over to a thread and back would.
"""

from collections.abc import Callable

import av
import numpy as np
from av.codec.context import CodecContext

from trunkline.audio import pcm
from trunkline.audio.pcm import EMPTY, Samples
from trunkline.audio.resample import Resampler
from trunkline.gateway import metrics
from trunkline.gateway.dialects.webrtc.arrivals import RTP_RATE_HZ, Arrivals, Packet
from trunkline.proto.audio import CALLER_RATE_HZ

QUIET_S = 0.3  # without a packet: beyond a network's jitter
AHEAD_S = 10.0  # of audio that a caller may be ahead of the clock: more than any network holds back
FASTEST = 1.5  # times the clock: a caller who is faster for long is none
FRAME_SAMPLES = RTP_RATE_HZ // 50


class RtpEar:
    """hear: gets the caller's samples, at CALLER_RATE_HZ. now_s: monotonic."""

    def __init__(self, hear: Callable[[Samples], None], now_s: Callable[[], float]) -> None:
        self._hear = hear
        self._now_s = now_s
        self._arrivals = Arrivals()
        self._resampler = Resampler(RTP_RATE_HZ, CALLER_RATE_HZ)
        self._decoder = CodecContext.create("libopus", "r")
        self._decoder.format = "s16"
        self._decoder.layout = "mono"
        self._decoder.sample_rate = RTP_RATE_HZ
        self._came_at_s = 0.0
        self._room_samples, self._counted_at_s = AHEAD_S * RTP_RATE_HZ, now_s()

    def take(self, packet: Packet) -> None:
        """As it came from the network."""
        self._came_at_s = self._now_s()
        lost = self._arrivals.lost
        for one in self._arrivals.push(packet):
            gap = self._arrivals.gap_before(one)
            if gap:
                self._tell(np.zeros(gap, dtype=np.int16))
            samples = self._decode(one.payload)
            self._arrivals.decoded(one, len(samples))
            self._tell(samples)
        if self._arrivals.lost > lost:
            metrics.rtp_lost.inc(self._arrivals.lost - lost)

    def beat(self) -> None:
        """Every 20 ms: who sends nothing is silent, so that what was said before ends."""
        if self._arrivals.begun and self._now_s() - self._came_at_s > QUIET_S and self._arrivals.fill(FRAME_SAMPLES):
            self._tell(np.zeros(FRAME_SAMPLES, dtype=np.int16))

    def _decode(self, payload: bytes) -> Samples:
        """Nothing of a packet that is no Opus: it counts as missing."""
        if not payload:
            return EMPTY
        try:
            frames = self._decoder.decode(av.Packet(payload))
        except av.FFmpegError:
            return EMPTY
        return pcm.from_bytes(bytes(frames[0].planes[0]))[: frames[0].samples] if frames else EMPTY

    def _tell(self, samples: Samples) -> None:
        """What is too far ahead of the clock is left out: a few packets could stand for hours of silence."""
        now_s = self._now_s()
        grown = (now_s - self._counted_at_s) * RTP_RATE_HZ * FASTEST
        self._room_samples, self._counted_at_s = min(self._room_samples + grown, AHEAD_S * RTP_RATE_HZ), now_s
        if self._room_samples < len(samples):
            metrics.rtp_left_out.labels("in").inc(len(samples) / RTP_RATE_HZ)
            return
        self._room_samples -= len(samples)
        heard = self._resampler.push(samples)
        if len(heard):
            self._hear(heard)
