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
        heard = self._resampler.push(samples)
        if len(heard):
            self._hear(heard)
