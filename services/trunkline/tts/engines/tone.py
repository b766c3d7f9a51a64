"""A deterministic tone instead of a voice, for tests and load: length by the text, cost near nothing."""

from collections.abc import Iterator

import numpy as np

from trunkline.audio.pcm import Samples
from trunkline.proto.audio import SPEECH_RATE_HZ

TONE_HZ = 440
TONE_LEVEL = 8_000  # int16 peak, about -12 dBFS
BUFFER_S = 10  # whole periods, so that a longer tone repeats without a click


class ToneSynthesiser:
    name = "tone"
    rate_hz = SPEECH_RATE_HZ
    inline = True

    def __init__(self, *, character_ms: int, segment_ms: int) -> None:
        """character_ms: of tone per character. segment_ms: length of every segment instead; 0 goes by characters."""
        self._character_ms, self._segment_ms = character_ms, segment_ms
        at_s = np.arange(BUFFER_S * self.rate_hz) / self.rate_hz
        self._buffer: Samples = (TONE_LEVEL * np.cos(2 * np.pi * TONE_HZ * at_s)).astype(np.int16)

    def warm(self) -> None:
        """Nothing to load."""

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        length_ms = self._segment_ms or int(len(text) * self._character_ms / speed)
        left = length_ms * self.rate_hz // 1000
        while left > 0:
            part = self._buffer[:left]
            left -= len(part)
            yield part
