"""A caller's audio as it arrives: duplicates are trimmed, gaps are noticed, what is held is bounded. Pure."""

import numpy as np

from trunkline.audio.pcm import Samples
from trunkline.audio.ring import Ring
from trunkline.proto.audio import CALLER_RATE_HZ

HELD_SAMPLES = 45 * CALLER_RATE_HZ  # the longest utterance, and a replay of the gateway's ring behind it


class Overrun(RuntimeError):
    """More audio than is ever held: the call is better placed anew."""

    def __init__(self, samples: int) -> None:
        super().__init__(f"{samples / CALLER_RATE_HZ:.1f} s of audio are missing or unheard")


class Intake:
    """ring: the audio held. missing: audio before the last chunk that came has not arrived."""

    def __init__(self, from_sample: int) -> None:
        self.ring = Ring(HELD_SAMPLES, from_sample)
        self.missing = False
        self._skip_gaps = False

    def take(self, position: int, samples: Samples) -> int:
        """Returns how many samples were added; none of a chunk beyond a gap, which comes again with the rest.

        Raises Overrun for a gap that can't be bridged.
        """
        gap = position - self.ring.end
        if gap > 0 and not self._skip_gaps:
            self.missing = True
            return 0
        if gap > HELD_SAMPLES:
            raise Overrun(gap)
        fresh = samples[-gap:] if gap < 0 else samples
        if not len(fresh):
            return 0
        if gap > 0:
            self.ring.append(np.zeros(gap, dtype=np.int16))
        self.ring.append(fresh)
        self.missing = self._skip_gaps = False
        return max(gap, 0) + len(fresh)

    def fill(self, to_sample: int) -> None:
        """Silence up to to_sample, in place of audio that won't come. Raises Overrun for more than is ever held."""
        gap = to_sample - self.ring.end
        if gap > HELD_SAMPLES:
            raise Overrun(gap)
        self.ring.append(np.zeros(gap, dtype=np.int16))
        self.missing = self._skip_gaps = False

    def give_up(self) -> None:
        """What is missing won't come: the next chunk beyond the gap is taken, with silence in between."""
        self._skip_gaps = True
