"""The client's view of the call: its items, and each of the call's events in the words of the protocol.

Pure. An item is stored before an event tells of it, so a `retrieve` that answers the event finds it.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypedDict

import msgspec

from trunkline.gateway import call_events as call
from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.edge_audio import Mouth
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.proto.audio import CALLER_RATE_HZ, SAMPLE_BYTES
from trunkline.proto.errors import BadInput

ITEMS = 4_000  # of one call that can still be retrieved
REALTIME_ITEM = "realtime.item"
REASONS = ("turn_detected", "client_cancelled", "max_output_tokens", "content_filter")
"""Of a response that ended early: all that the vendor's types allow, and a strict client takes no other."""


class _Place(TypedDict):
    """Where a piece of content stands; the fields that every such event has."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int


class _AtCall(TypedDict):
    """Where a call of a client's tool stands."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str


class _OpenResponse:
    def __init__(self, response: str, audible: bool) -> None:
        self.id = response
        self.audible = audible
        self.items: list[str] = []

    def index(self, item: str) -> int:
        return self.items.index(item)


class Projection:
    """new_event_id: mints ids of events. ours: the client can come back, and is told which samples it gets.
    transcribes: the client hears the caller's words."""

    def __init__(self, new_event_id: Callable[[], str], output: Format, *, ours: bool = False) -> None:
        self._id = self.event_id = new_event_id
        self.transcribes = True
        self._ours = ours
        self._known: dict[str, list[str]] = {}  # items of responses that an earlier gateway has told of
        self._mouth = Mouth(output)
        self._items: OrderedDict[str, out.AnyItem] = OrderedDict()
        self._open: _OpenResponse | None = None

    def speak(self, output: Format) -> None:
        """The client's output format, from the next audio on."""
        if output != self._mouth.format:
            self._mouth = Mouth(output)

    @property
    def last_item(self) -> str | None:
        return next(reversed(self._items), None)

    def has(self, item: str) -> bool:
        return item in self._items

    def item(self, item: str) -> out.AnyItem:
        """Raises BadInput."""
        found = self._items.get(item)
        if found is None:
            raise BadInput("item_id", f"no item {item[:80]!r}", "the id of an item", code="item_not_found")
        return found

    def typed(self, item: str, text: str) -> list[out.ServerEvent]:
        """A text of the client's own is an item from now on."""
        return list(self._new_user_item(item, out.Part("input_text", text=text)))

    def answered(self, item: str, call_id: str, output: str) -> list[out.ServerEvent]:
        """What the client says came of a tool is an item from now on."""
        return list(self._new_item(function_output(item, call_id, output)))

    def translate(self, event: call.CallEvent) -> list[out.ServerEvent]:
        return list(self._translate(event))

    def _translate(self, event: call.CallEvent) -> Iterator[out.ServerEvent]:
        match event:
            case call.AudioSaid():
                yield from self._audio(event.item, self._mouth.say(event.pcm), event)
            case call.SpeechBegan():
                yield out.SpeechStarted(event_id=self._id(), audio_start_ms=_ms(event.at_sample), item_id=event.item)
            case call.SpeechEnded():
                yield out.SpeechStopped(event_id=self._id(), audio_end_ms=_ms(event.at_sample), item_id=event.item)
            case call.AudioCommitted():
                yield out.Committed(event_id=self._id(), item_id=event.item, previous_item_id=self.last_item)
                yield from self._new_user_item(event.item, out.Part("input_audio", transcript=None))
            case call.TimedOut():
                start_ms, end_ms = _ms(event.from_sample), _ms(event.to_sample)
                yield out.TimeoutTriggered(
                    event_id=self._id(), audio_start_ms=start_ms, audio_end_ms=end_ms, item_id=event.item
                )
            case call.Transcribed():
                yield from self._transcribed(event)
            case call.TranscriptionFailed() if self.transcribes:
                problem = out.Problem(type="transcription_error", code="transcription_failed", message=event.reason)
                yield out.TranscriptionFailed(event_id=self._id(), item_id=event.item, content_index=0, error=problem)
            case call.ResponseOpened():
                self._open = _OpenResponse(event.response, event.audible)
                self._open.items = self._known.pop(event.response, [])
                yield out.ResponseCreated(event_id=self._id(), response=self._response("in_progress"))
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
                yield out.ItemTruncated(
                    event_id=self._id(), item_id=event.item, content_index=event.index, audio_end_ms=event.heard_ms
                )
            case call.MoveAsked(reason=reason):
                if self._ours:
                    yield out.Move(event_id=self._id(), reason=reason)
            case call.Silenced() | call.CallOver() | call.TranscriptionFailed():
                return

    # what an earlier gateway has told of

    def know_item(self, item: out.AnyItem) -> None:
        self._store(item)

    def know_response(self, response: str, items: list[str]) -> None:
        self._known[response] = list(items)

    # the caller's items

    def _new_user_item(self, item: str, part: out.Part) -> Iterator[out.ServerEvent]:
        made = out.Item(id=item, object=REALTIME_ITEM, type="message", status="completed", role="user", content=[part])
        yield from self._new_item(made)

    def _new_item(self, made: out.AnyItem) -> Iterator[out.ServerEvent]:
        previous = self.last_item
        self._store(made)
        yield out.ItemAdded(event_id=self._id(), item=made, previous_item_id=previous)
        yield out.ItemDone(event_id=self._id(), item=made, previous_item_id=previous)

    def _transcribed(self, event: call.Transcribed) -> Iterator[out.ServerEvent]:
        """The words come at once: what STT has of them before may still change."""
        known = self._message(event.item)
        if known is not None:
            self._store(msgspec.structs.replace(known, content=[out.Part("input_audio", transcript=event.text)]))
        if not self.transcribes:
            return
        if event.text:
            yield out.TranscriptionDelta(event_id=self._id(), item_id=event.item, content_index=0, delta=event.text)
        yield out.TranscriptionCompleted(
            event_id=self._id(),
            item_id=event.item,
            content_index=0,
            transcript=event.text,
            usage=out.Duration("duration", round(event.audio_s, 3)),
        )

    # the agent's

    def _open_item(self, event: call.ItemOpened) -> Iterator[out.ServerEvent]:
        opened = self._opened()
        known = self._message(event.item)
        previous = self.last_item
        item = out.Item(
            id=event.item,
            object=REALTIME_ITEM,
            type="message",
            status="in_progress",
            role="assistant",
            content=[] if known is None else known.content,
            phase=event.phase,
        )
        self._store(item)
        if event.item not in opened.items:
            opened.items.append(event.item)
        index = opened.index(event.item)
        yield out.OutputItemAdded(event_id=self._id(), response_id=opened.id, output_index=index, item=item)
        yield out.ItemAdded(event_id=self._id(), item=item, previous_item_id=previous)
        part = out.Part("audio", transcript="") if opened.audible else out.Part("text", text="")
        yield out.PartAdded(event_id=self._id(), **self._place(event.item), part=part)

    def _words(self, event: call.WordsSaid) -> Iterator[out.ServerEvent]:
        item = self._message(event.item)
        if item is not None:
            self._store(msgspec.structs.replace(item, content=[self._part(self._text_of(item) + event.text)]))
        delta = out.TranscriptDelta if self._opened().audible else out.TextDelta
        segment = event.segment if self._ours else -1
        yield delta(event_id=self._id(), **self._place(event.item), delta=event.text, segment=segment)

    def _audio(self, item: str, audio: bytes, said: call.AudioSaid | None = None) -> Iterator[out.ServerEvent]:
        """said: what it comes of; None for what was held back of that."""
        if not audio:
            return
        if said is None or not self._ours:
            yield out.AudioDelta(event_id=self._id(), **self._place(item), delta=audio)
            return
        yield out.AudioDelta(
            event_id=self._id(),
            **self._place(item),
            delta=audio,
            segment=said.segment,
            position=said.position,
            samples=len(said.pcm) // SAMPLE_BYTES,
        )

    def _close_item(self, event: call.ItemEnded) -> Iterator[out.ServerEvent]:
        opened, place = self._opened(), self._place(event.item)
        known = self._message(event.item)
        assert known is not None, "an item that never opened"
        item = msgspec.structs.replace(known, status="completed" if event.whole else "incomplete", phase=event.phase)
        self._store(item)
        text = self._text_of(item)
        if opened.audible:
            yield from self._audio(event.item, self._mouth.rest())
            yield out.AudioDone(event_id=self._id(), **place)
            yield out.TranscriptDone(event_id=self._id(), **place, transcript=text)
            part = out.Part("audio", transcript=text)
        else:
            yield out.TextDone(event_id=self._id(), **place, text=text)
            part = out.Part("text", text=text)
        yield out.PartDone(event_id=self._id(), **place, part=part)
        yield out.ItemDone(event_id=self._id(), item=item)
        yield out.OutputItemDone(
            event_id=self._id(), response_id=opened.id, output_index=opened.index(event.item), item=item
        )

    def _ask(self, event: call.ToolCalled) -> Iterator[out.ServerEvent]:
        opened, previous, name = self._opened(), self.last_item, call_item(event.tool_call)
        item = function_call(event.tool_call, event.name, event.arguments)
        begun = msgspec.structs.replace(item, status="in_progress", arguments="")
        self._store(item)
        if name not in opened.items:
            opened.items.append(name)
        at: _AtCall = {
            "response_id": opened.id,
            "item_id": name,
            "output_index": opened.index(name),
            "call_id": event.tool_call,
        }
        index = opened.index(name)
        yield out.OutputItemAdded(event_id=self._id(), response_id=opened.id, output_index=index, item=begun)
        yield out.ItemAdded(event_id=self._id(), item=begun, previous_item_id=previous)
        yield out.ArgumentsDelta(event_id=self._id(), **at, delta=event.arguments)
        yield out.ArgumentsDone(event_id=self._id(), **at, name=event.name, arguments=event.arguments)
        yield out.ItemDone(event_id=self._id(), item=item, previous_item_id=previous)
        yield out.OutputItemDone(event_id=self._id(), response_id=opened.id, output_index=index, item=item)

    def _close_response(self, event: call.ResponseEnded) -> out.ServerEvent:
        details = None
        if event.status == "failed":
            error = {"type": "server_error", "code": "response_failed", "message": event.reason}
            details = out.Reason("failed", error=error)
        elif event.status != "completed":
            details = out.Reason(event.status, reason=event.reason if event.reason in REASONS else None)
        total = event.input_tokens + event.output_tokens
        response = msgspec.structs.replace(
            self._response(event.status),
            status_details=details,
            usage=out.Usage(total, event.input_tokens, event.output_tokens),
        )
        self._open = None
        return out.ResponseDone(event_id=self._id(), response=response)

    # pieces

    def _opened(self) -> _OpenResponse:
        assert self._open is not None, "an item without a response"
        return self._open

    def _response(self, status: out.ResponseState) -> out.Response:
        opened = self._opened()
        return out.Response(
            id=opened.id,
            object="realtime.response",
            status=status,
            output=[self._items[item] for item in opened.items if item in self._items],
            output_modalities=["audio" if opened.audible else "text"],
        )

    def _place(self, item: str) -> _Place:
        opened = self._opened()
        return {"response_id": opened.id, "item_id": item, "output_index": opened.index(item), "content_index": 0}

    def _part(self, text: str) -> out.Part:
        if self._opened().audible:
            return out.Part("output_audio", transcript=text)
        return out.Part("output_text", text=text)

    def _text_of(self, item: out.Item) -> str:
        return (item.content[0].transcript or item.content[0].text or "") if item.content else ""

    def _message(self, item: str) -> out.Item | None:
        found = self._items.get(item)
        return found if isinstance(found, out.Item) else None

    def _store(self, item: out.AnyItem) -> None:
        self._items[item.id] = item
        if len(self._items) > ITEMS:
            self._items.popitem(last=False)


def call_item(tool_call: str) -> str:
    """Id of the item by which the client is asked: the same at every gateway."""
    return f"item_{tool_call}"


def function_call(tool_call: str, name: str, arguments: str) -> out.FunctionCall:
    return out.FunctionCall(
        id=call_item(tool_call),
        object=REALTIME_ITEM,
        type="function_call",
        status="completed",
        call_id=tool_call,
        name=name,
        arguments=arguments,
    )


def function_output(item: str, call_id: str, output: str) -> out.FunctionOutput:
    return out.FunctionOutput(
        id=item, object=REALTIME_ITEM, type="function_call_output", status="completed", call_id=call_id, output=output
    )


def _ms(samples: int) -> int:
    return samples * 1000 // CALLER_RATE_HZ
