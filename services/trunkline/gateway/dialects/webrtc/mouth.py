"""The agent's speech to Opus packets, one every 20 ms by the clock, silence between: the track that goes to a caller.

Encoded in the loop and handed over as packets: a frame takes 0.1 ms, less than a hand-over to a thread and back would,
and silence that lasts costs nothing. Opus takes the agent's own rate, so nothing is resampled.
"""

import asyncio
from collections.abc import Callable
from fractions import Fraction

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.codec.context import CodecContext

from trunkline.gateway import metrics
from trunkline.gateway.dialects.webrtc.arrivals import RTP_RATE_HZ
from trunkline.proto.audio import FRAME_MS, SAMPLE_BYTES, SPEECH_RATE_HZ

FRAME_S = FRAME_MS / 1000
FRAME_SAMPLES = SPEECH_RATE_HZ * FRAME_MS // 1000
FRAME_BYTES = FRAME_SAMPLES * SAMPLE_BYTES
RTP_FRAME = RTP_RATE_HZ * FRAME_MS // 1000
LIMIT_BYTES = SPEECH_RATE_HZ * SAMPLE_BYTES  # a second: five times what the pacing lets ahead
LATE_S = 0.2  # behind the clock by more, frames are left out instead of sent in a heap
QUIET_FRAMES = 10  # after which silence has one packet for good
BIT_RATE = 32_000
SILENCE = bytes(FRAME_BYTES)


class Waiting:
    """Speech that waits for its time, in frames. Pure."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def add(self, pcm: bytes) -> int:
        """pcm: int16 LE at SPEECH_RATE_HZ. Returns how many bytes of the oldest had to go."""
        self._bytes += pcm
        over = max(0, len(self._bytes) - LIMIT_BYTES)
        del self._bytes[:over]
        return over

    def clear(self) -> None:
        self._bytes.clear()

    def take(self) -> bytes:
        """The next frame, its end padded with silence; empty when there is nothing."""
        frame = bytes(self._bytes[:FRAME_BYTES])
        del self._bytes[:FRAME_BYTES]
        return frame and frame.ljust(FRAME_BYTES, b"\0")


class Mouth(MediaStreamTrack):
    """on_beat: called every 20 ms while the track is drawn from. on_silent: when what was said has been played."""

    kind = "audio"

    def __init__(self, on_beat: Callable[[], None], on_silent: Callable[[], None]) -> None:
        super().__init__()
        self._on_beat = on_beat
        self._on_silent = on_silent
        self._speech = Waiting()
        self._encoder = CodecContext.create("libopus", "w")
        self._encoder.bit_rate = BIT_RATE
        self._encoder.format = "s16"
        self._encoder.layout = "mono"
        self._encoder.sample_rate = SPEECH_RATE_HZ
        self._encoder.time_base = Fraction(1, SPEECH_RATE_HZ)
        self._encoder.options = {"application": "voip", "frame_duration": str(FRAME_MS), "compression_level": "3"}
        self._frames = 0  # of the track's clock, those that were left out too
        self._begun_s: float | None = None
        self._quiet = 0  # frames since the last speech
        self._silence = b""  # Opus
        self.silent = asyncio.Event()  # nothing is on its way to be heard
        self.silent.set()

    def say(self, pcm: bytes) -> None:
        """pcm: int16 LE at SPEECH_RATE_HZ."""
        self.silent.clear()
        if left_out := self._speech.add(pcm):
            metrics.rtp_left_out.labels("out").inc(left_out / SAMPLE_BYTES / SPEECH_RATE_HZ)

    def hush(self) -> None:
        """Nothing of what waits is played."""
        self._speech.clear()
        self.silent.set()

    async def recv(self) -> "av.Packet[av.stream.Stream]":
        """The next packet, when its time has come."""
        if self.readyState != "live":
            raise MediaStreamError
        loop = asyncio.get_running_loop()
        if self._begun_s is None:
            self._begun_s = loop.time()
        delay_s = self._begun_s + self._frames * FRAME_S - loop.time()
        if delay_s > 0:
            await asyncio.sleep(delay_s)
        elif delay_s < -LATE_S:
            self._frames += int(-delay_s / FRAME_S)
        self._on_beat()
        payload = self._next()
        packet = av.Packet(payload)
        packet.pts = self._frames * RTP_FRAME
        packet.time_base = Fraction(1, RTP_RATE_HZ)
        self._frames += 1
        return packet

    def _next(self) -> bytes:
        frame = self._speech.take()
        if frame:
            self._quiet = 0
            return self._encode(frame)
        if not self.silent.is_set():
            self.silent.set()
            self._on_silent()
        self._quiet += 1
        if self._quiet <= QUIET_FRAMES or not self._silence:
            self._silence = self._encode(SILENCE)
        return self._silence

    def _encode(self, pcm: bytes) -> bytes:
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(pcm)
        frame.sample_rate = SPEECH_RATE_HZ
        frame.pts = self._frames * FRAME_SAMPLES
        frame.time_base = Fraction(1, SPEECH_RATE_HZ)
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))
