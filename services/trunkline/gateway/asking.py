"""When the agent is asked to answer: at once, when the words are there, or when the response before is over.

The gateway names every response that it asks for, so that one that is asked for again is answered once.
Rule: what a client asks for waits in one line, and each leaves it by being asked of the agent or by being withdrawn.
"""

from collections.abc import Callable, Collection

from trunkline.bus.port import Headers
from trunkline.gateway import metrics
from trunkline.gateway.call_events import CallEvent, ResponseEnded, ResponseOpened
from trunkline.gateway.decisions import TakeTurn
from trunkline.gateway.script import Style
from trunkline.gateway.speaking import Speaking
from trunkline.gateway.turns import Turns
from trunkline.gateway.wanted import Wanted
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import new_response_id
from trunkline.proto.response import CallerAway, Respond, Turn
from trunkline.telemetry import tracing

Tell = Callable[[Turn | Respond | CallerAway, Headers | None], None]
LINE_LIMIT = 8  # responses out of band that wait


class Asking:
    """interrupt: the caller's turn ends the response before it.

    instructions: of the session, empty for the agent's own. interrupts: a turn does interrupt. over: responses that are
    over for a client that came back; one of them may be said again, of which it takes no notice.
    greeting: the response that opens the call, behind which what a client asks for waits.
    deciding: a turn may be about to come, which is answered before what waits.
    """

    def __init__(
        self,
        call_id: str,
        speaking: Speaking,
        turns: Turns,
        *,
        interrupt: Callable[[], None],
        tell: Tell,
        emit: Callable[[CallEvent], None],
    ) -> None:
        self.instructions = ""
        self.interrupts = True
        self.over: Collection[str] = ()
        self.greeting = ""
        self.deciding = False
        self._call_id = call_id
        self._speaking = speaking
        self._turns = turns
        self._interrupt = interrupt
        self._tell = tell
        self._emit = emit
        self._line: list[Wanted] = []  # one of the conversation at most, before those out of band
        self._aside: tuple[str, ...] = ()  # the last that was asked for out of band
        self._later = False  # a turn came while a response may not be interrupted
        self._spans: dict[int, tracing.Span] = {}

    def take(self, turn: TakeTurn, ended_at: int) -> None:
        """A turn with words or pictures. ended_at: clock of its last voiced sample."""
        respond = turn.respond and self._first is None  # a response that waits for words answers this too
        if respond and self._speaking.busy:
            if self.interrupts:
                self._later = False  # this is answered now
                self._interrupt()
            elif self._speaking.slot_taken:  # not only still heard: nothing would come to be answered after
                self._later, respond = True, False
        by_itself = respond and not self.instructions
        response = new_response_id() if by_itself else ""
        headers = self._expect(turn.turn, response, ended_at) if by_itself else None
        extent = turn.from_sample, turn.to_sample
        told = Turn(
            turn.turn, turn.item, turn.text, turn.source, *extent, by_itself, turn.previous, response, turn.images
        )
        self._tell(told, headers)
        if respond and not by_itself:  # a session's own instructions go with the order to respond
            self._respond(Wanted(), ended_at)

    def respond(self, wanted: Wanted) -> None:
        """The client's word. Raises BadInput while another of the conversation is active or waits."""
        if wanted.aside:
            if len(self._line) - (self._first is not None) >= LINE_LIMIT:
                problem = f"{LINE_LIMIT} responses out of band wait already"
                raise BadInput("response.conversation", problem, f"{LINE_LIMIT} at a time", code="too_many_responses")
            self._line.append(wanted)
        elif self._first is not None or not self._speaking.says_only((*self.over, *self._aside, self.greeting)):
            raise already_active()
        else:
            self._line.insert(0, wanted)
        self.go_on()

    def away(self, count: int) -> str:
        """Nobody says anything, for the how manieth time; nothing is active. Returns the response asked for."""
        metrics.silences.inc()
        response = new_response_id()
        self._tell(CallerAway(count, response), self._expect(0, response, None))
        return response

    def prompt(self) -> str:
        """Nobody says anything, which the model answers; nothing is active. Returns the response asked for."""
        metrics.silences.inc()
        return self._respond(Wanted())

    def withdraw(self, response: str | None) -> bool:
        """The response of the conversation that waits isn't wanted any more. response: None for whichever it is.
        Whether there was one."""
        wanted = self._first
        if wanted is None or response not in (None, wanted.response):
            return False
        del self._line[0]
        response = wanted.response or new_response_id()  # that the agent never hears of
        style = wanted.style
        self._emit(ResponseOpened(response, self._speaking.audible if style is None else style.audible))
        self._emit(ResponseEnded(response, "cancelled", "client_cancelled"))
        return True

    def go_on(self) -> None:
        """What waits is asked for, if it can be now: words came, or a response is over."""
        if self.deciding or self._speaking.slot_taken:
            return
        if self._first is not None:
            if not self._turns.unsettled:
                self._later = False  # this answers that turn too
                self._respond(self._line.pop(0))
        elif self._later:
            self._later = False
            self._respond(Wanted())
        elif self._line and not self._turns.under_way:  # what a caller is saying would end it
            self._aside = (self._respond(self._line.pop(0)),)

    def answer_after_all(self) -> None:
        """The last turn, once the slot is free."""
        self._later = True
        self.go_on()

    def free(self, turn: int) -> None:
        """The response to this turn is over."""
        span = self._spans.pop(turn, None)
        if span is not None:
            span.end()
        self.go_on()

    def close(self) -> None:
        for span in self._spans.values():
            span.end()

    @property
    def _first(self) -> Wanted | None:
        """The response of the conversation that waits."""
        return self._line[0] if self._line and not self._line[0].aside else None

    def _respond(self, wanted: Wanted, ended_at: int | None = None) -> str:
        """Returns its id."""
        instructions, response = wanted.instructions or self.instructions, wanted.response or new_response_id()
        headers = self._expect(0, response, ended_at, wanted.style)
        self._tell(Respond(instructions, response, wanted.asked), headers)
        return response

    def _expect(self, turn: int, response: str, ended_at: int | None, style: Style | None = None) -> Headers | None:
        """A response is about to be asked for. Returns the headers that carry its trace."""
        self._speaking.expect(turn, ended_at, response, style)
        parent = tracing.call_context(self._call_id)
        span = self._spans[turn] = tracing.start_span("turn", parent=parent, attributes={"trunkline.turn": turn})
        return tracing.inject(span)


def already_active() -> BadInput:
    return BadInput("", "a response is already active", "", code="conversation_already_has_active_response")
