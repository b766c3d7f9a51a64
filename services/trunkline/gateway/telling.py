"""What the client knows as open, and how it learns of responses and items: their beginning, words and end.

Rule: the slot is free before the end of a response is told, since the client may ask for the next at once.
"""

from collections.abc import Callable, Sequence

from trunkline.gateway import metrics
from trunkline.gateway.call_events import (
    CallEvent,
    ItemEnded,
    ItemOpened,
    ResponseEnded,
    ResponseOpened,
    ToolCalled,
    WordsSaid,
)
from trunkline.gateway.first_audio import FirstAudio
from trunkline.gateway.script import CloseItem, CloseResponse, Line, OpenItem, OpenResponse, Reason, Words
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.response import Phase, ToolAsked


class Telling:
    """opened: the response that the client knows as open. on_free: a turn's response is over."""

    def __init__(self, emit: Callable[[CallEvent], None], on_free: Callable[[int], None]) -> None:
        self.opened: OpenResponse | None = None
        self.first_audio = FirstAudio()
        self._emit = emit
        self._on_free = on_free
        self._item = ""
        self._phases: dict[str, Phase | None] = {}

    def settle(self, item: str, phase: Phase | None) -> None:
        """As far as it is known; what is known already stays."""
        self._phases[item] = phase or self._phases.get(item)

    def perform(self, line: Line) -> None:
        match line:
            case OpenResponse():
                self.opened = line
                self.first_audio.opened()
                self._emit(ResponseOpened(line.response, line.audible))
            case OpenItem(response=response, item=item):
                self._item = item
                self._emit(ItemOpened(response, item, self._phases.get(item)))
            case CloseItem(response=response, item=item):
                self._item = ""
                self._emit(ItemEnded(response, item, self._phases.pop(item, None), True))
            case ToolAsked(response=response, tool_call=tool_call):
                self._emit(ToolCalled(response, tool_call, line.name, line.arguments))
            case CloseResponse():
                self._close(line)

    def begin_words(self, words: Words, now: int, late: int) -> None:
        """They begin to sound, or go on to. late: for so many samples the caller has had nothing to hear."""
        if words.begun:
            if late > 0 and not words.segment.all_sent:
                metrics.playout_late_s.observe(late / SPEECH_RATE_HZ)
            return
        words.begun = True
        self._emit(WordsSaid(words.response, words.segment.item, words.text, words.segment.index))
        if self.opened is not None:
            commentary = self._phases.get(words.segment.item) == "commentary"
            self.first_audio.began(self.opened.turn, now, commentary=commentary)

    def _close(self, line: CloseResponse) -> None:
        self.drop_item()
        turn = self.opened.turn if self.opened is not None else 0
        self.opened = None
        self.first_audio.over(turn)
        reason = line.detail if line.status != "completed" else ""
        self._emit(ResponseEnded(line.response, line.status, reason, line.input_tokens, line.output_tokens))
        self._on_free(turn)

    # the end before its time

    def drop_item(self) -> None:
        """An item that is still open ends before its time."""
        item, self._item = self._item, ""
        if item and self.opened is not None:
            self._emit(ItemEnded(self.opened.response, item, self._phases.pop(item, None), False))

    def cut(self, unopened: Sequence[OpenResponse], reason: Reason) -> None:
        """The client learns of the end of each response, also of one that it never saw begin. No item is open."""
        opened, self.opened = self.opened, None
        if opened is not None:
            self._end_early(opened, reason)
        self._phases.clear()
        for line in unopened:
            self.end_unseen(line, reason)

    def end_unseen(self, line: OpenResponse, reason: Reason) -> None:
        self._emit(ResponseOpened(line.response, line.audible))
        self._end_early(line, reason)

    def _end_early(self, line: OpenResponse, reason: Reason) -> None:
        self.first_audio.over(line.turn)
        told = "turn_detected" if reason == "turn_detected" else "client_cancelled"
        self._emit(ResponseEnded(line.response, "cancelled", told))
        self._on_free(line.turn)
