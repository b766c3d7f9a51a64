"""A speech-to-text service for simulated callers: facts derived from the audio alone, so a replay gives the same words.

The real pool and links, an own recogniser: the real one judges windows of 32 ms, which costs more than a whole history.
"""

import asyncio

import numpy as np

from sim.sound import COUGH, FRAME_SAMPLES, heard_as
from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.port import Headers
from trunkline.proto import subjects
from trunkline.proto.audio import CALLER_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Accepted, Declined
from trunkline.proto.speech import (
    AudioMissing,
    Discard,
    Final,
    Finish,
    Heard,
    HeardCall,
    Listen,
    Listened,
    Silent,
    SpeechStarted,
    SpeechStopped,
    Tune,
)
from trunkline.runtime.pool import CallPool, Session

END_FRAMES = 3  # of silence end an utterance
SILENT_FRAMES = 6  # of silence, and it is said that nothing before is needed
LEAD_FRAMES = 1  # before the first voiced frame an utterance's audio begins
RECOGNISE_S = 0.02
ASK_AGAIN_S = 0.1
EMPTY: Samples = np.zeros(0, dtype=np.int16)


class SimStt:
    digest = ""
    agents: tuple[str, ...] = ()

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.calls = CallPool(exchange, capacity=20, open_session=self._open)

    async def start(self) -> None:
        """Nothing to load."""

    def load(self) -> tuple[int, int]:
        return self.calls.calls, self.calls.capacity

    async def drain(self, grace_s: float) -> None:
        await self.calls.drain(grace_s)

    async def stop(self) -> None:
        self.calls.close("stopped")

    def _open(self, link: Link, message: Message, headers: Headers | None) -> Session | Declined:
        if not isinstance(message, Listen):
            return Declined("bad_request", "not a Listen")
        return SttSession(link, message, self._exchange)


class SttSession:
    def __init__(self, link: Link, order: Listen, exchange: Exchange) -> None:
        self._link = link
        self._joined = exchange if order.joined else None
        self._loop = asyncio.get_running_loop()
        self._at = order.from_sample  # judged up to here
        self._frame: Samples = EMPTY  # the part of a frame that came
        self._said_to = order.from_sample
        self._utterance = 0
        self._begin: int | None = None  # of the utterance that is open
        self._values: list[int] = []
        self._quiet = 0  # frames since the last voiced one
        self._asking: asyncio.TimerHandle | None = None
        self._recognising = 0
        self._closed = False
        link.bind_audio(order.handle, self._on_chunk)
        link.send(Accepted())

    def on_message(self, message: Message, headers: Headers | None) -> None:
        match message:
            case Discard(to_sample=to_sample) if to_sample > self._at or self._begin is not None:
                self._begin, self._values = None, []
                self._skip_to(to_sample)
            case Finish() | Discard() | Tune():
                pass

    def close(self, reason: str) -> None:
        self._closed = True
        if self._asking is not None:
            self._asking.cancel()

    def _skip_to(self, sample: int) -> None:
        if sample > self._at:
            self._frame = self._frame[sample - self._at :]
            self._at = sample

    def _on_chunk(self, chunk: AudioChunk) -> None:
        if self._closed:
            return
        samples = pcm.from_bytes(chunk.pcm)
        come_to = self._at + len(self._frame)
        if chunk.position > come_to:
            self._ask(first=True)
            return
        if chunk.position + len(samples) <= come_to:
            return
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
        self._frame = np.concatenate((self._frame, samples[come_to - chunk.position :]))
        while len(self._frame) >= (samples_due := FRAME_SAMPLES - self._at % FRAME_SAMPLES):
            value = int(self._frame[0]) if samples_due == FRAME_SAMPLES else 0  # half a frame says nothing
            self._frame = self._frame[samples_due:]
            self._judge(value, samples_due)
        if self._at - self._said_to >= CALLER_RATE_HZ // 2:
            self._said_to = self._at
            self._tell(0)

    def _ask(self, *, first: bool) -> None:
        if first and self._asking is not None:
            return
        self._link.send(AudioMissing(self._at + len(self._frame)))
        self._asking = self._loop.call_later(ASK_AGAIN_S, lambda: self._ask(first=False))

    def _judge(self, value: int, samples: int) -> None:
        begin, self._at = self._at, self._at + samples
        if value >= COUGH:
            self._quiet = 0
            self._values.append(value)
            if self._begin is None:
                self._begin = begin
                self._utterance += 1
                self._link.send(SpeechStarted(self._utterance, begin))
            return
        self._quiet += 1
        if self._begin is not None:
            if self._quiet == END_FRAMES:
                self._end(self._begin, begin)
        elif self._quiet % SILENT_FRAMES == 0 and not self._recognising:
            self._tell(self._at - LEAD_FRAMES * FRAME_SAMPLES)

    def _tell(self, silent_to: int) -> None:
        """As the real one does for many calls together."""
        link = self._link
        if self._joined is None:
            link.send(Silent(silent_to, self._at) if silent_to else Listened(self._at))
            return
        heard = HeardCall(link.call, link.attach, link.state.sent, self._at, silent_to)
        subject = subjects.inbox_of(link.peer, subjects.NO_CALL)
        self._joined.post(subject, subjects.NO_CALL, Heard([heard]), peer=link.peer)

    def _end(self, begin: int, now: int) -> None:
        number, words = self._utterance, heard_as(self._values)
        from_sample = max(0, begin - LEAD_FRAMES * FRAME_SAMPLES)
        self._begin, self._values = None, []
        self._link.send(SpeechStopped(number, now - (END_FRAMES - 1) * FRAME_SAMPLES))
        self._recognising += 1
        self._loop.call_later(RECOGNISE_S, self._recognised, Final(number, words, from_sample, self._at))

    def _recognised(self, final: Final) -> None:
        self._recognising -= 1
        if not self._closed:
            self._link.send(final)
