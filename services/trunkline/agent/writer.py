"""Writes one response: text in as it streams, items and segments out, to the gateway and to the record alike.

Nothing is said after stop. An item begins with its first segment, so that one without words never exists.
"""

from collections.abc import Callable

from trunkline.agent.conversation import Conversation
from trunkline.agent.segments import Segmenter
from trunkline.bus.port import Headers
from trunkline.proto import record
from trunkline.proto.envelope import Message
from trunkline.proto.ids import new_item_id
from trunkline.proto.response import (
    ItemFinished,
    ItemStarted,
    Phase,
    PhaseSettled,
    ResponseFinished,
    ResponseStarted,
    ResponseStatus,
    Say,
    Source,
)

Send = Callable[[Message, Headers | None], None]


class ResponseWriter:
    """headers: trace context that goes with every segment. on_first: called when the first segment leaves."""

    def __init__(
        self,
        conversation: Conversation,
        send: Send,
        response: str,
        turn: int,
        *,
        headers: Headers | None = None,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        self.response = response
        self.turn = turn
        self.stopped = False
        self._conversation = conversation
        self._send = send
        self._headers = headers
        self._on_first = on_first
        self._said_anything = False
        self._item = ""  # "" until its first segment
        self._phase: Phase | None = None
        self._source: Source = "model"
        self._segmenter = Segmenter()
        self._said: list[str] = []

    def start(self) -> None:
        self._conversation.append(record.ResponseOpened(self._now_us(), self.response, self.turn))
        self._send(ResponseStarted(self.response, self.turn), None)

    def write(self, text: str, phase: Phase | None, source: Source = "model") -> None:
        """phase: None where it isn't known yet. Another phase or source than before begins another item."""
        if self.stopped:
            return
        if source != self._source or (phase is not None and self._phase is not None and phase != self._phase):
            self.close_item(self._phase or "final_answer")
        self._source = source
        if phase is not None:
            self._settle(phase)
        for segment in self._segmenter.feed(text):
            self._say(segment)

    def flush(self) -> None:
        """What is held goes out: nothing is going to follow it soon."""
        for segment in self._segmenter.flush():
            if segment.strip() or self._item:
                self._say(segment)

    def close_item(self, phase: Phase) -> None:
        """phase: what the item is, if the model didn't say."""
        if self.stopped:
            return
        self.flush()
        if self._item:
            if self._phase is None:
                self._settle(phase)
            text = "".join(self._said)
            self._conversation.append(record.ItemClosed(self._now_us(), self._item))
            self._send(ItemFinished(self.response, self._item, text, self._phase), None)
        self._item, self._phase, self._said, self._segmenter = "", None, [], Segmenter()

    def finish(self, status: ResponseStatus, detail: str = "", tokens: tuple[int, int] = (0, 0)) -> None:
        """detail: what went wrong or what ended it. tokens: input, output. Nothing is said afterwards."""
        if self.stopped:
            return
        self.close_item("final_answer")
        self.stop()
        self._conversation.append(record.ResponseClosed(self._now_us(), self.response, status, detail))
        self._send(ResponseFinished(self.response, status, detail, *tokens), None)

    def cancel(self, reason: str) -> None:
        """Ends the response where it stands; what is held is never said."""
        self._item, self._segmenter = "", Segmenter()
        self.finish("cancelled", reason)

    def stop(self) -> None:
        self.stopped = True

    def _settle(self, phase: Phase) -> None:
        if self._phase is None and self._item:
            self._conversation.append(record.ItemPhaseSettled(self._now_us(), self._item, phase))
            self._send(PhaseSettled(self.response, self._item, phase), None)
        self._phase = phase

    def _say(self, text: str) -> None:
        if not self._item:
            self._item = new_item_id()
            opened = record.AssistantItem(self._now_us(), self.response, self._item, self._phase, self._source)
            self._conversation.append(opened)
            self._send(ItemStarted(self.response, self._item, self._phase, self._source), None)
        index = len(self._said)
        self._said.append(text)
        self._conversation.append(record.SegmentSaid(self._now_us(), self._item, index, text))
        self._send(Say(self.response, self._item, index, text), self._headers)
        if not self._said_anything:
            self._said_anything = True
            self._on_first()

    def _now_us(self) -> int:
        return self._conversation.wall_us()
