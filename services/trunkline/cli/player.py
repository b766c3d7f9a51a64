"""A caller's loudspeaker, as arithmetic: what arrives is played in order, at once or after what waits.

Pure: time comes in as samples at SPEECH_RATE_HZ since the call began, and nothing is ever played twice.
"""

from typing import NamedTuple

import numpy as np

from trunkline.audio.pcm import EMPTY, Samples


class Run(NamedTuple):
    """Audio of one item that sounds without a break, from `start`. samples is empty where sound isn't kept."""

    item: str
    start: int
    length: int
    samples: Samples

    @property
    def end(self) -> int:
        return self.start + self.length


class Cut(NamedTuple):
    """played: samples of this item that were heard before the player was stopped."""

    item: str
    played: int


class Player:
    def __init__(self, *, keep_sound: bool = True) -> None:
        """keep_sound: for render; a load generator goes without."""
        self._keep_sound = keep_sound
        self._runs: list[Run] = []
        self._end = 0
        self.underruns = 0  # times that audio of an item came after its earlier audio had run out

    @property
    def end(self) -> int:
        """When everything received so far has been played."""
        return self._end

    def receive(self, item: str, samples: Samples, now: int) -> int:
        """When these samples begin to sound."""
        start = max(now, self._end)
        if self._runs and self._runs[-1].item == item and start > self._end:
            self.underruns += 1
        self._runs.append(Run(item, start, len(samples), samples if self._keep_sound else EMPTY))
        self._end = start + len(samples)
        return start

    def sounding(self, now: int) -> bool:
        return now < self._end

    def stop(self, now: int) -> list[Cut]:
        """Drops all that hasn't sounded yet; the items that lost sound, each with what was heard of it."""
        lost = list(dict.fromkeys(run.item for run in self._runs if run.end > now))
        self._runs = [_until(run, now) for run in self._runs if run.start < now]
        self._end = min(self._end, now)
        return [Cut(item, self.heard(item, now)) for item in lost]

    def heard(self, item: str, now: int) -> int:
        """Samples of an item that have sounded."""
        return sum(min(run.end, now) - run.start for run in self._runs if run.item == item and run.start < now)

    def render(self, start: int, count: int) -> Samples:
        """What sounds from `start` on, silence where nothing does; needs keep_sound."""
        sound = np.zeros(count, dtype=np.int16)
        for run in reversed(self._runs):  # the newest first: an echo asks for the last moments only
            if run.end <= start:
                break
            begin, end = max(run.start, start), min(run.end, start + count)
            if begin < end and len(run.samples):
                sound[begin - start : end - start] = run.samples[begin - run.start : end - run.start]
        return sound


def _until(run: Run, now: int) -> Run:
    if run.end <= now:
        return run
    length = now - run.start
    return Run(run.item, run.start, length, run.samples[:length])
