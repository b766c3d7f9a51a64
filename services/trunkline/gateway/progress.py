"""Whether an STT worker does what it was given: an engine may be mute while its process beats. Pure.

Clocks are in samples at SPEECH_RATE_HZ, positions in the caller's at CALLER_RATE_HZ.
"""

from trunkline.proto.audio import CALLER_RATE_HZ, SPEECH_RATE_HZ

MUTE_LIMIT_S = 3.0  # without a word for so long it is mute
OWED_SAMPLES = CALLER_RATE_HZ * 3 // 2  # of unjudged audio: it says something once a second of it


class Progress:
    def __init__(self, from_sample: int, mute_limit_s: float = MUTE_LIMIT_S) -> None:
        self._limit = int(mute_limit_s * SPEECH_RATE_HZ)
        self._given_to = self.judged_to = from_sample
        self._waits_since: int | None = None  # its last word, or the first audio after that
        self._words_due: dict[int, int] = {}  # utterance -> when its end was known

    def gave(self, to_sample: int, now: int) -> None:
        if to_sample > self._given_to:
            self._given_to = to_sample
        if self._waits_since is None:
            self._waits_since = now

    def judged(self, to_sample: int, now: int) -> None:
        self.judged_to = max(self.judged_to, to_sample)
        self._waits_since = now if self._given_to > self.judged_to else None

    def ended(self, utterance: int, now: int) -> None:
        """A Final is owed."""
        self._words_due.setdefault(utterance, now)

    def worded(self, utterance: int) -> None:
        self._words_due.pop(utterance, None)

    def stalled(self, now: int) -> bool:
        owed = self._given_to - self.judged_to >= OWED_SAMPLES
        mute = owed and self._waits_since is not None and now - self._waits_since > self._limit
        return mute or any(now - since > self._limit for since in self._words_due.values())
