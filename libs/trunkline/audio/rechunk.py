"""Frames of one fixed size from chunks of any size; every sample goes out once, in order."""

import numpy as np

from trunkline.audio.pcm import EMPTY, Samples


class Rechunker:
    def __init__(self, frame_samples: int) -> None:
        if frame_samples < 1:
            raise ValueError(f"frame_samples must be 1 or more, not {frame_samples}")
        self._frame_samples = frame_samples
        self._rest: Samples = EMPTY

    @property
    def waiting_samples(self) -> int:
        return len(self._rest)

    def push(self, chunk: Samples) -> list[Samples]:
        """The frames that are complete now; may be none."""
        size = self._frame_samples
        joined = np.concatenate((self._rest, chunk)) if len(self._rest) else chunk
        whole = len(joined) // size * size
        self._rest = joined[whole:].copy()  # a view would keep the caller's whole chunk alive
        return [joined[at : at + size] for at in range(0, whole, size)]

    def flush(self) -> Samples:
        """What is left, shorter than a frame and perhaps empty; the next push begins a new frame."""
        rest, self._rest = self._rest, EMPTY
        return rest
