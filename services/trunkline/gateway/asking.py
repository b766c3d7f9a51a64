"""When the agent is asked to answer: at once, when the words are there, or when the response before is over.

The gateway names every response that it asks for, so that one that is asked for again is answered once.
"""

from collections.abc import Callable, Collection

from trunkline.bus.port import Headers
from trunkline.gateway import metrics
from trunkline.gateway.decisions import TakeTurn
from trunkline.gateway.speaking import Speaking
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import new_response_id
from trunkline.proto.response import CallerAway, Respond, Turn
from trunkline.telemetry import tracing

Tell = Callable[[Turn | Respond | CallerAway, Headers | None], None]


class Asking:
    """unsettled: words are on their way. interrupt: the caller's turn ends the response before it.

    instructions: of the session, empty for the agent's own. interrupts: a turn does interrupt. over: responses that are
    over for a client that came back; one of them may be said again, of which it takes no notice.
    """

    def __init__(
        self,
        call_id: str,
        speaking: Speaking,
        *,
        unsettled: Callable[[], bool],
        interrupt: Callable[[], None],
        tell: Tell,
    ) -> None:
        self.instructions = ""
        self.interrupts = True
        self.over: Collection[str] = ()
        self._call_id = call_id
        self._speaking = speaking
        self._unsettled = unsettled
        self._interrupt = interrupt
        self._tell = tell
        self._asked: list[Respond] = []  # that wait for words of committed audio
        self._behind: Respond | None = None  # waits for one of those to be over here as well
        self._later = False  # a turn came while a response may not be interrupted
        self._spans: dict[int, tracing.Span] = {}

    def take(self, turn: TakeTurn, ended_at: int) -> None:
        """A turn with words. ended_at: clock of its last voiced sample."""
        respond = turn.respond and not self._asked  # a response that waits for words answers this too
        if respond and self._speaking.busy:
            if self.interrupts:
                self._interrupt()
            elif self._speaking.slot_taken:  # not only still heard: nothing would come to be answered after
                self._later, respond = True, False
        by_itself = respond and not self.instructions
        response = new_response_id() if by_itself else ""
        headers = self._expect(turn.turn, response, ended_at) if by_itself else None
        extent = turn.from_sample, turn.to_sample
        told = Turn(turn.turn, turn.item, turn.text, turn.source, *extent, by_itself, response=response)
        self._tell(told, headers)
        if respond and not by_itself:  # a session's own instructions go with the order to respond
            self._respond(self.instructions, ended_at)

    def respond(self, instructions: str, response: str = "") -> None:
        """The client's word. response: the id that it shall have, empty for a new one.

        Raises BadInput while another is active.
        """
        if self._asked or self._behind or not self._speaking.says_only(self.over):
            raise already_active()
        self._behind = Respond(instructions, response)
        self._answer_if_free()

    def away(self, count: int) -> str:
        """Nobody says anything, for the how manieth time; nothing is active. Returns the response asked for."""
        metrics.silences.inc()
        response = new_response_id()
        self._tell(CallerAway(count, response), self._expect(0, response, None))
        return response

    def prompt(self) -> str:
        """Nobody says anything, which the model answers; nothing is active. Returns the response asked for."""
        metrics.silences.inc()
        response = new_response_id()
        self._respond(self.instructions, response=response)
        return response

    def withdraw(self) -> bool:
        """The response that waits for words isn't wanted any more. Whether there was one."""
        withdrawn = self._behind is not None or (bool(self._asked) and not self._speaking.slot_taken)
        if withdrawn:
            self._asked.clear()
            self._behind = None
        return withdrawn

    def words_came(self) -> None:
        while self._asked and not self._unsettled():
            asked = self._asked.pop()
            self._respond(asked.instructions or self.instructions, response=asked.response)

    def answer_after_all(self) -> None:
        """The last turn, once the slot is free."""
        self._later = True
        self._answer_if_free()

    def free(self, turn: int) -> None:
        """The response to this turn is over."""
        span = self._spans.pop(turn, None)
        if span is not None:
            span.end()
        self._answer_if_free()

    def close(self) -> None:
        for span in self._spans.values():
            span.end()

    def _answer_if_free(self) -> None:
        if self._behind is not None and not self._speaking.slot_taken:
            self._asked.append(self._behind)
            self._behind = None
            self.words_came()
        if self._later and not self._speaking.slot_taken:
            self._later = False
            self._respond(self.instructions)

    def _respond(self, instructions: str, ended_at: int | None = None, response: str = "") -> None:
        response = response or new_response_id()
        self._tell(Respond(instructions, response), self._expect(0, response, ended_at))

    def _expect(self, turn: int, response: str, ended_at: int | None) -> Headers | None:
        """A response is about to be asked for. Returns the headers that carry its trace."""
        self._speaking.expect(turn, ended_at, response)
        parent = tracing.call_context(self._call_id)
        span = self._spans[turn] = tracing.start_span("turn", parent=parent, attributes={"trunkline.turn": turn})
        return tracing.inject(span)


def already_active() -> BadInput:
    return BadInput("", "a response is already active", "", code="conversation_already_has_active_response")
