"""What the model says, folded into the items of a response and the events that tell of them. Pure.

A phase is the model's where it says one; else it settles as on calls: what was said before a tool's call is
commentary, at the end of a round without tools it is the answer. Until then its item isn't done.
"""

from collections.abc import Collection, Iterator
from itertools import count

import msgspec

from trunkline.gateway.apis.responses import events
from trunkline.gateway.apis.responses.items import FunctionCall, ItemStatus, Message, OutputItem, OutputText, item_id
from trunkline.gateway.apis.responses.response import Error, ErrorCode, IncompleteDetails, Response, usage_of
from trunkline.proto.generation import Generated, GeneratedCall, GeneratedMessageEnded, GeneratedText, GenerationFailed
from trunkline.proto.ids import is_id, new_tool_call_id
from trunkline.proto.response import Phase

Said = GeneratedText | GeneratedMessageEnded | GeneratedCall | Generated | GenerationFailed
_object = msgspec.json.Decoder(dict[str, object])


class _Open:
    """A message that isn't done. ended: nothing is added to it, but its phase isn't known yet."""

    def __init__(self, name: str, index: int, phase: Phase | None) -> None:
        self.name = name
        self.index = index
        self.phase = phase
        self.ended = False
        self.text: list[str] = []

    @property
    def part(self) -> OutputText:
        return OutputText("".join(self.text))

    def item(self, status: ItemStatus) -> Message:
        content = () if status == "in_progress" else (self.part,)
        return Message(self.name, "assistant", status, content, self.phase)


class Answer:
    """response: in progress. calls: ids of tool calls of the conversation, which no new one may have."""

    def __init__(self, response: Response, calls: Collection[str]) -> None:
        self.over = False
        self._response = response
        self._calls = set(calls)
        self._called = False
        self._numbers = count()
        self._done: dict[int, OutputItem] = {}
        self._open: list[_Open] = []  # all but the last ended

    def begin(self) -> Iterator[events.Event]:
        yield events.Created(next(self._numbers), self._response)
        yield events.InProgress(next(self._numbers), self._response)

    def take(self, said: Said) -> Iterator[events.Event]:
        """After the model's last word the answer is over, and `completed` or `failed` tells how it ended."""
        match said:
            case GeneratedText(text=text, phase=phase):
                yield from self._say(text, phase)
            case GeneratedMessageEnded():
                yield from self._end()
            case GeneratedCall():
                yield from self._end()
                yield from self._finish("commentary")
                yield from self._call(said)
            case Generated(incomplete=incomplete):
                yield from self._end()
                last: ItemStatus = "incomplete" if incomplete else "completed"
                yield from self._finish("commentary" if self._called else "final_answer", last)
                self.over = True
            case GenerationFailed():
                self.over = True

    def _say(self, text: str, phase: Phase | None) -> Iterator[events.Event]:
        message = self._last
        if message is not None and phase is not None and message.phase not in (None, phase):
            yield from self._end()
            message = None
        if message is None:
            if not text:
                return
            yield from self._finish(None)
            message = _Open(item_id("msg", self._response.id, self._next_index), self._next_index, phase)
            self._open.append(message)
            yield events.ItemAdded(next(self._numbers), message.index, message.item("in_progress"))
            yield events.PartAdded(next(self._numbers), message.name, message.index, 0, OutputText(""))
        message.phase = message.phase or phase
        if text:
            message.text.append(text)
            yield events.TextDelta(next(self._numbers), message.name, message.index, 0, text)

    @property
    def _last(self) -> _Open | None:
        """The message to which words are added."""
        return self._open[-1] if self._open and not self._open[-1].ended else None

    @property
    def _next_index(self) -> int:
        return len(self._done) + len(self._open)

    def _end(self) -> Iterator[events.Event]:
        """The last message gets no more words. It isn't done before something follows, which tells how it ended."""
        message = self._last
        if message is not None:
            message.ended = True
            yield events.TextDone(next(self._numbers), message.name, message.index, 0, message.part.text)
            yield events.PartDone(next(self._numbers), message.name, message.index, 0, message.part)

    def _finish(self, phase: Phase | None, last: ItemStatus = "completed") -> Iterator[events.Event]:
        """All messages so far. phase: of those that have none; while it isn't known either, they wait. last: the status
        of the last."""
        waiting: list[_Open] = []
        for message in self._open:
            message.phase = message.phase or phase
            if message.phase is None:
                waiting.append(message)
                continue
            self._done[message.index] = message.item(last if message is self._open[-1] else "completed")
            yield events.ItemDone(next(self._numbers), message.index, self._done[message.index])
        self._open = waiting

    def _call(self, said: GeneratedCall) -> Iterator[events.Event]:
        index, numbers = self._next_index, self._numbers
        known = said.tool_call in self._calls or not is_id(said.tool_call)
        call_id = new_tool_call_id() if known else said.tool_call
        self._calls.add(call_id)
        self._called = True
        name = item_id("fc", self._response.id, index)
        status: ItemStatus = "completed" if _is_object(said.arguments) else "incomplete"
        done = FunctionCall(name, call_id, said.name, said.arguments, status)
        yield events.ItemAdded(next(numbers), index, FunctionCall(name, call_id, said.name, "", "in_progress"))
        yield events.ArgumentsDelta(next(numbers), name, index, said.arguments)
        yield events.ArgumentsDone(next(numbers), name, index, said.name, said.arguments)
        self._done[index] = done
        yield events.ItemDone(next(numbers), index, done)

    # how it ends

    def completed(self, generated: Generated, at_s: int) -> Response:
        """Or incomplete. at_s: seconds since 1970."""
        ended = msgspec.structs.replace(self._response, output=self._output(), usage=usage_of(generated))
        if generated.incomplete:
            filtered = generated.incomplete == "content_filter"
            why = IncompleteDetails("content_filter" if filtered else "max_output_tokens")
            return msgspec.structs.replace(ended, status="incomplete", incomplete_details=why)
        return msgspec.structs.replace(ended, status="completed", completed_at=at_s)

    def failed(self, code: ErrorCode, message: str) -> Response:
        """With what was said until then."""
        error = Error(code, message)
        return msgspec.structs.replace(self._response, status="failed", output=self._output(), error=error)

    def last(self, response: Response) -> events.Event:
        """The event that tells of a response that has ended so."""
        kinds = {"completed": events.Completed, "incomplete": events.Incomplete, "failed": events.Failed}
        return kinds[response.status](next(self._numbers), response)

    def _output(self) -> tuple[OutputItem, ...]:
        items = self._done | {message.index: message.item("incomplete") for message in self._open}
        return tuple(item for _, item in sorted(items.items()))


def _is_object(arguments: str) -> bool:
    try:
        _object.decode(arguments)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True
