"""A gateway in memory, with workers that do as the test says; real links, pools and heartbeats between them."""

import asyncio
from collections.abc import Callable

import numpy as np

from trunkline.audio import echo, pcm
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Handler, Headers, Subscription
from trunkline.gateway.call import Call
from trunkline.gateway.call_events import AudioSaid, CallEvent
from trunkline.gateway.calls import Calls
from trunkline.placement.beats import Beats
from trunkline.placement.roster import Roster
from trunkline.proto import response as r
from trunkline.proto import speaking as sp
from trunkline.proto import speech as s
from trunkline.proto.audio import CALLER_RATE_HZ, SAMPLE_BYTES, SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.generation import Generate
from trunkline.proto.placement import Accepted, Beat, Declined
from trunkline.proto.subjects import Stage
from trunkline.record.shard_health import ShardHealth
from trunkline.runtime.pool import CallPool

SAMPLES_PER_LETTER = 1_200  # 50 ms
TTS_CHUNK = 2_400


class Session:
    """A call at a fake worker; `got` is everything that was said to it."""

    def __init__(self, worker: "Worker", link: Link, order: Message) -> None:
        self.worker = worker
        self.link = link
        self.order = order
        self.got: list[Message] = []
        self.headers: list[Headers | None] = []
        self.audio: list[AudioChunk] = []
        self.closed = ""

    def say(self, message: Message) -> None:
        self.link.send(message)

    def on_message(self, message: Message, headers: Headers | None) -> None:
        self.got.append(message)
        self.headers.append(headers)
        self.worker.react(self, message)

    def close(self, reason: str) -> None:
        self.closed = reason

    def all(self, kind: type) -> list[Message]:
        return [message for message in self.got if isinstance(message, kind)]


React = Callable[[Session, Message], None]


class ProcessBus(MemoryBus):
    """The bus of a process that can be stopped (SIGSTOP) and continued, or killed."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self._stopped = False
        self._due: list[Callable[[], None]] = []

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        self._do(lambda: super(ProcessBus, self).publish(subject, data, reply=reply, headers=headers))

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        return await super().subscribe(subject, lambda got: self._do(lambda: handler(got)), queue=queue)

    def stop(self) -> None:
        self._stopped = True

    def cont(self) -> None:
        self._stopped = False
        due, self._due = self._due, []
        for act in due:
            act()

    def _do(self, act: Callable[[], None]) -> None:
        if self._stopped:
            self._due.append(act)
        else:
            act()


class Worker:
    """declines: every call, in these words. mute: it never says that it took one. opens: instead of taking one."""

    def __init__(self, broker: MemoryBroker, stage: Stage, worker: str, react: React, capacity: int = 0) -> None:
        self.stage = stage
        self.name = worker
        self.sessions: list[Session] = []
        self.declines: Declined | None = None
        self.mute = False
        self.opens: Callable[[Session], None] | None = None
        self.alive = True
        self.epoch = self.wire = 0
        self.attached = r.Attached("frontdesk", "d1")
        self.agents: tuple[str, ...] = ()  # that its beat tells of
        self.accepted = Accepted()
        self._bus = ProcessBus(broker)
        self._exchange = Exchange(self._bus, stage, worker)
        self.pool = CallPool(self._exchange, capacity=capacity, open_session=self._open)
        self._react = react
        self._beats = Beats(self._bus, self._describe)
        self._exchange.on_placed = self._beats.placed

    async def start(self) -> None:
        await self._exchange.start()
        self._beats.start()

    async def stop(self) -> None:
        self._beats.stop()
        await self._exchange.stop()

    @property
    def last(self) -> Session:
        return self.sessions[-1]

    def silence(self) -> None:
        """As if only its heart stood still."""
        self._beats.stop()

    async def kill(self) -> None:
        self.alive = False
        self._beats.stop()
        await self._bus.close()

    def hang(self) -> None:
        """SIGSTOP."""
        self._bus.stop()

    def go_on(self) -> None:
        """SIGCONT."""
        self._bus.cont()

    def drain(self) -> None:
        self.pool.draining = True
        self._beats.now()

    def react(self, session: Session, message: Message) -> None:
        self._react(session, message)

    def _open(self, link: Link, order: Message, headers: Headers | None) -> Session | Declined:
        if self.declines is not None:
            return self.declines
        session = Session(self, link, order)
        self.sessions.append(session)
        if isinstance(order, s.Listen | sp.Speak):
            link.bind_audio(order.handle, session.audio.append)
        link.epoch = self.epoch
        if self.opens is not None:
            self.opens(session)
        elif not self.mute:
            attaches = self.stage == "agent" and not isinstance(order, Generate)
            link.send(self.attached if attaches else self.accepted)
        return session

    def _describe(self) -> Beat:
        return Beat(
            self.stage,
            self.name,
            self.pool.calls,
            self.pool.capacity,
            self.pool.draining,
            "test",
            pid=1,
            agents=self.agents,
            wire=self.wire,
        )


class Agent:
    """Answers a turn with `answer` in one segment, unless told otherwise."""

    def __init__(self) -> None:
        self.answer = "Fine."
        self.responses: list[str] = []  # that it gave, by the ids that the gateway asked for

    def react(self, session: Session, message: Message) -> None:
        match message:
            case r.Turn(respond=True, turn=turn, response=response):
                self.respond(session, turn, response)
            case r.Respond(response=response) | r.CallerAway(response=response):
                self.respond(session, 0, response)

    def respond(self, session: Session, turn: int, response: str) -> None:
        if self.answer:
            self.responses.append(response)
            self.speak(session, response, turn, self.answer)

    def speak(self, session: Session, response: str, turn: int, *segments: str) -> None:
        """A whole response of one item."""
        session.say(r.ResponseStarted(response, turn))
        self.item(session, response, f"item_{response}", "final_answer", *segments)
        session.say(r.ResponseFinished(response, "completed", "", 3, 4))

    def item(self, session: Session, response: str, item: str, phase: r.Phase | None, *segments: str) -> None:
        session.say(r.ItemStarted(response, item, phase))
        for index, text in enumerate(segments):
            session.say(r.Say(response, item, index, text))
        session.say(r.ItemFinished(response, item, "".join(segments), phase))


class Tts:
    """Speaks at once: a ramp that tells each sample of a segment from the others. lose: chunks that never arrive."""

    def __init__(self) -> None:
        self.lose: set[tuple[int, int]] = set()  # (segment, position), each once
        self.fail: set[int] = set()

    def react(self, session: Session, message: Message) -> None:
        if not isinstance(message, sp.Synthesise):
            return
        if message.segment in self.fail:
            session.say(sp.SegmentFailed(message.segment, "no voice"))
            return
        assert isinstance(session.order, sp.Speak)
        samples = spoken(message.text)
        for at in range(message.from_sample, len(samples), TTS_CHUNK):
            if (message.segment, at) in self.lose:
                self.lose.discard((message.segment, at))
                continue
            pcm = samples[at : at + TTS_CHUNK].tobytes()
            last = at + TTS_CHUNK >= len(samples)
            session.link.send_audio(
                AudioChunk(session.order.handle, session.link.attach, message.segment, at, pcm, last)
            )
        session.say(sp.SegmentSpoken(message.segment, len(samples)))


def spoken(text: str) -> np.ndarray:
    """The audio of a text: deterministic noise, so that nothing correlates with anything else."""
    rng = np.random.default_rng(sum(text.encode()))
    return rng.integers(-8000, 8000, len(text) * SAMPLES_PER_LETTER, dtype=np.int16)


def ignore(session: Session, message: Message) -> None:
    pass


class Scene:
    """`async with Scene() as scene`: workers are up and heard of. Everything is in one loop.

    more: stages that get a second worker from the start, as `scene.second[stage]`.
    """

    def __init__(self, *more: Stage) -> None:
        self.broker = MemoryBroker()
        self.agent_mind = Agent()
        self.tts_voice = Tts()
        self.stt = Worker(self.broker, "stt", "stt-1", ignore)
        self.agent = Worker(self.broker, "agent", "agent-1", self.agent_mind.react)
        self.tts = Worker(self.broker, "tts", "tts-1", self.tts_voice.react)
        self.workers = [self.stt, self.agent, self.tts]
        self.first: dict[Stage, Worker] = {worker.stage: worker for worker in self.workers}
        self.second = {stage: self.make(stage) for stage in more}
        self.bus = MemoryBus(self.broker)
        self.exchange = Exchange(self.bus, "gateway", "gateway-1")
        self.roster = Roster(self.exchange.now_s)
        self.shards = ShardHealth(self.shard_answers)
        self.calls = Calls(self.exchange, self.roster, 0, shards=self.shards)
        self._beats = Beats(self.bus, lambda: Beat("gateway", "gateway-1", 0, 0, False, "test"))

    def make(self, stage: Stage) -> Worker:
        """Another worker of a stage; the caller starts it unless the scene does."""
        react = {"stt": ignore, "agent": self.agent_mind.react, "tts": self.tts_voice.react}[stage]
        number = 1 + sum(worker.stage == stage for worker in self.workers)
        worker = Worker(self.broker, stage, f"{stage}-{number}", react)
        self.workers.append(worker)
        return worker

    async def __aenter__(self) -> "Scene":
        await self.exchange.start()
        await self.roster.start(self.bus)
        self._beats.start()
        for worker in self.workers:
            await worker.start()
        self.calls.start()
        await settle()
        return self

    async def shard_answers(self, shard: int) -> bool:
        return True

    async def __aexit__(self, *error: object) -> None:
        self.calls.stop()
        await self.shards.stop()
        self._beats.stop()
        for worker in self.workers:
            await worker.stop()
        await self.exchange.stop()

    async def call(self, agent: str = "") -> tuple[Call, "Line"]:
        call = await self.calls.place(agent)
        line = Line(call)
        call.start(line)
        return call, line


class Line:
    """A client that takes notes, and can speak in real time."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.events: list[CallEvent] = []
        self.at_s: list[float] = []

    def on_event(self, event: CallEvent) -> None:
        self.events.append(event)
        self.at_s.append(asyncio.get_running_loop().time())

    def kinds(self) -> list[str]:
        """Names of the events in order; audio once per run."""
        names = [type(event).__name__ for event in self.events]
        return [name for i, name in enumerate(names) if name != "AudioSaid" or names[i - 1] != "AudioSaid"]

    def all(self, kind: type) -> list[CallEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def samples_said(self) -> int:
        return sum(len(event.pcm) // SAMPLE_BYTES for event in self.events if isinstance(event, AudioSaid))

    async def speaks(self, seconds: float, level: int = 6000, seed: int = 7) -> None:
        """Noise in 20 ms frames, in (virtual) real time."""
        rng = np.random.default_rng(seed)
        for _ in range(round(seconds / 0.02)):
            frame = rng.integers(-level, level, CALLER_RATE_HZ // 50, dtype=np.int16) if level else np.zeros(320, "i2")
            self.call.hear(pcm.to_bytes(frame.astype(np.int16)))
            await asyncio.sleep(0.02)

    async def echoes(self, seconds: float, *, delay_s: float, gain: float) -> None:
        """The line carries what the agent says, later and weaker."""
        for _ in range(round(seconds / 0.02)):
            now = asyncio.get_running_loop().time() - delay_s
            played = self.call.speaking.playout.recent(int(now * SPEECH_RATE_HZ), SPEECH_RATE_HZ * 3 // 10)
            caller = echo.thick(played)[-CALLER_RATE_HZ // 50 :]
            self.call.hear(pcm.to_bytes((caller * gain).astype(np.int16)))
            await asyncio.sleep(0.02)


async def settle(seconds: float = 0.03) -> None:
    """What is on its way arrives."""
    await asyncio.sleep(seconds)
