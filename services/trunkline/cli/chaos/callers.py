"""A process full of callers in real time: `python -m trunkline.cli.chaos.callers ORDER.json`; leaves an Outcome.

One ticker sends the audio of all of them, in four groups, so that a call costs no timer of its own. What each caller is
at goes to stdout as it changes, a Told in each line.
"""

import asyncio
import contextlib
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import uvloop

from trunkline.audio import dtmf, pcm
from trunkline.audio.pcm import Samples
from trunkline.cli.chaos import scene
from trunkline.cli.chaos.ear import Ear
from trunkline.cli.chaos.evidence import Account, CallOutcome, Ending, Said
from trunkline.cli.chaos.visitors import Visitors
from trunkline.cli.chaos.watch import Doing, Told
from trunkline.client import Call, ClientError, Refused, Unreachable, connect
from trunkline.proto.audio import SPEECH_RATE_HZ

TICK_S = 0.01
GROUPS = 4  # a caller sends every so many ticks
FRAME_SAMPLES = int(SPEECH_RATE_HZ * TICK_S * GROUPS)
FEWEST_TURNS, MOST_TURNS = 4, 16  # of one call
THROWN_OUT = 0.3  # of the calls, policy ends at their last turn
END_LIMIT_S = 15.0  # for the agent to hang up, once it has said goodbye
PAUSE_S = (0.2, 0.8)  # between a reply and the next turn
RAMP_S = 3.0  # callers don't all begin at the same time
ANSWER_LIMIT_S = 40.0  # more than the checker allows
CUT_AFTER_S = 0.9  # of an answer, before the caller speaks over it
AGAIN_S = (0.3, 1.0)  # before a caller who wasn't let in dials again
PATIENCE = 40  # times
PRIORITY = -10  # as of nice
_SILENCE = bytes(2 * FRAME_SAMPLES)


class Order(msgspec.Struct):
    """callers: their numbers. seconds: no call begins later, and none takes another turn. open_end: not before the
    standard input has ended either. visitors: come too, once the callers have called."""

    url: str
    key: str
    callers: list[int]
    seconds: float
    seed: int
    out: str
    open_end: bool = False
    visitors: bool = False


class Outcome(msgspec.Struct):
    """lateness_ms: of the ticker, a sample of all. cpu_s: of this process. visits_refused: as refused, of visitors."""

    calls: list[CallOutcome] = []
    refused: list[str] = []
    visits: list[CallOutcome] = []
    visits_refused: list[str] = []
    lateness_ms: list[float] = []
    cpu_s: float = 0.0


class _Line(NamedTuple):
    samples: Samples
    said: "asyncio.Future[float]"  # when its last voiced sample was sent


def tell(told: Told) -> None:
    print(msgspec.json.encode(told).decode(), flush=True)


class Phone:
    """One call's microphone and ear. line: what is being said, with how far that has got."""

    def __init__(self, call: Call, dialled_s: float = 0.0) -> None:
        self.call = call
        self.dialled_s = dialled_s
        self.ear = Ear()
        self.changed = asyncio.Event()
        self.lost = ""
        self.over = False
        self._doing = Doing.IDLE
        self._line: _Line | None = None
        self._at = 0

    def say(self, words: str) -> "asyncio.Future[float]":
        said: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._line, self._at = _Line(dtmf.tones(words, SPEECH_RATE_HZ), said), 0
        return said

    def tell(self, doing: Doing) -> None:
        if doing is not self._doing and self.ear.call:
            self._doing = doing
            tell(Told(self.ear.call, doing))

    def tick(self) -> None:
        if self._line is None:
            self.call.append_audio(_SILENCE)
        else:
            part = self._line.samples[self._at : self._at + FRAME_SAMPLES]
            frame = np.zeros(FRAME_SAMPLES, dtype=np.int16)
            frame[: len(part)] = part
            self.call.append_audio(pcm.to_bytes(frame))
            self._at += FRAME_SAMPLES
            if self._at >= len(self._line.samples):
                self._line.said.set_result(time.time())
                self._line = None
        self.changed.set()

    async def until(self, holds: Callable[[], bool], limit_s: float) -> None:
        """Or until the call is over, or the limit."""
        give_up_s = time.time() + limit_s
        while not (holds() or self.over or time.time() > give_up_s):
            self.changed.clear()
            await self.changed.wait()

    async def listen(self) -> None:
        """Until the call is over."""
        try:
            async for event in self.call:
                self.ear.on_event(event, time.time())
                if event.type == "response.created":
                    self.tell(Doing.ANSWERED)
                elif event.type == "response.output_audio.delta":
                    self.tell(Doing.HEARING)
                self.changed.set()
        except ClientError as error:
            self.lost = str(error)
        self.over = True
        self.changed.set()


class Callers:
    def __init__(self, order: Order) -> None:
        self.outcome = Outcome()
        self._order = order
        self._phones: dict[int, Phone] = {}  # by the caller's number
        self._until_s = 0.0

    async def run(self) -> Outcome:
        self._until_s = time.time() + self._order.seconds
        ticking = asyncio.create_task(self._tick(), name="callers-tick")
        waiting = asyncio.create_task(self._await_the_end(), name="callers-end") if self._order.open_end else None
        try:
            async with asyncio.TaskGroup() as group:
                for number in self._order.callers:
                    group.create_task(self._caller(number))
                if self._order.visitors:
                    group.create_task(self._visitors())
        finally:
            ticking.cancel()
            if waiting is not None:
                waiting.cancel()
        self.outcome.cpu_s = time.process_time()
        return self.outcome

    async def _visitors(self) -> None:
        visitors = Visitors(self._order.url, self._order.key, self._order.seed, tell)
        self.outcome.visits, self.outcome.visits_refused = visitors.calls, visitors.refused
        await asyncio.sleep(RAMP_S)
        await visitors.run(lambda: time.time() < self._until_s)

    async def _await_the_end(self) -> None:
        least_s, self._until_s = self._until_s, float("inf")
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()
        self._until_s = max(least_s, time.time())

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        due_s, tick = loop.time(), 0
        while True:
            due_s += TICK_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            if tick % 8 == 0:
                self.outcome.lateness_ms.append(round(1000 * (loop.time() - due_s), 2))
            tick += 1
            for number, phone in list(self._phones.items()):
                if number % GROUPS == tick % GROUPS:
                    phone.tick()

    async def _caller(self, number: int) -> None:
        rng = random.Random(f"caller {self._order.seed} {number}")
        await asyncio.sleep(rng.uniform(0.0, RAMP_S))
        calls = refusals = 0
        dialled_s = 0.0
        while time.time() < self._until_s and refusals < PATIENCE:
            dialled_s = dialled_s or time.time()
            try:
                calls += 1
                await self._call(number, calls, rng, dialled_s)
                dialled_s = 0.0
            except (Refused, Unreachable) as refusal:
                calls, refusals = calls - 1, refusals + 1
                self.outcome.refused.append(str(refusal))
                await asyncio.sleep(rng.uniform(*AGAIN_S))

    async def _call(self, number: int, serial: int, rng: random.Random, dialled_s: float) -> None:
        """dialled_s: for the first time; refusals since count as his wait."""
        async with connect(self._order.url, self._order.key) as call:
            phone = self._phones[number] = Phone(call, dialled_s)
            listening = asyncio.create_task(phone.listen(), name="caller-listen")
            talk = Talk(phone, number, serial, rng)
            try:
                await phone.until(lambda: bool(phone.ear.call), ANSWER_LIMIT_S)
                turns = rng.randint(FEWEST_TURNS, MOST_TURNS)
                talk.thrown_out = rng.random() < THROWN_OUT
                for turn in range(1, turns + 1):
                    last = turn == turns or time.time() >= self._until_s
                    if not await talk.take_turn(turn, last=last) or last:
                        break
            finally:
                del self._phones[number]
                phone.tell(Doing.OVER)
                by_himself = not phone.over
                await call.hang_up()
                await asyncio.wait([listening])
                end: Ending = "hung_up" if by_himself else "closed"
                if phone.ear.call:
                    self.outcome.calls.append(CallOutcome(phone.ear.call, talk.account(end)))
                else:
                    self.outcome.refused.append(phone.lost or "no session was created")


class Talk:
    """One call's turns, and what the caller will tell of them."""

    def __init__(self, phone: Phone, caller: int, serial: int, rng: random.Random) -> None:
        self._phone, self._caller, self._serial, self._rng = phone, caller, serial, rng
        self._said: list[Said] = []
        self._interruptions_s: list[float] = []
        self._unanswered: Said | None = None
        self._ending = False  # the agent has said goodbye, or is about to
        self.thrown_out = False  # at his last turn

    async def take_turn(self, turn: int, *, last: bool) -> bool:
        """Says the turn's number and waits for the answer, or speaks over it. False when the call can't go on."""
        phone, words, kind = self._phone, scene.number(self._caller, self._serial, turn), scene.kind_of(turn)
        thrown_out = last and self.thrown_out
        words = scene.goodbye(words) if thrown_out else words
        await asyncio.sleep(self._rng.uniform(*PAUSE_S) if turn > 1 and not self._cutting else 0.0)
        began_s = time.time()
        self._cut_short(began_s)
        phone.tell(Doing.SPEAKING)
        saying = phone.say(words)
        await asyncio.wait([saying])
        phone.tell(Doing.WAITING)
        if phone.over and self._ending:
            return False  # the agent had hung up
        reply = "" if thrown_out else scene.reply(kind, words)
        said = Said(words, saying.result(), 0.0, reply, kind.name, began_s, kind.timed and not thrown_out)
        self._said.append(said)
        self._ending = kind.ends or thrown_out
        if kind.cut and not last:
            await phone.until(lambda: self._may_cut(said), ANSWER_LIMIT_S)
            if phone.over and self._ending and phone.ear.heard_since(said.ended_s):
                self._answered(said, time.time())  # the agent hung up before he could speak over its goodbye
            self._unanswered = said
            return not phone.over
        await phone.until(lambda: phone.ear.answered(said.ended_s, time.time()), ANSWER_LIMIT_S)
        if self._ending:
            await self._see_the_end(said)
            return False
        if phone.ear.answered(said.ended_s, time.time()):
            phone.tell(Doing.IDLE)
            self._answered(said, time.time())
            return not phone.over
        return False

    async def _see_the_end(self, said: Said) -> None:
        """The agent has said goodbye, and hangs up."""
        phone = self._phone
        await phone.until(lambda: False, END_LIMIT_S)
        if not phone.over:
            phone.lost = "the agent said goodbye, and did not hang up"
        if phone.ear.heard_since(said.ended_s):
            self._answered(said, time.time())

    @property
    def _cutting(self) -> bool:
        return self._unanswered is not None

    def _may_cut(self, said: Said) -> bool:
        ear, now_s = self._phone.ear, time.time()
        return ear.sounding(said.ended_s, now_s) > CUT_AFTER_S or ear.answered(said.ended_s, now_s)

    def _cut_short(self, now_s: float) -> None:
        """The turn before is over since this caller says so."""
        if self._unanswered is not None:
            self._interruptions_s.append(now_s)
            if self._phone.ear.heard_since(self._unanswered.ended_s) or self._phone.ear.quiet(now_s):
                self._answered(self._unanswered, now_s)
            self._unanswered = None

    def _answered(self, said: Said, at_s: float) -> None:
        self._said[self._said.index(said)] = msgspec.structs.replace(said, answered_s=at_s)

    def account(self, end: Ending) -> Account:
        phone = self._phone
        problem = phone.lost or (phone.ear.errors[-1] if phone.ear.errors else "")
        return Account(
            said=self._said,
            transcripts=phone.ear.transcripts,
            heard=phone.ear.heard,
            interruptions_s=self._interruptions_s,
            end=end,
            ended_s=time.time(),
            resumed=phone.call.resumed,
            resume_gaps_s=[round(gap_s, 3) for gap_s in phone.call.gaps_s],
            problem=problem,
            leaks=phone.ear.leaks,
            dialled_s=phone.dialled_s,
            let_in_s=phone.ear.let_in_s,
        )


def prefer() -> None:
    """This process stands for people's machines, which don't wait for the stack's. Needs privileges; does without."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(PRIORITY))  # between sessions Linux shares by this instead


if __name__ == "__main__":
    prefer()
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    outcome = uvloop.run(Callers(order).run())
    Path(order.out).write_bytes(msgspec.json.encode(outcome))
