"""When a client of ours is told which of its audio it needn't keep: seldom, and only news. Pure but for the clock."""

from collections.abc import Callable

from trunkline.gateway.dialects.realtime.resume_event import SAMPLES_PER_MS

SETTLED_S = 0.5  # at least between two words
LOOK_BYTES = 12_000  # of audio between two looks, for they cost more than a frame: 250 ms at 24 kHz


class SettledAudio:
    """settled_to: samples at CALLER_RATE_HZ. now_s: monotonic."""

    def __init__(self, settled_to: Callable[[], int], now_s: Callable[[], float]) -> None:
        self._settled_to = settled_to
        self._now_s = now_s
        self._unlooked_bytes = 0
        self._told_ms = 0
        self._told_at_s = 0.0

    def news_ms(self, audio_bytes: int) -> int:
        """After so much more audio: the audio before this needn't be kept; 0 for nothing to tell."""
        self._unlooked_bytes += audio_bytes
        if self._unlooked_bytes < LOOK_BYTES:
            return 0
        self._unlooked_bytes = 0
        now_s = self._now_s()
        if now_s < self._told_at_s + SETTLED_S:
            return 0
        settled_ms = self._settled_to() // SAMPLES_PER_MS
        if settled_ms <= self._told_ms:
            return 0
        self._told_ms, self._told_at_s = settled_ms, now_s
        return settled_ms
