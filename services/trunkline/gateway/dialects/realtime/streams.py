"""An agent's audio in the binary dialect: one stream per segment, announced before its first audio. Pure.

Rule: within a stream audio is without a gap, so that what a client has of a segment is one number. What the change to
another rate holds back comes out behind the segment's end, and counts for that segment all the same.
"""

from collections import deque
from collections.abc import Callable, Iterator

from trunkline.gateway.call_events import AudioSaid
from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.open_response import Place
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.proto.audio import SAMPLE_BYTES
from trunkline.proto.binary_dialect import G711_SAMPLES, PCM, pack

NO_SEGMENT = -1


class _Stream:
    """at: what has gone out, end: what was said of it. number: 0 before it is announced."""

    __slots__ = ("at", "end", "format", "number", "place", "segment")

    def __init__(self, place: Place, wanted: Format, segment: int, at: int) -> None:
        self.place, self.format, self.segment = place, wanted, segment
        self.at = self.end = at
        self.number = 0

    def is_of(self, place: Place, wanted: Format, segment: int) -> bool:
        return self.segment == segment and self.place["item_id"] == place["item_id"] and self.format == wanted


class Streams:
    """Of one socket. new_event_id: mints ids of events."""

    def __init__(self, new_event_id: Callable[[], str]) -> None:
        self._new_event_id = new_event_id
        self._due: deque[_Stream] = deque()  # the last one stays; others have audio to come
        self._announced = 0

    def carry(self, place: Place, wanted: Format, audio: bytes, said: AudioSaid | None) -> Iterator[out.Told]:
        """audio: in the wanted format; none if all is held back. said: what it comes of, of which it may be late; None
        where nothing more comes of the item."""
        if said is not None:
            self._add(place, wanted, said)
        elif not self._due:
            self._due.append(_Stream(place, wanted, NO_SEGMENT, 0))
        size, samples = (SAMPLE_BYTES, 1) if wanted.type == PCM else (1, G711_SAMPLES)
        while audio:
            stream = self._due[0]
            count = len(audio) // size
            if len(self._due) > 1:
                count = min(count, max(0, stream.end - stream.at) // samples)
            if count:
                yield from self._announce(stream)
                yield pack(stream.number, max(0, stream.at), audio[: count * size])
                stream.at += count * samples
                audio = audio[count * size :]
            if audio:
                left = self._due.popleft()
                self._due[0].at -= left.end - left.at  # less than a sample of the format

    def _add(self, place: Place, wanted: Format, said: AudioSaid) -> None:
        last = self._due[-1] if self._due else None
        if last is None or not last.is_of(place, wanted, said.segment):
            if last is not None and last.format != wanted:
                self._due.clear()  # what the other format held back is gone
            last = _Stream(place, wanted, said.segment, said.position)
            self._due.append(last)
        last.at += said.position - last.end  # nothing, unless the call left something out
        last.end = said.position + len(said.pcm) // SAMPLE_BYTES

    def _announce(self, stream: _Stream) -> Iterator[out.ServerEvent]:
        if stream.number:
            return
        self._announced += 1
        stream.number = self._announced
        yield out.AudioStream(
            event_id=self._new_event_id(),
            **stream.place,
            stream=stream.number,
            segment=stream.segment,
            format=stream.format,
        )
