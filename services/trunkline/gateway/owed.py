"""What the agent owes a call: responses that were asked for, and the rest of those that it began.

Rule: another agent of the same call says again what the last one said, and it must count once. Pure.
"""

from collections import OrderedDict
from collections.abc import Collection

import msgspec

from trunkline.gateway.script import Reason, Style
from trunkline.proto.response import (
    ItemFinished,
    ItemStarted,
    PhaseSettled,
    ResponseFinished,
    ResponseStarted,
    Say,
    ToolAsked,
    Utterance,
)

REMEMBERED_OVER = 16  # responses that were finished or cancelled lately


class Awaited(msgspec.Struct):
    """A response that was asked for and hasn't started. asked_at: clock at which it was.

    response: the id that it shall have, empty if the agent chooses. doomed: why it is to be cancelled when it starts.
    style: None for the session's.
    """

    turn: int
    asked_at: int
    response: str = ""
    doomed: Reason | None = None
    style: Style | None = None

    def is_begun_by(self, started: ResponseStarted) -> bool:
        return self.response == started.response if self.response else self.turn == started.turn


class Owed:
    """went_on: since the last response began, it or the hang-up behind it was cut short, or another was asked for."""

    def __init__(self) -> None:
        self.went_on = False
        self._awaited: list[Awaited] = []
        self._begun: dict[str, set[tuple[str, str, int]]] = {}  # response -> what of it was said
        self._over: OrderedDict[str, None] = OrderedDict()

    def awaits_only(self, responses: Collection[str]) -> bool:
        """Nothing else is asked for that hasn't started."""
        return all(awaited.response in responses for awaited in self._awaited)

    @property
    def anything(self) -> bool:
        return bool(self._awaited or self._begun)

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Responses, by id, that are asked for or begun."""
        return (*self._begun, *(awaited.response for awaited in self._awaited if awaited.response))

    @property
    def waits_since(self) -> int | None:
        """Clock at which the oldest of the responses was asked for that haven't started."""
        return min((awaited.asked_at for awaited in self._awaited), default=None)

    def ask(self, awaited: Awaited) -> None:
        self._awaited.append(awaited)
        self.went_on = True

    def doom(self, reason: Reason) -> None:
        """What hasn't started is not wanted any more."""
        for awaited in self._awaited:
            awaited.doomed = awaited.doomed or reason

    def begin(self, started: ResponseStarted) -> Awaited | None:
        """The response that was asked for, if this one was."""
        self.went_on = False
        awaited = next((a for a in self._awaited if a.is_begun_by(started)), None)
        if awaited is not None:
            self._awaited.remove(awaited)
        return awaited

    def learn(self, said: Utterance) -> bool:
        """Whether it is new. Nothing is, of a response that is over."""
        response = said.response
        if response in self._over:
            return False
        key = _key(said)
        known = self._begun.setdefault(response, set())
        if key in known:
            return False
        known.add(key)
        if isinstance(said, ResponseFinished):
            self.close(response)
        return True

    def cut(self, response: str) -> None:
        """It is over before its time."""
        self.close(response)
        self.went_on = True

    def close(self, response: str) -> None:
        """Finished or cancelled: whatever is still said of it is nothing new."""
        self._begun.pop(response, None)
        self._over[response] = None
        if len(self._over) > REMEMBERED_OVER:
            self._over.popitem(last=False)


def _key(said: Utterance) -> tuple[str, str, int]:
    """What of its response it is: kind, item, index."""
    match said:
        case Say(item=item, index=index):
            return "say", item, index
        case ItemStarted(item=item):
            return "started", item, 0
        case PhaseSettled(item=item):
            return "settled", item, 0
        case ItemFinished(item=item):
            return "finished", item, 0
        case ToolAsked(tool_call=tool_call):
            return "asked", tool_call, 0
        case ResponseStarted():
            return "started", "", 0
        case ResponseFinished():
            return "finished", "", 0
