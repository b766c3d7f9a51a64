"""A text that is read aloud for a request: its segments at TTS, and their audio in order, as it comes.

Rule: only a few segments are ordered ahead of what was taken, so whoever takes it slowly costs no memory.
"""

import asyncio
import contextlib
from collections import deque

from trunkline.bus.port import Headers
from trunkline.gateway.audibility import Audibility
from trunkline.gateway.placing import Placement
from trunkline.gateway.playout import Segment
from trunkline.gateway.requests import Request
from trunkline.gateway.script import Words
from trunkline.gateway.synthesis import Synthesis
from trunkline.proto.audio import SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.errors import TrunklineError
from trunkline.proto.placement import Accepted
from trunkline.proto.response import Attached
from trunkline.proto.speaking import SegmentFailed, Speak
from trunkline.segments import Segmenter

PIECE_SAMPLES = SPEECH_RATE_HZ // 2  # that are taken at a time, at most
MISSING_LOOK_S = 0.1  # while audio is missing of which it was told that it is complete


class NotSpoken(TrunklineError):
    def __init__(self, reason: str) -> None:
        super().__init__(f"the text can't be spoken: {reason}")


class Recital:
    """The post of its TTS worker (see `staffing.Post`). voices: that the worker has, empty if it doesn't tell."""

    def __init__(self, audibility: Audibility) -> None:
        self.voices: tuple[str, ...] = ()
        self._audibility = audibility
        self._worker = ""
        self._handle = 0
        self._synthesis = Synthesis(self._clock)
        self._words: deque[Words] = deque()  # not taken whole
        self._failure = ""
        self._news = asyncio.Event()

    def of(self, request: Request) -> "Recital":
        self._handle = request.handle
        return self

    def begin(self, text: str, voice: str, speed: float) -> None:
        """Once. voice: empty for the engine's own. A caller's first words are more urgent than any of these."""
        segmenter = Segmenter()
        for index, part in enumerate([*segmenter.feed(text), *segmenter.flush()]):
            segment = Segment(index + 1, "", index)
            words = Words("", segment, part, audible=True, voice=voice, speed=speed)
            self._words.append(words)
            self._synthesis.add(words)

    async def take(self) -> bytes:
        """The next samples, int16 LE at SPEECH_RATE_HZ; nothing once all was said. Raises NotSpoken."""
        while self._words:
            self._news.clear()
            words = self._words[0]
            pcm = words.segment.take(PIECE_SAMPLES)
            if self._failure:
                raise NotSpoken(self._failure)
            if words.segment.all_sent:
                self._words.popleft()
                self._synthesis.sent(words)
                self._synthesis.order_ahead()
            elif not pcm:
                await self._more(words)
            if pcm:
                return pcm
        return b""

    async def _more(self, words: Words) -> None:
        missing = words.segment.asked_at is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MISSING_LOOK_S if missing else None):
                await self._news.wait()
        self._synthesis.ask_if_missing(words, self._clock())

    def _clock(self) -> int:
        return int(self._audibility.now_s() * SPEECH_RATE_HZ)

    # the post

    def order(self, reason: str) -> Speak:
        return Speak(self._handle, patient=True)

    def declined(self) -> None:
        """The worker that serves was never disturbed."""

    def taken(self, placement: Placement, answer: Accepted | Attached) -> None:
        if isinstance(answer, Accepted):
            self.voices = answer.voices
        self._worker = placement.worker
        self._audibility.heard(self._worker)
        link = placement.link
        link.bind_audio(self._handle, self._hear_audio)
        self._synthesis.placed(lambda message, headers: link.send(message, headers=headers))

    def hear(self, message: Message, headers: Headers | None) -> None:
        if isinstance(message, SegmentFailed):
            self._failure = message.reason
        self._audibility.heard(self._worker)
        self._synthesis.on_fact(message)
        self._news.set()

    def lost(self) -> None:
        self._synthesis.lost()

    @property
    def movable(self) -> bool:
        return self._synthesis.movable

    @property
    def stalled(self) -> bool:
        return self._synthesis.stalled(self._clock()) and self._audibility.mute(self._worker)

    def _hear_audio(self, chunk: AudioChunk) -> None:
        self._audibility.heard(self._worker)
        self._synthesis.on_chunk(chunk)
        self._news.set()
