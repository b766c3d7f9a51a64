"""A deterministic tone instead of a voice, for tests and load: length by the text, cost near nothing."""

import time
from collections.abc import Iterator

import numpy as np

from trunkline.audio.pcm import Samples
from trunkline.proto.audio import SPEECH_RATE_HZ

TONE_HZ = 440
TONE_LEVEL = 8_000  # int16 peak, about -12 dBFS
FIRST_MS = 200  # of tone come first, as of an engine that streams; and at a time, where it is work
BUFFER_S = 10  # whole periods, so that a longer tone repeats without a click


class ToneSynthesiser:
    name = "tone"
    rate_hz = SPEECH_RATE_HZ

    def __init__(self, *, character_ms: int, segment_ms: int, work_percent: int = 0) -> None:
        """character_ms: of tone per character. segment_ms: length of every segment instead; 0 goes by characters.

        work_percent: of a piece's length passes before it is there, as if it were work.
        """
        self._character_ms, self._segment_ms, self._work_percent = character_ms, segment_ms, work_percent
        self.inline = not work_percent
        at_s = np.arange(BUFFER_S * self.rate_hz) / self.rate_hz
        self._buffer: Samples = (TONE_LEVEL * np.cos(2 * np.pi * TONE_HZ * at_s)).astype(np.int16)

    def warm(self) -> None:
        """Nothing to load."""

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        length_ms = self._segment_ms or int(len(text) * self._character_ms / speed)
        at, end = 0, length_ms * self.rate_hz // 1000
        first = FIRST_MS * self.rate_hz // 1000
        while at < end:
            piece = first if self._work_percent or not at else len(self._buffer)
            begin = at % len(self._buffer)
            part = self._buffer[begin : begin + min(piece, end - at)]
            if self._work_percent:
                time.sleep(len(part) / self.rate_hz * self._work_percent / 100)
            at += len(part)
            yield part
