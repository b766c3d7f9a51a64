"""One call at its hub: places its stages, carries out what the turns decide, and ends it once.

The client's dialect is above (`start`, the verbs of a client), the stage workers below; everything runs in turns of
the event loop, and nothing here waits once the call is placed.
"""

import asyncio
from collections.abc import Callable

import msgspec

from trunkline.audio.pcm import Samples
from trunkline.bus.exchange import Exchange
from trunkline.bus.port import Headers
from trunkline.gateway import metrics
from trunkline.gateway.call_events import (
    AudioCommitted,
    CallEvent,
    CallOver,
    Client,
    ResponseEnded,
    ResponseOpened,
    SpeechBegan,
    SpeechEnded,
    Transcribed,
    TranscriptionFailed,
)
from trunkline.gateway.decisions import (
    AnnounceStarted,
    AnnounceStopped,
    AnswerAfterAll,
    CommitAudio,
    Decision,
    Flush,
    GiveUp,
    Hold,
    OrderDiscard,
    OrderFinish,
    Resume,
    TakeTurn,
)
from trunkline.gateway.listening import Listening
from trunkline.gateway.placing import HUB, Placement, Placer
from trunkline.gateway.speaking import Speaking
from trunkline.gateway.ticker import Ticker
from trunkline.gateway.turns import Policy, Turns
from trunkline.placement.roster import Roster
from trunkline.proto.audio import CALLER_RATE_HZ, SPEECH_RATE_HZ
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.ids import new_item_id, new_response_id
from trunkline.proto.placement import CallFailed
from trunkline.proto.response import Attached, Converse, Respond, Turn
from trunkline.proto.speaking import Speak
from trunkline.proto.speech import Listen, Tune, TurnRules
from trunkline.proto.subjects import Stage
from trunkline.telemetry import logs, tracing

SILENT_SAMPLES = SPEECH_RATE_HZ  # a client that sends no audio for so long has muted its microphone

log = logs.get(__name__)


class Wishes(msgspec.Struct, frozen=True):
    """What a client's session asks of the call. instructions and voice: empty for the agent's own."""

    rules: TurnRules = TurnRules()
    policy: Policy = Policy()
    instructions: str = ""
    voice: str = ""
    speed: float = 1.0
    audible: bool = True


class Call:
    """handle: of its audio on the bus, never reused. agent: wanted by name, empty for the default. on_end: once."""

    def __init__(
        self,
        call_id: str,
        handle: int,
        exchange: Exchange,
        roster: Roster,
        ticker: Ticker,
        *,
        agent: str = "",
        on_end: Callable[["Call"], None],
    ) -> None:
        self.call_id = call_id
        self.attached: Attached | None = None
        self.ended = False
        self._handle = handle
        self._gateway = exchange.worker
        self._agent_name = agent
        self._placer = Placer(exchange, roster, call_id)
        self._ticker = ticker
        self._on_end = on_end
        self._now_s = exchange.now_s
        self._placements: dict[Stage, Placement] = {}
        self._client: Client | None = None
        self._wishes = Wishes()
        self._spans: dict[int, tracing.Span] = {}
        self._asked: list[str] = []  # responses that wait for words of committed audio, by their instructions
        self._answer_later = False  # a turn came while a response may not be interrupted
        self.turns = Turns(new_item_id)
        self.speaking = Speaking(
            self._clock, emit=self._emit, tell_agent=self._tell_agent, on_free=self._free, on_hang_up=self._hung_up
        )
        self.listening = Listening(
            handle,
            self.turns,
            self.speaking.playout,
            clock=self._clock,
            busy=lambda: self.speaking.busy,
            decide=self._carry_out,
        )

    # placing

    async def place(self) -> None:
        """All three stages at once; returns when each took the call. Raises StageUnavailable."""
        orders: dict[Stage, tuple[Message, Callable[[Message, Headers | None], None]]] = {
            "stt": (Listen(self._handle, 0, self._wishes.rules), self._from_stt),
            "agent": (Converse(HUB, self._gateway, self._agent_name), self._from_agent),
            "tts": (Speak(self._handle), self._from_tts),
        }
        tasks = [asyncio.create_task(self._place(stage, *what)) for stage, what in orders.items()]
        try:
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.end("failed: not placed")
            raise
        tracing.start_call(self.call_id, "call", {"trunkline.gateway": self._gateway})

    async def _place(self, stage: Stage, order: Message, handler: Callable[[Message, Headers | None], None]) -> None:
        placement = await self._placer.place(stage, order, handler)
        if self.ended:  # another stage was lost meanwhile: this one would be held by nobody
            placement.release("failed: not placed")
            raise StageUnavailable(stage, "the call failed while it was placed")
        self._placements[stage] = placement
        link = placement.link
        if stage == "stt":
            self.listening.stt_placed(link, 0)
            self._tell_rules()
        elif stage == "tts":
            link.bind_audio(self._handle, lambda chunk: self._beating(self.speaking.on_chunk, chunk))
            self.speaking.tts_placed(lambda message, headers: link.send(message, headers=headers))
        else:
            answer = placement.ready.result()
            assert isinstance(answer, Attached)
            self.attached = answer
            self._tell_rules()
        log.info("placed", call_id=self.call_id, placed_at=placement.worker)

    def start(self, client: Client) -> None:
        """The client is there; a greeting that waits begins now."""
        self._client = client
        self._beating(self.speaking.start)

    @property
    def workers(self) -> dict[Stage, str]:
        return {stage: placement.worker for stage, placement in self._placements.items()}

    # the verbs of a client; BadInput is for the client to see

    def configure(self, wishes: Wishes) -> None:
        before, self._wishes = self._wishes, wishes
        self._carry_out(self.turns.follow(wishes.policy, self.listening.ring.end))
        self.speaking.voice, self.speaking.speed, self.speaking.audible = wishes.voice, wishes.speed, wishes.audible
        if wishes.rules != before.rules:
            self._tell_rules()

    def hear(self, samples: Samples) -> None:
        if not self.ended:
            self.listening.hear(samples)

    def commit_audio(self) -> None:
        self._carry_out(self.turns.commit(self.listening.ring.end))

    def clear_audio(self) -> None:
        self._carry_out(self.turns.clear(self.listening.ring.end))

    def type_text(self, item: str, text: str) -> None:
        self._carry_out(self.turns.typed(item, text))

    def respond(self, instructions: str) -> None:
        if self.speaking.slot_taken or self._asked:
            raise BadInput("", "a response is already active", "", code="conversation_already_has_active_response")
        self._asked.append(instructions)
        self._ask_when_words_are_there()

    def cancel(self, response: str | None) -> None:
        if self._asked and response is None and not self.speaking.slot_taken:
            self._asked.clear()
            withdrawn = new_response_id()  # that the agent never hears of
            self._emit(ResponseOpened(withdrawn, self._wishes.audible))
            self._emit(ResponseEnded(withdrawn, "cancelled", "client_cancelled"))
            return
        self._beating(self.speaking.cancel, response)

    def truncate(self, item: str, index: int, end_ms: int) -> None:
        self._beating(self.speaking.truncate, item, index, end_ms)

    # what the workers say

    def _from_stt(self, message: Message, headers: Headers | None) -> None:
        if isinstance(message, CallFailed):
            self.lose("stt", message.reason)
        elif not self.ended:
            self.listening.on_stt(message)

    def _from_agent(self, message: Message, headers: Headers | None) -> None:
        if isinstance(message, CallFailed):
            self.lose("agent", message.reason)
        elif not self.ended:
            self._beating(self.speaking.on_agent, message, headers)

    def _from_tts(self, message: Message, headers: Headers | None) -> None:
        if isinstance(message, CallFailed):
            self.lose("tts", message.reason)
        elif not self.ended:
            self._beating(self.speaking.on_tts, message)

    # what the turns decide

    def _carry_out(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Hold():
                    self.speaking.hold()
                case Resume():
                    self._beating(self.speaking.resume)
                case Flush():
                    self._beating(self.speaking.interrupt, "turn_detected")
                case AnnounceStarted(item=item, at_sample=at_sample):
                    self._emit(SpeechBegan(item, at_sample))
                case AnnounceStopped(item=item, at_sample=at_sample):
                    self._emit(SpeechEnded(item, at_sample))
                case CommitAudio(item=item):
                    self._emit(AudioCommitted(item))
                case GiveUp(item=item, reason=reason):
                    self._emit(TranscriptionFailed(item, reason))
                case OrderFinish():
                    self.listening.finish(decision.utterance, decision.from_sample, decision.to_sample)
                case OrderDiscard(from_sample=from_sample, to_sample=to_sample):
                    self.listening.discard(from_sample, to_sample)
                case TakeTurn():
                    self._take(decision)
                case AnswerAfterAll():
                    self._answer_later = True
                    self._answer_if_free()
        self._ask_when_words_are_there()

    def _take(self, turn: TakeTurn) -> None:
        if turn.source == "speech":
            audio_s = (turn.to_sample - turn.from_sample) / CALLER_RATE_HZ
            self._emit(Transcribed(turn.item, turn.text, audio_s))
        if not turn.text:
            return
        respond = turn.respond and not self._asked  # a response that waits for words answers this too
        if respond and self.speaking.busy:
            if self._wishes.policy.interrupt:
                self._beating(self.speaking.interrupt, "turn_detected")
            elif self.speaking.slot_taken:  # not only still heard: nothing would come to be answered after
                self._answer_later, respond = True, False
        by_itself = respond and not self._wishes.instructions
        message = Turn(turn.turn, turn.item, turn.text, turn.source, turn.from_sample, turn.to_sample, by_itself)
        ended_at = self.listening.clock_of(turn.to_sample)
        if by_itself:
            self._tell_agent(message, self._expect(turn.turn, ended_at))
        else:
            self._tell_agent(message)
            if respond:  # a session's own instructions go with the order to respond
                self._tell_agent(Respond(self._wishes.instructions), self._expect(0, ended_at))

    def _expect(self, turn: int, ended_at: int | None = None) -> dict[str, str] | None:
        """A response is about to be asked for. Returns the headers that carry its trace."""
        self.speaking.expect(turn, ended_at)
        parent = tracing.call_context(self.call_id)
        span = self._spans[turn] = tracing.start_span("turn", parent=parent, attributes={"trunkline.turn": turn})
        return tracing.inject(span)

    def _ask_when_words_are_there(self) -> None:
        while self._asked and not self.turns.unsettled:
            instructions = self._asked.pop() or self._wishes.instructions
            self._tell_agent(Respond(instructions), self._expect(0))

    # the way out

    def pump(self) -> None:
        """On every beat while something is to be sent or heard."""
        try:
            if self.speaking.playout.held and self._clock() > self._heard_at() + SILENT_SAMPLES:
                self._carry_out(self.turns.falls_silent())
            self.speaking.pump()
        except Exception as error:  # the rim of a call: the beat goes on for the others
            self.fail(error)
        if self.ended or self.speaking.idle:
            self._ticker.remove(self.pump)

    def _beating(self, step: Callable[..., None], *args: object) -> None:
        step(*args)
        if not self.ended and not self.speaking.idle:
            self._ticker.add(self.pump)

    def _emit(self, event: CallEvent) -> None:
        if self._client is not None and not self.ended:
            self._client.on_event(event)

    def _free(self, turn: int) -> None:
        span = self._spans.pop(turn, None)
        if span is not None:
            span.end()
        self._answer_if_free()

    def _answer_if_free(self) -> None:
        if self._answer_later and not self.speaking.slot_taken:
            self._answer_later = False
            self._tell_agent(Respond(self._wishes.instructions), self._expect(0))

    def _hung_up(self, reason: str) -> None:
        log.info("agent hung up", call_id=self.call_id, reason=reason)
        self.end("agent_hung_up")

    # the end

    def lose(self, stage: Stage, reason: str) -> None:
        """The call's worker of this stage can't go on, and nobody takes over: the call ends and says so."""
        if not self.ended:
            log.error("stage lost", call_id=self.call_id, stage=stage, reason=reason)
            detail = f"the {stage} worker of this call was lost: {reason}"
            self.end(f"failed: {stage} lost", CallOver("stage_lost", detail))

    def fail(self, error: Exception) -> None:
        """A bug met this call; it ends, and no other notices."""
        log.error("call failed", call_id=self.call_id, error=repr(error), exc_info=True)
        self.end(f"failed: {type(error).__name__}", CallOver("server_error", "the call failed at the gateway"))

    def drain(self) -> None:
        """The gateway's grace is over."""
        self.end("failed: gateway draining", CallOver("draining", "this gateway is going down; call again"))

    def end(self, reason: str, over: CallOver | None = None) -> None:
        """Once; later calls do nothing. reason: for the record."""
        if self.ended:
            return
        self.ended = True
        self._ticker.remove(self.pump)
        try:
            if self._client is not None:
                self._client.on_event(over or CallOver(""))
            if "agent" in self._placements:
                self.speaking.hung_up()
        except Exception as error:  # the rim of a call: a broken one still lets go of its workers
            log.error("call did not end cleanly", call_id=self.call_id, error=repr(error), exc_info=True)
        for placement in self._placements.values():
            placement.release(reason)
        for span in self._spans.values():
            span.end()
        metrics.ended.labels(reason.partition(":")[0]).inc()
        log.info("ended", call_id=self.call_id, reason=reason)
        self._on_end(self)

    # to the workers

    def _tell_agent(self, message: Message, headers: Headers | None = None) -> None:
        self._placements["agent"].link.send(message, headers=headers)

    def _tell_stt(self, message: Message) -> None:
        self._placements["stt"].link.send(message)

    def _tell_rules(self) -> None:
        """What callers dictate is known by the agent's tools, when to end a turn by the client."""
        if "stt" in self._placements and self.attached is not None:
            rules = msgspec.structs.replace(self._wishes.rules, dictations=self.attached.dictations)
            self._tell_stt(Tune(rules))

    def _heard_at(self) -> int:
        return self.listening.clock_of(self.listening.ring.end)

    def _clock(self) -> int:
        return int(self._now_s() * SPEECH_RATE_HZ)
