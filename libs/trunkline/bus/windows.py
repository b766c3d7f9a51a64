"""Audio for one peer, the chunks of many calls in one message: wakeups cost far more than bytes.

The window is 0 for a few calls and widens with their number; a chunk marked `last` takes the window with it at once.
"""

import asyncio

from trunkline.bus.port import Bus
from trunkline.proto import subjects
from trunkline.proto.audio import AudioBatch, AudioChunk, encode_batch
from trunkline.proto.subjects import Stage

NARROW_CALLS = 3  # up to here each chunk goes in the turn of the loop that brought it
STEP_S = 0.002  # window per call beyond
WIDEST_S = 0.010
PERIOD_S = 0.2  # over which calls are counted
CHUNK_OVERHEAD_BYTES = 48


class _Window:
    def __init__(self, subject: str, unheard: str, now_s: float) -> None:
        self.subject = subject
        self.unheard = unheard  # where the server says that nobody listens there
        self.chunks: list[AudioChunk] = []
        self.size_bytes = 0
        self.timer: asyncio.Handle | None = None
        self.calls = 0  # of the last period: the measure of load
        self._seen: set[int] = set()
        self._period_ends_s = now_s + PERIOD_S

    def count(self, handle: int, now_s: float) -> None:
        self._seen.add(handle)
        if now_s >= self._period_ends_s:
            self.calls, self._period_ends_s = len(self._seen), now_s + PERIOD_S
            self._seen.clear()


class AudioWindows:
    def __init__(self, bus: Bus, stage: Stage, worker: str) -> None:
        self._bus = bus
        self._stage = stage
        self._worker = worker
        self._sender = f"{stage}.{worker}"
        self._loop = asyncio.get_running_loop()
        self._limit_bytes = bus.max_payload
        self._windows: dict[str, _Window] = {}

    def add(self, peer: str, chunk: AudioChunk) -> None:
        """peer: `<stage>.<worker>`."""
        loop = self._loop
        window = self._windows.get(peer)
        if window is None:
            window = self._windows[peer] = self._open(peer)
        window.count(chunk.handle, loop.time())
        size_bytes = len(chunk.pcm) + CHUNK_OVERHEAD_BYTES
        if window.size_bytes + size_bytes > self._limit_bytes:
            self._flush(peer)
        window.chunks.append(chunk)
        window.size_bytes += size_bytes
        if chunk.last:
            self._flush(peer)
        elif window.timer is None:
            wait_s = window_s(window.calls)
            window.timer = loop.call_later(wait_s, self._flush, peer) if wait_s else loop.call_soon(self._flush, peer)

    def forget(self, peer: str) -> None:
        """A peer that is gone; what waits for it is dropped."""
        window = self._windows.pop(peer, None)
        if window is not None and window.timer is not None:
            window.timer.cancel()

    def close(self) -> None:
        for peer in list(self._windows):
            self._flush(peer)

    def _flush(self, peer: str) -> None:
        window = self._windows.get(peer)
        if window is None:
            return
        if window.timer is not None:
            window.timer.cancel()
            window.timer = None
        if not window.chunks:
            return
        chunks, window.chunks, window.size_bytes = window.chunks, [], 0
        self._bus.publish(window.subject, encode_batch(AudioBatch(self._sender, chunks)), reply=window.unheard)

    def _open(self, peer: str) -> _Window:
        stage, _, worker = peer.partition(".")
        unheard = subjects.unheard(self._stage, self._worker, peer)
        return _Window(subjects.audio(stage, worker), unheard, self._loop.time())


def window_s(calls: int) -> float:
    """Seconds that a chunk may wait for company, by the number of calls with audio for this peer."""
    return 0.0 if calls <= NARROW_CALLS else min(WIDEST_S, STEP_S * (calls - NARROW_CALLS))
