"""Audio for one peer, the chunks of many calls in one message: wakeups cost far more than bytes.

The window is 0 for a few calls and widens with their number. What may not wait takes the window with it at once: the
first chunk of a stream and one marked `last`.
"""

import asyncio

from trunkline.bus.adaptive_window import WIDEST_S, AdaptiveWindow
from trunkline.bus.port import Bus
from trunkline.proto import subjects
from trunkline.proto.audio import AudioBatch, AudioChunk, encode_batch
from trunkline.proto.subjects import Stage

CHUNK_OVERHEAD_BYTES = 48
KNOWN_PEERS = 1024  # whose windows are kept; workers come and go, and who drained says no last word here


class _Window:
    __slots__ = ("adaptive", "chunks", "size_bytes", "subject", "timer", "unheard")

    def __init__(self, subject: str, unheard: str, adaptive: AdaptiveWindow) -> None:
        self.subject = subject
        self.unheard = unheard  # where the server says that nobody listens there
        self.chunks: list[AudioChunk] = []
        self.size_bytes = 0
        self.timer: asyncio.Handle | None = None
        self.adaptive = adaptive


class AudioWindows:
    """widest_s: that a chunk waits for company, at most. A gateway's frames have waited at its edge, so they go in the
    turn of the loop that brings them here."""

    def __init__(self, bus: Bus, stage: Stage, worker: str, widest_s: float = WIDEST_S) -> None:
        self.widest_s = widest_s
        self._bus = bus
        self._stage = stage
        self._worker = worker
        self._sender = f"{stage}.{worker}"
        self._waits = stage != "gateway"
        self._loop = asyncio.get_running_loop()
        self._limit_bytes = bus.max_payload
        self._windows: dict[str, _Window] = {}

    def add(self, peer: str, chunk: AudioChunk) -> None:
        """peer: `<stage>.<worker>`."""
        window = self._windows.get(peer)
        if window is None:
            self._make_room()
            window = self._windows[peer] = self._open(peer)
        size_bytes = len(chunk.pcm) + CHUNK_OVERHEAD_BYTES
        if window.size_bytes + size_bytes > self._limit_bytes:
            self.flush(peer)
        window.chunks.append(chunk)
        window.size_bytes += size_bytes
        wait_s = self._wait_s(window, chunk) if self._waits else 0.0
        if chunk.last or (self._waits and not chunk.position):
            self.flush(peer)
        elif window.timer is None:
            loop = self._loop
            window.timer = loop.call_later(wait_s, self.flush, peer) if wait_s else loop.call_soon(self.flush, peer)

    def flush(self, peer: str) -> None:
        """What waits for the peer goes now."""
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

    def forget(self, peer: str) -> None:
        """A peer that is gone; what waits for it is dropped."""
        window = self._windows.pop(peer, None)
        if window is not None and window.timer is not None:
            window.timer.cancel()

    def _make_room(self) -> None:
        """Once too many are known, only those stay in which something waits: the others learn their widths anew."""
        if len(self._windows) >= KNOWN_PEERS:
            self._windows = {peer: window for peer, window in self._windows.items() if window.chunks}

    def close(self) -> None:
        for peer in list(self._windows):
            self.flush(peer)

    def _wait_s(self, window: _Window, chunk: AudioChunk) -> float:
        window.adaptive.count((chunk.handle,), self._loop.time())
        return window.adaptive.wait_s

    def _open(self, peer: str) -> _Window:
        stage, _, worker = peer.partition(".")
        unheard = subjects.unheard(self._stage, self._worker, peer)
        return _Window(subjects.audio(stage, worker), unheard, AdaptiveWindow(self._loop.time(), self.widest_s))
