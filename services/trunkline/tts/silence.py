"""Trims what an engine leaves silent around a segment, since segments are clauses that are joined in playout.

Pure. Silence inside a segment is untouched.
"""

import numpy as np

from trunkline.audio.pcm import EMPTY, Samples

WINDOW_MS = 10
LOUD_PEAK = 200  # int16; -44 dBFS: over an engine's noise floor, under a soft "f"
LEAD_MS = 40
TAIL_SENTENCE_MS = 120
TAIL_CLAUSE_MS = 80
TAIL_WORD_MS = 30  # the segment goes on in the next


def tail_ms(text: str) -> int:
    """How much silence a segment keeps at its end, by how its text ends."""
    ending = text.rstrip().rstrip("'\")]")[-1:]
    if ending in (".", "!", "?"):
        return TAIL_SENTENCE_MS
    return TAIL_CLAUSE_MS if ending in (",", ";", ":") else TAIL_WORD_MS


class SilenceTrimmer:
    """Streaming: holds back silence until it knows whether it is the end."""

    def __init__(self, rate_hz: int, *, tail_ms: int) -> None:
        self._window = rate_hz * WINDOW_MS // 1000
        self._lead = rate_hz * LEAD_MS // 1000
        self._tail = rate_hz * tail_ms // 1000
        self._heard = False
        self._held: Samples = EMPTY

    def push(self, samples: Samples) -> Samples:
        """What is certain to be part of the segment; may be empty."""
        joined = np.concatenate((self._held, samples)) if len(self._held) else samples
        loud = self._loud_windows(joined)
        if not len(loud):
            self._held = joined if self._heard else joined[-self._lead :]
            return EMPTY
        begin = 0 if self._heard else max(0, int(loud[0]) * self._window - self._lead)
        end = (int(loud[-1]) + 1) * self._window
        self._heard, self._held = True, joined[end:]
        return joined[begin:end]

    def finish(self) -> Samples:
        return self._held[: self._tail] if self._heard else EMPTY

    def _loud_windows(self, samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
        """Numbers of the windows with a sound; the last may be a short one."""
        if not len(samples):
            return np.zeros(0, dtype=np.intp)
        starts = np.arange(0, len(samples), self._window)
        highest = np.maximum.reduceat(samples, starts)
        lowest = np.minimum.reduceat(samples, starts)
        return np.flatnonzero((highest > LOUD_PEAK) | (lowest < -LOUD_PEAK))
