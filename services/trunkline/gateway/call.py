"""One call at its hub: carries out what the turns decide, between its client and those who serve its stages; ends once.

The client's dialect is above (`start`, the verbs of a client), the stage workers below (`staffing`, `posts`);
everything runs in turns of the event loop, and nothing here waits once the call is placed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

from trunkline.bus.exchange import Link
from trunkline.bus.link import PeerTakesNothing
from trunkline.gateway import metrics
from trunkline.gateway.agent_line import AgentLine
from trunkline.gateway.announcing import announcement
from trunkline.gateway.asking import Asking
from trunkline.gateway.call_events import (
    AudioSaid,
    CallEvent,
    CallOver,
    Client,
    MoveAsked,
    ResponseEnded,
)
from trunkline.gateway.casting import Casting
from trunkline.gateway.client_tools import ClientTools
from trunkline.gateway.conversation import Conversation
from trunkline.gateway.decisions import (
    AnswerAfterAll,
    Change,
    Decision,
    Flush,
    Hold,
    OrderDiscard,
    OrderFinish,
    Resume,
    TakeTurn,
)
from trunkline.gateway.heeding import Heeding
from trunkline.gateway.listening import Listening
from trunkline.gateway.posts import AgentPost, SttPost, TtsPost
from trunkline.gateway.shared import Shared
from trunkline.gateway.speaking import Speaking
from trunkline.gateway.staffing import Post, Staffing
from trunkline.gateway.turns import Begun, Turns
from trunkline.gateway.vigil import Vigil
from trunkline.gateway.wanted import Wanted
from trunkline.gateway.wishes import Wishes
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.ids import new_item_id
from trunkline.proto.response import Attached, Converse, Interrupt
from trunkline.proto.subjects import Stage
from trunkline.telemetry import logs, tracing

SILENT_SAMPLES = SPEECH_RATE_HZ  # a client that sends no audio for so long has muted its microphone
ALL_STAGES: tuple[Stage, ...] = ("stt", "agent", "tts")

log = logs.get(__name__)


class Call:
    """wish: what a client that comes back asks of the agent, once there is one.

    handle: of its audio on the bus, never reused. agent: wanted by name, empty for the default. on_end: once.
    hub: this gateway's number for the call; 1 opened it. resumed: what became of the gateway before, empty for none.
    """

    wish: Callable[[Attached], Wishes] | None = None
    abandoned = False
    line = ""  # how its caller came, for the trace
    key = ""  # for which it counts, by its tag
    _over: CallOver | None = None
    unsaid: Mapping[str, Interrupt] = {}  # by response: what its client has of it, till it is said on

    def __init__(
        self,
        call_id: str,
        handle: int,
        shared: Shared,
        *,
        agent: str = "",
        hub: int = 1,
        resumed: str = "",
        on_end: Callable[["Call"], None],
    ) -> None:
        self.call_id = call_id
        self.hub = hub
        self.attached: Attached | None = None
        self.ended = self.superseded = self.leaving = False  # over; at another gateway; while this one goes away
        self._resumed = resumed
        self._gateway, self._now_s = shared.exchange.worker, shared.exchange.now_s
        self._ticker, self.edge = shared.ticker, shared.edge
        self._on_end = on_end
        self._client: Client | None = None
        self._movable = bool(resumed)  # its client can go on elsewhere: it is away, or one that moves
        self.agent_line = AgentLine(lambda: self.speaking.owed.unfinished, afresh=bool(resumed))
        tell = self.agent_line.tell
        self.client_tools, self.casting = ClientTools(tell, afresh=bool(resumed)), Casting(tell)
        self.turns = Turns(new_item_id)
        self.conversation = Conversation(self.turns, self.client_tools, self._carry_out)
        self.speaking = Speaking(
            self._clock,
            emit=self._emit,
            tell_agent=tell,
            on_free=lambda turn: self._asking.free(turn),
            on_hang_up=self._hung_up,
        )
        self.listening = Listening(
            handle,
            self.turns,
            self.speaking.playout,
            clock=self._clock,
            busy=lambda: self.speaking.busy,
            decide=self._carry_out,
        )
        self._asking = Asking(
            call_id,
            self.speaking,
            self.turns,
            interrupt=lambda: self._beating(self.speaking.interrupt, "turn_detected"),
            tell=tell,
            emit=self._emit,
        )
        parts = self.turns, self.listening, self.speaking, self._asking
        self._vigil = Vigil(self._clock, *parts, emit=self._emit, on_failure=self.fail)
        self._heeding = Heeding(*parts, self._vigil, self.client_tools, self.casting, carry_out=self._carry_out)
        self.staffing = self._staff(shared, self._posts(handle, agent, resumed, shared.answers))

    def _staff(self, shared: Shared, posts: dict[Stage, Post]) -> Staffing:
        return Staffing(
            self.call_id,
            self.hub,
            shared,
            posts,
            on_given_up=self._give_up,
            on_superseded=self.let_go,
            on_failure=self.fail,
        )

    def _posts(self, handle: int, agent: str, resumed: str, answers: Callable[[str], bool]) -> dict[Stage, Post]:
        tell, now_s, beating = self.agent_line.tell, self._now_s, self._beating
        converse = AgentPost(
            self.agent_line,
            self.speaking,
            converse=lambda reason: Converse(self.hub, self._gateway, agent, reason=reason),
            resumed=resumed,
            on_attached=self._attach,
            pump=self.pump,
            clock=self._clock,
            answers=lambda: answers(self.call_id),
        )
        return {
            "stt": SttPost(handle, self.listening, rules=lambda: self._heeding.rules, tell=tell, now_s=now_s),
            "agent": converse,
            "tts": TtsPost(handle, self.speaking, beating=beating, tell=tell, now_s=now_s),
        }

    # its workers

    async def place(self, *stages: Stage) -> None:
        """These stages at once, or all; returns when each was taken. Raises StageUnavailable, BadInput."""
        try:
            await self.staffing.place(*(stages or ALL_STAGES))
        except BaseException:
            if self._resumed:
                self.abandon()
            else:
                self.end("failed: not placed")
            raise
        if self.hub == 1:
            facts = {"trunkline.gateway": self._gateway, "trunkline.line": self.line}
            tracing.start_call(self.call_id, "call", facts)

    @property
    def workers(self) -> dict[Stage, str]:
        return self.staffing.workers

    def look(self, sound: Collection[str]) -> None:
        """See Staffing."""
        self.staffing.look(sound)

    def contain(self, link: Link, error: Exception) -> None:
        """What was done for a message of this link failed, or its peer takes nothing any more."""
        if isinstance(error, PeerTakesNothing):
            self.staffing.takes_nothing(link.attach, str(error))
        else:
            self.fail(error)

    def abandon(self) -> None:
        """It isn't served here after all, and goes on at the next gateway, or where it was if no agent was placed."""
        self.superseded = self.abandoned = True
        self.end("moved", CallOver("moved", "the call could not be taken up"))

    def go_on(self, turn: int, from_sample: int, begun: Sequence[Begun]) -> None:
        """What another gateway began continues, behind this turn and from this sample of the caller's audio."""
        self.turns.go_on(turn, from_sample, begun)
        self.listening.go_on(from_sample)
        self.staffing.fill("stt", "tts", reason=self._resumed)

    def _attach(self, attached: Attached) -> None:
        """Each agent of the call, the first and those that follow it."""
        self.attached = attached
        self._heeding.attach(attached)
        self._asking.greeting = self._asking.greeting or attached.greeting
        wish, self.wish = self.wish, None
        if wish is not None:
            self.configure(wish(attached))

    def belong(self, client: Client) -> None:
        """To be told of it from now on, were it that it is over."""
        self._client = client
        if self._over is not None:
            client.on_event(self._over)

    def start(self, client: Client, *, movable: bool = False) -> None:
        """The client is there; a greeting that waits begins now. movable: it can take its call elsewhere by itself."""
        if client is not self._client:
            self.belong(client)
        if self.ended:
            return
        self._movable = movable
        self._vigil.client_came()
        if self.leaving:
            self.ask_to_leave()
        self._beating(self.speaking.start)

    def suspend(self) -> None:
        """The client is away, and may come back, here or elsewhere."""
        self._client, self._movable = None, True
        self._vigil.client_left()
        if not self.ended:
            self.speaking.suspend()

    def ask_to_leave(self) -> None:
        """The gateway goes away: a client that can take its call elsewhere should."""
        self.leaving = True
        self._emit(MoveAsked("draining"))

    @property
    def settled_to(self) -> int:
        """The caller's audio before is in recorded turns, or silence: no gateway needs it any more."""
        unrecorded = self.agent_line.unrecorded_from
        settled = self.listening.settled_to
        return settled if unrecorded is None else min(settled, unrecorded)

    # the verbs of a client; BadInput is for the client to see

    def configure(self, wishes: Wishes) -> None:
        self._heeding.configure(wishes)

    def hear(self, audio: bytes) -> None:
        """audio: the caller's next, int16 LE at CALLER_RATE_HZ."""
        if not self.ended:
            self.listening.hear(audio)

    def commit_audio(self) -> None:
        self._carry_out(self.turns.commit(self.listening.ring.end))

    def clear_audio(self) -> None:
        self._carry_out(self.turns.clear(self.listening.ring.end))

    def respond(self, wanted: Wanted) -> None:
        self._asking.respond(wanted)

    def pass_over(self, responses: Collection[str]) -> None:
        """They are over for the client, whatever of them is said again: an order to respond waits for their end."""
        self._asking.over = responses

    def cancel(self, response: str | None) -> None:
        if not self._asking.withdraw(response):
            self._beating(self.speaking.cancel, response)

    def truncate(self, item: str, index: int, end_ms: int) -> None:
        self._beating(self.speaking.truncate, item, index, end_ms)

    # what the turns decide

    def _carry_out(self, decisions: list[Decision]) -> None:
        """The client is told of each first; of a last turn behind the order to answer it, if it interrupts nothing."""
        self._asking.deciding = True
        last: CallEvent | None = None
        for decision in decisions:
            told = announcement(decision)
            if told is not None and isinstance(decision, TakeTurn) and decision is decisions[-1]:
                last = None if self.speaking.busy else told
            if told is not None and told is not last:
                self._emit(told)
            match decision:
                case Hold():
                    self.speaking.hold()
                case Resume():
                    self._beating(self.speaking.resume)
                case Flush():
                    self._beating(self.speaking.interrupt, "turn_detected")
                case OrderFinish():
                    self.listening.finish(decision.utterance, decision.from_sample, decision.to_sample)
                case OrderDiscard(from_sample=from_sample, to_sample=to_sample):
                    self.listening.discard(from_sample, to_sample)
                case TakeTurn():
                    self._take(decision)
                case Change(word=word):
                    self.agent_line.tell(word)
                case AnswerAfterAll():
                    self._asking.answer_after_all()
        self._asking.deciding = False
        self._asking.go_on()
        if last is not None:
            self._emit(last)

    def _take(self, turn: TakeTurn) -> None:
        if turn.says_something:
            self._vigil.caller_said(turn.to_sample)
            self._asking.take(turn, self.listening.clock_of(turn.to_sample))

    # the way out

    def pump(self) -> None:
        """When something is to be sent, or was heard."""
        if self.ended:
            return
        try:
            if self.speaking.playout.held and self._clock() > self.listening.heard_at + SILENT_SAMPLES:
                self._carry_out(self.turns.falls_silent())
            self.speaking.pump()
        except Exception as error:  # the rim of a call: the beat goes on for the others
            self.fail(error)
        self._keep_beat()

    def _beating(self, step: Callable[..., None], *args: object) -> None:
        step(*args)
        self._keep_beat()

    def _keep_beat(self) -> None:
        due = None if self.ended else self.speaking.due
        if due is None:
            self._ticker.remove(self.pump)
        else:
            self._ticker.at(self.pump, due / SPEECH_RATE_HZ)

    def _emit(self, event: CallEvent) -> None:
        self._vigil.on_event(event)
        self.client_tools.on_event(event)
        if isinstance(event, AudioSaid | ResponseEnded) and self.unsaid:
            self.unsaid = {name: heard for name, heard in self.unsaid.items() if name != event.response}
        if self._client is not None and not self.ended:
            self._client.on_event(event)

    def _hung_up(self, reason: str) -> None:
        log.info("agent hung up", call_id=self.call_id, reason=reason)
        self.end("agent_hung_up")

    # the end

    def _give_up(self, stage: Stage, reason: str) -> None:
        log.error("nobody serves the stage", call_id=self.call_id, stage=stage, reason=reason)
        detail = f"the {stage} worker of this call was lost: {reason}"
        self.end(f"failed: {stage} lost", CallOver("stage_lost", detail))

    def let_go(self) -> None:
        """Another gateway has the call, and its record."""
        self.superseded = True
        self.end("moved", CallOver("moved", "the call goes on at another gateway"))

    def fail(self, error: Exception) -> None:
        """A bug met this call; it ends, and no other notices."""
        log.error("call failed", call_id=self.call_id, error=repr(error), exc_info=True)
        self.end(f"failed: {type(error).__name__}", CallOver("server_error", "the call failed at the gateway"))

    def drain(self) -> None:
        """The gateway's grace is over. The record of a call that can go on elsewhere stays open for who takes it up."""
        if self._movable:
            self.superseded = True
            self.end("moved", CallOver("going_away", "this gateway is going down; come back with the session's token"))
        else:
            self.end("failed: gateway draining", CallOver("draining", "this gateway is going down; call again"))

    def end(self, reason: str, over: CallOver | None = None) -> None:
        """Once; later calls do nothing. reason: for the record."""
        if self.ended:
            return
        self.ended = True
        self._over = over or CallOver("")
        self._ticker.remove(self.pump)
        self._vigil.close()
        try:
            if self._client is not None:
                self._client.on_event(self._over)
            if not self.superseded:
                for heard in self.unsaid.values():
                    self.agent_line.tell(heard)
                self.speaking.hung_up()
        except Exception as error:  # the rim of a call: a broken one still lets go of its workers
            log.error("call did not end cleanly", call_id=self.call_id, error=repr(error), exc_info=True)
        self.staffing.release(reason)
        self._asking.close()
        metrics.ended.labels(reason.partition(":")[0]).inc()
        log.info("ended", call_id=self.call_id, reason=reason)
        self._on_end(self)

    def _clock(self) -> int:
        return int(self._now_s() * SPEECH_RATE_HZ)
