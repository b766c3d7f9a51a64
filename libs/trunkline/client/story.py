"""What a client has been told, so that a later gateway says only the rest, and its reader hears each thing once.

Pure.
"""

import binascii
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

import msgspec

from trunkline.client.events import AUDIO, Begun, Cancelled, GivenOutput, Item, Received, Resume, ServerEvent, TypedItem
from trunkline.client.tape import PER_MS, Format, Tape
from trunkline.proto.binary_dialect import INPUT_RATES_HZ
from trunkline.proto.ids import new_event_id, new_item_id, new_response_id

K = TypeVar("K")
V = TypeVar("V")

REMEMBERED = 4_000  # events that come once each
SEGMENTS = 64  # of whose audio the extent is told: those of the last half minute and more
UNRECORDED = 16  # texts and cancellations that the record may lack
LONGEST_NAME = 512  # characters of an event_id; an event with a longer one is refused, and the refusal doesn't name it

ONCE_PER_ITEM = frozenset(
    (
        "conversation.item.added",
        "conversation.item.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.output_text.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.input_audio_transcription.completed",
        "conversation.item.input_audio_transcription.failed",
    )
)
ONCE_PER_RESPONSE = frozenset(("response.created", "response.done"))
RATES_HZ = frozenset(INPUT_RATES_HZ)
WORDS = frozenset(("response.output_audio_transcript.delta", "response.output_text.delta"))
UTTERANCES = frozenset(kind for kind in ONCE_PER_ITEM if "input_audio" in kind)
_BEING_WORDED = "conversation.item.input_audio_transcription.delta"
_WORDED = "conversation.item.input_audio_transcription.completed"
_OVER = frozenset((_WORDED, "conversation.item.input_audio_transcription.failed"))


class _Ordered(NamedTuple):
    """A response.create that nothing has come of. number: its place on the tape. name: its event_id."""

    number: int
    name: str
    instructions: str


class _Update(NamedTuple):
    """A session.update that was neither confirmed nor refused. number, name: as above. event: as it was said."""

    number: int
    name: str
    patch: dict[str, object]
    event: dict[str, object]


class _Typed(NamedTuple):
    """number: its place on the tape. content: of one that shows pictures."""

    number: int
    item: str
    text: str
    content: msgspec.Raw | None = None


class _Output(NamedTuple):
    """number: its place on the tape."""

    number: int
    item: str
    tool_call: str
    output: str


class Story:
    def __init__(self) -> None:
        self._session: dict[str, object] = {}  # all updates that were confirmed, merged
        self._updates: list[_Update] = []  # the others, in the order in which the server answers them
        self._seen: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._received: OrderedDict[tuple[str, int], int] = OrderedDict()
        self._begun: OrderedDict[str, int] = OrderedDict()
        self._typed: OrderedDict[str, _Typed] = OrderedDict()  # by event_id
        self._outputs: OrderedDict[str, _Output] = OrderedDict()  # by event_id
        self._being_worded: OrderedDict[str, bool] = OrderedDict()  # by item: by a gateway that was left since
        self._open: OrderedDict[str, None] = OrderedDict()
        self._cancelled: OrderedDict[str, str] = OrderedDict()
        self._respond: _Ordered | None = None

    # what the client said

    def said(self, event: dict[str, object], number: int = -1) -> None:
        """Notes what a later gateway must know of a named event that isn't audio. number: its place on the tape.

        What no refusal could name isn't noted: it would count for ever.
        """
        name = event.get("event_id")
        if not isinstance(name, str) or len(name) > LONGEST_NAME:
            return
        match event:
            case {"type": "session.update", "session": dict(patch)}:
                self._updates.append(_Update(number, name, patch, event))
            case {"type": "conversation.item.create", "item": {"id": str(item), "content": [*parts], **more}}:
                text, content = _text(parts), None
                if text is None and _is_shown(parts):
                    text, content = "", msgspec.Raw(msgspec.json.encode(parts))
                if text is not None and (more.get("type"), more.get("role")) == ("message", "user"):
                    _remember(self._typed, name, _Typed(number, item, text, content), UNRECORDED)
            case {
                "type": "conversation.item.create",
                "item": {
                    "type": "function_call_output",
                    "id": str(item),
                    "call_id": str(tool_call),
                    "output": str(output),
                },
            }:
                _remember(self._outputs, name, _Output(number, item, tool_call, output), UNRECORDED)
            case {"type": "response.create"}:
                response = event.get("response")
                asked = response.get("instructions") if isinstance(response, dict) else None
                self._respond = _Ordered(number, name, asked if isinstance(asked, str) else "")

    @property
    def input_format(self) -> Format:
        """Of the audio that is said next: an update counts at once, until it is refused."""
        session = self._session
        for update in self._updates:
            session = merged(session, update.patch)
        match session:
            case {"audio": {"input": {"format": {"type": "audio/pcm", "rate": int(rate_hz)}}}} if rate_hz in RATES_HZ:
                return Format(rate_hz=rate_hz)
            case {"audio": {"input": {"format": {"type": str(wanted)}}}}:
                return Format(wanted)
        return Format()

    # what came

    def news(self, event: ServerEvent) -> ServerEvent | None:
        """What of an event the reader hasn't been told yet; None for nothing."""
        kind = event.type
        if kind in ONCE_PER_RESPONSE:
            return self._of_response(event)
        if event.response_id and ("response.done", event.response_id) in self._seen:
            return None
        if kind == AUDIO:
            return self._of_audio(event)
        if kind in WORDS:
            return event if event.segment < 0 or self._first_time(f"{kind}.{event.segment}", event.item_id) else None
        if kind == _BEING_WORDED:
            return self._of_words(event)
        if kind in ONCE_PER_ITEM:
            return self._of_item(event)
        if kind == "session.updated" and self._updates:
            self._session = merged(self._session, self._updates.pop(0).patch)
        elif kind == "error":
            self._refused(event.error.event_id)
        return event

    def _refused(self, name: str | None) -> None:
        if self._respond is not None and name in (None, self._respond.name):
            self._respond = None
        self._typed.pop(name or "", None)
        self._outputs.pop(name or "", None)
        refused = next((update for update in self._updates if update.name == name), None)
        if refused is not None:
            self._updates.remove(refused)

    def _of_response(self, event: ServerEvent) -> ServerEvent | None:
        response = event.response.id
        if not self._first_time(event.type, response):
            return None
        if event.type == "response.created":
            self._respond = None
            self._open[response] = None
        else:
            self._open.pop(response, None)
            if event.response.status == "cancelled":
                _remember(self._cancelled, response, event.response.status_details.reason, UNRECORDED)
        return event

    def _of_words(self, event: ServerEvent) -> ServerEvent | None:
        """Another gateway begins anew: what an item has in the end comes whole all the same."""
        if self._being_worded.get(event.item_id):
            return None
        _remember(self._being_worded, event.item_id, False, SEGMENTS)
        return event

    def _of_item(self, event: ServerEvent) -> ServerEvent | None:
        item = event.item_id or event.item.id
        # another gateway that hears the same audio again may understand something else: then that is news
        if not self._first_time(f"{event.type} {event.transcript}" if event.type == _WORDED else event.type, item):
            return None
        if event.type == "conversation.item.added":
            self._stored(event.item)
        elif event.type == "input_audio_buffer.speech_started":
            self._begun[item] = event.audio_start_ms
        elif event.type == "input_audio_buffer.committed":
            self._begun.setdefault(item, -1)
        elif event.type in _OVER and self._begun.get(item, -1) < 0:
            self._begun.pop(item, None)
        return event

    def _stored(self, item: Item) -> None:
        """The gateway has its pictures: from here on they are known by the ids of their files."""
        for name, typed in self._typed.items():
            if typed.item == item.id and typed.content is not None:
                self._typed[name] = typed._replace(content=item.content.copy())

    def settle(self, audio_end_ms: int) -> None:
        """Utterances that began before are on record, or nothing: no gateway hears them again."""
        for item in [item for item, start_ms in self._begun.items() if 0 <= start_ms < audio_end_ms]:
            del self._begun[item]

    def is_new(self, event: ServerEvent) -> bool:
        """Whether it is of an utterance, of a response or an item of one that hadn't begun, or ends a response.

        A response may end with an item that is new, and whoever is told of the end waits for no more of it. An answer
        to what the next gateway is told of is new as well: that one answers too, and each answer counts for one event.
        """
        if event.type == "session.updated" or (event.type == "error" and self._awaits(event.error.event_id)):
            return True
        response, item = event.response_id or event.response.id, event.item_id or event.item.id
        if event.type in UTTERANCES or event.type == "response.done" or (response and response not in self._open):
            return True
        return bool(response and item and ("response.output_item.added", item) not in self._seen)

    def _awaits(self, name: str | None) -> bool:
        return name in self._typed or name in self._outputs or any(update.name == name for update in self._updates)

    def _of_audio(self, event: ServerEvent) -> ServerEvent | None:
        """Audio that came already is cut off."""
        if event.segment < 0:
            return event
        key = event.item_id, event.segment
        known = self._received.get(key, 0)
        end = event.position + event.samples
        if end <= known:
            return None
        _remember(self._received, key, end, SEGMENTS)
        if event.position >= known:
            return event
        data = event.audio
        rest = data[(known - event.position) * len(data) // event.samples // 2 * 2 :]
        event.position, event.samples = known, end - known
        if event.text:
            event.delta = binascii.b2a_base64(rest, newline=False).decode()
            event.text = msgspec.json.encode({**msgspec.json.decode(event.text), "delta": event.delta}).decode()
        else:
            event.sound = rest
        return event

    def _first_time(self, kind: str, name: str) -> bool:
        if (kind, name) in self._seen:
            return False
        _remember(self._seen, (kind, name), None, REMEMBERED)
        return True

    # for the next gateway

    def resume(self, tape: Tape, attempt: int = 0) -> Resume:
        """What no gateway has been told yet is on the tape, and goes out from there."""
        ordered = self._respond if self._respond is not None and self._respond.number < tape.told else None
        self._being_worded = OrderedDict.fromkeys(self._being_worded, True)
        return Resume(
            settled_ms=tape.settled // PER_MS,
            kept_from_ms=-(-tape.first // PER_MS),
            end_ms=tape.end // PER_MS,
            received=[Received(item, segment, count) for (item, segment), count in self._received.items()],
            session=self._session or None,
            begun=[Begun(item, start_ms) for item, start_ms in self._begun.items()],
            typed=[
                TypedItem(typed.item, typed.text, name, typed.content)
                for name, typed in self._typed.items()
                if typed.number < tape.told
            ],
            outputs=[
                GivenOutput(given.item, given.tool_call, given.output, name)
                for name, given in self._outputs.items()
                if given.number < tape.told
            ],
            cancelled=[
                Cancelled(response, "turn_detected" if reason == "turn_detected" else "client_cancelled")
                for response, reason in self._cancelled.items()
            ],
            responses=list(self._open),
            respond=ordered.instructions if ordered is not None else None,
            respond_id=ordered.name if ordered is not None else "",
            attempt=attempt,
            unanswered=[update.event for update in self._updates if update.number < tape.told],
        )

    def last_resume(self, tape: Tape, attempt: int = 0) -> Resume:
        """Of a client that only hangs up: it wants to hear no more of any response, and tells what it has heard."""
        told = [response for kind, response in self._seen if kind == "response.created"][-UNRECORDED:]
        resume = self.resume(tape, attempt)
        known = {one.response_id for one in resume.cancelled}
        unwanted = [Cancelled(response) for response in told if response not in known]
        return msgspec.structs.replace(resume, cancelled=[*resume.cancelled, *unwanted], respond=None)


def named(event: Mapping[str, object] | msgspec.Struct) -> dict[str, object]:
    """An own copy, in which whatever is made has an id, and what may be refused an event_id, by which that is told."""
    said: dict[str, object] = msgspec.to_builtins(event if isinstance(event, msgspec.Struct) else dict(event))
    kind = said.get("type")
    if kind == "conversation.item.create" and isinstance(item := said.get("item"), dict):
        said["item"] = {"id": new_item_id(), **item}
    if said.get("event_id") is None:
        if kind == "response.create":  # the gateway names the response so: asked for twice, it comes once
            said["event_id"] = new_response_id()
        elif kind in ("session.update", "conversation.item.create"):
            said["event_id"] = new_event_id()
    return said


def _text(parts: list[object]) -> str | None:
    """None if there is anything else."""
    texts: list[str] = []
    for part in parts:
        match part:
            case {"type": "input_text", **more} if isinstance(text := more.get("text") or "", str):
                texts.append(text)
            case _:
                return None
    return "".join(texts)


def _is_shown(parts: list[object]) -> bool:
    """Text and pictures, and nothing else."""
    return all(isinstance(part, dict) and part.get("type") in ("input_text", "input_image") for part in parts)


def merged(old: dict[str, object], patch: dict[str, object]) -> dict[str, object]:
    """What a patch doesn't name stays."""
    made = dict(old)
    for name, value in patch.items():
        before = made.get(name)
        made[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return made


def _remember(known: OrderedDict[K, V], key: K, value: V, limit: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > limit:
        known.popitem(last=False)
