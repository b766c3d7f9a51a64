"""The client's view of the call: its items, and each of the call's events in the words of the protocol.

Pure. An item is stored before an event tells of it, so a `retrieve` that answers the event finds it.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from trunkline.gateway import call_events as call
from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.caller_side import CallerSide
from trunkline.gateway.dialects.realtime.edge_audio import Mouth
from trunkline.gateway.dialects.realtime.item_list import ItemList
from trunkline.gateway.dialects.realtime.items import function_call, message, text_of
from trunkline.gateway.dialects.realtime.open_response import Manner, OpenResponse, details_of, usage_of
from trunkline.gateway.dialects.realtime.streams import Streams
from trunkline.proto.audio import SAMPLE_BYTES


class Projection:
    """new_event_id: mints ids of events. conversation: its id. manner: of the session's responses.

    ours: the client can come back, and is told which samples it gets. streams: carry audio to it instead of events.
    caller: what it is told of the caller's speech.
    """

    def __init__(
        self,
        new_event_id: Callable[[], str],
        conversation: str,
        manner: Manner,
        *,
        ours: bool = False,
        streams: Streams | None = None,
    ) -> None:
        self._id = self.event_id = new_event_id
        self._streams = streams
        self._conversation = conversation
        self.manner = manner
        self._ours = ours
        self._known: dict[str, list[str]] = {}  # items of responses that an earlier gateway has told of
        self._mouth = Mouth(manner.output.format)
        self._open: dict[str, OpenResponse] = {}
        self._expected: dict[str, Manner] = {}  # by response, of those that have their own
        self.items = ItemList()
        self.aside: set[str] = set()  # tool calls that the client was asked out of band
        self.caller = CallerSide(new_event_id, self.items)

    def follow(self, manner: Manner) -> None:
        """The session's, from now on; its format from the next audio on."""
        before, self.manner = self.manner, manner
        if manner.output.format == before.output.format:
            return
        old, self._mouth = self._mouth, Mouth(manner.output.format)
        for opened in self._open.values():
            if opened.mouth is old:
                opened.mouth = self._mouth

    def expect(self, response: str, manner: Manner) -> None:
        """A response with a manner of its own may open."""
        self._expected[response] = manner

    def forget(self, response: str) -> None:
        """It will not."""
        self._expected.pop(response, None)

    def add(self, made: out.AnyItem, after: str = "") -> Iterator[out.ServerEvent]:
        """An item that is whole: after another, at the end if that is empty."""
        return self.caller.add(made, after)

    def response_saying(self, item: str) -> str:
        """The open response that the item is of."""
        return next(opened.id for opened in self._open.values() if item in opened.items)

    def delete(self, item: str) -> out.ServerEvent:
        self.items.remove(item)
        self.caller.wordless.discard(item)  # its id may be another's from here on
        return out.ItemDeleted(event_id=self._id(), item_id=item)

    def translate(self, event: call.CallEvent) -> list[out.Told]:
        return list(self._translate(event))

    def _translate(self, event: call.CallEvent) -> Iterator[out.Told]:
        match event:
            case call.AudioSaid():
                yield from self.speak(event)
            case (
                call.SpeechBegan()
                | call.SpeechEnded()
                | call.AudioCommitted()
                | call.TimedOut()
                | call.TranscribedSoFar()
                | call.Transcribed()
                | call.TranscriptionFailed()
            ):
                yield from self.caller.translate(event)
            case call.ResponseOpened():
                yield self._open_response(event)
            case call.ItemOpened():
                yield from self._open_item(event)
            case call.WordsSaid():
                yield from self._words(event)
            case call.ItemEnded():
                yield from self._close_item(event)
            case call.ToolCalled():
                yield from self._ask(event)
            case call.ResponseEnded():
                yield self._close_response(event)
            case call.ItemCut():
                yield from self._cut(event)
            case call.MoveAsked(reason=reason):
                if self._ours:
                    yield out.Move(event_id=self._id(), reason=reason)
            case call.Silenced() | call.CallOver():
                return

    def speak(self, said: call.AudioSaid) -> Iterator[out.Told]:
        """What `translate` makes of it, by a shorter way: most of what is told is audio."""
        opened = self._open[said.response]
        return self._audio(opened, said.item, opened.mouth.say(said.pcm), said)

    # what an earlier gateway has told of

    def know_item(self, item: out.AnyItem) -> None:
        self.items.put(item)

    def know_response(self, response: str, items: Sequence[str]) -> None:
        self._known[response] = list(items)

    # the agent's

    def _open_response(self, event: call.ResponseOpened) -> out.ServerEvent:
        manner = self._expected.pop(event.response, self.manner)
        same = manner.output.format == self.manner.output.format
        mouth = self._mouth if same else Mouth(manner.output.format)
        known = self._known.pop(event.response, [])
        opened = self._open[event.response] = OpenResponse(event.response, event.audible, manner, mouth, known)
        return out.ResponseCreated(event_id=self._id(), response=self._tell(opened, "in_progress"))

    def _open_item(self, event: call.ItemOpened) -> Iterator[out.ServerEvent]:
        opened = self._open[event.response]
        known = self._message(event.item)
        content = [] if known is None else known.content
        item = message(event.item, "assistant", content, status="in_progress", phase=event.phase)
        yield from self._begin(opened, item)
        yield out.PartAdded(event_id=self._id(), **opened.place(event.item), part=opened.told_part(""))

    def _begin(self, opened: OpenResponse, item: out.AnyItem) -> Iterator[out.ServerEvent]:
        self._store(opened, item)
        index = opened.index(item.id)
        yield out.OutputItemAdded(event_id=self._id(), response_id=opened.id, output_index=index, item=item)
        if not opened.manner.aside:
            yield out.ItemAdded(event_id=self._id(), item=item, previous_item_id=self.items.before(item.id))

    def _end(self, opened: OpenResponse, item: out.AnyItem) -> Iterator[out.ServerEvent]:
        self._store(opened, item)
        if not opened.manner.aside:
            yield out.ItemDone(event_id=self._id(), item=item, previous_item_id=self.items.before(item.id))
        index = opened.index(item.id)
        yield out.OutputItemDone(event_id=self._id(), response_id=opened.id, output_index=index, item=item)

    def _words(self, event: call.WordsSaid) -> Iterator[out.ServerEvent]:
        opened = self._open[event.response]
        item = self._message(event.item, opened)
        if item is not None:
            self._store(opened, msgspec.structs.replace(item, content=[opened.part(text_of(item) + event.text)]))
        delta = out.TranscriptDelta if opened.audible else out.TextDelta
        segment = event.segment if self._ours else -1
        yield delta(event_id=self._id(), **opened.place(event.item), delta=event.text, segment=segment)

    def _audio(
        self, opened: OpenResponse, item: str, audio: bytes, said: call.AudioSaid | None = None
    ) -> Iterator[out.Told]:
        """said: what it comes of; None for what was held back of that."""
        if self._streams is not None:
            yield from self._streams.carry(opened.place(item), opened.mouth.format, audio, said)
            return
        if not audio:
            return
        if said is None or not self._ours:
            yield out.AudioDelta(event_id=self._id(), **opened.place(item), delta=audio)
            return
        yield out.AudioDelta(
            event_id=self._id(),
            **opened.place(item),
            delta=audio,
            segment=said.segment,
            position=said.position,
            samples=len(said.pcm) // SAMPLE_BYTES,
        )

    def _close_item(self, event: call.ItemEnded) -> Iterator[out.Told]:
        opened = self._open[event.response]
        place = opened.place(event.item)
        known = self._message(event.item, opened)
        assert known is not None, "an item that never opened"
        item = msgspec.structs.replace(known, status="completed" if event.whole else "incomplete", phase=event.phase)
        text = text_of(item)
        if opened.audible:
            yield from self._audio(opened, event.item, opened.mouth.rest())
            yield out.AudioDone(event_id=self._id(), **place)
            yield out.TranscriptDone(event_id=self._id(), **place, transcript=text)
        else:
            yield out.TextDone(event_id=self._id(), **place, text=text)
        yield out.PartDone(event_id=self._id(), **place, part=opened.told_part(text))
        yield from self._end(opened, item)

    def _ask(self, event: call.ToolCalled) -> Iterator[out.ServerEvent]:
        opened = self._open[event.response]
        if opened.manner.aside:
            self.aside.add(event.tool_call)
        item = function_call(event.tool_call, event.name, event.arguments)
        yield from self._begin(opened, msgspec.structs.replace(item, status="in_progress", arguments=""))
        at = opened.call_place(item.id, event.tool_call)
        yield out.ArgumentsDelta(event_id=self._id(), **at, delta=event.arguments)
        yield out.ArgumentsDone(event_id=self._id(), **at, name=event.name, arguments=event.arguments)
        yield from self._end(opened, item)

    def _cut(self, event: call.ItemCut) -> Iterator[out.ServerEvent]:
        known = self._message(event.item)
        if known is None:
            return
        content = known.content
        if event.text is not None:
            content = [out.Part("output_audio", transcript=event.text)]
        self.items.put(msgspec.structs.replace(known, status="incomplete", content=content))
        if event.asked:
            yield out.ItemTruncated(
                event_id=self._id(), item_id=event.item, content_index=event.index, audio_end_ms=event.heard_ms
            )

    def _close_response(self, event: call.ResponseEnded) -> out.ServerEvent:
        response = msgspec.structs.replace(
            self._tell(self._open.pop(event.response), event.status),
            status_details=details_of(event.status, event.reason),
            usage=usage_of(event.input_tokens, event.output_tokens),
        )
        return out.ResponseDone(event_id=self._id(), response=response)

    # pieces

    def _tell(self, opened: OpenResponse, status: out.ResponseState) -> out.Response:
        items = (opened.own.get(item) or self.items.get(item) for item in opened.items)
        return opened.tell(status, [item for item in items if item is not None], self._conversation)

    def _message(self, item: str, opened: OpenResponse | None = None) -> out.Item | None:
        found = opened.own.get(item) if opened is not None and opened.manner.aside else self.items.get(item)
        return found if isinstance(found, out.Item) else None

    def _store(self, opened: OpenResponse, item: out.AnyItem) -> None:
        if opened.manner.aside:
            opened.own[item.id] = item
        else:
            self.items.put(item)
