"""Arithmetic of pacing: which audio goes to the caller when, and how much of each segment was heard.

Pure: the clock is given by the caller, in samples at SPEECH_RATE_HZ, like every position here. At most LEAD_SAMPLES
are sent ahead of the clock, so what was heard is known; every sample is sent once, in order.
"""

from collections import deque
from typing import NamedTuple

from trunkline.gateway.played import Played
from trunkline.proto.audio import SAMPLE_BYTES, SPEECH_RATE_HZ
from trunkline.proto.response import SegmentHeard

LEAD_SAMPLES = SPEECH_RATE_HZ * 200 // 1000
DELTA_SAMPLES = SPEECH_RATE_HZ * 90 // 1000  # sent at a time, so that wakeups are few: 100 ms, by beats of 20 ms
ROOMY_SAMPLES = LEAD_SAMPLES - DELTA_SAMPLES  # with no more ahead than this, there is room for another
STARVING_SAMPLES = SPEECH_RATE_HZ * 40 // 1000  # with less ahead than this, any audio goes at once
RECENT_SAMPLES = SPEECH_RATE_HZ * 5  # kept after it was heard, to know an echo by: also one heard by a second worker


class Segment:
    """Audio of one segment on its way: received from TTS, sent to the caller, heard.

    total: samples in all, None until TTS says it. asked_at: clock of the last order for audio that is missing.
    told: that it was heard to its end.
    """

    __slots__ = (
        "_chunks",
        "_offset",
        "asked_at",
        "heard",
        "index",
        "item",
        "number",
        "received",
        "sent",
        "told",
        "total",
    )

    def __init__(self, number: int, item: str, index: int, got: int = 0) -> None:
        """got: samples that the client has from an earlier gateway."""
        self.number = number
        self.item = item
        self.index = index
        self.received = self.sent = self.heard = got
        self.total: int | None = None
        self.asked_at: int | None = None
        self.told = False
        self._chunks: deque[bytes] = deque()
        self._offset = 0  # bytes of the first chunk that were taken

    @property
    def waiting(self) -> int:
        """Samples received and not sent."""
        return self.received - self.sent

    @property
    def complete(self) -> bool:
        """Everything of it has been received."""
        return self.total is not None and self.received >= self.total

    @property
    def all_sent(self) -> bool:
        return self.total is not None and self.sent >= self.total

    def arrive(self, position: int, pcm: bytes, last: bool) -> bool:
        """Takes what is new of a chunk. False: audio before it is missing, and the chunk is left out."""
        end = position + len(pcm) // SAMPLE_BYTES
        if position > self.received:
            return False
        if end > self.received:
            self._chunks.append(pcm[(self.received - position) * SAMPLE_BYTES :])
            self.received = end
            self.asked_at = None
        if last and end == self.received:
            self.total = end
        return True

    def begin_again(self) -> None:
        """Another rendering follows, from the next sample on; how long it is isn't known."""
        self.total = self.asked_at = None

    def take(self, samples: int) -> bytes:
        """Up to so many samples, in order."""
        wanted = min(samples, self.waiting) * SAMPLE_BYTES
        parts: list[bytes] = []
        while wanted:
            part = self._chunks[0][self._offset : self._offset + wanted]
            self._offset += len(part)
            wanted -= len(part)
            parts.append(part)
            if self._offset == len(self._chunks[0]):
                self._chunks.popleft()
                self._offset = 0
        pcm = parts[0] if len(parts) == 1 else b"".join(parts)
        self.sent += len(pcm) // SAMPLE_BYTES
        return pcm

    def close(self) -> None:
        """TTS says no more of it: what came is all there is."""
        self.total = self.received

    def drop(self) -> None:
        """What waits is never sent."""
        self._chunks.clear()
        self._offset = 0
        self.received = self.sent

    def extent(self) -> SegmentHeard:
        return SegmentHeard(self.item, self.index, self.heard, self.total or 0)


class _Span(NamedTuple):
    """samples from `from_sample` of a segment are heard from the clock `at` on."""

    at: int
    segment: Segment
    from_sample: int
    samples: int


class Playout:
    def __init__(self) -> None:
        self.held = False
        self._tail = 0  # clock at which all that was sent will have been heard
        self._spans: deque[_Span] = deque()  # sent, not yet heard to the end
        self._played = Played()

    @property
    def moves_at(self) -> int | None:
        """Clock from which on advance has something to tell, or to forget; None for never."""
        spans = self._spans
        for at, span in enumerate(spans):
            if at + 1 == len(spans) or (span.segment.all_sent and spans[at + 1].segment is not span.segment):
                return span.at + span.samples
        ends_at = self._played.ends_at
        return None if ends_at is None else ends_at + RECENT_SAMPLES + 1

    def sends_at(self, now: int) -> int:
        """Clock, after now, from which on take may give what it doesn't give now."""
        for lead in (ROOMY_SAMPLES, STARVING_SAMPLES - 1, 0):
            if self._tail - lead > now:
                return self._tail - lead
        return now + DELTA_SAMPLES  # what is missing is asked for again by the clock

    @property
    def ends_at(self) -> int:
        """Clock at which all that was sent will have been heard."""
        return self._tail

    def lead(self, now: int) -> int:
        """Samples sent and not yet heard."""
        return max(0, self._tail - now)

    def has_room(self, now: int) -> bool:
        """For a delta."""
        return self._tail - now <= ROOMY_SAMPLES

    def lateness(self, now: int) -> int:
        """For how long the caller has had nothing to hear, counted from the last sample sent."""
        return max(0, now - self._tail)

    def take(self, segment: Segment, now: int) -> bytes:
        """The audio to send now; empty while it is held, has enough lead, or too little came to be worth a message."""
        lead = self.lead(now)
        room = LEAD_SAMPLES - lead
        if self.held or room < DELTA_SAMPLES:
            return b""
        if segment.waiting < DELTA_SAMPLES and not segment.complete and lead >= STARVING_SAMPLES:
            return b""
        from_sample = segment.sent
        pcm = segment.take(room)
        if pcm:
            at = max(now, self._tail)
            span = _Span(at, segment, from_sample, len(pcm) // SAMPLE_BYTES)
            self._played.add(at, pcm)
            self._spans.append(span)
            self._tail = at + span.samples
        return pcm

    def advance(self, now: int) -> list[Segment]:
        """Moves what was heard up to now; returns the segments that were heard to their end since the last time."""
        ended: list[Segment] = []
        while self._spans:
            at, segment, from_sample, samples = self._spans[0]
            heard = min(max(now - at, 0), samples)
            segment.heard = max(segment.heard, from_sample + heard)
            if heard < samples:
                break
            self._spans.popleft()
            if segment.all_sent and segment.heard >= segment.sent:
                ended.append(segment)
        self._played.forget(now - RECENT_SAMPLES)
        return ended

    def flush(self, now: int) -> None:
        """Nothing of what was sent and not yet heard counts as heard; the next audio begins at once."""
        self.advance(now)
        self._spans.clear()  # it may still sound at the caller's side for a moment, so it counts as played
        self._tail = min(self._tail, now)
        self.held = False

    def recent(self, now: int, samples: int) -> bytes:
        """What the caller's side has played up to now, silence included; the newest `samples` of it, thinned."""
        return self._played.window(now, samples)

    def played_lately(self, now: int) -> bool:
        """Whether an echo could be on the line."""
        return bool(self._spans) or (self._played.ends_at is not None and self._tail > now - SPEECH_RATE_HZ)
