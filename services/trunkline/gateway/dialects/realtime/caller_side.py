"""What the caller says, in the words of the protocol: speech, items of audio and their transcripts. Pure.

An item is stored before an event tells of it, so a `retrieve` that answers the event finds it.
"""

from collections.abc import Callable, Iterator

import msgspec

from trunkline.gateway import call_events as call
from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.item_list import ItemList
from trunkline.gateway.dialects.realtime.items import message
from trunkline.gateway.dialects.realtime.stable_words import StableWords
from trunkline.proto.audio import CALLER_RATE_HZ

SPOKEN_ITEMS = 16  # at a time, whose words aren't known; what never gets any is forgotten behind so many

Said = (
    call.SpeechBegan
    | call.SpeechEnded
    | call.AudioCommitted
    | call.TimedOut
    | call.TranscribedSoFar
    | call.Transcribed
    | call.TranscriptionFailed
)


class CallerSide:
    """new_event_id: mints ids of events. transcribes: the client hears the caller's words. wordless: items without."""

    def __init__(self, new_event_id: Callable[[], str], items: ItemList) -> None:
        self._id = new_event_id
        self._items = items
        self._spoken: dict[str, StableWords] = {}
        self.transcribes = True
        self.wordless: set[str] = set()

    def add(self, made: out.AnyItem, after: str = "") -> Iterator[out.ServerEvent]:
        """An item that is whole: after another, at the end if that is empty."""
        self._items.put(made, after)
        previous = self._items.before(made.id)
        yield out.ItemAdded(event_id=self._id(), item=made, previous_item_id=previous)
        yield out.ItemDone(event_id=self._id(), item=made, previous_item_id=previous)

    def translate(self, event: Said) -> Iterator[out.ServerEvent]:
        match event:
            case call.SpeechBegan():
                yield out.SpeechStarted(event_id=self._id(), audio_start_ms=_ms(event.at_sample), item_id=event.item)
            case call.SpeechEnded():
                yield out.SpeechStopped(event_id=self._id(), audio_end_ms=_ms(event.at_sample), item_id=event.item)
            case call.AudioCommitted():
                yield out.Committed(event_id=self._id(), item_id=event.item, previous_item_id=self._items.last)
                yield from self.add(message(event.item, "user", [out.Part("input_audio", transcript=None)]))
            case call.TimedOut():
                self.wordless.add(event.item)
                start_ms, end_ms = _ms(event.from_sample), _ms(event.to_sample)
                yield out.TimeoutTriggered(
                    event_id=self._id(), audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=event.item
                )
            case call.TranscribedSoFar():
                yield from self._delta(event.item, self._words_of(event.item).heard(event.text))
            case call.Transcribed():
                yield from self._transcribed(event, self._spoken.pop(event.item, StableWords()))
            case call.TranscriptionFailed():
                self._spoken.pop(event.item, None)
                yield from self._not_transcribed(event)

    def _words_of(self, item: str) -> StableWords:
        if item not in self._spoken and len(self._spoken) >= SPOKEN_ITEMS:
            del self._spoken[next(iter(self._spoken))]
        return self._spoken.setdefault(item, StableWords())

    def _delta(self, item: str, words: str) -> Iterator[out.ServerEvent]:
        if words and self.transcribes:
            yield out.TranscriptionDelta(event_id=self._id(), item_id=item, content_index=0, delta=words)

    def _transcribed(self, event: call.Transcribed, spoken: StableWords) -> Iterator[out.ServerEvent]:
        known = self._items.get(event.item)
        if not isinstance(known, out.Item):  # it may have been deleted meanwhile
            return
        if not event.text:
            self.wordless.add(event.item)
        self._items.put(msgspec.structs.replace(known, content=[out.Part("input_audio", transcript=event.text)]))
        if not self.transcribes:
            return
        yield from self._delta(event.item, spoken.ended(event.text))
        yield out.TranscriptionCompleted(
            event_id=self._id(),
            item_id=event.item,
            content_index=0,
            transcript=event.text,
            usage=out.Duration("duration", round(event.audio_s, 3)),
        )

    def _not_transcribed(self, event: call.TranscriptionFailed) -> Iterator[out.ServerEvent]:
        if event.item not in self._items:
            return
        self.wordless.add(event.item)
        if self.transcribes:
            problem = out.Problem(type="transcription_error", code="transcription_failed", message=event.reason)
            yield out.TranscriptionFailed(event_id=self._id(), item_id=event.item, content_index=0, error=problem)


def _ms(samples: int) -> int:
    return samples * 1000 // CALLER_RATE_HZ
